"""Fold the chunks of a store."""

from pathlib import Path

import click

from ._command import command
from ._options import store_argument


@command(
    "compact",
    "smartdata-ts compact city.sdts",
)
@store_argument
def compact(store: Path) -> None:
    """Fold chunks that overlap, or are small, into few.

    Late readings, and those that came in order of time, make many short blocks; this makes long ones of
    them, which are smaller and faster to read. Queries go on meanwhile.
    """
    from smartdata_ts import open as open_store

    with open_store(store, "r+") as opened:
        report = opened.compact()
    click.echo(
        f"{report.chunks_before:,} chunks of {report.bytes_before:,} bytes are now "
        f"{report.chunks_after:,} of {report.bytes_after:,}; {report.files_swept:,} orphaned files removed"
    )
