"""Buckets that grow are, to the bit, the buckets of the same readings decoded."""

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import BLOCK_SIZE_MAX, INT64_MAX, INT64_MIN, IS_PYTHON, Blocks, encode, examples
from support.prefix_payloads import counts_from, model_of, payload, tables_of
from test_lines import linear, lines_of
from test_reduce import room_of

from smartdata_ts._storage.codec import BLOCK_READINGS_MAX
from smartdata_ts.kernels.arrays import Int64Array
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
from smartdata_ts.kernels.buckets.growth import (
    GROWTH_FIELDS,
    GROWTH_FIRST,
    Room,
    Wanted,
    add_growth,
    no_growth,
)
from smartdata_ts.kernels.buckets.reduce import reduce_blocks, reduce_columns, resample_blocks
from smartdata_ts.kernels.codec.blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    SLOT,
    TIMES_OFFSET,
    EncodedBlocks,
    descriptor_of,
)
from smartdata_ts.kernels.codec.integers import CARRY_FLAG, LINEAR, PREFIX, RAW
from smartdata_ts.kernels.compiler.jit import kernel

AGGREGATES = [
    AGGREGATE_COUNT,
    AGGREGATE_SUM,
    AGGREGATE_MIN,
    AGGREGATE_MAX,
    AGGREGATE_MEAN,
    AGGREGATE_FIRST,
    AGGREGATE_LAST,
]
OF_SUMS = [2 + AGGREGATES.index(AGGREGATE_SUM), 2 + AGGREGATES.index(AGGREGATE_MEAN)]
ALWAYS = (INT64_MIN, INT64_MAX)
HOUR = 3_600_000_000


