"""Where series have gaps, and what they are filled with.

A row covers [starts[i], ends[i]); rows of series s stand at bounds[s] to bounds[s + 1], sorted by start.
Interval amounts are such rows; an instant's row ends at the next instant (the last one's where it starts).

A gap is either of these, `step` being what a series' rows mostly are long:

    known     a row longer than 1.5 steps: its value is the amount that the pieces must sum to
    unknown   half a step or more between two rows, and whatever is covered by rows without a value

A gap of length L is cut into round(L / step) equal pieces. Lengths are elapsed time, so that a local day
of 23 or 25 hours is no gap. Every piece is PIECE_FIELDS integers; one with method 0 is a row as it was.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int64Array
from ..compiler.jit import inner, kernel
from ..numbers.search import are_bounds
from ..numbers.sorting import sort_values
from ..status import MALFORMED

# Methods have the codes that quality codes give them.
NONE = 0
CONSTANT = 1
PREVIOUS = 2
NEXT = 3
LINEAR = 4
PROFILE = 5
CONSERVE = 6

PIECE_BEFORE = 0  # the row before the gap, or the row that is cut, or the row itself; -1: none
PIECE_AFTER = 1  # the row after it, likewise
PIECE_START = 2
PIECE_END = 3
PIECE_METHOD = 4
PIECE_FIELDS = 5

TOO_MANY = -2

TIME_MIN = -(2**63)
TIME_MAX = 2**63 - 1
PIECES_MAX = 2**31


class Extent(NamedTuple):
    """Where every series should have rows, so that what is missing before and after them is a gap too."""

    start: int  # us; TIME_MIN for none
    end: int  # us; TIME_MAX for none


@inner
def length_of(start, end):
    """Elapsed time, 2^63 - 1 where it is more."""
    length = np.uint64(end) - np.uint64(start)
    return np.int64(min(length, np.uint64(TIME_MAX)))


@inner
def are_pieces(pieces, row_count):
    """Whether every piece is of rows that are there, and none runs backwards."""
    if pieces.size % PIECE_FIELDS:
        return False
    for k in range(0, pieces.size, PIECE_FIELDS):
        before, after = pieces[k + PIECE_BEFORE], pieces[k + PIECE_AFTER]
        if not -1 <= before < row_count or not -1 <= after < row_count or max(before, after) < 0:
            return False
        if pieces[k + PIECE_END] < pieces[k + PIECE_START]:
            return False
        if pieces[k + PIECE_METHOD] == NONE and before < 0:
            return False
    return True


@kernel
def usual_steps(
    bounds: Int64Array, starts: Int64Array, ends: Int64Array, scratch: Float64Array, steps: Int64Array
) -> int:
    """Each series' lower median length of rows that have one, or 0; returns the series count, or MALFORMED.

    `scratch` holds the largest series' rows.
    """
    if not are_bounds(bounds, starts.size) or ends.size != starts.size or steps.size < bounds.size - 1:
        return MALFORMED
    for s in range(bounds.size - 1):
        steps[s] = _usual_length(starts[bounds[s] : bounds[s + 1]], ends[bounds[s] : bounds[s + 1]], scratch)
        if steps[s] < 0:
            return MALFORMED
    return bounds.size - 1


@kernel
def usual_spacings(bounds: Int64Array, times: Int64Array, scratch: Float64Array, steps: Int64Array) -> int:
    """As usual_steps, of instants, each as long as the next of its series is off."""
    if not are_bounds(bounds, times.size) or steps.size < bounds.size - 1:
        return MALFORMED
    for s in range(bounds.size - 1):
        instants = times[bounds[s] : bounds[s + 1]]
        steps[s] = _usual_length(instants[: max(instants.size - 1, 0)], instants[1:], scratch)
        if steps[s] < 0:
            return MALFORMED
    return bounds.size - 1


@inner
def _usual_length(starts, ends, scratch):
    """The lower median length of rows that have one, 0 where none has, MALFORMED if scratch is too small.

    A length that most rows have is found without sorting (Boyer and Moore's vote); other lengths are
    distinguished to 2^-53.
    """
    count, step = _step_of_most(starts, ends)
    if scratch.size < count:
        return np.int64(MALFORMED)
    if step > 0 or count == 0:
        return step
    leader = np.int64(0)
    votes = 0
    for i in range(starts.size):
        if ends[i] > starts[i]:
            length = length_of(starts[i], ends[i])
            if votes == 0:
                leader = length
            votes += 1 if length == leader else -1
    same = filled = 0
    for i in range(starts.size):
        if ends[i] > starts[i]:
            length = length_of(starts[i], ends[i])
            same += length == leader
            scratch[filled] = length
            filled += 1
    if 2 * same > count:
        return leader
    sort_values(scratch[:count])
    return np.int64(min(scratch[(count - 1) // 2], 9.2e18))


@inner
def _step_of_most(starts, ends):
    """How many rows have a length, and that of the first of them if most have it, else 0.

    In a twentieth of the time that the vote takes: LLVM compares four rows at once.
    """
    first = 0
    while first < starts.size and ends[first] <= starts[first]:
        first += 1
    step = ends[first] - starts[first] if first < starts.size else np.int64(0)
    count = same = 0
    for i in range(starts.size):
        count += ends[i] > starts[i]
        same += (ends[i] > starts[i]) & (ends[i] - starts[i] == step)
    return count, step if 2 * same > count else np.int64(0)


@inner
def is_gap(length, step):
    """Whether it is more than 1.5 steps."""
    return step > 0 and length - step > step // 2


@inner
def method_of(rules, length):
    """The first rule's that takes a gap so long; NONE where there is none."""
    for r in range(rules.size // 2):
        if length <= rules[2 * r + 1]:
            return rules[2 * r]
    return NONE


@inner
def _put(pieces, at, before, after, start, end, method):
    """Write piece `at`, where there is room."""
    if (at + 1) * PIECE_FIELDS <= pieces.size:
        k = at * PIECE_FIELDS
        pieces[k + PIECE_BEFORE] = before
        pieces[k + PIECE_AFTER] = after
        pieces[k + PIECE_START] = start
        pieces[k + PIECE_END] = end
        pieces[k + PIECE_METHOD] = method
    return at + 1


@inner
def piece_count(length, step):
    """Into how many pieces a gap is cut."""
    return max(length // step + (length % step >= step - step // 2), 1)


@inner
def piece_start(start, length, count, k):
    """Where piece k of `count` begins; that of piece `count` is the gap's end."""
    return start + length // count * k + length % count * k // count


@inner
def _cut(pieces, at, before, after, start, end, step, method):
    """Write the pieces of a gap; returns the count of all pieces, or TOO_MANY."""
    length = length_of(start, end)
    count = piece_count(length, step)
    if count > PIECES_MAX - at:
        return TOO_MANY
    if (at + count) * PIECE_FIELDS <= pieces.size:
        for k in range(count):
            low, high = piece_start(start, length, count, k), piece_start(start, length, count, k + 1)
            _put(pieces, at + k, before, after, low, high, method)
    return at + count


@kernel
def cut_gaps(
    bounds: Int64Array,
    starts: Int64Array,
    ends: Int64Array,
    values: Float64Array,
    steps: Int64Array,
    rules: Int64Array,
    extent: Extent,
    pieces: Int64Array,
) -> int:
    """Fill `pieces` with all rows, gaps cut; returns the piece count, MALFORMED, or TOO_MANY above 2^31.

    Where the pieces do not fit, call again with room for the count. `rules` are pairs of a method and the
    longest gap it is for; the first that fits is taken.
    """
    if not are_bounds(bounds, starts.size) or ends.size != starts.size or values.size != starts.size:
        return MALFORMED
    if steps.size < bounds.size - 1 or rules.size % 2:
        return MALFORMED
    count = 0
    for s in range(bounds.size - 1):
        before, step, end = -1, steps[s], bounds[s + 1]
        i = bounds[s]
        while i <= end and bounds[s] < end:
            # Rows from i up to the next one with a value, `after`, have none.
            after = i
            while after < end and values[after] != values[after]:
                after += 1
            if after < end and (ends[after] < starts[after]):
                return MALFORMED
            low = ends[before] if before >= 0 else starts[i] if i < after else extent.start
            high = starts[after] if after < end else ends[after - 1] if i < after else extent.end
            if before < 0 and extent.start != TIME_MIN:
                low = min(low, extent.start)
            if after == end and extent.end != TIME_MAX:
                high = max(high, extent.end)
            method = _unknown_method(low, high, step, rules, after > i)
            if method != NONE and (before >= 0 or after < end):
                count = _cut(pieces, count, before, after if after < end else -1, low, high, step, method)
            else:
                for k in range(i, after):
                    count = _put(pieces, count, k, k, starts[k], ends[k], NONE)
            if count < 0:
                return count
            if after < end:
                length = length_of(starts[after], ends[after])
                method = method_of(rules, length) if is_gap(length, step) else NONE
                if method != NONE:
                    count = _cut(pieces, count, after, after, starts[after], ends[after], step, method)
                else:
                    count = _put(pieces, count, after, after, starts[after], ends[after], NONE)
                if count < 0:
                    return count
            before = after
            i = after + 1
    return count


@inner
def _unknown_method(low, high, step, rules, has_rows):
    """The method for the time between two rows with values; NONE where that is no gap."""
    if step <= 0 or low >= high or low == TIME_MIN or high == TIME_MAX:
        return NONE
    length = length_of(low, high)
    if length < step - step // 2 and not has_rows:
        return NONE
    return method_of(rules, length)
