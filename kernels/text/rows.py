"""Rows and fields of delimited text.

`find_ends` lists the separators (delimiters and newlines) that stand outside quotes. `split_rows`
turns them into spans: pairs (start, stop) of byte positions, blanks and outer quotes cut off.

A quote opens a quoted field only where a field starts. A quoted field may hold delimiters,
newlines and doubled quotes; one that is not closed within QUOTED_SIZE_MAX bytes is taken for text,
so that a stray quote costs its own line and not the rest of the file.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Int32Array, Int64Array, UInt8Array
from ..compiler.jit import inner, kernel
from ..numbers.bits import load_word
from .status import EMPTY_ROW, MALFORMED_QUOTES, OK, TOO_FEW_FIELDS, TOO_MANY_FIELDS

QUOTED_SIZE_MAX = 65536


class RowFormat(NamedTuple):
    """How rows are separated, and how many the spans have room for."""

    newline: int  # a byte
    quote: int  # a byte
    capacity: int  # rows


_BLANK = 32
_TAB = 9
_RETURN = 13

_ONES = np.uint64(0x0101010101010101)
_LOWS = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGHS = np.uint64(0x8080808080808080)


@inner
def _close_quote(buffer, start, stop, quote):
    """Position after the quote that closes the field opened at `start`, or -1."""
    i = start + 1
    while i < stop:
        if buffer[i] == quote:
            if i + 1 < stop and buffer[i + 1] == quote:
                i += 1
            else:
                return i + 1
        i += 1
    return -1


@inner
def _zero_bytes(word):
    """The high bit of each byte that is 0."""
    return ~(((word & _LOWS) + _LOWS) | word) & _HIGHS


@inner
def _lowest_byte(mask):
    """The position of the lowest byte whose high bit is set, counted from 0."""
    below = ((mask & (~mask + np.uint64(1))) >> np.uint64(7)) - np.uint64(1)
    return np.int64(((below & _ONES) * _ONES) >> np.uint64(56))


@kernel
def find_ends(
    buffer: UInt8Array,
    size: int,
    delimiter: int,
    newline: int,
    quote: int,
    is_last: bool,
    ends: Int32Array,
) -> int:
    """Fill `ends` with the separators outside quotes in buffer[:size]; return their count.

    `ends` has room for size + 1. A quoted field that is not closed in buffer[:size] ends the search
    unless `is_last`: it will be read again, together with more bytes.
    Eight bytes are tested at once; byte by byte it took 37 ns a row of 38 bytes, and takes 10 so.
    """
    delimiters = np.uint64(delimiter) * _ONES
    newlines = np.uint64(newline) * _ONES
    quotes = np.uint64(quote) * _ONES
    end_count = 0
    i = 0
    while i < size:
        while i + 8 <= size:
            word = load_word(buffer, np.uint64(i))
            if _zero_bytes(word ^ quotes) != np.uint64(0):
                break
            mask = _zero_bytes(word ^ delimiters) | _zero_bytes(word ^ newlines)
            while mask != np.uint64(0):
                ends[end_count] = i + _lowest_byte(mask)
                end_count += 1
                mask &= mask - np.uint64(1)
            i += 8
        # The last bytes, or those around a quote.
        stop = min(size, i + 8)
        while i < stop:
            byte = buffer[i]
            if byte == delimiter or byte == newline:
                ends[end_count] = i
                end_count += 1
            elif byte == quote and (i == 0 or (end_count > 0 and ends[end_count - 1] == i - 1)):
                limit = min(size, i + QUOTED_SIZE_MAX)
                closed = _close_quote(buffer, i, limit, quote)
                if closed >= 0:
                    i = closed
                    continue
                if not is_last and limit == size:
                    return end_count
            i += 1
    return end_count


@kernel
def count_byte(buffer: UInt8Array, byte: int) -> int:
    """Return how many bytes of `buffer` are `byte`."""
    count = 0
    for i in range(buffer.size):
        count += buffer[i] == byte
    return count


@kernel
def whole_rows(buffer: UInt8Array, newline: int, end_count: int, ends: Int32Array) -> int:
    """Return how many of `ends` belong to whole rows."""
    while end_count > 0 and buffer[ends[end_count - 1]] != newline:
        end_count -= 1
    return end_count


@inner
def _unquote(buffer, start, stop, quote):
    """Status and span of a field that starts with a quote.

    A field with doubled quotes inside keeps its outer quotes: a first byte that is a quote tells the
    decoder to undouble it.
    """
    if stop - start < 2 or buffer[stop - 1] != quote:
        return MALFORMED_QUOTES, start, stop
    i = start + 1
    doubled = False
    while i < stop - 1:
        if buffer[i] == quote:
            if i + 1 >= stop - 1 or buffer[i + 1] != quote:
                return MALFORMED_QUOTES, start, stop
            doubled = True
            i += 1
        i += 1
    if doubled:
        return OK, start, stop
    return OK, start + 1, stop - 1


@inner
def _trim(buffer, start, stop):
    """The span without the blanks, tabs and carriage returns around it."""
    if start < stop and buffer[start] > _BLANK and buffer[stop - 1] > _BLANK:
        return start, stop
    while start < stop and (buffer[start] == _BLANK or buffer[start] == _TAB):
        start += 1
    while start < stop and (
        buffer[stop - 1] == _BLANK or buffer[stop - 1] == _TAB or buffer[stop - 1] == _RETURN
    ):
        stop -= 1
    return start, stop


@inner
def _field(buffer, start, stop, quote):
    """Status and span of a field: EMPTY_ROW where nothing stands in it."""
    start, stop = _trim(buffer, start, stop)
    if start == stop:
        return EMPTY_ROW, start, stop
    if buffer[start] == quote:
        return _unquote(buffer, start, stop, quote)
    return OK, start, stop


@kernel
def split_rows(
    buffer: UInt8Array,
    ends: Int32Array,
    end_count: int,
    slots: Int32Array,
    rows: RowFormat,
    next_end: Int64Array,
    spans: Int32Array,
    statuses: UInt8Array,
) -> int:
    """Fill spans and statuses of up to rows.capacity rows, from ends[next_end[0]] on.

    `slots` has one number a column of the file: where its spans go, or -1 for a column that is not
    read. The spans of slot s lie at spans[2 * capacity * s :]; slot 0 holds the whole rows.
    Blank lines are passed over. Returns the row count, and leaves in next_end[0] where to go on.
    """
    newline, quote, capacity = rows.newline, rows.quote, rows.capacity
    row_count = 0
    k = next_end[0]
    while k < end_count and row_count < capacity:
        row_start = ends[k - 1] + 1 if k > 0 else 0
        start = row_start
        status = OK
        column = 0
        is_empty = True
        while True:
            end = ends[k]
            k += 1
            next_start = end + 1
            is_end = buffer[end] == newline
            field_status, first, last = _field(buffer, start, end, quote)
            if column >= slots.size:
                if field_status != EMPTY_ROW:
                    status = TOO_MANY_FIELDS
            elif slots[column] >= 0:
                if field_status != EMPTY_ROW:
                    is_empty = False
                    if field_status != OK:
                        status = field_status
                place = 2 * (slots[column] * capacity + row_count)
                spans[place] = first
                spans[place + 1] = last
            column += 1
            start = next_start
            if is_end:
                break
        if column == 1:
            first, last = _trim(buffer, row_start, start - 1)
            if first == last:
                continue
        if column < slots.size and status == OK:
            status = TOO_FEW_FIELDS
        elif is_empty and status == OK:
            status = EMPTY_ROW
        if status != OK:
            # A row that is not taken has empty spans: readers of the columns see nothing of it.
            for column in range(slots.size):
                place = 2 * (slots[column] * capacity + row_count)
                if slots[column] >= 0:
                    spans[place] = row_start
                    spans[place + 1] = row_start
        spans[2 * row_count] = row_start
        spans[2 * row_count + 1] = start - 1
        statuses[row_count] = status
        row_count += 1
    next_end[0] = k
    return row_count
