"""Print what has changed since a commit."""

from pathlib import Path

from ._command import command, option
from ._options import Printing, printing, store_argument, tz_option


@command(
    "changes",
    "smartdata-ts changes city.sdts --since 41",
    "smartdata-ts changes city.sdts --since 41 --until 50 --format jsonl",
)
@store_argument
@option("--since", type=int, required=True, metavar="COMMIT", section="Which readings", help="Behind this.")
@option("--until", type=int, metavar="COMMIT", section="Which readings", help="Up to this.")
@tz_option
@printing
def changes(store: Path, since: int, until: int | None, tz: str, printing: Printing) -> None:
    """Print readings that were added, replaced or deleted.

    By series, time and commit, each with its old and its new value and quality: an empty old value was not
    there, an empty new one was deleted. The same reading sent again is no change.
    """
    from smartdata_ts import open as open_store

    from ._output import show

    with open_store(store, "r") as opened:
        show(opened.changes(since, until), printing, tz)
