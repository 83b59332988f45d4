"""What the readers of long and of wide text files have in common."""

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from smartdata_ts.formats._columns.number_column import NumberColumn
from smartdata_ts.formats._columns.time_column import TimeColumn
from smartdata_ts.formats._reader import Reader
from smartdata_ts.formats._rejects import REASONS, Reject, RejectSink
from smartdata_ts.formats._source import Source
from smartdata_ts.kernels.arrays import Int32Array, Int64Array, UInt8Array
from smartdata_ts.kernels.text import status as text_status
from smartdata_ts.kernels.text import times as text_times

from .dialect import Dialect
from .row_blocks import BLOCK_SIZE, Block, RowBlocks

_NO_SPANS = np.zeros(0, np.int32)


class TextReader(Reader):
    """Reads rows block by block.

    Rows in a repeated local hour wait until their series has left it: they are kept as columns, and
    stand in front of the next block's.
    """

    batches_ahead = 16  # of 2 MB each: reading goes on while millions of rows are sorted

    def __init__(
        self,
        source: Source,
        dialect: Dialect,
        sink: RejectSink | None,
        block_size: int = BLOCK_SIZE,
    ) -> None:
        super().__init__(source.name, sink)
        self.dialect = dialect
        self.source = source
        self._block_size = block_size
        self._time_spec = dialect.time_format.spec()
        self.times = TimeColumn(dialect.tz, dialect.stamp, dialect.interval, source.name)
        self.numbers = NumberColumn(dialect.decimal, dialect.thousands, dialect.encoding)

    @property
    def description(self) -> str:
        """One line that says what was taken for what."""
        return str(self.dialect)

    @property
    def progress(self) -> float | None:
        """How much of the file was read, from 0 to 1; None where its size is not known."""
        return self.source.progress

    def close(self) -> None:
        """Close the file."""
        self.source.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        blocks = RowBlocks(self.source, self.dialect, self._block_size)
        for block in blocks:
            yield from self.read_block(block)
        yield from self.finish()
        if blocks.ends_cut:
            self.notices.append("the last line does not end: is the file whole?")

    @abstractmethod
    def read_block(self, block: Block) -> Iterator[pa.RecordBatch]:
        """The readings of a block."""

    @abstractmethod
    def finish(self) -> Iterator[pa.RecordBatch]:
        """The readings that waited for more."""

    def parse_times(
        self,
        block: Block,
        spans: Int32Array,
        clock_spans: Int32Array | None,
        times: Int64Array,
        instants: UInt8Array,
        statuses: UInt8Array,
    ) -> None:
        """Fill times and instants of a slab."""
        if clock_spans is None:
            clock_spans = _NO_SPANS
        text_times.parse_times(block.buffer, spans, clock_spans, self._time_spec, times, instants, statuses)

    def reject_row(
        self, block: Block, span: Int32Array, status: int, row_count: int = 1, where: str = ""
    ) -> None:
        """Reject the row at `span`, for the reason that `status` says."""
        raw = block.buffer[span[0] : span[1]].tobytes()
        text = raw.decode(self.dialect.encoding, errors="replace").rstrip("\r")
        self.reject(Reject(block.line_at(int(span[0])), REASONS[status] + where, text), row_count)


def failed_rows(statuses: UInt8Array) -> list[int]:
    """Rows that are neither good nor waiting."""
    failed = (statuses != text_status.OK) & (statuses != text_status.PENDING_TIME)
    return [int(row) for row in np.flatnonzero(failed)]
