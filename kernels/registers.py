"""Registers: which readings count, what happened between two of them, and amounts over buckets of time.

Readings of series s stand at bounds[s] to bounds[s + 1], sorted by time, all finite. A register only
grows; where it falls, the first of these rules that fits says what happened, `fall` being old - new:

1. rollover: the series has a modulus (10^digits; else 0), the old reading is in the last tenth of the
   register's range and the new one in the first tenth.
2. backflow: the fall is at most a 200th of the old reading.
3. digit fault, too high: within a day and 64 readings before there was one step up, no smaller than the
   fall, from a reading that is no higher than the new one. The readings from there on are left out.
4. digit fault, too low: within a day and 64 readings the register is back at the old reading or above, by
   one step up that is no smaller than the fall. The readings between are left out.
5. reset: all else.
"""

import numpy as np

from ._jit import Float64Array, Int32Array, Int64Array, UInt8Array, inner, kernel

EVENT_NONE = 0
EVENT_ROLLOVER = 1
EVENT_BACKFLOW = 2
EVENT_RESET = 3
EVENT_DIGIT_FAULT = 4
EVENT_FIRST = 255  # of a series' first reading, before which there is no interval

FAULT_READINGS_MAX = 64
FAULT_US_MAX = 86_400_000_000
BACKFLOW_SHARE_MAX = 0.005
ROLLOVER_SHARE = 0.1

# One cell a slot and bucket.
CELL_SUM = 0
CELL_LOST = 1  # what rounding took from the sum (Neumaier)
CELL_COUNT = 2  # intervals with an amount that begin in the bucket
CELL_MIN = 3
CELL_MAX = 4
CELL_COVERED = 5  # us of the bucket for which there is an amount
CELL_ESTIMATED = 6  # of these, us of an estimate
CELL_FIELDS = 7

MALFORMED = -1


@kernel
def pick_readings(
    bounds: Int64Array,
    times: Int64Array,
    values: Float64Array,
    moduli: Float64Array,
    points: Int64Array,
    events: UInt8Array,
) -> int:
    """Fill `points` with the readings that count, `events` with what happened before each; their count.

    `points` and `events` have room for every reading. MALFORMED if the columns do not fit each other.
    """
    if not _fits(bounds, moduli, times, values, points, events):
        return MALFORMED
    count = 0
    for s in range(moduli.size):
        first = count
        k = bounds[s]
        while k < bounds[s + 1]:
            if count == first:
                event = EVENT_FIRST
            else:
                event = _event(values[points[count - 1]], values[k], moduli[s])
            if event == EVENT_RESET:
                # Too high first: of two registers that alternate, that which stays is the true one.
                kept = _before_jump(times, values, points, first, count, k)
                back = _recovery(times, values, points[count - 1], k, bounds[s + 1])
                if kept >= 0:
                    count, event = kept, EVENT_DIGIT_FAULT
                elif back >= 0:
                    k, event = back, EVENT_DIGIT_FAULT
            points[count] = k
            events[count] = event
            count += 1
            k += 1
    return count


@inner
def _fits(bounds, moduli, times, values, points, events):
    count = times.size
    if bounds.size != moduli.size + 1 or values.size != count or points.size < count or events.size < count:
        return False
    if bounds[0] != 0 or bounds[bounds.size - 1] != count:
        return False
    for s in range(moduli.size):
        if bounds[s] > bounds[s + 1]:
            return False
    return True


@inner
def _event(old, new, modulus):
    if new >= old:
        return EVENT_NONE
    tenth = ROLLOVER_SHARE * modulus
    if modulus > 0 and modulus - tenth <= old < modulus and 0 <= new < tenth:
        return EVENT_ROLLOVER
    if old - new <= BACKFLOW_SHARE_MAX * old:
        return EVENT_BACKFLOW
    return EVENT_RESET


@inner
def _recovery(times, values, old, k, end):
    """The reading by which a register that fell from `old` to `k` is back, or -1."""
    fall = values[old] - values[k]
    for back in range(k + 1, min(end, k + 1 + FAULT_READINGS_MAX)):
        if np.uint64(times[back]) - np.uint64(times[old]) > np.uint64(FAULT_US_MAX):
            return -1
        if values[back] >= values[old] and values[back] - values[back - 1] >= fall:
            return back
    return -1