@kernel
def grown_blocks(
    blocks: EncodedBlocks, edges: Int64Array, wanted: Wanted, room: Room, growth: Int64Array
) -> int:
    """How many blocks, from the first on, are added to one slot's growth."""
    grown, count = no_growth(), 0
    for block in range(blocks.descriptors.size // DESCRIPTOR_FIELDS):
        descriptor = descriptor_of(blocks, block)
        grown, added = add_growth(blocks.data, descriptor, blocks.tables, room, edges, wanted, grown, growth)
        if not added:
            break
        count += 1
    return count


# -- blocks, to the byte


@cache
def model() -> np.ndarray:
    """A prefix code of all tokens."""
    return model_of(counts_from({token: 1 + 4000 // (1 + abs(token - 66)) for token in range(256)}))


@cache
def all_tables() -> np.ndarray:
    return tables_of(model())


def raw(times) -> bytes:
    return bytes([RAW]) + np.array(times, "<i8").tobytes()


def grown_values(residuals, exponent: int, start: int, step: int, unit: int) -> bytes:
    return bytes([1, exponent, 0]) + payload(residuals, [model()], 0, (True, start, step, unit))


def blocks_of(encoded: Sequence[tuple]) -> Blocks:
    """Blocks, each of which is a slot, a count, times, values, and qualities where these are not all 0."""
    descriptors = np.zeros((len(encoded), DESCRIPTOR_FIELDS), np.int64)
    content = b""
    for descriptor, (slot, count, *columns) in zip(descriptors, encoded, strict=True):
        descriptor[[SLOT, COUNT]] = slot, count
        for k, column in enumerate([*columns, b""][:3]):
            first = TIMES_OFFSET + 2 * k
            descriptor[first : first + 2] = len(content), len(content) + len(column)
            content += column
    data = np.frombuffer(content + b"\xff" * 8, np.uint8)
    reading_count = int(descriptors[:, COUNT].sum())
    return Blocks(data, descriptors.reshape(-1), all_tables(), reading_count, b"", 1)


# -- ways from blocks to rows


class Resampling:
    """Rows of blocks, by slot and time; its scratch may be used again, as the kernel says."""

    def __init__(self, room: int = BLOCK_READINGS_MAX) -> None:
        self.room = room_of(room)
        self.growth, self.cells = np.zeros(0, np.int64), np.zeros(0)

    def rows(
        self, blocks: Blocks, edges, span=ALWAYS, squares=False, sums=True, aggregates=AGGREGATES
    ) -> np.ndarray:
        """The rows, slot and bucket start before the aggregates, as int64s."""
        edges = np.asarray(edges, np.int64)
        bucket_count = edges.size - 1
        slot_count = int(blocks.descriptors[SLOT::DESCRIPTOR_FIELDS].max()) + 1
        wanted = Wanted(*span, squares, sums)
        if self.growth.size < GROWTH_FIELDS * bucket_count:
            self.growth = np.zeros(GROWTH_FIELDS * bucket_count, np.int64)
            self.cells = np.zeros(CELL_FIELDS * bucket_count)
        growth, cells = self.growth[: GROWTH_FIELDS * bucket_count], self.cells[: CELL_FIELDS * bucket_count]
        room = 3 + slot_count * bucket_count
        slots, starts = np.full(room, -5, np.int32), np.full(room, -5)
        columns = np.full(room * len(aggregates), -5.0)
        sink = AggregateSink(slots, starts, columns, np.array(aggregates), 10, keep_empty=False)
        behind = resample_blocks(blocks.encoded, edges, wanted, self.room, growth, cells, sink, 3)
        assert not growth[: GROWTH_FIRST * bucket_count].any(), "counts and totals are zeroed"
        assert not cells.view(np.int64).any(), "cells are zeroed"
        if behind < 0:
            return np.array([[behind]])
        assert np.all(slots[:3] == -5)
        assert np.all(starts[:3] == -5)
        assert np.all(columns.reshape(-1, room)[:, :3] == -5)
        by_row = columns.view(np.int64).reshape(-1, room)[:, 3:behind]
        return np.vstack([slots[3:behind], starts[3:behind], by_row])


def emitted(cells, edges, slot_count: int) -> np.ndarray:
    room = slot_count * (edges.size - 1)
    slots, starts = np.empty(room, np.int32), np.empty(room, np.int64)
    columns = np.empty(room * len(AGGREGATES))
    sink = AggregateSink(slots, starts, columns, np.array(AGGREGATES), 10, keep_empty=False)
    count = emit_cells(cells, edges, sink, 0)
    by_row = columns.view(np.int64).reshape(-1, room)[:, :count]
    return np.vstack([slots[:count], starts[:count], by_row])


def reduced(blocks: Blocks, edges, span=ALWAYS, squares: bool = False, room: int = BLOCK_READINGS_MAX):
    """The rows of cells that blocks are added to, one after the other."""
    edges = np.asarray(edges, np.int64)
    slot_count = int(blocks.descriptors[SLOT::DESCRIPTOR_FIELDS].max()) + 1
    wanted = Wanted(*span, squares, sums=True)
    cells = np.zeros(slot_count * (edges.size - 1) * CELL_FIELDS)
    count = reduce_blocks(blocks.encoded, edges, wanted, room_of(room), cells)
    return count, emitted(cells, edges, slot_count)


def naive_rows(blocks: Blocks, edges, span=ALWAYS) -> dict[tuple[int, int], list[float]]:
    """The values of each slot's buckets."""
    _, slots, times, values, _ = blocks.decode()
    found: dict[tuple[int, int], list[float]] = {}
    for slot, time, value in zip(slots.tolist(), times.tolist(), values.tolist(), strict=True):
        for low, high in pairwise(edges):
            if low <= time < high and span[0] <= time <= span[1]:
                found.setdefault((slot + 10, int(low)), []).append(value)
    return found


def assert_rows(rows: np.ndarray, buckets: dict[tuple[int, int], list[float]]) -> None:
    slots, starts, counts, *others = rows
    assert list(zip(slots.tolist(), starts.tolist(), strict=True)) == sorted(buckets)
    columns = [column.view(np.float64) for column in others]
    for row, key in enumerate(sorted(buckets)):
        values = buckets[key]
        total, low, high, mean, first, last = (float(column[row]) for column in columns)
        assert counts[row] == len(values)
        assert [low, high, first, last] == [min(values), max(values), values[0], values[-1]]
        # Of readings whose sum has more digits than a double, what is within their magnitudes' rounding.
        slack = sum(map(abs, values)) * 2.0**-52
        assert total == pytest.approx(math.fsum(values), rel=2**-50, abs=slack)
        assert mean == pytest.approx(math.fsum(values) / len(values), rel=2**-50, abs=slack)


def assert_like_decoded(blocks: Blocks, edges, span=ALWAYS) -> None:
    edges = np.asarray(edges, np.int64)
    rows = Resampling().rows(blocks, edges, span)
    assert_rows(rows, naive_rows(blocks, edges, span))
    # Squares take all readings, so that no block is added without being decoded.
    assert np.array_equal(rows, Resampling().rows(blocks, edges, span, squares=True))
    without_sums = Resampling().rows(blocks, edges, span, sums=False)
    assert np.array_equal(np.delete(rows, OF_SUMS, axis=0), np.delete(without_sums, OF_SUMS, axis=0))
    count, of_cells = reduced(blocks, edges, span)
    assert np.array_equal(of_cells, rows)
    decoded_count, of_decoded = reduced(blocks, edges, span, squares=True)
    assert np.array_equal(of_decoded, rows)
    assert count == decoded_count == rows[2].sum()


def added(blocks: Blocks, edges, span=ALWAYS) -> int:
    """How many of one slot's blocks, from the first on, are added to its growth."""
    edges = np.asarray(edges, np.int64)
    wanted = Wanted(*span, squares=False, sums=True)
    growth = np.zeros(GROWTH_FIELDS * (edges.size - 1), np.int64)
    return grown_blocks(blocks.encoded, edges, wanted, room_of(BLOCK_READINGS_MAX), growth)


# -- any blocks


@st.composite
def block(draw, time: int, start: int, exponent: int) -> tuple[int, bytes, bytes]:
    """Count, times from `time` on, and values from `start` on."""
    count = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    step = draw(st.sampled_from([1, 2, 7, 10]))
    gaps = [
        (int(k), int(g))
        for k, g in zip(rng.integers(0, 9, 4), rng.integers(-(step // 2), 60, 4), strict=True)
    ]
    gaps = gaps[: draw(st.integers(0, 4))]
    while sum(1 + skipped for skipped, _ in gaps) > count:
        gaps.pop()
    times = linear(time - step, step, 1, gaps)
    kind = draw(st.sampled_from([*["poisson"] * 7, "falls", "escapes", "odd times"]))
    residuals = rng.poisson(3, count)
    if kind == "falls":
        residuals -= 2
    if kind == "escapes":
        residuals[rng.integers(0, count)] = 500
    if kind == "odd times":
        times = raw(time + np.cumsum(rng.integers(1, 9, count)))
    step, unit = draw(st.sampled_from([0, 0, 0, 0, 100, -3])), draw(st.sampled_from([1, 1, 5]))
    return count, times, grown_values(residuals.tolist(), exponent, start, step, unit)


@st.composite
def slots_of_blocks(draw) -> Blocks:
    """Some slots, each of some blocks that follow each other."""
    encoded = []
    for slot in range(draw(st.integers(1, 3))):
        time = draw(st.integers(-100, 100))
        start = draw(st.sampled_from([0, -50, 1000, 2**48, 1 - 2**49, 2**49 - 60_000, 2**49 - 60, -(2**49)]))
        exponent = draw(st.integers(0, 3))
        for _ in range(draw(st.integers(1, 4))):
            exponent = draw(st.sampled_from([*[exponent] * 9, 1]))
            count, times, values = draw(block(time, start, exponent))
            encoded.append((slot, count, times, values))
            _, _, decoded_times, decoded_values, _ = blocks_of(encoded[-1:]).decode()
            time = int(decoded_times[-1]) + draw(st.integers(1, 30))
            last = int(np.rint(decoded_values[-1] * 10.0**exponent))
            start = last + draw(st.sampled_from([0, 0, 0, 0, 1, 1, 30, 30, -1, -1000]))
    return blocks_of(encoded)


@st.composite
def cuts(draw, blocks: Blocks):
    """Edges, regular or not, mostly around all times; and a span that mostly cuts nothing."""
    times = blocks.decode()[2]
    low, high = int(times.min()), int(times.max())
    some = st.one_of(st.integers(low - 20, high + 20), st.sampled_from(times.tolist()))
    if draw(st.booleans()):
        width = draw(st.sampled_from([1, 3, 10, 24, 100]))
        edges = list(range(low - draw(st.integers(0, 30)), high + 2 * width, width))
    else:
        edges = sorted(draw(st.sets(some, min_size=2, max_size=9)))
        if draw(st.integers(0, 3)) != 0:
            edges = [low - draw(st.integers(0, 1)), *(e for e in edges if low < e <= high), high + 1]
    span = ALWAYS
    if draw(st.integers(0, 7)) == 7:
        span = (draw(some | st.just(INT64_MIN)), draw(some | st.just(INT64_MAX)))
    return edges, span


@examples(400)
@given(slots_of_blocks(), st.data())
def test_rows_are_those_of_the_readings(blocks, data):
    edges, span = data.draw(cuts(blocks))
    assert_like_decoded(blocks, edges, span)


# -- which blocks are added


def plain(time: int = 0, start: int = 0, count: int = 20, exponent: int = 0, falls: int = 0, **others):
    """A block of slot 0, at steps of 10, of tokens that mostly grow."""
    residuals = [(k * k + k) % 7 for k in range(count)]
    if falls:
        residuals[falls] = others.get("residual", -1)
    times = others.get("times", linear(time - 10, 10, 1, others.get("gaps", ())))
    step, unit = others.get("step", 0), others.get("unit", 1)
    return 0, count, times, grown_values(residuals, exponent, start, step, unit)


EDGES = [-1000, 0, 55, 60, 200, 1000, 10_000]


@pytest.mark.parametrize(
    ("given_blocks", "count"),
    [
        ([plain()], 1),
        ([plain(count=1)], 1),
        ([plain(gaps=[(3, 50), (0, 10)])], 1),
        ([plain(), plain(200, 63), plain(400, 130)], 3),
        ([plain(), plain(200, 62)], 1),  # which falls in between
        ([plain(), plain(200, 62, step=1)], 2),
        ([plain(0, -10_000), plain(200, -9000), plain(400, -9000)], 2),
        ([plain(falls=4)], 0),
        ([plain(falls=4, residual=300)], 0),  # an escape
        ([plain(falls=4, step=1)], 1),
        ([plain(falls=4, step=3, unit=5)], 0),
        ([plain(times=raw(range(0, 200, 10)))], 0),
        ([plain(), plain(200, 70, exponent=1)], 1),
        ([plain(), plain(190, 70)], 1),  # begins before the other ends
        ([plain(), plain(-500, 70)], 1),
        ([plain(-1010, 0)], 0),  # before the first edge
        ([plain(9900, 0)], 0),  # behind the last
        ([plain(0, 2**49)], 0),
        ([plain(0, -(2**49))], 0),
        ([plain(0, 2**49 - 256 * 20)], 1),
        ([plain(unit=2**20)], 0),
    ],
)
def test_blocks_are_added_where_they_grow(given_blocks, count):
    blocks = blocks_of(given_blocks)
    assert added(blocks, EDGES) == count
    if blocks.decode()[0] > 0 and np.all(np.diff(blocks.decode()[2]) > 0):
        assert_like_decoded(blocks, EDGES)


@pytest.mark.parametrize(
    ("edges", "count"),
    [
        ([0, 191], 1),
        ([0, 190], 0),
        ([0, 100, 190], 0),
        ([1, 191], 0),
        ([-9, 0, 190, 191], 1),
        ([INT64_MIN, INT64_MAX], 1),
    ],
)
def test_blocks_that_edges_cut_are_not_added(edges, count):
    blocks = blocks_of([plain()])
    assert added(blocks, edges) == count
    assert_like_decoded(blocks, edges)


@pytest.mark.parametrize(
    ("span", "count"),
    [
        ((0, 190), 1),
        ((1, 190), 0),
        ((0, 189), 0),
        ((INT64_MIN, 190), 1),
        ((0, INT64_MAX), 1),
        ((500, 600), 0),
    ],
)
def test_blocks_that_a_span_cuts_are_not_added(span, count):
    blocks = blocks_of([plain()])
    assert added(blocks, EDGES, span) == count
    assert_like_decoded(blocks, EDGES, span)


def test_totals_above_an_int64_are_no_integers():
    count = BLOCK_SIZE_MAX
    start = 2**49 - 256 * count - 1
    first, second = plain(0, start, count), plain(10 * count, start + 6 * count, count)
    blocks = blocks_of([first, second])
    edges = [0, 10 * count, 20 * count]
    assert added(blocks, edges) == (2 if IS_PYTHON else 1), "two of the largest could come to 2^63"
    assert_like_decoded(blocks, edges)
    assert_like_decoded(blocks, [0, 20 * count])
    many = blocks_of([plain(10 * count * k, 2**47 + 6 * count * k, count) for k in range(6)])
    assert_like_decoded(many, [0, 60 * count])
    assert added(many, [0, 60 * count]) == (6 if IS_PYTHON else 3), "four could come to 2^62"
    assert added(many, range(0, 70 * count, 10 * count)) == 6


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 23, 24, 25, 40])
def test_buckets_of_any_size_with_gaps(count):
    size = 200
    blocks = blocks_of(
        [plain(0, 5, size, gaps=[(13, 40), (20, 5), (0, 900), (50, 1000)]), plain(9000, 2000, 3)]
    )
    assert added(blocks, range(-10, 20_000, 10 * count)) == 2
    for first in (-10, 0, -7):
        assert_like_decoded(blocks, list(range(first, 20_000, 10 * count)))


def test_a_slot_whose_later_blocks_do_not_grow_has_the_earlier_ones_too():
    grows, falls = plain(0, 0), plain(200, 100, falls=3)
    of_other = (1, *plain(0, 7)[1:])
    for in_order in ([grows, falls], [falls, grows], [grows, falls, of_other], [of_other, of_other]):
        given_blocks = [
            (slot, count, linear(200 * k - 10, 10, 1), values)
            for k, (slot, count, _, values) in enumerate(in_order)
        ]
        for edges in ([-5, 1000], [0, 100, 250, 300, 900], list(range(-5, 1000, 30))):
            assert_like_decoded(blocks_of(given_blocks), edges)


def test_deviations_are_those_of_all_readings():
    blocks = blocks_of([plain(exponent=2), plain(200, 63, exponent=2)])
    rows = Resampling().rows(blocks, [0, 100, 1000], squares=True, aggregates=[AGGREGATE_STD])
    values = naive_rows(blocks, [0, 100, 1000]).values()
    assert rows[2].view(np.float64).tolist() == pytest.approx([statistics.stdev(own) for own in values])


def test_a_block_that_does_not_fit_the_scratch_is_malformed():
    blocks = blocks_of([plain(count=20), plain(200, 100, count=21)])
    assert Resampling(room=20).rows(blocks, EDGES).tolist() == [[-2]]
    assert np.array_equal(Resampling(room=21).rows(blocks, EDGES), Resampling().rows(blocks, EDGES))


def test_more_buckets_than_values_have_room_for_are_reduced_too():
    blocks = blocks_of([plain(), plain(200, 60)])
    edges = list(range(-5, 420, 10))
    for room in (20, 21, 40, 200, 400):
        assert np.array_equal(reduced(blocks, edges, room=room)[1], Resampling().rows(blocks, edges))
        assert np.array_equal(Resampling(room).rows(blocks, edges), Resampling().rows(blocks, edges))


@pytest.mark.parametrize("widths", [(10, 45, 10), (45, 10, 45), (400, 7, 30, 7), (1, 1000, 1)])
def test_a_scratch_may_be_used_again_with_other_edges(widths):
    grows = blocks_of([plain(), plain(200, 63), (1, *plain(0, 7)[1:])])
    falls = blocks_of([plain(0, 50), plain(200, 0)])
    again = Resampling()
    for width in widths:
        for blocks in (grows, falls):
            edges = list(range(-7, 420 + width, width))
            rows = again.rows(blocks, edges)
            assert np.array_equal(rows, Resampling().rows(blocks, edges))
            # Before the next one, which would be led astray by what is left.
            assert not again.growth.any()
            assert not again.cells.any()


def test_times_that_wrap_are_malformed():
    times = linear(INT64_MAX - 30, 10, 1)
    assert lines_of(times, 4) == (0, [])  # or what follows would leave the buckets
    blocks = blocks_of([plain(count=4, times=times)])
    for edges in ([0, INT64_MAX], [INT64_MIN, 0, INT64_MAX - 5]):
        assert Resampling().rows(blocks, edges).tolist() == [[-1]]
        assert reduced(blocks, edges)[0] == -1


def test_every_flipped_bit_gives_what_decoding_gives():
    blocks = blocks_of([plain(0, 1000, 9, exponent=2, gaps=[(3, 40)])])
    edges = [-(2**40), 0, 55, 60, 200, 230, 2**40]
    blocks.data = blocks.data.copy()
    for at in range(0, 8 * (blocks.data.size - 8), 3 if IS_PYTHON else 1):
        blocks.data[at // 8] ^= 1 << at % 8
        rows = Resampling(300).rows(blocks, edges)
        assert np.array_equal(rows, Resampling(300).rows(blocks, edges, squares=True))
        assert reduced(blocks, edges)[0] == (rows[2].sum() if rows.size > 1 else rows[0, 0])
        blocks.data[at // 8] ^= 1 << at % 8


def test_every_flipped_bit_of_one_of_two_blocks_is_a_status_or_wrong_rows():
    blocks = blocks_of([plain(0, 1000, 5, gaps=[(3, 40)]), plain(200, 1100, 6)])
    blocks.data = blocks.data.copy()
    for at in range(0, 8 * (blocks.data.size - 8), 3 if IS_PYTHON else 1):
        blocks.data[at // 8] ^= 1 << at % 8
        rows = Resampling(300).rows(blocks, [-(2**40), 0, 55, 60, 200, 230, 2**40])
        assert rows.shape[0] == 2 + len(AGGREGATES) or rows.tolist() in ([[-1]], [[-2]])
        blocks.data[at // 8] ^= 1 << at % 8


# -- registers as they are written


@pytest.mark.parametrize("places", [0, 3])
@pytest.mark.parametrize("gap_share", [0, 0.02])
def test_registers_grow_from_their_payloads(places, gap_share):
    rng = np.random.default_rng(places)
    size = 400 if IS_PYTHON else 6000
    hours = np.flatnonzero(rng.random(size) >= gap_share)
    values = (10**6 + np.cumsum(rng.poisson(20, hours.size))) / 10.0**places
    starts = [0, hours.size // 3, 2 * hours.size // 3, hours.size]
    blocks = encode(hours * HOUR, values, starts=starts)
    for number in range(3):
        assert blocks.payload(number, 0)[0] == LINEAR | CARRY_FLAG
        assert blocks.payload(number, 1)[:4] == bytes([1, places, 0, PREFIX | CARRY_FLAG])
    for width in (1, 24, 7, 24 * 30):
        edges = np.arange(-24, size + 2 * width, width) * HOUR
        assert added(blocks, edges) == 3
        rows = Resampling().rows(blocks, edges)
        assert np.array_equal(rows, Resampling().rows(blocks, edges, squares=True))
        assert np.array_equal(rows, reduced(blocks, edges)[1])
        # All the mantissas' sums are doubles, so that sums are those of the decimals.
        columns = (np.zeros(hours.size, np.int32), hours * HOUR, values)
        cells = np.zeros((edges.size - 1) * CELL_FIELDS)
        reduce_columns(*columns, edges, Wanted(*ALWAYS, squares=False, sums=True), cells)
        assert np.array_equal(rows, emitted(cells, edges, 1))
        mantissas = np.rint(values * 10**places).astype(np.int64)
        buckets = np.searchsorted(edges, hours * HOUR, "right") - 1
        sums = [Fraction(int(mantissas[buckets == k].sum()), 10**places) for k in np.unique(buckets)]
        assert rows[3].view(np.float64).tolist() == [float(total) for total in sums]
