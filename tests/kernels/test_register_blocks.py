"""Registers straight from blocks: against the same readings as columns; and what does not fit."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.encoded_blocks import INT64_MAX, INT64_MIN, Blocks, encode, examples
from test_register_amounts import columns_of, edges_of, edges_or_meter, meters_with_readings

from smartdata_ts._meter import quality
from smartdata_ts.kernels import status as kernels_status
from smartdata_ts.kernels.buckets import groups as buckets_groups
from smartdata_ts.kernels.buckets import intervals as buckets_intervals
from smartdata_ts.kernels.codec.blocks import COUNT, DESCRIPTOR_FIELDS, TIMES_OFFSET, VALUES_END
from smartdata_ts.kernels.registers import blocks as registers_blocks
from smartdata_ts.kernels.registers import meters as registers_meters
from smartdata_ts.kernels.registers import reduce as registers_reduce
from smartdata_ts.kernels.registers import target as registers_target

MALFORMED_BLOCK = registers_blocks.MALFORMED_BLOCK
one_meter_a_slot = meters_with_readings.map(
    lambda meters: [(slot, *meter[1:]) for slot, meter in enumerate(meters)]
)


Exchange = tuple[int, float, float]  # time, final, initial


def facts_of(
    meters: list,
    scratch_size: int,
    exchanges: list[Exchange] | None = None,
    taken: tuple[int, int] = (INT64_MIN, INT64_MAX),
) -> np.ndarray:
    """What kernels are told; with exchanges, one a meter, of which a slot's first one is not looked at."""
    facts = [*np.array([meter[:3] for meter in meters]).T, *np.repeat([[1.0], [1000.0]], len(meters), axis=1)]
    if exchanges is not None:
        times, finals, initials = zip(*exchanges, strict=True)
        facts += [*np.repeat([taken], len(meters), axis=0).T.copy().view(np.float64)]
        facts += [np.array(times, np.int64).view(np.float64), np.array(finals), np.array(initials)]
    return np.concatenate([*facts, np.full(scratch_size, np.nan)])


NO_EXCHANGE = (INT64_MIN, np.nan, np.nan)


def fold_room(slot_count: int, bucket_count: int) -> tuple[np.ndarray, np.ndarray]:
    control = np.full(registers_target.FOLD_FIELDS + slot_count, -1)
    control[
        [buckets_intervals.KEEP_EMPTY, 1 + buckets_intervals.EMIT_SUM, 1 + buckets_intervals.EMIT_COUNT]
    ] = 0, 0, 1
    control[registers_target.FOLD_HOW :] = buckets_groups.FOLD_SUM, *(slot % 2 for slot in range(slot_count))
    return control, np.zeros(
        2 * bucket_count * (1 + 2 * buckets_groups.CELL_FIELDS + registers_target.STEP_FIELDS)
    )


def row_room(slot_count: int, bucket_count: int) -> tuple[np.ndarray, np.ndarray]:
    row_count = slot_count * bucket_count
    control = np.full(buckets_intervals.REDUCE_FIELDS + 2 * row_count, -7)
    control[: buckets_intervals.REDUCE_FIELDS] = False, *range(6)
    return control, np.full(bucket_count * buckets_intervals.CELL_FIELDS + 6 * row_count, -7.0)


