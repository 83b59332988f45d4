"""Dates and times of day in text to int64 microseconds.

Grammar, its parts named by a TimeSpec: DATE, or DATE GAP CLOCK, or the two in columns of their own, or
a count of seconds, milliseconds or microseconds since 1970-01-01.

DATE is year, month and day in a declared order around a separator (or none: then all digits stand).
CLOCK is hour, minute and perhaps second around a separator, perhaps a fraction, AM or PM, and an
offset: Z, UTC, +hh, +hhmm or +hh:mm. 24:00 is the midnight that ends the day.

A time with an offset is an instant; one without stays local, and is for the caller to resolve.
Days are counted as in H. Hinnant, chrono-compatible low-level date algorithms, days_from_civil.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Int32Array, Int64Array, UInt8Array
from ..compiler.jit import inner, kernel
from ..numbers.bits import load_word
from .status import EMPTY_TIME, IMPOSSIBLE_TIME, OK, TIME_OUT_OF_RANGE, TIME_TOO_FINE, UNREADABLE_TIME

YEAR_FIRST = 0
DAY_FIRST = 1
MONTH_FIRST = 2

NO_CLOCK = -1


class TimeSpec(NamedTuple):
    """How times are written."""

    order: int  # YEAR_FIRST, DAY_FIRST or MONTH_FIRST
    date_separator: int  # a byte, or 0 for none
    gap: int  # a byte, NO_CLOCK where the text ends after the date; T stands for a blank too
    clock_separator: int  # a byte, or 0 for none
    twelve_hours: bool  # whether AM or PM must follow
    epoch_unit: int  # us of a unit; 0 for dates
    year_digits: int  # 4, or 2 for years from 1970 to 2069
    date_shape: int  # the first eight bytes, see `picture`; 0 where texts have no fixed shape
    date_bias: int
    clock_shape: int  # the next eight bytes
    clock_bias: int
    last_date: (
        Int64Array  # LAST_DATE_SIZE words that the kernel keeps, -1 at first: zeros are a date's digits
    )


# The two words of the date that was read last, and the days since 1970 that they mean.
LAST_DATE_SIZE = 3

_NO_DAY = -(1 << 62)
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_EPOCH_MAX = 253_402_300_800 * _SECOND  # the end of the year 9999
_HIGHS = np.uint64(0x8080808080808080)
_ALL_BUT_GAP = np.uint64(0xFFFFFFFFFF00FFFF)
_MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def picture(shape: bytes) -> tuple[int, int]:
    """Two words that test eight bytes against `shape` at once; a 0 in it stands for any digit.

    A text XOR the first word has digits' values where digits belong, and 0 elsewhere. With the
    second word added, a byte that is more than 9 or 0 gets its high bit.
    """
    bias = bytes(0x76 if byte == 48 else 0x7F for byte in shape)
    return int.from_bytes(shape, "little"), int.from_bytes(bias, "little")


@inner
def _digit(buffer, i, stop):
    """The digit at i, or -1."""
    if i >= stop:
        return -1
    digit = np.int64(buffer[i]) - 48
    if digit < 0 or digit > 9:
        return -1
    return digit


@inner
def _two(buffer, i, stop, exact):
    """One or two digits (two if `exact`): value and position after; the value is -1 for none."""
    first = _digit(buffer, i, stop)
    if first < 0:
        return -1, i
    second = _digit(buffer, i + 1, stop)
    if second < 0:
        if exact:
            return -1, i
        return first, i + 1
    return first * 10 + second, i + 2


@inner
def _year(buffer, i, stop, digits):
    """A year of 4 digits, or of 2: value and position after; the value is -1 for none."""
    high, i = _two(buffer, i, stop, True)
    if high < 0:
        return -1, i
    if digits == 2:
        return high + (1900 if high >= 70 else 2000), i
    low, i = _two(buffer, i, stop, True)
    if low < 0:
        return -1, i
    return high * 100 + low, i


@inner
def _skip(buffer, i, stop, separator):
    """Position after the separator at i; -1 where it does not stand there."""
    if separator == 0:
        return i
    if i < stop and buffer[i] == separator:
        return i + 1
    return -1


@inner
def days_from_civil(year, month, day):
    """Days since 1970-01-01 of a date in the Gregorian calendar."""
    if month <= 2:
        year -= 1
        month += 12
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month - 3) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468


@inner
def _is_date(year, month, day):
    if year < 1 or month < 1 or month > 12 or day < 1:
        return False
    if day <= _MONTH_DAYS[month - 1]:
        return True
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return month == 2 and day == 29 and is_leap


@inner
def _parse_date(buffer, i, stop, spec):
    """Status, days since 1970, and position after."""
    separator = spec.date_separator
    order = spec.order
    exact = separator == 0
    if order == YEAR_FIRST:
        year, i = _year(buffer, i, stop, spec.year_digits)
        i = _skip(buffer, i, stop, separator)
        if year < 0 or i < 0:
            return UNREADABLE_TIME, 0, 0
        month, i = _two(buffer, i, stop, exact)
        i = _skip(buffer, i, stop, separator)
        if month < 0 or i < 0:
            return UNREADABLE_TIME, 0, 0
        day, i = _two(buffer, i, stop, exact)
    else:
        day, i = _two(buffer, i, stop, exact)
        i = _skip(buffer, i, stop, separator)
        if day < 0 or i < 0:
            return UNREADABLE_TIME, 0, 0
        month, i = _two(buffer, i, stop, exact)
        i = _skip(buffer, i, stop, separator)
        if month < 0 or i < 0:
            return UNREADABLE_TIME, 0, 0
        year, i = _year(buffer, i, stop, spec.year_digits)
        if order == MONTH_FIRST:
            day, month = month, day
    if year < 0 or day < 0:
        return UNREADABLE_TIME, 0, 0
    if not _is_date(year, month, day):
        return IMPOSSIBLE_TIME, 0, 0
    return OK, days_from_civil(year, month, day), i


@inner
def _parse_fraction(buffer, i, stop):
    """Status, microseconds, and position after the digits of a fraction of a second."""
    value = 0
    unit = 100_000
    first = i
    while True:
        digit = _digit(buffer, i, stop)
        if digit < 0:
            break
        if unit == 0 and digit > 0:
            return TIME_TOO_FINE, 0, 0
        value += digit * unit
        unit //= 10
        i += 1
    if i == first:
        return UNREADABLE_TIME, 0, 0
    return OK, value, i


@inner
def _parse_half(buffer, i, stop, hour):
    """Hour of the day and position after AM or PM; the hour is -1 for neither."""
    if i < stop and buffer[i] == 32:
        i += 1
    if i + 1 >= stop or hour < 1 or hour > 12:
        return -1, i
    letter = buffer[i] | 32
    if (buffer[i + 1] | 32) != 109 or (letter != 97 and letter != 112):
        return -1, i
    return hour % 12 + (12 if letter == 112 else 0), i + 2


@inner
def _parse_offset(buffer, i, stop):
    """Status, microseconds east of UTC, and position after."""
    letter = buffer[i] | 32
    if letter == 122:
        return OK, 0, i + 1
    if letter == 117:
        is_utc = i + 2 < stop and (buffer[i + 1] | 32) == 116 and (buffer[i + 2] | 32) == 99
        return OK if is_utc else UNREADABLE_TIME, 0, i + 3
    sign = buffer[i]
    if sign != 43 and sign != 45:
        return UNREADABLE_TIME, 0, 0
    hours, i = _two(buffer, i + 1, stop, True)
    minutes = 0
    if i < stop:
        if buffer[i] == 58:
            i += 1
        minutes, i = _two(buffer, i, stop, True)
    if hours < 0 or minutes < 0:
        return UNREADABLE_TIME, 0, 0
    if hours > 15 or minutes > 59:
        return IMPOSSIBLE_TIME, 0, 0
    offset = (hours * 60 + minutes) * 60 * _SECOND
    return OK, -offset if sign == 45 else offset, i


@inner
def _parse_clock(buffer, i, stop, spec):
    """Status, microseconds since midnight, microseconds east of UTC, and 1 if an offset stood."""
    separator = spec.clock_separator
    exact = separator == 0
    second = 0
    hour, i = _two(buffer, i, stop, exact)
    i = _skip(buffer, i, stop, separator)
    if hour < 0 or i < 0:
        return UNREADABLE_TIME, 0, 0, 0
    minute, i = _two(buffer, i, stop, True)
    if minute < 0:
        return UNREADABLE_TIME, 0, 0, 0
    has_second = i < stop and (_digit(buffer, i, stop) >= 0 if exact else buffer[i] == separator)
    if has_second:
        second, i = _two(buffer, i if exact else i + 1, stop, True)
        if second < 0:
            return UNREADABLE_TIME, 0, 0, 0
    return _finish_clock(buffer, i, stop, hour, minute, second, spec.twelve_hours)


@inner
def _finish_clock(buffer, i, stop, hour, minute, second, twelve_hours):
    """As _parse_clock, for what stands after the seconds."""
    fraction = 0
    if i < stop and (buffer[i] == 46 or buffer[i] == 44):
        status, fraction, i = _parse_fraction(buffer, i + 1, stop)
        if status != OK:
            return status, 0, 0, 0
    if twelve_hours:
        hour, i = _parse_half(buffer, i, stop, hour)
        if hour < 0:
            return UNREADABLE_TIME, 0, 0, 0
    clock = ((hour * 60 + minute) * 60 + second) * _SECOND + fraction
    if minute > 59 or second > 59 or clock > _DAY:
        return IMPOSSIBLE_TIME, 0, 0, 0
    if i == stop:
        return OK, clock, 0, 0
    if buffer[i] == 32 and i + 1 < stop:
        i += 1
    status, offset, i = _parse_offset(buffer, i, stop)
    if status != OK or i != stop:
        return status if status != OK else UNREADABLE_TIME, 0, 0, 0
    return OK, clock, offset, 1


@inner
def _digits(word, k):
    """The two digits at bytes k and k + 1 of a word that holds their values."""
    pair = word >> np.uint64(8 * k)
    return np.int64((pair & np.uint64(15)) * np.uint64(10) + ((pair >> np.uint64(8)) & np.uint64(15)))


@inner
def _fits(word, bias):
    """Whether digits are digits and separators stand where they should; see `picture`."""
    return ((word + bias) | word) & _HIGHS == np.uint64(0)


@inner
def _days_of(date, rest, spec):
    """Days since 1970 of a date given as digits' values, or _NO_DAY; the last one is remembered."""
    rest &= np.uint64(0xFFFF)
    last = spec.last_date
    if np.int64(date) == last[0] and np.int64(rest) == last[1]:
        return last[2]
    if spec.order == YEAR_FIRST:
        year = _digits(date, 0) * 100 + _digits(date, 2)
        month = _digits(date, 5)
        day = _digits(rest, 0)
    else:
        year = _digits(date, 6) * 100 + _digits(rest, 0)
        month = _digits(date, 3)
        day = _digits(date, 0)
        if spec.order == MONTH_FIRST:
            day, month = month, day
    if not _is_date(year, month, day):
        return _NO_DAY
    last[0], last[1] = np.int64(date), np.int64(rest)
    last[2] = days_from_civil(year, month, day)
    return last[2]


