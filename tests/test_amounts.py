"""Amounts over buckets: of intervals against fractions, of registers against the steps one after another."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartdata_ts.kernels import amounts, registers

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
    room, cell_size = slot_count * max(len(edges) - 1, 0), max(len(edges) - 1, 0) * amounts.CELL_FIELDS
    control = np.zeros(amounts.REDUCE_FIELDS + 2 * room, np.int64)
    control[amounts.KEEP_EMPTY] = keep_empty
    control[1 : amounts.REDUCE_FIELDS] = [wanted.index(name) if name in wanted else -1 for name in FIELDS]
    columns = np.full(cell_size + len(wanted) * room, -7.0)
    count = amounts.reduce_intervals(
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
        place = control[amounts.REDUCE_FIELDS + row], control[amounts.REDUCE_FIELDS + room + row]
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
        own = [row for row in rows if row[0] == slot and not math.isnan(row[3])]
        for bucket, (low, high) in enumerate(itertools.pairwise(edges)):
            overlaps = [(max(min(e, high) - max(s, low), 0), e - s, v) for _, s, e, v in own]
            covered = sum(o for o, _, _ in overlaps)
            assert ((slot, bucket) in found) == (covered > 0)
            if not covered:
                continue
            cell = found[slot, bucket]
            exact = sum((Fraction(v) * o / n for o, n, v in overlaps), Fraction(0))
            size = sum(abs(v) for o, _, v in overlaps if o)
            assert abs(cell["sum"] - float(exact)) <= 1e-14 * size
            assert cell["covered"] == cell["estimated"] == covered
            begun = [v for _, s, _, v in own if low <= s < high]
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
    assert reduced(rows, edges, 2)[0] == amounts.MALFORMED


@pytest.mark.parametrize(
    ("bounds", "room", "columns"),
    [([0, 3], 9, 99), ([1, 0, 2], 9, 99), ([-1, 2], 9, 99), ([], 9, 99), ([0, 2], 0, 99), ([0, 2], 9, 20)],
)
def test_rooms_that_do_not_fit_are_malformed(bounds: list[int], room: int, columns: int) -> None:
    control = np.zeros(amounts.REDUCE_FIELDS + 2 * room, np.int64)
    instants, edges = np.array([0, 5]), np.array([0, 4, 9])
    rows = (instants, instants + 5, np.ones(2), np.zeros(2, np.uint8))
    status = amounts.reduce_intervals(np.array(bounds, np.int64), *rows, edges, control, np.zeros(columns))
    assert status == amounts.MALFORMED


# Per meter: its slot, modulus, multiplier, and (step, register, quality) of every reading.
meters_with_readings = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([0.0, 1000.0]),
        st.sampled_from([1.0, 0.1]),
        st.lists(
            st.tuples(
                st.integers(1, 40), st.floats(0, 1200) | st.integers(0, 1200).map(float), st.integers(0, 8)
            ),
            max_size=30,
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
).map(lambda meters: sorted(meters, key=lambda meter: meter[0]))


def columns_of(
    meters: list[tuple[int, float, float, list[tuple[int, float, int]], bool]],
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Bounds, and times, values and qualities; of some meters all registers grow."""
    readings = [rows for *_, rows, _ in meters]
    bounds = np.cumsum([0] + [len(rows) for rows in readings])
    times = [np.cumsum([step for step, _, _ in rows]) - 100 for rows in readings]
    values = [
        np.sort([value for _, value, _ in rows]) if grows else [value for _, value, _ in rows]
        for *_, rows, grows in meters
    ]
    qualities = [[quality for _, _, quality in rows] for rows in readings]
    return bounds, (
        np.concatenate(times).astype(np.int64),
        np.concatenate(values).astype(np.float64),
        np.concatenate(qualities).astype(np.uint8),
    )


def room_for(row_count: int, bucket_count: int, keep_empty: bool) -> tuple[np.ndarray, np.ndarray]:
    control = np.full(amounts.REDUCE_FIELDS + 2 * row_count, -7, np.int64)
    control[amounts.KEEP_EMPTY] = keep_empty
    control[1 : amounts.REDUCE_FIELDS] = range(6)
    return control, np.full(bucket_count * amounts.CELL_FIELDS + 6 * row_count, -7.0)


