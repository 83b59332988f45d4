"""Registers against a slow oracle, and amounts split at edges against fractions."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartdata_ts.kernels import registers

HOUR = 3_600_000_000
FIRST, NONE, ROLLOVER, BACKFLOW, RESET, FAULT = 255, 0, 1, 2, 3, 4


def picked(values: list[float], modulus: float = 0, step: int = HOUR) -> list[tuple[int, int]]:
    """(index, event) of the readings that count, of one series at even steps."""
    times = np.arange(len(values), dtype=np.int64) * step
    points, events = np.empty(len(values), np.int64), np.empty(len(values), np.uint8)
    bounds, moduli = np.array([0, len(values)], np.int64), np.array([float(modulus)])
    count = registers.pick_readings(bounds, times, np.array(values, np.float64), moduli, points, events)
    assert count >= 0
    return list(zip(points[:count].tolist(), events[:count].tolist(), strict=True))


def oracle(values: list[float], modulus: float, step: int) -> list[tuple[int, int]]:
    """The rules of the module's docstring, on lists."""
    kept: list[tuple[int, int]] = []
    k = 0
    while k < len(values):
        if not kept:
            kept.append((k, FIRST))
            k += 1
            continue
        old, new = values[kept[-1][0]], values[k]
        fall = old - new
        if fall <= 0:
            kept.append((k, NONE))
        elif modulus and 0.9 * modulus <= old < modulus and 0 <= new < 0.1 * modulus:
            kept.append((k, ROLLOVER))
        elif fall <= 0.005 * old:
            kept.append((k, BACKFLOW))
        else:
            later = range(k + 1, min(len(values), k + 65))
            back = [
                m
                for m in later
                if m - kept[-1][0] <= 24 * HOUR // step
                and values[m] >= old
                and values[m] - values[m - 1] >= fall
            ]
            jumps = [
                j
                for j in range(len(kept) - 1, 0, -1)
                if len(kept) - j <= 64
                and (k - kept[j - 1][0]) <= 24 * HOUR // step
                and values[kept[j - 1][0]] <= new
                and values[kept[j][0]] - values[kept[j - 1][0]] >= fall
            ]
            if jumps:
                del kept[jumps[0] :]
                kept.append((k, FAULT))
            elif back:
                k = back[0]
                kept.append((k, FAULT))
            else:
                kept.append((k, RESET))
        k += 1
    return kept


@pytest.mark.parametrize(
    ("values", "modulus", "expected"),
    [
        ([99999678, 123], 1e8, [(0, FIRST), (1, ROLLOVER)]),
        ([99999678, 123], 0, [(0, FIRST), (1, RESET)]),
        ([50000000, 123], 1e8, [(0, FIRST), (1, RESET)]),
        ([1000, 998, 1001], 0, [(0, FIRST), (1, BACKFLOW), (2, NONE)]),
        ([33000, 20712, 33001], 0, [(0, FIRST), (2, FAULT)]),
        ([207774, 456017, 207814, 456273, 207851], 0, [(0, FIRST), (2, FAULT), (4, FAULT)]),
        ([1000, 13288, 13289, 1002], 0, [(0, FIRST), (3, FAULT)]),
        ([5000, 5010, 0, 7], 0, [(0, FIRST), (1, NONE), (2, RESET), (3, NONE)]),
    ],
)
def test_what_happened_where_a_register_falls(
    values: list[float], modulus: float, expected: list[tuple[int, int]]
) -> None:
    assert picked(values, modulus) == expected


def test_a_register_that_is_back_only_after_a_day_was_reset() -> None:
    values = [5000.0, *[100.0 + k for k in range(30)], 5001.0]
    assert [event for _, event in picked(values)].count(RESET) == 1


