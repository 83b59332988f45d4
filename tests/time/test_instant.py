from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from smartdata_ts._time.instant import parse_instant, parse_span
from smartdata_ts.errors import UnknownTimeZoneError, UsageError

pd = pytest.importorskip("pandas")

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
        *(np.datetime64("NaT", "us"), pd.NaT, np.datetime64("20000-01-01"), timedelta(1)),
    ],
)
def test_what_names_no_instant_is_refused(value: object) -> None:
    with pytest.raises(UsageError):
        parse_instant(value)


def test_an_unknown_zone_is_refused_with_near_names() -> None:
    with pytest.raises(UnknownTimeZoneError, match="Europe/Oslo"):
        parse_instant("2024-01-01", "Europe/Olso")


@pytest.mark.parametrize(
    "value",
    [
        *(
            0,
            -5,
            3_600_000,
            86_400_000_000,
            1_714_521_600_000_000,
            -1_714_521_600_000_000,
            2**63 - 1,
            -(2**63),
        ),
        *(np.int64(7), np.uint8(7), np.int64(1_714_521_600_000_000), pa.scalar(7)),
    ],
)
def test_a_whole_number_is_microseconds_utc_in_any_zone(value: Any) -> None:
    plain = value.as_py() if isinstance(value, pa.Scalar) else int(value)
    assert parse_instant(value, OSLO) == plain


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("unit", "number"),
    [
        *(("seconds", 100_000_000), ("seconds", 1_714_521_600), ("seconds", 4_102_444_799)),
        *(("milliseconds", 100_000_000_000), ("milliseconds", 1_714_521_600_000)),
        *(("nanoseconds", 100_000_000_000_000_000), ("nanoseconds", 1_714_521_600_000_000_000)),
    ],
)
def test_a_number_that_is_a_time_of_our_days_in_another_unit_is_refused(
    unit: str, number: int, sign: int
) -> None:
    with pytest.raises(UsageError, match=f"a whole number is microseconds UTC, .* and in {unit} it would be"):
        parse_instant(sign * number)


def test_the_refusal_of_a_number_shows_both_readings() -> None:
    with pytest.raises(
        UsageError, match=r"1970-01-01T00:28:34Z, and in seconds it would be 2024-05-01T00:00:00Z"
    ):
        parse_instant(np.int64(1_714_521_600))


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**40])
def test_a_number_beyond_64_bits_is_refused(value: int) -> None:
    with pytest.raises(UsageError, match="have 64 bits"):
        parse_instant(value)


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        (pa.scalar("2024-10-26"), "2024-10-25T22:00"),
        (pa.scalar(date(2024, 1, 1)), "2023-12-31T23:00"),
        (pa.scalar(datetime(2024, 1, 1, 12)), "2024-01-01T11:00"),
        (pa.scalar(datetime(2024, 1, 1, 12), pa.timestamp("s", "UTC")), "2024-01-01T12:00"),
        (pa.scalar(1_704_110_400_000_000_999, pa.timestamp("ns", "UTC")), "2024-01-01T12:00"),
        (pa.scalar(3600, pa.timestamp("s", "America/Lima")), "1970-01-01T01:00"),
        (pd.Timestamp("2024-07-01T12:00", tz="Asia/Kathmandu"), "2024-07-01T06:15"),
    ],
)
def test_times_of_arrow_and_pandas_are_taken(value: object, instant: str) -> None:
    assert parse_instant(value, OSLO) == at(instant)


@pytest.mark.parametrize(
    "value", [pa.scalar(None, pa.timestamp("us")), pa.scalar(5, pa.duration("s")), np.datetime64(2**60, "s")]
)
def test_what_wraps_around_or_is_missing_is_refused(value: object) -> None:
    with pytest.raises(UsageError):
        parse_instant(value)


@pytest.mark.parametrize("text", ["1714521600", "1714521600000", "0", "1.7e9"])
def test_a_number_in_a_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no ISO 8601 time"):
        parse_instant(text)


def test_a_span_that_ends_before_it_starts_shows_both_ends() -> None:
    with pytest.raises(UsageError, match="start is '2025-02-01' and end is '2025-01-01'"):
        parse_span("2025-02-01", "2025-01-01", OSLO)


def test_a_span_may_be_empty_or_open() -> None:
    assert parse_span(5, 5, "UTC") == (5, 5)
    assert parse_span(None, None, "UTC") == (None, None)
    start, end = parse_span(None, -(2**63), "UTC")
    assert start == end, "nothing is before the first instant"


@pytest.mark.parametrize("bounds", [(None, None), ("2024-01-01T00:00Z", None)])
def test_the_zone_of_a_span_is_checked_where_nothing_needs_it(bounds: tuple[Any, Any]) -> None:
    with pytest.raises(UnknownTimeZoneError, match="Europe/Oslo"):
        parse_span(*bounds, "Europe/Olso")
