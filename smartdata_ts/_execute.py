"""Queries executed: which blocks, in which slices, decoded and reduced by kernels, as Arrow batches.

Results are in the order of the selection's keys, then of time. A slice is a range of series over a span
of time, small enough for its result to be held; slices run on two threads and come out in order. A
series whose blocks overlap in time (late or replaced readings) is merged first; all others are reduced
straight from their blocks.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from smartdata_ts._arrow_arrays import fixed_array, text_array
from smartdata_ts._calendar import Calendar
from smartdata_ts._chunk_file import ChunkFile
from smartdata_ts._codec import BLOCK_READINGS_MAX
from smartdata_ts._readings import Readings, fold
from smartdata_ts._snapshot import Blocks, Snapshot
from smartdata_ts.kernels import blocks as kernel_blocks
from smartdata_ts.kernels import reduce as kernel_reduce
from smartdata_ts.kernels._jit import Float64Array, Int64Array

TIME_MIN = int(np.iinfo(np.int64).min)
TIME_MAX = int(np.iinfo(np.int64).max)
TIME_TYPE = pa.timestamp("us", tz="UTC")

AGGREGATES = {
    "count": kernel_reduce.AGGREGATE_COUNT,
    "sum": kernel_reduce.AGGREGATE_SUM,
    "min": kernel_reduce.AGGREGATE_MIN,
    "max": kernel_reduce.AGGREGATE_MAX,
    "mean": kernel_reduce.AGGREGATE_MEAN,
    "first": kernel_reduce.AGGREGATE_FIRST,
    "last": kernel_reduce.AGGREGATE_LAST,
    "std": kernel_reduce.AGGREGATE_STD,
}

_THREAD_COUNT = 2
_SLICE_READINGS = 1_048_576
# Cells of a slice stay in the second-level cache; a batch is large enough for large pages.
_SLICE_CELLS = 32_768
_BATCH_CELLS = 262_144
_THREADS_FROM_READINGS = 262_144  # below, starting threads costs more than it saves

Result = TypeVar("Result")
Task = TypeVar("Task")

READINGS_SCHEMA = pa.schema(
    [
        pa.field("series", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("time", TIME_TYPE, nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("quality", pa.uint8(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Plan:
    """The blocks of a selection: per chunk sorted by position, and which positions need merging."""

    snapshot: Snapshot
    ids: Int64Array
    keys: pa.StringArray
    time_min: int
    time_max: int  # inclusive
    blocks: list[Blocks]
    positions_first: Int64Array  # of each chunk's blocks
    positions_last: Int64Array
    head: Readings  # series = position, sorted and folded
    tangled: np.ndarray  # bool per position
    counts: Int64Array  # readings per position, an upper bound

    @property
    def reading_count(self) -> int:
        """At most so many readings will be decoded."""
        return int(self.counts.sum())

    def blocks_in(self, part: "Slice") -> Iterator[tuple[ChunkFile, Int64Array, Int64Array]]:
        """The chunks that have blocks in a slice, with these blocks' rows and positions."""
        near = (self.positions_first < part.end) & (self.positions_last >= part.first)
        for k in np.flatnonzero(near).tolist():
            blocks = self.blocks[k]
            chunk = blocks.chunk
            first, end = np.searchsorted(blocks.positions, (part.first, part.end))
            rows, positions = blocks.rows[first:end], blocks.positions[first:end]
            within = (chunk.time_max[rows] >= part.time_min) & (chunk.time_min[rows] <= part.time_max)
            if within.all():
                yield chunk, rows, positions
            elif within.any():
                yield chunk, rows[within], positions[within]

    def spans(self) -> tuple[Int64Array, Int64Array]:
        """Each position's first and last time within the plan's span; first > last where there is none."""
        firsts = np.full(self.ids.size, TIME_MAX)
        lasts = np.full(self.ids.size, TIME_MIN)
        for part in self.blocks:
            np.minimum.at(firsts, part.positions, part.chunk.time_min[part.rows])
            np.maximum.at(lasts, part.positions, part.chunk.time_max[part.rows])
        np.minimum.at(firsts, self.head.series, self.head.times)
        np.maximum.at(lasts, self.head.series, self.head.times)
        empty = firsts > lasts
        firsts, lasts = np.maximum(firsts, self.time_min), np.minimum(lasts, self.time_max)
        firsts[empty], lasts[empty] = TIME_MAX, TIME_MIN
        return firsts, lasts


@dataclass(frozen=True)
class Slice:
    """Positions first to end, times time_min to time_max (inclusive)."""

    first: int
    end: int
    time_min: int
    time_max: int


