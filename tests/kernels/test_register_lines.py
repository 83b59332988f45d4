"""Registers folded by their lines: as the amounts of their readings one after another, and exact."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import INT64_MAX, INT64_MIN, IS_PYTHON, Blocks, encode, examples
from test_growth import blocks_of, grown_values
from test_lines import linear, lines_of
from test_register_amounts import meters_of
from test_register_blocks import NO_EXCHANGE, Exchange, exchanges_of, scratch_of, split_at_exchanges

from smartdata_ts._meter import quality
from smartdata_ts.kernels.arrays import Int64Array
from smartdata_ts.kernels.buckets import groups as buckets_groups
from smartdata_ts.kernels.codec.blocks import COUNT, DESCRIPTOR_FIELDS, EncodedBlocks, ReadingColumns
from smartdata_ts.kernels.codec.integers import CARRY_FLAG, PREFIX
from smartdata_ts.kernels.compiler.jit import kernel
from smartdata_ts.kernels.registers import blocks as registers_blocks
from smartdata_ts.kernels.registers import meters as registers_meters
from smartdata_ts.kernels.registers import reduce as registers_reduce
from smartdata_ts.kernels.registers.lines import Span, grid_of, open_meter
from smartdata_ts.kernels.registers.target import STEP_FIELDS, GroupSink, target_of_groups

HOUR = 3_600_000_000
ALWAYS = (INT64_MIN, INT64_MAX)
MALFORMED_BLOCK = registers_blocks.MALFORMED_BLOCK
Meter = tuple[float, float, float]  # slot, modulus, multiplier


@kernel
def opened(blocks: EncodedBlocks, edges: Int64Array, sink: GroupSink, span: Span, scratch: Int64Array) -> int:
    """How many blocks of one meter there are where it is folded by its lines; else 0."""
    grid = grid_of(edges, target_of_groups(edges, sink))
    if grid.width == 0:
        return 0
    block_count = blocks.descriptors.size // DESCRIPTOR_FIELDS
    _, count = open_meter(blocks, 0, block_count, span, grid, -1, scratch)
    return count


# -- both ways


def facts_of(meters: list[Meter], unit=(1.0, 1.0)) -> registers_meters.Meters:
    return meters_of(*np.array(meters).T, *np.repeat(np.array(unit)[:, None], len(meters), axis=1))


def groups_sink(
    groups: list[int], bucket_count: int, columns=(0, 1), how=buckets_groups.FOLD_SUM
) -> GroupSink:
    place_size = 1 + (max(columns) + 1) * buckets_groups.FOLDED_FIELDS + STEP_FIELDS
    places = np.zeros((max(groups) + 1) * place_size * bucket_count)
    return GroupSink(np.array(groups), places, how, *columns)


class Fold:
    """Meters in groups, folded from their blocks and from their readings."""

    def __init__(self, blocks: Blocks, bounds, meters: list[Meter], groups: list[int], edges) -> None:
        self.blocks, self.meters, self.groups = blocks, meters, groups
        self.edges = np.asarray(edges, np.int64)
        self.bounds = np.asarray(bounds, np.int64)  # where each meter's blocks begin, and the last one's end
        self.columns = (0, 1)
        self.how = buckets_groups.FOLD_SUM
        self.unit = (1.0, 1.0)

    def shaped(self, found: np.ndarray) -> np.ndarray:
        return found.reshape(max(self.groups) + 1, -1, self.edges.size - 1)

    def by_blocks(self, exchanges=None, taken=ALWAYS) -> tuple[int, np.ndarray]:
        """Return the count of rows, and the places: groups, fields, buckets."""
        sink = groups_sink(self.groups, self.edges.size - 1, self.columns, self.how)
        scratch = scratch_of((self.blocks.reading_count + 2) * registers_blocks.BLOCK_SCRATCH_FIELDS)
        given_exchanges = exchanges_of(exchanges or [NO_EXCHANGE] * len(self.meters))
        given_meters = (facts_of(self.meters, self.unit), given_exchanges, Span(*taken))
        pairs = np.repeat(self.bounds, 2)[1:-1]
        if exchanges is not None:  # meters of one slot have the same blocks
            slots = [int(slot) for slot, _, _ in self.meters]
            pairs = np.array([self.bounds[[slot, slot + 1]] for slot in slots]).ravel()
        count = registers_blocks.fold_register_blocks(
            self.blocks.encoded, pairs, *given_meters, self.edges, scratch, sink
        )
        return count, self.shaped(sink.places)

    def readings(self, taken=ALWAYS) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Each meter's times, values and qualities, of those that count."""
        kept, _, times, values, qualities = self.blocks.decode()
        assert kept == self.blocks.reading_count
        starts = np.concatenate([[0], np.cumsum(self.blocks.descriptors[COUNT::DESCRIPTOR_FIELDS])])
        usable = quality.IS_READING[qualities] & (times >= taken[0]) & (times <= taken[1])
        found = []
        for first, end in zip(starts[self.bounds[:-1]], starts[self.bounds[1:]], strict=True):
            own = first + np.flatnonzero(usable[first:end])
            found.append((times[own], values[own], qualities[own]))
        return found

    def by_readings(self, readings) -> tuple[int, np.ndarray]:
        sink = groups_sink(self.groups, self.edges.size - 1, self.columns, self.how)
        bounds = np.cumsum([0, *(times.size for times, _, _ in readings)])
        scratch = scratch_of((int(np.diff(bounds).max()) + 2) * registers_meters.SCRATCH_FIELDS)
        columns = ReadingColumns(*(np.concatenate(column) for column in zip(*readings, strict=True)))
        facts = facts_of(self.meters, self.unit)
        count = registers_reduce.fold_registers(bounds, facts, columns, self.edges, scratch, sink)
        return count, self.shaped(sink.places)

    def assert_like_readings(self, taken=ALWAYS) -> np.ndarray:
        expected = self.by_readings(self.readings(taken))
        found = self.by_blocks(taken=taken)
        assert_like(found, expected, self.columns)
        return found[1]


