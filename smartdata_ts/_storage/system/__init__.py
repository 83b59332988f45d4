"""File operations that differ between systems: one module a system, with the same functions.

    PRIVATE                     flags of every opening: programs that are started do not inherit the file
    MAPS_FILES                  whether a mapped file can be read safely, and removed while it is mapped
    HAS_FULL_SYNC               whether a plain sync leaves data in the drive's own memory
    FORGETS_LOCKS               whether SQLite's locks are the process's, and end with any descriptor
    open_itself                 a file, and never what a link of that name leads to; waits for no pipe
    sync, sync_directory        to the disk
    rename                      over a file that may be there
    unlink                      a file
    read_at, read_into          some bytes of a descriptor
    lock, unlock                a descriptor, for one or for many

SMARTDATA_TS_PORTABLE=1 chooses what Windows gets, wherever it is set.
"""

import os
import sys

from smartdata_ts.errors import StoreError

if sys.platform == "win32" or os.environ.get("SMARTDATA_TS_PORTABLE") == "1":
    from .windows import (
        FORGETS_LOCKS,
        HAS_FULL_SYNC,
        MAPS_FILES,
        PRIVATE,
        lock,
        open_itself,
        read_at,
        read_into,
        rename,
        sync,
        sync_directory,
        unlink,
        unlock,
    )
else:
    from .posix import (
        FORGETS_LOCKS,
        HAS_FULL_SYNC,
        MAPS_FILES,
        PRIVATE,
        lock,
        open_itself,
        read_at,
        read_into,
        rename,
        sync,
        sync_directory,
        unlink,
        unlock,
    )


# The format is little-endian and its places are of 64 bits; kernels are called by CPython's own conventions.
_MACHINES = ("cpython, 64 bits, little-endian",)


def check_machine() -> None:
    """Raise StoreError on a machine where no store can be opened."""
    kind = f"{sys.implementation.name}, {sys.maxsize.bit_length() + 1} bits, {sys.byteorder}-endian"
    if kind not in _MACHINES:
        raise StoreError(f"smartdata_ts needs {_MACHINES[0]}; this Python is {kind}")


__all__ = [
    "FORGETS_LOCKS",
    "HAS_FULL_SYNC",
    "MAPS_FILES",
    "PRIVATE",
    "check_machine",
    "lock",
    "open_itself",
    "read_at",
    "read_into",
    "rename",
    "sync",
    "sync_directory",
    "unlink",
    "unlock",
]
