"""Levels of series with gaps: the instants at which one is wanted, and the level there.

The rows of series s stand at bounds[s] to bounds[s + 1], their times increase. A place is an instant, a slot
and `row << METHOD_BITS | method`: one of method NONE is the row as it is, all others lie between that row and
the next one of its series. A gap longer than 1.5 steps, `step` being how far rows mostly are apart, has its
places where kernels/gaps/cut.py cuts it.
"""

import numpy as np

from ..arrays import Float64Array, Int32Array, Int64Array, UInt8Array
from ..compiler.jit import inner, kernel
from ..numbers.search import are_bounds
from ..quality import ESTIMATED, MISSING, worse_of
from ..status import MALFORMED
from .cut import (
    CONSTANT,
    NEXT,
    NONE,
    PIECES_MAX,
    PREVIOUS,
    PROFILE,
    TOO_MANY,
    is_gap,
    length_of,
    method_of,
    piece_count,
    piece_start,
)
from .profiles import WEEK_HOURS, hour_of_week, is_zone, offset_at

ALIGN = 9  # a grid's place between two rows that have no gap between them

METHOD_BITS = 4
_METHOD_MASK = (1 << METHOD_BITS) - 1
_LANES = 8


@kernel
def cut_levels(
    bounds: Int64Array,
    times: Int64Array,
    steps: Int64Array,
    rules: Int64Array,
    places: Int64Array,
    instants: Int64Array,
    slots: Int32Array,
) -> int:
    """Fill places with all rows and, a step apart, those in gaps; returns their count, or MALFORMED.

    Where they do not fit, call again with room for the count; above 2^31 it is TOO_MANY. `rules` are pairs of
    a method and the longest gap it is for; the first that fits is taken.
    """
    if not are_bounds(bounds, times.size) or steps.size < bounds.size - 1 or rules.size % 2:
        return MALFORMED
    columns = (places, instants, slots)
    count = 0
    for s in range(bounds.size - 1):
        first, end = bounds[s], bounds[s + 1]
        while first < end:
            row = first + _rows_before_gap(times[first:end], steps[s]) - 1
            count = _put_rows(columns, count, times, first, row + 1, s)
            first = row + 1
            if first < end:
                count = _put_gap(columns, count, times, row, s, steps[s], rules)
                if count < 0:
                    return TOO_MANY
    return count