def assert_like(found: tuple[int, np.ndarray], expected: tuple[int, np.ndarray], columns=(0, 1)) -> None:
    """All counts are equal, and sums but for four of their last digits; no line is left over."""
    assert found[0] == expected[0] >= 0
    assert not found[1][:, -STEP_FIELDS:].view(np.int64).any()
    of_found, of_expected = found[1][:, :-STEP_FIELDS].copy(), expected[1][:, :-STEP_FIELDS].copy()
    if columns[0] >= 0:
        cell = 1 + columns[0] * buckets_groups.FOLDED_FIELDS
        sums = []
        for places_of in (of_found, of_expected):
            sums.append(places_of[:, cell] + places_of[:, cell + buckets_groups.FOLDED_LOST])
            places_of[:, [cell, cell + buckets_groups.FOLDED_LOST]] = 0
        slack = 4 * np.spacing(np.maximum(np.abs(sums[0]), np.abs(sums[1])))
        assert np.all(np.abs(sums[0] - sums[1]) <= slack), (sums[0] - sums[1], slack)
    np.testing.assert_array_equal(of_found, of_expected)


def sums_of(found: np.ndarray) -> np.ndarray:
    return found[:, 1 + buckets_groups.FOLDED_VALUE] + found[:, 1 + buckets_groups.FOLDED_LOST]


def lines_count(
    blocks: Blocks, edges, taken=ALWAYS, how=buckets_groups.FOLD_SUM, room: int | None = None
) -> int:
    """How many blocks one meter has that is folded by its lines; else 0."""
    size = 8 * (blocks.reading_count + 100) if room is None else room
    sink, scratch = groups_sink([0], 1, how=how), np.zeros(size, np.int64)
    return opened(blocks.encoded, np.asarray(edges, np.int64), sink, Span(*taken), scratch)


