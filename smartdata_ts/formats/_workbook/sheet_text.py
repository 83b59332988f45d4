"""The cells of a sheet as delimited text, so that columns are found in it as in any text file.

Numbers are written so that they come back to the bit; dates and times of day as ISO 8601, rounded to the
second, since a day's fraction is not exact; texts as they are; empty cells and errors as nothing. A row of
the sheet is a line of the text, so that their numbers agree.
"""

import csv
import datetime as dt
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc

DELIMITER = "\t"
_ROWS = 8_192
_HEAD_ROWS = 1_000  # by blocks of some rows, for names stand above numbers there
_COMMA_NUMBER = re.compile(r"[+-]?\d{1,15},\d{1,15}")
_HALF = dt.timedelta(microseconds=500_000)
_MIDNIGHT = dt.time()
_DATETIME = dt.datetime
_BREAK = re.compile(r"[\t\r\n]")
_BREAKS = str.maketrans("\t\r\n", "   ")


class SheetText:
    """A binary stream of the text; `decimal` is the mark of its numbers."""

    def __init__(self, rows: Iterable[Sequence[Any]], name: str, first_row: int) -> None:
        self.name = name
        source = iter(rows)
        head = list(islice(source, _HEAD_ROWS))
        self.decimal = _decimal_of(head)
        above = _rows_above(head)
        self._pieces = map(self._text, chain(_blocks(iter(head[above:]), 100), _blocks(source, _ROWS)))
        self._ready = memoryview(b"\n" * first_row + self._lines(head[:above]))

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, none at the end."""
        while not self._ready:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._ready = piece
        part, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return part

    def readinto(self, target: memoryview) -> int:
        """Fill part of `target`; return the byte count, 0 at the end."""
        part = self.read(len(target))
        target[: len(part)] = part
        return len(part)

    def _lines(self, rows: list[Sequence[Any]]) -> bytes:
        """Rows above the table, without the empty cells after their last one."""
        file = io.StringIO()
        writer = csv.writer(file, delimiter=DELIMITER, lineterminator="\n")
        for row in rows:
            writer.writerow([self._cell(cell, False) or "" for cell in row[: _filled_width(row)]])
        return file.getvalue().encode()

    def _text(self, block: list[Sequence[Any]]) -> memoryview:
        columns = [self._column(cells) for cells in zip(*block, strict=True)]
        table = pa.table(columns, [str(k) for k in range(len(columns))])
        sink = pa.BufferOutputStream()
        style = pc.WriteOptions(include_header=False, delimiter=DELIMITER, quoting_style="needed")
        pc.write_csv(table, sink, style)
        return memoryview(sink.getvalue())

    def _column(self, cells: Sequence[Any]) -> pa.Array:
        kinds = set(map(type, cells))
        if kinds == {float} and self.decimal == ".":
            return pa.array(cells, pa.float64())
        if kinds == {str} and _BREAK.search("".join(cells)) is None:
            return pa.array([cell or None for cell in cells], pa.string())
        if kinds in ({dt.datetime}, {dt.datetime, dt.date}):
            moments = [
                cell if type(cell) is _DATETIME and not cell.microsecond else _rounded(cell) for cell in cells
            ]
            return pa.array(moments, pa.timestamp("s"))
        if kinds == {dt.date}:
            return pa.array(cells, pa.date32())
        has_moments = dt.datetime in kinds
        return pa.array([self._cell(cell, has_moments) for cell in cells], pa.string())

    def _cell(self, cell: Any, has_moments: bool) -> str | None:
        if isinstance(cell, str):
            return cell.translate(_BREAKS) or None
        if isinstance(cell, bool):
            return str(cell).lower()
        if isinstance(cell, int | float):
            return repr(cell).removesuffix(".0").replace(".", self.decimal)
        if isinstance(cell, dt.datetime) or (has_moments and isinstance(cell, dt.date)):
            return str(_rounded(cell))
        if isinstance(cell, dt.time):
            moment = _rounded(dt.datetime.combine(dt.date(2000, 1, 1), cell))
            return "24:00:00" if moment.day == 2 else moment.time().isoformat()
        if isinstance(cell, dt.timedelta):
            return _clock(cell)
        return str(cell)


def _filled_width(row: Sequence[Any]) -> int:
    """The place after the last cell that is not empty."""
    return next((k for k in range(len(row), 0, -1) if row[k - 1] != ""), 0)


def _rows_above(rows: list[Sequence[Any]]) -> int:
    """How many rows stand above the first that reaches as far to the right as any."""
    widths = [_filled_width(row) for row in rows]
    return widths.index(max(widths)) if widths else 0


def _blocks(rows: Iterator[Sequence[Any]], size: int) -> Iterator[list[Sequence[Any]]]:
    """The rows by blocks; a column of one kind within a block is written at once."""
    while block := list(islice(rows, size)):
        yield block


def _decimal_of(rows: list[Sequence[Any]]) -> str:
    """A comma where texts are numbers with one, and no cell of the sheet is a number with a fraction."""
    cells = [cell for row in rows for cell in row]
    if any(isinstance(cell, float) and not cell.is_integer() for cell in cells):
        return "."
    return "," if any(isinstance(cell, str) and _COMMA_NUMBER.fullmatch(cell) for cell in cells) else "."


def _rounded(moment: Any) -> dt.datetime:
    """A date, or a time to the nearest second."""
    if not isinstance(moment, dt.datetime):
        return dt.datetime.combine(moment, _MIDNIGHT)
    if not moment.microsecond:
        return moment
    try:
        return (moment + _HALF).replace(microsecond=0)
    except OverflowError:
        return moment.replace(microsecond=0)


def _clock(length: dt.timedelta) -> str:
    seconds = round(length.total_seconds())
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
