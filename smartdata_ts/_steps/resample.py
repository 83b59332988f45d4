"""Aggregates over buckets of time, reduced by kernels straight from the blocks."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.facts import Facts
from smartdata_ts._read.past import KnownPart, known_part
from smartdata_ts._read.plan import Plan, Slice
from smartdata_ts._read.scan import read_slice
from smartdata_ts._read.series_blocks import SeriesBlocks, head_in, series_blocks
from smartdata_ts._read.threads import Result, in_order
from smartdata_ts._readings.arrow import fixed_array, result_room
from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.schema import TIME_TYPE
from smartdata_ts._steps import shares
from smartdata_ts._steps.bucketed import Bucketed
from smartdata_ts._steps.frame import SERIES_FIELD, TIME_FIELD
from smartdata_ts._steps.step import PlanStep
from smartdata_ts._storage.codec import BLOCK_READINGS_MAX
from smartdata_ts._time.calendar import Calendar, Edges, are_edges_of
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.kernels.arrays import Float64Array, Int64Array
from smartdata_ts.kernels.buckets import cells as kernel_cells
from smartdata_ts.kernels.buckets import reduce as kernel_reduce
from smartdata_ts.kernels.buckets.growth import GROWTH_FIELDS, Room, Wanted
from smartdata_ts.kernels.codec.blocks import EncodedBlocks

AGGREGATES = {
    "count": kernel_cells.AGGREGATE_COUNT,
    "sum": kernel_cells.AGGREGATE_SUM,
    "min": kernel_cells.AGGREGATE_MIN,
    "max": kernel_cells.AGGREGATE_MAX,
    "mean": kernel_cells.AGGREGATE_MEAN,
    "first": kernel_cells.AGGREGATE_FIRST,
    "last": kernel_cells.AGGREGATE_LAST,
    "std": kernel_cells.AGGREGATE_STD,
}

# Cells of a slice stay in the second-level cache; a batch is large enough for large pages, and so is a slice
# where nothing is merged: there one series at a time has cells.
_SLICE_CELLS = 32_768
_UNMERGED_SCALE = 2
_BATCH_CELLS = 131_072

# A slice, and the edges of the buckets that it needs.
_Part = tuple[Slice, Int64Array]


def _schema_of(aggregates: tuple[str, ...]) -> pa.Schema:
    return pa.schema([SERIES_FIELD, TIME_FIELD, *map(shares.field_of, aggregates)])


@dataclass(frozen=True)
class Resample(Bucketed, PlanStep):
    """Aggregates of stored readings over buckets of a calendar."""

    calendar: Calendar | Edges
    aggregates: tuple[str, ...]
    empty: bool

    @property
    def measures(self) -> dict[str, str]:
        """The aggregates, which are called by their names."""
        return dict(zip(self.aggregates, self.aggregates, strict=True))

    @property
    def needs_facts(self) -> bool:
        """Where they ask how many readings a series should have."""
        return "expected_count" in self.aggregates or "completeness" in self.aggregates

    def schema(self, source: pa.Schema) -> pa.Schema:  # noqa: ARG002, every step has this face
        """Series, bucket start, and a column per aggregate; counts are int64, all else double."""
        return _schema_of(self.aggregates)

    def run(
        self, plan: Plan, facts: Facts | None, finish: Callable[[pa.RecordBatch], Result]
    ) -> Iterator[Result]:
        """Aggregates of every series' buckets, batch by batch, in bounded memory; threads `finish` them."""
        steps = np.zeros(plan.ids.size, np.int64)
        if self.needs_facts:
            assert facts is not None
            steps = shares.steps_of(plan, facts.intervals_us)
        scratches = threading.local()

        def run(task: list[_Part]) -> Result | None:
            if not hasattr(scratches, "scratch"):
                scratches.scratch = _Scratch(self.aggregates)
            batch = _resample(plan, task, scratches.scratch, self.empty, steps)
            return finish(batch) if batch.num_rows else None

        tasks = _tasks(_slices_by_cells(plan, self.calendar, self.empty))
        for result in in_order(run, tasks, plan.reading_count, plan.snapshot.thread_count):
            if result is not None:
                yield result


def _tasks(parts: Iterator[_Part]) -> Iterator[list[_Part]]:
    """As many slices at a time as make a batch of a good size."""
    task: list[_Part] = []
    cell_count = 0
    for part in parts:
        task.append(part)
        cell_count += _cell_count(part)
        if cell_count >= _BATCH_CELLS:
            yield task
            task, cell_count = [], 0
    if task:
        yield task


def _cell_count(part: _Part) -> int:
    piece, edges = part
    return (piece.end - piece.first) * (edges.size - 1)


