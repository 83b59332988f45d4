"""Registers straight from blocks: against the same readings as columns; and what does not fit."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.encoded_blocks import INT64_MAX, INT64_MIN, Blocks, encode, examples
from test_register_amounts import (
    columns_of,
    edges_of,
    edges_or_meter,
    meters_of,
    meters_with_readings,
    rows_sink,
)

from smartdata_ts._meter import quality
from smartdata_ts.kernels import status as kernels_status
from smartdata_ts.kernels.buckets import groups as buckets_groups
from smartdata_ts.kernels.buckets.intervals import RowSink
from smartdata_ts.kernels.codec.blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    TIMES_OFFSET,
    VALUES_END,
    ReadingColumns,
)
from smartdata_ts.kernels.registers import blocks as registers_blocks
from smartdata_ts.kernels.registers import meters as registers_meters
from smartdata_ts.kernels.registers import reduce as registers_reduce
from smartdata_ts.kernels.registers import target as registers_target
from smartdata_ts.kernels.registers.lines import Span

MALFORMED_BLOCK = registers_blocks.MALFORMED_BLOCK
one_meter_a_slot = meters_with_readings.map(
    lambda meters: [(slot, *meter[1:]) for slot, meter in enumerate(meters)]
)


Exchange = tuple[int, float, float]  # time, final, initial


def facts_of(meters: list) -> registers_meters.Meters:
    facts = np.array([meter[:3] for meter in meters]).T
    return meters_of(*facts, *np.repeat([[1.0], [1000.0]], len(meters), axis=1))


def scratch_of(size: int) -> np.ndarray:
    """Whatever was there before, seen as doubles NaN."""
    return np.full(size, np.nan).view(np.int64)


def exchanges_of(exchanges: list[Exchange]) -> registers_blocks.Exchanges:
    """One a meter, of which a slot's first one is not looked at."""
    times, finals, initials = zip(*exchanges, strict=True)
    return registers_blocks.Exchanges(np.array(times, np.int64), np.array(finals), np.array(initials))


NO_EXCHANGE = (INT64_MIN, np.nan, np.nan)
ALWAYS = Span(INT64_MIN, INT64_MAX)


def groups_sink(slot_count: int, bucket_count: int) -> registers_target.GroupSink:
    groups = np.array([slot % 2 for slot in range(slot_count)])
    place_size = 1 + 2 * buckets_groups.FOLDED_FIELDS + registers_target.STEP_FIELDS
    places = np.zeros(2 * bucket_count * place_size)
    return registers_target.GroupSink(groups, places, buckets_groups.FOLD_SUM, 0, 1)


def sink_of_rows(slot_count: int, bucket_count: int) -> RowSink:
    return rows_sink(slot_count * bucket_count)


def assert_same(found: tuple, expected: tuple) -> None:
    """Both sinks hold the same, to the bit."""
    for field, name in zip(found, found._fields, strict=True):
        column = getattr(expected, name)
        if isinstance(field, np.ndarray):
            np.testing.assert_array_equal(field.view(np.int64), column.view(np.int64))


# Each with the kernel of columns, and what makes room for its rows.
KERNELS = {
    registers_blocks.reduce_register_blocks: (registers_reduce.reduce_registers, sink_of_rows),
    registers_blocks.fold_register_blocks: (registers_reduce.fold_registers, groups_sink),
}


@examples(150)
@given(
    one_meter_a_slot,
    edges_or_meter,
    st.lists(st.sampled_from([np.nan, np.inf, -np.inf]) | st.none(), max_size=40),
    st.integers(1, 20),
    st.sampled_from(list(KERNELS)),
)
def test_blocks_are_reduced_as_their_readings_are(
    meters, edges_or_meter, odd, block_size, block_kernel
) -> None:
    bounds, (times, values, qualities) = columns_of(meters)
    assume(times.size > 0)
    edges = edges_of(edges_or_meter, bounds, times)
    for k, value in enumerate(odd[: values.size]):
        values[k] = values[k] if value is None else value
    meter_of = np.repeat(np.arange(len(meters)), np.diff(bounds))
    starts = np.unique(np.concatenate([np.arange(a, b, block_size) for a, b in itertools.pairwise(bounds)]))
    starts = np.append(starts, times.size).astype(np.int64)
    slots = np.arange(len(meters) + 1)
    kernel, room_for = KERNELS[block_kernel]

    usable = np.isfinite(values) & quality.IS_READING[qualities]
    columns = ReadingColumns(times[usable], values[usable], qualities[usable])
    own = np.searchsorted(meter_of[usable], slots)
    expected = room_for(len(meters), edges.size - 1)
    scratch = scratch_of(30 * registers_meters.SCRATCH_FIELDS)
    count = kernel(own, facts_of(meters), columns, edges, scratch, expected)

    blocks = encode(times, values, qualities, starts)
    of_blocks = np.searchsorted(meter_of[starts[:-1]], slots)
    found = room_for(len(meters), edges.size - 1)
    scratch = scratch_of(32 * registers_blocks.BLOCK_SCRATCH_FIELDS)
    given_meters = (facts_of(meters), exchanges_of([NO_EXCHANGE] * len(meters)), ALWAYS)
    pairs = np.repeat(of_blocks, 2)[1:-1]
    assert block_kernel(blocks.encoded, pairs, *given_meters, edges, scratch, found) == count >= 0
    assert_same(found, expected)