@inner
def _parse_full(buffer, start, stop, spec):
    """As _parse_time, for dates and clocks that have all their digits; OK or UNREADABLE_TIME."""
    gap = buffer[start + 10]
    if gap != spec.gap and not (spec.gap == 84 and (gap == 32 or gap == 116)):
        return UNREADABLE_TIME, 0, 0
    date = load_word(buffer, np.uint64(start)) ^ np.uint64(spec.date_shape)
    rest = load_word(buffer, np.uint64(start + 8)) ^ np.uint64(spec.clock_shape)
    rest &= _ALL_BUT_GAP
    if not _fits(date, np.uint64(spec.date_bias)) or not _fits(rest, np.uint64(spec.clock_bias)):
        return UNREADABLE_TIME, 0, 0
    days = _days_of(date, rest, spec)
    second = 0
    i = start + 16
    if i + 2 < stop and buffer[i] == spec.clock_separator:
        second, i = _two(buffer, i + 1, stop, True)
    if second < 0 or days == _NO_DAY:
        return UNREADABLE_TIME, 0, 0
    status, clock, offset, is_instant = _finish_clock(
        buffer, i, stop, _digits(rest, 3), _digits(rest, 6), second, False
    )
    return status, days * _DAY + clock - offset, is_instant


@inner
def _parse_epoch(buffer, i, stop, unit):
    """Status and microseconds of a count of units since 1970, perhaps with a fraction."""
    negative = buffer[i] == 45
    if negative or buffer[i] == 43:
        i += 1
    if i == stop or stop - i > 40:
        return UNREADABLE_TIME, 0
    time = 0
    place = unit
    seen = 0
    after_point = False
    while i < stop:
        if buffer[i] == 46 and not after_point:
            after_point = True
            i += 1
            continue
        digit = _digit(buffer, i, stop)
        if digit < 0:
            return UNREADABLE_TIME, 0
        seen += 1
        if after_point:
            place //= 10
            if place == 0 and digit > 0:
                return TIME_TOO_FINE, 0
            time += digit * place
        else:
            time = time * 10 + digit * unit
            if time > _EPOCH_MAX:
                return TIME_OUT_OF_RANGE, 0
        i += 1
    if seen == 0:
        return UNREADABLE_TIME, 0
    return OK, -time if negative else time