# A slice, and the edges of the buckets that it needs.
_Part = tuple[Slice, Int64Array]


def make_plan(
    snapshot: Snapshot, ids: Int64Array, keys: pa.StringArray, time_min: int, time_max: int
) -> Plan:
    """Find the blocks of the series `ids` within [time_min, time_max]."""
    blocks = [_by_position(part) for part in snapshot.blocks(ids, time_min, time_max)]
    head = _head_of(snapshot, ids, time_min, time_max)
    counts = np.zeros(ids.size, np.int64)
    for part in blocks:
        np.add.at(counts, part.positions, part.chunk.count[part.rows])
    np.add.at(counts, head.series, 1)
    tangled = _tangled(ids.size, blocks, head)
    ends = np.array([(part.positions[0], part.positions[-1]) for part in blocks], np.int64).reshape(-1, 2)
    return Plan(
        snapshot, ids, keys, time_min, time_max, blocks, ends[:, 0], ends[:, 1], head, tangled, counts
    )


def _by_position(part: Blocks) -> Blocks:
    if np.all(part.positions[:-1] <= part.positions[1:]):
        return part
    order = np.argsort(part.positions, kind="stable")
    return Blocks(part.chunk, part.rows[order], part.positions[order])


def _head_of(snapshot: Snapshot, ids: Int64Array, time_min: int, time_max: int) -> Readings:
    head = snapshot.head
    if len(head) == 0 or ids.size == 0:
        return head.select(slice(0, 0))
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids, head.series, sorter=order), ids.size - 1)
    positions = order[at]
    wanted = (ids[positions] == head.series) & (head.times >= time_min) & (head.times <= time_max)
    chosen = head.select(wanted)
    placed = Readings(positions[wanted].astype(np.int32), chosen.times, chosen.values, chosen.qualities)
    return fold([placed]).readings


def _tangled(position_count: int, blocks: list[Blocks], head: Readings) -> np.ndarray:
    """Which positions have blocks (the head's readings being one) that overlap in time."""
    tangled = np.zeros(position_count, np.bool_)
    positions = [part.positions for part in blocks]
    firsts = [part.chunk.time_min[part.rows] for part in blocks]
    lasts = [part.chunk.time_max[part.rows] for part in blocks]
    if len(head):
        starts = np.flatnonzero(np.diff(head.series, prepend=-1))
        positions.append(head.series[starts].astype(np.int64))
        firsts.append(head.times[starts])
        lasts.append(head.times[np.append(starts[1:], len(head)) - 1])
    if not positions:
        return tangled
    position, first, last = map(np.concatenate, (positions, firsts, lasts))
    order = np.lexsort((first, position))
    position, first, last = position[order], first[order], last[order]
    # Ordered by their begin, some two neighbours overlap if any two blocks do.
    overlaps = (position[1:] == position[:-1]) & (first[1:] <= last[:-1])
    tangled[position[1:][overlaps]] = True
    return tangled


# -- readings


def read_series(snapshot: Snapshot, ids: Int64Array, time_min: int, time_max: int) -> Readings:
    """All readings of the ascending series `ids` within [time_min, time_max], by id and time."""
    plan = make_plan(snapshot, ids, text_array([]), time_min, time_max)
    readings = read_slice(plan, Slice(0, ids.size, time_min, time_max))
    series = ids[readings.series].astype(np.int32)
    return Readings(series, readings.times, readings.values, readings.qualities)


def read_slice(plan: Plan, part: Slice, only: np.ndarray | None = None) -> Readings:
    """The merged readings of a slice, `series` being the position less part.first; `only` picks positions."""
    pieces = []
    for chunk, rows, positions in plan.blocks_in(part):
        wanted = slice(None) if only is None else only[positions]
        blocks = Blocks(chunk, rows[wanted], positions[wanted] - part.first)
        if blocks.rows.size:
            pieces.append(_decode(blocks, part))
    head = _head_in(plan, part)
    if only is not None:
        head = head.select(only[head.series + part.first])
    return fold([*pieces, head]).readings


def _head_in(plan: Plan, part: Slice) -> Readings:
    if len(plan.head) == 0:
        return plan.head
    first, end = np.searchsorted(plan.head.series, [part.first, part.end])
    head = plan.head.select(slice(int(first), int(end)))
    within = (head.times >= part.time_min) & (head.times <= part.time_max)
    chosen = head if within.all() else head.select(within)
    return Readings(chosen.series - np.int32(part.first), chosen.times, chosen.values, chosen.qualities)