@st.composite
def exchanged_series(draw) -> tuple[list, list, list[Exchange]]:
    """Some slots' readings (times, values), and each slot's meters with the exchanges they came with."""
    readings, meters, exchanges = [], [], []
    for slot in range(draw(st.integers(1, 3))):
        times = sorted(draw(st.sets(st.integers(0, 60), max_size=20)))
        values = [draw(st.integers(0, 50)) / 2 for _ in times]
        readings.append((times, values))
        for number, time in enumerate([INT64_MIN, *sorted(draw(st.sets(st.integers(-5, 65), max_size=4)))]):
            meters.append(
                (float(slot), draw(st.sampled_from([0.0, 100.0])), draw(st.sampled_from([1.0, 10.0])))
            )
            registers = (draw(st.integers(0, 50)) / 2, draw(st.integers(0, 50)) / 2)
            exchanges.append((time, *registers) if number else NO_EXCHANGE)
    return readings, meters, exchanges


def split_at_exchanges(
    readings: list, meters: list, exchanges: list[Exchange], taken: tuple[int, int]
) -> list[list]:
    """Each meter's readings (time, value), with what an exchange tells of its begin and of its end."""
    found = []
    for m, meter in enumerate(meters):
        begin, _, initial = exchanges[m]
        last = m + 1 == len(meters) or meters[m + 1][0] != meter[0]
        end, final, _ = (INT64_MAX, 0.0, 0.0) if last else exchanges[m + 1]
        rows = zip(*readings[int(meter[0])], strict=True)
        own = [row for row in rows if begin < row[0] < end and taken[0] <= row[0] <= taken[1]]
        before = [] if begin == INT64_MIN else [(begin, initial)]
        found.append([*before, *own, *([] if last else [(end, final)])])
    return found


@examples(200)
@given(
    exchanged_series(),
    st.integers(1, 20),
    st.integers(1, 30),
    st.tuples(st.integers(-5, 40) | st.just(INT64_MIN), st.integers(10, 65) | st.just(INT64_MAX)),
    st.sampled_from(list(KERNELS)),
)
def test_exchanged_meters_are_reduced_as_their_readings_are(
    series, block_size, width, taken, block_kernel
) -> None:
    readings, meters, exchanges = series
    slot_count = len(readings)
    assume(any(times for times, _ in readings))
    edges = np.arange(-10, 70 + width, width)
    kernel, room_for = KERNELS[block_kernel]
    split = split_at_exchanges(readings, meters, exchanges, taken)
    times, values = np.array([row for rows in split for row in rows] or np.empty((0, 2))).T
    columns = ReadingColumns(times.astype(np.int64), values.copy(), np.zeros(times.size, np.uint8))
    own = np.cumsum([0, *map(len, split)])
    expected = room_for(slot_count, edges.size - 1)
    scratch = scratch_of(30 * registers_meters.SCRATCH_FIELDS)
    count = kernel(own, facts_of(meters), columns, edges, scratch, expected)

    ends = np.cumsum([0, *(len(times) for times, _ in readings)]).tolist()
    starts = sorted({k for a, b in itertools.pairwise(ends) for k in range(a, b, block_size)})
    all_times, all_values = (np.concatenate([np.array(row[k]) for row in readings]) for k in (0, 1))
    blocks = encode(all_times, all_values, starts=[*starts, ends[-1]])
    of_slots = np.searchsorted(starts, ends)
    pairs = np.array([of_slots[[int(meter[0]), int(meter[0]) + 1]] for meter in meters]).ravel()
    found = room_for(slot_count, edges.size - 1)
    scratch = scratch_of(22 * registers_blocks.BLOCK_SCRATCH_FIELDS)
    given_meters = (facts_of(meters), exchanges_of(exchanges), Span(*taken))
    assert block_kernel(blocks.encoded, pairs, *given_meters, edges, scratch, found) == count >= 0
    assert_same(found, expected)


