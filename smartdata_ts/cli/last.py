"""Print the newest reading of each series."""

from pathlib import Path

from ._command import command
from ._options import Printing, Selection, printing, selection, store_argument


@command(
    "last",
    "smartdata-ts last city.sdts --tag zone=Harbour",
    "smartdata-ts last city.sdts --end 2025-10-26 --tz Europe/Oslo",
)
@store_argument
@selection
@printing
def last(store: Path, selection: Selection, printing: Printing) -> None:
    """Print the newest reading of each series.

    Within the span, if one is given.
    """
    from smartdata_ts import open as open_store

    from ._output import show

    with open_store(store, "r") as opened:
        show(selection.query(opened).last().to_batches(), printing, selection.tz)
