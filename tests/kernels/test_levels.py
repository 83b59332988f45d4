"""Levels between readings against plain Python: where gaps and grids want one, and what it is."""

import itertools
import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.filled_series import HOUR, UTC

from smartdata_ts.kernels.gaps import cut as gaps_cut
from smartdata_ts.kernels.gaps import levels, profiles
from smartdata_ts.kernels.gaps.cut import CONSERVE, CONSTANT, LINEAR, NEXT, NONE, PREVIOUS, PROFILE
from smartdata_ts.kernels.quality import STATUS_RANKS

ALWAYS = 2**63 - 1
Place = tuple[int, int, int, int]  # row, method, instant, slot

series_times = st.lists(
    st.lists(st.integers(0, 300), unique=True, max_size=40).map(sorted)
    | st.tuples(st.integers(0, 9), st.integers(1, 60)).map(
        lambda one: [one[0] + 10 * k for k in range(one[1])]
    ),
    min_size=1,
    max_size=4,
)
some_rules = st.sampled_from([[], [LINEAR, 25], [LINEAR, 90, NEXT, 200], [PROFILE, ALWAYS]])


def step_of(times: list[int]) -> int:
    steps = [b - a for a, b in itertools.pairwise(times)]
    return statistics.median_low(steps) if steps else 0


def method_of(rules: list[int], length: int) -> int:
    return next((rules[k] for k in range(0, len(rules), 2) if length <= rules[k + 1]), NONE)