class _Scratch:
    """Room of a thread to reduce slices, used again for each."""

    def __init__(self, aggregates: tuple[str, ...]) -> None:
        self.aggregates = aggregates
        # Shares are made of counts.
        self.columns = [name for name in dict.fromkeys((*aggregates, "count")) if name in AGGREGATES]
        if not set(aggregates) & {"count", *shares.SHARES}:
            self.columns.remove("count")
        self.codes = np.array([AGGREGATES[name] for name in self.columns], np.int64)
        self.squares = "std" in aggregates
        self.sums = bool({"sum", "mean", "std"} & set(aggregates))
        block = (np.empty(BLOCK_READINGS_MAX, np.int64) for _ in range(3))
        self.room = Room(next(block), next(block), np.empty(BLOCK_READINGS_MAX))
        self.commits = next(block)
        self._cells = np.empty(0)
        self._growth = np.empty(0, np.int64)

    def wanted(self, part: Slice) -> Wanted:
        """Which readings count, and what is wanted of them."""
        return Wanted(part.time_min, part.time_max, self.squares, self.sums)

    def cells(self, count: int) -> Float64Array:
        """Zeroed cells; the kernel that emits them zeroes them again."""
        size = count * kernel_cells.CELL_FIELDS
        if self._cells.size < size:
            self._cells = np.zeros(size)
        return self._cells[:size]

    def growth(self, bucket_count: int) -> Int64Array:
        """Zeroed growth of a slot; the kernel that emits it zeroes it again."""
        size = bucket_count * GROWTH_FIELDS
        if self._growth.size < size:
            self._growth = np.zeros(size, np.int64)
        return self._growth[:size]


def _resample(
    plan: Plan, task: list[_Part], scratch: _Scratch, keep_empty: bool, steps: Int64Array
) -> pa.RecordBatch:
    """One batch of the aggregates of some slices."""
    room = sum(map(_cell_count, task))
    slots = result_room(room, np.int32)
    columns = result_room(room * (1 + len(scratch.columns)), np.float64)
    starts, columns = columns[:room].view(np.int64), columns[room:]
    widths = np.empty(room, np.int64)
    estimates = np.empty(room, np.int64)
    row = 0
    for piece, edges in task:
        first = row
        sink = kernel_cells.AggregateSink(slots, starts, columns, scratch.codes, piece.first, keep_empty)
        blocks = None if keep_empty else series_blocks(plan, piece)
        if blocks is None or not blocks.chunks:
            cells = scratch.cells(_cell_count((piece, edges)))
            loose = _reduce(plan, piece, edges, scratch, cells)
            row = kernel_cells.emit_cells(cells, edges, sink, row)
        else:
            loose = [blocks.recent]
            row = _resample_blocks(blocks, edges, scratch.wanted(piece), scratch, sink, row)
        if set(scratch.aggregates) & set(shares.SHARES):
            buckets = np.searchsorted(edges, starts[first:row])
            widths[first:row] = np.diff(edges)[buckets]
            if "estimated_share" in scratch.aggregates:
                counted = shares.count_estimates(plan, piece, edges, loose)
                estimates[first:row] = counted[(slots[first:row] - piece.first) * (edges.size - 1) + buckets]
    found = {name: columns[k * room : k * room + row] for k, name in enumerate(scratch.columns)}
    if set(scratch.aggregates) & set(shares.SHARES):
        found |= _shares(scratch.aggregates, found, widths[:row], steps[slots[:row]], estimates[:row])
    arrays = [
        pa.DictionaryArray.from_arrays(fixed_array(slots[:row]), plan.keys),
        fixed_array(starts[:row], TIME_TYPE),
    ]
    arrays += [_array(name, found[name]) for name in scratch.aggregates]
    return pa.record_batch(arrays, schema=_schema_of(scratch.aggregates))


def _shares(
    aggregates: tuple[str, ...],
    columns: dict[str, np.ndarray],
    widths: Int64Array,
    steps: Int64Array,
    estimates: Int64Array,
) -> dict[str, np.ndarray]:
    """The columns that are made from the buckets' counts."""
    counts = columns["count"].view(np.int64)
    expected = shares.expected_counts(widths, steps)
    found = {"expected_count": expected, "completeness": shares.completeness_of(counts, expected)}
    if "estimated_share" in aggregates:
        found["estimated_share"] = np.where(counts > 0, estimates / np.maximum(counts, 1), np.nan)
    return found


def _array(name: str, column: np.ndarray) -> pa.Array:
    if name == "count":
        return fixed_array(column.view(np.int64))
    # NaN readings are skipped, so NaN says: no reading, no second one, or inf less inf. Nothing expects none.
    nulls = column == 0 if name == "expected_count" else np.isnan(column)
    return fixed_array(column, nulls=nulls if nulls.any() else None)


