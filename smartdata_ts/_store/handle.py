"""The handle on an open store: its connections and files, and who may use it."""

import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from smartdata_ts._read.history import check_commit
from smartdata_ts._storage.catalog import CHUNK_DIRECTORY, INDEX_NAME, INDEX_USERS_PLACE, Catalog
from smartdata_ts._storage.fork import check_process, fork_count
from smartdata_ts._storage.locks import KEPT, FileLock
from smartdata_ts._storage.snapshot import ChunkFiles, Snapshot
from smartdata_ts.errors import ClosedError, ReadOnlyError

if TYPE_CHECKING:
    from smartdata_ts._write.writer import WriteAccess


class Handle:
    """The base of every face of a store."""

    def __init__(
        self,
        directory: Path,
        mode: str,
        timeout_s: float,
        durability: str = "full",
        is_shared: bool | None = None,
        auto_compact: bool = True,
        thread_count: int = 1,
    ) -> None:
        self._directory = directory
        self._mode = mode
        self._timeout_s = timeout_s
        self._auto_compact = auto_compact
        self._made = fork_count()
        self._access: WriteAccess | None = None
        self._access_lock = threading.Lock()
        # Readers have a connection of their own, so that none waits for this handle's writer.
        self._write_catalog = (
            Catalog(directory, False, timeout_s, durability, is_shared) if mode != "r" else None
        )
        self._users = FileLock(directory / CHUNK_DIRECTORY)
        self._kept_index: tuple[int, int] | None = None
        self._open_catalogs = [] if self._write_catalog is None else [self._write_catalog]
        try:
            self._catalog = Catalog(directory, True, timeout_s, is_shared=is_shared)
            self._open_catalogs.append(self._catalog)
            self._users.share(timeout_s)
            self._kept_index = KEPT.keep(directory / INDEX_NAME, INDEX_USERS_PLACE)
            self._files = ChunkFiles(directory / CHUNK_DIRECTORY, self._catalog.is_shared, thread_count)
            if self._write_catalog is not None and self._write_catalog.erasures() is not None:
                from smartdata_ts._upkeep.erase import finish_erasures

                finish_erasures(self._write_catalog, self._files)
        except BaseException:
            self._close_catalogs()
            raise
        self._snapshot: Snapshot | None = None
        self._closed = False

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

    def writing_catalog(self) -> Catalog:
        """The catalog, for changes of what is said of series; ReadOnlyError in mode "r"."""
        return self._for_writing().catalog

    def _for_writing(self) -> "WriteAccess":
        self._check()
        if self._write_catalog is None:
            raise ReadOnlyError(f"{self._directory}: opened for reading; open it with mode 'a' to write")
        with self._access_lock:
            if self._access is None:
                # A process that only reads does not load what writes.
                from smartdata_ts._query import Query
                from smartdata_ts._upkeep.compact import compact_newest
                from smartdata_ts._write.writer import WriteAccess

                tidy = compact_newest if self._auto_compact else None
                self._access = WriteAccess(self._write_catalog, self._files, tidy, results=(Query,))
        return self._access

    def close(self) -> None:
        """Let go of the store's files; the handle cannot be used any more. Closing twice is no error.

        `with sd.open(...) as store:` does it by itself.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.close()
        """
        if not self._closed and self._made == fork_count():
            self._closed = True
            self._close_catalogs()
            self._snapshot = None
            self._files.keep_only(set())

    def _close_catalogs(self) -> None:
        """Close the connections; the store's last user takes its log away.

        SQLite finds out who is the last by locks that a process may have lost (see `_storage/locks.py`), and
        what others write into a log that is gone is lost. While the process has another connection, no
        log goes; and none goes with one for reading.
        """
        for catalog in reversed(self._open_catalogs) if self._users.is_alone() else self._open_catalogs:
            catalog.close()
        KEPT.give_up(self._kept_index)
        self._kept_index = None
        self._users.close()

    def _check(self) -> None:
        if self._made != fork_count():
            check_process(self._made, f"{self._directory}: this handle was opened")
        if self._closed:
            raise ClosedError(f"{self._directory}: this handle is closed; open the store again")

    def __enter__(self) -> Self:
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
