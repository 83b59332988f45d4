"""New chunks of a commit: cut by partition and size, encoded on threads, and gone if it fails.

The partition is the UTC year: a block's summary costs some ninety bytes, which a year of hourly
readings carries easily and a month does not.
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

import numpy as np

from smartdata_ts._readings.columns import Readings, concatenate, sorted_starts, time_span
from smartdata_ts._readings.versions import Versions, fold_versions, layers
from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog import Catalog, ChunkRow
from smartdata_ts._storage.chunk_file import encode_chunk, name_chunk
from smartdata_ts._storage.codec import Scratch
from smartdata_ts._storage.snapshot import ChunkFiles, Snapshot
from smartdata_ts.kernels.arrays import Int32Array, Int64Array

CHUNK_READINGS_MAX = 2_097_152


class ChunkOutput:
    """Encodes sorted readings into chunk files; `finish` or `abandon` ends it, and its threads.

    `keys_of` gives the keys of series ids, which stand in every chunk. A piece has a million or two readings:
    one is held for each thread, and as many `pieces_ahead`, so that threads wait less and memory grows.
    """

    def __init__(
        self, files: ChunkFiles, keys_of: Callable[[Int64Array], list[str]], pieces_ahead: int = 1
    ) -> None:
        self._directory = files.directory
        self._thread_count = files.thread_count
        self._keys_of = keys_of
        self._keys: dict[int, str] = {}
        self._count = 0
        self._names: list[str] = []  # of those encoded
        self._pending: list[Future[ChunkRow]] = []
        self._rows: list[ChunkRow] = []
        self._pool: ThreadPoolExecutor | None = None
        self._pieces_held = files.thread_count + pieces_ahead
        self._scratches: list[Scratch] = []  # of threads that are not at work

    def __len__(self) -> int:
        """The count of chunks, those not yet complete included."""
        return self._count

    def names(self) -> list[str]:
        """The names of all files so far."""
        self._settle(0)
        return list(self._names)

    def add(self, versions: Versions, is_history: bool = False) -> None:
        """Encode readings, sorted and folded, as chunks of no (series, time) in common with others."""
        if len(versions) == 0:  # a slice between two blocks that begin at one time
            return
        self._learn_keys(versions.readings.series)
        for year, part in by_year(versions):
            for cut in _cuts(part.readings.series):
                self._submit(self._encode, year, part.select(cut), is_history)

    def add_chunk(self, parts: list[Readings], commit: int) -> None:
        """Encode as one chunk what `first_chunk` took; the thread that joins the parts empties the list."""
        for part in parts:
            self._learn_keys(part.series)
        self._submit(self._encode_parts, year_of(int(parts[0].times[0])), parts, commit)

    def _submit(self, encode: Callable[..., ChunkRow], *arguments: object) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._thread_count, "smartdata_ts-encode")
        self._count += 1
        self._settle(self._pieces_held - 1)
        self._pending.append(self._pool.submit(encode, *arguments))

    def add_again(self, versions: Versions, chunk: ChunkRow) -> ChunkRow:
        """Encode what is left of a chunk's readings into one that takes its place."""
        self._learn_keys(versions.readings.series)
        self._count += 1
        return self._encode(year_of(chunk.time_min), versions, chunk.is_history)

    def _learn_keys(self, series: Int32Array) -> None:
        new = [number for number in distinct(series) if number not in self._keys]
        self._keys.update(zip(new, self._keys_of(np.array(new, np.int64)), strict=True))

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Scratch]:
        """Scratch that is no other thread's meanwhile."""
        try:
            scratch = self._scratches.pop()
        except IndexError:
            scratch = Scratch()
        yield scratch
        self._scratches.append(scratch)

    def _encode_parts(self, year: int, parts: list[Readings], commit: int) -> ChunkRow:
        count = sum(map(len, parts))
        with self._scratch() as scratch:
            room = Readings(
                scratch.room("series", count, np.int32),
                scratch.room("times", count, np.int64),
                scratch.room("values", count, np.float64),
                scratch.room("qualities", count, np.uint8),
            )
            joined = concatenate(parts, room)
            parts.clear()  # their memory can take what comes next
            return self._encode_with(scratch, year, Versions.of(joined, commit), is_history=False)

    def _encode(self, year: int, versions: Versions, is_history: bool) -> ChunkRow:
        with self._scratch() as scratch:
            return self._encode_with(scratch, year, versions, is_history)

    def _encode_with(self, scratch: Scratch, year: int, versions: Versions, is_history: bool) -> ChunkRow:
        data = encode_chunk(versions, self._keys.__getitem__, is_history, scratch)
        name = name_chunk(data, year)
        self._names.append(name)  # before there is a file, so that none is forgotten

        def write(file: BinaryIO) -> None:
            file.write(data.data)

        size = disk.write_durably(self._directory / name, write)
        readings = versions.readings
        time_min, time_max = time_span(readings)
        commit_min, commit_max = versions.commit_span()
        return ChunkRow(
            name=name,
            series_min=int(readings.series[0]),
            series_max=int(readings.series[-1]),
            time_min=time_min,
            time_max=time_max,
            reading_count=len(readings),
            size=size,
            commit_min=commit_min,
            commit_max=commit_max,
            is_history=is_history,
        )

    def rows(self) -> tuple[ChunkRow, ...]:
        """All chunks so far, complete and durable."""
        self._settle(0)
        return tuple(self._rows)

    def live_rows(self) -> tuple[ChunkRow, ...]:
        """Return the rows of chunks that hold the present."""
        return tuple(row for row in self.rows() if not row.is_history)

    def _settle(self, pending_max: int) -> None:
        while len(self._pending) > pending_max:
            self._rows.append(self._pending.pop(0).result())

    def finish(self) -> tuple[ChunkRow, ...]:
        """All chunks, complete and durable; no thread is left."""
        rows = self.rows()
        self._close_pool()
        return rows

    def abandon(self) -> None:
        """Remove every file that was made, as far as the system lets us; no thread is left."""
        self._close_pool()
        for name in self._names:
            disk.remove_if_possible(self._directory / name)

    def _close_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
        self._scratches.clear()