@inner
def _rows_before_gap(times, step):
    """How many rows come before the first gap; all where there is none."""
    at = 0
    if step > 0:
        most = np.uint64(step) + np.uint64(step // 2)
        while at + _LANES < times.size and not _may_have_gap(times[at : at + _LANES + 1], most):
            at += _LANES
    while at + 1 < times.size and not is_gap(length_of(times[at], times[at + 1]), step):
        at += 1
    return at + 1


@inner
def _may_have_gap(times, most):
    # Without a way out, which would keep LLVM from comparing several at once.
    found = False
    for k in range(_LANES):
        found |= np.uint64(times[k + 1]) - np.uint64(times[k]) > most
    return found


@kernel
def cut_grid(
    bounds: Int64Array,
    times: Int64Array,
    edges: Int64Array,
    steps: Int64Array,
    rules: Int64Array,
    places: Int64Array,
    instants: Int64Array,
    slots: Int32Array,
) -> int:
    """Fill places with those edges of a grid that lie from each series' first to last time; as cut_levels.

    An edge at a row's time is that row; one between rows 1.5 steps apart or less is ALIGN; one in a gap has
    its method, and is left out where there is none. `edges` strictly increase.
    """
    if not are_bounds(bounds, times.size) or steps.size < bounds.size - 1 or rules.size % 2:
        return MALFORMED
    columns = (places, instants, slots)
    count = 0
    for s in range(bounds.size - 1):
        row, end = bounds[s], bounds[s + 1]
        e = np.searchsorted(edges, times[row]) if row < end else edges.size
        while e < edges.size and edges[e] <= times[end - 1]:
            while row + 1 < end and times[row + 1] <= edges[e]:
                row += 1
            run = _run_size(times[row:end], edges[e:])
            if run > 0:
                count = _put_rows(columns, count, times, row, row + run, s)
                row += run - 1
                e += run
                continue
            if row + 1 >= end:
                return MALFORMED
            length = length_of(times[row], times[row + 1])
            method = method_of(rules, length) if is_gap(length, steps[s]) else ALIGN
            if method != NONE:
                count = _put(columns, count, edges[e], s, row << METHOD_BITS | method)
            e += 1
        if count > PIECES_MAX:
            return TOO_MANY
    return count


@inner
def _run_size(times, edges):
    """How many of the first times are edges, each the next one."""
    size = min(times.size, edges.size)
    at = 0
    while at + _LANES <= size and _are_same(times[at : at + _LANES], edges[at : at + _LANES]):
        at += _LANES
    while at < size and times[at] == edges[at]:
        at += 1
    return at


@inner
def _are_same(left, right):
    differs = np.int64(0)
    for k in range(_LANES):
        differs |= left[k] ^ right[k]
    return differs == 0


@inner
def _put(columns, at, time, slot, place):
    """Write place `at`, where there is room; returns the count of all places."""
    places, instants, slots = columns
    if at < min(places.size, instants.size, slots.size):
        places[at] = place
        instants[at] = time
        slots[at] = slot
    return at + 1


@inner
def _put_rows(columns, at, times, first, end, slot):
    """Write a place of every row from `first` to `end`, where there is room; returns the count of all."""
    places, instants, slots = columns
    count = end - first
    if at + count <= min(places.size, instants.size, slots.size):
        own_places, own_instants = places[at : at + count], instants[at : at + count]
        own_slots, rows = slots[at : at + count], times[first:end]
        for k in range(rows.size):
            own_places[k] = (first + k) << METHOD_BITS
            own_instants[k] = rows[k]
            own_slots[k] = slot
    return at + count


@inner
def _put_gap(columns, at, times, row, slot, step, rules):
    """Write the places in the gap after a row, where there is room; the count of all, or TOO_MANY."""
    places, instants, slots = columns
    length = length_of(times[row], times[row + 1])
    method = method_of(rules, length)
    if method == NONE:
        return at
    count = piece_count(length, step)
    if count > PIECES_MAX - at:
        return np.int64(TOO_MANY)
    if at + count - 1 <= min(places.size, instants.size, slots.size):
        for k in range(1, count):
            time = piece_start(times[row], length, count, k)
            _put(columns, at + k - 1, time, slot, row << METHOD_BITS | method)
    return at + count - 1


@kernel
def fill_levels(
    places: Int64Array,
    instants: Int64Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    constant: float,
    filled: Float64Array,
    codes: UInt8Array,
) -> int:
    """The level at each place, and its quality code; the place count, or MALFORMED.

    LINEAR, CONSERVE, ALIGN, and PROFILE for now, are on the line between two rows. An aligned level has the
    worse quality of both, all others are "estimated" by their method, or "missing" where they are NaN.
    """
    count, row_count = places.size, times.size
    if values.size != row_count or qualities.size != row_count:
        return MALFORMED
    if instants.size < count or filled.size < count or codes.size < count:
        return MALFORMED
    k = 0
    while k < count:
        row, method = places[k] >> METHOD_BITS, places[k] & _METHOD_MASK
        run = _run_of_rows(places[k:count]) if method == NONE else np.int64(1)
        if not 0 <= row <= row_count - run - (method != NONE):
            return MALFORMED
        if method == NONE:
            _copy_rows(values[row : row + run], qualities[row : row + run], filled[k:], codes[k:])
        else:
            filled[k] = _level(times, values, places[k], instants[k], constant)
            codes[k] = _code(qualities, places[k], filled[k])
        k += run
    return count


@inner
def _run_of_rows(places):
    """How many of the first places, one or more, are rows that follow each other."""
    at = 1
    while at + _LANES <= places.size:
        differs = np.int64(0)
        for k in range(_LANES):
            differs |= places[at + k] ^ (places[0] + ((at + k) << METHOD_BITS))
        if differs != 0:
            break
        at += _LANES
    return at


@inner
def _copy_rows(values, qualities, filled, codes):
    for k in range(values.size):
        filled[k] = values[k]
    for k in range(qualities.size):
        codes[k] = qualities[k]


@inner
def _level(times, values, place, time, constant):
    """The level between a row and the next."""
    row, method = place >> METHOD_BITS, place & _METHOD_MASK
    low, high = values[row], values[row + 1]
    if method == CONSTANT:
        return constant
    if method == PREVIOUS or method == NEXT:
        return low if method == PREVIOUS else high
    share = _share(times, row, time)
    return low if low == high else (1.0 - share) * low + share * high


@inner
def _code(qualities, place, level):
    row, method = place >> METHOD_BITS, place & _METHOD_MASK
    if level != level:
        return np.uint8(MISSING)
    if method == ALIGN:
        return worse_of(qualities[row], qualities[row + 1])
    return np.uint8(method << 4 | ESTIMATED)


@inner
def _share(times, row, time):
    """How far a time is on the way from a row to the next, from 0 to 1."""
    return length_of(times[row], time) / np.float64(max(length_of(times[row], times[row + 1]), 1))


@kernel
def bend_levels(
    places: Int64Array,
    instants: Int64Array,
    slots: Int32Array,
    times: Int64Array,
    profiles: Float64Array,
    zone: Int64Array,
    filled: Float64Array,
) -> int:
    """Move PROFILE places from the line to the usual week's level; the place count, or MALFORMED.

    The week's level is itself moved along a line, so that it meets both rows. Where there is no usual week,
    the line stays.
    """
    count = places.size
    if not is_zone(zone) or min(instants.size, slots.size, filled.size) < count:
        return MALFORMED
    for k in range(count):
        if places[k] & _METHOD_MASK != PROFILE:
            continue
        row, slot = places[k] >> METHOD_BITS, np.int64(slots[k])
        if not (0 <= row < times.size - 1 and 0 <= slot < profiles.size // WEEK_HOURS):
            return MALFORMED
        usual = profiles[slot * WEEK_HOURS : (slot + 1) * WEEK_HOURS]
        share = _share(times, row, instants[k])
        first, last = _usual_at(usual, zone, times[row]), _usual_at(usual, zone, times[row + 1])
        moved = filled[k] + _usual_at(usual, zone, instants[k]) - ((1.0 - share) * first + share * last)
        filled[k] = moved if moved == moved else filled[k]
    return count


@inner
def _usual_at(usual, zone, time):
    return usual[hour_of_week(time + offset_at(zone, time))]
