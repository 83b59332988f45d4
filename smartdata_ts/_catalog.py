"""All SQL, and nothing but SQL: series, tags, commits, chunks and the head, in one SQLite file.

A commit is one SQLite transaction. A chunk's row is written after its file is durable, so that a row
never stands without its file. Chunks of higher id win over those of lower; the head wins over all
chunks, because whatever writes a chunk of newer readings flushes the head first.
"""

import contextlib
import json
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from smartdata_ts import _disk
from smartdata_ts.errors import (
    ClosedError,
    CorruptCatalogError,
    DiskFullError,
    StoreBusyError,
    StoreError,
    StoreFormatError,
    UsageError,
)
from smartdata_ts.kernels._jit import Int64Array

FILE_NAME = "catalog.sqlite"
FORMAT_VERSION = 1
# "SDTS" in SQLite's header, so that `file` and we know whose database it is.
APPLICATION_ID = 0x53445453

_SCHEMA = """
CREATE TABLE store (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    quantity TEXT,
    unit TEXT,
    kind TEXT CHECK (kind IN ('register', 'interval', 'gauge')),
    interval_us INTEGER,
    decimals INTEGER,
    register_digits INTEGER
);
CREATE TABLE tag (
    series_id INTEGER NOT NULL REFERENCES series (id),
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (series_id, name)
) WITHOUT ROWID;
CREATE INDEX tag_by_value ON tag (name, value, series_id);
CREATE TABLE commits (
    id INTEGER PRIMARY KEY,
    time_us INTEGER NOT NULL,
    note TEXT,
    -- readings in the store after this commit, each (series, time) counted once
    reading_count INTEGER NOT NULL
);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    series_min INTEGER NOT NULL,
    series_max INTEGER NOT NULL,
    time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL,
    reading_count INTEGER NOT NULL,
    size INTEGER NOT NULL,
    -- of its readings
    commit_min INTEGER NOT NULL,
    commit_max INTEGER NOT NULL,
    -- 1: what later commits superseded or deleted, all of it by `commit_id`
    is_history INTEGER NOT NULL,
    -- CRC-32 of the other columns but id, as a JSON list in UTF-8
    checksum INTEGER NOT NULL
);
CREATE TABLE head (
    id INTEGER PRIMARY KEY,
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    reading_count INTEGER NOT NULL,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL -- CRC-32 of data
);
-- what was deleted, and when: for the store as of earlier commits
CREATE TABLE deletion (
    id INTEGER PRIMARY KEY,
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    series_id INTEGER NOT NULL REFERENCES series (id),
    time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL
);
CREATE TABLE snapshot (
    name TEXT PRIMARY KEY,
    commit_id INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    note TEXT
) WITHOUT ROWID;
"""

# How long superseded readings are kept unless the user says otherwise: a year.
HISTORY_US = 365 * 86_400_000_000

SERIES_FACTS = ("quantity", "unit", "kind", "interval_us", "decimals", "register_digits")
INTEGER_FACTS = SERIES_FACTS[3:]


@dataclass(frozen=True)
class ChunkRow:
    """What the catalog knows of a chunk."""

    name: str
    series_min: int
    series_max: int
    time_min: int
    time_max: int
    reading_count: int
    size: int
    commit_min: int
    commit_max: int
    is_history: bool = False
    commit: int = 0  # that named it; 0 where none has yet


# As ChunkRow has them.
_CHUNK_COLUMNS = (
    "name",
    "series_min",
    "series_max",
    "time_min",
    "time_max",
    "reading_count",
    "size",
    "commit_min",
    "commit_max",
    "is_history",
    "commit_id",
)


@dataclass(frozen=True)
class Deletion:
    """From a commit on, a series had no longer the readings within [time_min, time_max]."""

    commit: int
    series: int
    time_min: int
    time_max: int


@dataclass(frozen=True)
class State:
    """Chunks (lowest precedence first) and head blobs (oldest first) as of a commit."""

    commit: int
    reading_count: int  # each (series, time) once
    chunks: tuple[ChunkRow, ...]
    head: tuple[bytes, ...]
    # Read only where the past is asked for.
    history: tuple[ChunkRow, ...] = ()
    deletions: tuple[Deletion, ...] = ()