@contextlib.contextmanager
def rewriting(catalog: Catalog, files: ChunkFiles, waits: bool = True) -> Iterator[ChunkOutput]:
    """A durable transaction, and the chunks that it makes: an exception undoes both.

    The block commits, or rolls back where there is nothing to do.
    """
    output = ChunkOutput(files, catalog.series_keys, pieces_ahead=0)
    catalog.begin(must_be_durable=True, waits=waits)
    try:
        yield output
    except BaseException:
        try:
            output.abandon()
        finally:
            catalog.roll_back()
        raise


def flush_head(snapshot: Snapshot, floor: int, output: ChunkOutput) -> None:
    """Turn the head into chunks: what stands of it, and what that superseded since the floor."""
    standing, superseded = fold_versions(snapshot.head_versions, floor)
    if len(standing):
        output.add(standing)
    for layer in layers(superseded):
        output.add(layer, is_history=True)


def _cuts(series: Int32Array) -> Iterator[slice]:
    """Parts of sorted readings of a chunk each, which end where a series does unless that is very long.

    A query of a series then opens one chunk a year.
    """
    first = 0
    while first < series.size:
        end = min(first + CHUNK_READINGS_MAX, series.size)
        if end < series.size:
            begin = int(np.searchsorted(series, series[end]))
            end = begin if begin - first >= CHUNK_READINGS_MAX // 2 else end
        yield slice(first, end)
        first = end


def first_chunk(parts: list[Readings]) -> tuple[list[Readings], list[Readings]]:
    """The readings of one chunk, and what is left; the parts are sorted, follow each other, and fill more.

    The chunk has none where they are of several UTC years: then the more are written at a time, the fewer
    chunks there are.
    """
    ends = np.cumsum([len(part) for part in parts])
    assert ends[-1] > CHUNK_READINGS_MAX
    last = int(np.searchsorted(ends, CHUNK_READINGS_MAX, "right"))
    cut_series = parts[last].series[CHUNK_READINGS_MAX - int(ends[last]) + len(parts[last])]
    end = sum(int(np.searchsorted(part.series, cut_series)) for part in parts[: last + 1])
    if end < CHUNK_READINGS_MAX // 2:
        end = CHUNK_READINGS_MAX
    bounds = [(max(end - int(behind) + len(part), 0), part) for behind, part in zip(ends, parts, strict=True)]
    taken = [part.select(slice(0, bound)) for bound, part in bounds if bound > 0]
    spans = [time_span(part) for part in taken]
    if year_of(min(first for first, _ in spans)) != year_of(max(last for _, last in spans)):
        return [], parts
    return taken, [part.select(slice(bound, None)) for bound, part in bounds if bound < len(part)]


def distinct(series: Int32Array) -> list[int]:
    """The series ids of sorted readings, each once."""
    numbers: list[int] = series[sorted_starts(series)].tolist()
    return numbers


def by_year(versions: Versions) -> Iterator[tuple[int, Versions]]:
    """The readings of each UTC year; mostly there is but one."""
    times = versions.readings.times
    first, last = (year_of(time) for time in time_span(versions.readings))
    if first == last:
        yield first, versions
        return
    edges = [year_start(year) for year in range(first + 1, last + 1)]
    years = np.searchsorted(np.array(edges, np.int64), times, "right")
    for year in np.unique(years).tolist():
        yield first + year, versions.select(years == year)


def year_of(time_us: int) -> int:
    """The UTC year of a time in microseconds."""
    # The least int64 is NumPy's NaT, and far from any edge of a year.
    time = np.int64(max(time_us, -(2**63) + 1)).view("datetime64[us]")
    return int(time.astype("datetime64[Y]").astype(np.int64)) + 1970


def year_start(year: int) -> int:
    """The first microsecond of a UTC year."""
    return int(np.int64(year - 1970).view("datetime64[Y]").astype("datetime64[us]").astype(np.int64))