def _decode(blocks: Blocks, part: Slice) -> Readings:
    chunk = blocks.chunk
    room = int(chunk.count[blocks.rows].sum())
    span = np.empty(2 + BLOCK_READINGS_MAX, np.int64)
    span[0], span[1] = part.time_min, part.time_max
    slots = np.empty(room, np.int32)
    times = np.empty(room, np.int64)
    values = np.empty(room, np.float64)
    qualities = np.empty(room, np.uint8)
    descriptors = chunk.descriptors(blocks.rows, blocks.positions)
    count = kernel_blocks.read_blocks(
        chunk.data, descriptors, chunk.tables, span, slots, times, values, qualities
    )
    if count < 0:
        raise chunk.corrupt(int(blocks.rows[-1 - count]), "its payload cannot be decoded")
    return Readings(slots[:count], times[:count], values[:count], qualities[:count])


def reading_batches(plan: Plan) -> Iterator[pa.RecordBatch]:
    """The readings of a plan, batch by batch, in bounded memory."""

    def run(part: Slice) -> pa.RecordBatch:
        readings = read_slice(plan, part)
        return pa.record_batch(
            [
                pa.DictionaryArray.from_arrays(
                    fixed_array(readings.series + np.int32(part.first)), plan.keys
                ),
                fixed_array(readings.times, TIME_TYPE),
                fixed_array(readings.values),
                fixed_array(readings.qualities),
            ],
            schema=READINGS_SCHEMA,
        )

    slices = list(slices_by_readings(plan, _SLICE_READINGS))
    for batch in _in_order(run, slices, plan.reading_count):
        if batch.num_rows:
            yield batch


def slices_by_readings(plan: Plan, reading_count_max: int) -> Iterator[Slice]:
    """Ranges of series of some million readings; a longer series is cut in time, at its blocks."""
    before = np.concatenate([[0], np.cumsum(plan.counts)])
    first = 0
    while first < plan.counts.size:
        if plan.counts[first] > reading_count_max:
            yield from _slices_of_long_series(plan, first, reading_count_max)
            first += 1
            continue
        end = int(np.searchsorted(before, before[first] + reading_count_max, "right")) - 1
        yield Slice(first, end, plan.time_min, plan.time_max)
        first = end


