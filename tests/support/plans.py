"""Plans of all that a store holds."""

from smartdata_ts._read.plan import Plan
from smartdata_ts._read.planning import make_plan
from smartdata_ts._store import Store
from smartdata_ts._time.span import TIME_MAX, TIME_MIN


def plan_of(store: Store, as_of: int | None = None) -> Plan:
    """The plan of a query for all readings, of the present or as of a commit."""
    catalog, snapshot = store.pin(as_of)
    return make_plan(snapshot, *catalog.select_series(None, {}), TIME_MIN, TIME_MAX)
