"""Verification: every byte is held to a checksum, and the catalog to the chunks.

A chunk's name tells the checksum of the file, and the catalog's row of it, which has one of its own, the
name. Where both are right, and all else in the catalog, the chunk is what was written with its row. Where
something is wrong, or a file is older than such names, the chunks are looked into, to tell what it is.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from smartdata_ts._read.decode import decode_versions
from smartdata_ts._readings.arrow import fixed_array
from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog import Catalog, ChunkRow
from smartdata_ts._storage.chunk_file import ChunkFile, is_as_named
from smartdata_ts._storage.snapshot import Blocks, ChunkFiles, unpack_head
from smartdata_ts.errors import CorruptChunkError, StoreError


@dataclass(frozen=True)
class VerifyReport:
    """Counts of what was verified, and the problems found."""

    chunks: int
    readings: int  # in chunks and head, the history's included
    bytes: int
    orphans: int  # files that nothing refers to; harmless, and swept by a compaction
    problems: list[str] = field(default_factory=list)  # one sentence each: file, series, span

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(catalog: Catalog, files: ChunkFiles, deep: bool) -> VerifyReport:
    """Verify the store as of the newest commit; `deep` decodes every reading too."""
    problems: list[str] = []
    try:
        state = catalog.state(with_history=True)
        head = unpack_head(state.head)
        rows = state.chunks + state.history
        with ThreadPoolExecutor(files.thread_count, "smartdata_ts-verify") as pool:
            of_catalog = pool.submit(_of_catalog, catalog)
            are_as_named = list(pool.map(lambda row: _is_as_named(row, files), rows))
        problems += of_catalog.result()
        if deep or problems:
            doubtful = list(zip(rows, are_as_named, strict=True))
        else:
            doubtful = [pair for pair in zip(rows, are_as_named, strict=True) if not pair[1]]
        keys = dict(catalog.series_names()) if doubtful else {}
        for row, is_named in doubtful:
            problems += _of_chunk(row, files, keys, is_named, deep)
        unknown = catalog.unknown_series(np.unique(head.readings.series))
    except StoreError as problem:
        problems = [*(problems or _of_catalog(catalog)), str(problem)]
        return VerifyReport(0, 0, 0, 0, list(dict.fromkeys(problems)))
    problems += [
        f"the head holds readings of series id {number}, which the catalog does not know"
        for number in unknown
    ]
    named = {row.name for row in rows}
    return VerifyReport(
        chunks=len(named),
        readings=sum(row.reading_count for row in rows) + len(head),
        bytes=sum(row.size for row in rows),
        orphans=sum(name not in named for name in disk.names_in(files.directory)),
        problems=problems,
    )


def _of_catalog(catalog: Catalog) -> list[str]:
    """Return problems of the catalog's file, and of its rows that no chunk repeats."""
    problems = list(catalog.problems())
    for read in (
        catalog.commit_rows,
        catalog.snapshot_rows,
        catalog.retention,
        catalog.store_id,
        catalog.check_series,
        catalog.check_keys,
    ):
        try:
            read()
        except StoreError as problem:
            problems.append(str(problem))
    return problems


def _is_as_named(row: ChunkRow, files: ChunkFiles) -> bool | None:
    """Whether a chunk's file is that of its name; None where the name does not tell."""
    path = files.directory / row.name
    try:
        # The size first: a file may have become any.
        return disk.size_of_file(path) == row.size and is_as_named(path)
    except StoreError:
        return False


def _of_chunk(
    row: ChunkRow, files: ChunkFiles, keys: dict[int, str], is_named: bool | None, deep: bool
) -> list[str]:
    """Return problems of a chunk."""
    try:
        # Opened anew: what a handle has open was verified when it opened it.
        chunk = files.open_anew(row.name)
        problems = [*_against_catalog(row, chunk, keys), *_damaged_blocks(chunk, deep)]
    except StoreError as problem:  # it may have shrunk meanwhile
        return [str(problem)]
    if is_named is False and not problems:
        problems.append(
            f"{chunk.path}: a byte has changed of those on which no reading depends. Restore the file from "
            "a backup."
        )
    return problems


def _against_catalog(row: ChunkRow, chunk: ChunkFile, keys: dict[int, str]) -> Iterator[str]:
    """Yield where the catalog says of a chunk another thing than the chunk itself."""
    found = ChunkRow(
        name=row.name,
        series_min=int(chunk.series.min()),
        series_max=int(chunk.series.max()),
        time_min=int(chunk.time_min.min()),
        time_max=int(chunk.time_max.max()),
        reading_count=int(chunk.count.sum()),
        size=chunk.size,
        commit_min=int(chunk.commit_min.min()),
        commit_max=int(chunk.commit_max.max()),
        is_history=row.is_history,
        commit=row.commit,
    )
    if found != row:
        yield f"{chunk.path}: holds other readings than the catalog says: {found} is not {row}"
    numbers, firsts = np.unique(chunk.series, return_index=True)
    for number, key in zip(numbers.tolist(), chunk.keys.take(fixed_array(firsts)).to_pylist(), strict=True):
        if keys.get(number) != key:
            yield (f"{chunk.path}: calls series id {number} {key!r}, and the catalog {keys.get(number)!r}")


def _damaged_blocks(chunk: ChunkFile, deep: bool) -> Iterator[str]:
    rows = np.arange(chunk.block_count)
    for row in np.flatnonzero(chunk.wrong_checksums(rows)).tolist():
        yield str(chunk.corrupt(row, "its checksum is wrong"))
    if deep:
        for row in np.flatnonzero(~chunk.wrong_checksums(rows)).tolist():
            try:
                versions = decode_versions(Blocks(chunk, rows[row : row + 1], np.zeros(1, np.int64)))
            except CorruptChunkError as problem:
                yield str(problem)
                continue
            times, commits = versions.readings.times, versions.commits
            ends = (times[0], times[-1], commits.min(), commits.max())
            told = (chunk.time_min, chunk.time_max, chunk.commit_min, chunk.commit_max)
            if ends != tuple(column[row] for column in told):
                yield str(chunk.corrupt(row, "its readings are not those that its summary tells of"))
