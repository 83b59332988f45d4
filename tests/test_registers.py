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


def split(
    rows: list[tuple[int, int, int, float]], edges: list[int], slot_count: int
) -> tuple[int, np.ndarray]:
    cells = np.zeros((slot_count, max(len(edges) - 1, 0), registers.CELL_FIELDS))
    slots, starts, ends, values = zip(*rows, strict=True) if rows else [()] * 4
    status = registers.split_at_edges(
        np.array(slots, np.int32),
        np.array(starts, np.int64),
        np.array(ends, np.int64),
        np.array(values, np.float64),
        np.ones(len(rows), np.uint8),
        np.array(edges, np.int64),
        cells.reshape(-1),
    )
    return status, cells


rows_of_intervals = st.lists(
    st.tuples(
        st.integers(0, 1), st.integers(-50, 50), st.integers(1, 40), st.floats(-1e6, 1e6) | st.just(math.nan)
    ).map(lambda row: (row[0], row[1], row[1] + row[2], row[3])),
    max_size=12,
)


@given(rows_of_intervals, st.lists(st.integers(-60, 60), min_size=2, max_size=12, unique=True).map(sorted))
def test_shares_are_those_of_fractions(rows: list[tuple[int, int, int, float]], edges: list[int]) -> None:
    status, cells = split(rows, edges, 2)
    assert status == len(rows)
    for slot in range(2):
        amounts = [row for row in rows if row[0] == slot and not math.isnan(row[3])]
        for bucket, (low, high) in enumerate(itertools.pairwise(edges)):
            cell = cells[slot, bucket]
            overlaps = [(max(min(e, high) - max(s, low), 0), e - s, v) for _, s, e, v in amounts]
            exact = sum((Fraction(v) * o / n for o, n, v in overlaps), Fraction(0))
            size = sum(abs(v) for o, _, v in overlaps if o)
            got = cell[registers.CELL_SUM] + cell[registers.CELL_LOST]
            assert abs(got - float(exact)) <= 1e-14 * size
            assert cell[registers.CELL_COVERED] == sum(o for o, _, _ in overlaps)
            begun = [v for _, s, _, v in amounts if low <= s < high]
            assert cell[registers.CELL_COUNT] == len(begun)
            if begun:
                assert cell[registers.CELL_MIN] == min(begun)
                assert cell[registers.CELL_MAX] == max(begun)


@pytest.mark.parametrize(
    ("rows", "edges"),
    [([(2, 0, 1, 1.0)], [0, 9]), ([(-1, 0, 1, 1.0)], [0, 9]), ([(0, 5, 5, 1.0)], [0, 9]), ([], [0])],
)
def test_columns_that_do_not_fit_are_malformed(
    rows: list[tuple[int, int, int, float]], edges: list[int]
) -> None:
    assert split(rows, edges, 2)[0] == registers.MALFORMED


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