@inner
def _before_jump(times, values, points, first, count, k):
    """How many of the points stay if those from a jump up on were wrong, or -1."""
    fall = values[points[count - 1]] - values[k]
    for at in range(count - 1, max(first, count - 1 - FAULT_READINGS_MAX), -1):
        before = points[at - 1]
        if np.uint64(times[k]) - np.uint64(times[before]) > np.uint64(FAULT_US_MAX):
            return -1
        if values[before] <= values[k] and values[points[at]] - values[before] >= fall:
            return at
    return -1


@kernel
def split_at_edges(
    slots: Int32Array,
    starts: Int64Array,
    ends: Int64Array,
    values: Float64Array,
    estimated: UInt8Array,
    edges: Int64Array,
    cells: Float64Array,
) -> int:
    """Add every interval's amount to the cells of its buckets, in proportion to time; the interval count.

    Shares are differences of the amount interpolated at the edges, so that they telescope to the whole.
    NaN is no amount. `edges` strictly increase; what lies outside of them is left out. A slot has one
    cell a bucket, zeroed by the caller. MALFORMED if the columns do not fit each other.
    """
    count = slots.size
    if starts.size != count or ends.size != count or values.size != count or estimated.size != count:
        return MALFORMED
    bucket_count = edges.size - 1
    if bucket_count < 1 or cells.size % (bucket_count * CELL_FIELDS) != 0:
        return MALFORMED
    slot_count = cells.size // (bucket_count * CELL_FIELDS)
    for i in range(count):
        if not 0 <= slots[i] < slot_count or starts[i] >= ends[i]:
            return MALFORMED
    bucket = 0
    for i in range(count):
        if not np.isnan(values[i]) and ends[i] > edges[0] and starts[i] < edges[bucket_count]:
            base = slots[i] * bucket_count * CELL_FIELDS
            bucket = _bucket(edges, starts[i], max(bucket, 0))
            _split(starts[i], ends[i], values[i], estimated[i] != 0, edges, cells, base, bucket)
    return count


@inner
def _split(start, end, amount, is_estimated, edges, cells, base, bucket):
    if bucket >= 0:
        _count(cells, base + bucket * CELL_FIELDS, amount)
    bucket = max(bucket, 0)
    low = max(start, edges[0])
    before = _until(low, start, end, amount)
    while low < end and bucket < edges.size - 1:
        high = min(end, edges[bucket + 1])
        until = _until(high, start, end, amount)
        cell = base + bucket * CELL_FIELDS
        _add(cells, cell, until - before)
        cells[cell + CELL_COVERED] += high - low
        if is_estimated:
            cells[cell + CELL_ESTIMATED] += high - low
        low, before = high, until
        bucket += 1


@inner
def _until(at, start, end, amount):
    """The part of an interval's amount that lies before an instant."""
    if at == end:
        return amount
    return amount * (np.float64(at - start) / np.float64(end - start))


@inner
def _bucket(edges, instant, guess):
    """The last edge that is not behind an instant; -1 where all are. Mostly the guess, or the one after."""
    for near in range(guess, min(guess + 2, edges.size - 1)):
        if edges[near] <= instant < edges[near + 1]:
            return near
    low, high = -1, edges.size - 1
    while low < high:
        middle = (low + high + 1) // 2
        if edges[middle] <= instant:
            low = middle
        else:
            high = middle - 1
    return low


@inner
def _count(cells, cell, amount):
    count = cells[cell + CELL_COUNT]
    if count == 0 or amount < cells[cell + CELL_MIN]:
        cells[cell + CELL_MIN] = amount
    if count == 0 or amount > cells[cell + CELL_MAX]:
        cells[cell + CELL_MAX] = amount
    cells[cell + CELL_COUNT] = count + 1


@inner
def _add(cells, cell, share):
    total = cells[cell + CELL_SUM]
    added = total + share
    if abs(total) >= abs(share):
        cells[cell + CELL_LOST] += (total - added) + share
    else:
        cells[cell + CELL_LOST] += (share - added) + total
    cells[cell + CELL_SUM] = added