@given(
    st.lists(st.integers(0, 1200).map(float), max_size=40),
    st.sampled_from([0.0, 1000.0]),
    st.sampled_from([HOUR // 60, HOUR, 9 * HOUR]),
)
def test_picked_readings_are_those_of_the_oracle(values: list[float], modulus: float, step: int) -> None:
    assert picked(values, modulus, step) == oracle(values, modulus, step)


FIELDS = {"sum": 0, "count": 1, "min": 2, "max": 3, "covered": 4, "estimated": 5}


def reduced(
    rows: list[tuple[int, int, int, float]],
    edges: list[int],
    slot_count: int,
    wanted: tuple[str, ...] = tuple(FIELDS),
    keep_empty: bool = False,
    quality: int = 65,
) -> tuple[int, dict[tuple[int, int], dict[str, float]]]:
    """Each row that the kernel gives, by slot and bucket."""
    rows = sorted(rows, key=lambda row: row[:2])
    slots, starts, ends, values = zip(*rows, strict=True) if rows else [()] * 4
    bounds = np.searchsorted(slots, np.arange(slot_count + 1)) if rows else np.zeros(slot_count + 1)
    room, cell_size = slot_count * max(len(edges) - 1, 0), max(len(edges) - 1, 0) * registers.CELL_FIELDS
    control = np.zeros(registers.REDUCE_FIELDS + 2 * room, np.int64)
    control[registers.KEEP_EMPTY] = keep_empty
    control[1 : registers.REDUCE_FIELDS] = [wanted.index(name) if name in wanted else -1 for name in FIELDS]
    columns = np.full(cell_size + len(wanted) * room, -7.0)
    count = registers.reduce_intervals(
        bounds.astype(np.int64),
        np.array(starts, np.int64),
        np.array(ends, np.int64),
        np.array(values, np.float64),
        np.full(len(rows), quality, np.uint8),
        np.array(edges, np.int64),
        control,
        columns,
    )
    found = {}
    for row in range(max(count, 0)):
        place = control[registers.REDUCE_FIELDS + row], control[registers.REDUCE_FIELDS + room + row]
        told = {name: columns[cell_size + k * room + row] for k, name in enumerate(wanted)}
        found[int(place[0]), int(place[1])] = told
    assert len(found) == max(count, 0)
    return count, found


rows_of_intervals = st.lists(
    st.tuples(
        st.integers(0, 1), st.integers(-50, 50), st.integers(1, 40), st.floats(-1e6, 1e6) | st.just(math.nan)
    ).map(lambda row: (row[0], row[1], row[1] + row[2], row[3])),
    max_size=12,
)


@given(rows_of_intervals, st.lists(st.integers(-60, 60), min_size=2, max_size=12, unique=True).map(sorted))
def test_shares_are_those_of_fractions(rows: list[tuple[int, int, int, float]], edges: list[int]) -> None:
    _, found = reduced(rows, edges, 2)
    assert list(found) == sorted(found)
    for slot in range(2):
        amounts = [row for row in rows if row[0] == slot and not math.isnan(row[3])]
        for bucket, (low, high) in enumerate(itertools.pairwise(edges)):
            overlaps = [(max(min(e, high) - max(s, low), 0), e - s, v) for _, s, e, v in amounts]
            covered = sum(o for o, _, _ in overlaps)
            assert ((slot, bucket) in found) == (covered > 0)
            if not covered:
                continue
            cell = found[slot, bucket]
            exact = sum((Fraction(v) * o / n for o, n, v in overlaps), Fraction(0))
            size = sum(abs(v) for o, _, v in overlaps if o)
            assert abs(cell["sum"] - float(exact)) <= 1e-14 * size
            assert cell["covered"] == cell["estimated"] == covered
            begun = [v for _, s, _, v in amounts if low <= s < high]
            assert cell["count"] == len(begun)
            if begun:
                assert (cell["min"], cell["max"]) == (min(begun), max(begun))
            else:
                assert math.isnan(cell["min"])
                assert math.isnan(cell["max"])


@given(rows_of_intervals, st.sets(st.sampled_from(sorted(FIELDS)), min_size=1))
def test_what_is_asked_for_is_what_it_is_among_all(
    rows: list[tuple[int, int, int, float]], names: set[str]
) -> None:
    edges, wanted = [-20, 0, 7, 30], tuple(sorted(names))
    _, every = reduced(rows, edges, 3, keep_empty=True, quality=0)
    count, some = reduced(rows, edges, 3, wanted, keep_empty=True, quality=0)
    assert count == 9
    for place, told in every.items():
        assert told["estimated"] == 0
        np.testing.assert_equal(some[place], {name: told[name] for name in wanted})


@pytest.mark.parametrize(("rows", "edges"), [([(0, 5, 5, 1.0)], [0, 9]), ([], [0])])
def test_columns_that_do_not_fit_are_malformed(
    rows: list[tuple[int, int, int, float]], edges: list[int]
) -> None:
    assert reduced(rows, edges, 2)[0] == registers.MALFORMED


@pytest.mark.parametrize(
    ("bounds", "room", "columns"),
    [([0, 3], 9, 99), ([1, 0, 2], 9, 99), ([-1, 2], 9, 99), ([], 9, 99), ([0, 2], 0, 99), ([0, 2], 9, 20)],
)
def test_rooms_that_do_not_fit_are_malformed(bounds: list[int], room: int, columns: int) -> None:
    control = np.zeros(registers.REDUCE_FIELDS + 2 * room, np.int64)
    instants, edges = np.array([0, 5]), np.array([0, 4, 9])
    rows = (instants, instants + 5, np.ones(2), np.zeros(2, np.uint8))
    status = registers.reduce_intervals(np.array(bounds, np.int64), *rows, edges, control, np.zeros(columns))
    assert status == registers.MALFORMED


def test_intervals_between_points() -> None:
    points, events = np.array([0, 1, 3, 4, 5, 6]), np.array([255, 0, 2, 255, 1, 3], np.uint8)
    slots = np.array([0, 0, 0, 0, 1, 1, 1], np.int32)
    times, values = np.arange(7) * 10, np.array([1.0, 4.0, 99.0, 3.5, 98.0, 2.0, 1.0])
    qualities = np.array([0, 65, 0, 0, 0, 3, 7], np.uint8)
    meters = np.array([0.0, 100.0, 2.0, 0.5])
    intervals = np.empty(24, np.int64)
    columns = (slots, times, values, qualities)
    count = registers.intervals_between(points, events, *columns, meters, intervals)
    rows = intervals.reshape(4, 6)[:, :count]
    assert rows[:2].T.tolist() == [[0, 10], [10, 30], [40, 50], [50, 60]]
    np.testing.assert_array_equal(rows[2].view(float), [6.0, -1.0, 2.0, np.nan])
    assert (rows[3] >> 16).tolist() == [0, 0, 1, 1]
    assert (rows[3] >> 8 & 255).tolist() == [65, 5, 0, 5]
    assert (rows[3] & 255).tolist() == [0, 2, 1, 3]
    for broken in (
        (np.array([0, 7]), events, *columns, meters, intervals),
        (points, events[:3], *columns, meters, intervals),
        (points, np.zeros(6, np.uint8), *columns, meters, intervals),
        (points, events, *columns, meters[:2], intervals),
        (points, events, *columns, meters, intervals[:20]),
        (points, events, slots, times, values[:5], qualities, meters, intervals),
    ):
        assert registers.intervals_between(*broken) == registers.MALFORMED


@pytest.mark.parametrize("bounds", [[0, 3], [1, 2], [0], [0, 2, 1], [0, 3, 2], [-1, 2]])
def test_bounds_that_do_not_fit_are_malformed(bounds: list[int]) -> None:
    count = registers.pick_readings(
        np.array(bounds, np.int64),
        np.zeros(2, np.int64),
        np.zeros(2),
        np.zeros(max(len(bounds) - 1, 1)),
        np.empty(2, np.int64),
        np.empty(2, np.uint8),
    )
    assert count == registers.MALFORMED
