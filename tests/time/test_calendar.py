"""The oracle is zoneinfo, asked instant by instant: slow and plain."""

import pickle
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartdata_ts._time.calendar import Calendar, Edges
from smartdata_ts._time.instant import parse_instant
from smartdata_ts._time.zone import load_zone, transitions
from smartdata_ts.errors import UnknownTimeZoneError, UsageError

ZONES = [
    "Africa/Casablanca",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Europe/London",
    "Europe/Oslo",
    "Pacific/Apia",
    "UTC",
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


def wall(zone: ZoneInfo, instant_us: int) -> datetime:
    """The wall clock at an instant, without its zone."""
    moment = EPOCH + timedelta(microseconds=instant_us)
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def span(tz: str, start: str, end: str) -> tuple[int, int]:
    return parse_instant(start, tz), parse_instant(end, tz)


def hours(every: str, tz: str, start: str, end: str) -> list[float]:
    """The lengths of the buckets, in hours."""
    edges = Calendar.parse(every, tz).edges(*span(tz, start, end))
    return [float(length) / HOUR_US for length in np.diff(edges)]


def period(moment: datetime, every: str) -> object:
    """The name of the local calendar period that a wall time is in."""
    week = (moment.date() - date(2000, 1, 3)).days // 7
    return {
        "1d": moment.date(),
        "1w": week,
        "2w": week // 2,
        "1mo": (moment.year, moment.month),
        "1q": (moment.year, (moment.month - 1) // 3),
        "1y": moment.year,
    }[every]


def goes_back_across_midnight(tz: str, year: int) -> bool:
    """St John's put the clock back from 00:01 to 23:01: the choice that the docstring names."""
    return tz == "America/St_Johns" and 1987 <= year <= 2011


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("every", ["1d", "1w", "2w", "1mo", "1q", "1y"])
def test_every_instant_around_every_change_is_in_the_bucket_of_its_local_date(tz: str, every: str) -> None:
    zone = load_zone(tz)
    start_us, end_us = span("UTC", "2000-01-01", "2041-01-01")
    edges = Calendar.parse(every, tz).edges(start_us, end_us)
    changes, _ = transitions(zone, start_us, end_us)
    offsets = (-DAY_US, -HOUR_US, -MINUTE_US, -1, 0, 1, MINUTE_US, 59 * MINUTE_US, DAY_US)
    instants = [int(at) + offset for at in changes for offset in offsets]
    instants = sorted(instant for instant in instants if start_us <= instant < end_us)
    for instant in instants or [start_us]:
        k = int(np.searchsorted(edges, instant, side="right")) - 1
        moment = wall(zone, instant)
        if goes_back_across_midnight(tz, moment.year) and moment.hour == 23:
            continue
        assert period(wall(zone, int(edges[k])), every) == period(moment, every)
        assert period(wall(zone, int(edges[k + 1])), every) != period(moment, every)


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize(("every", "minutes"), [("15min", 15), ("30min", 30), ("1h", 60)])
def test_around_every_change_a_new_bucket_starts_where_the_wall_clock_reaches_the_grid(
    tz: str, every: str, minutes: int
) -> None:
    zone = load_zone(tz)
    start_us, end_us = span("UTC", "2000-01-01", "2041-01-01")
    calendar = Calendar.parse(every, tz)
    for at in transitions(zone, start_us, end_us)[0]:
        start, end = int(at) - 3 * HOUR_US, int(at) + 3 * HOUR_US
        expected = []
        for instant in range(start, end, MINUTE_US):
            before, now = wall(zone, instant - MINUTE_US), wall(zone, instant)
            is_on_grid = (now.hour * 60 + now.minute) % minutes == 0
            has_skipped_grid = now - before > timedelta(minutes=1) and (
                (now.hour * 60 + now.minute) // minutes != (before.hour * 60 + before.minute) // minutes
            )
            # Lord Howe's half hour does not repeat a whole hour: its bucket is 90 minutes long.
            if is_on_grid or has_skipped_grid:
                expected.append(instant)
        edges = calendar.edges(start, end)
        inside = edges[(edges >= start) & (edges < end)]
        assert inside.tolist() == expected


@pytest.mark.parametrize(
    ("every", "tz", "start", "end", "expected"),
    [
        ("1d", "Europe/Oslo", "2024-10-27", "2024-10-28", [25.0]),
        ("1d", "Europe/Oslo", "2025-03-30", "2025-03-31", [23.0]),
        ("1mo", "Europe/Oslo", "2024-10-01", "2024-11-01", [745.0]),
        ("6h", "Europe/Oslo", "2024-10-27", "2024-10-28", [7.0, 6.0, 6.0, 6.0]),
        ("6h", "Europe/Oslo", "2025-03-30", "2025-03-31", [5.0, 6.0, 6.0, 6.0]),
        ("3h", "Europe/Oslo", "2024-10-27", "2024-10-27T06:00", [4.0, 3.0]),
        ("2h", "Europe/Oslo", "2025-03-30", "2025-03-30T06:00", [2.0, 1.0, 2.0]),
        ("1h", "Australia/Lord_Howe", "2024-04-07T01:00", "2024-04-07T03:00", [1.5, 1.0]),
        ("30min", "Australia/Lord_Howe", "2024-04-07T01:00", "2024-04-07T02:00", [0.5] * 3),
        ("1h", "Australia/Lord_Howe", "2024-10-06T01:00", "2024-10-06T04:00", [1.0, 0.5, 1.0]),
        ("1d", "Pacific/Apia", "2011-12-29", "2012-01-01", [24.0, 24.0]),
        ("1d", "America/St_Johns", "2010-11-06", "2010-11-08", [24.0, 25.0]),
        ("1d", "America/Havana", "2024-11-03", "2024-11-04", [25.0]),
        ("1d", "America/Sao_Paulo", "2018-02-17", "2018-02-18", [25.0]),
        ("1d", "America/Sao_Paulo", "2018-11-04", "2018-11-05", [23.0]),
        ("1q", "Europe/Dublin", "2024-10-01", "2025-01-01", [24 * 92 + 1.0]),
        ("90min", "UTC", "2024-01-01", "2024-01-01T03:00", [1.5, 1.5]),
    ],
)
def test_known_buckets(every: str, tz: str, start: str, end: str, expected: list[float]) -> None:
    assert hours(every, tz, start, end) == expected


def test_both_hours_of_autumn_are_buckets_of_their_own() -> None:
    assert hours("1h", "Europe/Oslo", "2024-10-01", "2024-11-01") == [1.0] * 745
    assert hours("15min", "Europe/Oslo", "2024-10-27", "2024-10-28") == [0.25] * 100


@pytest.mark.parametrize("every", ["1h", "15min", "1min"])
def test_short_widths_follow_the_wall_clock_where_offsets_are_not_whole_hours(every: str) -> None:
    edges = Calendar.parse(every, "Asia/Kathmandu").edges(*span("UTC", "2024-01-01", "2024-01-02"))
    assert wall(load_zone("Asia/Kathmandu"), int(edges[0])).second == 0
    if every == "1h":
        assert wall(load_zone("Asia/Kathmandu"), int(edges[0])).minute == 0
        assert edges[0] % HOUR_US == 15 * MINUTE_US


widths = st.sampled_from(
    [
        *("1000s", "10min", "15min", "30min", "90min", "1h", "6h", "7h", "24h", "1d", "5d", "1w"),
        *("2w", "1mo", "2mo", "5mo", "1q", "1y", "3y"),
    ]
)
instants = st.integers(parse_instant("1890-01-01"), parse_instant("2100-01-01"))


@settings(deadline=None)
@given(widths, st.sampled_from(ZONES), instants, st.integers(0, 200 * DAY_US))
def test_edges_increase_and_fit_the_span_tightly(every: str, tz: str, start_us: int, length_us: int) -> None:
    end_us = start_us + length_us
    edges = Calendar.parse(every, tz).edges(start_us, end_us)
    assert edges.dtype == np.int64
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= start_us
    if length_us == 0:
        assert edges.size == 1
    else:
        assert edges[-1] >= end_us
        assert edges[1] > start_us
        assert edges[-2] < end_us


@settings(deadline=None)
@given(widths, st.sampled_from(ZONES), instants, st.data())
def test_buckets_do_not_depend_on_where_the_span_starts(
    every: str, tz: str, start_us: int, data: st.DataObject
) -> None:
    calendar = Calendar.parse(every, tz)
    end_us = start_us + 60 * DAY_US
    inner_us = data.draw(st.integers(start_us, end_us - 1))
    edges, inner = calendar.edges(start_us, end_us), calendar.edges(inner_us, end_us)
    assert inner.tolist() == edges[np.searchsorted(edges, inner[0]) :].tolist()


@settings(deadline=None)
@given(st.sampled_from(["1d", "1w", "1mo", "1q", "1y"]), st.sampled_from(ZONES), instants)
def test_a_random_instant_is_in_the_bucket_of_its_local_date(every: str, tz: str, instant_us: int) -> None:
    zone = load_zone(tz)
    moment = wall(zone, instant_us)
    if goes_back_across_midnight(tz, moment.year) and moment.hour == 23:
        return
    edges = Calendar.parse(every, tz).edges(instant_us, instant_us + 1)
    assert edges.size == 2
    assert period(wall(zone, int(edges[0])), every) == period(moment, every)
    assert period(wall(zone, int(edges[1])), every) != period(moment, every)


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(
        [
            *("1 second", "7 minutes", "90 minutes", "7 hours", "5 days", "14 days"),
            *("1 month", "5 months", "12 months"),
        ]
    ),
    st.integers(parse_instant("1900-01-01"), parse_instant("2100-01-01")),
)
def test_multiples_in_utc_are_duckdbs_time_bucket(interval: str, instant_us: int) -> None:
    duckdb = pytest.importorskip("duckdb")
    count, word = interval.split()
    unit = {"second": "s", "minute": "min", "hour": "h", "day": "d", "month": "mo"}
    calendar = Calendar.parse(count + unit[word.rstrip("s")])
    query = "select epoch_us(time_bucket(cast(? as interval), make_timestamp(?)))"
    with duckdb.connect() as connection:
        row = connection.execute(query, [interval, instant_us]).fetchone()
    assert row is not None
    assert calendar.edges(instant_us, instant_us + 1)[0] == row[0]


@settings(deadline=None)
@given(
    st.sampled_from(["250ms", "15min", "7h", "1d", "5d", "1w"]),
    st.sampled_from(["UTC", "Etc/GMT+3", "Etc/UTC"]),
    instants,
)
def test_fixed_widths_can_be_found_by_division(every: str, tz: str, instant_us: int) -> None:
    calendar = Calendar.parse(every, tz)
    width_us, origin_us = calendar.fixed_width_us, calendar.fixed_origin_us
    assert width_us is not None
    assert origin_us is not None
    edge_us = (instant_us - origin_us) // width_us * width_us + origin_us
    assert calendar.edges(instant_us, instant_us + 1).tolist() == [edge_us, edge_us + width_us]


def test_what_varies_has_no_fixed_width() -> None:
    for every, tz in (("1mo", "UTC"), ("15min", "Europe/Oslo"), ("1d", "Europe/Oslo")):
        assert Calendar.parse(every, tz).fixed_width_us is None
        assert Calendar.parse(every, tz).fixed_origin_us is None


def test_an_offset_gives_the_gas_day() -> None:
    calendar = Calendar.parse("1d", "Europe/Oslo", offset="6h")
    edges = calendar.edges(*span("Europe/Oslo", "2024-10-26T06:00", "2024-10-28T06:00"))
    assert (np.diff(edges) / HOUR_US).tolist() == [25.0, 24.0]
    assert wall(load_zone("Europe/Oslo"), int(edges[1])) == datetime(2024, 10, 27, 6)


@pytest.mark.parametrize("tz", [tz for tz in ZONES if tz != "Pacific/Apia"])  # which skipped a whole day
def test_around_every_change_the_gas_day_starts_at_six(tz: str) -> None:
    zone = load_zone(tz)
    start_us, end_us = span("UTC", "2000-01-01", "2041-01-01")
    edges = Calendar.parse("1d", tz, offset="6h").edges(start_us, end_us)
    starts = [wall(zone, int(edge)) for edge in edges]
    assert {(start.hour, start.minute) for start in starts} == {(6, 0)}
    dates = [start.date() for start in starts]
    assert dates == [dates[0] + timedelta(days=k) for k in range((dates[-1] - dates[0]).days + 1)]


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize(("offset", "month"), [("8mo", 9), ("9mo", 10), ("1q", 4)])
def test_hydrological_years_start_in_their_month(tz: str, offset: str, month: int) -> None:
    zone = load_zone(tz)
    edges = Calendar.parse("1y", tz, offset).edges(*span(tz, "2000-01-01", "2041-01-01"))
    starts = [wall(zone, int(edge)) for edge in edges]
    assert starts == [datetime(year, month, 1) for year in range(1999, 2042)]


def test_reading_cycles_from_the_fifteenth() -> None:
    edges = Calendar.parse("1mo", "Europe/Oslo", "14d").edges(
        *span("Europe/Oslo", "2024-02-20", "2024-04-15")
    )
    starts = [wall(load_zone("Europe/Oslo"), int(edge)) for edge in edges]
    assert starts == [datetime(2024, month, 15) for month in (2, 3, 4)]


@settings(deadline=None)
@given(st.lists(instants, min_size=2, max_size=50, unique=True), st.data())
def test_a_list_of_edges_gives_those_that_cover_a_span(given: list[int], data: st.DataObject) -> None:
    given = sorted(given)
    calendar = Edges(tuple(given))
    start_us = data.draw(st.integers(given[0], given[-1]))
    end_us = data.draw(st.integers(start_us, given[-1]))
    low = max(k for k in range(len(given)) if given[k] <= start_us)
    high = min(k for k in range(len(given)) if given[k] >= end_us) if end_us > start_us else low
    assert calendar.edges(start_us, end_us).tolist() == given[low : high + 1]


def test_edges_are_read_in_the_zone() -> None:
    edges = Edges.parse(["2024-10-26", date(2024, 10, 27), np.datetime64("2024-10-28")], "Europe/Oslo")
    assert (np.diff(edges.instants_us) / HOUR_US).tolist() == [24.0, 25.0]
    assert edges.usual_width_us == 24 * HOUR_US
    assert pickle.loads(pickle.dumps(edges)) == edges


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([], "two or more"),
        (["2024-01-01"], "two or more"),
        (["2024-01-02", "2024-01-01"], "later than the one before: 2024-01-01"),
        (["2025-03-30T02:00", "2025-03-30T03:00"], "later than the one before"),  # the clock skips it
        ("2024-01-01", "a list of times"),
        (7, "a list of times"),
        (["2024-01-01", 7.5], "an instant cannot be read"),
    ],
)
def test_what_are_no_edges_is_refused(edges: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Edges.parse(edges, "Europe/Oslo")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not within"):
        Edges((1, 5)).edges(0, 3)


@pytest.mark.parametrize("tz", ["UTC", "Europe/Oslo", "Pacific/Apia"])
@pytest.mark.parametrize("every", ["1mo", "1y", "1w"])
def test_all_years_that_datetime_knows_can_be_covered(every: str, tz: str) -> None:
    start_us, end_us = parse_instant("0001-01-01"), parse_instant("9999-12-31T23:59:59.999999") + 1
    edges = Calendar.parse(every, tz).edges(start_us, end_us)
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= start_us
    assert edges[-1] >= end_us


def test_far_beyond_datetimes_years_buckets_go_on() -> None:
    for start_us in (-(2**62), 2**62 - DAY_US):
        edges = Calendar.parse("1h", "Europe/Oslo").edges(start_us, start_us + DAY_US)
        assert edges.size in (25, 26)
    assert Calendar.parse("1000y").edges(-(2**62), 2**62).size > 290


@pytest.mark.parametrize(
    "every",
    [
        *("", "d", "1", "0d", "-1d", "1.5h", "1 fortnight", "1m", "1M", "1H", "1d1h", "\u0661d"),
        *("9" * 19 + "s", "99999y", "999999999d", None, 60, b"1d"),
    ],
)
def test_what_is_no_width_is_refused(every: str) -> None:
    with pytest.raises(UsageError):
        Calendar.parse(every)


def test_the_unit_m_is_refused_with_both_ways_out() -> None:
    with pytest.raises(UsageError, match="min for minutes or mo for months"):
        Calendar.parse("5m")


def test_unknown_zones_and_offsets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UnknownTimeZoneError, match="Europe/Oslo"):
        Calendar.parse("1d", "europe/oslo")
    for every, offset in (("1d", "1d"), ("1d", "1mo"), ("1d", "x"), ("1y", "12mo"), ("1mo", "28d")):
        with pytest.raises(UsageError):
            Calendar.parse(every, offset=offset)


def test_absurd_spans_are_refused() -> None:
    calendar = Calendar.parse("1us", "Europe/Oslo")
    with pytest.raises(UsageError, match="wider bucket"):
        calendar.edges(0, DAY_US)
    with pytest.raises(UsageError, match="before it starts"):
        calendar.edges(1, 0)
    with pytest.raises(UsageError, match="nanoseconds"):
        calendar.edges(0, 2**63 - 1)


def test_a_calendar_is_a_value() -> None:
    calendar = Calendar.parse(" 15 min ", "Europe/Oslo")
    assert pickle.loads(pickle.dumps(calendar)) == calendar
    assert hash(calendar) == hash(Calendar.parse(" 15 min ", "Europe/Oslo"))
    assert calendar.width_us == 15 * MINUTE_US
