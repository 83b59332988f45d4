"""Instants as people write them, turned into int64 microseconds UTC."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from ._time_zone import load_zone, local_windows
from .errors import UsageError

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def parse_instant(value: object, tz: str = "UTC") -> int:
    """Return the instant that `value` names, in microseconds UTC.

    `value` is a datetime, a date (its midnight), a np.datetime64, or ISO 8601 text such as
    "2024-10-27", "2024-10-27T02:30" or "2024-10-27T02:30:00+02:00". What carries an offset is that
    instant; all else is wall time in `tz`. A wall time that the clock skips moves forward to the
    end of the gap; one that it shows twice is the first occurrence, unless a datetime says fold=1.
    Finer digits than microseconds are cut off. A bare number is refused: its unit would be a guess.

    Raises UsageError for what is none of these, UnknownTimeZoneError for an unknown `tz`.
    """
    zone = load_zone(tz)
    moment = _as_datetime(value)
    local_us = (moment.replace(tzinfo=None) - _EPOCH) // _MICROSECOND
    offset = moment.utcoffset()
    if offset is not None:
        return local_us - offset // _MICROSECOND
    return _from_wall(zone, local_us, moment.fold)


def _as_datetime(value: object) -> datetime:
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise UsageError(
                f"{value!r} is no ISO 8601 time ({error}); write it like '2024-10-27' or '2024-10-27T02:30'"
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
        f"an instant cannot be read from {value!r} ({type(value).__name__}); pass a datetime, a"
        " date, a np.datetime64 or ISO 8601 text"
    )


def _from_numpy(value: np.datetime64) -> datetime:
    moment = value.astype("datetime64[us]").item()
    if isinstance(moment, datetime):
        return moment
    raise UsageError(f"{value!r} is no instant in the years 1 to 9999")


def _from_wall(zone: ZoneInfo, local_us: int, fold: int) -> int:
    windows = local_windows(zone, local_us, local_us + 1)
    k = int(np.searchsorted(windows.start_us, local_us, side="right")) - 1
    first, second = int(windows.first_offset_us[k]), int(windows.second_offset_us[k])
    if first < second:
        return int(windows.start_us[k]) - first
    return local_us - (second if fold else first)
