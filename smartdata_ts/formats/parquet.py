"""Parquet files: row group by row group."""

import pyarrow as pa
import pyarrow.parquet as pq

from smartdata_ts.errors import DataError

from ._options import ReadOptions
from ._output import Output
from ._reader import Reader
from ._rejects import RejectSink
from ._source import Source
from ._table_reader import TableReader

WRITE_OPTIONS = ("compression",)

_BATCH_ROWS = 131_072


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read a Parquet file."""
    try:
        file = pq.ParquetFile(source.random_access())
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source.name}: cannot be read as Parquet: {error}") from error
    source.close()
    try:
        return TableReader(source.name, file.iter_batches(_BATCH_ROWS), options, sink, file)
    except BaseException:
        file.close()
        raise


def write(output: Output, batches: pa.RecordBatchReader, compression: str = "zstd") -> int:
    """Write batches to a Parquet file, times in runs of deltas; return the row count."""
    row_count = 0
    times = [field.name for field in batches.schema if pa.types.is_timestamp(field.type)]
    encodings = dict.fromkeys(times, "DELTA_BINARY_PACKED")
    others = [name for name in batches.schema.names if name not in times]
    with pq.ParquetWriter(
        output.stream,
        batches.schema,
        compression=compression,
        use_dictionary=others,
        column_encoding=encodings or None,
    ) as writer:
        for batch in batches:
            writer.write_batch(batch)
            row_count += batch.num_rows
    return row_count
