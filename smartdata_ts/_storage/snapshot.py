"""A reader's view: the chunks and recent writes of one commit, pinned; and where readings stand.

A snapshot never changes. Its chunk files are opened when first needed and shared between snapshots.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smartdata_ts._readings.columns import Readings, series_starts
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog import ChunkRow, Deletion, State
from smartdata_ts._storage.chunk_file import ChunkFile
from smartdata_ts.errors import CorruptCatalogError
from smartdata_ts.kernels.arrays import Int32Array, Int64Array

# One reading in the head: packed, little-endian, 29 bytes.
HEAD_TYPE = np.dtype(
    [("series", "<i4"), ("time", "<i8"), ("value", "<f8"), ("quality", "u1"), ("commit", "<i8")]
)


def pack_head(versions: Versions) -> bytes:
    """Readings as a head blob."""
    readings = versions.readings
    records = np.empty(len(readings), HEAD_TYPE)
    records["series"] = readings.series
    records["time"] = readings.times
    records["value"] = readings.values
    records["quality"] = readings.qualities
    records["commit"] = versions.commits
    return records.tobytes()


def unpack_head(blobs: tuple[bytes, ...]) -> Versions:
    """The head's readings, in the order of their writing: not sorted, and later ones win.

    Raises CorruptCatalogError where a blob cannot be one.
    """
    whole = b"".join(blobs)
    if len(whole) % HEAD_TYPE.itemsize:
        raise CorruptCatalogError("the head in the catalog is damaged: a blob of it holds part of a reading")
    records = np.frombuffer(whole, HEAD_TYPE)
    # Copies: packed fields are neither contiguous nor aligned.
    readings = Readings(
        records["series"].astype(np.int32),
        records["time"].astype(np.int64),
        records["value"].astype(np.float64),
        records["quality"].astype(np.uint8),
    )
    return Versions(readings, records["commit"].astype(np.int64))


class ChunkFiles:
    """The open chunk files of a handle, by name, and how many threads work on them; safe for threads."""

    def __init__(self, directory: Path, is_shared: bool = False, thread_count: int = 1) -> None:
        self.directory = directory
        self.thread_count = thread_count
        self._is_shared = is_shared
        self._open: dict[str, ChunkFile] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> ChunkFile:
        """The chunk file of this name, opened if it is not."""
        with self._lock:
            chunk = self._open.get(name)
            if chunk is None:
                chunk = self._open[name] = self.open_anew(name)
            return chunk

    def open_anew(self, name: str) -> ChunkFile:
        """The chunk file of this name, verified now."""
        return ChunkFile(self.directory / name, self._is_shared)

    def keep_only(self, names: set[str]) -> None:
        """Let go of files that no new snapshot names; a reader that still holds one keeps it mapped."""
        with self._lock:
            for name in self._open.keys() - names:
                del self._open[name]

    def remove(self, names: Iterable[str]) -> None:
        """Let go of files that nothing names any more, and remove them; a compaction sweeps those in use.

        Some systems keep the name of a file that is open, which one of this handle would be for no reason.
        """
        gone = set(names)
        with self._lock:
            for name in self._open.keys() & gone:
                del self._open[name]
        for name in gone:
            disk.remove_if_possible(self.directory / name)


@dataclass(frozen=True)
class Blocks:
    """Blocks of one chunk: their rows in it, and the position of each one's series in the selection."""

    chunk: ChunkFile
    rows: Int64Array
    positions: Int64Array


@dataclass(frozen=True)
class AsOf:
    """A commit of the past, what had been deleted by then, and what the present tells besides."""

    commit: int
    deletions: tuple[Deletion, ...]
    ever_deleted: tuple[int, ...] = ()  # series that had readings deleted, by then or since
    later_chunks: tuple[ChunkRow, ...] = ()  # chunks of the present that came after the commit


@dataclass(frozen=True)
class LeftOut:
    """Whole chunks by their names, and of others some rows."""

    files: frozenset[str]
    rows: dict[str, Int64Array]


