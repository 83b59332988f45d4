"""Where a file is written: to a partial name, and renamed once it is whole."""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from smartdata_ts.errors import DataError

_PARTIAL = ".partial"
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}


class Output:
    """A file to be, "-" for standard output, or a binary file object; `stream` takes the bytes."""

    def __init__(self, path: str | Path | Any, packed: bool = False) -> None:
        """`packed` compresses a text where the file's name says so."""
        self.is_pipe = hasattr(path, "write") or str(path) == "-"
        self._path = None if self.is_pipe else Path(path)
        try:
            if self._path is not None:
                self._partial = self._path.with_name(self._path.name + _PARTIAL)
                self.stream: Any = pa.OSFile(str(self._partial), "wb")
            else:
                self.stream = path if hasattr(path, "write") else sys.stdout.buffer
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error}") from error
        suffix = self._path.suffix.lower() if self._path is not None else ""
        if packed and suffix in _COMPRESSIONS:
            self.stream = pa.CompressedOutputStream(self.stream, _COMPRESSIONS[suffix])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._path is None:
            self.stream.flush()
            return
        try:
            if not self.stream.closed:
                self.stream.close()
            if kind is None:
                os.replace(self._partial, self._path)  # noqa: PTH105
        finally:
            self._partial.unlink(missing_ok=True)