@inner
def _parse_time(buffer, start, stop, clock_start, clock_stop, spec):
    """Status, time, and 1 if it is an instant."""
    if start >= stop:
        return EMPTY_TIME, 0, 0
    if spec.epoch_unit > 0:
        status, time = _parse_epoch(buffer, start, stop, spec.epoch_unit)
        return status, time, 1
    if spec.date_shape != 0 and stop - start >= 16 and clock_start < 0:
        status, time, is_instant = _parse_full(buffer, start, stop, spec)
        if status == OK:
            return status, time, is_instant
    status, days, i = _parse_date(buffer, start, stop, spec)
    if status != OK:
        return status, 0, 0
    gap = spec.gap
    if clock_start >= 0:
        if i != stop:
            return UNREADABLE_TIME, 0, 0
        if clock_start >= clock_stop:
            return EMPTY_TIME, 0, 0
        i = clock_start
        stop = clock_stop
    elif gap == NO_CLOCK:
        return OK if i == stop else UNREADABLE_TIME, days * _DAY, 0
    elif i < stop and (buffer[i] == gap or (gap == 84 and (buffer[i] == 32 or buffer[i] == 116))):
        i += 1
    elif gap != 0:
        return UNREADABLE_TIME, 0, 0
    status, clock, offset, is_instant = _parse_clock(buffer, i, stop, spec)
    return status, days * _DAY + clock - offset, is_instant


