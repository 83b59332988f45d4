"""Show what this is: generate a small municipality, import it, ask it questions."""

import shlex
import shutil
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ._command import Invocation, command, option

_README = "README.txt"
_MARK = "Made by `smartdata-ts demo`, which makes it anew when it is run again. Delete it as you like.\n"
_METER = "wm-0017"


@command("demo", "smartdata-ts demo", "smartdata-ts demo /tmp/demo --meters 100 --keep")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="demo")
@option("--meters", type=click.IntRange(20, 9999), default=1000, help="How many meters.  [default: 1000]")
@option("--keep", is_flag=True, help="Keep the CSV file of readings (300 MB for 1000 meters).")
def demo(folder: Path, meters: int, keep: bool) -> None:
    """Show it all on a made-up municipality.

    A year of hourly registers of water meters, with leaks, gaps, rows sent twice and broken rows, is
    written as CSV into FOLDER (./demo), imported with the commands shown, and queried.
    """
    from ._output import say, size_text

    readings, zones, store = folder / "readings.csv", folder / "zones.csv", folder / "city.sdts"
    _prepare(folder)
    say(f"[bold]{meters:,} water meters, hourly for a year, as a vendor would send them[/]")
    seconds = _generate(readings, zones, meters)
    csv_size = readings.stat().st_size
    say(f"  {readings}  {size_text(csv_size)}, written in {seconds:.1f} s\n")
    _type("warmup")
    tz = "--tz Europe/Oslo"
    facts = "--quantity water --unit m3 --kind register --interval 1h"
    _type(f"import {_quoted(store)} {_quoted(readings)} {tz} {facts} --report table")
    _type(f"describe {_quoted(store)} --from {_quoted(zones)}")
    if not keep:
        readings.unlink()
    _type(f"info {_quoted(store)} {tz} --format table")
    _compare(store, csv_size)
    days = f"{tz} --every 1d -a count,first,last --start 2025-10-24 --end 2025-10-29"
    _type(f"resample {_quoted(store)} --series {_METER} {days} --format table")
    say("  Sunday 26 October has 25 hours in Oslo; a day with fewer than 24 has a gap.\n")
    _ask(store)
    _say_what_next(store)


def _prepare(folder: Path) -> None:
    """Make the folder, or empty one that was made here before."""
    from smartdata_ts.errors import UsageError

    mark = folder / _README
    if folder.exists() and any(folder.iterdir()):
        if not mark.is_file() or mark.read_text(encoding="utf-8", errors="replace") != _MARK:
            raise UsageError(f"{folder}: is there, and was not made by the demo; name another folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(_MARK, encoding="utf-8")


def _generate(readings: Path, zones: Path, meters: int) -> float:
    from ._demo_data import write_readings, write_zones

    start = time.perf_counter()
    with _status("generating"):
        write_zones(zones, meters)
        write_readings(readings, meters)
    return time.perf_counter() - start


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _type(line: str) -> None:
    """Show a command, and run it as if it had been typed."""
    from . import PROGRAM, call
    from ._output import say

    shown = line.replace(" --report table", "").replace(" --format table", "")
    say(f"[bold green]$[/] [bold]{_folded(f'{PROGRAM} {shown}')}[/]")
    call(shlex.split(line), Invocation())
    say("")


def _folded(line: str, width: int = 76) -> str:
    """A command over as many lines as it needs, so that it can be copied."""
    from rich.markup import escape

    lines = textwrap.wrap(
        line, width, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False
    )
    return escape(" \\\n".join(lines))


def _compare(store: Path, csv_size: int) -> None:
    from smartdata_ts import open as open_store

    from ._output import say

    with open_store(store, "r") as opened:
        info = opened.info()
    say(
        f"  [bold]{info.bytes_per_reading:.2f} bytes a reading[/]; the CSV file took"
        f" {csv_size / info.readings:.1f}, {csv_size / info.bytes:.0f} times as much\n"
    )


def _ask(store: Path) -> None:
    """Answer two questions in Python: who used how much, and who leaks."""
    from smartdata_ts import open as open_store

    from ._demo_answers import leaks, months_by_zone
    from ._output import say, table_of

    with open_store(store, "r") as opened:
        for title, question in (
            ("Use by month and zone, in m3", months_by_zone),
            ("The ten largest leaks: the least hour of the year's last week", leaks),
        ):
            start = time.perf_counter()
            answer = question(opened)
            seconds = time.perf_counter() - start
            say(f"[bold]{title}[/]  [dim]{seconds * 1000:,.0f} ms[/]", table_of(answer, "Europe/Oslo"), "")


def _say_what_next(store: Path) -> None:
    from ._output import say

    name = _quoted(store)
    say(
        "[bold]Next[/]",
        f"  smartdata-ts last {name} --tag zone=Harbour",
        f"  smartdata-ts resample {name} --every 1mo --tz Europe/Oslo > months.csv",
        f"  smartdata-ts export {name} year.parquet",
        "  smartdata-ts import my.sdts my-meters.csv --tz Europe/Oslo",
        f'  python -c "import smartdata_ts as sd; print(sd.open({str(store)!r}).info())"',
    )


@contextmanager
def _status(text: str) -> Iterator[None]:
    """A sign of life on a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(text):
        yield
