"""Bytes of a file, whatever it is wrapped in: plain, .gz, .bz2, .zst, .zip, standard input, UTF-16."""

import codecs
import io
import lzma
import struct
import sys
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts.errors import DataError, UsageError
from smartdata_ts.kernels.arrays import UInt8Array

HEAD_SIZE = 1 << 20
WHOLE_SIZE_MAX = 256 << 20
# What the standard library raises over an archive that is damaged, locked, or made to be.
DAMAGES = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # NotImplementedError too: a way of compression that it does not know
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)

_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}


class Source:
    """A stream of bytes with its head at hand, read once from front to end."""

    def __init__(self, path: str | Path | Any, member: str | None = None) -> None:
        """Open `path`: a file's name, "-" for standard input, or a binary file object.

        `member` names the file wanted inside a .zip that holds several.
        """
        self._resources = ExitStack()
        self._raw: io.FileIO | None = None
        self._size = 0
        self._path: Any = path
        self._is_plain = False
        self.name = str(getattr(path, "name", "input")) if hasattr(path, "read") else str(path)
        try:
            self._stream = self._open(path, member)
            self.head = self._read(HEAD_SIZE)
        except DAMAGES as error:
            self.close()
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{self.name}: cannot be read: {reason}") from error
        except BaseException:
            self.close()
            raise
        self._left = memoryview(self.head)

    def _open(self, path: Any, member: str | None) -> Any:
        if hasattr(path, "read"):
            return path
        if str(path) == "-":
            return sys.stdin.buffer
        self._raw = self._resources.enter_context(io.FileIO(path))
        self._size = Path(path).stat().st_size
        suffix = Path(path).suffix.lower()
        if suffix == ".zip":
            archive = self._resources.enter_context(zipfile.ZipFile(self._raw))
            return self._resources.enter_context(archive.open(_member(archive, self.name, member)))
        if member is not None:
            raise UsageError(f"member={member!r} is for .zip files; {self.name} is none")
        if suffix not in _COMPRESSIONS:
            self._is_plain = True
            return self._raw
        packed = pa.PythonFile(self._raw, "r")
        return self._resources.enter_context(pa.CompressedInputStream(packed, _COMPRESSIONS[suffix]))

    def transcode(self, encoding: str) -> None:
        """From here on give UTF-8 for what is written in `encoding`."""
        raw = io.BytesIO(bytes(self._left))
        self._stream = _Transcoded(self.name, raw, self._stream, encoding)
        self.head = self._read(HEAD_SIZE)
        self._left = memoryview(self.head)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes of the head."""
        self._left = self._left[size:]

    def read_into(self, buffer: UInt8Array) -> int:
        """Fill `buffer`; return the byte count, less than its size only at the end."""
        filled = min(buffer.size, len(self._left))
        buffer[:filled] = np.frombuffer(self._left[:filled], np.uint8)
        self._left = self._left[filled:]
        target = memoryview(buffer)  # type: ignore[arg-type]
        try:
            while filled < buffer.size:
                count = self._stream.readinto(target[filled:])
                if not count:
                    break
                filled += count
        except DAMAGES as error:
            raise DataError(f"{self.name}: cannot be read to its end: {error}") from error
        return filled

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        part, self._left = bytes(self._left[:size]), self._left[size:]
        if len(part) == size:
            return part
        try:
            return part + self._read(size - len(part))
        except DAMAGES as error:
            raise DataError(f"{self.name}: cannot be read to its end: {error}") from error

    def random_access(self) -> Any:
        """A path or a file that can be read in any order, from its first byte on.

        What comes from a pipe or out of an archive is held in memory, up to WHOLE_SIZE_MAX bytes.
        """
        if self._is_plain:
            return self._path
        if hasattr(self._path, "seekable") and self._path.seekable():
            self._path.seek(0)
            return self._path
        data = self.read(WHOLE_SIZE_MAX + 1)
        if len(data) > WHOLE_SIZE_MAX:
            raise DataError(
                f"{self.name}: more than {WHOLE_SIZE_MAX >> 20} MB come out of this archive or pipe, and the"
                " format must be read in any order: unpack it to a file first"
            )
        return io.BytesIO(data)

    def _read(self, size: int) -> bytes:
        parts = []
        while size > 0:
            part = self._stream.read(size)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    @property
    def progress(self) -> float | None:
        """How much of the file was read, from 0 to 1; None where its size is not known."""
        if self._raw is None or not self._size:
            return None
        return min(1.0, float(self._raw.tell()) / self._size)

    def close(self) -> None:
        """Close what was opened here."""
        self._resources.close()


class _Transcoded:
    """A stream of text bytes as UTF-8."""

    def __init__(self, name: str, head: io.BytesIO, rest: Any, encoding: str) -> None:
        self._name = name
        self._parts = [head, rest]
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""

    def read(self, size: int) -> bytes:
        while not self._ready and self._parts:
            raw = self._parts[0].read(size)
            if not raw:
                self._parts.pop(0)
            try:
                self._ready = self._decoder.decode(raw, final=not self._parts).encode()
            except UnicodeError as error:
                raise DataError(f"{self._name}: no text in this encoding: {error}") from error
        part, self._ready = self._ready[:size], self._ready[size:]
        return part

    def readinto(self, target: memoryview) -> int:
        part = self.read(len(target))
        target[: len(part)] = part
        return len(part)


def _member(archive: zipfile.ZipFile, name: str, member: str | None) -> str:
    members = [
        info.filename for info in archive.infolist() if not info.is_dir() and not _is_shadow(info.filename)
    ]
    if not members:
        raise DataError(f"{name}: there is nothing in it")
    if member is None and len(members) == 1:
        return members[0]
    if member in members:
        return member
    shown = ", ".join(members[:5]) + (", ..." if len(members) > 5 else "")
    problem = f"holds {len(members)} files" if member is None else f"has no member {member!r}"
    raise UsageError(f"{name} {problem}: pass member= with one of: {shown}")


def _is_shadow(member: str) -> bool:
    """Whether a member of an archive is what macOS keeps beside a file, such as its icon."""
    return member.startswith("__MACOSX/") or member.rpartition("/")[2].startswith("._")
