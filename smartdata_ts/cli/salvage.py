"""Save what is sound of a damaged store."""

from pathlib import Path

import click

from ._command import command
from ._options import store_argument


@command(
    "salvage",
    "smartdata-ts salvage city.sdts saved.sdts",
)
@store_argument
@click.argument("target", type=click.Path(path_type=Path))
def salvage(store: Path, target: Path) -> int:
    """Copy what is sound of a damaged store to TARGET.

    Also where catalog.sqlite is damaged or gone. Prints what was lost, a line each.

    Exit status: 0 nothing was lost, 1 something was.
    """
    from smartdata_ts import salvage as salvage_store

    report = salvage_store(store, target)
    for loss in report.losses:
        click.echo(f"lost: {loss}")
    click.echo(
        f"{target}: {report.readings:,} readings of {report.series:,} series, from {report.chunks:,} chunks"
    )
    return 1 if report.losses else 0
