"""Blocks to readings and versions, within a slice's span."""

from collections.abc import Callable, Iterator

import numpy as np

from smartdata_ts._read.plan import Plan, Slice
from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.versions import Versions, join
from smartdata_ts._storage.codec import BLOCK_READINGS_MAX
from smartdata_ts._storage.snapshot import Blocks
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.errors import CorruptChunkError
from smartdata_ts.kernels.codec import blocks as kernel_blocks


def pieces_in(
    plan: Plan, part: Slice, only: np.ndarray | None, known: np.ndarray | None = None
) -> Iterator[Blocks]:
    """Yield the blocks of a slice, positions less part.first; with `known` those that `known_part` leaves."""
    for chunk, rows, positions in plan.blocks_in(part):
        wanted = np.ones(rows.size, np.bool_) if only is None else only[positions]
        if known is not None:
            wanted &= ~plan.settled_in(chunk, rows)
            if not chunk.is_history:
                wanted &= ~known[positions]
        if wanted.any():
            yield Blocks(chunk, rows[wanted], positions[wanted] - part.first)


def read_versions(plan: Plan, part: Slice) -> Versions:
    """Every version of a slice's readings as they stand in chunks and head: neither sorted nor folded.

    Its callers read hundreds of chunks, a part of each at a time, so no chunk keeps its pages in memory.
    """
    parts = []
    for blocks in pieces_in(plan, part, None):
        parts.append(decode_versions(blocks))
        blocks.chunk.release()
    return within_span(part, join([*parts, head_versions(plan, part, None)]))


def head_versions(plan: Plan, part: Slice, only: np.ndarray | None) -> Versions:
    head = plan.head_versions
    positions = head.readings.series
    wanted = (positions >= part.first) & (positions < part.end)
    if only is not None:
        wanted &= only[positions]
    rows = head.readings.select(wanted)
    placed = Readings(rows.series - np.int32(part.first), rows.times, rows.values, rows.qualities)
    return Versions(placed, head.commits[wanted])


def within_span(part: Slice, versions: Versions) -> Versions:
    """Those within the slice's span."""
    if (part.time_min, part.time_max) == (TIME_MIN, TIME_MAX):
        return versions
    times = versions.readings.times
    within = (times >= part.time_min) & (times <= part.time_max)
    return versions if within.all() else versions.select(within)


def decode_versions(blocks: Blocks) -> Versions:
    """All readings of some blocks, and their commits; `series` is the position."""
    whole = decode(blocks, Slice(0, 0, TIME_MIN, TIME_MAX))
    return Versions(whole, blocks.chunk.commits_of(blocks.rows))


def decode(blocks: Blocks, part: Slice) -> Readings:
    """The readings of some blocks within the slice's span; `series` is the position that the blocks give."""
    chunk, rows = blocks.chunk, blocks.rows
    data, descriptors = chunk.payloads(rows, blocks.positions)

    def corrupt(block: int) -> CorruptChunkError:
        return chunk.corrupt(int(rows[block]), "its payload cannot be decoded")

    encoded = kernel_blocks.EncodedBlocks(data, descriptors, chunk.tables)
    return decode_payloads(encoded, int(chunk.count[rows].sum()), part, corrupt)


def decode_payloads(
    encoded: kernel_blocks.EncodedBlocks,
    room: int,
    part: Slice,
    corrupt: Callable[[int], CorruptChunkError],
) -> Readings:
    scratch = np.empty(BLOCK_READINGS_MAX, np.int64)
    slots = np.empty(room, np.int32)
    columns = kernel_blocks.ReadingColumns(
        np.empty(room, np.int64), np.empty(room, np.float64), np.empty(room, np.uint8)
    )
    count = kernel_blocks.read_blocks(encoded, part.time_min, part.time_max, scratch, slots, columns)
    if count < 0:
        raise corrupt(-1 - count)
    times, values, qualities = columns
    return Readings(slots[:count], times[:count], values[:count], qualities[:count])
