"""Bucket aggregates against plain Python, from columns and from blocks, whole and in pieces."""

import math
import statistics
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import (
    INT64_MAX,
    INT64_MIN,
    decimals,
    double_of,
    encode,
    examples,
    increasing_times,
)

from smartdata_ts._storage import codec
from smartdata_ts._storage.codec import BLOCK_READINGS_MAX
from smartdata_ts.kernels.buckets.cells import (
    AGGREGATE_COUNT,
    AGGREGATE_FIRST,
    AGGREGATE_LAST,
    AGGREGATE_MAX,
    AGGREGATE_MEAN,
    AGGREGATE_MIN,
    AGGREGATE_STD,
    AGGREGATE_SUM,
    CELL_FIELDS,
    AggregateSink,
    emit_cells,
)
from smartdata_ts.kernels.buckets.growth import Room, Wanted
from smartdata_ts.kernels.buckets.reduce import (
    OtherReadings,
    reduce_blocks,
    reduce_columns,
    reduce_known_blocks,
)
from smartdata_ts.kernels.codec.blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    QUALITIES_END,
    QUALITIES_OFFSET,
    SLOT,
    TIMES_END,
    TIMES_OFFSET,
    VALUES_END,
    VALUES_OFFSET,
    EncodedBlocks,
)

AGGREGATES = [
    AGGREGATE_COUNT,
    AGGREGATE_SUM,
    AGGREGATE_MIN,
    AGGREGATE_MAX,
    AGGREGATE_MEAN,
    AGGREGATE_FIRST,
    AGGREGATE_LAST,
    AGGREGATE_STD,
]


def room_of(size: int) -> Room:
    times, mantissas = np.empty((2, size), np.int64)
    return Room(times, mantissas, np.empty(size))


class Reduction:
    """Cells of some series, filled by any number of calls."""

    def __init__(self, edges, slot_count=1, span=(INT64_MIN, INT64_MAX)) -> None:
        self.edges = np.asarray(edges, np.int64)
        self.slot_count = slot_count
        self.cells = np.zeros(slot_count * (self.edges.size - 1) * CELL_FIELDS)
        self.wanted = Wanted(*span, squares=True, sums=True)

    def add_columns(self, times, values, slots=None) -> int:
        slots = np.zeros(len(times), np.int32) if slots is None else np.asarray(slots, np.int32)
        times, values = np.asarray(times, np.int64), np.asarray(values, np.float64)
        return reduce_columns(slots, times, values, self.edges, self.wanted, self.cells)

    def add_blocks(self, times, values, starts=None, slots=None, order=None) -> int:
        blocks = encode(times, values, None, starts)
        descriptors = blocks.descriptors.reshape(-1, DESCRIPTOR_FIELDS)
        if slots is not None:
            descriptors[:, SLOT] = slots
        if order is not None:
            descriptors = descriptors[order]
        return self.add_encoded(blocks, descriptors.copy().reshape(-1))

    def add_encoded(self, blocks, descriptors=None) -> int:
        descriptors = blocks.descriptors if descriptors is None else descriptors
        encoded = EncodedBlocks(blocks.data, descriptors, blocks.tables)
        return reduce_blocks(encoded, self.edges, self.wanted, room_of(BLOCK_READINGS_MAX), self.cells)

    def rows(self, keep_empty: bool = False) -> dict[tuple[int, int], list[float]]:
        """Return the aggregates of each (slot, bucket start) that has readings."""
        room = self.slot_count * (self.edges.size - 1)
        slots = np.empty(room, np.int32)
        starts, columns = np.empty(room, np.int64), np.empty(room * len(AGGREGATES))
        sink = AggregateSink(slots, starts, columns, np.array(AGGREGATES), 0, keep_empty)
        count = emit_cells(self.cells, self.edges, sink, 0)
        by_aggregate = columns.reshape(-1, room)[:, :count]
        counts = by_aggregate[0].view(np.int64)
        keys = zip(slots[:count].tolist(), starts[:count].tolist(), strict=True)
        return {key: [int(counts[row]), *by_aggregate[1:, row].tolist()] for row, key in enumerate(keys)}