class Snapshot:
    """The readings of one commit."""

    def __init__(
        self,
        commit: int,
        reading_count: int,
        chunks: tuple[ChunkRow, ...],
        head: Versions,
        files: ChunkFiles,
        as_of: AsOf | None = None,
        left_out: "LeftOut | None" = None,
    ) -> None:
        self.commit = commit
        self.reading_count = reading_count  # each (series, time) once
        self.chunks = chunks  # lowest precedence first
        self.head_versions = head  # in order of writing
        self._files = files
        self.as_of = as_of  # None: nothing is known but the present
        self._left_out = left_out or LeftOut(frozenset(), {})

    @property
    def thread_count(self) -> int:
        """On how many threads the handle reads."""
        return self._files.thread_count

    @property
    def head(self) -> Readings:
        """The readings of the head, in order of writing."""
        return self.head_versions.readings

    @classmethod
    def of(cls, state: State, files: ChunkFiles) -> "Snapshot":
        """Return the snapshot of a catalog's state."""
        return cls(state.commit, state.reading_count, state.chunks, unpack_head(state.head), files)

    def blocks(self, ids: Int64Array, time_min: int, time_max: int) -> list[Blocks]:
        """The blocks that hold readings of the series `ids` within [time_min, time_max], chunk by chunk.

        A later chunk's readings win over earlier chunks', and the head's over all.
        `ids` are in the order of the result, any order; a position is an index into them.
        """
        found = []
        for blocks in self._blocks_of(self.chunks, ids, time_min, time_max):
            rows, positions = blocks.rows, blocks.positions
            if self.as_of is not None:
                known = blocks.chunk.commit_min[rows] <= self.as_of.commit
                rows, positions = rows[known], positions[known]
            if rows.size:
                found.append(Blocks(blocks.chunk, rows, positions))
        return found

    def present_blocks(self, ids: Int64Array, time_min: int, time_max: int) -> list[Blocks]:
        """Return the same without history, and with blocks that an earlier commit did not know."""
        chunks = tuple(row for row in self.chunks if not row.is_history)
        return list(self._blocks_of(chunks, ids, time_min, time_max))

    def _blocks_of(
        self, chunks: tuple[ChunkRow, ...], ids: Int64Array, time_min: int, time_max: int
    ) -> Iterator[Blocks]:
        order = np.argsort(ids, kind="stable")
        ascending = ids[order]
        for row in self._near(chunks, ids, time_min, time_max):
            first, end = np.searchsorted(ascending, (row.series_min, row.series_max + 1))
            chunk = self._files.get(row.name)
            rows, positions = _rows_of(chunk, ascending[first:end], order[first:end])
            within = (chunk.time_max[rows] >= time_min) & (chunk.time_min[rows] <= time_max)
            if row.name in self._left_out.rows:
                within &= ~np.isin(rows, self._left_out.rows[row.name])
            if within.any():
                yield Blocks(chunk, rows[within], positions[within])

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it is left out as damaged."""
        return not (self._left_out.files or self._left_out.rows)

    def chunks_near(self, ids: Int64Array, time_min: int, time_max: int) -> Iterator[ChunkRow]:
        """The chunks that may hold readings of the series `ids` within [time_min, time_max]."""
        return self._near(self.chunks, ids, time_min, time_max)

    def _near(
        self, chunks: tuple[ChunkRow, ...], ids: Int64Array, time_min: int, time_max: int
    ) -> Iterator[ChunkRow]:
        ascending = np.sort(ids)
        for row in chunks:
            if row.time_max < time_min or row.time_min > time_max or row.name in self._left_out.files:
                continue
            first, end = np.searchsorted(ascending, (row.series_min, row.series_max + 1))
            if first < end:
                yield row

    def without(self, files: Iterable[str], rows: dict[str, Int64Array]) -> "Snapshot":
        """The same without some chunks, and without rows of others: what is damaged, to a query."""
        return Snapshot(
            self.commit,
            self.reading_count,
            self.chunks,
            self.head_versions,
            self._files,
            self.as_of,
            LeftOut(frozenset(files), rows),
        )

    @classmethod
    def at(cls, commit: int, state: State, files: ChunkFiles, since: int | None = None) -> "Snapshot":
        """The store as of an earlier commit: the chunks that may tell of it, and what of them it knew.

        Where a `since` is given, those too that tell of the commits from there on.
        """
        # All that a chunk of history holds was superseded by the commit that named it.
        oldest = commit if since is None else since
        history = tuple(row for row in state.history if row.commit > oldest)
        rows = tuple(row for row in history + state.chunks if row.commit_min <= commit)
        head = unpack_head(state.head)
        known = tuple(deletion for deletion in state.deletions if deletion.commit <= commit)
        head = head.select(head.commits <= commit)
        ever_deleted = tuple({deletion.series for deletion in state.deletions})
        later = tuple(row for row in state.chunks if row.commit_min > commit)
        return cls(commit, 0, rows, head, files, AsOf(commit, known, ever_deleted, later))

    def with_chunks(self, chunks: tuple[ChunkRow, ...]) -> "Snapshot":
        """The same with more chunks on top; for a writer, of its own."""
        return Snapshot(
            self.commit, self.reading_count, self.chunks + chunks, self.head_versions, self._files
        )

    def chunk(self, row: ChunkRow) -> ChunkFile:
        """The file of one of the chunks."""
        return self._files.get(row.name)

    def of_chunks(self, chunks: tuple[ChunkRow, ...]) -> "Snapshot":
        """Return a snapshot of these chunks alone."""
        return Snapshot(self.commit, self.reading_count, chunks, unpack_head(()), self._files)

    def series_ids(self) -> Int64Array:
        """The ids of all series that have readings in chunks, ascending."""
        columns = [self._files.get(row.name).series for row in self.chunks]
        ids = [series[series_starts(series)] for series in columns]
        return np.unique(np.concatenate([np.empty(0, np.int32), *ids])).astype(np.int64)

    def span(self) -> tuple[int, int]:
        """The first and the last time of chunks and head; the first is after the last where there is none."""
        limits = np.iinfo(np.int64)
        lows, highs = ([getattr(row, name) for row in self.chunks] for name in ("time_min", "time_max"))
        first = min(int(self.head.times.min(initial=limits.max)), min(lows, default=limits.max))
        last = max(int(self.head.times.max(initial=limits.min)), max(highs, default=limits.min))
        return int(first), int(last)

    def watermarks(self, series_id_max: int) -> Int64Array:
        """The newest time of every series, by id; the least int64 where it has no reading."""
        newest = np.full(series_id_max + 1, np.iinfo(np.int64).min)
        for row in self.chunks:
            chunk = self._files.get(row.name)
            _check_ids(chunk.series, series_id_max, str(chunk.path))
            np.maximum.at(newest, chunk.series, chunk.time_max)
        _check_ids(self.head.series, series_id_max, "the head in the catalog")
        np.maximum.at(newest, self.head.series, self.head.times)
        return newest


def _check_ids(series: Int32Array, series_id_max: int, where: str) -> None:
    if series.size and (series.min() < 0 or series.max() > series_id_max):
        raise CorruptCatalogError(
            f"{where}: holds readings of series that the catalog does not know. Restore the store from a "
            "backup, or salvage it."
        )


def _rows_of(chunk: ChunkFile, ascending: Int64Array, order: Int64Array) -> tuple[Int64Array, Int64Array]:
    """The rows of the ascending series ids, and each one's position through `order`."""
    firsts = np.searchsorted(chunk.series, ascending, "left")
    counts = np.searchsorted(chunk.series, ascending, "right") - firsts
    total = int(counts.sum())
    within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(firsts, counts) + within, np.repeat(order, counts)
