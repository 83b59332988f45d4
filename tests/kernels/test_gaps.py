"""Where series have gaps: found and cut, against plain Python."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.filled_series import Columns, Row, listed

from smartdata_ts.kernels.gaps import cut as gaps_cut

LINEAR, PROFILE, NONE = gaps_cut.LINEAR, gaps_cut.PROFILE, gaps_cut.NONE
TIME_MAX = 2**63 - 1


@st.composite
def rows_with_gaps(draw: st.DrawFn) -> list[Row]:
    """Rows of mostly 60 long, with longer ones, holes between them, and some without a value."""
    at = draw(st.integers(-500, 500))
    rows = []
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.sampled_from([0, 0, 0, 0, 20, 60, 200]))
        length = draw(st.sampled_from([60, 60, 60, 60, 55, 90, 91, 300, 1_000]))
        value = draw(st.one_of(st.integers(-2, 9).map(float), st.just(math.nan)))
        rows.append((at, at + length, value))
        at += length
    return rows


series = st.lists(rows_with_gaps(), max_size=3)


@given(many=series)
def test_the_usual_step_is_the_lower_median(many: list[list[Row]]) -> None:
    expected = [statistics.median_low([end - start for start, end, _ in one]) if one else 0 for one in many]
    assert Columns(many).steps().tolist() == expected


def naive_pieces(one: list[Row], limit: int) -> list[tuple[int, int, int]]:
    """(start, end, method) of a series' pieces, gaps up to `limit` being LINEAR."""
    if not one:
        return []
    step = statistics.median_low([end - start for start, end, _ in one])
    pieces: list[tuple[int, int, int]] = []

    def cut(low: int, high: int) -> None:
        count = max(1, math.floor((high - low) / step + 0.5))
        edges = [low + (high - low) * k // count for k in range(count + 1)]
        pieces.extend((a, b, LINEAR) for a, b in itertools.pairwise(edges))

    known = [k for k, row in enumerate(one) if not math.isnan(row[2])]
    before = -1
    for k in [*known, len(one)]:
        unknown = one[before + 1 : k]
        low = one[before][1] if before >= 0 else one[0][0]
        high = one[k][0] if k < len(one) else one[-1][1]
        if known and 0 < high - low <= limit and (unknown or high - low >= step / 2):
            cut(low, high)
        else:
            pieces.extend((start, end, NONE) for start, end, _ in unknown)
        if k < len(one):
            start, end, _ = one[k]
            if 1.5 * step < end - start <= limit:
                cut(start, end)
            else:
                pieces.append((start, end, NONE))
        before = k
    return pieces


@given(many=series, limit=st.sampled_from([0, 100, 400, TIME_MAX]))
def test_gaps_are_cut_as_plain_python_cuts_them(many: list[list[Row]], limit: int) -> None:
    columns = Columns(many)
    got = listed(columns.cut([(LINEAR, limit)]))
    expected = [piece for one in many for piece in naive_pieces(one, limit)]
    assert [piece[2:] for piece in got] == expected
    for before, after, _start, _end, method in got:
        slots = {int(columns.slots[row]) for row in (before, after) if row >= 0}
        assert len(slots) == 1
        assert method != NONE or before == after


@given(many=series)
def test_without_a_rule_every_row_stays_as_it_is(many: list[list[Row]]) -> None:
    rows = [row[:2] for one in many for row in one]
    got = listed(Columns(many).cut([]))
    assert [piece[2:4] for piece in got] == rows
    assert [piece[:2] for piece in got] == [(k, k) for k in range(len(rows))]


def test_the_first_rule_that_is_long_enough_is_taken() -> None:
    rows = [(0, 60, 1.0), (60, 120, 1.0), (240, 300, 1.0), (900, 960, 1.0), (9_000, 9_060, 1.0)]
    got = listed(Columns([rows]).cut([(LINEAR, 120), (PROFILE, 600)]))
    assert [method for *_, method in got] == [NONE, NONE, *2 * [LINEAR], NONE, *10 * [PROFILE], NONE, NONE]


def test_what_the_span_has_at_both_ends_is_a_gap() -> None:
    got = listed(Columns([[(120, 180, 1.0), (180, 240, 2.0)]]).cut([(LINEAR, 1_000)], (0, 300)))
    assert [piece[:4] for piece in got] == [
        (-1, 0, 0, 60),
        (-1, 0, 60, 120),
        (0, 0, 120, 180),
        (1, 1, 180, 240),
        (1, -1, 240, 300),
    ]


def test_days_of_23_and_25_hours_are_no_gaps() -> None:
    hours = [24, 24, 23, 24, 25, 24]
    edges = np.cumsum([0, *hours]).tolist()
    rows = [(a, b, 1.0) for a, b in itertools.pairwise(edges)]
    assert [method for *_, method in listed(Columns([rows]).cut([(LINEAR, TIME_MAX)]))] == 6 * [NONE]


def test_extreme_times_neither_overflow_nor_hang() -> None:
    low, high = -(2**63), 2**63 - 1
    rows = [(low, low + 60, 1.0), (0, 60, 1.0), (high - 60, high, 1.0)]
    columns = Columns([rows])
    pieces = np.empty(0, np.int64)
    rules, span = np.array([LINEAR, high]), gaps_cut.Extent(low, high)
    arguments = (columns.bounds, columns.starts, columns.ends, columns.values, columns.steps())
    assert gaps_cut.cut_gaps(*arguments, rules, span, pieces) == gaps_cut.TOO_MANY
    assert len(listed(columns.cut([(LINEAR, 10**18)]))) == 3


@pytest.mark.parametrize("bounds", [[], [0, 4], [-1, 3], [2, 1, 3]])
def test_columns_that_do_not_fit_are_refused(bounds: list[int]) -> None:
    bound, times, values, none = np.array(bounds, np.int64), np.arange(3), np.zeros(3), np.empty(0, np.int64)
    steps = np.ones(3, np.int64)
    assert gaps_cut.usual_steps(bound, times, times, values, steps) == -1
    assert gaps_cut.cut_gaps(bound, times, times, values, steps, none, gaps_cut.Extent(0, 0), none) == -1
    assert gaps_cut.usual_spacings(bound, times, values, steps) == -1


def test_arguments_that_do_not_fit_are_refused() -> None:
    bounds, times, values, none = np.array([0, 3]), np.arange(3), np.zeros(3), np.empty(0, np.int64)
    step, span = np.ones(1, np.int64), gaps_cut.Extent(0, 0)
    assert gaps_cut.usual_steps(bounds, times, times + 1, values[:2], step) == -1
    assert gaps_cut.usual_steps(bounds, times, times[:2], values, step) == -1
    assert gaps_cut.cut_gaps(bounds, times, times, values, none, none, span, none) == -1
    assert gaps_cut.cut_gaps(bounds, times, times, values, step, step, span, none) == -1
    assert gaps_cut.cut_gaps(bounds, times, times - 1, values, step, none, span, none) == -1
    assert gaps_cut.usual_spacings(bounds, times, values[:1], step) == -1
    assert gaps_cut.usual_spacings(bounds, times, values, none) == -1
