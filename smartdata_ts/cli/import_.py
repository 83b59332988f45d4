"""Read files into a store."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._command import command, option
from ._facts import fact_options, set_tag_option
from ._options import PRINT_FORMATS, single_tags_of, store_argument

if TYPE_CHECKING:
    from smartdata_ts import Store
    from smartdata_ts.formats import ImportReport

SOME_REJECTED = 3
FORMATS = [
    "csv",
    "parquet",
    "arrow",
    "excel",
    "elhub",
    "cim",
    "espi",
    "senml",
    "json",
    "line-protocol",
    "nem12",
    "mscons",
]
_COLUMNS, _TIMES, _TEXT, _OUTPUT = "Columns", "Times", "Text", "Output"
# An argument of Python in a message, with True or False, or with whether anything follows.
_NAMED = re.compile(r"\b([a-z_]+)=(?:(True|False)\b|(?=(\S)?))")


def _quality_codes(
    context: click.Context, parameter: click.Parameter, texts: Sequence[str]
) -> dict[str, int] | None:
    codes = single_tags_of(context, parameter, texts)
    for text, code in codes.items():
        if not code.isdecimal() or int(code) > 255:
            raise click.BadParameter(
                f"the code of {text!r} must be 0 to 255, not {code!r}", context, parameter
            )
    return {text: int(code) for text, code in codes.items()} or None


def _delimiter(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    return "\t" if text in ("tab", "\\t") else text


@command(
    "import",
    "smartdata-ts import city.sdts readings.csv --tz Europe/Oslo",
    "smartdata-ts import city.sdts export.zip --tz Europe/Madrid --quantity water --unit L --kind register",
    "smartdata-ts import city.sdts day-*.csv.gz --series meter --time ts --value m3 --tag vendor=acme",
)
@store_argument
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@option("--series", metavar="COLUMN", section=_COLUMNS, help="Column of keys; a name, or a number from 1.")
@option("--series-key", metavar="KEY", section=_COLUMNS, help="One key for all rows.")
@option(
    "--time",
    multiple=True,
    metavar="COLUMN",
    section=_COLUMNS,
    help="Column of times; twice where date and time of day stand apart.",
)
@option(
    "--value",
    multiple=True,
    metavar="COLUMN",
    section=_COLUMNS,
    help="Column of values; repeatable in a wide file.",
)
@option("--quality", metavar="COLUMN", section=_COLUMNS, help="Column of quality codes, 0 to 255.")
@option(
    "--quality-code",
    "quality_codes",
    multiple=True,
    metavar="TEXT=CODE",
    callback=_quality_codes,
    section=_COLUMNS,
    help="What a text in that column stands for. Repeatable.",
)
@option(
    "--quality-system",
    type=click.Choice(["elhub", "espi", "iec61968"]),
    section=_COLUMNS,
    help="Whose codes stand in that column.",
)
@option("--wide/--long", default=None, section=_COLUMNS, help="Every column of numbers is a series, or not.")
@option(
    "--tz", metavar="ZONE", section=_TIMES, help="Zone of times without offset: Europe/Oslo, UTC, +01:00."
)
@option(
    "--time-format",
    metavar="PATTERN",
    section=_TIMES,
    help="iso, epoch_s, epoch_ms, epoch_us, or a pattern such as '%d.%m.%Y %H:%M'.",
)
@option(
    "--stamp",
    type=click.Choice(["start", "end"]),
    section=_TIMES,
    help="Where in its interval a time stands; stored are starts.  [default: start]",
)
@option(
    "--delimiter", metavar="CHARACTER", callback=_delimiter, section=_TEXT, help="Between columns; or tab."
)
@option("--quote", metavar="CHARACTER", section=_TEXT, help='Around texts.  [default: "]')
@option("--decimal", metavar="CHARACTER", section=_TEXT, help="The decimal point or comma.")
@option("--thousands", metavar="TEXT", section=_TEXT, help="Between groups of digits.")
@option("--encoding", metavar="NAME", section=_TEXT, help="utf-8, cp1252, utf-16, ...")
@option(
    "--header/--no-header", default=None, section=_TEXT, help="Whether column names stand above the data."
)
@option(
    "--skip-rows",
    type=click.IntRange(min=0),
    metavar="N",
    section=_TEXT,
    help="Lines to pass over at the top.",
)
@option("--member", metavar="NAME", section=_TEXT, help="The file wanted in a .zip that holds several.")
@option(
    "--format",
    type=click.Choice(FORMATS),
    section=_TEXT,
    help="The files' format.  [default: by their first bytes and names, else csv]",
)
@option("--sheet", metavar="NAME", section=_TEXT, help="The sheet of a workbook; a name, or a number from 1.")
@option("--json-time", metavar="PATH", section=_TEXT, help="Where an object of JSON has its time: a.b.c.")
@option("--json-key", metavar="PATH", section=_TEXT, help="Where an object of JSON has its key.")
@option("--json-value", metavar="PATH", section=_TEXT, help="Where an object of JSON has its value.")
@option(
    "--precision",
    type=click.Choice(["ns", "us", "ms", "s"]),
    section=_TEXT,
    help="What the stamps of line protocol count.",
)
@fact_options(
    "quantity",
    "unit",
    "kind",
    "interval",
    interval="Nominal spacing of readings: 15min, 1h, 1d; also for --stamp end.",
)
@set_tag_option
@option(
    "--rejected",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    section=_OUTPUT,
    help="Where rejected rows go.  [default: FILE.rejected.csv]",
)
@option(
    "--on-conflict",
    type=click.Choice(["better", "replace", "keep", "error"]),
    section=_OUTPUT,
    help="Which of two readings of one time stands: the later unless its quality is worse, the later, the "
    "earlier, or neither: the import fails.  [default: better]",
)
@option("--note", metavar="TEXT", section=_OUTPUT, help="Kept with the commit: who, why.")
@option(
    "--report",
    type=click.Choice(PRINT_FORMATS),
    section=_OUTPUT,
    help="How to print the summary.  [default: table on a terminal, csv in a pipe]",
)
def import_(store: Path, files: tuple[str, ...], report: str | None, **options: Any) -> int:
    """Read files into a store.

    The store is created where it is new. The files are CSV, Parquet or Arrow; what the options leave out
    is told from each file. FILE "-" is standard input; .gz, .bz2, .zst and .zip are unpacked.

    Every row of a file is stored, a duplicate, a replacement of a reading that was there, kept out by a
    better one, empty, or rejected; the summary adds up. Rejected rows go to FILE.rejected.csv with their
    line and the reason. A file is taken whole or, on failure, not at all; importing it twice stores nothing
    new.

    Exit status: 0 all rows were taken, 3 some were rejected or contradict each other, 1 failure,
    2 wrong command.
    """
    from smartdata_ts import open as open_store
    from smartdata_ts import quality_codes
    from smartdata_ts.errors import DataError, DialectError, UsageError

    from ._output import is_table

    if options["rejected"] and len(files) > 1:
        raise click.UsageError("--rejected is for one file")
    given = {name: value for name, value in options.items() if value not in (None, (), {})}
    if "quality_system" in given:
        codes = quality_codes(given.pop("quality_system"))
        given["quality_codes"] = {**codes, **given.get("quality_codes", {})}
    reports: list[ImportReport] = []
    try:
        _check(files, given)
        with open_store(store) as opened:
            for file in files:
                reports.append(_import(opened, file, given))
                if is_table(report):
                    _show(reports[-1])
    except (UsageError, DialectError, DataError) as problem:
        raise type(problem)(_in_flags(str(problem))) from problem
    finally:
        if reports and not is_table(report):
            _show_rows(reports, report)
    contradicted = any(done.conflicts for done in reports) and options["on_conflict"] in (None, "better")
    return SOME_REJECTED if contradicted or any(done.rejected for done in reports) else 0


def _check(files: Sequence[str], options: Mapping[str, Any]) -> None:
    """Fail over a wrong option, a missing file or a wrong first one before the store is made or written."""
    from smartdata_ts import formats
    from smartdata_ts._time.calendar import Calendar
    from smartdata_ts.errors import DataError

    if "interval" in options:
        Calendar.parse(options["interval"])
    for file in files:
        if file != "-":
            try:
                Path(file).open("rb").close()
            except OSError as problem:
                reason = "a folder; name the files in it" if Path(file).is_dir() else problem.strerror
                raise DataError(f"{file}: cannot be read: {reason}") from problem
    known = formats.ReadOptions.__dataclass_fields__
    read = {name: value for name, value in options.items() if name in known}
    if files[0] != "-":
        formats.open_reader(files[0], options.get("format"), **read).close()


def _import(store: "Store", file: str, options: Mapping[str, Any]) -> "ImportReport":
    from smartdata_ts import formats

    from ._progress import file_progress

    with file_progress(file) as progress:
        return formats.import_file(store, file, progress=progress, **options)


def _in_flags(message: str) -> str:
    """The message with options as they are typed here."""
    options = {each.name: each for each in import_.params if isinstance(each, click.Option)}

    def typed(found: re.Match[str]) -> str:
        option = options.get(found[1])
        if option is None:
            return found[0]
        if option.secondary_opts and found[2]:
            return (option.opts if found[2] == "True" else option.secondary_opts)[0]
        flag = next(name for name in option.opts if name.startswith("--"))
        return f"{flag} {found[2]}" if found[2] else flag + (" " if found[3] else "")

    return _NAMED.sub(typed, message)


def _show(report: "ImportReport") -> None:
    """The summary as people read it."""
    from rich.markup import escape

    from ._output import grid, say

    counts = [
        ("rows", report.rows, ""),
        ("stored", report.stored, f"{report.series_created:,} new series" if report.series_created else ""),
        ("duplicates", report.duplicates, ""),
        ("replaced", report.replaced, ""),
        ("kept", report.kept, "gave way to a better reading that stands"),
        ("conflicts", report.conflicts, "among these, with another row of the file"),
        ("empty", report.empty, ""),
        ("rejected", report.rejected, f"see {report.rejected_file}" if report.rejected else ""),
    ]
    shown = [
        (name, f"{count:,}", escape(note))
        for name, count, note in counts
        if count or name in ("rows", "stored")
    ]
    shown += [("", f"{count:,}", escape(reason)) for reason, count in report.rejections.items()]
    if report.ambiguous:
        shown.append(
            ("ambiguous", f"{report.ambiguous:,}", "in the repeated autumn hour; taken as its first pass")
        )
    shown += [("notice", "", escape(_in_flags(notice))) for notice in report.notices]
    rate = f"{report.seconds:.1f} s, {report.rows_per_second:,.0f} rows/s"
    say(
        f"[bold]{escape(report.file)}[/]  [dim]{rate}[/]",
        f"[dim]{escape(report.description)}[/]",
        grid([(f"  {name}", count, f"[dim]{note}[/]") for name, count, note in shown], right=(1,)),
    )


def _show_rows(reports: "Sequence[ImportReport]", format: str | None) -> None:
    """The summaries for programs, a row a file."""
    import pyarrow as pa

    from ._options import Printing
    from ._output import show_table

    names = (
        "file",
        "rows",
        "stored",
        "duplicates",
        "replaced",
        "kept",
        "rejected",
        "empty",
        "ambiguous",
        "conflicts",
        "series_created",
        "rejected_file",
        "commit",
        "seconds",
        "rows_per_second",
    )
    rows = [
        {name: getattr(report, name) for name in names} | {"notices": "; ".join(report.notices)}
        for report in reports
    ]
    show_table(pa.Table.from_pylist(rows), Printing(format, None))
