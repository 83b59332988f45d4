"""Tells a text file's layout from its head: encoding, delimiter, header, columns, times, numbers.

What the options say is taken as said; what they leave out is told from the head; and what the head
leaves open, where a wrong guess would store wrong readings, is an error that names the option.
"""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence

from smartdata_ts.errors import DialectError
from smartdata_ts.formats._columns.column_roles import MISSING, Roles, assign_roles, is_number
from smartdata_ts.formats._columns.time_format import (
    TimeFormat,
    guess_epoch,
    guess_time_format,
    lacks_offset,
    require_no_ranges,
    time_format_of,
)
from smartdata_ts.formats._options import ReadOptions
from smartdata_ts.formats._source import Source

from .dialect import Dialect

_DELIMITERS = (";", "\t", "|", ",")
_SAMPLE_ROWS = 2000
_WIDTH_ROWS = 40
_MARKED_CELLS = 10_000


def sniff(sample: bytes, **options: object) -> Dialect:
    """The layout of a text file that starts with `sample`, given what the options say.

    Raises DialectError where the head leaves open what a wrong guess would store wrongly.
    """
    from smartdata_ts.formats._options import read_options

    return _sniff(sample, read_options(options), "sample")


def sniff_source(source: Source, options: ReadOptions) -> Dialect:
    """The layout of `source`, which is left standing at its first data row."""
    encoding = _python_encoding(options.encoding or _guess_encoding(source.head), source.name)
    if not _keeps_ascii(encoding):
        source.transcode(encoding)
        encoding = "utf-8"
    dialect = _sniff(source.head, options, source.name, encoding)
    source.skip(_offset_of_line(source.head, dialect.newline, dialect.data_line))
    return dialect


def _sniff(sample: bytes, options: ReadOptions, where: str, encoding: str | None = None) -> Dialect:
    encoding = encoding or _python_encoding(options.encoding or _guess_encoding(sample), where)
    text = sample.decode(encoding, errors="replace").removeprefix("\ufeff")
    newline = "\r" if "\r" in text and "\n" not in text else "\n"
    if "\n" not in text and "\r" not in text and len(text) >= 65536:
        raise DialectError(f"{where}: no line ends in the first {len(text)} bytes: no table of text")
    table = _Table(text, newline, options, where)
    roles = assign_roles(table.names, table.data, table.has_header, options, where)
    time_format = _time_format(table, roles, options, where)
    decimal, thousands = _marks(table, roles, options, where)
    tz = options.tz
    if tz is None and not time_format.epoch_unit_us:
        _require_offsets(table, roles, where)
    taken = {roles.time, roles.clock, roles.series, roles.quality, *roles.values}
    ignored = tuple(k for k, name in enumerate(table.names) if k not in taken and name)
    codes = roles.quality_codes(options.quality_codes)
    return Dialect(
        columns=tuple(table.names),
        time=roles.time,
        clock=roles.clock,
        values=roles.values,
        series=roles.series,
        series_key=options.series_key,
        quality=roles.quality,
        quality_codes=tuple(codes.items()),
        wide=roles.wide,
        time_format=time_format,
        header_line=table.header_line,
        data_line=table.data_line,
        encoding=encoding,
        delimiter=table.delimiter,
        quote=options.quote,
        newline=newline,
        decimal=decimal,
        thousands=thousands,
        tz=tz,
        stamp=options.stamp,
        interval=options.interval,
        ignored=ignored,
    )


class _Table:
    """The head of a file as rows of text, with the header found."""

    def __init__(self, text: str, newline: str, options: ReadOptions, where: str) -> None:
        lines = text.split(newline)
        if len(lines) > 1:
            lines.pop()  # cut somewhere by the end of the head, or empty
        self.skipped = options.skip_rows or 0
        lines = [line.rstrip("\r") for line in lines[self.skipped : self.skipped + _SAMPLE_ROWS]]
        if not any(line.strip() for line in lines):
            raise DialectError(f"{where}: there is nothing in it")
        self.delimiter = options.delimiter or _guess_delimiter(lines, options.quote, where)
        rows = _split(lines, self.delimiter, options.quote)
        self._find_header(rows, options, where)

    def _find_header(self, rows: list[tuple[int, list[str]]], options: ReadOptions, where: str) -> None:
        filled = [(line, row) for line, row in rows if any(row)]
        sure = _first_data_row(filled)
        header = (
            None
            if options.header is False
            else _header_index(filled[:sure], options.header, _usual_width(filled[sure:]))
        )
        if header is None and sure == len(filled):
            raise DialectError(
                f"{where}: no row with a time and a number in the first {len(filled)} lines:"
                " pass delimiter=, time= and value="
            )
        self.has_header = header is not None
        if header is not None:
            self.header_line = self.skipped + filled[header][0]
            self.names = _without_tail(filled[header][1])
            # Units may stand below the names; a row with a time is data, be it broken.
            below = range(header + 1, sure)
            first = next((k for k in below if _is_below_units(filled[k][1])), sure)
            if sure == len(filled):  # no row has a time that reads: the columns tell which cell is at fault
                first = header + 1
        else:
            first = 0 if options.header is False else sure
            self.header_line = 0
            width = Counter(len(row) for _, row in filled[first:]).most_common(1)[0][0]
            self.names = [str(k + 1) for k in range(width)]
        body = filled[first:]
        self.data_line = self.skipped + body[0][0] if body else self.header_line + 1
        width = len(self.names)
        self.data = [row[:width] for _, row in body if len(row) >= width]
        self._require_no_split_decimals([row for _, row in body], where)

    def _require_no_split_decimals(self, rows: list[list[str]], where: str) -> None:
        """Raise DialectError where decimal commas between commas give most rows a field too many."""
        width = len(self.names)
        longer = [row for row in rows if len(row) == width + 1 and row[-1]]
        if self.delimiter == "," and 2 * len(longer) > len(rows):
            raise DialectError(
                f"{where}: {len(longer)} of the first {len(rows)} rows have one field more than the"
                " header, as where decimal commas stand between commas: export it with ';' between columns,"
                " or with decimal points"
            )


