"""Text files with a reading a row."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.arrow import text_array
from smartdata_ts.formats._columns.key_column import KeyColumn
from smartdata_ts.formats._columns.settled_rows import NO_ROWS, Rows, SettledRows, good_batch, mark_empty
from smartdata_ts.formats._rejects import RejectSink
from smartdata_ts.formats._source import Source
from smartdata_ts.kernels.arrays import UInt8Array
from smartdata_ts.kernels.text import keys as text_keys
from smartdata_ts.kernels.text import status as text_status

from .dialect import Dialect
from .row_blocks import BLOCK_SIZE, Block
from .slabs import Slabs
from .text_reader import TextReader, failed_rows

_SLAB_ROWS = 16_384  # so many rows' spans and columns stay in the second-level cache
_TIME, _VALUE, _SERIES, _QUALITY, _CLOCK = range(1, 6)


class LongReader(TextReader):
    """Reads a text file with a reading a row."""

    def __init__(
        self,
        source: Source,
        dialect: Dialect,
        sink: RejectSink | None,
        block_size: int = BLOCK_SIZE,
    ) -> None:
        super().__init__(source, dialect, sink, block_size)
        columns = (dialect.time, dialect.values[0], dialect.series, dialect.quality, dialect.clock)
        self._slabs = Slabs(dialect, columns, _SLAB_ROWS)
        self._keys = KeyColumn(dialect.encoding, dialect.quote)
        self._qualities = KeyColumn(dialect.encoding, dialect.quote)
        self._quality_codes = dict(dialect.quality_codes)
        self._one_key = text_array([dialect.series_key])
        self._settled = SettledRows(self.times)

    def read_block(self, block: Block) -> Iterator[pa.RecordBatch]:
        """The readings of a block, and of rows that waited for it."""
        rows = _empty_rows(block.line_count)
        row_spans = np.empty(2 * block.line_count, np.int32)
        row_count = 0
        for statuses in self._slabs.split(block):
            place = slice(row_count, row_count + statuses.size)
            self._read_slab(block, rows.select(place), statuses)
            row_spans[2 * place.start : 2 * place.stop] = self._slabs.spans(0)[: 2 * statuses.size]
            row_count = place.stop
        self.rows += row_count
        waited = self._settled.waiting
        rows = self._settled.settle(rows.select(slice(0, row_count)))
        statuses = rows.statuses[waited:]
        is_empty = (statuses == text_status.EMPTY_ROW) | (statuses == text_status.EMPTY_VALUE)
        self.empty += int(np.count_nonzero(is_empty))
        for row in failed_rows(np.where(is_empty, text_status.OK, statuses)):
            self.reject_row(block, row_spans[2 * row : 2 * row + 2], int(statuses[row]))
        yield from self._batch(rows)

    def finish(self) -> Iterator[pa.RecordBatch]:
        """The readings of rows that still wait."""
        yield from self._batch(self._settled.settle(NO_ROWS, final=True))

    def _read_slab(self, block: Block, rows: Rows, statuses: UInt8Array) -> None:
        slabs, buffer = self._slabs, block.buffer
        if self.dialect.series is not None:
            self._keys.encode(buffer, slabs.spans(_SERIES), rows.codes)
            text_keys.mark_rows(rows.codes, statuses)
        if self.dialect.quality is not None:
            self._read_qualities(buffer, rows.qualities, statuses)
        self.numbers.parse(buffer, slabs.spans(_VALUE), rows.values, statuses)
        # A row without a value is rejected all the same where its time cannot be read.
        empty = statuses == text_status.EMPTY_VALUE
        statuses[empty] = text_status.OK
        clock_spans = slabs.spans(_CLOCK) if self.dialect.clock is not None else None
        self.parse_times(block, slabs.spans(_TIME), clock_spans, rows.times, rows.instants, statuses)
        mark_empty(empty, rows.qualities, rows.values, statuses)
        rows.statuses[:] = statuses

    def _read_qualities(self, buffer: UInt8Array, qualities: UInt8Array, statuses: UInt8Array) -> None:
        """Qualities are few texts, each said to be a code or being one; an empty cell is 0."""
        texts = np.empty(qualities.size, np.int32)
        self._qualities.encode(buffer, self._slabs.spans(_QUALITY), texts)
        known = [self._quality_code(text) for text in self._qualities.texts]
        codes = np.array([*known, -1, -1, 0], np.int16)[texts]  # ZERO_BYTE, NO_TEXT, NO_KEY are -3, -2, -1
        statuses[(codes < 0) & (statuses == text_status.OK)] = text_status.UNREADABLE_QUALITY
        qualities[:] = np.maximum(codes, 0)

    def _quality_code(self, text: str) -> int:
        if text in self._quality_codes:
            return self._quality_codes[text]
        is_code = text.isascii() and text.isdecimal() and int(text) <= 255
        return int(text) if is_code else -1

    def _batch(self, rows: Rows) -> Iterator[pa.RecordBatch]:
        dictionary = self._one_key if self.dialect.series is None else self._keys.dictionary
        self.ambiguous = self._settled.ambiguous
        for batch in good_batch(rows, dictionary, self.dialect.quality is not None):
            self.taken += batch.num_rows
            yield batch


def _empty_rows(capacity: int) -> Rows:
    return Rows(
        codes=np.zeros(capacity, np.int32),
        times=np.empty(capacity, np.int64),
        instants=np.empty(capacity, np.uint8),
        values=np.empty(capacity, np.float64),
        qualities=np.zeros(capacity, np.uint8),
        statuses=np.empty(capacity, np.uint8),
    )
