"""Registers straight to buckets: against the steps one after another, and folded against rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_registers import intervals_room

from smartdata_ts.kernels import status as kernels_status
from smartdata_ts.kernels.buckets import groups as buckets_groups
from smartdata_ts.kernels.buckets import intervals as buckets_intervals
from smartdata_ts.kernels.codec.blocks import ReadingColumns
from smartdata_ts.kernels.registers import events as registers_events
from smartdata_ts.kernels.registers import meters as registers_meters
from smartdata_ts.kernels.registers import reduce as registers_reduce
from smartdata_ts.kernels.registers import target as registers_target

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

# Edges, or whose readings are the edges: then each of its intervals is a bucket of its own.
edges_or_meter = st.integers(0, 4) | st.lists(
    st.integers(-150, 900), min_size=2, max_size=30, unique=True
).map(sorted)


def edges_of(edges_or_meter: list[int] | int, bounds: np.ndarray, times: np.ndarray) -> np.ndarray:
    if isinstance(edges_or_meter, list):
        return np.array(edges_or_meter)
    meter = min(edges_or_meter, bounds.size - 2)
    edges = times[bounds[meter] : bounds[meter + 1]].copy()
    return edges if edges.size > 1 else np.array([0, 500])


def columns_of(
    meters: list[tuple[int, float, float, list[tuple[int, float, int]], bool]],
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Bounds, and times, values and qualities; of some meters all registers grow."""
    readings = [rows for *_, rows, _ in meters]
    bounds = np.cumsum([0] + [len(rows) for rows in readings])
    times, last = [], {}
    for slot, *_, rows, _ in meters:  # a slot's meters follow each other, mostly at one instant
        steps = [step for step, _, _ in rows]
        times.append(np.cumsum([last[slot], *steps[1:]] if slot in last else steps)[: len(steps)])
        last |= {slot: times[-1][-1]} if rows else {}
    times = [of_meter - 100 for of_meter in times]
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


def rows_sink(row_count: int, keep_empty: bool = False) -> buckets_intervals.RowSink:
    slots, buckets = np.full((2, row_count), -7)
    columns = np.full(6 * row_count, -7.0)
    return buckets_intervals.RowSink(slots, buckets, columns, np.arange(6), keep_empty)


def assert_same_rows(found: buckets_intervals.RowSink, expected: buckets_intervals.RowSink) -> None:
    np.testing.assert_array_equal(found.slots, expected.slots)
    np.testing.assert_array_equal(found.buckets, expected.buckets)
    np.testing.assert_array_equal(found.columns.view(np.int64), expected.columns.view(np.int64))


def meters_of(slots: object, *facts: object) -> registers_meters.Meters:
    """Moduli, multipliers, numerators and denominators."""
    columns = (np.ascontiguousarray(column, np.float64) for column in facts)
    return registers_meters.Meters(np.array(slots, np.int64), *columns)


def scratch_for(bounds: np.ndarray) -> np.ndarray:
    return np.empty(registers_meters.SCRATCH_FIELDS * max(int(np.diff(bounds).max()), 0), np.int64)


@given(
    meters_with_readings,
    edges_or_meter,
    st.sampled_from([(1.0, 1.0), (1.0, 1000.0), (7.0, 3.0)]),
    st.booleans(),
)
def test_registers_are_reduced_as_by_the_steps_one_after_another(
    meters: list[tuple[int, float, float, list[tuple[int, float, int]], bool]],
    edges_or_meter: list[int] | int,
    unit: tuple[float, float],
    keep_empty: bool,
) -> None:
    bounds, (times, values, qualities) = columns_of(meters)
    edges = edges_of(edges_or_meter, bounds, times)
    slots = np.array([meter[0] for meter in meters], np.int32)
    slots = np.unique(slots, return_inverse=True)[1].astype(np.int32)  # no slot is without a meter
    moduli, multipliers = np.ascontiguousarray(np.array([meter[1:3] for meter in meters]).T)
    count, bucket_count = times.size, edges.size - 1
    row_count = (int(slots[-1]) + 1) * bucket_count

    points, events = np.empty(count, np.int64), np.empty(count, np.uint8)
    made = registers_events.pick_readings(bounds, times, values, moduli, points, events)
    numbers = np.repeat(np.arange(len(meters), dtype=np.int32), np.diff(bounds))
    readings, between = ReadingColumns(times, values, qualities), intervals_room(count)
    facts = (moduli, multipliers)
    made = registers_events.intervals_between(points[:made], events, numbers, readings, *facts, between)
    of_meters, starts, ends, used, codes, _ = (column[:made] for column in between)
    own = np.searchsorted(slots[of_meters], np.arange(slots[-1] + 2))
    expected = rows_sink(row_count, keep_empty)
    intervals = buckets_intervals.Intervals(starts, ends, used * unit[0] / unit[1], codes)
    cells = np.full(bucket_count * buckets_intervals.AMOUNT_FIELDS, -7.0)
    rows = buckets_intervals.reduce_intervals(own, intervals, edges, cells, expected)

    found = rows_sink(row_count, keep_empty)
    own_meters = meters_of(slots, moduli, multipliers, *np.repeat([unit], len(meters), axis=0).T)
    fused = registers_reduce.reduce_registers(bounds, own_meters, readings, edges, scratch_for(bounds), found)
    assert fused == rows >= 0
    assert_same_rows(found, expected)


