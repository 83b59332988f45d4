"""Delimited text, as meter vendors send it: read it, write it.

What is read, and what is not:

- Long files have a reading a row: series, time, value, perhaps quality. Wide files have an instant
  a row and a series a column. Blank lines are no rows.
- Every row is a reading, empty, or rejected with its line, a reason and its text. Rows that lack
  fields or have too many are rejected; delimiters at the end of a line do no harm.
- An empty value, and NaN, NA, N/A, #N/A, null, None and "-" in any case, is a missing reading. In a
  wide file it is counted as empty. In a long file the row is rejected as "empty value", for there a
  row says that something was read; only a row with nothing in any column is counted as empty. So a
  NaN kept as a value does not travel through CSV: Parquet and Arrow carry it. inf does.
- Numbers are correctly rounded. Thousands separators must stand between groups of three digits.
- Times may lack the digits that formats leave open: seconds, a fraction, leading zeros, the
  offset. 24:00 ends the day. A fraction finer than a microsecond is rejected, not cut.
- Times without offset are of the zone that tz= names, and an error without one. Where clocks skip an
  hour, its rows are rejected; where they repeat one, the order of each series' rows tells the two
  apart, and rows for which it does not are taken as the first and counted as ambiguous.
- Keys have blanks around them cut off. Bytes that are no text in the encoding reject their row.
- A quoted field may hold newlines; a quote that is not closed within 64 KiB is taken for text.
"""

from typing import TYPE_CHECKING

import pyarrow as pa

from ._output import Output
from ._text.csv_writer import CsvEncoder

if TYPE_CHECKING:
    from ._options import ReadOptions
    from ._reader import Reader
    from ._rejects import RejectSink
    from ._source import Source

WRITE_OPTIONS = ("delimiter", "tz", "guard")

_PIECE_ROWS = 131_072


def open_reader(source: "Source", options: "ReadOptions", sink: "RejectSink | None") -> "Reader":
    """Read a text file; whatever the options leave out is told from its head."""
    # Whoever only writes does not load what reads.
    from ._text.long_text import LongReader
    from ._text.sniff import sniff_source
    from ._text.wide_text import WideReader

    dialect = sniff_source(source, options)
    if dialect.wide:
        return WideReader(source, dialect, sink)
    return LongReader(source, dialect, sink)


def write(
    output: Output,
    batches: pa.RecordBatchReader,
    delimiter: str = ",",
    tz: str = "UTC",
    guard: bool = True,
) -> int:
    """Write batches as text with a header; return the row count.

    Times are ISO 8601 in `tz`, with their offset. `guard` puts an apostrophe before texts that a
    spreadsheet would take for formulas.
    """
    encoder = CsvEncoder(delimiter, tz, guard)
    output.stream.write(encoder.header(batches.schema.names))
    row_count = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _PIECE_ROWS):
            output.stream.write(encoder.rows(batch.slice(start, _PIECE_ROWS)))
        row_count += batch.num_rows
    return row_count