def _without_tail(names: list[str]) -> list[str]:
    """Names up to the last that is not empty: a delimiter may end the line."""
    while len(names) > 1 and not names[-1]:
        names.pop()
    return names


def _split(lines: list[str], delimiter: str, quote: str) -> list[tuple[int, list[str]]]:
    """Rows of cells, each with its line's number from 1."""
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, quotechar=quote, strict=False)
    rows = []
    line = 1
    try:
        for row in reader:
            rows.append((line, [cell.strip() for cell in row]))
            line = reader.line_num + 1
    except csv.Error:  # a field larger than the module allows, at a stray quote: enough is seen
        pass
    return rows


def _guess_delimiter(lines: list[str], quote: str, where: str) -> str:
    """The delimiter that gives most rows the same number of fields, in the order of _DELIMITERS."""
    best, best_score = None, 0.5
    body = [line for line in lines if line.strip()]
    for delimiter in _DELIMITERS:
        widths = Counter(len(row) for _, row in _split(body[-1000:], delimiter, quote))
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        if width > 1 and count / max(1, sum(widths.values())) > best_score:
            best, best_score = delimiter, count / sum(widths.values())
    if best is None:
        raise DialectError(f"{where}: no delimiter among ; tab | , splits its lines: pass delimiter=")
    return best


def _first_data_row(filled: list[tuple[int, list[str]]]) -> int:
    """The first row that looks like readings and is as wide as most that do; the row count for none."""
    first = next((k for k, (_, row) in enumerate(filled) if _is_data(row)), len(filled))
    width = _usual_width([found for found in filled[first : first + _WIDTH_ROWS] if _is_data(found[1])])
    later = range(first, min(first + _WIDTH_ROWS, len(filled)))
    return next((k for k in later if len(filled[k][1]) == width and _is_data(filled[k][1])), first)


def _is_data(row: list[str]) -> bool:
    """Whether a row looks like readings: a time or an epoch, and a number or nothing beside it."""
    times = [k for k, cell in enumerate(row) if is_time(cell)]
    numbers = [k for k, cell in enumerate(row) if cell and k not in times and is_number(cell)]
    blanks = [cell for cell in row if cell.lower() in MISSING]
    if times:
        return bool(numbers or blanks) or len(times) == len(row)
    return len(numbers) > 1 and len(numbers) + len(blanks) >= len(row) - 1


def is_time(cell: str) -> bool:
    """Whether a cell reads as a date, with or without a time of day."""
    try:
        return guess_time_format([cell], "") is not None
    except DialectError:
        return True


def _is_below_units(row: list[str]) -> bool:
    """Whether a row below the names is data, sound or broken: a line of units has no time and no number."""
    return any(is_time(cell) or (cell and is_number(cell)) for cell in row)


def _usual_width(rows: list[tuple[int, list[str]]]) -> int:
    widths = Counter(len(row) for _, row in rows)
    return widths.most_common(1)[0][0] if widths else 0


def _header_index(above: list[tuple[int, list[str]]], wanted: bool | None, body_width: int) -> int | None:
    """Which of the rows above the data has the names: the first as wide as the data, else as the widest."""
    texts = [k for k, (_, row) in enumerate(above) if not any(map(is_time, row))]
    plain = [k for k in texts if not above[k][1][0].startswith("#")]
    if plain:
        wordy = [k for k in plain if not any(cell and is_number(cell) for cell in above[k][1])]
        fitting = [k for k in wordy if len(above[k][1]) == body_width and sum(map(bool, above[k][1])) > 1]
        if fitting:
            return fitting[0]
        width = max(len(above[k][1]) for k in plain)
        full = [k for k in plain if len(above[k][1]) == width and sum(map(bool, above[k][1])) > 1]
        return full[0] if full else plain[-1]
    if texts and (wanted or len(above[texts[-1]][1]) > 1):
        names = above[texts[-1]][1]
        names[0] = names[0].lstrip("# ")  # a header that is a comment
        return texts[-1]
    return None


