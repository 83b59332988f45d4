"""A series' usual week against plain Python and zoneinfo."""

import math
from collections import defaultdict
from datetime import UTC as UTC_ZONE
from datetime import datetime, timedelta
from functools import reduce
from operator import add
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.filled_series import HOUR, UTC, Columns, Row

from smartdata_ts._time.zone import load_zone, transitions
from smartdata_ts.kernels import status as kernels_status
from smartdata_ts.kernels.gaps import cut as gaps_cut
from smartdata_ts.kernels.gaps import profiles

SECOND = 1_000_000


def zone_of(name: str, start: int, end: int) -> np.ndarray:
    at, offsets = transitions(load_zone(name), start, end)
    return np.concatenate([[at.size], at, offsets]).astype(np.int64)


def usual(rates: list[float]) -> float:
    cut = (len(rates) + 1) // 4
    kept = sorted(rates)[cut : len(rates) - cut]
    return reduce(add, kept) / len(kept)  # from 3.12 on, `sum` makes up for what rounding took


def naive_week(rows: list[Row], name: str) -> dict[int, float]:
    """Of rows that each lie within one hour: the usual rate by hour of the week."""
    hours: dict[datetime, list[Row]] = defaultdict(list)
    for row in rows:
        time = datetime(1970, 1, 1, tzinfo=UTC_ZONE) + timedelta(microseconds=row[0])
        local = time.astimezone(ZoneInfo(name))
        hours[time - timedelta(minutes=local.minute, seconds=local.second)].append(row)
    cells = defaultdict(list)
    for begin, members in hours.items():
        covered = sum(end - start for start, end, _ in members)
        if 2 * covered >= HOUR:
            local = begin.astimezone(ZoneInfo(name))
            amount = sum(value for *_, value in members)
            cells[local.weekday() * 24 + local.hour].append(amount / covered)
    return {cell: usual(rates) for cell, rates in cells.items()}


