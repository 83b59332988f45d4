"""Registers: which readings count, what happened between two of them, and what was counted there.

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

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int32Array, Int64Array, UInt8Array
from ..codec.blocks import ReadingColumns
from ..compiler.jit import inner, kernel
from ..numbers.differences import difference_beyond, difference_of
from ..numbers.search import are_bounds
from ..quality import SUSPECT, worse_of
from ..status import MALFORMED

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


class MeterIntervals(NamedTuple):
    """Room for the intervals of meters, one for every point."""

    slots: Int32Array  # of each interval's meter
    starts: Int64Array  # us
    ends: Int64Array  # us
    amounts: Float64Array  # NaN after a reset
    qualities: UInt8Array  # codes
    events: UInt8Array  # what happened in it


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
        count = pick_series(times, values, bounds[s], bounds[s + 1], moduli[s], points, events, count)
    return count


@inner
def pick_series(times, values, k, end, modulus, points, events, first):
    """Pick the readings k to `end` of one series; its points begin at `first`. Returns where they end."""
    count = first
    while k < end:
        if count == first:
            event = EVENT_FIRST
        else:
            event = _event(values[points[count - 1]], values[k], modulus)
        if event == EVENT_RESET:
            # Too high first: of two registers that alternate, that which stays is the true one.
            kept = _before_jump(times, values, points, first, count, k)
            back = _recovery(times, values, points[count - 1], k, end)
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
    return are_bounds(bounds, count) and bounds[0] == 0 and bounds[moduli.size] == count


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
    readings: ReadingColumns,
    moduli: Float64Array,
    multipliers: Float64Array,
    intervals: MeterIntervals,
) -> int:
    """Make an interval of every two points of one slot that follow each other; returns their count.

    `points` and `events` come from `pick_readings`; `slots` are by reading, `moduli` and `multipliers` by
    slot. MALFORMED if something does not fit.
    """
    times, values, qualities = readings.times, readings.values, readings.qualities
    size, slot_count = times.size, moduli.size
    if multipliers.size != slot_count or points.size > min(events.size, _room_of(intervals)):
        return MALFORMED
    if min(slots.size, values.size, qualities.size) < size:
        return MALFORMED
    count = 0
    exponent = 0
    for k in range(points.size):
        new = points[k]
        if not 0 <= new < size or not 0 <= slots[new] < slot_count:
            return MALFORMED
        if events[k] == EVENT_FIRST:
            continue
        if k == 0:
            return MALFORMED
        old, slot, event = points[k - 1], slots[new], events[k]
        intervals.slots[count] = slot
        intervals.starts[count], intervals.ends[count] = times[old], times[new]
        amount, exponent = amount_between(values[old], values[new], event, moduli[slot], exponent)
        intervals.amounts[count] = amount * multipliers[slot]
        intervals.qualities[count] = quality_between(qualities[old], qualities[new], event)
        intervals.events[count] = event
        count += 1
    return count


@inner
def _room_of(intervals):
    """For how many intervals all columns have room."""
    fewest = min(intervals.slots.size, intervals.starts.size, intervals.ends.size)
    return min(fewest, intervals.amounts.size, intervals.qualities.size, intervals.events.size)


@inner
def amount_between(old, new, event, modulus, exponent):
    """The amount that a register counted between readings, NaN over a reset; and the exponent to try next.

    `exponent` is one at which the readings may be decimals: see differences.py.
    """
    if event == EVENT_RESET:
        return np.nan, exponent
    if event == EVENT_ROLLOVER:
        return difference_beyond(old, new, modulus, exponent)
    return difference_of(old, new, exponent)


@inner
def quality_between(old, new, event):
    """The code of an amount between readings of two codes."""
    return SUSPECT if event >= EVENT_BACKFLOW else worse_of(old, new)