@kernel
def parse_times(
    buffer: UInt8Array,
    spans: Int32Array,
    clock_spans: Int32Array,
    spec: TimeSpec,
    times: Int64Array,
    instants: UInt8Array,
    statuses: UInt8Array,
) -> int:
    """Fill `times`, `instants` (1: UTC, 0: local) and `statuses`; return how many are local.

    `clock_spans` is empty unless the time of day has a column of its own.
    """
    local_count = 0
    has_clock_column = clock_spans.size > 0
    for k in range(times.size):
        times[k] = 0
        instants[k] = 0
        if statuses[k] != OK:
            continue
        start = np.int64(spans[2 * k])
        stop = np.int64(spans[2 * k + 1])
        clock_start = np.int64(clock_spans[2 * k]) if has_clock_column else np.int64(-1)
        clock_stop = np.int64(clock_spans[2 * k + 1]) if has_clock_column else np.int64(-1)
        if start < 0 or stop > buffer.size or clock_stop > buffer.size:
            statuses[k] = UNREADABLE_TIME
            continue
        status, time, is_instant = _parse_time(buffer, start, stop, clock_start, clock_stop, spec)
        times[k] = time
        instants[k] = is_instant
        if status != OK:
            statuses[k] = status
        elif is_instant == 0:
            local_count += 1
    return local_count
