"""Windows; and the same on other systems, for tests (SMARTDATA_TS_PORTABLE=1).

- A file that is open is neither removed nor replaced, nor is one that is mapped. So no file of the store is
  mapped, and a file that cannot be removed waits for the next compaction.
- A scanner for viruses may hold a file for a moment: renaming tries again for half a second.
- A directory cannot be synced; its file system's own journal keeps names in order.
- Locks are a handle's. SQLite's are too, so that nobody loses them as on POSIX.
"""

import errno
import os
import stat
import sys
import threading
import time
from pathlib import Path

import numpy as np

if sys.platform == "win32":
    import msvcrt

    PRIVATE = os.O_NOINHERIT | os.O_BINARY
else:
    import fcntl
    import struct

    PRIVATE = os.O_CLOEXEC

MAPS_FILES = False
HAS_FULL_SYNC = False
FORGETS_LOCKS = False
_PATIENCE_S = 0.5
_PAUSE_S = 0.01
_reading = threading.Lock()


def open_itself(path: Path, flags: int) -> int:
    """Return a descriptor of a file; OSError where the name is a link, or no file."""
    try:
        is_file = stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        is_file = True
    if not is_file:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return os.open(path, flags | PRIVATE, 0o666)


def sync(descriptor: int) -> None:
    """Return once the disk has what was written (FlushFileBuffers)."""
    os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Do nothing."""


def rename(source: Path, target: Path) -> None:
    """Give a file another name, which another file may have had; PermissionError where either is open."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_S)


def unlink(path: Path) -> None:
    """Remove a file; PermissionError where it is open."""
    os.unlink(path)


def read_at(descriptor: int, size: int, place: int) -> bytes:
    """Return bytes from a place on, at most `size`; safe for threads, which take turns."""
    with _reading:
        os.lseek(descriptor, place, os.SEEK_SET)
        return os.read(descriptor, size)


def read_into(descriptor: int, room: np.ndarray) -> int:
    """Read the next bytes into `room`, a part of it perhaps; return their count, 0 at the end."""
    piece = os.read(descriptor, room.size)
    room[: len(piece)] = np.frombuffer(piece, np.uint8)
    return len(piece)


def lock(descriptor: int, is_shared: bool = False) -> bool:
    """Whether the lock could be had at once; one to share is not needed here, and always free."""
    return is_shared or _lock_byte(descriptor)


if sys.platform == "win32":

    def _lock_byte(descriptor: int) -> bool:
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as problem:
            if problem.errno not in (errno.EACCES, errno.EDEADLK):
                raise
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Let others have the lock."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _lock_byte(descriptor: int) -> bool:
        try:
            _set_lock(descriptor, fcntl.F_WRLCK)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Let others have the lock."""
        _set_lock(descriptor, fcntl.F_UNLCK)

    def _set_lock(descriptor: int, kind: int) -> None:
        """Lock the first byte for a descriptor, as msvcrt does for a handle."""
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi", kind, os.SEEK_SET, 0, 1, 0))
