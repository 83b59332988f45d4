"""Compiled kernels on disk, for this user alone.

A file is an object, shared or relocatable (`native.py`), then the BLAKE2b digest of its bytes and its name:

    <kernel>-<key>.so        content, 32 bytes of digest
    <kernel>.lock            held while the kernel is compiled, so that it is compiled once

Files appear by renaming, so a name that exists is whole unless the disk damaged it; the digest
tells. It is machine code that we run: a folder or a file that another user owns (root excepted, who
needs no such door) or can write is refused with a warning, and the next folder is tried.
"""

import contextlib
import math
import os
import stat
import sys
import time
import warnings
from _blake2 import blake2b
from collections.abc import Iterator
from pathlib import Path

DIGEST_SIZE = 32
_DAY = 86_400.0
_KEPT_SECONDS = {".so": 30 * _DAY, ".partial": _DAY}
_VERSIONS_MAX = 8


# How every file is opened: no link is followed, no program that is started inherits it. And what tells users
# apart in a folder for all: on Windows each has a temporary folder of his own.
if sys.platform == "win32":
    _ITSELF = os.O_BINARY | os.O_NOINHERIT
    _USER = ""
else:
    _ITSELF = os.O_NOFOLLOW | os.O_CLOEXEC
    _USER = f"-{os.geteuid()}"


class RefusedError(Exception):
    """A folder or file that is not this user's alone."""


def folder_candidates() -> Iterator[Path]:
    """Yield the folders where compiled kernels may be, the preferred one first."""
    chosen = os.environ.get("SMARTDATA_TS_CACHE_DIR")
    yield Path(chosen or Path(_cache_folder(), "smartdata_ts")).expanduser()
    import tempfile

    yield Path(tempfile.gettempdir()) / f"smartdata_ts{_USER}"


def _cache_folder() -> str:
    """Return the user's cache folder as platformdirs has it; importing that takes 13 ms."""
    if sys.platform == "win32":
        return os.environ.get("LOCALAPPDATA", "").strip() or "~/AppData/Local"
    elif sys.platform == "darwin":
        return "~/Library/Caches"
    else:
        return os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"


def warn(message: str) -> None:
    """Say that kernels start slower than they could."""
    warnings.warn(f"smartdata_ts: {message}", RuntimeWarning, stacklevel=2)


class Folder:
    """One folder of compiled kernels."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Create the folder, or raise OSError; raise RefusedError if it is not ours."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        self.check()
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PermissionError(f"{self.path} cannot be written")

    def check(self) -> None:
        """Raise FileNotFoundError where there is no folder, RefusedError where it is not ours."""
        _check_ours(self.path.lstat(), self.path)
        status = self.path.stat()
        _check_ours(status, self.path)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(f"{self.path} is no folder")

    def find(self, name: str) -> Path | None:
        """Return the path of a whole object, None where there is none; raise RefusedError if not ours."""
        try:
            self.check()
            content, path = self._read(name)
        except OSError:
            return None
        split = len(content) - DIGEST_SIZE
        if split < 0 or _digest(content[:split], name) != content[split:]:
            return None
        return path

    def _read(self, name: str) -> tuple[bytes, Path]:
        path = self.path / f"{name}.so"
        handle = os.open(path, os.O_RDONLY | _ITSELF)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            _check_ours(status, path)
            if time.time() - status.st_mtime > _DAY:
                with contextlib.suppress(OSError):
                    os.utime(path)  # in use: not to be pruned
            return file.read(), path

    def keep(self, name: str, content: bytes) -> Path:
        """Write an object under `name` in one step, remove those out of use; return its path."""
        path = self.path / f"{name}.so"
        partial = self.path / f"{name}.{os.getpid()}-{os.urandom(4).hex()}.partial"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _ITSELF
        try:
            with os.fdopen(os.open(partial, flags, 0o600), "wb") as file:
                file.write(content + _digest(content, name))
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        self._prune(path)
        return path

    def _prune(self, newest: Path) -> None:
        """Remove what nobody used for a month, and all but some versions of the newest's kernel."""
        kernel = newest.name.rpartition("-")[0]
        versions: list[tuple[float, Path]] = []
        for path in set(self.path.iterdir()) - {newest}:
            with contextlib.suppress(OSError):
                age = time.time() - path.stat().st_mtime
                if age > _KEPT_SECONDS.get(path.suffix, math.inf):
                    path.unlink()
                elif path.suffix == ".so" and path.name.rpartition("-")[0] == kernel:
                    versions.append((age, path))
        for _, path in sorted(versions)[_VERSIONS_MAX - 1 :]:
            with contextlib.suppress(OSError):
                path.unlink()

    @contextlib.contextmanager
    def locked(self, place: str) -> Iterator[None]:
        """Hold the right to compile a kernel: who waits finds the object when it gets here."""
        handle = os.open(self.path / f"{place}.lock", os.O_RDWR | os.O_CREAT | _ITSELF, 0o600)
        try:
            with contextlib.suppress(OSError):  # some network folders have no locks
                _lock(handle)
            yield
        finally:
            os.close(handle)


def _digest(content: bytes, name: str) -> bytes:
    return blake2b(content + name.encode(), digest_size=DIGEST_SIZE).digest()


if sys.platform == "win32":

    def _lock(handle: int) -> None:
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)  # which gives up after ten seconds

    def _check_ours(status: os.stat_result, path: Path) -> None:
        """Do nothing: both folders lie in the user's profile, which others cannot write."""

else:

    def _lock(handle: int) -> None:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)

    def _check_ours(status: os.stat_result, path: Path) -> None:
        if status.st_uid not in (os.geteuid(), 0):
            raise RefusedError(f"{path} belongs to another user; compiled kernels are not taken from it")
        if status.st_mode & 0o022 and not stat.S_ISLNK(status.st_mode):
            raise RefusedError(f"{path} can be written by others; compiled kernels are not taken from it")