@given(
    meters_with_readings,
    st.lists(st.integers(-150, 900), min_size=2, max_size=30, unique=True).map(sorted),
    st.sampled_from([(1.0, 1.0), (1.0, 1000.0), (7.0, 3.0)]),
    st.booleans(),
)
def test_registers_are_reduced_as_by_the_steps_one_after_another(
    meters: list[tuple[int, float, float, list[tuple[int, float, int]], bool]],
    edges: list[int],
    unit: tuple[float, float],
    keep_empty: bool,
) -> None:
    bounds, (times, values, qualities) = columns_of(meters)
    slots = np.array([meter[0] for meter in meters], np.int32)
    slots = np.unique(slots, return_inverse=True)[1].astype(np.int32)  # no slot is without a meter
    moduli, multipliers = np.ascontiguousarray(np.array([meter[1:3] for meter in meters]).T)
    count, bucket_count = times.size, len(edges) - 1
    row_count = (int(slots[-1]) + 1) * bucket_count

    points, events, found = (
        np.empty(count, np.int64),
        np.empty(count, np.uint8),
        np.empty(4 * count, np.int64),
    )
    made = registers.pick_readings(bounds, times, values, moduli, points, events)
    numbers = np.repeat(np.arange(len(meters), dtype=np.int32), np.diff(bounds))
    facts = np.concatenate([moduli, multipliers])
    columns = (numbers, times, values, qualities)
    made = registers.intervals_between(points[:made], events, *columns, facts, found)
    starts, ends, used, told = found[: 4 * (count if count else 0)].reshape(4, count)[:, :made]
    used = used.view(np.float64) * unit[0] / unit[1]
    own = np.searchsorted(slots[told >> 16], np.arange(slots[-1] + 2))
    control, cells = room_for(row_count, bucket_count, keep_empty)
    codes = (told >> 8).astype(np.uint8)
    rows = amounts.reduce_intervals(own, starts, ends, used, codes, np.array(edges), control, cells)

    fused_control, fused_cells = room_for(row_count, bucket_count, keep_empty)
    scratch = np.empty(amounts.SCRATCH_FIELDS * max(int(np.diff(bounds).max()), 0))
    factors = np.repeat(unit, len(meters))
    fused = amounts.reduce_registers(
        bounds,
        np.concatenate([slots, facts, factors, scratch]),
        *(times, values, qualities),
        np.array(edges),
        fused_control,
        fused_cells,
    )
    assert fused == rows >= 0
    np.testing.assert_array_equal(fused_control, control)
    first = bucket_count * amounts.CELL_FIELDS
    np.testing.assert_array_equal(fused_cells[first:].view(np.int64), cells[first:].view(np.int64))


@pytest.mark.parametrize(
    "change",
    [
        {"bounds": [0, 3]},
        {"bounds": [0, 1, 5]},
        {"bounds": [-1, 1, 3]},
        {"bounds": [2, 1, 3]},
        {"times": [0, 0, 5]},
        {"values": [1.0]},
        {"qualities": [0]},
        {"bounds": []},
        {"meters": [0.0] * 9},
        {"edges": [4]},
        {"room": 1},
        {"cells": 20},
        {"scratch": 13},
        {},
    ],
)
def test_registers_that_do_not_fit_are_malformed(change: dict[str, object]) -> None:
    given = {"bounds": [0, 2, 3], "times": [0, 5, 5], "values": [1.0, 2.0, 3.0], "qualities": [0, 0, 0]}
    given |= {
        "meters": [0.0, 1.0] + [0.0] * 2 + [1.0] * 6,
        "edges": [0, 4, 9],
        "room": 9,
        "cells": 99,
        "scratch": 14,
    }
    given |= change
    control = np.zeros(amounts.REDUCE_FIELDS + 2 * given["room"], np.int64)
    status = amounts.reduce_registers(
        np.array(given["bounds"], np.int64),
        np.array(given["meters"] + [0.0] * given["scratch"]),
        np.array(given["times"], np.int64),
        np.array(given["values"], np.float64),
        np.array(given["qualities"], np.uint8),
        np.array(given["edges"], np.int64),
        control,
        np.zeros(given["cells"]),
    )
    assert (status == amounts.MALFORMED) == bool(change)
