"""Print readings."""

from pathlib import Path

import click

from ._command import command
from ._options import Printing, Selection, printing, selection, store_argument
from ._steps import Steps, steps


@command(
    "read",
    "smartdata-ts read city.sdts --series wm-0017 --start 2025-10-26 --end 2025-10-27 --tz Europe/Oslo",
    "smartdata-ts read city.sdts --tag zone=Harbour > harbour.csv",
    "smartdata-ts read city.sdts --series wm-0017 --consumption --fill linear:2h,profile:30d",
)
@store_argument
@steps
@selection
@printing
def read(store: Path, steps: Steps, selection: Selection, printing: Printing) -> None:
    """Print readings, or what they amount to, by series and time."""
    from smartdata_ts import open as open_store

    from ._output import show

    if steps.unit_across is not None:
        raise click.UsageError("--unit needs --consumption")
    with open_store(store, "r") as opened:
        show(steps.apply(selection.query(opened)).to_batches(), printing, selection.tz)
