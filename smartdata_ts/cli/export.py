"""Write readings, or aggregates, to a file."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from ._across import Across, across
from ._command import command, option
from ._options import Buckets, Selection, buckets, selection, store_argument
from ._steps import Steps, steps

FORMATS = ["csv", "parquet", "arrow", "excel", "senml", "json", "line-protocol"]


@command(
    "export",
    "smartdata-ts export city.sdts year.parquet --start 2025-01-01 --end 2026-01-01 --tz Europe/Oslo",
    "smartdata-ts export city.sdts days.csv --every 1d -a first,last --tz Europe/Oslo",
    "smartdata-ts export city.sdts - --format arrow | other-program",
)
@store_argument
@click.argument("file", type=click.Path())
@selection
@buckets(required=False)
@across
@steps
@option(
    "--format",
    type=click.Choice(FORMATS),
    section="Output",
    help="The file's format.  [default: by its name, else csv]",
)
@option("--delimiter", default=",", section="Output", help="Between the columns of CSV.  [default: ,]")
@option(
    "--no-guard",
    is_flag=True,
    section="Output",
    help="Leave texts of CSV that a spreadsheet would take for formulas as they are.",
)
def export(
    store: Path,
    file: str,
    selection: Selection,
    buckets: Buckets,
    across: Across,
    steps: Steps,
    format: str | None,
    delimiter: str,
    no_guard: bool,
) -> None:
    """Write readings to a file.

    Or, with --every, their aggregates. The file is CSV, Parquet or Arrow, by its name or --format; FILE
    "-" is standard output. A file gets its name once it is whole. Exports of any size take little memory.
    """
    from smartdata_ts import formats
    from smartdata_ts import open as open_store

    from ._output import size_text

    start = time.perf_counter()
    name = formats.format_of(file, format)
    options: dict[str, Any] = {"tz": selection.tz} if name in ("csv", "excel", "json") else {}
    if name == "csv":
        options |= {"delimiter": delimiter, "guard": not no_guard}
    with open_store(store, "r") as opened:
        query = buckets.apply(steps.apply(selection.query(opened)), selection.tz, steps.usual_aggregates)
        batches = across.batches(query, steps.unit_across)
        row_count = formats.write(file, batches, format, **options)
    if file != "-" and sys.stderr.isatty():
        seconds = time.perf_counter() - start
        size = size_text(Path(file).stat().st_size)
        click.echo(f"{row_count:,} rows, {size} in {seconds:.1f} s", err=True)
