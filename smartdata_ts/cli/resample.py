"""Print aggregates over buckets of time."""

from pathlib import Path

from ._across import Across, across
from ._command import command
from ._options import Buckets, Printing, Selection, buckets, printing, selection, store_argument
from ._steps import Steps, steps


@command(
    "resample",
    "smartdata-ts resample city.sdts --every 1d --tz Europe/Oslo --series wm-0017",
    "smartdata-ts resample city.sdts --every 1mo -a first,last --tag zone=Harbour --format jsonl",
    "smartdata-ts resample city.sdts --every 1h -a mean,completeness --across mean --by zone",
    "smartdata-ts resample city.sdts --consumption --fill profile --every 1mo --tz Europe/Oslo",
    "smartdata-ts resample city.sdts --consumption --unit m3 --every 1mo --across sum --by zone",
    "smartdata-ts resample city.sdts --rolling 24h -a mean,max",
)
@store_argument
@buckets(required=True)
@across
@steps
@selection
@printing
def resample(
    store: Path, buckets: Buckets, across: Across, steps: Steps, selection: Selection, printing: Printing
) -> None:
    """Print aggregates over buckets of time.

    Days, weeks and months go by the wall clock in --tz: a day may have 23 or 25 hours. A bucket
    is labelled with its start.
    """
    from smartdata_ts import open as open_store

    from ._output import show

    with open_store(store, "r") as opened:
        query = steps.apply(selection.query(opened))
        query = buckets.apply(query, selection.tz, steps.usual_aggregates)
        show(across.batches(query, steps.unit_across), printing, selection.tz)
