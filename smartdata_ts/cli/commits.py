"""List the commits of a store, and its named snapshots."""

from pathlib import Path

from ._command import command, option
from ._options import Printing, printing, store_argument, tz_option


@command(
    "commits",
    "smartdata-ts commits city.sdts",
    "smartdata-ts commits city.sdts --snapshots",
)
@store_argument
@option("--snapshots", is_flag=True, section="Which readings", help="The named snapshots instead.")
@tz_option
@printing
def commits(store: Path, snapshots: bool, tz: str, printing: Printing) -> None:
    """List the commits: number, time, note, readings after it.

    `--as-of` of read, resample, last and export takes a commit's number or a snapshot's name.
    """
    from smartdata_ts import open as open_store

    from ._output import show_table

    with open_store(store, "r") as opened:
        show_table(opened.snapshots() if snapshots else opened.commits(), printing, tz)
