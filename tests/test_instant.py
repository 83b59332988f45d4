from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from smartdata_ts._instant import parse_instant
from smartdata_ts.errors import UnknownTimeZoneError, UsageError

OSLO = "Europe/Oslo"


def at(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2024-10-26", "2024-10-25T22:00"),
        ("  2024-10-26T02:30 ", "2024-10-26T00:30"),
        ("2024-10-26 02:30:00.25", "2024-10-26T00:30:00.25"),
        ("2024-10-26T02:30Z", "2024-10-26T02:30"),
        ("2024-10-26T02:30-03:30", "2024-10-26T06:00"),
        (date(2024, 1, 1), "2023-12-31T23:00"),
        (datetime(2024, 1, 1, 12), "2024-01-01T11:00"),
        (datetime(2024, 1, 1, 12, tzinfo=UTC), "2024-01-01T12:00"),
        (datetime(2024, 1, 1, 12, tzinfo=ZoneInfo("Asia/Kathmandu")), "2024-01-01T06:15"),
        (np.datetime64("2024-07-01"), "2024-06-30T22:00"),
        (np.datetime64("2024-07-01T12:00:00.000001999"), "2024-07-01T10:00:00.000001"),
        (pd.Timestamp("2024-07-01T12:00", tz="UTC"), "2024-07-01T12:00"),
        (pd.Timestamp("2024-07-01T12:00"), "2024-07-01T10:00"),
    ],
)
def test_what_carries_no_offset_is_wall_time_of_the_zone(value: object, instant: str) -> None:
    assert parse_instant(value, OSLO) == at(instant)


def test_utc_is_the_default_zone() -> None:
    assert parse_instant("2024-07-01") == at("2024-07-01T00:00")


def test_a_skipped_wall_time_moves_forward_to_the_end_of_the_gap() -> None:
    assert parse_instant("2025-03-30T02:30", OSLO) == at("2025-03-30T01:00")
    assert parse_instant("2011-12-30", "Pacific/Apia") == at("2011-12-30T10:00")


def test_a_repeated_wall_time_is_the_first_occurrence_unless_fold_says_otherwise() -> None:
    assert parse_instant("2024-10-27T02:30", OSLO) == at("2024-10-27T00:30")
    assert parse_instant(datetime(2024, 10, 27, 2, 30, fold=1), OSLO) == at("2024-10-27T01:30")
    assert parse_instant("2024-10-27T02:30+01:00", OSLO) == at("2024-10-27T01:30")


def test_the_ends_of_the_datetime_range_can_be_named() -> None:
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    assert parse_instant(first) == at("0001-01-01T00:00") - 14 * 3_600_000_000
    for tz in ("UTC", "Pacific/Apia", "America/Adak"):
        assert parse_instant("0001-01-01", tz) < parse_instant("9999-12-31T23:59:59.999999", tz)


@pytest.mark.parametrize(
    "value",
    [
        *(0.0, 1.5, None, True, np.True_, b"2024-01-01", np.float64(5), np.timedelta64(5, "us")),
        *("", "yesterday", "2024-13-01", "27.10.2024"),
        *(np.datetime64("NaT"), pd.NaT, np.datetime64("20000-01-01"), timedelta(1)),
    ],
)
def test_what_names_no_instant_is_refused(value: object) -> None:
    with pytest.raises(UsageError):
        parse_instant(value)


def test_an_unknown_zone_is_refused_with_near_names() -> None:
    with pytest.raises(UnknownTimeZoneError, match="Europe/Oslo"):
        parse_instant("2024-01-01", "Europe/Olso")