@pytest.mark.parametrize(
    "change",
    [
        {"bounds": [0, 3]},
        {"bounds": [0, 1, 5]},
        {"bounds": [-1, 1, 3]},
        {"bounds": [2, 1, 3]},
        {"times": [0, 0, 5]},
        {"times": [0, 5, 4], "slots": [0, 0]},
        {"values": [1.0]},
        {"qualities": [0]},
        {"bounds": []},
        {"slots": [0]},
        {"moduli": [0.0]},
        {"multipliers": [1.0] * 3},
        {"numerators": []},
        {"denominators": [1.0]},
        {"edges": [4]},
        {"room": 1},
        {"columns": 6},
        {"scratch": 15},
        {},
    ],
)
def test_registers_that_do_not_fit_are_malformed(change: dict[str, object]) -> None:
    given = {"bounds": [0, 2, 3], "times": [0, 5, 5], "values": [1.0, 2.0, 3.0], "qualities": [0, 0, 0]}
    given |= {"slots": [0, 1], "moduli": [0.0] * 2, "multipliers": [1.0] * 2}
    given |= {"numerators": [1.0] * 2, "denominators": [1.0] * 2}
    given |= {"edges": [0, 4, 9], "room": 9, "columns": 54, "scratch": 16} | change
    status = registers_reduce.reduce_registers(
        np.array(given["bounds"], np.int64),
        meters_of(*(given[name] for name in registers_meters.Meters._fields)),
        ReadingColumns(
            np.array(given["times"], np.int64),
            np.array(given["values"], np.float64),
            np.array(given["qualities"], np.uint8),
        ),
        np.array(given["edges"], np.int64),
        np.zeros(given["scratch"], np.int64),
        rows_sink(given["room"])._replace(columns=np.zeros(given["columns"]), fields=np.zeros(6, np.int64)),
    )
    assert (status == kernels_status.MALFORMED) == bool(change)


@given(
    meters_with_readings,
    edges_or_meter,
    st.sampled_from([buckets_groups.FOLD_SUM, buckets_groups.FOLD_MIN, buckets_groups.FOLD_MAX]),
    st.sampled_from([(0, -1), (0, 1), (1, 0)]),
    st.lists(st.integers(0, 2), min_size=3, max_size=3),
)
def test_rows_are_folded_as_by_places(
    meters: list[tuple[int, float, float, list[tuple[int, float, int]], bool]],
    edges_or_meter: list[int] | int,
    how: int,
    columns_to: tuple[int, int],
    groups: list[int],
) -> None:
    bounds, readings = columns_of(meters)
    edges = edges_of(edges_or_meter, bounds, readings[0])
    own_meters = meters_of(*np.array([meter[:3] for meter in meters]).T, *np.ones((2, len(meters))))
    bucket_count = edges.size - 1
    sink = rows_sink(3 * bucket_count)
    given = (bounds, own_meters, ReadingColumns(*readings), edges, scratch_for(bounds))
    count = registers_reduce.reduce_registers(*given, sink)
    slots, buckets = sink.slots[:count], sink.buckets[:count]
    rows = sink.columns.reshape(6, -1)[:, :count]

    fields = [buckets_intervals.EMIT_SUM, buckets_intervals.EMIT_COUNT]
    cell_size = (max(columns_to) + 1) * buckets_groups.FOLDED_FIELDS
    shape = (3, bucket_count, 1 + cell_size + registers_target.STEP_FIELDS)
    expected = np.zeros(shape)
    numbers = np.array(groups)[slots] * bucket_count + buckets
    expected[:, :, 0] = np.bincount(numbers, minlength=3 * bucket_count).reshape(3, bucket_count)
    for field, column in zip(fields, columns_to, strict=True):
        if column >= 0:
            own = np.zeros(3 * bucket_count * buckets_groups.FOLDED_FIELDS)
            buckets_groups.fold_values(
                numbers, rows[field].copy(), how if field == fields[0] else buckets_groups.FOLD_SUM, own
            )
            first = 1 + column * buckets_groups.FOLDED_FIELDS
            expected[:, :, first : first + buckets_groups.FOLDED_FIELDS] = own.reshape(3, bucket_count, -1)

    found = np.zeros(expected.size)
    sink = registers_target.GroupSink(np.array(groups), found, how, *columns_to)
    assert registers_reduce.fold_registers(*given, sink) == count
    by_field = found.reshape(3, shape[2], bucket_count)
    np.testing.assert_array_equal(by_field.transpose(0, 2, 1).view(np.int64), expected.view(np.int64))


@pytest.mark.parametrize(
    "change",
    [
        {"slots": [0, 2]},
        {"slots": [-1, 0]},
        {"groups": [0, 2]},
        {"groups": [0, -1]},
        {"groups": []},
        {"columns": [1, 0], "places": 35},
        {"columns": [2, 0]},
        {"columns": [0, 2]},
        {"places": 23},
        {"edges": [4]},
        {"times": [0, 0, 5]},
        {},
    ],
)
def test_folds_that_do_not_fit_are_malformed(change: dict[str, object]) -> None:
    given = {"slots": [0, 1], "groups": [1, 0], "columns": [0, -1], "places": 24}
    given |= {"edges": [0, 4, 9], "times": [0, 5, 5]} | change
    status = registers_reduce.fold_registers(
        np.array([0, 2, 3]),
        meters_of(given["slots"], np.zeros(2), *np.ones((3, 2))),
        ReadingColumns(np.array(given["times"]), np.array([1.0, 2.0, 3.0]), np.zeros(3, np.uint8)),
        np.array(given["edges"]),
        np.zeros(16, np.int64),
        registers_target.GroupSink(
            np.array(given["groups"], np.int64),
            np.zeros(given["places"]),
            buckets_groups.FOLD_SUM,
            *given["columns"],
        ),
    )
    assert (status == kernels_status.MALFORMED) == bool(change)
