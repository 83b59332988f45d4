"""Arrow IPC: files (Feather 2) and streams."""

from typing import Any

import pyarrow as pa

from smartdata_ts.errors import DataError

from ._options import ReadOptions
from ._output import Output
from ._reader import Reader
from ._rejects import RejectSink
from ._source import Source
from ._table_reader import TableReader

WRITE_OPTIONS = ("compression",)

_FILE_MAGIC = b"ARROW1"


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read an Arrow IPC file or stream."""
    try:
        path = source.random_access()
        file = pa.PythonFile(path, "r") if hasattr(path, "read") else pa.memory_map(str(path))
        batches = _batches(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source.name}: cannot be read as Arrow IPC: {error}") from error
    source.close()
    try:
        return TableReader(source.name, batches, options, sink, file)
    except BaseException:
        file.close()
        raise


def _batches(source: Any) -> Any:
    magic = source.read(len(_FILE_MAGIC))
    source.seek(0)
    if bytes(magic) != _FILE_MAGIC:
        return pa.ipc.open_stream(source)
    file = pa.ipc.open_file(source)
    return (file.get_batch(k) for k in range(file.num_record_batches))


def write(output: Output, batches: pa.RecordBatchReader, compression: str | None = "zstd") -> int:
    """Write batches as an Arrow IPC stream to a pipe, else as a file; return the row count."""
    row_count = 0
    options = pa.ipc.IpcWriteOptions(
        compression=compression, emit_dictionary_deltas=True, unify_dictionaries=False
    )
    new = pa.ipc.new_stream if output.is_pipe else pa.ipc.new_file
    with new(output.stream, batches.schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
            row_count += batch.num_rows
    return row_count
