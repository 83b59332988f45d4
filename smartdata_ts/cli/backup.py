"""Copy a store."""

from pathlib import Path

import click

from ._command import command
from ._options import store_argument


@command(
    "backup",
    "smartdata-ts backup city.sdts /mnt/backup/city.sdts",
)
@store_argument
@click.argument("target", type=click.Path(path_type=Path))
def backup(store: Path, target: Path) -> None:
    """Copy a store to TARGET, while writers go on.

    TARGET is new, empty, or an earlier backup of the same store, into which goes only what it lacks; all
    else is refused, and stays. To restore, open the copy, or copy it back: once it is written to, it is a
    store of its own, which no backup replaces.
    """
    from smartdata_ts import open as open_store

    with open_store(store, "r") as opened:
        report = opened.backup(target)
    click.echo(
        f"{target}: as of commit {report.commit}, {report.chunks:,} chunks, {report.chunks_copied:,} of them "
        f"copied now; {report.bytes_copied:,} bytes written, {report.files_removed:,} old files removed"
    )
