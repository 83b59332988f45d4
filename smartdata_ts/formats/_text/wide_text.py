"""Text files with an instant a row and a series a column."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from smartdata_ts._readings.arrow import text_array
from smartdata_ts.errors import DataError
from smartdata_ts.formats._reader import readings_batch
from smartdata_ts.formats._rejects import RejectSink
from smartdata_ts.formats._source import Source
from smartdata_ts.kernels.arrays import Int32Array, UInt8Array
from smartdata_ts.kernels.text import status as text_status

from .dialect import Dialect
from .row_blocks import BLOCK_SIZE, Block
from .slabs import Slabs
from .text_reader import TextReader, failed_rows

_SLAB_CELLS = 131_072
_TIME, _CLOCK, _CELLS = 1, 2, 3


class WideReader(TextReader):
    """Reads a text file with a column a series; counts are of cells.

    A row that cannot be taken is one reject that stands for all its cells.
    """

    def __init__(
        self,
        source: Source,
        dialect: Dialect,
        sink: RejectSink | None,
        block_size: int = BLOCK_SIZE,
    ) -> None:
        super().__init__(source, dialect, sink, block_size)
        self._keys = [dialect.columns[column] for column in dialect.values]
        check_keys(self._keys, source.name)
        self._dictionary = text_array(self._keys)
        capacity = max(1, _SLAB_CELLS // len(self._keys))
        self._slabs = Slabs(dialect, (dialect.time, dialect.clock, *dialect.values), capacity)
        self._waiting = self._no_rows()

    def _no_rows(self) -> tuple[np.ndarray, ...]:
        shape = (0, len(self._keys))
        return (
            np.zeros(0, np.int64),
            np.zeros(0, np.uint8),
            np.zeros(0, np.uint8),
            np.zeros(shape, np.float64),
            np.zeros(shape, np.bool_),
        )

    def read_block(self, block: Block) -> Iterator[pa.RecordBatch]:
        """The readings of a block, and of rows that waited for it."""
        for statuses in self._slabs.split(block):
            yield from self._read_slab(block, statuses)

    def finish(self) -> Iterator[pa.RecordBatch]:
        """The readings of rows that still wait."""
        yield from self._batch(*self._settle(self._no_rows(), final=True))

    def _read_slab(self, block: Block, statuses: UInt8Array) -> Iterator[pa.RecordBatch]:
        slabs, row_count, key_count = self._slabs, statuses.size, len(self._keys)
        self.rows += row_count * key_count
        times = np.empty(row_count, np.int64)
        instants = np.empty(row_count, np.uint8)
        clock_spans = slabs.spans(_CLOCK) if self.dialect.clock is not None else None
        self.parse_times(block, slabs.spans(_TIME), clock_spans, times, instants, statuses)
        cell_statuses = np.full((key_count, slabs.capacity), text_status.NO_ROW, np.uint8)
        cell_statuses[:, :row_count] = statuses
        values = np.empty((key_count, slabs.capacity), np.float64)
        self.numbers.parse(block.buffer, slabs.spans(_CELLS), values.reshape(-1), cell_statuses.reshape(-1))
        cell_statuses = cell_statuses[:, :row_count].T
        waited = self._waiting[0].size
        good = cell_statuses == text_status.OK
        rows = (times, instants, statuses.copy(), values[:, :row_count].T, good)
        settled = self._settle(rows, final=False)
        self._count_failed(block, settled[0][waited:], cell_statuses)
        yield from self._batch(*settled)

    def _count_failed(self, block: Block, statuses: UInt8Array, cell_statuses: npt.NDArray[np.uint8]) -> None:
        row_spans = self._slabs.spans(0)
        key_count = len(self._keys)
        for row in failed_rows(statuses):
            if statuses[row] == text_status.EMPTY_ROW:
                self.empty += key_count
            else:
                span = row_spans[2 * row : 2 * row + 2]
                self.reject_row(block, span, int(statuses[row]), key_count)
        cells = cell_statuses[(statuses == text_status.OK) | (statuses == text_status.PENDING_TIME)]
        self.empty += int(np.count_nonzero(cells == text_status.EMPTY_VALUE))
        self._reject_cells(block, row_spans, statuses, cell_statuses)

    def _reject_cells(
        self,
        block: Block,
        row_spans: Int32Array,
        statuses: UInt8Array,
        cell_statuses: npt.NDArray[np.uint8],
    ) -> None:
        bad = (cell_statuses != text_status.OK) & (cell_statuses != text_status.EMPTY_VALUE)
        bad[(statuses != text_status.OK) & (statuses != text_status.PENDING_TIME)] = False
        for row, key in np.argwhere(bad).tolist():
            status = int(cell_statuses[row, key])
            span = row_spans[2 * row : 2 * row + 2]
            self.reject_row(block, span, status, where=f" in column {self._keys[key]!r}")

    def _settle(
        self, columns: tuple[np.ndarray, ...], final: bool
    ) -> tuple[UInt8Array, np.ndarray, np.ndarray, np.ndarray]:
        """Put the waiting rows in front, and make starts of times; some may wait again."""
        if self._waiting[0].size:
            columns = tuple(map(np.concatenate, zip(self._waiting, columns, strict=True)))
        times, instants, statuses, values, good = columns
        statuses[statuses == text_status.PENDING_TIME] = text_status.OK
        one_series = np.zeros(times.size, np.int32)
        starts, ambiguous = self.times.settle(one_series, times, instants, statuses, final)
        self.ambiguous += int(np.count_nonzero(good[ambiguous]))
        waiting = statuses == text_status.PENDING_TIME
        self._waiting = tuple(column[waiting] for column in columns)
        return statuses, starts, values, good

    def _batch(
        self, statuses: UInt8Array, starts: np.ndarray, values: np.ndarray, good: np.ndarray
    ) -> Iterator[pa.RecordBatch]:
        """The cells series by series, so that each series is one run of the batch."""
        taken = (good & (statuses == text_status.OK)[:, None]).T
        codes, rows = np.nonzero(taken)
        self.taken += codes.size
        if codes.size:
            yield readings_batch(
                codes.astype(np.int32), self._dictionary, starts[rows], values.T[taken], None
            )


def check_keys(keys: list[str], where: str) -> None:
    bad = next((key for key in keys if "\0" in key), None)
    if bad is not None:
        raise DataError(f"{where}: a column is called {bad!r}, and a series key holds no zero byte")
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise DataError(
            f"{where}: several columns are called {twice!r}: pass value= with the positions wanted"
        )