def two_blocks() -> Blocks:
    """One meter's, of four readings each, in order."""
    times = np.arange(8) * 10
    return encode(times, np.arange(8) * 1.5, starts=[0, 4, 8])


def status_of(blocks: Blocks, kernel, scratch: int = 10, **change) -> int:
    given = {"bounds": [0, 2], "edges": [0, 40, 80], "slots": 1} | change
    sink, facts = KERNELS[kernel][1](1, 2), facts_of([(change.get("slot", 0), 0.0, 1.0)])
    exchanges = exchanges_of([NO_EXCHANGE] * change.get("exchanges", 1))
    room = scratch_of(scratch * registers_blocks.BLOCK_SCRATCH_FIELDS)
    edges, bounds = np.array(given["edges"]), np.array(given["bounds"])
    return kernel(blocks.encoded, bounds, facts, exchanges, ALWAYS, edges, room, sink)


both = pytest.mark.parametrize("kernel", list(KERNELS))


@both
def test_blocks_that_are_malformed_are_told(kernel) -> None:
    assert status_of(two_blocks(), kernel) == 2
    for block in range(2):
        for field, hostile in [(COUNT, 0), (COUNT, 5), (COUNT, 99), (TIMES_OFFSET, -1), (VALUES_END, 10**9)]:
            blocks = two_blocks()
            blocks.descriptors[block * DESCRIPTOR_FIELDS + field] = hostile
            status = status_of(blocks, kernel)
            # Five readings of four are made up of the bytes behind; then there is no room for the others.
            assert status <= MALFORMED_BLOCK, (block, field, hostile)
            assert status == MALFORMED_BLOCK - block or hostile == 5
    out_of_order = two_blocks()
    rows = out_of_order.descriptors.reshape(2, -1)
    rows[:] = rows[::-1].copy()
    assert status_of(out_of_order, kernel) == MALFORMED_BLOCK - 1
    twice = two_blocks()
    twice.descriptors.reshape(2, -1)[1] = twice.descriptors.reshape(2, -1)[0]
    assert status_of(twice, kernel) == MALFORMED_BLOCK - 1
    assert status_of(two_blocks(), kernel, scratch=9) == MALFORMED_BLOCK - 1


@both
@pytest.mark.parametrize(
    "change",
    [
        {"bounds": [0, 3]},
        {"bounds": [-1, 2]},
        {"bounds": [2, 1]},
        {"bounds": [0, 1, 2]},
        {"scratch": 1},
        {"bounds": [0] * 99},
        {"edges": [4]},
        {"bounds": [0, INT64_MAX]},
        {"bounds": [INT64_MIN, 0]},
        {"exchanges": 2},
    ],
)
def test_what_does_not_fit_is_malformed(kernel, change) -> None:
    assert status_of(two_blocks(), kernel, **change) == kernels_status.MALFORMED


@pytest.mark.parametrize("slot", [-1, 1, 2**40])
def test_a_slot_that_has_no_place_is_malformed(slot: int) -> None:
    kernel = registers_blocks.fold_register_blocks
    assert status_of(two_blocks(), kernel, slot=slot) == kernels_status.MALFORMED


@both
@pytest.mark.parametrize("times", [(5, 5), (5, 4), (INT64_MAX, INT64_MIN)])
def test_exchanges_out_of_order_are_malformed(kernel, times: tuple[int, int]) -> None:
    blocks = two_blocks()
    exchanges = [NO_EXCHANGE, *((time, 1.0, 0.0) for time in times)]
    given_meters = (facts_of([(0, 0.0, 1.0)] * 3), exchanges_of(exchanges), ALWAYS)
    scratch = scratch_of(10 * registers_blocks.BLOCK_SCRATCH_FIELDS)
    sink, edges, bounds = KERNELS[kernel][1](1, 2), np.array([0, 40, 80]), np.array([0, 2] * 3)
    status = kernel(blocks.encoded, bounds, *given_meters, edges, scratch, sink)
    assert status == kernels_status.MALFORMED


@both
def test_every_flipped_bit_is_a_status_or_other_rows(kernel) -> None:
    blocks = two_blocks()
    for at in range(blocks.data.size):
        for bit in range(8):
            blocks.data[at] ^= 1 << bit
            assert MALFORMED_BLOCK - 1 <= status_of(blocks, kernel) <= 2
            blocks.data[at] ^= 1 << bit
    assert status_of(blocks, kernel) == 2
