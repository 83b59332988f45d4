"""How large a workbook is, found out before anything opens it.

A library that reads workbooks makes room for all cells between the first and the last one that a sheet
names. Two cells at its corners are 17 thousand million, so that the ends are looked up first. Parts of the
archive are unpacked once, piece by piece, and must be as large as the archive says.
"""

import re
import zipfile
from collections.abc import Iterator
from typing import Any

from smartdata_ts.errors import DataError
from smartdata_ts.formats._source import DAMAGES

CELLS_MAX = 32_000_000
PART_SIZE_MAX = 256 << 20  # texts that cells share, styles
SHEET_SIZE_MAX = 2 << 30
_ROWS_MAX = 1_048_576
_NARROW = 26  # columns A to Z: with every row there is, less than CELLS_MAX
_PIECE_SIZE = 1 << 20
_WIDE = re.compile(rb'<c r="[A-Za-z]{2}')
_PLACE = re.compile(rb"\br\s*=\s*[\"']([A-Za-z]{0,7})(\d{1,10})[\"']")
_UNUSUAL = re.compile(rb"<(?:\w+:)?c(?! r=\")[\s/>]")
_CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
_ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
_DISGUISED = re.compile(rb"\sr\s*=\s*[\"'][^\"'<>]*&")
_REPEATED = re.compile(rb"<[\w-]+:table-(row|cell|column)\b([^>]*)")
_TIMES = re.compile(rb"number-(?:rows|columns)-repeated\s*=\s*[\"'](\d{1,12})[\"']")


def check_archive(file: Any, name: str) -> None:
    """Refuse a workbook of which a sheet would take more than CELLS_MAX cells; DataError says so."""
    try:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                _check_part(archive, info, name)
    except DAMAGES as error:
        raise DataError(
            f"{name}: the workbook cannot be read: {error}; save it once more, as .xlsx"
        ) from error
    if hasattr(file, "seek"):
        file.seek(0)


def _check_part(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> None:
    part = info.filename.lower()
    is_sheet = part.startswith("xl/worksheets/") or part == "content.xml"
    limit = SHEET_SIZE_MAX if is_sheet else PART_SIZE_MAX
    if info.file_size > limit:
        raise DataError(f"{name}: {info.filename} takes {info.file_size >> 20} MB unpacked; save it as CSV")
    if not part.endswith((".xml", ".rels", ".bin")):
        return  # pictures and their like, which nobody opens
    if part == "content.xml":
        _check_repeats(_pieces(archive, info), name)
    elif is_sheet:
        _check_cells(archive, info, name)
    else:
        for _ in _pieces(archive, info):
            pass  # unpacked to see that it is as large as it says, and whole


def _pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of a part, cut where an element begins, so that no pattern is cut."""
    with archive.open(info) as part:
        rest = b""
        while piece := part.read(_PIECE_SIZE):
            piece = rest + piece
            cut = piece.rfind(b"<")
            if cut <= 0 or len(piece) - cut > _PIECE_SIZE:
                cut = len(piece)
            yield piece[:cut]
            rest = piece[cut:]
        yield rest


def _check_cells(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> None:
    """A sheet up to column Z cannot be too large; of a wider one every place is looked at."""
    is_narrow = True
    for piece in _pieces(archive, info):
        if b"<!DOCTYPE" in piece or (b"&#" in piece and _DISGUISED.search(piece)):
            raise DataError(f"{name}: {info.filename} holds places that are not plain; save it as CSV")
        # Counting is ten times as fast as the pattern, which is tried where the counts leave it open.
        is_plain = piece.count(b"<c") == piece.count(b'<c r="') and b":c" not in piece
        if _WIDE.search(piece) or not (is_plain or _UNUSUAL.search(piece) is None):
            is_narrow = False
    if is_narrow:
        return
    width = last_row = cells_in_row = row_count = 0
    for piece in _pieces(archive, info):
        for letters, digits in _PLACE.findall(piece):
            width = max(width, _column(letters))
            last_row = max(last_row, int(digits))
        for k, row in enumerate(_ROW.split(piece)):
            cells_in_row = len(_CELL.findall(row)) + (cells_in_row if k == 0 else 0)
            width = max(width, cells_in_row)
            row_count += k > 0
    _refuse_large(width, max(last_row, row_count), name, info.filename)


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = 26 * number + letter - 64
    return number


def _check_repeats(pieces: Iterator[bytes], name: str) -> None:
    """Rows and cells of an OpenDocument sheet may be said to be repeated; those with content count."""
    width = height = repeats = cells = 0
    for piece in pieces:
        if b"<!DOCTYPE" in piece:
            raise DataError(f"{name}: it declares a document type, which is refused; save it as .xlsx")
        for kind, attributes in _REPEATED.findall(piece):
            found = _TIMES.search(attributes)
            count = int(found[1]) if found else 1
            if kind == b"row":
                repeats, cells = count, 0
            elif kind == b"cell" and b"value" in attributes:
                cells += count
                width = max(width, cells)
                height += repeats
                repeats = 0
            else:
                cells += count
            if width * height > CELLS_MAX:
                _refuse_large(width, height, name, "content.xml")


def _refuse_large(width: int, height: int, name: str, part: str) -> None:
    if width * height > CELLS_MAX:
        raise DataError(
            f"{name}: {part} reaches over {height:,} rows and {width:,} columns, which is more than"
            f" {CELLS_MAX:,} cells; delete what is empty, or save the sheet as CSV"
        )
