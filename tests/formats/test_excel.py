"""Workbooks: sheets, headers under other lines, dates, errors, and what is written."""

import datetime as dt
import io
import zipfile

import openpyxl
import pyarrow as pa
import pytest
import xlsxwriter
from format_samples import TABLE

from smartdata_ts.errors import DataError, UsageError
from smartdata_ts.formats import open_reader, write


def workbook(sheets, **settings) -> bytes:
    """Sheets by name, each a list of rows."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"nan_inf_to_errors": True, **settings}) as book:
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for row, cells in enumerate(rows):
                for column, cell in enumerate(cells):
                    style = moment if isinstance(cell, dt.datetime | dt.date | dt.time) else None
                    sheet.write(row, column, cell, style)
    return file.getvalue()


def read(data: bytes, **options):
    with open_reader(io.BytesIO(data), **options) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    return [(row["series"], row["time"].strftime("%m-%dT%H:%M:%S"), row["value"]) for row in rows], reader


HOUR = dt.timedelta(hours=1)
START = dt.datetime(2025, 1, 1)
LONG = [["Måler", "Tidspunkt", "kWh"], ["a", START, 1.5], ["a", START + HOUR, 2], ["b", START, 0.1]]


def test_a_sheet_is_read_as_a_text_file_would_be():
    rows, reader = read(workbook({"Data": LONG}), tz="Europe/Oslo")
    assert rows == [("a", "12-31T23:00:00", 1.5), ("a", "01-01T00:00:00", 2.0), ("b", "12-31T23:00:00", 0.1)]
    assert reader.sheet == "Data"


def test_a_header_stands_below_other_lines_and_rejects_name_sheet_and_row():
    above = [["Rapport for Havna"], [], ["Periode", "januar"]]
    rows, reader = read(workbook({"Data": [*above, *LONG, ["b", START + HOUR, "broken"]]}), tz="UTC")
    assert len(rows) == 3
    assert [(reject.line, reject.reason) for reject in reader.rejects] == [("Data!8", "unreadable number")]


def test_a_fraction_of_a_day_is_rounded_to_the_second_in_either_date_system():
    for settings, first in (({}, 45292), ({"date_1904": True}, 45292 - 1462)):
        file = io.BytesIO()
        with xlsxwriter.Workbook(file, settings) as book:
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, ["meter", "time", "value"])
            for row, fraction in enumerate((0.0416666667, 0.0833333333, 0.9999999), 1):
                sheet.write(row, 0, "a")
                sheet.write(row, 1, first + fraction, book.add_format({"num_format": "dd.mm.yyyy hh:mm"}))
                sheet.write(row, 2, row)
        rows, _ = read(file.getvalue(), tz="UTC")
        assert [row[1] for row in rows] == ["01-01T01:00:00", "01-01T02:00:00", "01-02T00:00:00"]


def test_dates_and_clocks_in_two_columns_and_texts_with_decimal_commas():
    table = [["meter", "date", "clock", "value"]]
    table += [["a", dt.date(2025, 1, day), dt.time(hour), f"{hour},5"] for day in (1, 2) for hour in (0, 13)]
    rows, _ = read(workbook({"Data": table}), tz="UTC")
    assert [row[1:] for row in rows] == [
        ("01-01T00:00:00", 0.5),
        ("01-01T13:00:00", 13.5),
        ("01-02T00:00:00", 0.5),
        ("01-02T13:00:00", 13.5),
    ]


def test_errors_and_empty_cells_are_empty():
    table = [*LONG, ["a", START + 2 * HOUR, float("nan")], ["a", START + 3 * HOUR, None]]
    rows, reader = read(workbook({"Data": table}), tz="UTC")
    assert len(rows) == 3
    assert reader.empty + reader.rejected == 2


def test_text_times_and_leading_zeros_stay_what_they_are():
    table = [
        ["meter", "time", "value"],
        ["007", "01-01-2025 01:00:00 +0100", 5],
        ["007", "01-01-2025 13:00:00 +0100", 6],
    ]
    rows, _ = read(workbook({"Data": table}), time_format="%d-%m-%Y %H:%M:%S")
    assert rows == [("007", "01-01T00:00:00", 5.0), ("007", "01-01T12:00:00", 6.0)]


def test_several_sheets_with_a_table_are_asked_about():
    data = workbook({"About": [["Made by", "hand"]], "Jan": LONG, "Feb": LONG})
    with pytest.raises(UsageError, match="2 sheets have a table: pass sheet= with one of 'Jan', 'Feb'"):
        read(data, tz="UTC")
    assert read(data, tz="UTC", sheet="Feb")[0] == read(data, tz="UTC", sheet=2)[0]
    with pytest.raises(UsageError, match="sheet='Mar' is no sheet; there are 'About', 'Jan', 'Feb'"):
        read(data, tz="UTC", sheet="Mar")
    assert len(read(workbook({"About": [["Made by", "hand"]], "Jan": LONG}), tz="UTC")[0]) == 3


# -- sizes


def changed(data: bytes, change) -> bytes:
    """The workbook with its sheet changed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, change(part) if "sheet1" in name else part)
    return file.getvalue()


