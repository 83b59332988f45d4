"""Times of documents: texts to microseconds UTC, and places counted in lengths of time."""

import datetime as dt
import re
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_DURATION = re.compile(
    r"P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,7})S)?)?"
)


class Duration(NamedTuple):
    """A length of time: elapsed microseconds, or days and months of a calendar."""

    fixed_us: int = 0
    days: int = 0
    months: int = 0

    @property
    def interval(self) -> str | None:
        """It as `Store.describe` takes it; None for lengths that vary."""
        seconds = self.fixed_us // 1_000_000
        if not seconds:
            return None
        for unit, size in (("h", 3600), ("min", 60), ("s", 1)):
            if seconds % size == 0:
                return f"{seconds // size}{unit}"
        return None


@lru_cache(256)
def duration_of(text: str) -> Duration | None:
    """The length that an ISO 8601 duration says; None where it says none, or mixes hours and months."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    years, months, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    fixed = 1_000_000 * (3600 * hours + 60 * minutes + seconds)
    found = Duration(fixed, days, 12 * years + months)
    return found if sum(part > 0 for part in found) == 1 else None


def instant_of(text: str, zone: dt.tzinfo | None = None) -> int | None:
    """Microseconds UTC of an ISO 8601 time; one without offset is of `zone`. None where it is no time."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None:
        if zone is None:
            return None
        found = found.replace(tzinfo=zone)
    try:
        return (found - _EPOCH) // _MICROSECOND
    except OverflowError:
        return None


def place_after(start_us: int, duration: Duration, count: int, zone: ZoneInfo) -> int | None:
    """The instant `count` lengths after `start_us`; days and months go by the clocks of `zone`."""
    if duration.fixed_us:
        return start_us + count * duration.fixed_us
    try:
        wall = (_EPOCH + start_us * _MICROSECOND).astimezone(zone).replace(tzinfo=None)
        if duration.days:
            wall += dt.timedelta(days=count * duration.days)
        else:
            months = 12 * wall.year + wall.month - 1 + count * duration.months
            wall = wall.replace(year=months // 12, month=months % 12 + 1)
        return (wall.replace(tzinfo=zone) - _EPOCH) // _MICROSECOND
    except (OverflowError, ValueError):
        return None


def instant_text(time_us: int) -> str:
    """A time in UTC as text, for messages."""
    return (_EPOCH + time_us * _MICROSECOND).isoformat().replace("+00:00", "Z")
