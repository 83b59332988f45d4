"""A file that is mapped into memory, and copied out of it by the system.

Who touches a page of a mapped file that has shrunk, or that the disk cannot read, is killed (SIGBUS).
The system copies for us, and refuses such a page: by one call where it has that (process_vm_readv), else
through a pipe.
"""

import ctypes
import errno
import mmap
import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from .disk import ReadFile, errors_of, missing_apart

_RANGES_MAX = 1024  # of one call (IOV_MAX)
_PIPE_SIZE = 4096  # what every pipe takes without a reader
_library = ctypes.CDLL(None, use_errno=True)
_read_memory = getattr(_library, "process_vm_readv", None)
if _read_memory is not None:
    _read_memory.restype = ctypes.c_ssize_t
    _read_memory.argtypes = [ctypes.c_int, *[ctypes.c_void_p, ctypes.c_ulong] * 2, ctypes.c_ulong]

_LET_GO: int | None = getattr(mmap, "MADV_DONTNEED", None)
_advise = getattr(_library, "madvise", None)
if _advise is not None:
    _advise.restype = ctypes.c_int
    _advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class MappedFile(ReadFile):
    """A file mapped into memory, without a descriptor.

    Raises FileNotFoundError where it is missing, StoreError where it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data: np.ndarray = np.frombuffer(_mapped(path), np.uint8)
        self.size = self._data.size
        self._address = self._data.ctypes.data

    def copy(self, firsts: np.ndarray, ends: np.ndarray, target: np.ndarray) -> None:
        """Copy parts of it; see ReadFile."""
        addresses, sizes = firsts + self._address, ends - firsts
        if _copied_at_once(addresses, sizes, target):
            return
        wanted = sizes > 0
        addresses, sizes = addresses[wanted], sizes[wanted]
        with errors_of(self.path, "read"):
            if not _copied_by_system(addresses, sizes, target):
                _copy_by_pipe(addresses, sizes, target)

    def release(self) -> None:
        """Pages that were read count as the process's, though the system could take them back."""
        if _advise is not None and _LET_GO is not None:
            _advise(self._address, self.size, _LET_GO)


def _mapped(path: Path) -> pa.Buffer:
    with missing_apart(), errors_of(path, "read"), pa.memory_map(os.fspath(path)) as source:
        return source.read_buffer()


def _copied_at_once(addresses: np.ndarray, sizes: np.ndarray, target: np.ndarray) -> bool:
    """Whether one call to the system did it, as it mostly does; if not, nothing is known of why."""
    if _read_memory is None or addresses.size > _RANGES_MAX:
        return False
    ranges = np.empty((addresses.size, 2), np.int64)
    ranges[:, 0], ranges[:, 1] = addresses, sizes
    room = np.array([_address_of(target), target.size], np.int64)
    count = _read_memory(os.getpid(), _address_of(room), 1, _address_of(ranges), addresses.size, 0)
    return bool(count == target.size)


def _address_of(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]  # half the time of array.ctypes.data
    return address


def _copied_by_system(addresses: np.ndarray, sizes: np.ndarray, target: np.ndarray) -> bool:
    """Whether the system has this call, and lets us make it."""
    if _read_memory is None:
        return False
    ends = np.cumsum(sizes)
    total = int(sizes.sum())
    done = 0
    while done < total:
        k = int(np.searchsorted(ends, done, "right"))
        ranges = np.stack([addresses, sizes], axis=1)[k : k + _RANGES_MAX].astype(np.int64)
        skipped = done - int(ends[k] - sizes[k])
        ranges[0] += (skipped, -skipped)
        room = np.array([target.ctypes.data + done, total - done], np.int64)
        count = _read_memory(os.getpid(), room.ctypes.data, 1, ranges.ctypes.data, len(ranges), 0)
        if count <= 0:
            code = ctypes.get_errno() if count else errno.EFAULT
            if code in (errno.ENOSYS, errno.EPERM):
                return False
            raise OSError(code, os.strerror(code))
        done += count
    return True


def _copy_by_pipe(addresses: np.ndarray, sizes: np.ndarray, target: np.ndarray) -> None:
    """The same for systems without that call, or where it is forbidden: slower, and as safe."""
    source, sink = os.pipe()
    try:
        done = 0
        for address, size in zip(addresses.tolist(), sizes.tolist(), strict=True):
            bytes_ = memoryview((ctypes.c_char * size).from_address(address)).cast("B")
            at = 0
            while at < size:
                count = os.write(sink, bytes_[at : at + _PIPE_SIZE])
                piece = os.read(source, count)
                target[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
                done += len(piece)
                at += len(piece)
    finally:
        os.close(source)
        os.close(sink)
