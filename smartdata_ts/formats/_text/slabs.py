"""A block's rows, so many at a time, as spans of the columns that are read."""

from collections.abc import Iterator, Sequence

import numpy as np

from smartdata_ts.kernels.arrays import Int32Array, UInt8Array
from smartdata_ts.kernels.text import rows as text_rows

from .dialect import Dialect
from .row_blocks import Block


class Slabs:
    """Splits blocks; slot 0 holds the whole rows, slot k + 1 the column columns[k]."""

    def __init__(self, dialect: Dialect, columns: Sequence[int | None], capacity: int) -> None:
        self.capacity = capacity
        self._slots = np.full(len(dialect.columns), -1, np.int32)
        for k, column in enumerate(columns):
            if column is not None:
                self._slots[column] = k + 1
        self._spans = np.zeros(2 * capacity * (len(columns) + 1), np.int32)
        self._statuses = np.empty(capacity, np.uint8)
        self._rows = text_rows.RowFormat(ord(dialect.newline), ord(dialect.quote), capacity)
        self._next_end = np.zeros(1, np.int64)

    def split(self, block: Block) -> Iterator[UInt8Array]:
        """Statuses of the rows of one slab after another; arrays are good until the next."""
        self._next_end[0] = 0
        while self._next_end[0] < block.ends.size:
            row_count = text_rows.split_rows(
                block.buffer,
                block.ends,
                block.ends.size,
                self._slots,
                self._rows,
                self._next_end,
                self._spans,
                self._statuses,
            )
            if row_count:
                yield self._statuses[:row_count]

    def spans(self, slot: int) -> Int32Array:
        """Spans of a slot, and behind them those of the slots after it."""
        return self._spans[2 * self.capacity * slot :]
