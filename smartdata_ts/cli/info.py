"""Say what a store holds."""

from pathlib import Path
from typing import TYPE_CHECKING

from ._command import command
from ._options import Printing, print_format_option, store_argument, tz_option

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import RenderableType

    from smartdata_ts import Info


@command("info", "smartdata-ts info city.sdts", "smartdata-ts info city.sdts --format jsonl | jq .readings")
@store_argument
@tz_option
@print_format_option
def info(store: Path, tz: str, format: str | None) -> None:
    """Say what a store holds.

    Its series, readings, size and span; chunks, the head of recent writes, and the newest commit; its
    format version and identity, which its backups have too.
    """
    from smartdata_ts import open as open_store

    from ._output import is_table, say, show_table

    with open_store(store, "r") as opened:
        found = opened.info()
    if is_table(format):
        from rich.markup import escape

        say(f"[bold]{escape(found.path)}[/]", _facts(found, tz))
    else:
        show_table(_row(found), Printing(format, None), tz)


def _row(info: "Info") -> "pa.Table":
    import numpy as np
    import pyarrow as pa

    from smartdata_ts._readings.arrow import fixed_array, text_array

    cells = {
        "series": info.series,
        "readings": info.readings,
        "bytes": info.bytes,
        "bytes_per_reading": info.bytes_per_reading,
        "first": info.time_min,
        "last": info.time_max,
        "chunks": info.chunks,
        "head_readings": info.head_readings,
        "commit": info.commit,
        "format_version": info.format_version,
    }
    columns = {
        name: pa.nulls(1) if cell is None else fixed_array(np.array([cell])) for name, cell in cells.items()
    }
    for name in ("first", "last"):
        columns[name] = columns[name].cast(pa.timestamp("us", "UTC"))
    columns["id"] = pa.array([info.id], pa.string())
    columns["is_backup"] = pa.array([info.is_backup])
    return pa.table({"path": text_array([info.path]), **columns})


def _facts(info: "Info", tz: str) -> "RenderableType":
    from ._output import cells, grid, size_text

    row = _row(info)
    per_reading = info.bytes_per_reading
    size = size_text(info.bytes) + (f", {per_reading:.2f} bytes a reading" if per_reading else "")
    facts = [("series", f"{info.series:,}"), ("readings", f"{info.readings:,}")]
    if info.readings:
        facts += [(name, cells(row[name], tz)[0]) for name in ("first", "last")]
    facts += [
        ("on disk", size),
        ("chunks", f"{info.chunks:,}"),
        ("head", f"{info.head_readings:,} readings"),
        ("commit", f"{info.commit:,}"),
        ("format", f"version {info.format_version}"),
        ("identity", _identity(info)),
    ]
    return grid([(f"  {name}", text) for name, text in facts])


def _identity(info: "Info") -> str:
    if info.id is None:
        return "none; it gets one when it is opened for writing"
    return f"{info.id}, of which this is a backup" if info.is_backup else info.id