def columns_of(many: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds, times and steps."""
    bounds = np.cumsum([0, *map(len, many)]).astype(np.int64)
    times = np.array([time for one in many for time in one], np.int64)
    steps = np.empty(len(many), np.int64)
    assert gaps_cut.usual_spacings(bounds, times, np.empty(times.size), steps) == len(many)
    assert steps.tolist() == [step_of(one) for one in many]
    return bounds, times, steps


def places_of(cut: Callable[..., int]) -> list[Place]:
    """What it writes, where there is room and where there is less."""
    none = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32)
    count = cut(*none)
    assert count >= 0
    for room in {count, count + 3, count // 2}:
        columns = np.full(room, -9), np.full(room, -9), np.full(room, -9, np.int32)
        assert cut(*columns) == count
        if room == count:
            kept = columns
    places, instants, slots = (column.tolist() for column in kept)
    return [
        (place >> levels.METHOD_BITS, place & 15, instant, slot)
        for place, instant, slot in zip(places, instants, slots, strict=True)
    ]


@given(series_times, some_rules)
def test_gaps_get_a_place_a_step(many: list[list[int]], rules: list[int]) -> None:
    bounds, times, steps = columns_of(many)
    expected: list[Place] = []
    for slot, (own, step) in enumerate(zip(many, steps.tolist(), strict=True)):
        for k, time in enumerate(own):
            row = int(bounds[slot]) + k
            expected.append((row, NONE, time, slot))
            length = own[k + 1] - time if k + 1 < len(own) else 0
            method = method_of(rules, length) if length > 1.5 * step else NONE
            if method != NONE:
                count = max(math.floor(length / step + 0.5), 1)
                starts = [time + length // count * j + length % count * j // count for j in range(1, count)]
                expected += [(row, method, start, slot) for start in starts]
    arguments = (bounds, times, steps, np.array(rules, np.int64))
    assert places_of(lambda *columns: levels.cut_levels(*arguments, *columns)) == expected


@given(series_times, some_rules, st.integers(1, 30))
def test_a_grid_has_a_place_for_every_edge_between_instants(
    many: list[list[int]], rules: list[int], width: int
) -> None:
    bounds, times, steps = columns_of(many)
    edges = list(range(0, 700, width))
    expected: list[Place] = []
    for slot, (own, step) in enumerate(zip(many, steps.tolist(), strict=True)):
        for edge in edges:
            if edge in own:
                expected.append((int(bounds[slot]) + own.index(edge), NONE, edge, slot))
            elif own and own[0] < edge < own[-1]:
                k = sum(time < edge for time in own) - 1
                length = own[k + 1] - own[k]
                method = method_of(rules, length) if length > 1.5 * step else levels.ALIGN
                if method != NONE:
                    expected.append((int(bounds[slot]) + k, method, edge, slot))
    arguments = (bounds, times, np.array(edges), steps, np.array(rules, np.int64))
    assert places_of(lambda *columns: levels.cut_grid(*arguments, *columns)) == expected


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(-9, 9).map(float), st.integers(0, 255)),
        min_size=2,
        max_size=9,
    ),
    st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from([*range(7), levels.ALIGN]), st.integers(0, 9)),
        max_size=20,
    ),
    st.sampled_from([2.5, math.nan]),
)
def test_levels_and_their_qualities(
    rows: list[tuple[int, float, int]], wanted: list[tuple[int, int, int]], constant: float
) -> None:
    times = np.cumsum([length for length, *_ in rows])
    values, qualities = np.array([row[1] for row in rows]), np.array([row[2] for row in rows], np.uint8)
    asked = [(row % (len(rows) - 1), method, tenths) for row, method, tenths in wanted]
    instants, expected = [], []
    for row, method, tenths in asked:
        low, high, length = values[row], values[row + 1], times[row + 1] - times[row]
        away = length * tenths // 10
        instants.append(times[row] + away)
        share = away / length
        line = low if low == high else (1.0 - share) * low + share * high
        level = {NONE: low, CONSTANT: constant, PREVIOUS: low, NEXT: high}.get(method, line)
        left, right = qualities[row : row + 2].tolist()
        code = method << 4 | 1
        if method == NONE:
            code = left
        elif math.isnan(level):
            code = 7
        elif method == levels.ALIGN:
            code = left if STATUS_RANKS[left & 15] < STATUS_RANKS[right & 15] else right
        expected.append((level, code))
    places = np.array([row << levels.METHOD_BITS | method for row, method, _ in asked], np.int64)
    filled, codes = np.empty(places.size), np.empty(places.size, np.uint8)
    columns = (places, np.array(instants, np.int64), times, values, qualities)
    assert levels.fill_levels(*columns, constant, filled, codes) == places.size
    np.testing.assert_array_equal(filled, [level for level, _ in expected])
    assert codes.tolist() == [code for _, code in expected]


def grid_levels(method: int, times: list[int], values: list[float], edges: list[int]) -> list[float]:
    """The levels at hours' edges where every day of the usual week goes from 0 to 23."""
    count = len(edges)
    columns = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int32)
    bounds, instants = np.array([0, len(times)]), np.array(times)
    arguments = (bounds, instants, np.array(edges), np.array([HOUR]), np.array([method, ALWAYS]))
    assert levels.cut_grid(*arguments, *columns) == count
    filled, codes = np.empty(count), np.empty(count, np.uint8)
    rows = (instants, np.array(values), np.zeros(len(times), np.uint8))
    assert levels.fill_levels(*columns[:2], *rows, 7.0, filled, codes) == count
    week = np.arange(profiles.WEEK_HOURS) % 24 * 1.0
    assert levels.bend_levels(*columns, instants, week, UTC, filled) == count
    return filled.tolist()


def test_levels_by_hand() -> None:
    times, values, edges = [0, 4 * HOUR, 5 * HOUR], [10.0, 30.0, 50.0], [k * HOUR for k in range(6)]
    for method, between in {
        CONSTANT: [7.0, 7.0, 7.0],
        PREVIOUS: [10.0, 10.0, 10.0],
        NEXT: [30.0, 30.0, 30.0],
        LINEAR: [15.0, 20.0, 25.0],
        CONSERVE: [15.0, 20.0, 25.0],
        PROFILE: [15.0, 20.0, 25.0],
    }.items():
        assert grid_levels(method, times, values, edges) == pytest.approx([10.0, *between, 30.0, 50.0])
    # From 22:00 to 02:00 the usual week falls from 23 to 0 at midnight; 19 are made up along the line.
    night = [22 * HOUR, 26 * HOUR]
    got = grid_levels(PROFILE, night, [22.0, 2.0], [k * HOUR for k in range(22, 27)])
    assert got == pytest.approx([22.0, 23.0, 0.0, 1.0, 2.0])


