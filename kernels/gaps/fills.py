"""The values of pieces of gaps: first by their method, then so that known amounts still add up."""

import numpy as np

from ..arrays import Float64Array, Int32Array, Int64Array, UInt8Array
from ..compiler.jit import inner, kernel
from ..quality import ESTIMATED, MISSING
from ..status import MALFORMED
from .cut import (
    CONSERVE,
    CONSTANT,
    NEXT,
    NONE,
    PIECE_AFTER,
    PIECE_BEFORE,
    PIECE_END,
    PIECE_FIELDS,
    PIECE_METHOD,
    PIECE_START,
    PREVIOUS,
    PROFILE,
    are_pieces,
    length_of,
)


@inner
def _rate(starts, ends, values, i):
    """Amount per microsecond of a row; NaN where it has none."""
    return values[i] / length_of(starts[i], ends[i]) if ends[i] > starts[i] else np.nan


@kernel
def shape_amounts(
    slots: Int32Array,
    starts: Int64Array,
    ends: Int64Array,
    values: Float64Array,
    pieces: Int64Array,
    constant: float,
    filled: Float64Array,
) -> int:
    """Give each piece its value by its method and the rows around its gap; leave PROFILE ones alone.

    CONSTANT is `constant` a piece; PREVIOUS, NEXT and LINEAR follow the rates of the row before, the row
    after, and the line between the middles of both. CONSERVE is even, and has no value of its own.
    Returns the piece count, or MALFORMED.
    """
    row_count = slots.size
    if starts.size != row_count or ends.size != row_count or values.size != row_count:
        return MALFORMED
    if not are_pieces(pieces, row_count) or filled.size < pieces.size // PIECE_FIELDS:
        return MALFORMED
    for k in range(pieces.size // PIECE_FIELDS):
        at = k * PIECE_FIELDS
        method, before, after = pieces[at + PIECE_METHOD], pieces[at + PIECE_BEFORE], pieces[at + PIECE_AFTER]
        if method == PROFILE:
            continue
        if method == NONE:
            filled[k] = values[before]
            continue
        if method == CONSTANT or method == CONSERVE:
            filled[k] = constant if method == CONSTANT else np.nan
            continue
        if before == after:  # a row that is cut: its neighbours
            slot = slots[before]
            before = before - 1 if before > 0 and slots[before - 1] == slot else -1
            after = after + 1 if after + 1 < row_count and slots[after + 1] == slot else -1
        low = _rate(starts, ends, values, before) if before >= 0 else np.nan
        high = _rate(starts, ends, values, after) if after >= 0 else np.nan
        start, length = pieces[at + PIECE_START], length_of(pieces[at + PIECE_START], pieces[at + PIECE_END])
        if method == PREVIOUS:
            filled[k] = low * length
        elif method == NEXT:
            filled[k] = high * length
        else:
            # One side alone is a level line.
            low = high if low != low else low
            high = low if high != high else high
            share = 0.5
            if before >= 0 and after >= 0:
                origin = starts[before] + length_of(starts[before], ends[before]) // 2
                target = starts[after] + length_of(starts[after], ends[after]) // 2
                share = (start - origin + 0.5 * length) / max(1.0, np.float64(target - origin))
            filled[k] = (low + min(max(share, 0.0), 1.0) * (high - low)) * length
    return pieces.size // PIECE_FIELDS


@kernel
def settle_amounts(values: Float64Array, pieces: Int64Array, filled: Float64Array) -> int:
    """Make the pieces of every cut row sum to its value; returns the piece count, or MALFORMED.

    They are scaled where none of them, nor the value, is negative, and they are not all zero; otherwise the
    value is spread evenly. The largest piece gets what rounding leaves.
    """
    if not are_pieces(pieces, values.size) or filled.size < pieces.size // PIECE_FIELDS:
        return MALFORMED
    count = pieces.size // PIECE_FIELDS
    k = 0
    while k < count:
        at = k * PIECE_FIELDS
        row = pieces[at + PIECE_BEFORE]
        end = k + 1
        if pieces[at + PIECE_METHOD] != NONE and row == pieces[at + PIECE_AFTER]:
            while end < count and _is_of_row(pieces, end, row):
                end += 1
            _settle(values[row], pieces[at : end * PIECE_FIELDS], filled[k:end])
        k = end
    return count


@inner
def _is_of_row(pieces, k, row):
    at = k * PIECE_FIELDS
    if pieces[at + PIECE_METHOD] == NONE:
        return False
    return pieces[at + PIECE_BEFORE] == row and pieces[at + PIECE_AFTER] == row


@inner
def _settle(whole, pieces, filled):
    """Make `filled` sum to `whole`."""
    total = 0.0
    is_shape = whole >= 0.0
    for k in range(filled.size):
        is_shape = is_shape and 0.0 <= filled[k] < np.inf
        total += filled[k]
    is_shape = is_shape and 0.0 < total < np.inf
    length = 0.0
    for k in range(0, pieces.size, PIECE_FIELDS):
        length += length_of(pieces[k + PIECE_START], pieces[k + PIECE_END])
    largest = 0
    for k in range(filled.size):
        at = k * PIECE_FIELDS
        piece_length = length_of(pieces[at + PIECE_START], pieces[at + PIECE_END])
        share = filled[k] / total if is_shape else piece_length / max(length, 1.0)
        filled[k] = whole * share
        if abs(filled[k]) > abs(filled[largest]):
            largest = k
    rest = whole
    for k in range(filled.size):
        rest -= filled[k]
    if np.isfinite(rest):
        filled[largest] += rest


@kernel
def rows_of_pieces(
    pieces: Int64Array,
    slots: Int32Array,
    values: Float64Array,
    qualities: UInt8Array,
    filled: Float64Array,
    instants: Int64Array,
    piece_slots: Int32Array,
    piece_qualities: UInt8Array,
) -> int:
    """Make a row of every piece: its start and its end (`instants`, all starts first), slot and quality.

    A piece that is a row as it was gets that row's value and quality, all others are "estimated" by their
    method, or "missing" where `filled` is NaN.
    Returns the piece count, or MALFORMED.
    """
    count, row_count = pieces.size // PIECE_FIELDS, slots.size
    if values.size != row_count or qualities.size != row_count or not are_pieces(pieces, row_count):
        return MALFORMED
    room = min(filled.size, instants.size // 2, piece_slots.size, piece_qualities.size)
    if room < count:
        return MALFORMED
    for k in range(count):
        at = k * PIECE_FIELDS
        method = pieces[at + PIECE_METHOD]
        row = max(pieces[at + PIECE_BEFORE], pieces[at + PIECE_AFTER])
        instants[k] = pieces[at + PIECE_START]
        instants[count + k] = pieces[at + PIECE_END]
        piece_slots[k] = slots[row]
        if method == NONE:
            filled[k] = values[row]
            piece_qualities[k] = qualities[row]
        elif np.isnan(filled[k]):
            piece_qualities[k] = MISSING
        else:
            piece_qualities[k] = method << 4 | ESTIMATED
    return count
