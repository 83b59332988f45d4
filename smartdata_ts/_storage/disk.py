"""Every file operation of the store's own code: calls of `os`, and of `system` where systems differ.

A file appears under its name whole or not at all: it is written under a partial name, synced, renamed,
and its directory is synced before anything refers to it. A refusal of the system's is raised as a
StoreError that names the file and what to do. Tests put another `os` into these modules, which fails,
or forgets what was not synced.
"""

import contextlib
import errno
import io
import os
import stat
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from smartdata_ts._storage import system
from smartdata_ts.errors import DiskFullError, StoreError

PARTIAL_SUFFIX = ".partial"
_READ_SIZE = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def errors_of(path: Path, doing: str) -> Iterator[None]:
    """Raise what the system refuses as a StoreError: `doing` is the past participle of what was tried."""
    try:
        yield
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else str(problem)
        if problem.errno in _FULL:
            raise DiskFullError(
                f"{path}: cannot be {doing}: {reason}. Nothing of this call is kept; free some space "
                "and try again."
            ) from problem
        advice = "Look at the disk, and the rights to the file."
        if isinstance(problem, PermissionError) and not system.MAPS_FILES:
            advice = "Close it where it is open, or look at the rights to the file."
        raise StoreError(f"{path}: cannot be {doing}: {reason}. {advice}") from problem


class _Sink(io.RawIOBase):
    """A file being written, by the system's own calls; each may take a part only."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """How many bytes have been written."""
        return self.size

    def write(self, data: Any) -> int:
        """Write all of it."""
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        while rest.nbytes:
            count = os.write(self._descriptor, rest)
            if count == 0:
                raise OSError(errno.EIO, "nothing was written")
            rest = rest[count:]
        self.size += size
        return size


def write_durably(path: Path, write: Callable[[BinaryIO], None], sync: bool = True) -> int:
    """Create `path` with what `write` puts into the file it is given; return the size in bytes.

    Raises StoreError (DiskFullError); then neither the file nor its partial form is left, unless the
    system refuses to remove them too.
    """
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    with errors_of(path, "written"):
        try:
            size = _write(partial, write, sync)
            system.rename(partial, path)
            if sync:
                system.sync_directory(path.parent)
        except BaseException:
            for name in (partial, path):
                with contextlib.suppress(OSError):
                    system.unlink(name)
            raise
    return size


def _write(path: Path, write: Callable[[BinaryIO], None], sync: bool) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | system.PRIVATE, 0o666)
    try:
        sink = _Sink(descriptor)
        write(cast(BinaryIO, sink))
        if sync:
            system.sync(descriptor)
    finally:
        os.close(descriptor)
    return sink.size


def sync_directory(path: Path) -> None:
    """Make renames and removals within the directory durable."""
    with errors_of(path, "synced"):
        system.sync_directory(path)


def make_directory(path: Path) -> None:
    """Create a directory and those above it, durably; that it is there already is no error."""
    with errors_of(path, "created"):
        missing = [folder for folder in (path, *path.parents) if not _is_there(folder)]
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):  # another process was quicker
                os.mkdir(folder)
            system.sync_directory(folder.parent)


def create(path: Path) -> None:
    """Create an empty file with the rights that the umask leaves; that it is there already is no error.

    A file that is there is not opened: to close it again would drop the locks that this process has on it.
    """
    with errors_of(path, "created"), contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | system.PRIVATE, 0o666))


def remove(path: Path) -> None:
    """Remove a file; that it is gone already is no error."""
    with errors_of(path, "removed"), contextlib.suppress(FileNotFoundError):
        system.unlink(path)


def copy_durably(source: Path, target: Path) -> int:
    """Copy a file under another name, whole or not at all; returns its size in bytes.

    A link is not followed: StoreError.
    """
    with errors_of(source, "read"):
        descriptor = system.open_itself(source, os.O_RDONLY)
        try:

            def write(file: BinaryIO) -> None:
                while piece := os.read(descriptor, 1 << 20):
                    file.write(piece)

            return write_durably(target, write)
        finally:
            os.close(descriptor)


def sync_and_rename(source: Path, target: Path) -> None:
    """Make a file durable, then give it a name, which another file may have had."""
    with errors_of(source, "renamed"):
        descriptor = os.open(source, os.O_RDONLY | system.PRIVATE)
        try:
            system.sync(descriptor)
        finally:
            os.close(descriptor)
        system.rename(source, target)
        system.sync_directory(target.parent)


def remove_directory(path: Path) -> None:
    """Remove a directory of ours and the files in it."""
    for name in names_in(path):
        remove(path / name)
    with errors_of(path, "removed"):
        os.rmdir(path)


def overwrite(path: Path) -> None:
    """Write zeros over all of a file, and sync it; that it is gone already is no error."""
    with errors_of(path, "overwritten"), contextlib.suppress(FileNotFoundError):
        descriptor = system.open_itself(path, os.O_WRONLY)
        try:
            sink = _Sink(descriptor)
            size = os.fstat(descriptor).st_size
            while sink.size < size:
                sink.write(bytes(min(size - sink.size, 1 << 20)))
            system.sync(descriptor)
        finally:
            os.close(descriptor)


def remove_if_possible(path: Path) -> bool:
    """Remove a file that nothing refers to any more; where the system refuses, a compaction sweeps it."""
    try:
        system.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def remove_unless_open(path: Path) -> bool:
    """Remove a file, and tell whether it is gone: on Windows one that is open stays for a compaction."""
    if system.MAPS_FILES:
        remove(path)
        return True
    return remove_if_possible(path)


def end_of(path: Path, size: int) -> bytes:
    """A file's last bytes; fewer where it has no more, none where it is missing."""
    with errors_of(path, "read"):
        try:
            descriptor = system.open_itself(path, os.O_RDONLY)
        except FileNotFoundError:
            return b""
        try:
            return system.read_at(descriptor, size, max(0, os.fstat(descriptor).st_size - size))
        finally:
            os.close(descriptor)


