"""Locks on files, by the system's own calls, which stay where SQLite's do not.

On POSIX SQLite's locks belong to the process: when it closes any descriptor on a file, as a copying of the
file does, it loses all its locks on that file. The locks of this module belong to a descriptor (flock, and
OFD locks), and stay until it is unlocked or closed. A child closes its copy at once, lest it held a lock
after its parent's death. Where the file system has no such locks, all are free. On Windows SQLite's locks
are a handle's too, so that only the writers' lock is needed.
"""

import contextlib
import os
import struct
import sys
import threading
import time
from pathlib import Path

from smartdata_ts._storage import system
from smartdata_ts._storage.disk import errors_of
from smartdata_ts._storage.fork import leave_to_parent

if sys.platform != "win32":
    import fcntl


class FileLock:
    """A lock on a file of its own, or on a directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = os.fspath(path)  # so that no call need make it again
        self._descriptor = -1
        leave_to_parent(self)

    def take(self) -> bool:
        """Whether the lock is this one's now, and nobody else's; never waits."""
        with errors_of(self._path, "locked"):
            try:
                while True:
                    if self._descriptor < 0:
                        self._descriptor = system.open_itself(self._path, os.O_RDWR | os.O_CREAT)
                    if not system.lock(self._descriptor):
                        return False
                    if self._is_at_its_place():
                        return True
                    self.close()  # somebody has removed the file, and others lock another one
            except BaseException:
                self.close()
                raise

    def share(self, timeout_s: float) -> None:
        """Share the lock, on a directory, if it can be had: who has it alone is about to go."""
        if not system.FORGETS_LOCKS:
            return
        with errors_of(self._path, "locked"), contextlib.suppress(FileNotFoundError, PermissionError):
            self._descriptor = system.open_itself(self._path, os.O_RDONLY)
            deadline = time.monotonic() + timeout_s
            while not system.lock(self._descriptor, is_shared=True) and time.monotonic() < deadline:
                time.sleep(0.001)

    def is_alone(self) -> bool:
        """Whether nobody else shares the lock, nor can before `close`; this one shares it no longer."""
        try:
            return self._descriptor < 0 or system.lock(self._descriptor)
        except OSError:
            return False

    def _is_at_its_place(self) -> bool:
        try:
            there = os.lstat(self._name)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def release(self) -> None:
        """Let others have the lock, which copies of the descriptor do not keep; raises nothing."""
        try:
            if self._descriptor >= 0:
                system.unlock(self._descriptor)
        except OSError:
            self.close()

    def close(self) -> None:
        """Let go of the lock and of the descriptor; twice is no error."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def close_before_removal(self) -> None:
        """Close the file where the system removes none that is open; there another may be quicker."""
        if not system.MAPS_FILES:
            self.close()

    __del__ = close
    let_go = close  # a child's copy of the descriptor, which leaves the lock as it is


class KeptBytes:
    """Bytes of files that SQLite locks to say that somebody is there, locked to share for it once more.

    One byte stands for the users of the log's index. A process that finds it free empties the index, and a
    user that has lost its lock would be killed when it next looks into it (SIGBUS). A descriptor on such a
    file is closed after the last user in the process has gone, since closing it drops SQLite's locks too.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], tuple[int, int]] = {}  # file -> descriptor, count of users
        self._lock = threading.Lock()
        leave_to_parent(self)

    def keep(self, path: Path, place: int) -> tuple[int, int] | None:
        """Keep a byte for one more user; return its file, None where there is none."""
        if not system.FORGETS_LOCKS:
            return None
        with self._lock, errors_of(path, "locked"):
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                return None
            file = (found.st_dev, found.st_ino)
            descriptor, count = self._kept.get(file, (-1, 0))
            if count == 0:
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    descriptor = system.open_itself(path, os.O_RDONLY)
                    _share_byte(descriptor, place)
            self._kept[file] = descriptor, count + 1
            return file

    def give_up(self, file: tuple[int, int] | None) -> None:
        """One user less, after all its connections are closed."""
        with self._lock:
            descriptor, count = self._kept.pop(file, (-1, 0)) if file else (-1, 0)
            if file and count > 1:
                self._kept[file] = descriptor, count - 1
            elif descriptor >= 0:
                os.close(descriptor)

    def let_go(self) -> None:
        """Close a child's copies of the descriptors."""
        self._lock = threading.Lock()
        for descriptor, _ in self._kept.values():
            if descriptor >= 0:
                os.close(descriptor)
        self._kept = {}


def _share_byte(descriptor: int, place: int) -> None:
    """Lock a byte to share, where the system has locks of descriptors; else it is as it was."""
    if sys.platform != "win32" and hasattr(fcntl, "F_OFD_SETLK"):
        wanted = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, place, 1, 0)
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)


KEPT = KeptBytes()
