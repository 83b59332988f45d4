"""Compaction: the chunks of a partition that overlap are folded into some that do not.

Each (series, time) is then kept once among the chunks of the present, blocks are long, and a series' year
stands in one chunk. Readings superseded since the history's floor go to chunks that queries of the
present never open. The store's write lock is held; readers go on with the chunks that they have open. The
new chunks are named and the old ones forgotten in one transaction; files go after it, so that a crash
leaves at worst files without a row, which the next compaction sweeps.

`compact` folds whole partitions. `compact_newest` is what a write does by itself when it has made chunks:
of a partition's newest chunks it folds as many as are worth it, so that there are never many, a reading
is written again only into chunks at least twice as large, and no write waits for long.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from smartdata_ts._readings.versions import Versions, fold_versions, join, layers, sort_versions
from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog import Catalog, ChunkRow, State
from smartdata_ts._storage.snapshot import ChunkFiles, Snapshot
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts._upkeep.removal import versions_of
from smartdata_ts._write.chunks import CHUNK_READINGS_MAX, ChunkOutput, flush_head, rewriting, year_of

# A partition of small chunks is folded even where they do not overlap.
_USUAL_READINGS_MIN = CHUNK_READINGS_MAX // 4
# So many chunks of history in a partition are made one.
_HISTORY_CHUNKS_MAX = 8


# A write folds the newest chunks of a partition if there are so many, with at most so many readings.
NEWEST_CHUNKS_MIN = 8
NEWEST_READINGS_MAX = 2 * CHUNK_READINGS_MAX


@dataclass(frozen=True)
class CompactReport:
    """Counts of a compaction; bytes are those of chunk files, the history's included."""

    chunks_before: int
    chunks_after: int
    bytes_before: int
    bytes_after: int
    files_swept: int  # left by writers that were killed


def compact(catalog: Catalog, files: ChunkFiles) -> CompactReport:
    """Flush the head, fold every crowded partition, commit, and remove what was folded."""
    with rewriting(catalog, files) as output:
        state = catalog.state(with_history=True)
        before = state.chunks + state.history
        swept = _sweep(files, before)
        floor = catalog.raise_history_floor()
        gone = _fold_partitions(state, floor, files, output) | _tidy_history(state, floor, files, output)
        rows = [row for row in output.finish() if row.name not in gone]
        if rows or gone:
            _commit(catalog, state, rows, gone)
        else:
            catalog.roll_back()
    # The commit stands: what cannot be removed now is for the next compaction to sweep.
    files.remove(gone)
    after = [row for row in before if row.name not in gone] + rows
    return CompactReport(
        chunks_before=len(before),
        chunks_after=len(after),
        bytes_before=sum(row.size for row in before),
        bytes_after=sum(row.size for row in after),
        files_swept=swept,
    )


def compact_newest(catalog: Catalog, files: ChunkFiles) -> int | None:
    """Fold the newest chunks of every partition that has many; the commit, None where none has.

    Raises StoreBusyError at once where another writer is at work.
    """
    with rewriting(catalog, files, waits=False) as output:
        state = catalog.state()
        crowds = [rows for rows in map(_newest, _by_partition(state.chunks)) if rows]
        gone = {row.name for rows in crowds for row in rows}
        if not crowds:
            catalog.roll_back()
            return None
        snapshot, floor = Snapshot.of(state, files), catalog.raise_history_floor()
        for rows in crowds:
            _fold(snapshot.of_chunks(rows), floor, output)
        commit = state.commit + 1
        catalog.add_commit(commit, "compaction", state.reading_count)
        catalog.remove_chunks(sorted(gone))
        for row in output.finish():
            catalog.add_chunk(commit, row)
        catalog.commit()
    files.remove(gone)
    return commit


def _newest(rows: tuple[ChunkRow, ...]) -> tuple[ChunkRow, ...]:
    """Return the newest chunks to fold: as many as there are without one that outweighs all newer ones."""
    total = best = 0
    for count, row in enumerate(reversed(rows), 1):
        if total + row.reading_count > NEWEST_READINGS_MAX:
            break
        if count >= NEWEST_CHUNKS_MIN and row.reading_count <= total:
            best = count
        total += row.reading_count
    return rows[len(rows) - best :]


def _sweep(files: ChunkFiles, rows: Iterable[ChunkRow]) -> int:
    """Remove files that no row names; while the write lock is held, no writer is making one."""
    named = {row.name for row in rows}
    orphans = [name for name in disk.names_in(files.directory) if name not in named]
    return sum([disk.remove_unless_open(files.directory / name) for name in orphans])


def _fold_partitions(state: State, floor: int, files: ChunkFiles, output: ChunkOutput) -> set[str]:
    """Put the head, and all readings of crowded partitions, into new chunks; the names of those folded."""
    snapshot = Snapshot.of(state, files)
    if len(snapshot.head):
        flush_head(snapshot, floor, output)
    folded: set[str] = set()
    for rows in _by_partition((*snapshot.chunks, *output.live_rows())):
        if _is_crowded(rows):
            folded.update(row.name for row in rows)
            _fold(snapshot.of_chunks(rows), floor, output)
    return folded


def _fold(snapshot: Snapshot, floor: int, output: ChunkOutput) -> None:
    """Put what stands of the chunks of a partition into new ones, what it superseded into history."""
    superseded = []
    for versions in _pieces(snapshot):
        standing, behind = fold_versions(versions, floor)
        output.add(standing)
        superseded.append(behind)
        del versions, standing  # lest they stay while the next piece is read
    _add_history(join(superseded), output)


def _tidy_history(state: State, floor: int, files: ChunkFiles, output: ChunkOutput) -> set[str]:
    """Drop the history that the floor has passed, and make few chunks of many; the names of those gone."""
    gone = {row.name for row in state.history if row.commit <= floor}
    kept = [row for row in state.history if row.name not in gone]
    for rows in _by_partition(kept):
        if len(rows) > _HISTORY_CHUNKS_MAX:
            gone.update(row.name for row in rows)
            pieces = _pieces(Snapshot.of(state, files).of_chunks(rows))
            _add_history(join([sort_versions(versions) for versions in pieces]), output)
    return gone


def _add_history(superseded: Versions, output: ChunkOutput) -> None:
    for layer in layers(superseded):
        output.add(layer, is_history=True)


def _by_partition(rows: Iterable[ChunkRow]) -> list[tuple[ChunkRow, ...]]:
    partitions = defaultdict(list)
    for row in rows:
        partitions[year_of(row.time_min)].append(row)
    return [tuple(partition) for partition in partitions.values()]


def _is_crowded(rows: tuple[ChunkRow, ...]) -> bool:
    if len(rows) == 1:
        return False
    ranges = sorted((row.series_min, row.series_max) for row in rows)
    # A series may end one chunk and begin the next.
    overlap = any(after[0] < before[1] for before, after in pairwise(ranges))
    return overlap or sum(row.reading_count for row in rows) < len(rows) * _USUAL_READINGS_MIN


def _pieces(snapshot: Snapshot) -> Iterator[Versions]:
    """All versions of a snapshot in pieces of the size of a chunk; pieces follow by series id and time."""
    return versions_of(snapshot, snapshot.series_ids(), TIME_MIN, TIME_MAX)


def _commit(catalog: Catalog, state: State, rows: list[ChunkRow], gone: set[str]) -> None:
    commit = state.commit + 1
    catalog.add_commit(commit, "compaction", state.reading_count)
    catalog.remove_chunks(sorted(gone))
    for row in rows:
        catalog.add_chunk(commit, row)
    catalog.forget_deletions()
    catalog.clear_head()
    catalog.commit()
