"""Instants as people write them, turned into int64 microseconds UTC."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from smartdata_ts._arguments import is_whole, plain, shown
from smartdata_ts.errors import UsageError

from .zone import INT64_MIN, TimeZone, load_zone, local_windows

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)

# A whole number that would be a time within these years in another unit was most likely meant so.
_FIRST_US, _END_US = (int(np.datetime64(year, "us").astype(np.int64)) for year in ("1973", "2100"))
_OTHER_UNITS = (("seconds", 1_000_000, 1), ("milliseconds", 1_000, 1), ("nanoseconds", 1, 1_000))


def parse_instant(value: Any, tz: TimeZone = "UTC") -> int:
    """Return the instant that `value` names, in microseconds UTC.

    `value` is a datetime (also a pandas.Timestamp), a date (its midnight), a np.datetime64, ISO 8601
    text such as "2024-10-27", "2024-10-27T02:30" or "2024-10-27T02:30:00+02:00", an Arrow scalar of any
    of these, or a whole number: microseconds UTC, as results and `Store.info` have them. A value with an
    offset is that instant; all else but a number is wall time in `tz`. A wall time that the clock skips
    moves forward to the end of the gap; one that it shows twice is the first occurrence, unless a datetime
    says fold=1. Finer digits than microseconds are cut off. A number that would be of the years 1973 to
    2100 in seconds, milliseconds or nanoseconds is refused: its unit would be a guess.

    Raises UsageError for what is none of these, UnknownTimeZoneError for an unknown `tz`.
    """
    zone = load_zone(tz)
    value = _without_arrow(value)
    if is_whole(value):
        return _checked_number(int(value))
    moment = _as_datetime(value)
    local_us = (moment.replace(tzinfo=None) - _EPOCH) // _MICROSECOND
    offset = moment.utcoffset()
    if offset is not None:
        return local_us - offset // _MICROSECOND
    return _from_wall(zone, local_us, moment.fold)


def instant_text(time_us: int) -> str | int:
    """An instant as `parse_instant` reads it: text in UTC, or its number outside the years 1 to 9999."""
    try:
        return (_EPOCH + timedelta(microseconds=time_us)).isoformat() + "+00:00"
    except OverflowError:
        return time_us


def parse_span(start: object, end: object, tz: TimeZone) -> tuple[int | None, int | None]:
    """Return the instants of [start, end), None where a bound is open.

    Raises UsageError where the end lies before the start; where they are one the span is empty.
    """
    load_zone(tz)  # also where nothing needs it yet
    first = None if start is None else parse_instant(start, tz)
    last = None if end is None else parse_instant(end, tz)
    if first is not None and last is not None and last < first:
        raise UsageError(
            f"the span ends before it starts: start is {shown(start)} and end is {shown(end)}; "
            "are they the wrong way round?"
        )
    if last == INT64_MIN:  # before which there is nothing; the same, and one less is an int64 too
        return last + 1, last + 1
    return first, last


def _without_arrow(value: Any) -> Any:
    """Python's or NumPy's own in the place of an Arrow scalar."""
    if not hasattr(value, "as_py"):
        return value
    import pyarrow as pa

    if not isinstance(value, pa.TimestampScalar) or not value.is_valid:
        return plain(value)
    # Arrow itself makes of nanoseconds what pandas has, and fails where that is not installed.
    at = np.datetime64(value.value, value.type.unit)
    return at if value.type.tz is None else _from_numpy(at).replace(tzinfo=UTC)


def _checked_number(value: int) -> int:
    if not INT64_MIN <= value < -INT64_MIN:
        raise UsageError(f"{shown(value)} is no instant: microseconds UTC have 64 bits")
    for unit, factor, divisor in _OTHER_UNITS:
        other_us = abs(value) * factor // divisor
        if _FIRST_US <= other_us < _END_US:
            raise UsageError(
                f"{value} is not plain: a whole number is microseconds UTC, which is {_iso(value)}, and in "
                f"{unit} it would be {_iso(other_us if value > 0 else -other_us)}; pass that as a text, or a "
                "datetime"
            )
    return value


def _iso(time_us: int) -> str:
    return str(np.datetime64(time_us, "us").astype("datetime64[s]")) + "Z"


def _as_datetime(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise UsageError(
                f"{shown(value)} is no ISO 8601 time ({shown(str(error))}); write it like '2024-10-27' or "
                "'2024-10-27T02:30'"
            ) from None
    if isinstance(value, np.datetime64):
        return _from_numpy(value)
    if isinstance(value, datetime):
        if str(value) == "NaT":  # pandas.NaT is a datetime
            raise UsageError("a missing time (NaT) is no instant; pass None for an open bound")
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    raise UsageError(
        f"an instant cannot be read from {shown(value)} ({type(value).__name__}); pass a datetime, a"
        " date, a np.datetime64, ISO 8601 text, or microseconds UTC as a whole number"
    )


def _from_numpy(value: np.datetime64) -> datetime:
    # A unit coarser than microseconds reaches further, and would be wrapped around.
    year = value.astype("datetime64[Y]").astype(np.int64) + 1970
    if 1 <= year <= 9999:
        moment: datetime = value.astype("datetime64[us]").item()
        return moment
    raise UsageError(f"{value!r} is no instant in the years 1 to 9999")


def _from_wall(zone: ZoneInfo, local_us: int, fold: int) -> int:
    windows = local_windows(zone, local_us, local_us + 1)
    k = int(np.searchsorted(windows.start_us, local_us, side="right")) - 1
    first, second = int(windows.first_offset_us[k]), int(windows.second_offset_us[k])
    if first < second:
        return int(windows.start_us[k]) - first
    return local_us - (second if fold else first)
