"""Linux and macOS: POSIX, with what either has besides."""

import errno
import os
import sys
from pathlib import Path

import numpy as np

assert sys.platform != "win32"

import fcntl  # noqa: E402 - type checkers leave out what follows the assertion on Windows

PRIVATE = os.O_CLOEXEC
MAPS_FILES = True
FORGETS_LOCKS = True
# macOS: a drive may keep in its own memory what was only synced (fsync(2) there).
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
HAS_FULL_SYNC = _FULL_SYNC is not None

# The answers of a file system that has no such locks, or whose server has none.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF)


def open_itself(path: Path, flags: int) -> int:
    """Return a descriptor of a file; OSError where the name is a link."""
    return os.open(path, flags | PRIVATE | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)


def sync(descriptor: int) -> None:
    """Return once the disk has what was written."""
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(descriptor, _FULL_SYNC)
        except OSError as problem:
            if problem.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                raise
        else:
            return  # a file system without it, such as a network share, has the plain sync
    os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Return once the disk has the directory's entries."""
    descriptor = os.open(path, os.O_RDONLY | PRIVATE)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Give a file another name, which another file may have had."""
    os.rename(source, target)


def unlink(path: Path) -> None:
    """Remove a name; who has the file open keeps it."""
    os.unlink(path)


def read_at(descriptor: int, size: int, place: int) -> bytes:
    """Return bytes from a place on, at most `size`; safe for threads."""
    return os.pread(descriptor, size, place)


def read_into(descriptor: int, room: np.ndarray) -> int:
    """Read the next bytes into `room`, a part of it perhaps; return their count, 0 at the end."""
    return os.readv(descriptor, [room.data])


def lock(descriptor: int, is_shared: bool = False) -> bool:
    """Whether the lock could be had at once; where the file system has no locks, all are free."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as problem:
        if problem.errno not in _NO_LOCKS:
            raise
    return True


def unlock(descriptor: int) -> None:
    """Let others have the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError as problem:
        if problem.errno not in _NO_LOCKS:
            raise