def naive(times, values, edges, span=(INT64_MIN, INT64_MAX)) -> dict[tuple[int, int], list[float]]:
    """The readings of each bucket that are not NaN."""
    buckets: dict[tuple[int, int], list[float]] = {}
    for time, value in zip(np.asarray(times).tolist(), np.asarray(values).tolist(), strict=True):
        if math.isnan(value) or not span[0] <= time <= span[1]:
            continue
        starts = [low for low, high in pairwise(edges) if low <= time < high]
        if starts:
            buckets.setdefault((0, int(starts[0])), []).append(value)
    return buckets


def naive_sum(values) -> float:
    if all(math.isfinite(value) for value in values):
        return float(sum(map(Fraction, values)))
    return sum(values)


def assert_rows(rows, buckets) -> None:
    assert rows.keys() == buckets.keys()
    for key, values in buckets.items():
        count, total, low, high, mean, first, last, deviation = rows[key]
        assert count == len(values)
        assert [low, high, first, last] == [min(values), max(values), values[0], values[-1]]
        expected = naive_sum(values)
        # Of values that cancel out, what is within an ulp of their magnitudes.
        slack = sum(map(abs, values)) * 2.0**-52 * 2 if math.isfinite(expected) else 0.0
        assert total == pytest.approx(expected, rel=2**-52, abs=slack, nan_ok=True)
        assert mean == pytest.approx(expected / count, rel=2**-51, abs=slack, nan_ok=True)
        if count == 1:
            assert math.isnan(deviation)
            continue
        spread = max(map(abs, values))
        if 1e-150 < spread < 1e150:  # whose square is a double
            assert deviation == pytest.approx(statistics.stdev(values), rel=1e-9, abs=1e-9 * spread)


measured = st.one_of(decimals, st.floats(-1e12, 1e12), st.just(math.nan))
any_value = st.one_of(measured, st.sampled_from([math.inf, -math.inf, -0.0, 5e-324, 1e300]))


@st.composite
def readings(draw, value=measured):
    size = draw(st.integers(1, 60))
    times = draw(increasing_times(size))
    if draw(st.booleans()):
        values = np.array([draw(value) for _ in range(size)])
    else:
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        values = np.cumsum(rng.poisson(3, size)) / 10.0 ** draw(st.integers(0, 6))
    return times, values


@st.composite
def bucket_edges(draw, times):
    """Some edges, regular or not, among the times, at them, and beyond."""
    inside = st.integers(int(times[0]), int(times[-1]))
    at = st.sampled_from(times.tolist())
    beyond = st.sampled_from([INT64_MIN, INT64_MAX, 0])
    return sorted(draw(st.sets(st.one_of(inside, at, beyond), min_size=2, max_size=12).filter(len)))


@examples(300)
@given(st.data(), readings(any_value))
def test_columns_are_reduced_as_plain_python_does(data, columns):
    times, values = columns
    edges = data.draw(bucket_edges(times))
    reduction = Reduction(edges)
    taken = reduction.add_columns(times, values)
    assert taken == ((times >= edges[0]) & (times < edges[-1])).sum()
    assert_rows(reduction.rows(), naive(times, values, edges))


@examples(300)
@given(st.data(), readings(any_value))
def test_blocks_are_reduced_as_plain_python_does(data, columns):
    times, values = columns
    edges = data.draw(bucket_edges(times))
    reduction = Reduction(edges)
    taken = reduction.add_blocks(times, values)
    assert taken == ((times >= edges[0]) & (times < edges[-1])).sum()
    assert_rows(reduction.rows(), naive(times, values, edges))


@examples(150)
@given(st.data(), readings())
def test_pieces_in_any_order_and_form_give_the_same(data, columns):
    times, values = columns
    edges = data.draw(bucket_edges(times))
    cuts = sorted(data.draw(st.sets(st.integers(1, times.size), max_size=4)) | {0, times.size})
    pieces = data.draw(st.permutations(list(pairwise(cuts))))
    reduction = Reduction(edges)
    for first, end in pieces:
        add = reduction.add_blocks if data.draw(st.booleans()) else reduction.add_columns
        add(times[first:end], values[first:end])
    assert_rows(reduction.rows(), naive(times, values, edges))