def _time_format(table: _Table, roles: Roles, options: ReadOptions, where: str) -> TimeFormat:
    if options.time_format is not None:
        return time_format_of(options.time_format)
    cells = joined_times(table.data, roles)
    clock = roles.time if roles.clock is None else roles.clock
    require_no_ranges([row[clock] for row in table.data], table.names[clock], where)
    found = guess_epoch(cells, where) or guess_time_format(cells, where)
    if found is None:
        if not any(cells):
            return TimeFormat()
        shown = next(cell for cell in cells if cell)
        if re.fullmatch(r"[2-6]\d{4}([.,]\d+)?", shown):
            raise DialectError(
                f"{where}: {shown!r} in column {table.names[roles.time]!r} looks like a spreadsheet's"
                " day number, which no time_format= reads: format the column as date and time, and"
                " export it again"
            )
        raise DialectError(
            f"{where}: {shown!r} in column {table.names[roles.time]!r} reads as no time:"
            " pass time= or time_format="
        )
    return found


def joined_times(data: list[list[str]], roles: Roles) -> list[str]:
    """Times of the sample, those from two columns put together."""
    if roles.clock is None:
        return [row[roles.time] for row in data]
    return [f"{row[roles.time]} {row[roles.clock]}" for row in data]


def _require_offsets(table: _Table, roles: Roles, where: str) -> None:
    bare = next(filter(lacks_offset, joined_times(table.data, roles)), None)
    if bare is not None:
        raise DialectError(
            f"{where}: times such as {bare!r} say no offset: pass tz= with the zone that they are"
            " written in, such as tz='Europe/Oslo', or tz='UTC'"
        )


def _marks(table: _Table, roles: Roles, options: ReadOptions, where: str) -> tuple[str, str | None]:
    """The decimal mark and the thousands separator."""
    rows = table.data[: max(20, _MARKED_CELLS // len(roles.values))]
    cells = [row[column] for row in rows for column in roles.values]
    thousands = options.thousands or _blank_thousands(cells)
    if options.decimal is not None:
        if thousands is None and options.decimal == ",":
            has_both = any("." in cell and "," in cell for cell in cells)
            thousands = "." if has_both else None
        return options.decimal, thousands
    with_dot = [cell for cell in cells if "." in cell]
    with_comma = [cell for cell in cells if "," in cell]
    if thousands is None and any(cell.count(".") > 1 for cell in with_dot):
        return ",", "."
    if _is_open_dot(with_dot, with_comma, table.delimiter) and thousands is None:
        raise DialectError(
            f"{where}: a number such as {with_dot[0]!r} may have a decimal point or a dot between thousands:"
            " pass decimal='.' or thousands='.'"
        )
    if not with_comma or thousands == ",":
        return ".", thousands
    both = [cell for cell in with_comma if "." in cell]
    if both:
        if all(cell.rfind(",") > cell.rfind(".") for cell in both):
            return ",", thousands or "."
        return ".", thousands or ","
    grouped = all(re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", cell) for cell in with_comma)
    if any(cell.count(",") > 1 for cell in with_comma) and grouped:
        return ".", thousands or ","
    # A semicolon separates because the comma was taken: by decimals, nearly always.
    if grouped and (table.delimiter != ";" or with_dot):
        raise DialectError(
            f"{where}: a number such as {with_comma[0]!r} may have a decimal comma or a comma between"
            " thousands: pass decimal=',' or thousands=','"
        )
    return ",", thousands


def _is_open_dot(with_dot: list[str], with_comma: list[str], delimiter: str) -> bool:
    """Whether every dot stands before the last three digits, in a file whose comma is for decimals."""
    grouped = all(re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", cell) for cell in with_dot)
    return bool(with_dot) and grouped and not with_comma and delimiter == ";"


def _blank_thousands(cells: Sequence[str]) -> str | None:
    """A blank or an apostrophe between groups of three digits, where one stands."""
    for cell in cells:
        match = re.match(r"[+-]?\d{1,3}(?:([ \xa0\u202f\u2009'\u2019])\d{3})+(?!\d)", cell)
        if match:
            return "'" if match[1] in "'\u2019" else " "
    return None


def _guess_encoding(sample: bytes) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if sample.startswith(mark):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=False)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _keeps_ascii(encoding: str) -> bool:
    """Whether every byte below 128 is the ASCII character; UTF-16 and the like are transcoded."""
    return encoding in ("utf-8", "ascii") or encoding.startswith(("iso8859", "cp125"))


def _python_encoding(encoding: str, where: str) -> str:
    try:
        name = codecs.lookup(encoding).name
        "0".encode(name)
    except LookupError:
        raise DialectError(f"{where}: encoding={encoding!r} is not known") from None
    return "utf-8" if name == "utf-8-sig" else name


def _offset_of_line(sample: bytes, newline: str, line: int) -> int:
    """Where a line, counted from 1, starts; a byte order mark belongs to the first."""
    position = len(codecs.BOM_UTF8) if sample.startswith(codecs.BOM_UTF8) else 0
    for _ in range(line - 1):
        position = sample.find(newline.encode(), position) + 1
        if position == 0:
            return len(sample)
    return position