def _slices_by_cells(plan: Plan, calendar: Calendar | Edges, keep_empty: bool) -> Iterator[_Part]:
    """Ranges of series with the edges of the buckets that they need, of some ten thousand cells each.

    Only the span in which a range has readings gets cells, so that a meter with a wrong clock costs
    little; where empty buckets are kept, all ranges have the same span.
    """
    firsts, lasts = plan.spans()
    if keep_empty and firsts.size and firsts.min() <= lasts.max():
        firsts[:] = plan.time_min if plan.time_min > TIME_MIN else firsts.min()
        lasts[:] = plan.time_max if plan.time_max < TIME_MAX else lasts.max()
    cell_count_max = _SLICE_CELLS * (1 if plan.tangled.any() else _UNMERGED_SCALE)
    span_max = cell_count_max * calendar.usual_width_us
    edges = np.zeros(2, np.int64)
    cuts = plan.chunk_ends()
    first = 0
    while first < plan.ids.size:
        cut = int(cuts[np.searchsorted(cuts, first, "right")])
        width = min(cell_count_max, cut - first)
        while True:
            end = first + width
            low, high = int(firsts[first:end].min()), int(lasts[first:end].max())
            if width == 1 or width * (high - low) <= span_max:
                break
            width //= 2
        while low <= high:
            # Ranges of regular meters need the same buckets, which need not be made anew.
            if not are_edges_of(edges, low, high + 1):
                edges = calendar.edges(low, min(high, low + span_max) + 1)
            yield Slice(first, end, max(low, plan.time_min), min(plan.time_max, int(edges[-1]) - 1)), edges
            low = int(edges[-1])
        first = end


def _resample_blocks(
    blocks: SeriesBlocks,
    edges: Int64Array,
    wanted: Wanted,
    scratch: _Scratch,
    sink: kernel_cells.AggregateSink,
    row: int,
) -> int:
    """Write the rows of blocks, slot by slot, from `row` on; return the next free row."""
    loaded, bucket_count = blocks.load(), edges.size - 1
    growth, cells = scratch.growth(bucket_count), scratch.cells(bucket_count)
    row = kernel_reduce.resample_blocks(loaded.encoded, edges, wanted, scratch.room, growth, cells, sink, row)
    if row < 0:
        raise loaded.corrupt(-1 - row)
    return row


def _reduce(
    plan: Plan, part: Slice, edges: Int64Array, scratch: _Scratch, cells: Float64Array
) -> list[Readings]:
    """Add every reading of a slice to its cell; returns those that did not come straight from blocks."""
    tangled = plan.tangled[part.first : part.end]
    wanted = scratch.wanted(part)
    for chunk, rows, positions in plan.blocks_in(part):
        slots = positions - part.first
        plain = ~tangled[slots] | plan.settled_in(chunk, rows)
        if not plain.any():
            continue
        chosen, slots = rows[plain], slots[plain]
        data, descriptors = chunk.payloads(chosen, slots)
        encoded = EncodedBlocks(data, descriptors, chunk.tables)
        status = kernel_reduce.reduce_blocks(encoded, edges, wanted, scratch.room, cells)
        if status < 0:
            raise chunk.corrupt(int(chosen[-1 - status]), "its payload cannot be decoded")
    loose = []
    head = head_in(plan, part)
    head = head.select(~tangled[head.series])
    if len(head):
        loose.append(head)
    if tangled.any():
        # Which of a block's readings are estimates is counted with all of the block, or one by one.
        known = known_part(plan, part, may_drop="estimated_share" not in scratch.aggregates)
        if known is None:
            loose.append(read_slice(plan, part, plan.tangled))
        else:
            loose.append(_reduce_known(known, edges, wanted, scratch, cells))
    for readings in loose:
        kernel_reduce.reduce_columns(readings.series, readings.times, readings.values, edges, wanted, cells)
    return loose


def _reduce_known(
    known: KnownPart, edges: Int64Array, wanted: Wanted, scratch: _Scratch, cells: Float64Array
) -> Readings:
    """Add what a commit knew of blocks; returns its other readings, where hidden ones are NaN."""
    readings = known.rest.readings
    others = kernel_reduce.OtherReadings(
        readings.series.astype(np.int64), readings.times, known.rest.commits.astype(np.int64)
    )
    room = (scratch.room, known.commit, scratch.commits)
    for blocks in known.blocks:
        chunk = blocks.chunk
        data, descriptors = chunk.payloads(blocks.rows, blocks.positions, with_commits=True)
        encoded = EncodedBlocks(data, descriptors, chunk.tables)
        status = kernel_reduce.reduce_known_blocks(encoded, edges, wanted, *room, others, cells)
        if status < 0:
            raise chunk.corrupt(int(blocks.rows[-1 - status]), "its payload cannot be decoded")
    # Kernels that reduce skip NaN, so that hidden readings need not be moved out of the way.
    readings.values[others.commits < 0] = np.nan
    return readings
