"""Erase series without a trace."""

from pathlib import Path

import click

from ._command import command, option
from ._options import store_argument


@command(
    "erase",
    "smartdata-ts erase city.sdts wm-0017 --yes",
)
@store_argument
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@option("--yes", is_flag=True, section="How", help="Do not ask; there is no way back.")
def erase(store: Path, keys: tuple[str, ...], yes: bool) -> None:
    """Erase series: no byte of them is left in any file.

    Readings, history, facts and tags. Backups are your own to erase. Prints the report that may be kept.
    """
    import dataclasses
    import json

    from smartdata_ts import open as open_store

    if not yes:
        click.confirm(f"Erase {len(keys)} series of {store} for good?", abort=True, err=True)
    with open_store(store, "r"):
        pass  # what is not there is not created
    with open_store(store) as opened:
        report = opened.erase(list(keys))
    click.echo(json.dumps({**dataclasses.asdict(report), "sha256": report.signature}))
