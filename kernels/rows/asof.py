"""Which row of one series is nearest in time to each row of another.

Left rows of slot k stand at bounds[k] to bounds[k + 1], and are matched with the right rows firsts[k] to
ends[k], if any. Times of both are sorted within a slot; they may repeat.
"""

import numpy as np

from ..arrays import Int64Array
from ..compiler.jit import inner, kernel
from ..numbers.search import are_bounds
from ..status import MALFORMED

BACKWARD = 0  # the last right row at or before the left one
FORWARD = 1  # the first one at or after it
NEAREST = 2  # the nearer of both; the one before where they are as near

NO_MATCH = -1


@kernel
def match_asof(
    bounds: Int64Array,
    times: Int64Array,
    firsts: Int64Array,
    ends: Int64Array,
    right_times: Int64Array,
    tolerance: int,
    direction: int,
    matches: Int64Array,
) -> int:
    """Fill `matches` with each left row's right row no farther off than `tolerance`, or NO_MATCH.

    Returns the count of left rows, or MALFORMED where the columns do not fit each other.
    """
    slot_count = bounds.size - 1
    if not are_bounds(bounds, times.size) or firsts.size != slot_count or ends.size != slot_count:
        return MALFORMED
    if matches.size < times.size or not BACKWARD <= direction <= NEAREST or tolerance < 0:
        return MALFORMED
    for k in range(slot_count):
        if not 0 <= firsts[k] <= ends[k] <= right_times.size:
            return MALFORMED
    for k in range(slot_count):
        behind = firsts[k]  # the first right row that is later
        at = firsts[k]  # the first right row that is not earlier
        for i in range(bounds[k], bounds[k + 1]):
            while behind < ends[k] and right_times[behind] <= times[i]:
                behind += 1
            while at < ends[k] and right_times[at] < times[i]:
                at += 1
            before = behind - 1 if behind > firsts[k] else NO_MATCH
            after = at if at < ends[k] else NO_MATCH
            found = _chosen(times[i], right_times, before, after, direction)
            if found != NO_MATCH and _distance(times[i], right_times[found]) > np.uint64(tolerance):
                found = NO_MATCH
            matches[i] = found
    return bounds[slot_count] - bounds[0]


@inner
def _chosen(time, right_times, before, after, direction):
    if direction == BACKWARD or (direction == NEAREST and after == NO_MATCH):
        return before
    if direction == FORWARD or before == NO_MATCH:
        return after
    return after if _distance(time, right_times[after]) < _distance(time, right_times[before]) else before


@inner
def _distance(one, other):
    low, high = min(one, other), max(one, other)
    return np.uint64(high) - np.uint64(low)