def _slices_of_long_series(plan: Plan, position: int, reading_count_max: int) -> Iterator[Slice]:
    whole = Slice(position, position + 1, plan.time_min, plan.time_max)
    found = list(plan.blocks_in(whole))
    firsts = np.concatenate([chunk.time_min[rows] for chunk, rows, _ in found])
    counts = np.concatenate([chunk.count[rows] for chunk, rows, _ in found])
    order = np.argsort(firsts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    cuts = np.flatnonzero(np.diff(before // reading_count_max)) + 1
    # Where blocks overlap, a cut may fall on one that begins before the span.
    bounds = np.unique(np.maximum(firsts[order][cuts], plan.time_min))
    lows = [plan.time_min, *bounds.tolist()]
    highs = [*(bound - 1 for bound in bounds.tolist()), plan.time_max]
    for low, high in zip(lows, highs, strict=True):
        if low <= high:
            yield Slice(position, position + 1, low, high)


def _in_order(run: Callable[[Task], Result], tasks: Iterable[Task], reading_count: int) -> Iterator[Result]:
    """Run the tasks on threads, a few ahead of the consumer; results in the order of the tasks."""
    if reading_count < _THREADS_FROM_READINGS:
        yield from map(run, tasks)
        return
    pool = ThreadPoolExecutor(_THREAD_COUNT, "smartdata_ts-query")
    ahead: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            ahead.append(pool.submit(run, task))
            if len(ahead) > 2 * _THREAD_COUNT:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


# -- buckets


def resample_schema(aggregates: tuple[str, ...]) -> pa.Schema:
    """Series, bucket start, and a column per aggregate; counts are int64, all else double."""
    fields = [READINGS_SCHEMA.field("series"), READINGS_SCHEMA.field("time")]
    columns = [pa.field(name, pa.int64() if name == "count" else pa.float64()) for name in aggregates]
    return pa.schema(fields + columns)


def resample_batches(
    plan: Plan, calendar: Calendar, aggregates: tuple[str, ...], keep_empty: bool
) -> Iterator[pa.RecordBatch]:
    """Aggregates of every series' buckets, batch by batch, in bounded memory."""
    schema = resample_schema(aggregates)
    scratches = threading.local()

    def run(task: list[_Part]) -> pa.RecordBatch:
        if not hasattr(scratches, "scratch"):
            scratches.scratch = _Scratch(aggregates)
        return _resample(plan, task, scratches.scratch, keep_empty, schema)

    tasks = _tasks(_slices_by_cells(plan, calendar, keep_empty))
    for batch in _in_order(run, tasks, plan.reading_count):
        if batch.num_rows:
            yield batch


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
    """What a thread needs to reduce slices, used again for each."""

    def __init__(self, aggregates: tuple[str, ...]) -> None:
        self.options = np.array(
            [0] * kernel_reduce.EMIT_FIELDS + [AGGREGATES[name] for name in aggregates], np.int64
        )
        self.control = np.zeros(kernel_reduce.CONTROL_FIELDS + 2 * BLOCK_READINGS_MAX, np.int64)
        self.control[kernel_reduce.CONTROL_SQUARES] = "std" in aggregates
        self.values = np.empty(BLOCK_READINGS_MAX)
        self._cells = np.empty(0)

    def cells(self, count: int) -> Float64Array:
        """Zeroed cells; whoever emits them zeroes them again."""
        size = count * kernel_reduce.CELL_FIELDS
        if self._cells.size < size:
            self._cells = np.zeros(size)
        return self._cells[:size]


def _resample(
    plan: Plan, task: list[_Part], scratch: _Scratch, keep_empty: bool, schema: pa.Schema
) -> pa.RecordBatch:
    """One batch of the aggregates of some slices."""
    room = sum(map(_cell_count, task))
    aggregate_count = len(schema) - 2
    slots = np.empty(room, np.int32)
    starts = np.empty(room, np.int64)
    columns = np.empty(room * aggregate_count)
    row = 0
    for piece, edges in task:
        cells = scratch.cells(_cell_count((piece, edges)))
        _reduce(plan, piece, edges, scratch, cells)
        scratch.options[kernel_reduce.EMIT_KEEP_EMPTY] = keep_empty
        scratch.options[kernel_reduce.EMIT_ROW] = row
        scratch.options[kernel_reduce.EMIT_SLOT] = piece.first
        row = kernel_reduce.emit_cells(cells, edges, scratch.options, slots, starts, columns)
    arrays = [
        pa.DictionaryArray.from_arrays(fixed_array(slots[:row]), plan.keys),
        fixed_array(starts[:row], TIME_TYPE),
    ]
    for k, field in enumerate(schema.names[2:]):
        column = columns[k * room : k * room + row]
        if field == "count":
            arrays.append(fixed_array(column.view(np.int64)))
        else:
            # NaN readings are skipped, so NaN says: no reading, no second one, or inf less inf.
            nulls = np.isnan(column)
            arrays.append(fixed_array(column, nulls=nulls if nulls.any() else None))
    return pa.record_batch(arrays, schema=schema)


def _slices_by_cells(plan: Plan, calendar: Calendar, keep_empty: bool) -> Iterator[_Part]:
    """Ranges of series with the edges of the buckets that they need, of some ten thousand cells each.

    Only the span in which a range has readings gets cells, so that a meter with a wrong clock costs
    little; where empty buckets are kept, all ranges have the same span.
    """
    firsts, lasts = plan.spans()
    if keep_empty and firsts.size and firsts.min() <= lasts.max():
        firsts[:] = plan.time_min if plan.time_min > TIME_MIN else firsts.min()
        lasts[:] = plan.time_max if plan.time_max < TIME_MAX else lasts.max()
    span_max = _SLICE_CELLS * calendar.usual_width_us
    edges = np.zeros(2, np.int64)
    first = 0
    while first < plan.ids.size:
        width = min(_SLICE_CELLS, plan.ids.size - first)
        while True:
            end = first + width
            low, high = int(firsts[first:end].min()), int(lasts[first:end].max())
            if width == 1 or width * (high - low) <= span_max:
                break
            width //= 2
        while low <= high:
            # Ranges of regular meters need the same buckets, which need not be made anew.
            if not (edges[0] <= low < edges[1] and edges[-2] <= high < edges[-1]):
                edges = calendar.edges(low, min(high, low + span_max) + 1)
            yield Slice(first, end, max(low, plan.time_min), min(plan.time_max, int(edges[-1]) - 1)), edges
            low = int(edges[-1])
        first = end


def _reduce(plan: Plan, part: Slice, edges: Int64Array, scratch: _Scratch, cells: Float64Array) -> None:
    """Add every reading of a slice to its cell."""
    scratch.control[kernel_reduce.CONTROL_TIME_MIN] = part.time_min
    scratch.control[kernel_reduce.CONTROL_TIME_MAX] = part.time_max
    tangled = plan.tangled[part.first : part.end]
    for chunk, rows, positions in plan.blocks_in(part):
        slots = positions - part.first
        plain = ~tangled[slots]
        if not plain.any():
            continue
        chosen, slots = rows[plain], slots[plain]
        status = kernel_reduce.reduce_blocks(
            chunk.data,
            chunk.descriptors(chosen, slots),
            chunk.tables,
            edges,
            scratch.control,
            scratch.values,
            cells,
        )
        if status < 0:
            raise chunk.corrupt(int(chosen[-1 - status]), "its payload cannot be decoded")
    for readings in _loose_readings(plan, part, tangled):
        kernel_reduce.reduce_columns(
            readings.series, readings.times, readings.values, edges, scratch.control, cells
        )


def _loose_readings(plan: Plan, part: Slice, tangled: np.ndarray) -> Iterator[Readings]:
    """What cannot be reduced from blocks: the head's readings, and the merged ones of tangled series."""
    head = _head_in(plan, part)
    head = head.select(~tangled[head.series])
    if len(head):
        yield head
    if tangled.any():
        yield read_slice(plan, part, plan.tangled)


# -- the newest reading


def last_batch(plan: Plan) -> pa.RecordBatch:
    """The newest reading of every series that has one within the plan's span."""
    position_count = plan.ids.size
    times = np.full(position_count, TIME_MIN)
    values = np.zeros(position_count)
    qualities = np.zeros(position_count, np.uint8)
    found = np.zeros(position_count, np.bool_)
    hard = np.zeros(position_count, np.bool_)
    for blocks in plan.blocks:  # lowest precedence first, so that a later chunk wins a tie
        chunk, rows, positions = blocks.chunk, blocks.rows, blocks.positions
        order = np.lexsort((chunk.time_max[rows], positions))
        newest = order[np.append(positions[order][1:] != positions[order][:-1], True)]
        rows, positions = rows[newest], positions[newest]
        # The summaries do not tell the last reading before a bound, nor its quality among several.
        unclear = (chunk.time_max[rows] > plan.time_max) | (
            chunk.quality_min[rows] != chunk.quality_max[rows]
        )
        hard[positions[unclear]] = True
        newer = chunk.time_max[rows] >= times[positions]
        rows, positions = rows[newer], positions[newer]
        times[positions] = chunk.time_max[rows]
        values[positions] = chunk.value_last[rows]
        qualities[positions] = chunk.quality_max[rows]
        found[positions] = True
    _take_last(plan.head, np.arange(position_count), (times, values, qualities, found))
    if hard.any():
        _take_hard(plan, hard, (times, values, qualities, found))
    chosen = np.flatnonzero(found)
    return pa.record_batch(
        [
            pa.DictionaryArray.from_arrays(fixed_array(chosen.astype(np.int32)), plan.keys),
            fixed_array(times[chosen], TIME_TYPE),
            fixed_array(values[chosen]),
            fixed_array(qualities[chosen]),
        ],
        schema=READINGS_SCHEMA,
    )


_LastColumns = tuple[Int64Array, np.ndarray, np.ndarray, np.ndarray]


def _take_last(readings: Readings, positions: Int64Array, columns: _LastColumns) -> None:
    """Let the last of each series' sorted readings win if it is as new; slot k stands for positions[k]."""
    times, values, qualities, found = columns
    if len(readings) == 0:
        return
    ends = np.flatnonzero(np.append(readings.series[1:] != readings.series[:-1], True))
    at = positions[readings.series[ends]]
    newer = readings.times[ends] >= times[at]
    ends, at = ends[newer], at[newer]
    times[at] = readings.times[ends]
    values[at] = readings.values[ends]
    qualities[at] = readings.qualities[ends]
    found[at] = True


def _take_hard(plan: Plan, hard: np.ndarray, columns: _LastColumns) -> None:
    """Read the series whose summaries do not tell, a range of them at a time."""
    times, _, _, found = columns
    times[hard] = TIME_MIN
    found[hard] = False
    positions = np.flatnonzero(hard)
    newest_blocks = make_plan(plan.snapshot, plan.ids[positions], plan.keys, plan.time_min, plan.time_max)
    for part in slices_by_readings(newest_blocks, _SLICE_READINGS):
        _take_last(read_slice(newest_blocks, part), positions[part.first : part.end], columns)
