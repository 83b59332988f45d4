"""One connection to a store's SQLite file: opened, its errors ours, its transactions in turn."""

import contextlib
import ctypes
import sqlite3
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from smartdata_ts._storage import disk, system
from smartdata_ts._storage.fork import check_process, fork_count, leave_to_parent
from smartdata_ts._storage.locks import FileLock
from smartdata_ts.errors import (
    ClosedError,
    CorruptCatalogError,
    DiskFullError,
    StoreBusyError,
    StoreError,
    StoreFormatError,
    UsageError,
)

from .kinds import Kind, all_fit
from .schema import FILE_NAME, LOCK_NAME

_Result = TypeVar("_Result")
Parameters = Sequence[object] | Mapping[str, object]

_REMEMBERED_MAX = 32

# https://www.sqlite.org/fileformat2.html#the_rollback_journal
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")


class _Held(sqlite3.OperationalError):
    """Another writer holds the lock file, which counts as SQLite's own lock."""

    sqlite_errorcode = sqlite3.SQLITE_BUSY


class _Closing(sqlite3.Connection):
    """SQLite's connection, closed when its handle is dropped: since Python 3.13 one left open warns."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # it was never opened
            self.close()


class Connection:
    """One connection to a store's catalog; threads take turns.

    Writers of all processes take turns by two locks: SQLite's, and one of the store's own, which holds
    where this process has lost SQLite's (see `_storage/locks.py`).
    """

    def __init__(
        self,
        directory: Path,
        read_only: bool,
        timeout_s: float,
        durability: str = "full",
        is_still: bool = False,
    ) -> None:
        path = directory / FILE_NAME
        self._made = fork_count()
        self._lock = threading.RLock()
        self._path = path
        self._timeout_s = timeout_s
        self._durability = durability
        self._is_durable: bool | None = None  # the connection's setting; None: not yet made
        self._is_reader = read_only
        self._remembered_version = -1
        self._remembered: dict[Hashable, Any] = {}
        self._writers = FileLock(directory / LOCK_NAME)
        self.is_shared = False  # whether the store is for a file system that several machines share
        _refuse_links(path)
        if not read_only:
            disk.create(path)  # SQLite would give its group fewer rights than the umask does
        self._connect(_access(path, is_still) if read_only else "mode=rwc")
        leave_to_parent(self)

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
        # The store's writer is not trusted: https://www.sqlite.org/security.html.
        self._execute("PRAGMA trusted_schema = OFF")
        self._execute("PRAGMA cell_size_check = ON")
        self._execute("PRAGMA mmap_size = 0")

    def close(self) -> None:
        """Close the connection; further calls raise ClosedError. In a child it is the parent's, and stays."""
        if self._made == fork_count():
            with self._lock:
                self._connection.close()
                self._writers.close()

    def let_go(self) -> None:
        """Never free SQLite's connection in a child, where that would roll back the parent's transaction."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))

    def _check_process(self) -> None:
        if self._made != fork_count():  # asked for with every statement, so that no text is made for nothing
            check_process(self._made, f"{self._path.parent}: this handle was opened")

    def begin(self, must_be_durable: bool = False, waits: bool = True) -> None:
        """Take the store's one write lock, which `commit` or `roll_back` releases.

        With durability "normal" the machine's death may undo commits, the newest first. A commit before
        a removal of files `must_be_durable`: the commit before it names them. Raises StoreBusyError where
        others hold the lock for longer than the timeout, or at all unless it `waits`.
        """
        self._check_process()
        if not self._lock.acquire(timeout=self._timeout_s if waits else 0):
            raise StoreBusyError(
                f"{self._path.parent}: another thread has been writing for longer than the timeout; "
                "try again, or open the store with a longer timeout_s"
            )
        try:
            with self._errors():
                if self._connection.in_transaction:
                    raise UsageError(
                        "this thread is within a write already; write with that writer, or after it"
                    )
                self._set_durable(must_be_durable or self._durability == "full")
                self._patiently(self._begin, None if waits else 0.0)
        except BaseException:
            self._lock.release()
            raise

    def _begin(self) -> None:
        """Take both locks, or none; no one waits for one of them with the other in hand."""
        self._keep_writers_out()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._writers.release()
            raise

    def _keep_writers_out(self) -> None:
        if not self._writers.take():
            raise _Held("another writer holds the lock file")

    @contextlib.contextmanager
    def without_writers(self) -> Iterator[None]:
        """Keep other writers out of what SQLite does within no transaction of ours."""
        self._check_process()
        with self._lock:
            with self._errors():
                self._patiently(self._keep_writers_out)
            try:
                yield
            finally:
                self._writers.release()

    @property
    def in_transaction(self) -> bool:
        """Whether this connection is within one."""
        with self._errors():
            return self._connection.in_transaction

    def _set_durable(self, is_durable: bool) -> None:
        """Let commits wait for the disk, or not.

        EXTRA is FULL where there is a log; a rollback journal's removal, which is the commit, needs it.
        Without the log, NORMAL could spoil the file on some file systems.
        """
        if is_durable != self._is_durable:
            level = "EXTRA" if is_durable else "FULL" if self.is_shared else "NORMAL"
            self._execute(f"PRAGMA synchronous = {level}")
            if system.HAS_FULL_SYNC:  # macOS: a commit waits for the drive's own memory too
                self._execute(f"PRAGMA fullfsync = {int(is_durable)}")
                self._execute("PRAGMA checkpoint_fullfsync = 1")
            self._is_durable = is_durable

    def commit(self) -> None:
        """Make the transaction durable; where this raises, it is still to be rolled back."""
        self._execute("COMMIT")
        self._writers.release()
        self._lock.release()

    def roll_back(self) -> None:
        """Undo the transaction; in a child it is the parent's, and goes on."""
        if self._made != fork_count():
            return
        try:
            with contextlib.suppress(sqlite3.Error):  # closed, or undone by SQLite itself
                self._connection.execute("ROLLBACK")
        finally:
            self._writers.release()
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

    def copy_to(self, target: Path, setting: str) -> None:
        """Write the catalog as of its newest commit into a new SQLite file, also while others write.

        The copy has a setting more, which is "1".
        """
        self._check_process()
        disk.create(target)
        with self._lock:
            try:
                with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
                    self._connection.backup(copy)
                    copy.execute("INSERT OR REPLACE INTO store VALUES (?, '1')", (setting,))
                    # It is the file alone that takes its place, without a log.
                    ((is_busy, _, _),) = copy.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.ProgrammingError as problem:
                raise _translated(self._path, problem) from problem
            except sqlite3.Error as problem:
                raise _translated(target, problem) from problem
        if is_busy:
            raise StoreBusyError(f"{target}: is open elsewhere; close it there, and try again")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise SQLite's errors as ours."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as problem:
            raise _translated(self._path, problem) from problem

    def _execute(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        self._check_process()
        try:
            return self._patiently(lambda: self._connection.execute(sql, parameters))
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
        self._check_process()
        with self._errors():
            self._connection.executemany(sql, rows)

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
        self._check_process()
        with self._lock:
            try:
                return self._patiently(lambda: self._connection.execute(sql, parameters).fetchall())
            except (sqlite3.Error, UnicodeDecodeError) as problem:
                raise _translated(self._path, problem) from problem

    def remembered(self, name: Hashable, make: Callable[[], _Result]) -> _Result:
        """Return what `make` finds in the catalog; it looks again only where the catalog has changed.

        SQLite shows a connection the changes of others, and one for reading makes none.
        """
        self._check_process()
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

    def _damaged(self, what: str) -> str:
        return (
            f"{self._path}: {what} are not what was written. Restore the store from a backup, or salvage it."
        )

    def _typed(self, sql: str, kinds: Iterable[Kind], parameters: Sequence[object] = ()) -> list[tuple]:  # type: ignore[type-arg]
        """Rows whose columns are of these kinds; CorruptCatalogError where one is not."""
        rows = self._rows(sql, parameters)
        if rows and not all_fit(rows, kinds):
            raise CorruptCatalogError(
                f"{self._path}: a table holds what is not of its column's kind. Restore the store from a "
                "backup, or salvage it."
            )
        return rows


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
        if not disk.is_regular(path):
            raise StoreFormatError(f"{path}: is a link, or no file; put the file itself in its place")
    journal = path.with_name(path.name + "-journal")
    if disk.end_of(journal, len(_JOURNAL_MAGIC)) == _JOURNAL_MAGIC:
        raise StoreFormatError(f"{journal}: names files outside of the store; salvage what is sound of it")


def _access(path: Path, is_still: bool) -> str:
    """How to open the catalog for reading; one that `is_still` is changed by nobody meanwhile.

    SQLite's readers lock pages in files beside the database, which they cannot make in a directory
    without write permission. There, a store without a log that waits to be read cannot change either.
    """
    log = path.with_name(path.name + "-wal")
    if disk.size_of_file(log) or (disk.is_writable(path.parent) and not is_still):
        return "mode=ro"
    return "mode=ro&immutable=1"
