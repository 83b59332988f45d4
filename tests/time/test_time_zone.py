from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartdata_ts._time.zone import fixed_offset_us, load_zone, local_windows, transitions, zone_name
from smartdata_ts.errors import UnknownTimeZoneError

ZONES = [
    "Africa/Casablanca",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Europe/Oslo",
    "Pacific/Apia",
    "UTC",
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000


def us(year: int) -> int:
    return (datetime(year, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def offset_us(zone: ZoneInfo, instant_us: int) -> int:
    offset = (EPOCH + timedelta(microseconds=instant_us)).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)


@pytest.mark.parametrize("tz", ZONES)
def test_transitions_are_those_found_hour_by_hour(tz: str) -> None:
    zone = load_zone(tz)
    at, offset = transitions(zone, us(2008), us(2013))
    hours = np.arange(us(2008), us(2013), HOUR_US // 2)
    expected = np.array([offset_us(zone, int(hour)) for hour in hours])
    assert (offset[np.searchsorted(at, hours, side="right")] == expected).all()
    assert offset.size == at.size + 1
    assert (offset[1:] != offset[:-1]).all()


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.integers(us(2), us(9999)))
def test_offsets_are_zoneinfos_in_any_year(tz: str, instant_us: int) -> None:
    zone = load_zone(tz)
    at, offset = transitions(zone, instant_us, instant_us + 1)
    assert offset[np.searchsorted(at, instant_us, side="right")] == offset_us(zone, instant_us)


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.integers(us(1980), us(2040)), st.integers(-180, 180))
def test_windows_are_zoneinfos_folds(tz: str, instant_us: int, minutes: int) -> None:
    zone = load_zone(tz)
    at, _ = transitions(zone, instant_us, instant_us + 366 * 24 * HOUR_US)
    if at.size:  # close to a change
        instant_us = int(at[0])
    local_us = instant_us + offset_us(zone, instant_us) + minutes * 60_000_000
    windows = local_windows(zone, local_us, local_us + 1)
    k = np.searchsorted(windows.start_us, local_us, side="right") - 1
    wall = (EPOCH + timedelta(microseconds=local_us)).replace(tzinfo=zone)
    for fold, offset in enumerate((windows.first_offset_us[k], windows.second_offset_us[k])):
        assert wall.replace(fold=fold).utcoffset() == timedelta(microseconds=int(offset))


def test_beyond_datetimes_years_the_nearest_offset_holds() -> None:
    zone = load_zone("Europe/Oslo")
    for start_us in (-(2**62), 2**62):
        at, offset = transitions(zone, start_us, start_us + HOUR_US)
        expected = us(1) + 10 * 24 * HOUR_US if start_us < 0 else us(9999)
        assert offset[np.searchsorted(at, start_us, side="right")] == offset_us(zone, expected)


def test_only_zones_of_a_single_offset_are_fixed() -> None:
    assert fixed_offset_us(load_zone("UTC")) == 0
    assert fixed_offset_us(load_zone("Etc/GMT-3")) == 3 * HOUR_US
    assert fixed_offset_us(load_zone("Europe/Oslo")) is None


@pytest.mark.parametrize("name", ["Europe/Olso", "", "../etc/passwd", "/etc", "Europe", "a\0b", "CEST "])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownTimeZoneError, match="unknown time zone"):
        load_zone(name)


def test_what_is_no_text_is_no_zone() -> None:
    for name in (None, 3, b"UTC"):
        with pytest.raises(UnknownTimeZoneError):
            load_zone(name)  # type: ignore[arg-type]


class _PytzLike(tzinfo):
    zone = "Europe/Oslo"


class _FixedLike(tzinfo):
    """As dateutil's tzutc, or an offset of one hour."""

    def __init__(self, hours: int) -> None:
        self._offset = timedelta(hours=hours)

    def utcoffset(self, moment: datetime | None) -> timedelta:  # noqa: ARG002
        return self._offset


@pytest.mark.parametrize(
    ("tz", "name"),
    [
        *(("Europe/Oslo", "Europe/Oslo"), (np.str_("UTC"), "UTC"), (ZoneInfo("Europe/Oslo"), "Europe/Oslo")),
        *((UTC, "UTC"), (timezone(timedelta()), "UTC"), (_PytzLike(), "Europe/Oslo"), (_FixedLike(0), "UTC")),
    ],
)
def test_a_zone_may_be_given_as_an_object_that_names_it(tz: Any, name: str) -> None:
    assert zone_name(tz) == name
    assert type(zone_name(tz)) is str
    assert load_zone(tz) is load_zone(name)


def test_zones_without_a_name_are_refused() -> None:
    with Path(*_file_of_oslo()).open("rb") as file:
        nameless = ZoneInfo.from_file(file)
    for tz in (nameless, timezone(timedelta(hours=1)), _FixedLike(1)):
        with pytest.raises(UnknownTimeZoneError, match="is an IANA name"):
            zone_name(tz)


def _file_of_oslo() -> list[str]:
    import zoneinfo

    found = [Path(folder) / "Europe/Oslo" for folder in zoneinfo.TZPATH]
    there = [str(path) for path in found if path.is_file()]
    if not there:
        pytest.skip("the zones of this machine are a package's")
    return there[:1]


@pytest.mark.parametrize("tz", [None, "", " ", ".", "/etc/passwd", "Europe", "a\0b", "\ud800", "x" * 300])
@pytest.mark.parametrize("wrap", [lambda tz: tz, lambda tz: [tz]])
def test_what_is_no_zone_is_refused(tz: Any, wrap: Any) -> None:
    with pytest.raises(UnknownTimeZoneError):
        load_zone(wrap(tz))