class Catalog:
    """One connection to a store's catalog; threads take turns."""

    def __init__(self, directory: Path, read_only: bool, timeout_s: float) -> None:
        path = directory / FILE_NAME
        self._lock = threading.RLock()
        self._path = path
        self._timeout_s = timeout_s
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?{_access(path) if read_only else 'mode=rwc'}",
                uri=True,
                timeout=timeout_s,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=64,
            )
        except sqlite3.Error as problem:
            raise StoreError(f"{path}: cannot be opened: {problem}") from problem
        try:
            self._prepare(read_only)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, read_only: bool) -> None:
        if not read_only:
            if not self._is_created():
                self._create()
            self._execute("PRAGMA synchronous = FULL")
        if not self._is_created():
            raise StoreFormatError(f"{self._path}: a database, but not of a smartdata_ts store")
        ((version,),) = self._rows("SELECT value FROM store WHERE name = 'format_version'")
        if version != str(FORMAT_VERSION):
            raise StoreFormatError(
                f"{self._path}: store format version {version}; this release reads version {FORMAT_VERSION}. "
                "Upgrade smartdata_ts."
            )

    def _is_created(self) -> bool:
        return self._rows("PRAGMA application_id") == [(APPLICATION_ID,)]

    def _create(self) -> None:
        self._enable_log()
        with self.transaction():
            if self._rows("SELECT 1 FROM sqlite_master LIMIT 1"):
                return  # someone else's database, or another process created the store before our lock
            for statement in _SCHEMA.split(";"):
                self._execute(statement)
            settings = {"format_version": FORMAT_VERSION, "history_us": HISTORY_US, "history_floor": 0}
            self._execute_many("INSERT INTO store VALUES (?, ?)", settings.items())
            self._execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _enable_log(self) -> None:
        """Turn to write-ahead logging, for which SQLite, alone among its locks, does not wait."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                self._execute("PRAGMA journal_mode = WAL")
                return
            except StoreBusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def close(self) -> None:
        """Close the connection; further calls raise ClosedError."""
        with self._lock:
            self._connection.close()

    def begin(self) -> None:
        """Take the store's one write lock, of which `commit` or `roll_back` lets go again."""
        if not self._lock.acquire(timeout=self._timeout_s):
            raise StoreBusyError(
                f"{self._path.parent}: another thread has been writing for longer than the timeout; "
                "try again, or open the store with a longer timeout_s"
            )
        try:
            if self._connection.in_transaction:
                raise UsageError("this thread is within a write already; write with that writer, or after it")
            self._execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise

    def commit(self) -> None:
        """Make the transaction durable; where this raises, it is still to be rolled back."""
        self._execute("COMMIT")
        self._lock.release()

    def roll_back(self) -> None:
        """Undo the transaction."""
        try:
            with contextlib.suppress(sqlite3.Error):  # closed, or undone by SQLite itself
                self._connection.execute("ROLLBACK")
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit on exit, roll back on an exception."""
        self.begin()
        try:
            yield
            self.commit()
        except BaseException:
            self.roll_back()
            raise

    def _execute(self, sql: str, parameters: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.Error as problem:
            raise _translated(self._path, problem) from problem

    def _execute_many(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as problem:
            raise _translated(self._path, problem) from problem

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            try:
                return self._connection.execute(sql, parameters).fetchall()
            except sqlite3.Error as problem:
                raise _translated(self._path, problem) from problem

    # -- commits, chunks, head

    def last_commit(self) -> int:
        """The newest commit's number; 0 in a store without any."""
        return int(self._rows("SELECT ifnull(max(id), 0) FROM commits")[0][0])

    def state(self, with_history: bool = False) -> State:
        """Everything that a reader must know, read in one transaction."""
        with self._lock:
            nested = self._connection.in_transaction
            if not nested:
                self._execute("BEGIN")
            try:
                ((commit, reading_count),) = self._rows(
                    "SELECT id, reading_count FROM commits ORDER BY id DESC LIMIT 1"
                ) or [(0, 0)]
                chunks = self._chunk_rows(is_history=False)
                head = self._head_blobs()
                history = self._chunk_rows(is_history=True) if with_history else ()
                deletions = self._deletions() if with_history else ()
            finally:
                if not nested:
                    self._execute("COMMIT")
        return State(commit, reading_count, chunks, head, history, deletions)

    def history_chunks(self) -> tuple[ChunkRow, ...]:
        """The chunks of what was superseded or deleted, in the order of their making."""
        return self._chunk_rows(is_history=True)

    def _head_blobs(self) -> tuple[bytes, ...]:
        rows = self._rows("SELECT data, checksum FROM head ORDER BY id")
        if any(zlib.crc32(data) != checksum for data, checksum in rows):
            raise CorruptCatalogError(self._damaged("recent readings in its table head"))
        return tuple(data for data, _ in rows)

    def _damaged(self, what: str) -> str:
        return (
            f"{self._path}: {what} are not what was written. Restore the store from a backup, or salvage it."
        )

    def _chunk_rows(self, is_history: bool) -> tuple[ChunkRow, ...]:
        sql = f"SELECT {', '.join(_CHUNK_COLUMNS)}, checksum FROM chunk WHERE is_history = ? ORDER BY id"
        rows = self._rows(sql, (is_history,))
        for *columns, checksum in rows:
            if _digest(columns) != checksum:
                raise CorruptCatalogError(self._damaged("the columns of a chunk"))
            name = str(columns[0])
            if "/" in name or "\\" in name or name.startswith("."):
                raise StoreFormatError(
                    f"{self._path}: names a chunk {name!r}, which is no file of this store"
                )
        return tuple(ChunkRow(*columns) for *columns, _ in rows)

    def add_commit(self, commit: int, note: str | None, reading_count: int) -> None:
        """Begin the commit of this number, one more than the last, within a transaction.

        `reading_count` is what the store holds after it, each (series, time) counted once.
        """
        self._execute(
            "INSERT INTO commits VALUES (?, ?, ?, ?)", (commit, time.time_ns() // 1000, note, reading_count)
        )

    def add_head(self, commit: int, reading_count: int, data: bytes) -> None:
        """Put readings into the head."""
        sql = "INSERT INTO head (commit_id, reading_count, data, checksum) VALUES (?, ?, ?, ?)"
        self._execute(sql, (commit, reading_count, data, zlib.crc32(data)))

    def merge_head(self, commit: int) -> None:
        """Make one blob of the head's many, so that reading it stays cheap."""
        blobs = self._rows("SELECT reading_count, data FROM head ORDER BY id")
        self.clear_head()
        self.add_head(commit, sum(count for count, _ in blobs), b"".join(data for _, data in blobs))

    def clear_head(self) -> None:
        """Empty the head, whose readings have gone into chunks."""
        self._execute("DELETE FROM head")

    def add_chunk(self, commit: int, chunk: ChunkRow) -> None:
        """Name a chunk whose file is durable."""
        columns = _columns_of(commit, chunk)
        marks = ", ".join("?" * (len(columns) + 1))
        sql = f"INSERT INTO chunk ({', '.join(_CHUNK_COLUMNS)}, checksum) VALUES ({marks})"
        self._execute(sql, (*columns, _digest(columns)))

    def replace_chunk(self, name: str, commit: int, chunk: ChunkRow) -> None:
        """Put a chunk in the place of another, whose precedence it takes."""
        columns = _columns_of(commit, chunk)
        assignments = ", ".join(f"{column} = ?" for column in (*_CHUNK_COLUMNS, "checksum"))
        sql = f"UPDATE chunk SET {assignments} WHERE name = ?"
        self._execute(sql, (*columns, _digest(columns), name))

    def remove_chunks(self, names: Sequence[str]) -> None:
        """Forget chunks that others have replaced."""
        self._execute(
            "DELETE FROM chunk WHERE name IN (SELECT value FROM json_each(?))", (json.dumps(names),)
        )

    # -- history

    def commit_rows(self) -> list[tuple[int, int, str | None, int]]:
        """(id, time in us UTC, note, readings in the store after it) of every commit."""
        return self._rows("SELECT id, time_us, note, reading_count FROM commits ORDER BY id")

    def commit_at(self, time_us: int) -> int:
        """The last commit at or before a time; 0 where there is none."""
        return int(self._rows("SELECT ifnull(max(id), 0) FROM commits WHERE time_us <= ?", (time_us,))[0][0])

    def set_history(self, history_us: int | None) -> None:
        """Keep superseded readings for so long; None: for ever."""
        self._set("history_us", -1 if history_us is None else history_us)

    def history_us(self) -> int | None:
        """How long superseded readings are kept; None: for ever."""
        history_us = self._setting("history_us")
        return None if history_us < 0 else history_us

    def history_floor(self) -> int:
        """The first commit as of which the store can still be read."""
        return self._setting("history_floor")

    def raise_history_floor(self) -> int:
        """Give up what the horizon and the snapshots no longer ask for; returns the new floor."""
        history_us = self.history_us()
        floor = self.history_floor()
        if history_us is None:
            return floor
        wanted = self.commit_at(time.time_ns() // 1000 - history_us)
        held = [commit for _, commit, _, _ in self.snapshot_rows()]
        floor = max(floor, min([wanted, *held]))
        self._set("history_floor", floor)
        return floor

    def _setting(self, name: str) -> int:
        ((value,),) = self._rows("SELECT value FROM store WHERE name = ?", (name,))
        return int(value)

    def _set(self, name: str, value: int) -> None:
        self._execute("UPDATE store SET value = ? WHERE name = ?", (str(value), name))

    def snapshot_rows(self) -> list[tuple[str, int, int, str | None]]:
        """(name, commit, time in us UTC, note) of every named snapshot."""
        return self._rows("SELECT name, commit_id, time_us, note FROM snapshot ORDER BY commit_id, name")

    def add_snapshot(self, name: str, commit: int, note: str | None) -> None:
        """Name a commit; UsageError where the name is taken."""
        if self._rows("SELECT 1 FROM snapshot WHERE name = ?", (name,)):
            raise UsageError(f"there is a snapshot {name!r} already; release it, or take another name")
        sql = "INSERT INTO snapshot VALUES (?, ?, ?, ?)"
        self._execute(sql, (name, commit, time.time_ns() // 1000, note))

    def remove_snapshot(self, name: str) -> None:
        """Forget a name; UsageError where there is none such."""
        if not self._rows("SELECT 1 FROM snapshot WHERE name = ?", (name,)):
            raise UsageError(f"there is no snapshot {name!r}; `store.snapshots()` lists them")
        self._execute("DELETE FROM snapshot WHERE name = ?", (name,))

    def _deletions(self) -> tuple[Deletion, ...]:
        rows = self._rows("SELECT commit_id, series_id, time_min, time_max FROM deletion ORDER BY id")
        return tuple(Deletion(*row) for row in rows)

    def add_deletions(self, commit: int, series_ids: Sequence[int], time_min: int, time_max: int) -> None:
        """Note that series have lost their readings within [time_min, time_max]."""
        self._execute_many(
            "INSERT INTO deletion (commit_id, series_id, time_min, time_max) VALUES (?, ?, ?, ?)",
            ((commit, number, time_min, time_max) for number in series_ids),
        )

    # -- series and tags

    def series_count(self) -> int:
        """How many series the store knows."""
        return int(self._rows("SELECT count(*) FROM series")[0][0])

    def series_id_max(self) -> int:
        """The highest series id; 0 where there is no series."""
        return int(self._rows("SELECT ifnull(max(id), 0) FROM series")[0][0])

    def series_id(self, key: str) -> int | None:
        """The id of one series."""
        rows = self._rows("SELECT id FROM series WHERE key = ?", (key,))
        return int(rows[0][0]) if rows else None

    def series_ids(self, keys: Sequence[str]) -> Int64Array:
        """The id of each key, 0 where there is none."""
        sql = (
            "SELECT group_concat(id) FROM (SELECT ifnull(series.id, 0) AS id FROM json_each(?) AS wanted"
            " LEFT JOIN series ON series.key = wanted.value ORDER BY wanted.key)"
        )
        ((ids,),) = self._rows(sql, (json.dumps(list(keys), ensure_ascii=False),))
        return _integers(ids)

    def series_keys(self, ids: Int64Array) -> list[str]:
        """The key of each series id; all must be known."""
        sql = (
            "SELECT series.key FROM json_each(?) AS wanted JOIN series ON series.id = wanted.value"
            " ORDER BY wanted.key"
        )
        return [key for (key,) in self._rows(sql, (json.dumps(ids.tolist()),))]

    def add_series(self, keys: Sequence[str]) -> Int64Array:
        """Create series with new keys, ids in the keys' order; returns their ids."""
        self._execute_many("INSERT INTO series (key) VALUES (?)", ((key,) for key in keys))
        return self.series_ids(keys)

    def set_facts(self, series_id: int, facts: Mapping[str, object], tags: Mapping[str, str]) -> None:
        """Set the facts and tags given; those not named stay as they are."""
        assert set(facts) <= set(SERIES_FACTS)
        if facts:
            assignments = ", ".join(f"{name} = ?" for name in facts)
            self._execute(f"UPDATE series SET {assignments} WHERE id = ?", (*facts.values(), series_id))
        self._execute_many(
            "INSERT OR REPLACE INTO tag VALUES (?, ?, ?)",
            ((series_id, name, value) for name, value in tags.items()),
        )

    def select_series(
        self, keys: Sequence[str] | None, tags: Mapping[str, Sequence[str]]
    ) -> tuple[Int64Array, pa.StringArray]:
        """Ids and keys of the series that have one of the keys and, per tag, one of its values, by key.

        The keys come as one text and one list of sizes: no Python object per series.
        """
        conditions, parameters = ["TRUE"], list[object]()
        if keys is not None:
            conditions.append("key IN (SELECT value FROM json_each(?))")
            parameters.append(json.dumps(list(keys), ensure_ascii=False))
        for name, values in tags.items():
            conditions.append(
                "id IN (SELECT series_id FROM tag"
                " WHERE name = ? AND value IN (SELECT value FROM json_each(?)))"
            )
            parameters += [name, json.dumps(list(values), ensure_ascii=False)]
        sql = (
            "SELECT group_concat(id), group_concat(length(CAST(key AS BLOB))), group_concat(key, '')"
            f" FROM (SELECT id, key FROM series WHERE {' AND '.join(conditions)} ORDER BY key)"
        )
        ((ids, sizes, text),) = self._rows(sql, parameters)
        return _integers(ids), _strings(_integers(sizes), text or "")

    def series_rows(self) -> list[tuple]:  # type: ignore[type-arg]
        """(id, key, facts ..., tags as JSON) of every series, by key."""
        facts = ", ".join(SERIES_FACTS)
        return self._rows(
            f"SELECT id, key, {facts}, (SELECT json_group_object(name, value) FROM tag WHERE series_id = id)"
            " FROM series ORDER BY key"
        )


def _columns_of(commit: int, chunk: ChunkRow) -> list[object]:
    return [*(getattr(chunk, name) for name in _CHUNK_COLUMNS[:-2]), int(chunk.is_history), commit]


def _digest(columns: Sequence[object]) -> int:
    """The checksum of a chunk's row."""
    return zlib.crc32(json.dumps(columns, ensure_ascii=False, separators=(",", ":")).encode())


def _integers(text: str | None) -> Int64Array:
    """The integers of a comma-separated list."""
    if not text:
        return np.empty(0, np.int64)
    return np.fromstring(text, np.int64, sep=",")


def _strings(sizes: Int64Array, text: str) -> pa.StringArray:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.StringArray.from_buffers(sizes.size, pa.py_buffer(offsets), pa.py_buffer(text.encode()))


def _translated(path: Path, problem: sqlite3.Error) -> StoreError:
    """SQLite's error as ours, with what to do."""
    if isinstance(problem, sqlite3.ProgrammingError) and "closed" in str(problem):
        return ClosedError(f"{path.parent}: this handle is closed; open the store again")
    code = getattr(problem, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusyError(
            f"{path.parent}: another process has been writing for longer than the timeout; "
            "try again, or open the store with a longer timeout_s"
        )
    if code == sqlite3.SQLITE_NOTADB:
        return StoreFormatError(f"{path}: not the catalog of a smartdata_ts store")
    if code == sqlite3.SQLITE_FULL:
        return DiskFullError(
            f"{path}: cannot be written: {problem}. Nothing of this call is kept; free some space and try "
            "again."
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return CorruptCatalogError(
            f"{path}: the catalog is damaged ({problem}). Restore the store from a backup, or salvage it."
        )
    return StoreError(f"{path}: {problem}")


def _access(path: Path) -> str:
    """How to open the catalog for reading.

    SQLite's readers lock pages in files beside the database, which they cannot make in a directory
    without write permission. There, a store without a log that waits to be read cannot change either.
    """
    log = path.with_name(path.name + "-wal")
    if _disk.is_writable(path.parent) or _disk.size_of_file(log):
        return "mode=ro"
    return "mode=ro&immutable=1"
