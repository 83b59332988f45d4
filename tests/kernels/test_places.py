"""Rows folded by group and bucket, against dictionaries."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartdata_ts._steps import folding
from smartdata_ts._steps.folding import COUNT_OF, MAX, MIN, SUM, SUM_OF_ALL, Part, Places, concatenated, fold
from smartdata_ts.kernels import status as kernels_status
from smartdata_ts.kernels.buckets import groups as buckets_groups

rows = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(-5, 5) | st.sampled_from([-(2**63), 2**63 - 1]),
        st.integers(-9, 9).map(float) | st.sampled_from([math.nan, math.inf, -math.inf]),
    ),
    max_size=40,
)
Row = tuple[int, int, float]


def part_of(given_rows: list[Row]) -> Part:
    groups, times, values = zip(*given_rows, strict=True) if given_rows else ((), (), ())
    column = np.array(values, np.float64)
    columns = dict.fromkeys(("sum", "whole", "min", "max"), column)
    return Part(np.array(groups, np.int32), np.array(times, np.int64), columns)


@given(st.lists(rows, max_size=3))
def test_each_place_has_what_its_rows_come_to(parts: list[list[Row]]) -> None:
    hows = {"sum": SUM, "whole": SUM_OF_ALL, "min": MIN, "max": MAX}
    folded = fold(map(part_of, parts), hows, ["sum"])
    every = [row for part in parts for row in part]
    found = list(zip(folded.groups.tolist(), folded.times.tolist(), strict=True))
    assert found == list(dict.fromkeys((group, time) for group, time, _ in every))
    for k, place in enumerate(found):
        values = [value for group, time, value in every if (group, time) == place]
        some = [value for value in values if not math.isnan(value)]
        expected = {name: how(some) if some else math.nan for name, how in (("min", min), ("max", max))}
        with np.errstate(invalid="ignore"):
            expected |= {"sum": np.sum(some) if some else math.nan, "whole": np.sum(values)}
        expected[COUNT_OF + "sum"] = float(len(some))
        np.testing.assert_equal({name: column[k] for name, column in folded.columns.items()}, expected)


@given(rows)
def test_parts_are_as_one(given_rows: list[Row]) -> None:
    hows = {"sum": SUM, "whole": SUM_OF_ALL, "min": MIN, "max": MAX}
    parts = [part_of(given_rows[k::3]) for k in range(3)]
    once, together = fold(parts, hows), fold([concatenated(parts)], hows)
    for name, column in once.columns.items():
        np.testing.assert_array_equal(column, together.columns[name])


def test_a_sum_of_many_loses_nothing() -> None:
    values = np.array([1e16, 1.0, -1e16, 1e-3])
    part = Part(np.zeros(4, np.int32), np.zeros(4, np.int64), {"sum": values})
    assert fold([part], {"sum": SUM}).columns["sum"].tolist() == [1.001]


@pytest.mark.parametrize("size", [1, 2, 64])
def test_places_are_the_same_whatever_the_table_is_at_first(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    rng = np.random.default_rng(5)
    groups, times = rng.integers(0, 9, 3_000).astype(np.int32), rng.integers(0, 300, 3_000)
    expected = Places().numbers_of(groups, times)
    monkeypatch.setattr(folding, "_TABLE_SIZE", size)
    small = Places()
    first = small.numbers_of(groups[:1_000], times[:1_000])
    assert (
        np.concatenate([first, small.numbers_of(groups[1_000:], times[1_000:])]).tolist() == expected.tolist()
    )
    order = np.unique(expected, return_index=True)[1]
    assert small.groups.tolist() == groups[order].tolist()
    assert small.times.tolist() == times[order].tolist()


def number(**changes: object) -> int:
    given = {"groups": [0, 0], "times": [1, 2], "table": [-1] * 8, "place_groups": [0] * 4}
    given |= {"place_times": [0] * 4, "state": [0, 0], "numbers": [0, 0]} | changes
    kinds = {"groups": np.int32, "place_groups": np.int32}
    return buckets_groups.number_places(*(np.array(given[k], kinds.get(k, np.int64)) for k in given))


@pytest.mark.parametrize(
    "changes",
    [
        {"groups": [0]},
        {"numbers": [0]},
        {"place_times": [0]},
        {"state": [5, 0]},
        {"state": [-1, 0]},
        {"state": [0, 3]},
        {"table": []},
        {"table": [-1] * 7},
    ],
)
def test_places_that_do_not_fit_are_malformed(changes: dict[str, object]) -> None:
    assert number() == 2
    assert number(**changes) == kernels_status.MALFORMED


def test_a_table_that_is_full_or_broken_has_no_room() -> None:
    assert number(table=[-1, -1]) == 1
    assert number(place_groups=[], place_times=[]) == 0
    assert number(table=[9] * 8) == 0


@pytest.mark.parametrize(("numbers", "size"), [([0], 6), ([0, 2], 6), ([0, -1], 6)])
def test_values_that_do_not_fit_are_malformed(numbers: list[int], size: int) -> None:
    cells = np.zeros(size)
    assert buckets_groups.fold_values(np.array([0, 1]), np.ones(2), SUM, cells) == 2
    assert buckets_groups.fold_values(np.array(numbers), np.ones(2), SUM, cells) == kernels_status.MALFORMED
