"""One connection to a store's SQLite file: opened, its errors ours, its transactions in turn."""

import contextlib
import functools
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from smartdata_ts import _disk
from smartdata_ts.errors import (
    ClosedError,
    CorruptCatalogError,
    DiskFullError,
    StoreBusyError,
    StoreError,
    StoreFormatError,
    StoreNotFoundError,
    UsageError,
)

from ._kinds import Kind, all_fit
from ._schema import APPLICATION_ID, FILE_NAME, FORMAT_VERSION, HISTORY_US, SCHEMA, SEALS

_Result = TypeVar("_Result")

_REMEMBERED_MAX = 32

# https://www.sqlite.org/fileformat2.html#the_rollback_journal
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_NOT_OURS = (
    "its tables, views or triggers are not those of a store. Restore the store from a backup, or salvage it."
)
_TABLES = "SELECT type, name, sql FROM sqlite_master"
_SHARED = "SELECT value FROM store WHERE name = 'shared_filesystem'"


class _Closing(sqlite3.Connection):
    """SQLite's connection, closed when its handle is dropped: since Python 3.13 one left open warns."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # it was never opened
            self.close()


class Connection:
    """One connection to a store's catalog; threads take turns."""

    def __init__(
        self,
        directory: Path,
        read_only: bool,
        timeout_s: float,
        durability: str = "full",
        is_shared: bool | None = None,
    ) -> None:
        path = directory / FILE_NAME
        self._lock = threading.RLock()
        self._path = path
        self._timeout_s = timeout_s
        self._durability = durability
        self._is_durable: bool | None = None  # the connection's setting; None: not yet made
        self._is_reader = read_only
        self._remembered_version = -1
        self._remembered: dict[Hashable, Any] = {}
        self.is_shared = False  # whether the store is for a file system that several machines share
        _refuse_links(path)
        self._connect(_access(path) if read_only else "mode=rwc")
        try:
            if read_only:
                self._prepare_reader(is_shared)
            else:
                self._prepare_writer(is_shared)
        except BaseException:
            self._connection.close()
            raise

    def _connect(self, access: str) -> None:
        try:
            self._connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?{access}",
                uri=True,
                timeout=0,  # see _patiently
                isolation_level=None,
                check_same_thread=False,
                cached_statements=64,
                factory=_Closing,
            )
        except sqlite3.Error as problem:
            raise StoreError(f"{self._path}: cannot be opened: {problem}") from problem
        # Whoever wrote the store is not trusted: https://www.sqlite.org/security.html.
        self._execute("PRAGMA trusted_schema = OFF")
        self._execute("PRAGMA cell_size_check = ON")
        self._execute("PRAGMA mmap_size = 0")

    def _prepare_reader(self, is_shared: bool | None) -> None:
        if self._is_to_be_shared():
            # Whoever reads finishes what a writer that was killed has left, which takes more than reading.
            self._connection.close()
            self._connect("mode=rw" if _disk.is_writable(self._path.parent) else "mode=ro")
            self._execute("PRAGMA query_only = ON")
        self._check_format()
        self.is_shared = self._says_shared()
        if is_shared is not None and is_shared != self.is_shared:
            raise StoreFormatError(
                f"{self._path.parent}: is a store with shared_filesystem={self.is_shared}; open it with mode "
                "'a' once to change that"
            )

    def _is_to_be_shared(self) -> bool:
        def ask() -> bool:
            tables = self._connection.execute(_TABLES).fetchall()
            return _settings_in(tables) and self._connection.execute(_SHARED).fetchall() == [("1",)]

        try:
            return self._patiently(ask)
        except (sqlite3.Error, UnicodeDecodeError) as problem:
            # The journal of a writer that was killed, which only shared stores have.
            return getattr(problem, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_ROLLBACK

    def _prepare_writer(self, is_shared: bool | None) -> None:
        if not self._is_created():
            self._create(bool(is_shared))
        self._execute("PRAGMA secure_delete = ON")
        self._check_format()
        self.is_shared = self._says_shared() if is_shared is None else is_shared
        self._set_journal(self.is_shared)
        if self._says_shared() != self.is_shared:
            with self.transaction(must_be_durable=True):
                self._say_shared(self.is_shared)

    def _says_shared(self) -> bool:
        return self._rows(_SHARED) == [("1",)]

    def _say_shared(self, is_shared: bool) -> None:
        self._execute("INSERT OR REPLACE INTO store VALUES ('shared_filesystem', ?)", (str(int(is_shared)),))

    def _set_journal(self, is_shared: bool) -> None:
        """SQLite's log needs memory that all its users share, which those on several machines have not."""
        wanted = "delete" if is_shared else "wal"
        if self._rows("PRAGMA journal_mode") == [(wanted,)]:
            return
        with contextlib.suppress(StoreBusyError):
            if self._rows(f"PRAGMA journal_mode = {wanted}") == [(wanted,)]:
                return
        raise StoreBusyError(
            f"{self._path.parent}: is open elsewhere, so that shared_filesystem cannot be changed; close it "
            "there"
        )

    def _check_format(self) -> None:
        if not self._is_created():
            if not self._rows("SELECT 1 FROM sqlite_master LIMIT 1"):
                raise StoreNotFoundError(
                    f"{self._path.parent}: the creation of this store was interrupted, and it holds nothing; "
                    "mode 'a' finishes it"
                )
            raise StoreFormatError(f"{self._path}: a database, but not of a smartdata_ts store")
        tables = self._rows(_TABLES)
        if not _settings_in(tables):
            raise StoreFormatError(f"{self._path}: {_NOT_OURS}")
        versions = self._rows("SELECT value FROM store WHERE name = 'format_version'")
        if not versions:
            raise CorruptCatalogError(
                f"{self._path}: the store's format version is gone. Restore the store from a backup, or "
                "salvage it."
            )
        ((version,),) = versions
        if version != str(FORMAT_VERSION):
            raise StoreFormatError(
                f"{self._path}: store format version {version}; this release reads version {FORMAT_VERSION}. "
                "Upgrade smartdata_ts."
            )
        # A view or a trigger can do anything, for ever.
        if {row for row in tables if not _is_internal(row)} != _our_tables():
            raise StoreFormatError(f"{self._path}: {_NOT_OURS}")

    def _is_created(self) -> bool:
        return self._rows("PRAGMA application_id") == [(APPLICATION_ID,)]

    def _create(self, is_shared: bool) -> None:
        if self._rows("SELECT 1 FROM sqlite_master LIMIT 1"):
            return
        self._set_journal(is_shared)
        with self.transaction(must_be_durable=True):
            if self._rows("SELECT 1 FROM sqlite_master LIMIT 1"):
                return  # someone else's database, or another process created the store before our lock
            for statement in (*SCHEMA.split(";"), *SEALS):
                self._execute(statement)
            settings = {"format_version": FORMAT_VERSION, "history_us": HISTORY_US, "history_floor": 0}
            self._execute_many("INSERT INTO store VALUES (?, ?)", settings.items())
            if is_shared:
                self._say_shared(is_shared)
            self._execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def close(self) -> None:
        """Close the connection; further calls raise ClosedError."""
        with self._lock:
            self._connection.close()

    def begin(self, must_be_durable: bool = False, waits: bool = True) -> None:
        """Take the store's one write lock, of which `commit` or `roll_back` lets go again.

        With durability "normal" the machine's death may undo commits, the newest first. One after which
        files are removed `must_be_durable`: the commit before it names them. Raises StoreBusyError where
        others hold the lock for longer than the timeout, or at all unless it `waits`.
        """
        if not self._lock.acquire(timeout=self._timeout_s if waits else 0):
            raise StoreBusyError(
                f"{self._path.parent}: another thread has been writing for longer than the timeout; "
                "try again, or open the store with a longer timeout_s"
            )
        try:
            if self._connection.in_transaction:
                raise UsageError("this thread is within a write already; write with that writer, or after it")
            self._set_durable(must_be_durable or self._durability == "full")
            self._execute("BEGIN IMMEDIATE", waits=waits)
        except BaseException:
            self._lock.release()
            raise

    def _set_durable(self, is_durable: bool) -> None:
        """Let commits wait for the disk, or not.

        EXTRA is FULL where there is a log; a rollback journal's removal, which is the commit, needs it.
        Without the log, NORMAL could spoil the file on some file systems.
        """
        if is_durable != self._is_durable:
            level = "EXTRA" if is_durable else "FULL" if self.is_shared else "NORMAL"
            self._execute(f"PRAGMA synchronous = {level}")
            self._is_durable = is_durable

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
    def transaction(self, must_be_durable: bool = False) -> Iterator[None]:
        """Commit on exit, roll back on an exception."""
        self.begin(must_be_durable)
        try:
            yield
            self.commit()
        except BaseException:
            self.roll_back()
            raise

    def copy_to(self, target: Path) -> None:
        """Write the catalog as of its newest commit into a new SQLite file, whoever writes meanwhile."""
        with self._lock:
            try:
                with contextlib.closing(sqlite3.connect(target)) as copy:
                    self._connection.backup(copy)
            except sqlite3.Error as problem:
                raise _translated(target, problem) from problem

    def _execute(self, sql: str, parameters: Sequence[object] = (), waits: bool = True) -> sqlite3.Cursor:
        try:
            return self._patiently(lambda: self._connection.execute(sql, parameters), None if waits else 0.0)
        except (sqlite3.Error, UnicodeDecodeError) as problem:
            raise _translated(self._path, problem) from problem

    def _patiently(self, run: Callable[[], _Result], timeout_s: float | None = None) -> _Result:
        """Wait for a lock as long as the timeout, and ask for it every millisecond.

        SQLite's own pauses grow to 100 ms; beside a process that wrote all the time, a compaction got the
        lock once in 20 s with them.
        """
        deadline: float | None = None
        while True:
            try:
                return run()
            except sqlite3.OperationalError as problem:
                if getattr(problem, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                now = time.monotonic()
                deadline = deadline or now + (self._timeout_s if timeout_s is None else timeout_s)
                if now > deadline:
                    raise
            time.sleep(0.001)

    def _execute_many(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as problem:
            raise _translated(self._path, problem) from problem

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            try:
                return self._patiently(lambda: self._connection.execute(sql, parameters).fetchall())
            except (sqlite3.Error, UnicodeDecodeError) as problem:
                raise _translated(self._path, problem) from problem

    def remembered(self, name: Hashable, make: Callable[[], _Result]) -> _Result:
        """What `make` finds in the catalog; found again only where it has changed, or is forgotten.

        SQLite tells a connection of whatever others have changed, and one for reading changes nothing.
        """
        if not self._is_reader:
            return make()
        with self._lock:
            ((version,),) = self._rows("PRAGMA data_version")
            if version != self._remembered_version or len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered, self._remembered_version = {}, version
            if name in self._remembered:
                found: _Result = self._remembered[name]
                return found
        # Asked after the version, so that it is never older than that.
        made = make()
        with self._lock:
            if version == self._remembered_version:
                self._remembered[name] = made
        return made

    def _typed(self, sql: str, kinds: Iterable[Kind], parameters: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
        """Rows whose columns are of these kinds; CorruptCatalogError where one is not."""
        rows = self._rows(sql, parameters)
        if rows and not all_fit(rows, kinds):
            raise CorruptCatalogError(
                f"{self._path}: a table holds what is not of its column's kind. Restore the store from a "
                "backup, or salvage it."
            )
        return rows


@functools.cache
def _our_tables() -> set[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for statement in (*SCHEMA.split(";"), *SEALS):
            connection.execute(statement)
        return {row for row in connection.execute(_TABLES) if not _is_internal(row)}


def _settings_in(tables: list[tuple[str, str, str]]) -> bool:
    """Whether the table of settings is the one of every version, and nothing else of this name."""
    found = [row for row in tables if row[1] == "store"]
    return len(found) == 1 and found[0] in _our_tables()


def _is_internal(row: tuple[str, str, str]) -> bool:
    """What SQLite makes by itself: counters, statistics, indexes of unique columns."""
    kind, name, _ = row
    return kind in ("table", "index") and name.startswith("sqlite_")


def _translated(path: Path, problem: Exception) -> StoreError:
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
    # A message about what is damaged may quote it, whatever its bytes are.
    if code == sqlite3.SQLITE_CORRUPT or isinstance(problem, UnicodeDecodeError):
        return CorruptCatalogError(
            f"{path}: the catalog is damaged ({problem}). Restore the store from a backup, or salvage it."
        )
    return StoreError(f"{path}: {problem}")


def _refuse_links(path: Path) -> None:
    """The catalog is a file of the store's own, and leads to no other, wherever the store came from.

    SQLite removes the file that the end of a journal names, as the journal of several databases, wherever
    that is. The store's transactions are of one database.
    """
    with contextlib.suppress(FileNotFoundError):
        if not _disk.is_regular(path):
            raise StoreFormatError(f"{path}: is a link, or no file; put the file itself in its place")
    journal = path.with_name(path.name + "-journal")
    if _disk.end_of(journal, len(_JOURNAL_MAGIC)) == _JOURNAL_MAGIC:
        raise StoreFormatError(f"{journal}: names files outside of the store; salvage what is sound of it")


def _access(path: Path) -> str:
    """How to open the catalog for reading.

    SQLite's readers lock pages in files beside the database, which they cannot make in a directory
    without write permission. There, a store without a log that waits to be read cannot change either.
    """
    log = path.with_name(path.name + "-wal")
    if _disk.is_writable(path.parent) or _disk.size_of_file(log):
        return "mode=ro"
    return "mode=ro&immutable=1"
