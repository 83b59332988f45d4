"""Salvage: whatever is sound of a damaged store, copied into a new one, and a list of what is not.

The catalog tells which chunks are the present's, in which order they count, and what is recent. Where it
is damaged or gone, the chunks tell all by themselves: each names its series by key, and its readings'
commits, after which they are ordered.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from smartdata_ts._read.decode import decode_versions
from smartdata_ts._readings.schema import READINGS_SCHEMA, TIME_TYPE
from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog import FILE_NAME, Catalog, ChunkRow
from smartdata_ts._storage.chunk_file import ChunkFile
from smartdata_ts._storage.snapshot import Blocks, unpack_head
from smartdata_ts._store import CHUNK_DIRECTORY, Store, open_store
from smartdata_ts.errors import CorruptChunkError, StoreError, StoreNotFoundError, UsageError


@dataclass(frozen=True)
class SalvageReport:
    """Counts of what was salvaged, and of what was lost."""

    readings: int
    series: int
    chunks: int  # that could be opened
    losses: list[str] = field(default_factory=list)  # one sentence each


@dataclass
class _Found:
    """The readable rest of a catalog, and the problems met."""

    losses: list[str]
    rows: tuple[ChunkRow, ...] | None = None  # the present's chunks; None: the catalog does not tell
    head: list[pa.RecordBatch] = field(default_factory=list)
    facts: pa.Table | None = None


def salvage(source: str | Path, target: str | Path) -> SalvageReport:
    """Copy what is sound of the store at `source` into a new store at `target`.

    The present is copied, not its history. Raises StoreNotFoundError where nothing of a store is at
    `source`, UsageError where something is at `target`.

    >>> import smartdata_ts as sd, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with sd.open(folder + "/city.sdts") as store:
    ...     report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
    >>> sd.salvage(folder + "/city.sdts", folder + "/new.sdts").readings
    1
    """
    source, target = Path(source).absolute(), Path(target).absolute()
    if not disk.is_directory(source / CHUNK_DIRECTORY):
        raise StoreNotFoundError(f"{source}: there is no store, nor what is left of one")
    if disk.is_there(target):
        raise UsageError(f"{target}: is there already; name a new directory")
    found = _look_into_catalog(source)
    chunks = _open_chunks(source / CHUNK_DIRECTORY, found)
    with open_store(target) as store:
        with store.writer(note=f"salvaged from {source.name}", on_conflict="replace") as writer:
            for chunk in chunks:
                for batch in _sound_batches(chunk, found.losses):
                    writer.restore(batch)
            for batch in found.head:
                writer.restore(batch)
        if found.facts is not None:
            _describe(store, found.facts)
        info = store.info()
    return SalvageReport(info.readings, info.series, len(chunks), found.losses)


def _look_into_catalog(source: Path) -> _Found:
    found = _Found([])
    if not disk.is_file(source / FILE_NAME):
        found.losses.append(f"{FILE_NAME} is gone: recent readings, and facts and tags of series")
        return found
    try:
        catalog = Catalog(source, True, 5.0)
    except StoreError as problem:
        found.losses.append(f"recent readings, and facts and tags of series: {problem}")
        return found
    try:
        _look_for_chunks(catalog, found)
        _look_for_head(catalog, found)
    finally:
        catalog.close()
    try:
        with Store(source, "r", 5.0) as store:
            found.facts = store.series()
    except StoreError as problem:
        found.losses.append(f"facts and tags of series: {problem}")
    return found


def _look_for_chunks(catalog: Catalog, found: _Found) -> None:
    try:
        found.rows = catalog.chunk_rows(is_history=False)
    except StoreError as problem:
        found.losses.append(f"which chunks count, and in which order: {problem}")


def _look_for_head(catalog: Catalog, found: _Found) -> None:
    try:
        keys = dict(catalog.series_names())
        blobs, lost = catalog.sound_head()
    except StoreError as problem:
        found.losses.append(f"recent readings: {problem}")
        return
    if lost:
        found.losses.append(f"{lost:,} recent readings, whose bytes in the catalog are damaged")
    readings = unpack_head(tuple(blobs)).readings
    known = np.isin(readings.series, list(keys))
    if not known.all():
        found.losses.append(f"{(~known).sum():,} recent readings of series that the catalog does not know")
    rows = readings.select(known)
    names = [keys[number] for number in rows.series.tolist()]
    found.head = [_batch(pa.array(names, pa.string()), rows.times, rows.values, rows.qualities)]


def _open_chunks(directory: Path, found: _Found) -> list[ChunkFile]:
    """The chunks that can be opened, those that count most last."""
    if found.rows is not None:
        names = [row.name for row in found.rows]
    else:
        names = [name for name in disk.names_in(directory) if name.endswith(".arrow")]
    chunks = []
    for name in names:
        try:
            chunks.append(ChunkFile(directory / name))
        except StoreError as problem:
            found.losses.append(str(problem))
    if found.rows is None:
        chunks = [chunk for chunk in chunks if not chunk.is_history]
        chunks.sort(key=lambda chunk: (int(chunk.commit_max.max()), int(chunk.commit_min.min())))
    return chunks


def _sound_batches(chunk: ChunkFile, losses: list[str]) -> Iterator[pa.RecordBatch]:
    """The readings of the blocks that can be read, a series at a time."""
    rows = np.arange(chunk.block_count)
    try:
        wrong = chunk.wrong_checksums(rows)
    except CorruptChunkError as problem:  # it shrank meanwhile
        losses.append(str(problem))
        return
    losses += [str(chunk.corrupt(row, "its checksum is wrong")) for row in np.flatnonzero(wrong).tolist()]
    for row in np.flatnonzero(~wrong).tolist():
        try:
            readings = decode_versions(Blocks(chunk, rows[row : row + 1], np.zeros(1, np.int64))).readings
        except CorruptChunkError as problem:
            losses.append(str(problem))
            continue
        keys = pa.DictionaryArray.from_arrays(pa.array(readings.series, pa.int32()), chunk.keys.slice(row, 1))
        yield _batch(keys, readings.times, readings.values, readings.qualities)


def _batch(keys: pa.Array, times: np.ndarray, values: np.ndarray, qualities: np.ndarray) -> pa.RecordBatch:
    columns = [keys, pa.array(times, TIME_TYPE), pa.array(values), pa.array(qualities)]
    return pa.record_batch(columns, names=READINGS_SCHEMA.names)


def _describe(store: Store, facts: pa.Table) -> None:
    """Say of every series what the old catalog said."""
    from smartdata_ts._storage.catalog import SERIES_FACTS

    catalog = store.writing_catalog()
    with catalog.transaction():
        keys = facts["series"].to_pylist()
        known = catalog.series_ids(keys).tolist()
        catalog.add_series(sorted(key for key, number in zip(keys, known, strict=True) if not number))
        numbers = catalog.series_ids(keys).tolist()
        for number, row in zip(numbers, facts.to_pylist(), strict=True):
            said = {name: row[name] for name in SERIES_FACTS if row[name] is not None}
            catalog.set_facts(number, said, dict(row["tags"]))