CORNERS = {
    "named": lambda part: part.replace(b'r="B2"', b'r="XFD1048576"'),
    "in lower case": lambda part: part.replace(b'r="B2"', b'r="xfd1048576"'),
    "in other quotes": lambda part: part.replace(b'r="B2"', b"r = 'XFD1048576'"),
    "by a reference": lambda part: part.replace(b'r="B2"', b'r="&#88;FD1048576"'),
    "without names": lambda part: part.replace(
        b'<row r="2"', b'<row r="1048000"><c/>' + b"<c/>" * 16_000 + b'</row><row r="1048001"'
    ),
}


@pytest.mark.parametrize("how", CORNERS)
def test_a_sheet_of_seventeen_thousand_million_cells_of_nothing_is_refused_unopened(how):
    data = workbook({"Data": [[1, 2], [3, 4]]})
    assert b'r="B2"' in zipfile.ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml")
    with pytest.raises(DataError, match="save"):
        read(changed(data, CORNERS[how]), tz="UTC")


def test_parts_that_unpack_to_more_than_they_say_or_to_very_much_are_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/sharedStrings.xml", b" " * (257 << 20))
    with pytest.raises(DataError, match="MB unpacked"):
        read(file.getvalue(), tz="UTC")


def test_a_wide_sheet_that_is_whole_is_read():
    names = [f"m{k}" for k in range(40)]
    rows = [["time", *names], *([START + k * HOUR, *(k + j / 8 for j in range(40))] for k in range(24))]
    assert len(read(workbook({"Data": rows}), tz="UTC", wide=True)[0]) == 24 * 40


def test_an_open_document_of_repeated_nothing_is_refused():
    cell = (
        '<table:table-cell office:value-type="float" office:value="1" table:number-columns-repeated="16384"/>'
    )
    row = f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row>'
    content = f"<office:document-content>{row}"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
    with pytest.raises(DataError, match="more than"):
        read(file.getvalue(), tz="UTC")


# -- writing


def test_what_is_written_comes_back_with_texts_as_texts():
    table = pa.table(
        {
            "series": ["=1+1", "http://x", "007"],
            "time": pa.array(
                [1729990800_000000, 1729994400_000000, 1729998000_000000], pa.timestamp("us", "UTC")
            ),
            "value": [1.5, -2.25, 1e300],
        }
    )
    file = io.BytesIO()
    assert write(file, table.to_reader(), "excel", tz="Europe/Oslo") == 3
    sheet = openpyxl.load_workbook(io.BytesIO(file.getvalue())).active
    cells = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert cells[0] == ["series", "time", "utc_offset", "value"]
    assert cells[1][:3] == ["=1+1", dt.datetime(2024, 10, 27, 2), "+01:00"]
    assert [cell.data_type for cell in sheet["A"]] == ["s"] * 4 or [
        cell.data_type for cell in sheet["A"]
    ] == ["inlineStr"] * 4
    assert sheet["A3"].hyperlink is None


def test_what_was_written_is_read(tmp_path):
    assert write(tmp_path / "out.xlsx", TABLE.to_reader()) == 3
    rows, _ = read((tmp_path / "out.xlsx").read_bytes(), tz="UTC")
    assert [(row[0], row[2]) for row in rows] == [("wm-1", 1.5), ("wm-1", 2.25), ("wm-2", 7.0)]
