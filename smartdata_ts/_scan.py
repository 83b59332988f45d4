"""Readings out of blocks: slices decoded and merged, on two threads, in the order of the selection.

Results are in the order of the selection's keys, then of time.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from smartdata_ts._arrow_arrays import fixed_array, text_array
from smartdata_ts._codec import BLOCK_READINGS_MAX
from smartdata_ts._plan import TIME_MAX, TIME_MIN, Plan, Slice, make_plan, slices_by_readings
from smartdata_ts._readings import Readings, fold
from smartdata_ts._snapshot import AsOf, Blocks, Snapshot
from smartdata_ts._versions import Versions, fold_versions, join
from smartdata_ts.kernels import blocks as kernel_blocks
from smartdata_ts.kernels._jit import Int64Array

if TYPE_CHECKING:
    from concurrent.futures import Future

TIME_TYPE = pa.timestamp("us", tz="UTC")
READINGS_SCHEMA = pa.schema(
    [
        pa.field("series", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("time", TIME_TYPE, nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("quality", pa.uint8(), nullable=False),
    ]
)

SLICE_READINGS = 1_048_576
_THREAD_COUNT = 2
_THREADS_FROM_READINGS = 262_144  # below, starting threads costs more than it saves

Result = TypeVar("Result")
Task = TypeVar("Task")


def read_series(snapshot: Snapshot, ids: Int64Array, time_min: int, time_max: int) -> Readings:
    """All readings of the ascending series `ids` within [time_min, time_max], by id and time."""
    plan = make_plan(snapshot, ids, text_array([]), time_min, time_max)
    readings = read_slice(plan, Slice(0, ids.size, time_min, time_max))
    series = ids[readings.series].astype(np.int32)
    return Readings(series, readings.times, readings.values, readings.qualities)


def read_slice(plan: Plan, part: Slice, only: np.ndarray | None = None) -> Readings:
    """The merged readings of a slice, `series` being the position less part.first; `only` picks positions."""
    readings = _read_all(plan, part, only)
    return readings if plan.wanted is None else readings.select(plan.wanted[readings.qualities])


def _read_all(plan: Plan, part: Slice, only: np.ndarray | None) -> Readings:
    as_of = plan.snapshot.as_of
    if as_of is not None and plan.tangled[part.first : part.end].any():
        return fold_versions(known_by(as_of, plan, part, read_versions(plan, part, only)))[0].readings
    pieces = [decode(blocks, part) for blocks in _blocks_in(plan, part, only)]
    head = head_in(plan, part)
    if only is not None:
        head = head.select(only[head.series + part.first])
    return fold([*pieces, head]).readings


def _blocks_in(plan: Plan, part: Slice, only: np.ndarray | None) -> Iterator[Blocks]:
    """The blocks of a slice, positions being those less part.first."""
    for chunk, rows, positions in plan.blocks_in(part):
        wanted = slice(None) if only is None else only[positions]
        blocks = Blocks(chunk, rows[wanted], positions[wanted] - part.first)
        if blocks.rows.size:
            yield blocks


def read_versions(plan: Plan, part: Slice, only: np.ndarray | None = None) -> Versions:
    """Every version of a slice's readings as they stand in chunks and head: neither sorted nor folded."""
    parts = [decode_versions(blocks) for blocks in _blocks_in(plan, part, only)]
    head = plan.head_versions
    positions = head.readings.series
    wanted = (positions >= part.first) & (positions < part.end)
    if only is not None:
        wanted &= only[positions]
    rows = head.readings.select(wanted)
    placed = Readings(rows.series - np.int32(part.first), rows.times, rows.values, rows.qualities)
    versions = join([*parts, Versions(placed, head.commits[wanted])])
    times = versions.readings.times
    within = (times >= part.time_min) & (times <= part.time_max)
    return versions if within.all() else versions.select(within)


def decode_versions(blocks: Blocks) -> Versions:
    """All readings of some blocks, and their commits; `series` is the position."""
    whole = decode(blocks, Slice(0, 0, TIME_MIN, TIME_MAX))
    return Versions(whole, blocks.chunk.commits_of(blocks.rows))


def known_by(as_of: AsOf, plan: Plan, part: Slice, versions: Versions) -> Versions:
    """The versions of a slice that the commit knew, without those that had been deleted by then."""
    rows = versions.readings
    ids = plan.ids[part.first : part.end]
    known = versions.commits <= as_of.commit
    for deletion in as_of.deletions:
        at = np.flatnonzero(ids == deletion.series)
        if at.size:
            within = (rows.times >= deletion.time_min) & (rows.times <= deletion.time_max)
            known &= ~(within & (rows.series == at[0]) & (versions.commits < deletion.commit))
    return versions.select(known)


def head_in(plan: Plan, part: Slice) -> Readings:
    if len(plan.head) == 0:
        return plan.head
    first, end = np.searchsorted(plan.head.series, [part.first, part.end])
    head = plan.head.select(slice(int(first), int(end)))
    within = (head.times >= part.time_min) & (head.times <= part.time_max)
    chosen = head if within.all() else head.select(within)
    return Readings(chosen.series - np.int32(part.first), chosen.times, chosen.values, chosen.qualities)


def decode(blocks: Blocks, part: Slice) -> Readings:
    """The readings of some blocks within the slice's span; `series` is the position that the blocks give."""
    chunk = blocks.chunk
    room = int(chunk.count[blocks.rows].sum())
    span = np.empty(2 + BLOCK_READINGS_MAX, np.int64)
    span[0], span[1] = part.time_min, part.time_max
    slots = np.empty(room, np.int32)
    times = np.empty(room, np.int64)
    values = np.empty(room, np.float64)
    qualities = np.empty(room, np.uint8)
    data, descriptors = chunk.payloads(blocks.rows, blocks.positions)
    count = kernel_blocks.read_blocks(data, descriptors, chunk.tables, span, slots, times, values, qualities)
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

    slices = list(slices_by_readings(plan, SLICE_READINGS))
    for batch in in_order(run, slices, plan.reading_count):
        if batch.num_rows:
            yield batch


def in_order(run: Callable[[Task], Result], tasks: Iterable[Task], reading_count: int) -> Iterator[Result]:
    """Run the tasks on threads, a few ahead of the consumer; results in the order of the tasks."""
    if reading_count < _THREADS_FROM_READINGS:
        yield from map(run, tasks)
        return
    from concurrent.futures import ThreadPoolExecutor  # 3 ms, with its logging

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
