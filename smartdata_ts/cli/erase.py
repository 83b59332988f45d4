"""Erase series without a trace."""

from pathlib import Path

import click

from ._command import command, option
from ._options import everything_option, named_series, store_argument


@command(
    "erase",
    "smartdata-ts erase city.sdts wm-0017 --yes",
)
@store_argument
@click.argument("keys", nargs=-1, metavar="KEY...")
@everything_option
@option("--yes", is_flag=True, section="How", help="Do not ask; there is no way back.")
def erase(store: Path, keys: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Erase series: no byte of them is left in any file.

    Readings, history, facts and tags. Backups are your own to erase. Prints the report that may be kept.
    """
    import dataclasses
    import json

    from smartdata_ts import open as open_store

    series = named_series(keys, everything)
    if not yes:
        count = "all" if series is None else len(series)
        click.confirm(f"Erase {count} series of {store} for good?", abort=True, err=True)
    with open_store(store, "r+") as opened:
        report = opened.erase(series, everything=everything)
    click.echo(json.dumps({**dataclasses.asdict(report), "sha256": report.signature}))
