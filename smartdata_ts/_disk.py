"""Every file operation of the store's own code: durable writes, syncs, removals.

A file appears under its name whole or not at all: it is written under a partial name, synced, renamed,
and its directory is synced before anything refers to it.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PARTIAL_SUFFIX = ".partial"


def write_durably(path: Path, write: Callable[[BinaryIO], None], sync: bool = True) -> int:
    """Create `path` with what `write` puts into the file it is given; return the size in bytes.

    Raises OSError (disk full, I/O error); then neither the file nor its partial form is left.
    """
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            if sync:
                os.fsync(file.fileno())
            size = file.tell()
        partial.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    if sync:
        sync_directory(path.parent)
    return size


def sync_directory(path: Path) -> None:
    """Make renames and removals within the directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file; that it is gone already is no error."""
    path.unlink(missing_ok=True)


def size_of(directory: Path) -> int:
    """The bytes of all files below `directory`; one that vanishes meanwhile counts nothing."""
    size = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += (Path(folder) / name).lstat().st_size
    return size
