"""What goes from one step of a query to the next, and the face that every such step has.

A step is a small frozen dataclass in a file of its own. `Query.steps` is a tuple of them, and a method of
`Query` adds one: it checks that the step may follow the last one, and raises UsageError if not. To run a
query whose steps are all of this face, `frame_batches` reads some whole series at a time into a `Frame`
with one row a reading, gives it to each step in turn, on two threads; `to_batch` makes a batch of the
last step's frame by the names in its `schema`:

    series      keys[first + slots]         time        starts          end         ends
    value       values, null where NaN      quality     qualities       all else    columns[name], NaN null

What a step must hold to: it never changes the arrays that it is given; its rows are sorted by slot, then
start; its result does not depend on which other series share the frame; and whatever it leaves out
because a span was asked for is what lies outside of [context.time_min, context.time_max].

Where the first step `needs_neighbours`, every series has the last usable reading before the span (of a
finite value, and neither rejected nor missing) and the first one behind it in its frame, and often more
of them; otherwise frames hold the span alone. A `BlockStep` that is the first is offered whole series'
blocks, to decode them as it goes. A step over all series cannot have this face: it consumes
what `frame_batches` yields.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.facts import Facts
from smartdata_ts._meter.quality import are_readings, usable
from smartdata_ts._read.plan import Plan, Slice
from smartdata_ts._read.scan import read_slice
from smartdata_ts._read.series_blocks import SeriesBlocks, series_blocks
from smartdata_ts._read.threads import Result, in_order
from smartdata_ts._readings.arrow import fixed_array, result_room
from smartdata_ts._readings.columns import Readings, bounds_of
from smartdata_ts._readings.schema import READINGS_SCHEMA, TIME_TYPE
from smartdata_ts._time.calendar import Calendar, Edges, are_edges_of
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array, UInt8Array

# Small enough for its arrays to be memory that was used before, not pages that the system must clear.
FRAME_READINGS = 131_072
_FRAMES_MIN = 8  # for threads to share, unless they were too small for it
SERIES_FIELD, TIME_FIELD = READINGS_SCHEMA.field("series"), READINGS_SCHEMA.field("time")


@dataclass(frozen=True)
class Frame:
    """Some whole series' rows on their way through a query: sorted by slot, then start."""

    first: int  # position (in the selection) of slot 0
    end: int  # behind the last position
    slots: Int32Array  # per row
    starts: Int64Array  # us UTC; the instant of a reading, the begin of an interval or a bucket
    ends: Int64Array | None  # us UTC, exclusive: of intervals; None for instants and buckets
    values: Float64Array  # NaN where there is none
    qualities: UInt8Array
    columns: dict[str, np.ndarray] = field(default_factory=dict)  # further ones, by name

    def bounds(self) -> Int64Array:
        """Slot k has the rows bounds[k] to bounds[k + 1]."""
        return bounds_of(self.slots, self.end - self.first)

    def select(self, index: np.ndarray | slice) -> "Frame":
        """The rows at an index, which keeps their order."""
        ends = None if self.ends is None else self.ends[index]
        columns = {name: column[index] for name, column in self.columns.items()}
        rows = (self.slots[index], self.starts[index], ends, self.values[index], self.qualities[index])
        return Frame(self.first, self.end, *rows, columns)


@dataclass(frozen=True)
class Context:
    """What a step may know of the query that it is part of."""

    keys: pa.StringArray  # by position
    facts: Facts
    time_min: int  # of the span that was asked for, inclusive; TIME_MIN: all
    time_max: int  # inclusive; TIME_MAX: all
    extent: tuple[int, int]  # first and last time within the span that any series has; first > last: none
    scratch: threading.local = field(default_factory=threading.local)

    def room(self, name: str, size: int) -> Float64Array:
        """Memory of the thread, the same for the same name: what is allocated anew costs page faults."""
        room: Float64Array | None = getattr(self.scratch, name, None)
        if room is None or room.size < size:
            room = np.empty(size)
            setattr(self.scratch, name, room)
        return room[:size]

    def edges(self, calendar: Calendar | Edges, low: int, high: int) -> Int64Array:
        """The edges of the buckets that cover [low, high), not empty; kept, as most frames have the same."""
        kept: tuple[Calendar | Edges, Int64Array] | None = getattr(self.scratch, "edges", None)
        if kept is None or kept[0] is not calendar or not are_edges_of(kept[1], low, high):
            kept = self.scratch.edges = (calendar, calendar.edges(low, high))
        return kept[1]


