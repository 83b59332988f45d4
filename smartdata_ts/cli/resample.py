"""Print aggregates over buckets of time."""

from pathlib import Path

from ._across import Across, across
from ._command import command
from ._options import Buckets, Printing, Selection, buckets, printing, selection, store_argument


@command(
    "resample",
    "smartdata-ts resample city.sdts --every 1d --tz Europe/Oslo --series wm-0017",
    "smartdata-ts resample city.sdts --every 1mo -a first,last --tag zone=Harbour --format jsonl",
    "smartdata-ts resample city.sdts --every 1h -a mean,completeness --across mean --by zone",
)
@store_argument
@buckets(required=True)
@across
@selection
@printing
def resample(store: Path, buckets: Buckets, across: Across, selection: Selection, printing: Printing) -> None:
    """Print aggregates over buckets of time.

    Days, weeks and months are those of the wall clock in --tz: a day may have 23 or 25 hours. A bucket
    is labelled with its start.
    """
    from smartdata_ts import open as open_store

    from ._output import show

    with open_store(store, "r") as opened:
        query = buckets.apply(selection.query(opened), selection.tz)
        show(across.batches(query), printing, selection.tz)