def pieces_of(path: Path, room: np.ndarray) -> Iterator[np.ndarray]:
    """All of a file in pieces of the size of `room`, which each of them takes, the last being smaller."""
    with errors_of(path, "read"):
        descriptor = system.open_itself(path, os.O_RDONLY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "no file")
            while size := _fill(descriptor, room):
                yield room[:size]
        finally:
            os.close(descriptor)


def _fill(descriptor: int, room: np.ndarray) -> int:
    """Read until there is no more room, or no more to read."""
    size = 0
    while size < room.size and (count := system.read_into(descriptor, room[size:])):
        size += count
    return size


def names_in(directory: Path) -> list[str]:
    """The names of all that is in a directory, sorted."""
    with errors_of(directory, "listed"):
        return sorted(os.listdir(directory))


def is_file(path: Path) -> bool:
    """Whether a regular file, or a link to one, is there."""
    with errors_of(path, "looked at"):
        try:
            return stat.S_ISREG(os.stat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False


def is_directory(path: Path) -> bool:
    """Whether a directory, or a link to one, is there."""
    with errors_of(path, "looked at"):
        try:
            return stat.S_ISDIR(os.stat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False


def is_link(path: Path) -> bool:
    """Whether the name stands for a symbolic link."""
    with errors_of(path, "looked at"):
        try:
            return stat.S_ISLNK(os.lstat(path).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False


def is_there(path: Path) -> bool:
    """Whether anything is there under this name."""
    with errors_of(path, "looked at"):
        return _is_there(path)


def _is_there(path: Path) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def real_path(path: Path) -> Path:
    """Where a path leads through all links, as far as it is there."""
    return Path(os.path.realpath(path))


def is_writable(directory: Path) -> bool:
    """Whether files can be made in a directory, as far as its rights tell."""
    return os.access(directory, os.W_OK)


def size_of_file(path: Path) -> int:
    """A file's size in bytes; 0 where there is none."""
    with errors_of(path, "looked at"):
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return 0


def size_of(directory: Path) -> int:
    """The bytes of all files below `directory`; one that vanishes meanwhile counts nothing."""
    size = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder) / name
            with errors_of(path, "looked at"), contextlib.suppress(FileNotFoundError):
                size += os.lstat(path).st_size
    return size


class ReadFile(ABC):
    """A file that is read in parts, which stays as it is when its name is gone."""

    path: Path
    size: int

    @abstractmethod
    def copy(self, firsts: np.ndarray, ends: np.ndarray, target: np.ndarray) -> None:
        """Copy the bytes firsts[k]:ends[k] into `target`, one after the other.

        Raises StoreError where the file has become shorter, or the disk cannot read it.
        """

    @abstractmethod
    def release(self) -> None:
        """Let go of the memory that holds what was read: many files may be open."""

    def read(self, place: int, size: int) -> bytes:
        """The bytes from a place on."""
        (part,) = self.read_all([(place, size)])
        return part

    def read_all(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of ranges (place, size)."""
        places, sizes = np.array(ranges, np.int64).reshape(-1, 2).T
        if (places < 0).any() or (sizes < 0).any() or (places + sizes > self.size).any():
            raise StoreError(f"{self.path}: cannot be read: it ends before it should. Look at the disk.")
        target = np.empty(int(sizes.sum()), np.uint8)
        self.copy(places, places + sizes, target)
        ends = np.cumsum(sizes)
        return [
            target[end - size : end].tobytes()
            for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)
        ]


class PlainFile(ReadFile):
    """A file read by a descriptor, for file systems on which a mapping cannot be trusted; errors as above."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with missing_apart(), errors_of(path, "read"):
            self._descriptor = system.open_itself(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        with errors_of(path, "read"):
            self.size = os.fstat(self._descriptor).st_size

    def release(self) -> None:
        """Nothing is held."""

    def copy(self, firsts: np.ndarray, ends: np.ndarray, target: np.ndarray) -> None:
        """Copy parts of it; see ReadFile."""
        done = 0
        with errors_of(self.path, "read"):
            for first, end in zip(firsts.tolist(), ends.tolist(), strict=True):
                place = first
                while place < end:
                    piece = system.read_at(self._descriptor, min(end - place, _READ_SIZE), place)
                    if not piece:
                        raise OSError(errno.EIO, "the file has become shorter")
                    target[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
                    place += len(piece)
                    done += len(piece)


@contextlib.contextmanager
def missing_apart() -> Iterator[None]:
    """Raise that a file is missing as just this, and not as a StoreError of it."""
    try:
        yield
    except StoreError as problem:
        if isinstance(problem.__cause__, FileNotFoundError):
            raise problem.__cause__ from None
        raise


def is_regular(path: Path) -> bool:
    """Whether the name stands for a file itself: no link, no pipe; FileNotFoundError where it is missing."""
    with missing_apart(), errors_of(path, "looked at"):
        return stat.S_ISREG(os.lstat(path).st_mode)
