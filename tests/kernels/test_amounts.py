"""Amounts of intervals over buckets, against fractions."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartdata_ts.kernels import status as kernels_status
from smartdata_ts.kernels.buckets import intervals as buckets_intervals

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
    room = slot_count * max(len(edges) - 1, 0)
    fields = np.array([wanted.index(name) if name in wanted else -1 for name in FIELDS])
    row_slots, buckets, columns = (
        np.zeros(room, np.int64),
        np.zeros(room, np.int64),
        np.full(len(wanted) * room, -7.0),
    )
    count = buckets_intervals.reduce_intervals(
        bounds.astype(np.int64),
        buckets_intervals.Intervals(
            np.array(starts, np.int64),
            np.array(ends, np.int64),
            np.array(values, np.float64),
            np.full(len(rows), quality, np.uint8),
        ),
        np.array(edges, np.int64),
        np.full(max(len(edges) - 1, 0) * buckets_intervals.AMOUNT_FIELDS, -7.0),
        buckets_intervals.RowSink(row_slots, buckets, columns, fields, keep_empty),
    )
    found = {}
    for row in range(max(count, 0)):
        told = {name: columns[k * room + row] for k, name in enumerate(wanted)}
        found[int(row_slots[row]), int(buckets[row])] = told
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
    assert reduced(rows, edges, 2)[0] == kernels_status.MALFORMED


@pytest.mark.parametrize(
    "change",
    [
        {"bounds": [0, 3]},
        {"bounds": [1, 0, 2]},
        {"bounds": [-1, 2]},
        {"bounds": []},
        {"room": 0},
        {"columns": 6},
        {"cells": 13},
        {"buckets": 8},
        {"fields": 5},
        {},
    ],
)
def test_rooms_that_do_not_fit_are_malformed(change: dict[str, object]) -> None:
    given = {"bounds": [0, 2], "room": 9, "columns": 99, "cells": 14, "fields": 6} | change
    instants, edges = np.array([0, 5]), np.array([0, 4, 9])
    room, buckets = given["room"], given.get("buckets", given["room"])
    sink = buckets_intervals.RowSink(
        np.zeros(room, np.int64),
        np.zeros(buckets, np.int64),
        np.zeros(given["columns"]),
        np.zeros(given["fields"], np.int64),
        False,
    )
    status = buckets_intervals.reduce_intervals(
        np.array(given["bounds"], np.int64),
        buckets_intervals.Intervals(instants, instants + 5, np.ones(2), np.zeros(2, np.uint8)),
        edges,
        np.zeros(given["cells"]),
        sink,
    )
    assert (status == kernels_status.MALFORMED) == bool(change)