@examples(100)
@given(st.data(), readings())
def test_a_span_cuts_at_both_ends_both_included(data, columns):
    times, values = columns
    edges = data.draw(bucket_edges(times))
    bound = st.one_of(st.sampled_from([*times.tolist(), INT64_MIN, INT64_MAX]))
    span = data.draw(bound), data.draw(bound)
    for form in ("add_columns", "add_blocks"):
        reduction = Reduction(edges, span=span)
        getattr(reduction, form)(times, values)
        assert_rows(reduction.rows(), naive(times, values, edges, span))


@examples(100)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=60), st.integers(0, 9), st.data())
def test_decimals_sum_up_to_the_decimal_however_they_are_stored(mantissas, places, data):
    values = np.array(mantissas) / 10.0**places
    times = np.arange(values.size)
    expected = float(Fraction(sum(mantissas), 10**places)) if values.size else 0.0
    cut = data.draw(st.integers(0, values.size - 1))
    whole, columns, pieces = Reduction([0, 100]), Reduction([0, 100]), Reduction([0, 100])
    whole.add_blocks(times, values)
    columns.add_columns(times, values)
    pieces.add_columns(times[cut:], values[cut:])
    if cut:
        pieces.add_blocks(times[:cut], values[:cut])
    for reduction in (whole, columns, pieces):
        assert reduction.rows()[0, 0][1] == expected


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [3, 2100, BLOCK_READINGS_MAX])
def test_the_largest_mantissas_do_not_overflow_the_sum(sign, size):
    values = sign * (2.0**53 - np.arange(size))
    rows = []
    for form in ("add_columns", "add_blocks"):
        reduction = Reduction([0, size // 2, size])
        getattr(reduction, form)(np.arange(size), values)
        assert_rows(reduction.rows(), naive(np.arange(size), values, [0, size // 2, size]))
        getattr(reduction, form)(np.arange(size), values)
        rows.append([row[:-1] for row in reduction.rows().values()])
    assert rows[0] == rows[1]


def test_sums_of_many_blocks_do_not_overflow():
    size = 512
    values = np.full(size, 2.0**49 - 1)
    reduction = Reduction([0, size])
    for _ in range(40):
        reduction.add_blocks(np.arange(size), values)
    assert reduction.rows()[0, 0][1] == pytest.approx(40.0 * size * (2.0**49 - 1), rel=2**-50)


def test_nan_readings_count_for_nothing():
    reduction = Reduction([0, 10, 20])
    reduction.add_columns([0, 1, 2, 12], [math.nan, 4.0, math.nan, math.nan])
    rows = reduction.rows()
    assert list(rows) == [(0, 0)]
    assert rows[0, 0][:7] == [1, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]


def test_infinities_sum_up_as_in_arithmetic():
    reduction = Reduction([0, 10, 20, 30])
    reduction.add_columns([0, 1, 10, 11, 20, 21], [math.inf, 1.0, -math.inf, 0.1, math.inf, -math.inf])
    sums = [row[1] for row in reduction.rows().values()]
    assert sums[:2] == [math.inf, -math.inf]
    assert math.isnan(sums[2])


def test_empty_buckets_are_rows_where_asked_for():
    reduction = Reduction([0, 10, 20, 30], slot_count=2)
    reduction.add_columns([5, 25], [1.0, 2.0], [1, 1])
    rows = reduction.rows(keep_empty=True)
    assert [row[0] for row in rows.values()] == [0, 0, 0, 1, 0, 1]
    assert all(math.isnan(cell) for cell in rows[0, 0][1:])
    assert reduction.rows() == {}, "cells are zeroed for their next use"


def test_many_series_keep_to_their_cells():
    rng = np.random.default_rng(4)
    series_count, size = 5, 40
    times = np.tile(np.cumsum(rng.integers(1, 9, size)), series_count)
    values = rng.integers(0, 1000, times.size) / 10
    slots = np.repeat(np.arange(series_count), size)
    edges = [0, 30, 31, 90, 400]
    columns, blocks = Reduction(edges, series_count), Reduction(edges, series_count)
    columns.add_columns(times, values, slots)
    starts = np.arange(series_count + 1) * size
    blocks.add_blocks(times, values, starts, np.arange(series_count), order=[3, 1, 0, 4, 2])
    assert columns.rows().keys() == blocks.rows().keys()
    columns.add_columns(times, values, slots)
    by_slot = columns.rows()
    for slot in range(series_count):
        part = slice(slot * size, (slot + 1) * size)
        expected = naive(times[part], values[part], edges)
        assert_rows({(0, start): row for (s, start), row in by_slot.items() if s == slot}, expected)


@pytest.mark.parametrize("step", [1, 2, 3, 5, 24, 25, 1000])
def test_regular_readings_in_regular_buckets_with_gaps(step):
    rng = np.random.default_rng(step)
    times = np.flatnonzero(rng.random(700) < 0.9)
    values = np.cumsum(rng.poisson(3, times.size)) / 1000
    edges = list(range(-step, 700 + step, step))
    for form in ("add_columns", "add_blocks"):
        reduction = Reduction(edges)
        getattr(reduction, form)(times, values)
        assert_rows(reduction.rows(), naive(times, values, edges))


def known_blocks(times, values, commits, starts):
    """Blocks, and, in the place of their qualities, their commits: in no bytes where a block has but one."""
    columns = (np.asarray(times, np.int64), np.asarray(values, np.float64), np.zeros(len(times), np.uint8))
    starts = np.asarray(starts, np.int64)
    encoded = codec.encode_blocks(*columns, starts, np.asarray(commits, np.int64))
    descriptors = np.zeros((starts.size - 1, DESCRIPTOR_FIELDS), np.int64)
    descriptors[:, COUNT] = np.diff(starts)
    base = 0
    for column, first, end in (
        (encoded.times, TIMES_OFFSET, TIMES_END),
        (encoded.values, VALUES_OFFSET, VALUES_END),
        (encoded.commits, QUALITIES_OFFSET, QUALITIES_END),
    ):
        descriptors[:, end] = base + np.cumsum(column.sizes)
        descriptors[:, first] = descriptors[:, end] - column.sizes
        base += column.data.size
    data = [encoded.times.data, encoded.values.data, encoded.commits.data, np.zeros(8, np.uint8)]
    return np.concatenate(data), descriptors, codec.decode_tables(encoded.models, encoded.model_count)


def reduce_known(reduction, blocks, commit, rest) -> int:
    data, descriptors, tables = blocks
    encoded = EncodedBlocks(data, descriptors.reshape(-1), tables)
    room, commits = room_of(BLOCK_READINGS_MAX), np.empty(BLOCK_READINGS_MAX, np.int64)
    given = (encoded, reduction.edges, reduction.wanted, room, commit, commits, rest)
    return reduce_known_blocks(*given, reduction.cells)


@examples(100)
@given(st.data(), readings(any_value))
def test_what_a_commit_knew_of_blocks_is_reduced_and_hides_what_it_superseded(data, columns):
    times, values = np.asarray(columns[0]), np.asarray(columns[1], np.float64)
    size = len(times)
    edges = data.draw(bucket_edges(times))
    commits = data.draw(st.lists(st.integers(1, 4), min_size=size, max_size=size))
    starts = [0, *sorted(data.draw(st.sets(st.integers(1, size - 1), max_size=3)) if size > 1 else []), size]
    commit = data.draw(st.integers(1, 4))
    blocks = known_blocks(times, values, commits, starts)
    is_known = np.array(commits) <= commit
    # A block of one commit is given only where that is known.
    given = [block for block in range(len(starts) - 1) if is_known[starts[block] : starts[block + 1]].any()]
    near = [time - 1 if time > 0 else time + 1 for time in times.tolist()]
    others = data.draw(st.lists(st.sampled_from([*times.tolist(), *near]), max_size=9))
    places = sorted({(slot, time) for time in others for slot in (0, 1)})
    rest = OtherReadings(
        np.array([slot for slot, _ in places], np.int64),
        np.array([time for _, time in places], np.int64),
        np.ones(len(places), np.int64),
    )
    reduction = Reduction(edges, slot_count=2)
    count = reduce_known(reduction, (blocks[0], blocks[1][given].copy(), blocks[2]), commit, rest)
    buckets = naive(times[is_known], values[is_known], edges)
    assert count == sum(edges[0] <= time < edges[-1] for time in times[is_known])
    assert_rows(reduction.rows(), buckets)
    known = set(times[is_known].tolist())
    hidden = [commit < 0 for commit in rest.commits.tolist()]
    assert hidden == [slot == 0 and time in known for slot, time in places]


def test_commits_that_cannot_be_decoded_are_told():
    times, values = np.arange(50) * 10, np.arange(50) / 10
    data, descriptors, tables = known_blocks(times, values, np.arange(50) % 3, [0, 20, 50])
    descriptors[1, QUALITIES_END] = descriptors[1, QUALITIES_OFFSET] + 1
    nothing = OtherReadings(*np.empty((3, 0), np.int64))
    assert reduce_known(Reduction([0, 500]), (data, descriptors, tables), 1, nothing) == -2
    descriptors[0, COUNT] = BLOCK_READINGS_MAX + 1
    assert reduce_known(Reduction([0, 500]), (data, descriptors, tables), 1, nothing) == -1


def test_a_malformed_block_is_named():
    blocks = encode(np.arange(30), np.arange(30), None, [0, 10, 20, 30])
    descriptors = blocks.descriptors.reshape(-1, DESCRIPTOR_FIELDS)
    for field in range(1, 6):
        for hostile in (-1, INT64_MAX, INT64_MIN):
            changed = descriptors.copy()
            changed[1, field] = hostile
            assert Reduction([0, 50]).add_encoded(blocks, changed.reshape(-1)) == -2


def test_every_flipped_bit_is_a_status_or_wrong_cells():
    rng = np.random.default_rng(9)
    times = np.cumsum(rng.integers(1, 200, 12))
    blocks = encode(times, np.cumsum(rng.poisson(90, 12)) / 1000)
    for at in range(8 * blocks.data.size):
        blocks.data[at // 8] ^= 1 << at % 8
        reduction = Reduction([INT64_MIN, 0, 300, 600, 601, 5000])
        assert reduction.add_encoded(blocks) in range(-1, 13)
        reduction.rows()
        blocks.data[at // 8] ^= 1 << at % 8


def test_signalling_nans_are_skipped_too():
    values = np.array([double_of(0x7FF0000000000001), 2.0])
    reduction = Reduction([0, 10])
    reduction.add_blocks([1, 2], values)
    assert reduction.rows()[0, 0][0] == 1


@examples(150)
@given(st.lists(any_value, min_size=1, max_size=40), st.integers(1, 7))
def test_what_is_not_asked_for_changes_nothing_else(values, width):
    edges = np.arange(0, 40 + width, width)
    rows = []
    for squares, sums in ((True, True), (False, True), (False, False)):
        reduction = Reduction(edges)
        reduction.wanted = Wanted(INT64_MIN, INT64_MAX, squares, sums)
        half = len(values) // 2
        reduction.add_columns(np.arange(half), values[:half])
        reduction.add_columns(np.arange(half, len(values)), values[half:])
        rows.append(reduction.rows())
    whole, without_squares, without_sums = rows
    names = ["count", "sum", "min", "max", "mean", "first", "last", "std"]
    of_sums = [names.index("sum"), names.index("mean")]
    for key, row in whole.items():
        np.testing.assert_array_equal(without_squares[key][:-1], row[:-1])
        np.testing.assert_array_equal(
            np.delete(without_sums[key][:-1], of_sums), np.delete(row[:-1], of_sums)
        )
    assert whole.keys() == without_squares.keys() == without_sums.keys()
