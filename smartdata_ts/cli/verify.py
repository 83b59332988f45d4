"""Hold a store to its checksums."""

from pathlib import Path

from ._command import command, option
from ._options import store_argument


@command(
    "verify",
    "smartdata-ts verify city.sdts",
    "smartdata-ts verify city.sdts --deep && echo sound",
)
@store_argument
@option("--deep", is_flag=True, section="How", help="Decode every reading too.")
def verify(store: Path, deep: bool) -> int:
    """Hold all that is stored to its checksums.

    The catalog too, to SQLite's own check and to the chunks. Prints what is wrong, a line each.

    Exit status: 0 sound, 1 something is wrong.
    """
    import click

    from smartdata_ts import open as open_store

    with open_store(store, "r") as opened:
        report = opened.verify(deep)
    for problem in report.problems:
        click.echo(problem)
    click.echo(
        f"{'sound' if report.is_sound else 'DAMAGED'}: {report.readings:,} readings in "
        f"{report.chunks:,} chunks, {report.bytes:,} bytes; {len(report.problems)} problems, "
        f"{report.orphans} orphaned files"
    )
    return 0 if report.is_sound else 1