# Each with the kernel of columns, and what makes room for its rows.
KERNELS = {
    registers_blocks.reduce_register_blocks: (registers_reduce.reduce_registers, row_room),
    registers_blocks.fold_register_blocks: (registers_reduce.fold_registers, fold_room),
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
    columns = (times[usable], values[usable], qualities[usable])
    own = np.searchsorted(meter_of[usable], slots)
    control, expected = room_for(len(meters), edges.size - 1)
    facts = facts_of(meters, 30 * registers_meters.SCRATCH_FIELDS)
    count = kernel(own, facts, *columns, edges, control, expected)

    blocks = encode(times, values, qualities, starts)
    of_blocks = np.searchsorted(meter_of[starts[:-1]], slots)
    found_control, found = room_for(len(meters), edges.size - 1)
    facts = facts_of(meters, 32 * registers_blocks.BLOCK_SCRATCH_FIELDS, [NO_EXCHANGE] * len(meters))
    payloads = (blocks.data, blocks.descriptors, blocks.tables)
    pairs = np.repeat(of_blocks, 2)[1:-1]
    assert block_kernel(*payloads, pairs, facts, edges, found_control, found) == count >= 0
    np.testing.assert_array_equal(found_control, control)
    np.testing.assert_array_equal(found.view(np.int64), expected.view(np.int64))


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
    columns = (times.astype(np.int64), values.copy(), np.zeros(times.size, np.uint8))
    own = np.cumsum([0, *map(len, split)])
    control, expected = room_for(slot_count, edges.size - 1)
    count = kernel(
        own, facts_of(meters, 30 * registers_meters.SCRATCH_FIELDS), *columns, edges, control, expected
    )

    ends = np.cumsum([0, *(len(times) for times, _ in readings)]).tolist()
    starts = sorted({k for a, b in itertools.pairwise(ends) for k in range(a, b, block_size)})
    all_times, all_values = (np.concatenate([np.array(row[k]) for row in readings]) for k in (0, 1))
    blocks = encode(all_times, all_values, starts=[*starts, ends[-1]])
    of_slots = np.searchsorted(starts, ends)
    pairs = np.array([of_slots[[int(meter[0]), int(meter[0]) + 1]] for meter in meters]).ravel()
    found_control, found = room_for(slot_count, edges.size - 1)
    facts = facts_of(meters, 22 * registers_blocks.BLOCK_SCRATCH_FIELDS, exchanges, taken)
    payloads = (blocks.data, blocks.descriptors, blocks.tables)
    assert block_kernel(*payloads, pairs, facts, edges, found_control, found) == count >= 0
    np.testing.assert_array_equal(found_control, control)
    np.testing.assert_array_equal(found.view(np.int64), expected.view(np.int64))


def two_blocks() -> Blocks:
    """One meter's, of four readings each, in order."""
    times = np.arange(8) * 10
    return encode(times, np.arange(8) * 1.5, starts=[0, 4, 8])


def status_of(blocks: Blocks, kernel, scratch: int = 10, **change) -> int:
    given = {"bounds": [0, 2], "edges": [0, 40, 80], "slots": 1} | change
    control, columns = KERNELS[kernel][1](1, 2)
    meter = (0.0, 0.0, 1.0)
    facts = facts_of([meter], scratch * registers_blocks.BLOCK_SCRATCH_FIELDS, [NO_EXCHANGE])
    facts[0] = change.get("slot", 0.0)
    payloads = (blocks.data, blocks.descriptors, blocks.tables)
    return kernel(*payloads, np.array(given["bounds"]), facts, np.array(given["edges"]), control, columns)


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
    ],
)
def test_what_does_not_fit_is_malformed(kernel, change) -> None:
    assert status_of(two_blocks(), kernel, **change) == kernels_status.MALFORMED


@pytest.mark.parametrize("slot", [-1.0, 1.0, np.nan])
def test_a_slot_that_has_no_place_is_malformed(slot: float) -> None:
    kernel = registers_blocks.fold_register_blocks
    assert status_of(two_blocks(), kernel, slot=slot) == kernels_status.MALFORMED


@both
@pytest.mark.parametrize("times", [(5, 5), (5, 4), (INT64_MAX, INT64_MIN)])
def test_exchanges_out_of_order_are_malformed(kernel, times: tuple[int, int]) -> None:
    blocks = two_blocks()
    exchanges = [NO_EXCHANGE, *((time, 1.0, 0.0) for time in times)]
    facts = facts_of([(0.0, 0.0, 1.0)] * 3, 10 * registers_blocks.BLOCK_SCRATCH_FIELDS, exchanges)
    payloads = (blocks.data, blocks.descriptors, blocks.tables)
    control, columns = KERNELS[kernel][1](1, 2)
    bounds = np.array([0, 2] * 3)
    assert (
        kernel(*payloads, bounds, facts, np.array([0, 40, 80]), control, columns) == kernels_status.MALFORMED
    )


@both
def test_every_flipped_bit_is_a_status_or_other_rows(kernel) -> None:
    blocks = two_blocks()
    for at in range(blocks.data.size):
        for bit in range(8):
            blocks.data[at] ^= 1 << bit
            assert MALFORMED_BLOCK - 1 <= status_of(blocks, kernel) <= 2
            blocks.data[at] ^= 1 << bit
    assert status_of(blocks, kernel) == 2
