"""Results on standard output: a table for people, CSV or JSON lines for programs."""

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from smartdata_ts import formats
from smartdata_ts.formats import iso_times

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ._options import Printing

_TABLE_ROWS = 40
_TEXT_WIDTH_MIN = 8
_JSON_PIECE_ROWS = 16_384
_ISO_TIME = re.compile(r"(.+)T(\d\d:\d\d)(:\d\d(?:\.\d+)?)(.*)")


def is_table(format: str | None) -> bool:
    """Whether results are to be a table."""
    return format == "table" or (format is None and sys.stdout.isatty())


def show(batches: pa.RecordBatchReader, printing: "Printing", tz: str = "UTC") -> None:
    """Print batches of any columns, times on the wall of `tz`."""
    if is_table(printing.format):
        _show_table(batches, tz, _TABLE_ROWS if printing.limit is None else printing.limit)
        return
    limited = pa.RecordBatchReader.from_batches(batches.schema, _first_rows(batches, printing.limit))
    if printing.format == "jsonl":
        from ._json_lines import json_lines

        for batch in limited:
            for start in range(0, batch.num_rows, _JSON_PIECE_ROWS):
                sys.stdout.write(json_lines(batch.slice(start, _JSON_PIECE_ROWS), tz))
    else:
        sys.stdout.flush()
        formats.write("-", limited, format="csv", tz=tz)


def show_table(table: pa.Table, printing: "Printing", tz: str = "UTC") -> None:
    """Print a table that is at hand."""
    show(table.to_reader(), printing, tz)


def say(*parts: "RenderableType") -> None:
    """Print what is meant for people: text with rich's marks, tables, panels."""
    from rich.console import Console

    # Captured, since rich answers a closed pipe in its own way.
    console = Console(highlight=False)
    with console.capture() as capture:
        for part in parts:
            console.print(part, crop=False)
    sys.stdout.write(capture.get())
    sys.stdout.flush()


def grid(rows: "list[tuple[RenderableType, ...]]", right: tuple[int, ...] = ()) -> "RenderableType":
    """Rows in columns without lines; `right` names those that are set to the right."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for place in range(max(map(len, rows), default=0)):
        table.add_column(justify="right" if place in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def table_of(batch: pa.Table, tz: str) -> "RenderableType":
    """A table with a head, its numbers set to the right."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    columns = [[escape(cell) for cell in cells(column, tz)] for column in batch.columns]
    are_texts = [pa.types.is_string(kind) or pa.types.is_dictionary(kind) for kind in batch.schema.types]
    # Only texts are cut: a number or a time cut short would be another one.
    widths = [
        min(width, _TEXT_WIDTH_MIN) if is_text else width
        for width, is_text in zip(map(_width, batch.schema.names, columns), are_texts, strict=True)
    ]
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="bold",
        min_width=sum(widths) + 3 * len(widths) - 3,
    )
    for field, width in zip(batch.schema, widths, strict=True):
        is_number = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
        table.add_column(field.name, justify="right" if is_number else "left", no_wrap=True, min_width=width)
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    return table


def _width(name: str, column: list[str]) -> int:
    return max(len(name), *map(len, column), 0)


def cells(column: pa.ChunkedArray, tz: str) -> list[str]:
    """The texts of a column's values, as people read them."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks)
        return [_wall(text) for text in iso_times(array, tz)]
    if pa.types.is_floating(kind):
        return _number_texts(column.to_pylist())
    if pa.types.is_integer(kind):
        return ["" if value is None else f"{value:,}" for value in column.to_pylist()]
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _number_texts(values: list[float | None]) -> list[str]:
    """Numbers with as many decimals as one of them needs, up to six; the very large and small by power."""
    plain = [value for value in values if value is not None and _is_plain(value)]
    decimals = max((len(f"{value:.6f}".rstrip("0").partition(".")[2]) for value in plain), default=0)
    return ["" if value is None else _number_text(value, decimals) for value in values]


def _number_text(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}" if _is_plain(value) else f"{value:g}"


def _is_plain(value: float) -> bool:
    return value == 0 or 1e-4 <= abs(value) < 1e15


def size_text(size: int) -> str:
    """A size in bytes, kB, MB or GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size:,} bytes"


def _wall(text: str | None) -> str:
    """An ISO time as people read it: 2025-10-26 02:00 +01:00."""
    if text is None:
        return ""
    return _ISO_TIME.sub(lambda parts: f"{parts[1]} {parts[2]}{_seconds(parts[3])} {parts[4]}", text).rstrip()


def _seconds(text: str) -> str:
    return "" if text == ":00" else text


def _show_table(batches: pa.RecordBatchReader, tz: str, limit: int) -> None:
    kept = list(_first_rows(batches, limit + 1 if limit else None))
    table = pa.Table.from_batches(kept, batches.schema)
    if table.num_rows == 0:
        say("[dim]nothing found[/]")
        return
    if limit and table.num_rows > limit:
        advice = f"[dim]the first {limit}; --limit 0 shows all, and so does a pipe[/]"
        say(table_of(table.slice(0, limit), tz), advice)
    else:
        say(table_of(table, tz))


def _first_rows(batches: pa.RecordBatchReader, limit: int | None) -> Iterator[pa.RecordBatch]:
    left = limit or None
    for batch in batches:
        if left is None:
            yield batch
            continue
        yield batch.slice(0, left)
        left -= min(left, batch.num_rows)
        if left == 0:
            return
