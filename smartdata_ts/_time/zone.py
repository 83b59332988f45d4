"""IANA time zones as tables of integers, so that NumPy and kernels can use them.

A zone is a list of transitions in UTC, and, seen from the wall, a list of windows of local time.
Local time is an int64 too: the wall clock read as if it were UTC, in microseconds since 1970.

The rules come from `zoneinfo`, which knows the years 1 to 9999. Before and after, a zone behaves as
at the nearest end of that range.
"""

import difflib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np

from smartdata_ts._arguments import plain, shown
from smartdata_ts.errors import UnknownTimeZoneError
from smartdata_ts.kernels.arrays import Int64Array

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
INT64_MIN = -(2**63)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# `astimezone` fails within a day of the ends of datetime's range.
_FIRST_SECOND = (datetime(1, 1, 3, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_LAST_SECOND = (datetime(9999, 12, 29, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)

# No zone left its local mean time before 1800; after 2100 only yearly rules are left.
_FIRST_YEAR_OF_CHANGE = 1800
_LAST_YEAR_OF_NARROW_STEPS = 2100
# Those fall on the same days again after 400 years, a whole number of weeks.
_CYCLE_YEARS = 400
_CYCLE_SECONDS = 146_097 * 86_400


@dataclass(frozen=True)
class LocalWindows:
    """Local time cut where its meaning changes; three arrays of shape (windows,), in microseconds.

    Window k holds the wall times from start_us[k] up to start_us[k + 1]; the first starts at the
    least int64. A wall time t is the instant t - first_offset_us[k]. Where the clock is put back
    (first > second) it is shown again at t - second_offset_us[k]. Where the clock is put forward
    (first < second) it is never shown, and the gap ends at the instant
    start_us[k] - first_offset_us[k].
    """

    start_us: Int64Array
    first_offset_us: Int64Array
    second_offset_us: Int64Array


# A zone as users give it; inside it is known by its name.
TimeZone = str | tzinfo


def load_zone(tz: TimeZone) -> ZoneInfo:
    """Return the zone of an IANA name, or of a zone object that has one, such as a ZoneInfo.

    Raises UnknownTimeZoneError, with the nearest names.
    """
    name = tz if type(tz) is str else _name_of(tz)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, sorted(available_timezones()), n=3)
        advice = f"did you mean {' or '.join(near)}?" if near else "use an IANA name"
        raise UnknownTimeZoneError(
            f"unknown time zone {shown(name)}; {advice} (such as 'Europe/Oslo' or 'UTC')"
        ) from None


def zone_name(tz: TimeZone) -> str:
    """Return the IANA name of a zone, however it is given, or raise UnknownTimeZoneError."""
    return load_zone(tz).key


def _name_of(tz: object) -> str:
    tz = plain(tz)
    # pytz calls it `zone`. A fixed offset of zero is UTC, whichever library made it.
    name = getattr(tz, "key", None) or getattr(tz, "zone", None)
    if name is None and isinstance(tz, tzinfo) and tz.utcoffset(None) == timedelta():
        name = "UTC"
    found = tz if isinstance(tz, str) else name
    if not isinstance(found, str):
        raise UnknownTimeZoneError(
            "a time zone is an IANA name (such as 'Europe/Oslo' or 'UTC'), or a ZoneInfo of one, not "
            f"{shown(tz)}"
        )
    return str(found)


def fixed_offset_us(zone: ZoneInfo) -> int | None:
    """Return the zone's offset if it has had only one, such as UTC; else None."""
    offset = zone.utcoffset(None)
    return None if offset is None else offset // timedelta(microseconds=1)


def transitions(zone: ZoneInfo, start_us: int, end_us: int) -> tuple[Int64Array, Int64Array]:
    """Return the zone's changes of offset: their instants, and the offsets around them.

    All changes in [start_us, end_us) are among them, and often some more on both sides. With n
    instants there are n + 1 offsets; the first one holds before the first change.
    """
    if (offset := fixed_offset_us(zone)) is not None:
        return np.empty(0, np.int64), np.array([offset], np.int64)
    first, last = _year_of(start_us), _year_of(end_us)
    changes = [change for year in range(first, last + 1) for change in _changes(zone.key, year)]
    before = _offset_seconds(zone, _year_start(first))
    instants = np.array([at for at, _ in changes], np.int64)
    offsets = np.array([before, *(after for _, after in changes)], np.int64)
    return instants * SECOND_US, offsets * SECOND_US


def local_windows(zone: ZoneInfo, start_us: int, end_us: int) -> LocalWindows:
    """Return the windows that hold every local time in [start_us, end_us)."""
    # No zone is further than a day and a bit from UTC.
    at, offset = transitions(zone, start_us - 2 * DAY_US, end_us + 2 * DAY_US)
    before, after = offset[:-1], offset[1:]
    # Each change makes a window of its own, where local time is doubled or missing, and the plain
    # one after it. They overlap in no zone; if ever they did, the earlier would win.
    start = np.column_stack((at + np.minimum(before, after), at + np.maximum(before, after)))
    first = np.column_stack((before, after))
    second = np.column_stack((after, after))
    return LocalWindows(
        np.maximum.accumulate(np.append(INT64_MIN, start.ravel())),
        np.append(offset[0], first.ravel()),
        np.append(offset[0], second.ravel()),
    )


@lru_cache(maxsize=1 << 16)
def _changes(key: str, year: int) -> tuple[tuple[int, int], ...]:
    """Return (UTC second, offset in seconds from there on) of each change in one UTC year.

    `zoneinfo` tells no transitions, so offsets are compared at steps of three days and a change is
    found by halving. The two closest changes of all zones are 95 hours apart.
    """
    if year < _FIRST_YEAR_OF_CHANGE:
        return ()
    if year > _LAST_YEAR_OF_NARROW_STEPS + _CYCLE_YEARS:
        earlier = _changes(key, year - _CYCLE_YEARS)
        return tuple((at + _CYCLE_SECONDS, offset) for at, offset in earlier)
    zone = ZoneInfo(key)
    step = (3 if year <= _LAST_YEAR_OF_NARROW_STEPS else 14) * 86_400
    low, end = _year_start(year), _year_start(year + 1)
    offset = _offset_seconds(zone, low - 1)
    low -= 1
    changes = []
    while low < end - 1:
        high = min(low + step, end - 1)
        if _offset_seconds(zone, high) != offset:
            high = _first_change(zone, low, high, offset)
            offset = _offset_seconds(zone, high)
            changes.append((high, offset))
        low = high
    return tuple(changes)


def _first_change(zone: ZoneInfo, low: int, high: int, offset: int) -> int:
    """Return the second in (low, high] from which on the offset is another one than at `low`."""
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_seconds(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset_seconds(zone: ZoneInfo, second: int) -> int:
    second = min(max(second, _FIRST_SECOND), _LAST_SECOND)
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(seconds=1)


def _year_of(instant_us: int) -> int:
    second = min(max(instant_us // SECOND_US, _FIRST_SECOND), _LAST_SECOND)
    return (_EPOCH + timedelta(seconds=second)).year


def _year_start(year: int) -> int:
    if year > 9999:
        return _LAST_SECOND
    return (datetime(year, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
