"""The facade: open a store, write to it, query it, look at it."""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from smartdata_ts import _disk
from smartdata_ts._catalog import FILE_NAME, INTEGER_FACTS, SERIES_FACTS, Catalog
from smartdata_ts._facts import checked_facts, checked_key, checked_tags, described_rows
from smartdata_ts._history import (
    changes,
    check_commit,
    commit_of,
    commit_table,
    horizon_us,
    snapshot_table,
)
from smartdata_ts._instant import parse_instant
from smartdata_ts._plan import TIME_MAX, TIME_MIN
from smartdata_ts._quality import qualities_of
from smartdata_ts._query import Query, as_keys, as_tags, selected
from smartdata_ts._snapshot import ChunkFiles, Snapshot
from smartdata_ts.errors import (
    ClosedError,
    CorruptCatalogError,
    ReadOnlyError,
    StoreFormatError,
    StoreNotFoundError,
    UsageError,
)

if TYPE_CHECKING:
    from smartdata_ts._upkeep.backup import BackupReport
    from smartdata_ts._upkeep.compact import CompactReport
    from smartdata_ts._upkeep.delete import DeleteReport
    from smartdata_ts._upkeep.erase import EraseReport
    from smartdata_ts._upkeep.verify import VerifyReport
    from smartdata_ts._writer import WriteAccess, Writer, WriteReport

CHUNK_DIRECTORY = "chunks"


@dataclass(frozen=True)
class Info:
    """A store at a glance; times are microseconds UTC, None where there are no readings."""

    path: str
    series: int
    readings: int
    bytes: int
    time_min: int | None
    time_max: int | None
    chunks: int
    head_readings: int
    commit: int
    history_chunks: int = 0  # readings that were replaced or deleted since
    history_readings: int = 0

    @property
    def bytes_per_reading(self) -> float | None:
        """Everything on disk over the readings; None in an empty store."""
        return self.bytes / self.readings if self.readings else None


def open_store(path: str | os.PathLike[str], mode: str = "a", timeout_s: float = 60.0) -> "Store":
    """Open the store at `path`, a directory; creates it unless `mode` is "r".

    Mode "r" reads only and raises StoreNotFoundError where there is no store. `timeout_s` is how long a
    write waits for another process's. Raises StoreFormatError where something else is at `path`.

    >>> import smartdata_ts as sd, tempfile
    >>> with sd.open(tempfile.mkdtemp() + "/city.sdts") as store:
    ...     store.info().readings
    0
    """
    if mode not in ("a", "r"):
        raise UsageError(f"mode must be 'a' (read and write) or 'r' (read only), not {mode!r}")
    directory = Path(path).absolute()  # so that the host may change its own
    if mode == "r" and not _disk.is_file(directory / FILE_NAME):
        raise StoreNotFoundError(f"{directory}: there is no store; mode 'a' creates one")
    if mode == "a":
        _create_directory(directory)
    return Store(directory, mode, timeout_s)


def _create_directory(directory: Path) -> None:
    if _disk.is_there(directory) and not _disk.is_directory(directory):
        raise StoreFormatError(f"{directory}: a file, not the directory of a store")
    if _disk.is_directory(directory) and not _disk.is_there(directory / FILE_NAME):
        # Another process may be creating the store at this moment.
        ours = (CHUNK_DIRECTORY, FILE_NAME, f"{FILE_NAME}-journal", f"{FILE_NAME}-wal", f"{FILE_NAME}-shm")
        others = [name for name in _disk.names_in(directory) if name not in ours]
        if others:
            raise StoreFormatError(
                f"{directory}: a directory that is no store (it holds {others[0]!r}); name another"
            )
    _disk.make_directory(directory / CHUNK_DIRECTORY)


