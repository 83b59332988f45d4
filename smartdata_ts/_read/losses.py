"""Finds the blocks of a selection that cannot be read, and gives a snapshot without them.

A block is sound when its checksum is right and it decodes. Blocks are tested before anything is made of them,
so every step of a query lacks the same ones, and they are known with its first row.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._read.decode import decode_versions
from smartdata_ts._readings.arrow import fixed_array, text_array
from smartdata_ts._readings.schema import TIME_TYPE
from smartdata_ts._storage.catalog import ChunkRow
from smartdata_ts._storage.chunk_file import ChunkFile
from smartdata_ts._storage.snapshot import Blocks, Snapshot
from smartdata_ts.errors import CorruptChunkError, StoreFormatError
from smartdata_ts.kernels.arrays import Int64Array

METADATA_KEY = b"smartdata_ts.losses"
_BLOCKS_AT_ONCE = 128


@dataclass(frozen=True)
class Loss:
    """Readings of a chunk, or of one of its blocks, that cannot be read."""

    file: str
    series: str | None  # None: a whole chunk
    first_time: int  # us UTC
    last_time: int
    readings: int  # of a whole chunk: of all series in it
    problem: str


def find_losses(
    snapshot: Snapshot, ids: Int64Array, time_min: int, time_max: int
) -> tuple[Snapshot, list[Loss]]:
    """The snapshot without what cannot be read of the series `ids` within [time_min, time_max]; and that."""
    losses, files, rows = [], set(), {}
    for row in snapshot.chunks_near(ids, time_min, time_max):
        try:
            snapshot.chunk(row)
        except (CorruptChunkError, StoreFormatError) as problem:
            files.add(row.name)
            losses.append(_whole(row, str(problem)))
    for blocks in snapshot.without(files, {}).blocks(ids, time_min, time_max):
        found = list(_damaged(blocks.chunk, blocks.rows))
        if found:
            rows[blocks.chunk.path.name] = np.array([row for row, _ in found])
            losses += [_block(blocks.chunk, row, problem) for row, problem in found]
    return snapshot.without(files, rows), losses


def _whole(row: ChunkRow, problem: str) -> Loss:
    return Loss(row.name, None, row.time_min, row.time_max, row.reading_count, problem)


def _block(chunk: ChunkFile, row: int, problem: str) -> Loss:
    times = int(chunk.time_min[row]), int(chunk.time_max[row])
    return Loss(chunk.path.name, chunk.keys[row].as_py(), *times, int(chunk.count[row]), problem)


def _damaged(chunk: ChunkFile, rows: Int64Array) -> Iterator[tuple[int, str]]:
    """Which of the rows cannot be read, and why."""
    for first in range(0, rows.size, _BLOCKS_AT_ONCE):
        some = rows[first : first + _BLOCKS_AT_ONCE]
        if _problem(chunk, some) is not None:
            for row in some:
                problem = _problem(chunk, row.reshape(1))
                if problem is not None:
                    yield int(row), problem


def _problem(chunk: ChunkFile, rows: Int64Array) -> str | None:
    try:
        decode_versions(Blocks(chunk, rows, np.zeros(rows.size, np.int64)))
    except CorruptChunkError as problem:
        return str(problem)
    return None


def losses_table(losses: list[Loss]) -> pa.Table:
    """The losses as `Query.losses` gives them."""
    return pa.table(
        {
            "file": text_array([loss.file for loss in losses]),
            "series": text_array([loss.series for loss in losses]),
            "first_time": fixed_array(np.array([loss.first_time for loss in losses], np.int64), TIME_TYPE),
            "last_time": fixed_array(np.array([loss.last_time for loss in losses], np.int64), TIME_TYPE),
            "readings": fixed_array(np.array([loss.readings for loss in losses], np.int64)),
            "problem": text_array([loss.problem for loss in losses]),
        }
    )


def with_losses(schema: pa.Schema, losses: list[Loss]) -> pa.Schema:
    """The schema of a result that lacks these; times are in microseconds UTC."""
    told = json.dumps([vars(loss) for loss in losses]).encode()
    return schema.with_metadata({**(schema.metadata or {}), METADATA_KEY: told})


def summary(losses: list[Loss]) -> str:
    """Say what was left out, in a sentence or two."""
    whole = [loss for loss in losses if loss.series is None]
    blocks = len(losses) - len(whole)
    parts = [f"{len(whole)} chunks that cannot be opened"] * bool(whole) + [f"{blocks} blocks"] * bool(blocks)
    count = sum(loss.readings for loss in losses)
    return (
        f"damage was left out: {' and '.join(parts)} with {count:,} readings. The query's losses() lists "
        f"them; the first: {losses[0].problem}"
    )
