"""Blocks of whole rows from a stream: memory is bounded by the block's size, not the file's."""

from collections.abc import Iterator

import numpy as np

from smartdata_ts.errors import DataError
from smartdata_ts.formats._source import Source
from smartdata_ts.kernels.arrays import Int32Array, UInt8Array
from smartdata_ts.kernels.text import rows as text_rows

from .dialect import Dialect

BLOCK_SIZE = 4 << 20


class Block:
    """Some whole rows: their bytes, their separators, and where they stand in the file."""

    def __init__(self, buffer: UInt8Array, ends: Int32Array, newline: int, first_line: int) -> None:
        self.buffer = buffer
        self.ends = ends
        self.newline = newline
        self.first_line = first_line
        self.line_count = text_rows.count_byte(buffer, newline)
        self._newlines: np.ndarray | None = None

    def line_at(self, position: int) -> int:
        """The line, from 1, on which a byte stands."""
        if self._newlines is None:
            self._newlines = np.flatnonzero(self.buffer == self.newline)
        return self.first_line + int(np.searchsorted(self._newlines, position))


class RowBlocks:
    """The data rows of a source, block by block; a block's arrays are good until the next."""

    def __init__(self, source: Source, dialect: Dialect, block_size: int = BLOCK_SIZE) -> None:
        self._source = source
        self._dialect = dialect
        self._block_size = block_size
        self.ends_cut = False  # whether the last line has no end

    def __iter__(self) -> Iterator[Block]:
        newline = ord(self._dialect.newline)
        quote = ord(self._dialect.quote)
        delimiter = ord(self._dialect.delimiter)
        buffer = np.empty(self._block_size + 1, np.uint8)
        ends = np.empty(self._block_size + 2, np.int32)
        line = self._dialect.data_line
        kept = 0
        is_last = False
        while not is_last:
            size = kept + self._source.read_into(buffer[kept : self._block_size])
            is_last = size < self._block_size
            if is_last and size > 0 and buffer[size - 1] != newline:
                self.ends_cut = True
                buffer[size] = newline
                size += 1
            end_count = text_rows.find_ends(buffer, size, delimiter, newline, quote, is_last, ends)
            end_count = text_rows.whole_rows(buffer, newline, end_count, ends)
            if end_count == 0:
                if not is_last:
                    raise DataError(
                        f"{self._source.name}: line {line} is longer than {self._block_size} bytes:"
                        " this is no table of text"
                    )
                break
            stop = int(ends[end_count - 1]) + 1
            block = Block(buffer[:stop], ends[:end_count], newline, line)
            yield block
            line += block.line_count
            kept = size - stop
            buffer[:kept] = buffer[stop:size].copy()
