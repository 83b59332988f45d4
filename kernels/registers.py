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
from .qualities import STATUS_IS_ESTIMATE, SUSPECT, worse_of

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

# One cell a bucket; the first six fields are what may be asked for.
CELL_SUM = 0
CELL_COUNT = 1  # intervals with an amount that begin in the bucket
CELL_MIN = 2
CELL_MAX = 3
CELL_COVERED = 4  # us of the bucket for which there is an amount
CELL_ESTIMATED = 5  # of these, us of an estimate
CELL_LOST = 6  # what rounding took from the sum (Neumaier)
CELL_FIELDS = 7

EMIT_SUM, EMIT_COUNT, EMIT_MIN, EMIT_MAX, EMIT_COVERED, EMIT_ESTIMATED = range(6)
EMIT_FIELDS = 6

# What `control` holds before the room for places.
KEEP_EMPTY = 0
REDUCE_FIELDS = 1 + EMIT_FIELDS

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
def intervals_between(
    points: Int64Array,
    events: UInt8Array,
    slots: Int32Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    meters: Float64Array,
    intervals: Int64Array,
) -> int:
    """Make an interval of every two points of one slot that follow each other; returns their count.

    `points` and `events` are what `pick_readings` gave. `meters` are the slots' moduli, then their
    multipliers. `intervals` hold four columns of room for every point: starts, ends, amounts (a double's
    bits; NaN after a reset), and slot << 16 | quality << 8 | event. MALFORMED if something does not fit.
    """
    room, size, slot_count = intervals.size // 4, times.size, meters.size // 2
    if points.size > min(events.size, room) or min(slots.size, values.size, qualities.size) < size:
        return MALFORMED
    amounts = intervals.view(np.float64)
    count = 0
    for k in range(points.size):
        new = points[k]
        if not 0 <= new < size or not 0 <= slots[new] < slot_count:
            return MALFORMED
        if events[k] == EVENT_FIRST:
            continue
        if k == 0:
            return MALFORMED
        old, slot, event = points[k - 1], slots[new], events[k]
        amount = values[new] - values[old]
        if event == EVENT_ROLLOVER:
            amount += meters[slot]
        elif event == EVENT_RESET:
            amount = np.nan
        quality = np.int64(worse_of(qualities[old], qualities[new]))
        if event >= EVENT_BACKFLOW:
            quality = SUSPECT
        intervals[count] = times[old]
        intervals[room + count] = times[new]
        amounts[2 * room + count] = amount * meters[slot_count + slot]
        intervals[3 * room + count] = np.int64(slot) << 16 | quality << 8 | np.int64(event)
        count += 1
    return count


@kernel
def reduce_intervals(
    bounds: Int64Array,
    starts: Int64Array,
    ends: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    edges: Int64Array,
    control: Int64Array,
    columns: Float64Array,
) -> int:
    """Add up every slot's intervals over the buckets between `edges`, in proportion to time.

    Slot k has the rows bounds[k] to bounds[k + 1], by start. Shares are differences of the amount
    interpolated at the edges, so that they telescope to the whole. NaN is no amount; what lies outside of
    the edges, which strictly increase, is left out. One row a bucket that has a part of an amount, or every
    bucket where control[KEEP_EMPTY]. `control`: KEEP_EMPTY, then which column each of the fields EMIT_SUM to
    EMIT_ESTIMATED goes to, or -1, then room for each row's slot, and for each row's bucket. `columns`: one
    slot's cells, then the columns, each of room for all rows. Returns the row count, or MALFORMED.
    """
    bucket_count, slot_count = edges.size - 1, bounds.size - 1
    room = (control.size - REDUCE_FIELDS) // 2
    cell_size = bucket_count * CELL_FIELDS
    if bucket_count < 1 or not _are_intervals(bounds, starts, ends, values, qualities):
        return MALFORMED
    for field in range(EMIT_FIELDS):
        if cell_size + (control[1 + field] + 1) * room > columns.size:
            return MALFORMED
    cells = columns[:cell_size]
    row = 0
    for slot in range(slot_count):
        cells[:] = 0.0
        bucket = 0
        low, high = bucket_count, -1
        for i in range(bounds[slot], bounds[slot + 1]):
            if not np.isnan(values[i]) and ends[i] > edges[0] and starts[i] < edges[bucket_count]:
                bucket = _bucket(edges, starts[i], bucket)
                low = min(low, max(bucket, 0))
                high = max(high, _split(starts[i], ends[i], values[i], qualities[i], edges, bucket, cells))
        if control[KEEP_EMPTY] != 0:
            low, high = 0, bucket_count - 1
        if row + max(high - low + 1, 0) > room:
            return MALFORMED
        for bucket in range(low, high + 1):
            cell = cells[bucket * CELL_FIELDS : (bucket + 1) * CELL_FIELDS]
            if cell[CELL_COVERED] > 0 or control[KEEP_EMPTY] != 0:
                control[REDUCE_FIELDS + row] = slot
                control[REDUCE_FIELDS + room + row] = bucket
                _emit(cell, control, room, row, columns[cell_size:])
                row += 1
    return row


@inner
def _are_intervals(bounds, starts, ends, values, qualities):
    count = starts.size
    if ends.size != count or values.size != count or qualities.size != count:
        return False
    if bounds.size < 1 or bounds[0] < 0 or bounds[bounds.size - 1] > count:
        return False
    for slot in range(bounds.size - 1):
        if bounds[slot] > bounds[slot + 1]:
            return False
    for i in range(count):
        if starts[i] >= ends[i]:
            return False
    return True


@inner
def _emit(cell, control, room, row, columns):
    """Write what is wanted of a cell."""
    has_begin = cell[CELL_COUNT] > 0
    for field in range(EMIT_FIELDS):
        column = control[1 + field]
        if column >= 0:
            value = cell[field]
            if field == EMIT_SUM:
                value = cell[CELL_SUM] + cell[CELL_LOST] if cell[CELL_COVERED] > 0 else np.nan
            elif (field == EMIT_MIN or field == EMIT_MAX) and not has_begin:
                value = np.nan
            columns[column * room + row] = value


@inner
def _split(start, end, amount, quality, edges, bucket, cells):
    """Add an interval, which begins in `bucket` (-1: before all), to its cells; the last bucket of it."""
    is_estimate = STATUS_IS_ESTIMATE[quality & 15] != 0
    if bucket >= 0:
        _count(cells, bucket * CELL_FIELDS, amount)
    bucket = max(bucket, 0)
    low = max(start, edges[0])
    before = _until(low, start, end, amount)
    while low < end and bucket < edges.size - 1:
        high = min(end, edges[bucket + 1])
        until = _until(high, start, end, amount)
        cell = bucket * CELL_FIELDS
        _add(cells, cell, until - before)
        cells[cell + CELL_COVERED] += high - low
        if is_estimate:
            cells[cell + CELL_ESTIMATED] += high - low
        low, before = high, until
        bucket += 1
    return bucket - 1


@inner
def _until(at, start, end, amount):
    """The part of an interval's amount that lies before an instant."""
    if at == end:
        return amount
    if at == start:
        return 0.0
    return amount * (np.float64(at - start) / np.float64(end - start))


@inner
def _bucket(edges, instant, guess):
    """The last edge that is not behind an instant, -1 where all are; mostly that of `guess`, or the next."""
    for bucket in range(max(guess, 0), min(guess + 2, edges.size - 1)):
        if edges[bucket] <= instant < edges[bucket + 1]:
            return bucket
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