# -- meters


def block_of(hour: int, residuals, start: int, exponent=0, gaps=(), **others) -> tuple:
    """Count, times, values and qualities of hourly readings; `gaps` are (readings between, hours more)."""
    step, phase, qualities = others.get("step", HOUR), others.get("phase", 0), others.get("qualities", b"")
    times = linear((hour - 1) * HOUR + phase + HOUR - step, step, HOUR, gaps)
    line = (exponent, start, others.get("base", 0), others.get("unit", 1))
    return len(residuals), times, grown_values(list(residuals), *line), qualities


def meter_blocks(slot: int, *given_blocks: tuple) -> list[tuple]:
    return [(slot, *given_block) for given_block in given_blocks]


@st.composite
def meters_of_blocks(draw) -> tuple[Blocks, list[int], list[Meter]]:
    """Blocks, where each meter's begin, and the meters: hourly registers that mostly grow."""
    encoded, bounds, meters = [], [0], []
    for slot in range(draw(st.integers(1, 4))):
        hour = draw(st.integers(-3, 4))
        start, exponent = draw(st.integers(-1000, 10**6)), draw(st.sampled_from([0, 1, 3, 3, 3, 6]))
        kind = draw(st.sampled_from([*["grows"] * 6, "falls", "odd exponents", "qualities", "phase"]))
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        for _ in range(draw(st.integers(1, 3))):
            count = draw(st.integers(1, 14))
            residuals = rng.poisson(4, count)
            gaps = [(int(k), int(g)) for k, g in rng.integers(0, 5, (3, 2))]
            while sum(1 + skipped for skipped, _ in gaps) >= count:
                gaps.pop()
            gaps = gaps[: draw(st.integers(0, 3))]
            others = {"base": draw(st.sampled_from([0, 0, 10])), "unit": draw(st.sampled_from([1, 1, 7]))}
            if kind == "falls":
                residuals[rng.integers(0, count)] = -rng.integers(1, 60)
            if kind == "odd exponents":
                exponent = draw(st.integers(0, 6))
            if kind == "qualities":
                others["qualities"] = bytes([2, *rng.choice([0, 1, 3, 6], count)])
            if kind == "phase":
                others["phase"] = HOUR // 4
            encoded.append((slot, *block_of(hour, residuals, start, exponent, gaps, **others)))
            _, _, times, values, _ = blocks_of(encoded[-1:]).decode()
            hour = int(times[-1] // HOUR) + draw(st.sampled_from([1, 1, 1, 2, 5]))
            start = int(np.rint(values[-1] * 10.0**exponent)) + draw(
                st.sampled_from([0, 0, 0, 3, 50, 50, -90])
            )
        bounds.append(len(encoded))
        meters.append(
            (
                float(slot),
                draw(st.sampled_from([0.0, 0.0, 1e6])),
                draw(st.sampled_from([1.0, 1.0, 1.0, 10.0])),
            )
        )
    return blocks_of(encoded), bounds, meters


@st.composite
def hourly_edges(draw, blocks: Blocks) -> np.ndarray:
    """Hours from the first reading, or before it, to the last one, or behind; or other edges."""
    times = blocks.decode()[2]
    first, last = int(times.min() // HOUR), -int(-times.max() // HOUR)
    width, phase = HOUR, 0
    first, last = first - draw(st.sampled_from([0, 0, 3])), last + draw(st.sampled_from([0, 1, 6]))
    other = draw(st.sampled_from([*["hours"] * 5, "fewer", "width", "phase", "irregular"]))
    if other == "fewer":
        first, last = first + draw(st.integers(0, 4)), last - draw(st.integers(0, 4))
    if other == "width":
        width = draw(st.sampled_from([2 * HOUR, HOUR // 2]))
    if other == "phase":
        phase = HOUR // 4
    edges = np.arange(first * HOUR, max(last, first + 1) * HOUR + width, width) + phase
    if other == "irregular" and edges.size > 2:
        edges = np.delete(edges, draw(st.integers(0, edges.size - 1)))
    return edges


@examples(300)
@given(meters_of_blocks(), st.data())
def test_meters_are_folded_as_their_readings_are(given_meters, data):
    blocks, bounds, meters = given_meters
    groups = [data.draw(st.integers(0, 1)) for _ in meters]
    fold = Fold(blocks, bounds, meters, groups, data.draw(hourly_edges(blocks)))
    fold.columns = data.draw(st.sampled_from([(0, 1), (0, 1), (1, 0), (0, -1), (-1, 0)]))
    fold.how = data.draw(st.sampled_from([buckets_groups.FOLD_SUM] * 4 + [buckets_groups.FOLD_MAX]))
    fold.unit = data.draw(st.sampled_from([(1.0, 1.0)] * 4 + [(1.0, 1000.0)]))
    times = blocks.decode()[2].tolist()
    taken = ALWAYS
    if data.draw(st.integers(0, 4)) == 0:
        taken = (data.draw(st.sampled_from(times)), data.draw(st.sampled_from(times)))
    fold.assert_like_readings(taken)


# -- which meters have lines


def steps(count: int, first: int = 1) -> list[int]:
    return [(first + k * k) % 9 for k in range(count)]


EDGES = np.arange(-2, 60) * HOUR


@pytest.mark.parametrize(
    ("given_blocks", "count"),
    [
        ([block_of(0, steps(20), 100)], 1),
        ([block_of(0, steps(1), 100)], 1),
        ([block_of(-2, steps(62), 100)], 1),  # on all edges
        ([block_of(-3, steps(20), 100)], 0),
        ([block_of(50, steps(10), 100)], 1),
        ([block_of(50, steps(11), 100)], 0),
        ([block_of(59, steps(1), 100)], 1),  # on the last edge
        ([block_of(0, steps(20), 100, gaps=[(0, 1), (3, 5), (2, 1)])], 1),
        ([block_of(0, steps(10), 100), block_of(10, steps(10), 150), block_of(20, steps(10), 200)], 3),
        ([block_of(0, steps(10), 100), block_of(15, steps(10), 200)], 2),
        ([block_of(0, steps(10), 100), block_of(15, steps(10), 300, gaps=[(3, 2)])], 2),
        ([block_of(0, [1] * 10, 100), block_of(10, [1] * 10, 110)], 2),
        ([block_of(0, [1] * 10, 100), block_of(10, [1] * 10, 109)], 2),
        ([block_of(0, [1] * 10, 100), block_of(10, [1] * 10, 108)], 0),  # a fall in between
        ([block_of(0, [1] * 10, 100), block_of(9, [1] * 10, 110)], 0),  # and readings of one time
        ([block_of(0, steps(10), 100), block_of(10, steps(10), 150, exponent=1)], 0),
        ([block_of(0, [1, 2, -1, 3], 100)], 0),
        ([block_of(0, [1, 2, -1, 3], 100, base=1)], 1),
        ([block_of(0, [1, 2, 300, 3], 100)], 0),  # an escape
        ([block_of(0, steps(20), 100, qualities=bytes([1, 3, 20]))], 0),
        ([block_of(0, steps(20), 100, phase=1)], 0),
        ([block_of(0, steps(20), 100, step=HOUR // 2)], 0),
        ([block_of(0, steps(20), 100, step=2 * HOUR)], 0),
        ([block_of(0, steps(1), 100, step=2 * HOUR)], 1),  # of which there is none
        ([block_of(0, steps(20), 2**49)], 0),
        ([block_of(0, steps(20), -(2**49))], 0),
        ([block_of(0, steps(20), 1 - 2**49, exponent=15)], 1),
        ([block_of(0, steps(20), 100, unit=2**20)], 0),
    ],
)
def test_meters_have_lines_where_every_reading_is_on_an_edge(given_blocks, count):
    blocks = blocks_of(meter_blocks(0, *given_blocks))
    assert lines_count(blocks, EDGES) == count
    if np.all(np.diff(blocks.decode()[2]) > 0):
        Fold(blocks, [0, len(given_blocks)], [(0.0, 0.0, 1.0)], [0], EDGES).assert_like_readings()


@pytest.mark.parametrize(
    ("edges", "count"),
    [
        (np.arange(0, 20) * HOUR, 1),
        (np.arange(-5, 20) * HOUR, 1),
        (np.arange(0, 19) * HOUR, 0),
        (np.arange(1, 20) * HOUR, 0),
        (np.arange(-1, 30) * HOUR + 1, 0),
        (np.arange(-1, 50) * (HOUR // 2), 0),
        (np.arange(-1, 30) * (2 * HOUR), 0),
        (np.array([-5, 0, 1, 3, *range(4, 30)]) * HOUR, 0),
        (np.array([-1, 0, 1, 3, *range(4, 30)]) * HOUR, 0),
        (np.array([*range(-1, 22), 99]) * HOUR, 0),
        (np.array([0, 100]) * HOUR, 0),
        (np.array([-(2**62), 2**62]), 0),
        (np.array([-(2**61) - 1, 2**61]), 0),
        (np.array([INT64_MIN, 0, INT64_MAX]), 0),
    ],
)
def test_meters_have_lines_where_buckets_are_as_wide_as_steps(edges, count):
    blocks = blocks_of(meter_blocks(0, block_of(0, steps(20), 100)))
    assert lines_count(blocks, edges) == count
    Fold(blocks, [0, 1], [(0.0, 0.0, 1.0)], [0], edges).assert_like_readings()


@pytest.mark.parametrize(("hour", "count"), [(2**60 // HOUR, 1), (2**61 // HOUR, 0), (-(2**61) // HOUR, 0)])
def test_lines_are_taken_of_times_whose_differences_cannot_wrap(hour, count):
    blocks = blocks_of(meter_blocks(0, block_of(hour, steps(20), 100)))
    edges = np.arange(hour - 1, hour + 30) * HOUR
    assert lines_count(blocks, edges) == count
    Fold(blocks, [0, 1], [(0.0, 0.0, 1.0)], [0], edges).assert_like_readings()


@pytest.mark.parametrize(
    ("taken", "count"),
    [
        ((0, 19 * HOUR), 1),
        ((1, 19 * HOUR), 0),
        ((0, 19 * HOUR - 1), 0),
        ((INT64_MIN, 40 * HOUR), 1),
        ((50 * HOUR, INT64_MAX), 0),
    ],
)
def test_meters_of_which_some_readings_are_not_taken_have_no_lines(taken, count):
    blocks = blocks_of(meter_blocks(0, block_of(0, steps(20), 100)))
    assert lines_count(blocks, EDGES, taken) == count
    Fold(blocks, [0, 1], [(0.0, 0.0, 1.0)], [0], EDGES).assert_like_readings(taken)


@pytest.mark.parametrize("how", [buckets_groups.FOLD_MIN, buckets_groups.FOLD_MAX])
def test_the_least_and_the_greatest_of_a_group_are_not_of_lines(how):
    blocks = blocks_of(
        meter_blocks(0, block_of(0, steps(20), 100)) + meter_blocks(1, block_of(3, steps(20, 5), 7))
    )
    assert lines_count(blocks, EDGES, how=how) == 0
    fold = Fold(blocks, [0, 1, 2], [(0.0, 0.0, 1.0), (1.0, 0.0, 1.0)], [0, 0], EDGES)
    fold.how = how
    found, expected = fold.by_blocks(), fold.by_readings(fold.readings())
    np.testing.assert_array_equal(found[1].view(np.int64), expected[1].view(np.int64))


def test_blocks_that_the_scratch_has_no_room_for_are_no_lines():
    given_blocks = [block_of(3 * k, steps(3), 100 * k, gaps=[(1, 0)]) for k in range(12)]
    blocks = blocks_of(meter_blocks(0, *given_blocks))
    counts = [lines_count(blocks, EDGES, room=room) for room in range(0, 1000, 8)]
    assert set(counts) == {0, 12}
    assert counts == sorted(counts)
    # What is said to suffice does, by lines or not.
    fold = Fold(blocks, [0, 12], [(0.0, 0.0, 1.0)], [0], EDGES)
    fold.assert_like_readings()


# -- sums


def exact_sums(fold: Fold, exponents: list[int]) -> np.ndarray:
    """By group and bucket, of meters whose readings are on edges, without gaps."""
    totals = [[Fraction(0)] * (fold.edges.size - 1) for _ in range(max(fold.groups) + 1)]
    for group, exponent, (times, values, _) in zip(fold.groups, exponents, fold.readings(), strict=True):
        mantissas = np.rint(values * 10.0**exponent).astype(np.int64).tolist()
        for k, bucket in enumerate(np.searchsorted(fold.edges, times)[:-1].tolist()):
            totals[group][bucket] += Fraction(mantissas[k + 1] - mantissas[k], 10**exponent)
    return np.array([[float(total) for total in of_group] for of_group in totals])


@pytest.mark.parametrize("exponents", [[3] * 8, [0] * 8, [6, 3, 3, 0, 1, 2, 6, 6], [15, 0, 15, 7]])
@pytest.mark.parametrize("group_count", [1, 2])
@pytest.mark.parametrize("block_count", [1, 3])
def test_sums_are_those_of_the_decimals_correctly_rounded(exponents, group_count, block_count):
    encoded = []
    for slot, exponent in enumerate(exponents):
        rng = np.random.default_rng(slot)
        begin, start = int(rng.integers(0, 9)), int(rng.integers(0, 10**9))
        for _ in range(block_count):
            residuals = rng.poisson(7, int(rng.integers(5, 17)))
            encoded.append((slot, *block_of(begin, residuals, start, exponent)))
            begin, start = begin + residuals.size, start + int(residuals.sum())
    for k in range(0, len(encoded), block_count):
        assert lines_count(blocks_of(encoded[k : k + block_count]), EDGES) == block_count
    meters = [(float(slot), 0.0, 1.0) for slot in range(len(exponents))]
    groups = [slot % group_count for slot in range(len(exponents))]
    bounds = range(0, len(encoded) + 1, block_count)
    fold = Fold(blocks_of(encoded), bounds, meters, groups, EDGES)
    found, expected = sums_of(fold.assert_like_readings()), exact_sums(fold, exponents)
    if block_count == 1:
        # The first meter has the most digits, so that no sum is divided before all are added.
        assert np.array_equal(found, expected)
    # What was used between two blocks is rounded for itself.
    assert np.all(np.abs(found - expected) <= np.spacing(expected))


@pytest.mark.parametrize("exponents", [[0, 1, 2, 3], [0, 3, 1, 6, 0], [2, 12, 0, 15], [15, 0], [0, 15]])
def test_meters_of_unlike_digits_are_folded_in_any_order(exponents):
    encoded = [
        (slot, *block_of(slot, steps(20, slot), 10**6 * slot, exponent, gaps=[(4, 2)] if slot % 2 else []))
        for slot, exponent in enumerate(exponents)
    ]
    meters = [(float(slot), 0.0, 1.0) for slot in range(len(exponents))]
    bounds = range(len(exponents) + 1)
    for groups in ([0] * len(exponents), [slot % 2 for slot in range(len(exponents))]):
        Fold(blocks_of(encoded), bounds, meters, groups, EDGES).assert_like_readings()


@pytest.mark.parametrize("unit", [(1.0, 1000.0), (1000.0, 1.0), (7.0, 3.0), (5.0, 5.0)])
def test_amounts_of_another_unit_are_those_of_readings(unit):
    blocks = blocks_of(meter_blocks(0, block_of(0, steps(20), 100, 3)))
    fold = Fold(blocks, [0, 1], [(0.0, 0.0, 1.0)], [0], EDGES)
    fold.unit = unit
    fold.assert_like_readings()


def test_steps_are_summed_as_integers_only_where_these_suffice():
    fine = block_of(0, steps(20), 100, 15)
    tall = block_of(0, steps(20), 100, 0, base=10**6)  # 10^21, with so many digits more
    for given_blocks in ([fine, tall], [tall, fine], [fine, tall, fine, tall]):
        encoded = [(slot, *given_block) for slot, given_block in enumerate(given_blocks)]
        meters = [(float(slot), 0.0, 1.0) for slot in range(len(encoded))]
        bounds, groups = range(len(encoded) + 1), [0] * len(encoded)
        Fold(blocks_of(encoded), bounds, meters, groups, EDGES).assert_like_readings()
    for given_block in (fine, tall):
        assert lines_count(blocks_of(meter_blocks(0, given_block)), EDGES) == 1


def test_meters_with_and_without_lines_are_folded_together():
    encoded = [
        (0, *block_of(0, steps(20), 100, 3)),
        (1, *block_of(0, [3, 2, -40, 45, 5], 100, 3)),  # falls, and is back
        (2, *block_of(2, steps(12), 100, 3, qualities=bytes([2, *[0, 1, 6, 3] * 3]))),
        (3, *block_of(2, steps(12), 100, 3, phase=HOUR // 3)),
        (4, *block_of(9, steps(12), 7, 1, gaps=[(3, 2)])),
        (5, *block_of(9, steps(12), 7, 1)),
        (6, *block_of(0, steps(20), 0, 2)),
    ]
    meters = [(float(slot), 0.0, 10.0 if slot == 5 else 1.0) for slot in range(7)]
    for groups in ([0] * 7, [0, 1] * 3 + [0]):
        fold = Fold(blocks_of(encoded), range(8), meters, groups, EDGES)
        for columns in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            fold.columns = columns
            fold.assert_like_readings()


def test_an_interval_over_a_gap_is_shared_out_and_counts_once():
    blocks = blocks_of(meter_blocks(0, block_of(0, [0, 5, 12, 5], 0, gaps=[(2, 3)])))  # 0, 1, 5 and 6 o'clock
    edges = np.arange(0, 7) * HOUR
    assert lines_count(blocks, edges) == 1
    found = Fold(blocks, [0, 1], [(0.0, 0.0, 1.0)], [0], edges).assert_like_readings()
    row_counts, sums, counts = found[0, 0], sums_of(found)[0], found[0, 1 + buckets_groups.FOLDED_FIELDS]
    assert row_counts.tolist() == [1, 1, 1, 1, 1, 1]
    assert sums.tolist() == [5, 3, 3, 3, 3, 5]
    assert counts.tolist() == [1, 1, 0, 0, 0, 1]


# -- what is not folded by lines


@pytest.mark.parametrize("time", [0, 7 * HOUR, 7 * HOUR + 1, 30 * HOUR])
def test_an_exchanged_meter_is_folded_as_its_readings_are(time):
    encoded = [
        (0, *block_of(0, steps(20), 100, 1)),
        (1, *block_of(2, steps(10), 500, 2)),
        (2, *block_of(3, steps(14), 0, 1)),
    ]
    meters = [(0.0, 0.0, 1.0), (1.0, 0.0, 1.0), (1.0, 0.0, 1.0), (2.0, 0.0, 1.0)]
    exchanges: list[Exchange] = [NO_EXCHANGE, NO_EXCHANGE, (time, 6.0, 1.5), NO_EXCHANGE]
    fold = Fold(blocks_of(encoded), range(4), meters, [0, 0, 0], EDGES)
    series = [(times.tolist(), values.tolist()) for times, values, _ in fold.readings()]
    split = split_at_exchanges(series, meters, exchanges, ALWAYS)
    readings = [
        (
            np.array([t for t, _ in rows], np.int64),
            np.array([v for _, v in rows]),
            np.zeros(len(rows), np.uint8),
        )
        for rows in split
    ]
    assert_like(fold.by_blocks(exchanges), fold.by_readings(readings))


def test_a_meter_whose_times_wrap_is_malformed():
    times = linear(INT64_MAX - 3 * HOUR, HOUR, 1)
    assert lines_of(times, 4) == (0, [])  # or what follows would leave the places
    _, *columns = block_of(0, [1] * 4, 100)
    blocks = blocks_of([(0, 4, times, *columns[1:])])
    fold = Fold(
        blocks, [0, 1], [(0.0, 0.0, 1.0)], [0], np.arange(-2, 60) * HOUR + (INT64_MAX - 2 * HOUR) % HOUR
    )
    assert fold.by_blocks()[0] == MALFORMED_BLOCK


def test_every_flipped_bit_is_a_status_or_what_decoding_gives():
    given_blocks = [block_of(0, steps(6), 100, 2, gaps=[(2, 3)]), block_of(12, steps(5), 180, 2)]
    whole = blocks_of(meter_blocks(0, *given_blocks))
    for at in range(0, 8 * (whole.data.size - 8), 5 if IS_PYTHON else 1):
        blocks = blocks_of(meter_blocks(0, *given_blocks))
        blocks.data = blocks.data.copy()
        blocks.data[at // 8] ^= 1 << at % 8
        fold = Fold(blocks, [0, 2], [(0.0, 0.0, 1.0)], [0], EDGES)
        kept, _, times, _, _ = blocks.decode()
        if kept < 0:
            assert fold.by_blocks()[0] == MALFORMED_BLOCK + 1 + kept
        elif np.any(np.diff(times) <= 0):
            assert fold.by_blocks()[0] == MALFORMED_BLOCK - 1
        else:
            count, found = fold.by_blocks()
            assert count == fold.by_readings(fold.readings())[0]
            assert not found[:, -STEP_FIELDS:].view(np.int64).any()


# -- registers as they are written


@pytest.mark.parametrize("group_count", [1, 2])
def test_hourly_registers_are_folded_from_their_payloads(group_count):
    size = 150 if IS_PYTHON else 3000
    rng = np.random.default_rng(group_count)
    starts, times, values, exponents = [], [], [], [3, 3, 2, 0, 3]
    for exponent in exponents:
        starts += [sum(map(len, times)), sum(map(len, times)) + size // 2]
        times.append((np.arange(size) + int(rng.integers(0, 9))) * HOUR)
        values.append((10**6 + np.cumsum(rng.poisson(25, size))) / 10.0**exponent)
    starts.append(size * len(exponents))
    blocks = encode(np.concatenate(times), np.concatenate(values), starts=starts)
    for number in range(2 * len(exponents)):
        assert blocks.payload(number, 1)[3] == PREFIX | CARRY_FLAG
    meters = [(float(slot), 0.0, 1.0) for slot in range(len(exponents))]
    edges = np.arange(-1, size + 10) * HOUR
    groups = [slot % group_count for slot in range(len(exponents))]
    fold = Fold(blocks, range(0, 2 * len(exponents) + 1, 2), meters, groups, edges)
    found, expected = sums_of(fold.assert_like_readings()), exact_sums(fold, exponents)
    between_blocks = np.isin(edges[:-1], [of_meter[size // 2 - 1] for of_meter in times])
    assert np.array_equal(found[:, ~between_blocks], expected[:, ~between_blocks])
    assert np.all(np.abs(found - expected) <= np.spacing(expected))
    # In other buckets, they are as they ever were.
    for width, phase in ((24, 0), (1, 1), (2, 0)):
        fold.edges = np.arange(-48, size + 48, width) * HOUR + phase
        fold.assert_like_readings()
