"""Outside formats: one file each, all with the same face.

import_file   a file into a store, in one commit
open_reader   a file as batches of readings, with every row accounted for
write         batches of readings as a file
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from smartdata_ts.errors import DataError, UsageError

from ._output import Output
from ._registry import FORMATS

if TYPE_CHECKING:
    from ._import_file import ImportReport, Progress, import_file
    from ._options import ReadOptions
    from ._read_ahead import read_ahead
    from ._reader import Reader
    from ._rejects import Reject, RejectSink, RejectWriter
    from ._text.dialect import Dialect
    from ._text.iso_times import iso_times
    from ._text.sniff import sniff

__all__ = [
    "Dialect",
    "ImportReport",
    "Progress",
    "ReadOptions",
    "Reader",
    "Reject",
    "RejectSink",
    "RejectWriter",
    "format_of",
    "import_file",
    "iso_times",
    "open_reader",
    "read_ahead",
    "sniff",
    "write",
]

_HOMES = {
    "Dialect": "_text.dialect",
    "ImportReport": "_import_file",
    "Progress": "_import_file",
    "ReadOptions": "_options",
    "Reader": "_reader",
    "Reject": "_rejects",
    "RejectSink": "_rejects",
    "RejectWriter": "_rejects",
    "import_file": "_import_file",
    "iso_times": "_text.iso_times",
    "read_ahead": "_read_ahead",
    "sniff": "_text.sniff",
}
_PACKINGS = (".gz", ".bz2", ".zst", ".lz4", ".zip")


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def _module(format: str) -> Any:
    return importlib.import_module(f"{__name__}.{FORMATS[format].module}")


def open_reader(
    path: str | Path | Any,
    format: str | None = None,
    rejects: "RejectSink | None" = None,
    **options: Any,
) -> "Reader":
    """Open outside data for reading; iterate over the reader for batches of readings.

    `path` is a file's name, "-" for standard input, or a binary file object. `format` is one of
    FORMATS, told by the first bytes, and else by the file's name, where it is left out; DataError says
    what a file is that cannot be read, and what to do. `rejects` is called with every row that
    cannot be taken, for example a RejectWriter. The options are those of ReadOptions.
    """
    from ._options import read_options
    from ._source import Source

    _check(format)
    told = read_options(options)
    source = Source(path, told.member)
    try:
        reader: Reader = _module(format or _format_in(source)).open_reader(source, told, rejects)
    except BaseException:
        source.close()
        raise
    return reader


def write(
    path: str | Path | Any, batches: pa.RecordBatchReader, format: str | None = None, **options: Any
) -> int:
    """Write batches, of readings or of any other columns, to a file; return the row count.

    `path` is a file's name, "-" for standard output, or a binary file object. The file gets its
    name once it is whole. Options: for csv delimiter, tz and guard; for parquet and arrow
    compression.
    """
    name = format_of(path, format)
    if not FORMATS[name].writes:
        written = ", ".join(known for known, about in FORMATS.items() if about.writes)
        raise UsageError(f"{name} is read, and not written; there are: {written}")
    module = _module(name)
    for option in options:
        if option not in module.WRITE_OPTIONS:
            known = ", ".join(module.WRITE_OPTIONS)
            raise UsageError(f"{name} has no option {option!r} for writing; there are: {known}")
    with Output(path, packed=FORMATS[name].is_text) as output:
        row_count: int = module.write(output, batches, **options)
    return row_count


def format_of(path: Any, format: str | None = None) -> str:
    """The name of a file's format: the one given, else told by the file's name, else "csv"."""
    _check(format)
    if format is not None:
        return format
    suffixes = [suffix.lower() for suffix in Path(str(getattr(path, "name", path))).suffixes]
    for suffix in reversed(suffixes):
        for name, known in FORMATS.items():
            if suffix in known.suffixes:
                return name
        if suffix not in _PACKINGS:
            break
    return "csv"


def _format_in(source: Any) -> str:
    """The format that a file's first bytes tell, else its name; DataError where it is known and not read."""
    from ._head import Head
    from ._registry import describe_unread, recognise

    head = Head(source.head)
    found = recognise(head)
    if found is not None:
        return found
    told = describe_unread(head)
    if told is not None:
        raise DataError(f"{source.name}: this is {told}")
    return format_of(source.name)


def _check(format: str | None) -> None:
    if format is not None and format not in FORMATS:
        raise UsageError(f"format={format!r} is not known; there are: {', '.join(FORMATS)}")