class Step(Protocol):
    """One step of a query: from frame to frame, each series alone."""

    @property
    def needs_neighbours(self) -> bool:
        """Whether it wants the readings next to the span; only asked of the first step."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of a result that ends with this step."""

    def run(self, frame: Frame, context: Context) -> Frame:
        """What the step makes of some series' rows; raises UsageError where a series cannot be had so."""


@runtime_checkable
class BlockStep(Step, Protocol):
    """A step that can take some series' blocks as well as their readings, and needs neighbours."""

    def run_blocks(self, first: int, end: int, blocks: SeriesBlocks, context: Context) -> Frame | None:
        """What `run` makes of the readings of these series, all of them; None where it cannot."""


def frame_batches(
    plan: Plan,
    span: tuple[int, int],
    steps: tuple[Step, ...],
    facts: Facts,
    finish: Callable[[Frame], Result],
) -> Iterator[Result]:
    """The result of the steps, some whole series at a time, in order and in bounded memory.

    `span` is what was asked for; the plan is unbounded where the first step needs neighbours. Threads
    `finish` the last step's frames.
    """
    firsts, lasts = plan.spans()
    found = firsts <= lasts
    low, high = (firsts[found].min(), lasts[found].max()) if found.any() else (TIME_MAX, TIME_MIN)
    extent = (max(int(low), span[0]), min(int(high), span[1]))
    context = Context(plan.keys, facts, *span, extent)

    block_step = steps[0] if isinstance(steps[0], BlockStep) else None

    def run(part: tuple[int, int]) -> Result | None:
        frame = None
        if block_step is not None:
            blocks = _blocks(plan, part, span, (firsts, lasts))
            if blocks is not None:
                frame = block_step.run_blocks(*part, blocks, context)
        if frame is None:
            frame = _read(plan, part, span, (firsts, lasts) if steps[0].needs_neighbours else None)
            frame = steps[0].run(frame, context)
        for step in steps[1:]:
            frame = step.run(frame, context)
        return finish(frame) if frame.slots.size else None

    # A step that makes little of many readings, in no memory, is called the less often for it.
    most = getattr(steps[0], "frame_scale", 1) * FRAME_READINGS
    size = min(most, max(FRAME_READINGS, plan.reading_count // _FRAMES_MIN))
    parts = ranges(plan, size, getattr(steps[0], "takes_chunks", False))
    for result in in_order(run, parts, plan.reading_count):
        if result is not None:
            yield result


def to_batch(frame: Frame, keys: pa.StringArray, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of a frame that a schema names."""
    return pa.record_batch([_array(frame, keys, name) for name in schema.names], schema=schema)


def _array(frame: Frame, keys: pa.StringArray, name: str) -> pa.Array:
    if name == "series":
        positions = result_room(frame.slots.size, np.int32)
        np.add(frame.slots, np.int32(frame.first), out=positions)
        return pa.DictionaryArray.from_arrays(fixed_array(positions), keys, safe=False)  # they are in range
    if name == "time":
        return fixed_array(frame.starts, TIME_TYPE)
    if name == "end":
        assert frame.ends is not None
        return fixed_array(frame.ends, TIME_TYPE)
    if name == "quality":
        return fixed_array(frame.qualities)
    column = frame.values if name == "value" else frame.columns[name]
    if column.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(fixed_array(column.ravel()), column.shape[1])
    if name == "expected_count":  # nothing expects none
        return fixed_array(column, nulls=column == 0)
    if column.dtype != np.float64:
        return fixed_array(column)
    nulls = np.isnan(column)
    return fixed_array(column, nulls=nulls if nulls.any() else None)


def intervals_of(frame: Frame, context: Context) -> Int64Array:
    """How long each series' intervals are said to be, 0 where nothing is."""
    told = context.facts.intervals_us[frame.first : frame.end]
    return np.array([interval or 0 for interval in told], np.int64)


def ranges(plan: Plan, reading_count_max: int, of_chunks: bool = False) -> Iterator[tuple[int, int]]:
    """Ranges of positions of at most so many readings; a longer series is a range of its own.

    They end where a chunk does: the next, or, where they may be `of_chunks`, the last that there is room for.
    """
    before = np.concatenate([[0], np.cumsum(plan.counts)])
    cuts = plan.chunk_ends()
    first = 0
    while first < plan.counts.size:
        end = int(np.searchsorted(before, before[first] + reading_count_max, "right")) - 1
        cut = int(np.searchsorted(cuts, first, "right"))
        if of_chunks:
            cut = max(cut, int(np.searchsorted(cuts, end, "right")) - 1)
        end = max(min(end, int(cuts[cut])), first + 1)
        yield first, end
        first = end


def _read(
    plan: Plan, part: tuple[int, int], span: tuple[int, int], all_spans: tuple[Int64Array, Int64Array] | None
) -> Frame:
    """The readings of some series; with their neighbours where all series' spans are given."""
    low, high = span if all_spans is None else _widened(plan, part, span)
    readings = read_slice(plan, Slice(*part, low, high))
    if all_spans is not None and _lacks(part, span, all_spans, readings):
        readings = read_slice(plan, Slice(*part, TIME_MIN, TIME_MAX))
    return Frame(*part, readings.series, readings.times, None, readings.values, readings.qualities)


def _blocks(
    plan: Plan, part: tuple[int, int], span: tuple[int, int], all_spans: tuple[Int64Array, Int64Array]
) -> SeriesBlocks | None:
    """The blocks of what `_read` reads of some series; None where summaries do not tell what that is."""
    blocks = series_blocks(plan, Slice(*part, *_widened(plan, part, span)))
    if blocks is None or not len(blocks.chunks):
        return None
    firsts, lasts = (ends[part[0] : part[1]] for ends in all_spans)
    lacks_before, lacks_behind = firsts < span[0], lasts > span[1]
    recent = blocks.recent
    good = usable(recent.values, recent.qualities)
    lacks_before[recent.series[good & (recent.times < span[0])]] = False
    lacks_behind[recent.series[good & (recent.times > span[1])]] = False
    for own in blocks.chunks:
        chunk, rows, slots = own.chunk, own.rows, own.positions
        good = are_readings(chunk.quality_min[rows], chunk.quality_max[rows])
        before = good & (chunk.time_min[rows] < span[0]) & np.isfinite(chunk.value_first[rows])
        behind = good & (chunk.time_max[rows] > span[1]) & np.isfinite(chunk.value_last[rows])
        lacks_before[slots[before]] = lacks_behind[slots[behind]] = False
    return None if lacks_before.any() or lacks_behind.any() else blocks


def _widened(plan: Plan, part: tuple[int, int], span: tuple[int, int]) -> tuple[int, int]:
    """A span that has every series' nearest block on either side, by the blocks' summaries."""
    count = part[1] - part[0]
    below, above = np.full(count, TIME_MIN), np.full(count, TIME_MAX)
    for chunk, rows, positions in plan.blocks_in(Slice(*part, TIME_MIN, TIME_MAX)):
        slots = positions - part[0]
        begins, lasts = chunk.time_min[rows], chunk.time_max[rows]
        np.maximum.at(below, slots[begins < span[0]], begins[begins < span[0]])
        np.minimum.at(above, slots[lasts > span[1]], lasts[lasts > span[1]])
    low = int(np.where(below == TIME_MIN, span[0], below).min())
    high = int(np.where(above == TIME_MAX, span[1], above).max())
    # The head is small, and one reading of it may be the nearest.
    inside = (plan.head.series >= part[0]) & (plan.head.series < part[1])
    times = plan.head.times[inside]
    return min(low, int(times.min(initial=low))), max(high, int(times.max(initial=high)))


def _lacks(
    part: tuple[int, int],
    span: tuple[int, int],
    all_spans: tuple[Int64Array, Int64Array],
    readings: Readings,
) -> bool:
    """Whether a series may have a usable neighbour farther off than was read."""
    firsts, lasts = all_spans
    may_before = firsts[part[0] : part[1]] < span[0]
    may_behind = lasts[part[0] : part[1]] > span[1]
    if not (may_before.any() or may_behind.any()):
        return False
    good = usable(readings.values, readings.qualities)
    before, behind = good & (readings.times < span[0]), good & (readings.times > span[1])
    has_before = np.bincount(readings.series[before], minlength=part[1] - part[0]) > 0
    has_behind = np.bincount(readings.series[behind], minlength=part[1] - part[0]) > 0
    return bool((may_before & ~has_before).any() or (may_behind & ~has_behind).any())
