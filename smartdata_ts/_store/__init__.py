"""The facade: open a store, write to it, query it, look at it. One file for each of its faces."""

import os
import sys
import threading
from pathlib import Path

from smartdata_ts._arguments import flag, number, path_of, shown, whole_number
from smartdata_ts._storage import disk, system
from smartdata_ts._storage.catalog import CHUNK_DIRECTORY, FILE_NAME, LOCK_NAME
from smartdata_ts.errors import StoreFormatError, StoreNotFoundError, UsageError

from .history import History
from .upkeep import Upkeep
from .writing import Writing
from .zones import Zones

__all__ = ["CHUNK_DIRECTORY", "Store", "open_store"]

_THREADS_MAX = 8  # unless more are asked for: each holds up to a hundred megabytes while it writes


class Store(Writing, Zones, History, Upkeep):
    """A handle on a store; `smartdata_ts.open` makes one. Threads may share it, processes may not."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        """Pickle as a path, read only: what a query needs in another process."""
        return open_store, (str(self._directory), "r")


def open_store(
    path: str | os.PathLike[str],
    mode: str = "a",
    timeout_s: float = 60.0,
    durability: str = "full",
    shared_filesystem: bool | None = None,
    auto_compact: bool = True,
    threads: int | None = None,
) -> "Store":
    """Open the store at `path`, a directory; mode "a" creates it where there is none.

    Modes "r" (reads only) and "r+" (reads and writes) raise StoreNotFoundError there. `timeout_s` is how long
    a write waits for another process's, in seconds. With `auto_compact` a write that made the eighth chunk of
    a year in a row folds the newest ones, which takes it at most about a second. Raises StoreFormatError
    where something else is at `path`.

    With `durability` "full" a write that returned survives the machine's death. With "normal" the last
    ones may be gone then, as if they had never been, and small writes do not wait for the disk; the
    process's death takes nothing.

    `shared_filesystem` is for a store on a network share. It belongs to the store: True or False creates
    it so, or makes it so (with mode "a", while no one else has it open), and None takes it as it is.

    `threads` is how many a question or a write may use at once, by default as many as there are cores for
    this process, at most eight. Small ones use none, and none is left running.

    >>> import smartdata_ts as sd, tempfile
    >>> with sd.open(tempfile.mkdtemp() + "/city.sdts") as store:
    ...     store.info().readings
    0
    """
    system.check_machine()
    if not isinstance(mode, str) or mode not in ("a", "r", "r+"):
        raise UsageError(
            "mode must be 'a' (read and write, and create), 'r+' (read and write what is there) or 'r' (read "
            f"only), not {shown(mode)}"
        )
    if not isinstance(durability, str) or durability not in ("full", "normal"):
        raise UsageError(f"durability must be 'full' or 'normal', not {shown(durability)}")
    timeout_s = number("timeout_s", timeout_s, 0)
    shared_filesystem = None if shared_filesystem is None else flag("shared_filesystem", shared_filesystem)
    auto_compact = flag("auto_compact", auto_compact)
    thread_count = (
        min(_core_count(), _THREADS_MAX) if threads is None else whole_number("threads", threads, 1)
    )
    directory = path_of("path", path)
    if mode != "a" and not disk.is_file(directory / FILE_NAME):
        raise StoreNotFoundError(f"{directory}: {_what_is_missing(directory)}")
    if disk.is_link(directory / CHUNK_DIRECTORY):
        raise StoreFormatError(f"{directory / CHUNK_DIRECTORY}: is a link; put the directory in its place")
    if mode == "a":
        _create_directory(directory)
    timeout_s = min(timeout_s, threading.TIMEOUT_MAX)  # of a lock; where it is infinite too
    return Store(directory, mode, timeout_s, durability, shared_filesystem, auto_compact, thread_count)


def _core_count() -> int:
    """The cores that this process may use, which may be fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:
        return os.cpu_count() or 1


def _what_is_missing(directory: Path) -> str:
    chunks = directory / CHUNK_DIRECTORY
    if not disk.is_directory(chunks):
        return "there is no store; mode 'a' creates one"
    if disk.names_in(chunks):
        return f"{FILE_NAME} is gone, and {CHUNK_DIRECTORY} is not empty; restore it, or salvage the store"
    return "the creation of this store was interrupted, and it holds nothing; mode 'a' finishes it"


def _create_directory(directory: Path) -> None:
    if disk.is_there(directory) and not disk.is_directory(directory):
        raise StoreFormatError(f"{directory}: a file, not the directory of a store")
    if disk.is_directory(directory) and not disk.is_there(directory / FILE_NAME):
        # Another process may be creating the store at this moment.
        logs = [FILE_NAME + suffix for suffix in ("", "-journal", "-wal", "-shm")]
        ours = (CHUNK_DIRECTORY, LOCK_NAME, *logs)
        others = [name for name in disk.names_in(directory) if name not in ours]
        if others:
            raise StoreFormatError(
                f"{directory}: a directory that is no store (it holds {others[0]!r}); name another"
            )
    disk.make_directory(directory / CHUNK_DIRECTORY)
