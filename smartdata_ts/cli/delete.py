"""Delete readings."""

from pathlib import Path

import click

from ._command import command, option
from ._options import everything_option, named_series, store_argument, tz_option


@command(
    "delete",
    "smartdata-ts delete city.sdts wm-0017 --start 2025-01-01 --end 2025-02-01 --tz Europe/Oslo",
)
@store_argument
@click.argument("keys", nargs=-1, metavar="KEY...")
@option("--start", metavar="TIME", section="Which readings", help="From here.")
@option("--end", metavar="TIME", section="Which readings", help="Up to, but not including, this time.")
@everything_option
@tz_option
@option("--note", metavar="TEXT", section="Output", help="Kept with the commit: who, why.")
def delete(
    store: Path,
    keys: tuple[str, ...],
    start: str | None,
    end: str | None,
    everything: bool,
    tz: str,
    note: str | None,
) -> None:
    """Delete readings of series, all or within a span.

    `--as-of` an earlier commit still shows them while history is kept; `erase` leaves no trace.
    """
    from smartdata_ts import open as open_store

    series = named_series(keys, everything)
    with open_store(store, "r+") as opened:
        report = opened.delete(series, start, end, tz, note, everything=everything)
    click.echo(
        f"{report.readings:,} readings deleted" + (f", commit {report.commit}" if report.commit else "")
    )
