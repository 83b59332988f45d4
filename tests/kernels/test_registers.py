"""Registers against a slow oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartdata_ts.kernels import status as kernels_status
from smartdata_ts.kernels.codec.blocks import ReadingColumns
from smartdata_ts.kernels.registers import events as registers_events

HOUR = 3_600_000_000
FIRST, NONE, ROLLOVER, BACKFLOW, RESET, FAULT = 255, 0, 1, 2, 3, 4


def picked(values: list[float], modulus: float = 0, step: int = HOUR) -> list[tuple[int, int]]:
    """(index, event) of the readings that count, of one series at even steps."""
    times = np.arange(len(values), dtype=np.int64) * step
    points, events = np.empty(len(values), np.int64), np.empty(len(values), np.uint8)
    bounds, moduli = np.array([0, len(values)], np.int64), np.array([float(modulus)])
    count = registers_events.pick_readings(
        bounds, times, np.array(values, np.float64), moduli, points, events
    )
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


def intervals_room(size: int) -> registers_events.MeterIntervals:
    dtypes = (np.int32, np.int64, np.int64, np.float64, np.uint8, np.uint8)
    return registers_events.MeterIntervals(*(np.empty(size, dtype) for dtype in dtypes))


def test_intervals_between_points() -> None:
    points, events = np.array([0, 1, 3, 4, 5, 6]), np.array([255, 0, 2, 255, 1, 3], np.uint8)
    slots = np.array([0, 0, 0, 0, 1, 1, 1], np.int32)
    times, values = np.arange(7) * 10, np.array([1.0, 4.0, 99.0, 3.5, 98.0, 2.0, 1.0])
    qualities = np.array([0, 65, 0, 0, 0, 3, 7], np.uint8)
    moduli, multipliers = np.array([0.0, 100.0]), np.array([2.0, 0.5])
    intervals = intervals_room(6)
    readings = ReadingColumns(times, values, qualities)
    columns, meters = (slots, readings), (moduli, multipliers)
    count = registers_events.intervals_between(points, events, *columns, *meters, intervals)
    rows = registers_events.MeterIntervals(*(column[:count] for column in intervals))
    assert rows.starts.tolist() == [0, 10, 40, 50]
    assert rows.ends.tolist() == [10, 30, 50, 60]
    np.testing.assert_array_equal(rows.amounts, [6.0, -1.0, 2.0, np.nan])
    assert rows.slots.tolist() == [0, 0, 1, 1]
    assert rows.qualities.tolist() == [65, 5, 0, 5]
    assert rows.events.tolist() == [0, 2, 1, 3]
    for broken in (
        (np.array([0, 7]), events, *columns, *meters, intervals),
        (points, events[:3], *columns, *meters, intervals),
        (points, np.zeros(6, np.uint8), *columns, *meters, intervals),
        (points, events, *columns, moduli[:1], multipliers[:1], intervals),
        (points, events, *columns, moduli, multipliers[:1], intervals),
        (points, events, *columns, *meters, intervals_room(5)),
        (points, events, *columns, *meters, intervals._replace(events=intervals.events[:5])),
        (points, events, slots, ReadingColumns(times, values[:5], qualities), *meters, intervals),
    ):
        assert registers_events.intervals_between(*broken) == kernels_status.MALFORMED


@pytest.mark.parametrize("bounds", [[0, 3], [1, 2], [0], [0, 2, 1], [0, 3, 2], [-1, 2]])
def test_bounds_that_do_not_fit_are_malformed(bounds: list[int]) -> None:
    count = registers_events.pick_readings(
        np.array(bounds, np.int64),
        np.zeros(2, np.int64),
        np.zeros(2),
        np.zeros(max(len(bounds) - 1, 1)),
        np.empty(2, np.int64),
        np.empty(2, np.uint8),
    )
    assert count == kernels_status.MALFORMED