@pytest.mark.parametrize("name", ["Europe/Oslo", "Asia/Kathmandu", "America/St_Johns"])
@pytest.mark.parametrize("minutes", [15, 60])
def test_a_week_is_that_of_the_local_clock(name: str, minutes: int) -> None:
    random = np.random.default_rng(11)
    start = int(datetime(2024, 9, 20, tzinfo=UTC_ZONE).timestamp()) * SECOND
    start += 15 * 60 * SECOND if minutes == 60 and name == "Asia/Kathmandu" else 0
    start += 30 * 60 * SECOND if minutes == 60 and name == "America/St_Johns" else 0
    step = minutes * 60 * SECOND
    values = random.gamma(1.0, 3.0, 60 * 24 * 60 // minutes)
    rows = [(start + k * step, start + (k + 1) * step, float(v)) for k, v in enumerate(values)]
    del rows[70:100]
    got = Columns([rows]).profiles(zone_of(name, rows[0][0], rows[-1][1]))
    expected = naive_week(rows, name)
    assert sorted(expected) == list(range(168))
    assert got.tolist() == pytest.approx([expected[cell] for cell in range(168)], rel=1e-12)


def hours_by_hand(rows: list[Row], zone: np.ndarray) -> dict[int, list[float]]:
    """The rates of each hour of the week, one piece of a row after the other."""
    at, offsets = zone[1 : 1 + zone[0]], zone[1 + zone[0] :]
    pieces = []
    for start, end, value in rows:
        time = start
        while time < end:
            local = time + int(offsets[np.searchsorted(at, time, "right")])
            hour_end = time + HOUR - local % HOUR
            until = min(end, hour_end)
            pieces.append((time, hour_end, (local // HOUR + 72) % 168, until - time, value, end - start))
            time = until
    sums: list[list[float]] = []  # hour of the week, its end, amount, length
    for time, hour_end, hour, length, value, whole in pieces:
        if not sums or hour != sums[-1][0] or time >= sums[-1][1]:
            sums.append([hour, hour_end, 0.0, 0])
        sums[-1][2] += value * (length / whole)
        sums[-1][3] += length
    rates = defaultdict(list)
    for hour, _, amount, covered in sums:
        if 2 * covered >= HOUR:
            rates[int(hour)].append(amount / covered)
    return rates


@given(
    st.lists(
        st.tuples(st.integers(0, 150), st.integers(1, 60), st.integers(0, 50).map(float)),
        min_size=1,
        max_size=40,
    )
)
def test_rows_that_overlap_or_span_hours_go_piece_by_piece(many: list[tuple[int, int, float]]) -> None:
    first = int(datetime(2024, 3, 30, 22, tzinfo=UTC_ZONE).timestamp()) * SECOND  # the clock is put forward
    quarter = HOUR // 4
    rows = sorted((first + a * quarter, first + (a + n) * quarter, value) for a, n, value in many)
    for name in ("Europe/Oslo", "Australia/Lord_Howe"):
        zone = zone_of(name, first, first + 300 * quarter)
        got = Columns([rows]).profiles(zone)
        for cell, rates in hours_by_hand(rows, zone).items():
            assert got[cell] == usual(rates)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=200), st.booleans())
def test_what_is_usual_is_the_middle_of_many_and_of_few(values: list[int], is_ordered: bool) -> None:
    values = sorted(values) if is_ordered else values
    rows = [(7 * 24 * HOUR * k, (7 * 24 * k + 1) * HOUR, value / 7) for k, value in enumerate(values)]
    rates = [value / HOUR for *_, value in rows]
    assert Columns([rows]).profiles()[72] == usual(rates)


def test_a_row_of_a_day_is_spread_over_its_hours() -> None:
    rows = [(k * 24 * HOUR, (k + 1) * 24 * HOUR, float(k % 7)) for k in range(21)]
    got = Columns([rows]).profiles() * 24 * HOUR
    assert got.reshape(7, 24)[:, 5].tolist() == pytest.approx(
        [4, 5, 6, 0, 1, 2, 3]
    )  # 1970 began on a Thursday


def test_one_fault_among_four_weeks_changes_nothing() -> None:
    rows = [(k * HOUR, (k + 1) * HOUR, 1.0) for k in range(4 * 168)]
    rows[200] = (200 * HOUR, 201 * HOUR, 1e9)
    assert Columns([rows]).profiles().tolist() == pytest.approx(168 * [1 / HOUR])


def test_hours_that_never_were_are_as_those_of_other_days() -> None:
    rows = [(k * HOUR, (k + 1) * HOUR, float(k)) for k in (3, 24 + 3, 5)]
    got = (Columns([rows]).profiles() * HOUR).reshape(7, 24)
    assert got[0, 3] == pytest.approx((3 + 27) / 2)
    assert got[0, 5] == pytest.approx(5)
    assert got[0, 4] == pytest.approx((3 + 27 + 5) / 3)
    assert np.isnan(Columns([[(0, HOUR, math.nan)]]).profiles()).all()


def test_arguments_that_do_not_fit_are_refused() -> None:
    columns = Columns([[(k * HOUR, (k + 1) * HOUR, 1.0) for k in range(5)]])
    arrays = (columns.bounds, columns.starts, columns.ends, columns.values)
    cells, rates, week = np.empty(200, np.int64), np.empty(10), np.empty(168)
    assert profiles.weekly_profiles(*arrays, UTC, cells, rates, week) == 1
    assert profiles.weekly_profiles(*arrays, UTC, cells, rates, week[:-1]) == -1
    assert profiles.weekly_profiles(*arrays, UTC, cells[:173], rates, week) == -1
    assert profiles.weekly_profiles(*arrays, UTC, cells, rates[:9], week) == -1
    assert profiles.weekly_profiles(*arrays, UTC, cells, rates[:4], week) == -1
    assert profiles.weekly_profiles(np.array([0, 6]), *arrays[1:], UTC, cells, rates, week) == -1
    for zone in ([], [0], [1, 0], [-1, 0], [2, 0, 0, 0]):
        assert profiles.weekly_profiles(*arrays, np.array(zone, np.int64), cells, rates, week) == -1
    piece = np.array([0, 0, 0, HOUR, gaps_cut.PROFILE])
    slots, filled = np.array([1], np.int32), np.empty(1)
    assert profiles.shape_profiles(slots, piece, week, UTC, filled) == -1
    assert profiles.shape_profiles(slots, piece, np.ones(336), np.array([3, 0]), filled) == -1


row_tables = st.lists(
    st.lists(
        st.tuples(
            st.integers(-5, 5) | st.sampled_from([-(2**63), 2**63 - 1]),
            st.integers(-1, 9) | st.sampled_from([31 * 24, 31 * 24 + 1]),
            st.integers(-9, 9).map(float) | st.just(math.nan),
        ),
        max_size=6,
    ),
    max_size=4,
)


@given(row_tables, st.lists(st.integers(0, 2**62), min_size=4, max_size=4), st.booleans())
def test_amounts_are_regular_up_to_one_and_a_half_steps(
    table: list[list[tuple[int, int, float]]], steps: list[int], of_levels: bool
) -> None:
    rows = [(start, min(start + n * HOUR, 2**63 - 1), value) for own in table for start, n, value in own]
    rows = [(start, max(end, -(2**63)), value) for start, end, value in rows]
    bounds = np.cumsum([0] + [len(own) for own in table])
    starts, ends = (np.array([row[k] for row in rows], np.int64) for k in (0, 1))
    values = np.array([row[2] for row in rows], np.float64)
    steps_of = [step % (20 * HOUR) if k % 2 else step for k, step in enumerate(steps)]
    amounts = np.empty(len(rows))
    arrays = (bounds, starts, ends, values, np.array(steps_of))
    room = profiles.regular_amounts(*arrays, of_levels, amounts)
    month = 31 * 24 * HOUR
    expected, rooms = [], [0]
    for own, step in zip(np.split(np.arange(len(rows)), bounds[1:-1]), steps_of, strict=False):
        lengths = [max(rows[k][1] - rows[k][0], 0) for k in own]
        rooms.append(sum(length // HOUR + 2 for length in lengths if 0 < length <= month))
        for k, length in zip(own, lengths, strict=True):
            is_regular = length <= month and 2 * length <= 3 * step
            expected.append(rows[k][2] * (length if of_levels else 1) if is_regular else math.nan)
    np.testing.assert_array_equal(amounts, expected)
    assert room == max(rooms)
    for broken in (
        (bounds + 1, *arrays[1:]),
        (np.append(bounds, len(rows) + 1), *arrays[1:]),
        (*arrays[:4], arrays[4][: len(table) - 1]) if table else (bounds - 1, *arrays[1:]),
    ):
        assert profiles.regular_amounts(*broken, of_levels, amounts) == kernels_status.MALFORMED
