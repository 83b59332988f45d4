"""Decimal text to float64, correctly rounded.

Grammar: [sign] digits [decimal digits] [e [sign] digits], where the digits before the decimal mark
may stand in groups of three with a thousands separator; and inf, infinity with a sign. Empty text
and the words of `_is_missing` are missing values.

A number of at most 18 digits m * 10**e is exact in one step where m <= 2**53 and |e| <= 22 (W. D.
Clinger, How to Read Floating Point Numbers Accurately, 1990); otherwise csv_decimals rounds it. A
number of more digits has the status SLOW_NUMBER: the caller reads it in another way.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int32Array, UInt8Array, UInt64Array
from ..compiler.jit import inner, kernel
from .decimals import INFINITY_BITS, double_bits
from .status import EMPTY_VALUE, NUMBER_OUT_OF_RANGE, OK, SLOW_NUMBER, UNREADABLE_NUMBER


class NumberFormat(NamedTuple):
    """The marks of numbers, each a byte."""

    decimal: int
    thousands: int  # 0: none; a blank stands for every kind of blank, an apostrophe for both


_EXACT_POWERS = np.array([float(f"1e{k}") for k in range(23)])
_EXACT_MAX = 1 << 53
_DIGITS_MAX = 18
_PLAIN_SIZE_MAX = 15  # so many digits are less than 2**53
_EXPONENT_MAX = 100_000


@inner
def _separator_size(buffer, i, stop, thousands):
    """Bytes of the thousands separator at i: 0 where there is none."""
    if thousands == 0:
        return 0
    byte = buffer[i]
    if byte == thousands:
        return 1
    if thousands == 32:
        if byte == 0xA0:
            return 1
        if byte == 0xC2 and i + 1 < stop and buffer[i + 1] == 0xA0:
            return 2
        if byte == 0xE2 and i + 2 < stop and buffer[i + 1] == 0x80:
            if buffer[i + 2] == 0xAF or buffer[i + 2] == 0x89:
                return 3
    if thousands == 39:
        if byte == 0x92:
            return 1
        if byte == 0xE2 and i + 2 < stop and buffer[i + 1] == 0x80 and buffer[i + 2] == 0x99:
            return 3
    return 0


@inner
def _word(buffer, start, stop):
    """Up to eight bytes in lower case as one number; -1 where there are more."""
    if stop - start > 7:
        return -1
    word = 0
    for i in range(start, stop):
        byte = np.int64(buffer[i])
        if 65 <= byte <= 90:
            byte += 32
        word = word * 256 + byte
    return word


_NAN = int.from_bytes(b"nan", "big")
_NA = int.from_bytes(b"na", "big")
_N_A = int.from_bytes(b"n/a", "big")
_HASH_N_A = int.from_bytes(b"#n/a", "big")
_NULL = int.from_bytes(b"null", "big")
_NONE = int.from_bytes(b"none", "big")
_DASH = int.from_bytes(b"-", "big")
_INF = int.from_bytes(b"inf", "big")
_INFINITY = int.from_bytes(b"nfinity", "big")


@inner
def _is_missing(word):
    return (
        word == _NAN
        or word == _NA
        or word == _N_A
        or word == _HASH_N_A
        or word == _NULL
        or word == _NONE
        or word == _DASH
    )


@inner
def _parse_word(buffer, start, stop):
    """Status and value of text that is no digits."""
    if _is_missing(_word(buffer, start, stop)):
        return EMPTY_VALUE, 0.0
    negative = buffer[start] == 45
    if negative or buffer[start] == 43:
        start += 1
    is_long = stop - start == 8 and (buffer[start] == 73 or buffer[start] == 105)
    if is_long and _word(buffer, start + 1, stop) == _INFINITY:
        return OK, -np.inf if negative else np.inf
    if stop > start and _word(buffer, start, stop) == _INF:
        return OK, -np.inf if negative else np.inf
    return UNREADABLE_NUMBER, 0.0


@inner
def _parse_power(buffer, i, stop):
    """The power of ten that may stand at i, and the position after; -1 where it is broken off."""
    if i == stop or (buffer[i] != 101 and buffer[i] != 69):
        return 0, i
    i += 1
    is_minus = i < stop and buffer[i] == 45
    if i < stop and (is_minus or buffer[i] == 43):
        i += 1
    if i == stop:
        return 0, -1
    power = 0
    while i < stop:
        digit = np.int64(buffer[i]) - 48
        if digit < 0 or digit > 9:
            return 0, -1
        power = min(power * 10 + digit, _EXPONENT_MAX)
        i += 1
    return -power if is_minus else power, i


@inner
def _parse_number(buffer, start, stop, decimal, thousands):
    """Status, value, and the mantissa and exponent of a value to be scaled; mantissa 0 for none."""
    i = start
    negative = buffer[i] == 45
    if negative or buffer[i] == 43:
        i += 1
    mantissa = 0
    digit_count = 0  # from the first that is not zero
    seen = 0
    group = -1  # digits since the last separator; -1 before the first
    exponent = 0
    # Digits before the decimal mark.
    while i < stop:
        digit = np.int64(buffer[i]) - 48
        if 0 <= digit <= 9:
            seen += 1
            if digit_count > 0 or digit > 0:
                digit_count += 1
                if digit_count <= _DIGITS_MAX:
                    mantissa = mantissa * 10 + digit
            if group >= 0:
                group += 1
            i += 1
        else:
            size = _separator_size(buffer, i, stop, thousands)
            if size == 0:
                break
            if seen == 0 or (group < 0 and seen > 3) or (group >= 0 and group != 3):
                return UNREADABLE_NUMBER, 0.0, 0, 0
            group = 0
            i += size
    if group >= 0 and group != 3:
        return UNREADABLE_NUMBER, 0.0, 0, 0
    if i < stop and buffer[i] == decimal:
        i += 1
        while i < stop:
            digit = np.int64(buffer[i]) - 48
            if digit < 0 or digit > 9:
                break
            seen += 1
            exponent -= 1
            if digit_count > 0 or digit > 0:
                digit_count += 1
                if digit_count <= _DIGITS_MAX:
                    mantissa = mantissa * 10 + digit
            i += 1
    if seen == 0:
        status, value = _parse_word(buffer, start, stop)
        return status, value, 0, 0
    power, i = _parse_power(buffer, i, stop)
    exponent += power
    if i != stop:
        return UNREADABLE_NUMBER, 0.0, 0, 0
    if digit_count > _DIGITS_MAX:
        return SLOW_NUMBER, 0.0, 0, 0
    if mantissa > _EXACT_MAX or exponent < -22 or exponent > 22:
        return OK, -0.0 if negative else 0.0, mantissa, exponent
    value = np.float64(mantissa)
    if exponent < 0:
        value /= _EXACT_POWERS[-exponent]
    else:
        value *= _EXACT_POWERS[exponent]
    return OK, -value if negative else value, 0, 0


@inner
def _plain_mantissa(buffer, start, stop, decimal):
    """The digits of a short number without sign, group and power, and how many follow the mark.

    -1 where it is no such number: _parse_number finds out what it is.
    """
    mantissa = np.int64(0)
    behind = np.int64(0)
    mark = stop
    for i in range(start, stop):
        digit = np.int64(buffer[i]) - 48
        if 0 <= digit <= 9:
            mantissa = mantissa * 10 + digit
        elif buffer[i] == decimal and mark == stop and stop - start > 1:
            mark = i
            behind = stop - i - 1
        else:
            return np.int64(-1), behind
    return mantissa, behind


@kernel
def parse_numbers(
    buffer: UInt8Array,
    spans: Int32Array,
    count: int,
    marks: NumberFormat,
    powers: UInt64Array,
    values: Float64Array,
    bits: UInt64Array,
    statuses: UInt8Array,
) -> int:
    """Fill `values` and `statuses` of `count` spans; return how many are not OK.

    `bits` is the memory of `values` as words; `powers` are the words of csv_decimals.
    """
    decimal, thousands = marks.decimal, marks.thousands
    failed = 0
    for k in range(count):
        if statuses[k] != OK:
            failed += 1
            continue
        start = np.int64(spans[2 * k])
        stop = np.int64(spans[2 * k + 1])
        if start < 0 or stop > buffer.size or start >= stop:
            statuses[k] = EMPTY_VALUE if start == stop else UNREADABLE_NUMBER
            failed += 1
            continue
        if stop - start <= _PLAIN_SIZE_MAX:
            mantissa, behind = _plain_mantissa(buffer, start, stop, decimal)
            if mantissa >= 0:
                values[k] = np.float64(mantissa) / _EXACT_POWERS[behind]
                continue
        status, value, mantissa, exponent = _parse_number(buffer, start, stop, decimal, thousands)
        values[k] = value
        if mantissa > 0:
            word = double_bits(np.uint64(mantissa), exponent, powers)
            bits[k] |= word  # besides the sign
            if word == INFINITY_BITS:
                status = NUMBER_OUT_OF_RANGE
        if status != OK:
            statuses[k] = status
            failed += 1
    return failed
