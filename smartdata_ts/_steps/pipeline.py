"""Steps run over a plan: frames read, given to each step in turn, and made batches, on threads."""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.facts import Facts
from smartdata_ts._meter.quality import are_readings, usable
from smartdata_ts._read.plan import Plan, Slice
from smartdata_ts._read.scan import read_slice
from smartdata_ts._read.series_blocks import SeriesBlocks, series_blocks
from smartdata_ts._read.threads import Result, in_order
from smartdata_ts._readings.arrow import fixed_array, result_room
from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.schema import TIME_TYPE
from smartdata_ts._steps.frame import Context, Frame
from smartdata_ts._steps.step import FrameStep
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.kernels.arrays import Int64Array

# Small enough for its arrays to be memory that was used before, not pages that the system must clear.
FRAME_READINGS = 131_072
_FRAMES_MIN = 8  # for threads to share, unless they were too small for it


def frame_batches(
    plan: Plan,
    span: tuple[int, int],
    asked: tuple[int, int],
    steps: tuple[FrameStep, ...],
    facts: Facts,
    finish: Callable[[Frame], Result],
) -> Iterator[Result]:
    """The result of the steps, some whole series at a time, in order and in bounded memory.

    `span` is read, and `asked` is the query's own: both are one where the first step needs neighbours, whose
    plan is unbounded. Threads `finish` the last step's frames.
    """
    firsts, lasts = plan.spans()
    found = firsts <= lasts
    low, high = (firsts[found].min(), lasts[found].max()) if found.any() else (TIME_MAX, TIME_MIN)
    extent = (max(int(low), asked[0]), min(int(high), asked[1]))
    context = Context(plan.keys, facts, *asked, extent, plan.snapshot)
    first = steps[0]

    def run(part: tuple[int, int]) -> Result | None:
        frame = None
        if first.takes_blocks:
            blocks = _blocks(plan, part, span, (firsts, lasts))
            if blocks is not None:
                frame = first.run_blocks(*part, blocks, context)
        if frame is None:
            frame = _read(plan, part, span, (firsts, lasts) if first.needs_neighbours else None)
            frame = first.run(frame, context)
        for step in steps[1:]:
            frame = step.run(frame, context)
        return finish(frame) if frame.slots.size else None

    # A step that makes little of many readings, in no memory, is called the less often for it.
    most = first.frame_scale * FRAME_READINGS
    size = min(most, max(FRAME_READINGS, plan.reading_count // _FRAMES_MIN))
    parts = ranges(plan, size, first.takes_chunks)
    for result in in_order(run, parts, plan.reading_count, plan.snapshot.thread_count):
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
