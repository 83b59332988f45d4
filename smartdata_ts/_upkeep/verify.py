"""Verification: every byte that is believed is held to its checksum, and the catalog to the chunks."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from smartdata_ts import _disk
from smartdata_ts._arrow_arrays import fixed_array
from smartdata_ts._catalog import Catalog, ChunkRow
from smartdata_ts._chunk_file import ChunkFile
from smartdata_ts._scan import decode_versions
from smartdata_ts._snapshot import Blocks, ChunkFiles, unpack_head
from smartdata_ts.errors import CorruptChunkError, StoreError


@dataclass(frozen=True)
class VerifyReport:
    """What was verified, and what is wrong."""

    chunks: int
    blocks: int
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
    problems = [*catalog.problems(), *_unreadable_tables(catalog)]
    try:
        state = catalog.state(with_history=True)
        head = unpack_head(state.head)
        known = dict(catalog.series_names())
    except StoreError as problem:
        return VerifyReport(0, 0, 0, 0, 0, list(dict.fromkeys([*problems, str(problem)])))
    rows = state.chunks + state.history
    blocks = size = 0
    for row in rows:
        own_blocks, own_size, found = _of_chunk(row, files, known, deep)
        blocks += own_blocks
        size += own_size
        problems += found
    problems += [
        f"the head holds readings of series id {number}, which the catalog does not know"
        for number in sorted(set(np.unique(head.readings.series).tolist()) - known.keys())
    ]
    named = {row.name for row in rows}
    return VerifyReport(
        chunks=len(named),
        blocks=blocks,
        readings=sum(row.reading_count for row in rows) + len(head),
        bytes=size,
        orphans=sum(name not in named for name in _disk.names_in(files.directory)),
        problems=problems,
    )


def _of_chunk(
    row: ChunkRow, files: ChunkFiles, keys: dict[int, str], deep: bool
) -> tuple[int, int, list[str]]:
    """A chunk's count of blocks, its size, and what is wrong with it."""
    try:
        # Opened anew: what a handle has open was verified when it opened it.
        chunk = files.open_anew(row.name)
    except StoreError as problem:
        return 0, 0, [str(problem)]
    problems = list(_against_catalog(row, chunk, keys))
    try:
        problems += _damaged_blocks(chunk, deep)
    except CorruptChunkError as problem:  # it shrank meanwhile
        problems.append(str(problem))
    return chunk.block_count, chunk.size, problems


def _unreadable_tables(catalog: Catalog) -> Iterator[str]:
    """What the catalog cannot tell, of that which no chunk tells."""
    for read in (
        catalog.commit_rows,
        catalog.snapshot_rows,
        catalog.retention,
        catalog.check_series,
        lambda: catalog.select_series(None, {}),
    ):
        try:
            read()
        except StoreError as problem:
            yield str(problem)


def _against_catalog(row: ChunkRow, chunk: ChunkFile, keys: dict[int, str]) -> Iterator[str]:
    """What the catalog tells of a chunk otherwise than the chunk itself."""
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
