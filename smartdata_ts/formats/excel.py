"""Workbooks: .xlsx, .xls and .ods by python-calamine, .xlsx written by XlsxWriter.

- The sheet is read as a text file would be: header below other lines, columns by options, names and
  content. The sheet with a table is taken; where several have one, sheet= says which.
- A time in a cell is a local one, of the zone that tz= names, rounded to the second. A number is a number,
  whatever the cell shows; a text goes through the parsers of text files. Errors such as #N/A are empty.
- What is written has a row a reading: texts as texts, times as local ones with their offset from UTC in a
  column beside them, since a cell holds no offset. A sheet holds 1,048,575 rows; more go to further sheets.
"""

import datetime as dt
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from smartdata_ts._time.wall_clock import parse_offset_us
from smartdata_ts.errors import DataError, MissingDependencyError, UsageError

from . import csv_text
from ._options import ReadOptions
from ._output import Output
from ._reader import Reader
from ._rejects import RejectSink
from ._source import Source
from ._workbook.bounds import CELLS_MAX, PART_SIZE_MAX, check_archive
from ._workbook.sheet_text import DELIMITER, SheetText

WRITE_OPTIONS = ("tz",)

_SHEET_ROWS = 1_048_575  # below the header
_ZIP = b"PK"
_MISSING = 'workbooks need python-calamine and XlsxWriter: pip install "smartdata_ts[excel]"'


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read a sheet of a workbook."""
    try:
        import python_calamine
    except ImportError as error:
        raise MissingDependencyError(f"{source.name}: {_MISSING}") from error
    file = source.random_access()
    if source.head.startswith(_ZIP):
        check_archive(file, source.name)
    elif len(source.head) > PART_SIZE_MAX:
        raise DataError(f"{source.name}: too large for a workbook of this kind; save it as .xlsx or CSV")
    try:
        workbook = python_calamine.CalamineWorkbook.from_object(file)
        sheet = _sheet(workbook, options.sheet, source.name)
    except python_calamine.PasswordError as error:
        raise DataError(f"{source.name}: it is locked by a password; save it without one") from error
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise DataError(f"{source.name}: the workbook cannot be read: {error}; save it once more") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise DataError(f"{source.name}: the workbook is damaged; save it once more, as .xlsx") from error
    source.close()
    text = SheetText(sheet.iter_rows(), source.name, (sheet.start or (0, 0))[0])
    told = replace(options, delimiter=DELIMITER, decimal=options.decimal or text.decimal, encoding="utf-8")
    reader = csv_text.open_reader(Source(text), replace(told, member=None), sink)
    reader.sheet = sheet.name
    return reader


def _sheet(workbook: Any, wanted: str | int | None, where: str) -> Any:
    """The sheet that was asked for, or the only one that has a table."""
    names = workbook.sheet_names
    shown = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
    if wanted is not None:
        if wanted in names:
            return _opened(workbook, str(wanted), where)
        if str(wanted).isdecimal() and 1 <= int(wanted) <= len(names):
            return _opened(workbook, names[int(wanted) - 1], where)
        raise UsageError(f"{where}: sheet={wanted!r} is no sheet; there are {shown}")
    visible = [about.name for about in workbook.sheets_metadata if str(about.visible).endswith("Visible")]
    found: dict[str, Any] = {}
    for name in visible or names:
        sheet = _opened(workbook, name, where)
        if _has_table(sheet):
            found[name] = None if found else sheet  # of several none is needed
    if len(found) > 1:
        shown = ", ".join(map(repr, list(found)[:8])) + (", ..." if len(found) > 8 else "")
        raise UsageError(f"{where}: {len(found)} sheets have a table: pass sheet= with one of {shown}")
    if not found:
        raise DataError(f"{where}: no sheet has a row with a number; the sheets are {shown}")
    return next(iter(found.values()))


def _opened(workbook: Any, name: str, where: str) -> Any:
    sheet = workbook.get_sheet_by_name(name)
    if sheet.width * sheet.height > CELLS_MAX:
        raise DataError(f"{where}: sheet {name!r} is larger than {CELLS_MAX:,} cells; save it as CSV")
    return sheet


def _has_table(sheet: Any) -> bool:
    """Whether two rows have a number or a time, and something beside it."""
    rows = 0
    for row in sheet.iter_rows():
        filled = [cell for cell in row if cell != ""]
        rows += len(filled) > 1 and any(
            not isinstance(cell, str) or cell[:1].isdigit() or cell[1:2].isdigit() for cell in filled
        )
        if rows > 1:
            return True
    return rows == 1 and sheet.height <= 2


def write(output: Output, batches: pa.RecordBatchReader, tz: str = "UTC") -> int:
    """Write batches as a workbook; return the row count. Times are local ones of `tz`."""
    try:
        import xlsxwriter
    except ImportError as error:
        raise MissingDependencyError(_MISSING) from error
    settings = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "nan_inf_to_errors": True,
    }
    with xlsxwriter.Workbook(_Unseekable(output.stream), settings) as workbook:
        pages = _Pages(workbook, batches.schema, tz)
        for batch in batches:
            pages.add(batch)
        return pages.row_count


class _Unseekable:
    """A stream that only takes bytes: an archive can be written to it from front to end."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        return len(data)

    def flush(self) -> None:
        self._stream.flush()


class _Pages:
    """The sheets of a workbook that grows."""

    def __init__(self, workbook: Any, schema: pa.Schema, tz: str) -> None:
        self.row_count = 0
        self._workbook = workbook
        self._schema = schema
        self._tz = tz
        self._time_format = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._sheet: Any = None
        self._next_row = 0
        self._begin()

    def add(self, batch: pa.RecordBatch) -> None:
        """Write the rows of a batch."""
        columns = [column for field in batch.schema for column in self._cells(batch.column(field.name))]
        for row in zip(*columns, strict=True):
            if self._next_row > _SHEET_ROWS:
                self._begin()
            for place, cell in enumerate(row):
                self._write(place, cell)
            self._next_row += 1
        self.row_count += batch.num_rows

    def _begin(self) -> None:
        self._sheet = self._workbook.add_worksheet()
        names = []
        for field in self._schema:
            names += [field.name, "utc_offset"] if pa.types.is_timestamp(field.type) else [field.name]
        for place, name in enumerate(names):
            self._sheet.write_string(0, place, name)
        self._next_row = 1

    def _cells(self, column: pa.Array) -> list[list[Any]]:
        if not pa.types.is_timestamp(column.type):
            return [column.to_pylist()]
        zone: Any = self._tz
        offset = parse_offset_us(self._tz)
        zone = ZoneInfo(self._tz) if offset is None else dt.timezone(dt.timedelta(microseconds=offset))
        column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
        moments = [None if moment is None else moment.astimezone(zone) for moment in column.to_pylist()]
        offsets = [None if moment is None else moment.isoformat()[-6:] for moment in moments]
        return [moments, offsets]

    def _write(self, place: int, cell: Any) -> None:
        sheet, row = self._sheet, self._next_row
        if isinstance(cell, str):
            sheet.write_string(row, place, cell)
        elif isinstance(cell, dt.datetime):
            sheet.write_datetime(row, place, cell.replace(tzinfo=None), self._time_format)
        elif cell is not None:
            sheet.write(row, place, cell)