def test_without_a_usual_week_the_line_stays() -> None:
    place, instant = np.array([0 << 4 | PROFILE]), np.array([HOUR])
    filled, week = np.array([5.5]), np.full(profiles.WEEK_HOURS, math.nan)
    times, slots = np.array([0, 2 * HOUR]), np.zeros(1, np.int32)
    assert levels.bend_levels(place, instant, slots, times, week, UTC, filled) == 1
    assert filled.tolist() == [5.5]


def test_extreme_times_neither_overflow_nor_hang() -> None:
    bounds, times = np.array([0, 3]), np.array([-(2**63), 0, ALWAYS])
    room = np.empty(9, np.int64), np.empty(9, np.int64), np.empty(9, np.int32)
    rules, step = np.array([LINEAR, ALWAYS]), np.array([60])
    assert levels.cut_levels(bounds, times, step, rules, *room) == gaps_cut.TOO_MANY
    assert levels.cut_levels(bounds, times, step, np.array([LINEAR, 10**18]), *room) == 3
    assert levels.cut_levels(bounds, times, np.array([ALWAYS]), rules, *room) == 3
    assert levels.cut_grid(bounds, times, times, step, rules, *room) == 3
    assert levels.cut_grid(bounds, times, np.array([-1, 1]), step, np.array([LINEAR, 10**18]), *room) == 0
    assert levels.cut_grid(bounds, times, np.array([-1, 1]), step, rules, *room) == 2


@pytest.mark.parametrize("bounds", [[], [0, 4], [-1, 3], [2, 1, 3]])
def test_columns_that_do_not_fit_are_refused(bounds: list[int]) -> None:
    bound, times, steps, none = np.array(bounds, np.int64), np.arange(3), np.ones(3, np.int64), np.arange(0)
    room = np.empty(9, np.int64), np.empty(9, np.int64), np.empty(9, np.int32)
    assert levels.cut_levels(bound, times, steps, none, *room) == -1
    assert levels.cut_grid(bound, times, times, steps, none, *room) == -1


def test_arguments_that_do_not_fit_are_refused() -> None:
    bounds, times, step, none = np.array([0, 3]), np.arange(3), np.ones(1, np.int64), np.arange(0)
    room = np.empty(9, np.int64), np.empty(9, np.int64), np.empty(9, np.int32)
    for broken in ((none, none), (step, step)):
        assert levels.cut_levels(bounds, times, *broken, *room) == -1
        assert levels.cut_grid(bounds, times, times, *broken, *room) == -1
    # Edges that fall: nothing is read behind the last row.
    assert levels.cut_grid(np.array([0, 2]), np.array([0, 5]), np.array([0, 5, 3]), step, none, *room) == -1


def test_places_that_cannot_be_are_refused() -> None:
    times, values, qualities = np.arange(3) * HOUR, np.zeros(3), np.zeros(3, np.uint8)
    filled, codes, week = np.zeros(1), np.zeros(1, np.uint8), np.zeros(profiles.WEEK_HOURS)
    instant, slot = np.array([HOUR]), np.zeros(1, np.int32)
    for row, method in ((-1, NONE), (3, NONE), (2, LINEAR), (2, PROFILE), (2**50, PROFILE), (-1, PROFILE)):
        place = np.array([row << levels.METHOD_BITS | method])
        assert levels.fill_levels(place, instant, times, values, qualities, 0.0, filled, codes) == -1
        bent = levels.bend_levels(place, instant, slot, times, week, UTC, filled)
        assert bent == (-1 if method == PROFILE else 1)
    place, short = np.array([PROFILE]), np.arange(0)
    arguments = [place, instant, times, values, qualities, 0.0, filled, codes]
    for k, shorter in ((1, short), (3, values[:2]), (4, qualities[:2]), (6, values[:0]), (7, qualities[:0])):
        assert levels.fill_levels(*arguments[:k], shorter, *arguments[k + 1 :]) == -1
    arguments = [place, instant, slot, times, week, UTC, filled]
    for k, broken in (
        (1, short),
        (2, slot[:0]),
        (2, slot - 1),
        (2, slot + 1),
        (4, week[:167]),
        (5, short),
        (6, filled[:0]),
    ):
        assert levels.bend_levels(*arguments[:k], broken, *arguments[k + 1 :]) == -1