class Store:
    """A handle on a store; `smartdata_ts.open` makes one. Threads may share it, processes may not."""

    def __init__(self, directory: Path, mode: str, timeout_s: float) -> None:
        self._directory = directory
        self._mode = mode
        self._timeout_s = timeout_s
        self._pid = os.getpid()
        self._files = ChunkFiles(directory / CHUNK_DIRECTORY)
        # Readers have a connection of their own, so that none waits for this handle's writer.
        self._write_catalog = Catalog(directory, False, timeout_s) if mode == "a" else None
        if self._write_catalog is not None and self._write_catalog.erasures() is not None:
            from smartdata_ts._upkeep.erase import finish_erasures

            finish_erasures(self._write_catalog, self._files)
        self._access: WriteAccess | None = None
        self._access_lock = threading.Lock()
        try:
            self._catalog = Catalog(directory, True, timeout_s)
        except BaseException:
            if self._write_catalog is not None:
                self._write_catalog.close()
            raise
        self._snapshot: Snapshot | None = None
        self._closed = False

    # -- writing

    def write(
        self,
        data: object,
        series: str = "series",
        time: str = "time",
        value: str = "value",
        quality: str | None = None,
        note: str | None = None,
        on_conflict: str = "better",
    ) -> "WriteReport":
        """Store readings, durably when this returns, all or none of them.

        `data` is anything that can be read as Arrow (pyarrow, polars, DuckDB results, pandas 2.2 and
        later), or a mapping of column names to arrays; a text in place of an array stands for all rows.
        `series`, `time`, `value` and `quality` name its columns: keys; timestamps (without a zone: UTC)
        or int64 microseconds UTC; numbers; codes 0 to 255 (0 = measured, and so is null). Rows may come
        in any order. Of rows with the same series and time, and of what is stored, one stands, as
        `on_conflict` says: "better", the later one unless its quality ranks lower (an estimate does not
        replace what was measured); "replace", the later one; "keep", the earlier one; "error", none:
        ConflictError, and nothing of the write is kept.

        Rows that cannot be readings are rejected, counted by reason, and listed in the report. Raises
        DataError where a column is missing or of a type that cannot serve, ReadOnlyError, StoreBusyError.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> rows = {"meter": ["wm-17", "wm-18"], "ts": [0, 0], "m3": [1.5, None]}
        >>> report = store.write(rows, series="meter", time="ts", value="m3")
        >>> report.stored, report.rejections
        (1, {'null value': 1})
        """
        with self.writer(note, on_conflict) as writer:
            writer.write(data, series, time, value, quality)
        return writer.report

    def writer(self, note: str | None = None, on_conflict: str = "better") -> "Writer":
        """One write of any size in bounded memory: commits at the end of the block, or not at all.

        It holds the store's write lock; other writers wait. `note` says who, why, from which file;
        `on_conflict` which reading stands, as in `write`.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> with store.writer(note="two days") as writer:
        ...     for day in (0, 1):
        ...         writer.write({"series": "wm-17", "time": [day * 86_400_000_000], "value": [day]})
        >>> writer.report.stored
        2
        """
        from smartdata_ts._writer import Writer

        return Writer(self._for_writing(), note, on_conflict)

    def describe(
        self,
        series: object,
        quantity: str | None = None,
        unit: str | None = None,
        kind: str | None = None,
        interval: str | None = None,
        decimals: int | None = None,
        register_digits: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Say what series are; creates those that are new. What is not named stays as it was.

        `series` is a key, or a list of keys of which the same is said. `kind` is "register", "interval" or
        "gauge", `unit` a UCUM code, `interval` the nominal spacing of readings ("1h"). In bulk: `series`
        may be a table (Arrow, pandas, polars) with a column `series`; columns with the names of the
        parameters are facts, all others tags.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.describe("wm-17", quantity="water", unit="L", kind="register", tags={"zone": "DMA-7"})
        >>> store.series()["series"].to_pylist()
        ['wm-17']
        """
        if isinstance(series, str | list | tuple):
            facts = checked_facts(
                "describe",
                {
                    "quantity": quantity,
                    "unit": unit,
                    "kind": kind,
                    "interval": interval,
                    "decimals": decimals,
                    "register_digits": register_digits,
                },
            )
            keys = [series] if isinstance(series, str) else series
            described = [(checked_key(key), facts, checked_tags("describe", tags or {})) for key in keys]
        else:
            described = [
                (
                    checked_key(key),
                    checked_facts(f"series {key!r}", given),
                    checked_tags(f"series {key!r}", named),
                )
                for key, given, named in described_rows(series)
            ]
        catalog = self._for_writing().catalog
        with catalog.transaction():
            keys = [key for key, _, _ in described]
            ids = catalog.series_ids(keys).tolist()
            catalog.add_series(sorted({key for key, number in zip(keys, ids, strict=True) if not number}))
            for (_, given, named), number in zip(described, catalog.series_ids(keys).tolist(), strict=True):
                catalog.set_facts(number, given, named)

    def compact(self) -> "CompactReport":
        """Fold chunks that overlap, or are small, into few; sweep what killed writers left.

        Time-ordered and late readings make many short blocks; this makes long ones of them, which are
        smaller and faster to read, and drops readings that were replaced. Queries go on meanwhile, writers
        wait.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.compact().chunks_after
        1
        """
        from smartdata_ts._upkeep.compact import compact

        access = self._for_writing()
        report = compact(access.catalog, self._files)
        access.state = None
        return report

    def delete(
        self,
        series: str | Sequence[str],
        start: object = None,
        end: object = None,
        tz: str = "UTC",
        note: str | None = None,
    ) -> "DeleteReport":
        """Delete the readings of a series, or of many, within [start, end), at once and in one commit.

        `as_of` an earlier commit still shows them, for as long as history is kept; `erase` leaves no trace.
        Raises UnknownSeriesError where a key is named that the store does not hold.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 1], "value": [1.5, 2.5]})
        >>> store.delete("wm-17", end="1970-01-01T00:00:00.000001").readings
        1
        >>> store.query().to_arrow()["value"].to_pylist()
        [2.5]
        """
        from smartdata_ts._upkeep.delete import delete

        access = self._for_writing()
        ids = np.sort(selected(access.catalog, as_keys(series), {})[0])
        first = TIME_MIN if start is None else parse_instant(start, tz)
        last = TIME_MAX if end is None else parse_instant(end, tz) - 1
        report = delete(access.catalog, self._files, ids, first, last, note)
        access.state = None
        return report

    def erase(self, series: str | Sequence[str]) -> "EraseReport":
        """Remove every trace of a series, or of many, from all files: readings, history, facts and tags.

        All other series answer as before. Old files are overwritten, so that a query that is reading them
        in another process may fail. If the process dies, the next handle that opens the store for writing
        finishes. Notes of commits, and backups, are the user's own. Raises UnknownSeriesError.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": ["wm-17", "wm-18"], "time": [0, 0], "value": [1.5, 2.5]})
        >>> store.erase("wm-17").readings
        1
        >>> store.series()["series"].to_pylist()
        ['wm-18']
        """
        from smartdata_ts._upkeep.erase import erase

        access = self._for_writing()
        ids = np.sort(selected(access.catalog, as_keys(series), {})[0])
        self._snapshot = None
        access.state = None
        try:
            return erase(access.catalog, self._files, ids)
        finally:
            access.state = None

    def backup(self, target: str | os.PathLike[str]) -> "BackupReport":
        """Copy the store, as of its newest commit, into the directory `target`; writers go on meanwhile.

        Where an earlier backup is there, only chunks that it lacks are copied. Until all is durable the
        target is what it was; a backup that was killed goes on when it is run again. To restore, open it.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> folder = tempfile.mkdtemp() + "/city.sdts"
        >>> store.backup(folder).commit
        1
        >>> sd.open(folder, mode="r").query().to_arrow()["value"].to_pylist()
        [1.5]
        """
        from smartdata_ts._upkeep.backup import backup

        self._check()
        directory = Path(target).absolute()
        if directory == self._directory:
            raise UsageError(f"{directory}: is the store itself; name another directory")
        return backup(self._catalog, self._files.directory, directory)

    def verify(self, deep: bool = False) -> "VerifyReport":
        """Hold all that is stored to its checksums, and the catalog to the chunks; `deep` decodes it too.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.verify().problems
        []
        """
        from smartdata_ts._upkeep.verify import verify

        self._check()
        return verify(self._catalog, self._files, deep)

    def writing_catalog(self) -> Catalog:
        """The catalog, for changes of what is said of series; ReadOnlyError in mode "r"."""
        return self._for_writing().catalog

    def _for_writing(self) -> "WriteAccess":
        self._check()
        if self._write_catalog is None:
            raise ReadOnlyError(f"{self._directory}: opened for reading; open it with mode 'a' to write")
        with self._access_lock:
            if self._access is None:
                # Whoever only reads does not load what writes.
                from smartdata_ts._writer import WriteAccess

                self._access = WriteAccess(self._write_catalog, self._files)
        return self._access

    # -- reading

    def query(
        self,
        series: str | Sequence[str] | None = None,
        tags: Mapping[str, str | Sequence[str]] | None = None,
        start: object = None,
        end: object = None,
        tz: str = "UTC",
        as_of: object = None,
        quality: str | int | Sequence[str | int] | None = None,
    ) -> Query:
        """Describe a query; nothing is read yet.

        `series` is a key or many; `tags` maps a name to a value or to many of which one must match; both
        narrow. The span is [start, end): texts ("2024-10-27", "2024-10-27T02:30+02:00"), dates, datetimes
        or np.datetime64; what has no offset is local time in `tz`. `as_of` asks for the readings as they
        were known then: a commit's number, the name of a snapshot, or an instant (without offset: UTC).
        Raises HistoryError where history does not reach so far back. `quality` leaves only readings that
        are so: names ("measured", "edited"), whatever the method, or codes.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.query("wm-17", end="1970-01-02").to_arrow().num_rows
        1
        """
        self._check()
        return Query(
            self,
            as_keys(series),
            as_tags(tags),
            None if start is None else parse_instant(start, tz),
            None if end is None else parse_instant(end, tz),
            as_of=None if as_of is None else commit_of(self._catalog, as_of),
            qualities=None if quality is None else qualities_of(quality),
        )

    def pin(self, as_of: int | None = None) -> tuple[Catalog, Snapshot]:
        """The catalog, and the readings of the newest commit, or of an earlier, which stay as they are."""
        self._check()
        if as_of is not None:
            state = self._catalog.state(with_history=True)
            check_commit(self._catalog, as_of)
            return self._catalog, Snapshot.at(as_of, state, self._files)
        snapshot = self._snapshot
        if snapshot is None or snapshot.commit != self._catalog.last_commit():
            snapshot = Snapshot.of(self._catalog.state(), self._files)
            self._files.keep_only({chunk.name for chunk in snapshot.chunks})
            self._snapshot = snapshot
        return self._catalog, snapshot

    def series(self) -> pa.Table:
        """Every series with its facts and tags, sorted by key.

        Columns: series, quantity, unit, kind, interval_us, decimals, register_digits, tags (a map).
        """
        self._check()
        try:
            return _series_table(self._catalog.series_rows())
        except (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError) as problem:
            raise CorruptCatalogError(
                f"{self._directory / FILE_NAME}: what it says of series is damaged: {problem}. Restore "
                "the store from a backup, or salvage it."
            ) from problem

    def info(self) -> Info:
        """Count series, readings and bytes; cheap, whatever the store's size."""
        catalog, snapshot = self.pin()
        history = catalog.chunk_rows(is_history=True)
        times = [(chunk.time_min, chunk.time_max) for chunk in snapshot.chunks]
        if len(snapshot.head):
            times.append((int(snapshot.head.times.min()), int(snapshot.head.times.max())))
        return Info(
            path=str(self._directory),
            series=catalog.series_count(),
            readings=snapshot.reading_count,
            bytes=_disk.size_of(self._directory),
            time_min=min((first for first, _ in times), default=None),
            time_max=max((last for _, last in times), default=None),
            chunks=len(snapshot.chunks),
            head_readings=len(snapshot.head),
            commit=snapshot.commit,
            history_chunks=len(history),
            history_readings=sum(chunk.reading_count for chunk in history),
        )

    # -- history

    def commits(self) -> pa.Table:
        """Every commit: commit, time, note (as its writer gave it), readings in the store after it.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]}, note="from the SCADA")
        >>> store.commits().select(["commit", "note", "readings"]).to_pylist()
        [{'commit': 1, 'note': 'from the SCADA', 'readings': 1}]
        """
        self._check()
        return commit_table(self._catalog)

    def changes(self, since: int, until: int | None = None) -> pa.RecordBatchReader:
        """What the commits behind `since` changed, up to `until` (the newest), in bounded memory.

        Columns: series, time, old_value, old_quality (null: there was no reading), value, quality (null:
        it was deleted), commit, commit_time; by series, time and commit. The same reading sent again is
        no change. Whoever follows a store keeps the highest commit and asks from there again.

        Raises HistoryError where history does not reach back to `since`.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> first = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> second = store.write({"series": "wm-17", "time": [0], "value": [1.6]})
        >>> changes = store.changes(since=first.commit).read_all()
        >>> changes.select(["old_value", "value", "commit"]).to_pylist()
        [{'old_value': 1.5, 'value': 1.6, 'commit': 2}]
        """
        self._check()
        return changes(self._catalog, self._files, since, until)

    def snapshot(self, name: str, note: str | None = None) -> int:
        """Name the store as it is now, and hold its readings until `release`; returns the commit.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> commit = store.snapshot("bills 2025", note="as invoiced")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.6]})
        >>> store.query(as_of="bills 2025").to_arrow()["value"].to_pylist()
        [1.5]
        """
        catalog = self._for_writing().catalog
        with catalog.transaction():
            commit = catalog.last_commit()
            catalog.add_snapshot(checked_key(name), commit, note)
        return commit

    def release(self, name: str) -> None:
        """Let go of a named snapshot; UsageError where there is none such."""
        catalog = self._for_writing().catalog
        with catalog.transaction():
            catalog.remove_snapshot(name)

    def snapshots(self) -> pa.Table:
        """The named snapshots: name, commit, time (of the naming), note."""
        self._check()
        return snapshot_table(self._catalog)

    def keep_history(self, horizon: str) -> None:
        """Keep readings that were replaced or deleted for so long: "0d", "90d", "2y" or "forever".

        A new store keeps them for a year. What is older is given up by the next compaction.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.keep_history("forever")
        """
        history_us = horizon_us(horizon)
        catalog = self._for_writing().catalog
        with catalog.transaction():
            catalog.set_history(history_us)

    # -- the handle

    def close(self) -> None:
        """Let go of the store's files; the handle cannot be used any more. Closing twice is no error."""
        if not self._closed and self._pid == os.getpid():
            self._closed = True
            self._catalog.close()
            if self._write_catalog is not None:
                self._write_catalog.close()
            self._snapshot = None
            self._files.keep_only(set())

    def _check(self) -> None:
        if self._pid != os.getpid():
            raise ClosedError(
                f"{self._directory}: this handle was opened before a fork; open the store again in the child"
            )
        if self._closed:
            raise ClosedError(f"{self._directory}: this handle is closed; open the store again")

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<smartdata_ts.Store {str(self._directory)!r}, mode {self._mode!r}>"

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        """Pickle as a path, read only: what a query needs in another process."""
        return open_store, (str(self._directory), "r")


def _series_table(rows: list[tuple]) -> pa.Table:  # type: ignore[type-arg]
    _, keys, *facts, tags = zip(*rows, strict=True) if rows else [()] * (len(SERIES_FACTS) + 3)
    columns = {"series": pa.array(keys, pa.string())}
    for name, values in zip(SERIES_FACTS, facts, strict=True):
        columns[name] = pa.array(values, pa.int64() if name in INTEGER_FACTS else pa.string())
    pairs = [list(json.loads(text).items()) for text in tags]
    columns["tags"] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
    return pa.table(columns)
