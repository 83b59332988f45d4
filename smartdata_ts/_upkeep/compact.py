"""Compaction: the chunks of a partition that overlap are folded into some that do not.

Each (series, time) is then kept once, blocks are long, and a series' year stands in one chunk. The
store's write lock is held; readers go on with the chunks that they have open. The new chunks are named
and the old ones forgotten in one transaction; files go after it, so that a crash leaves at worst files
without a row, which the next compaction sweeps.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from smartdata_ts import _disk
from smartdata_ts._arrow_arrays import text_array
from smartdata_ts._catalog import Catalog, ChunkRow, State
from smartdata_ts._chunk_output import CHUNK_READINGS_MAX, ChunkOutput, year_of
from smartdata_ts._plan import TIME_MAX, TIME_MIN, make_plan, slices_by_readings
from smartdata_ts._readings import Readings, fold
from smartdata_ts._scan import read_slice
from smartdata_ts._snapshot import ChunkFiles, Snapshot

# A partition of small chunks is folded even where they do not overlap.
_USUAL_READINGS_MIN = CHUNK_READINGS_MAX // 4


@dataclass(frozen=True)
class CompactReport:
    """What a compaction did; bytes are those of chunk files."""

    chunks_before: int
    chunks_after: int
    bytes_before: int
    bytes_after: int
    files_swept: int  # left by writers that were killed


def compact(catalog: Catalog, files: ChunkFiles) -> CompactReport:
    """Flush the head, fold every crowded partition, commit, and remove what was folded."""
    output = ChunkOutput(files.directory)
    catalog.begin()
    try:
        state = catalog.state()
        swept = _sweep(files, state)
        folded = _fold_partitions(state, files, output)
        rows = [row for row in output.finish() if row.name not in folded]
        if rows:
            _commit(catalog, state, rows, folded)
        else:
            catalog.roll_back()
    except BaseException:
        try:
            output.abandon()
        finally:
            catalog.roll_back()
        raise
    # The commit stands: what cannot be removed now is for the next compaction to sweep.
    for name in folded:
        _disk.remove_if_possible(files.directory / name)
    after = [row for row in state.chunks if row.name not in folded] + rows
    return CompactReport(
        chunks_before=len(state.chunks),
        chunks_after=len(after),
        bytes_before=sum(row.size for row in state.chunks),
        bytes_after=sum(row.size for row in after),
        files_swept=swept,
    )


def _sweep(files: ChunkFiles, state: State) -> int:
    """Remove files that no row names; while the write lock is held, no writer is making one."""
    named = {row.name for row in state.chunks}
    orphans = [name for name in _disk.names_in(files.directory) if name not in named]
    for name in orphans:
        _disk.remove(files.directory / name)
    return len(orphans)


def _fold_partitions(state: State, files: ChunkFiles, output: ChunkOutput) -> set[str]:
    """Put the head, and all readings of crowded partitions, into new chunks; the names of those folded."""
    snapshot = Snapshot.of(state, files)
    if len(snapshot.head):
        output.add(fold([snapshot.head]).readings)
    partitions = defaultdict(list)
    for row in (*snapshot.chunks, *output.rows()):
        partitions[year_of(row.time_min)].append(row)
    folded: set[str] = set()
    for rows in partitions.values():
        if _is_crowded(rows):
            folded.update(row.name for row in rows)
            for readings in _merged(snapshot.of_chunks(tuple(rows))):
                output.add(readings)
    return folded


def _is_crowded(rows: list[ChunkRow]) -> bool:
    if len(rows) == 1:
        return False
    ranges = sorted((row.series_min, row.series_max) for row in rows)
    # A series may end one chunk and begin the next.
    overlap = any(after[0] < before[1] for before, after in pairwise(ranges))
    return overlap or sum(row.reading_count for row in rows) < len(rows) * _USUAL_READINGS_MIN


def _merged(snapshot: Snapshot) -> Iterator[Readings]:
    """All readings of a snapshot by series id and time, in pieces of the size of a chunk."""
    ids = snapshot.series_ids()
    plan = make_plan(snapshot, ids, text_array([]), TIME_MIN, TIME_MAX)
    for part in slices_by_readings(plan, CHUNK_READINGS_MAX):
        readings = read_slice(plan, part)
        series = ids[readings.series + part.first].astype(np.int32)
        yield Readings(series, readings.times, readings.values, readings.qualities)


def _commit(catalog: Catalog, state: State, rows: list[ChunkRow], folded: set[str]) -> None:
    commit = state.commit + 1
    catalog.add_commit(commit, "compaction", state.reading_count)
    catalog.remove_chunks([row.name for row in state.chunks if row.name in folded])
    for row in rows:
        catalog.add_chunk(commit, row)
    catalog.clear_head()
    catalog.commit()
