"""Which step may follow which: one table of the rows that each takes and gives.

A step is known by the method of `Query` that adds it. Adding a step takes a file in `_steps/`, a method, and
a row here.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from smartdata_ts.errors import UsageError


class Rows(Enum):
    """The rows that a query has so far."""

    STORED = "readings as they are stored: no step was taken"
    READINGS = "readings that a step made"
    AMOUNTS = "amounts over intervals"
    LEVELS = "levels over intervals"
    NEWEST = "one reading a series"
    WINDOWS = "aggregates of moving windows"
    BUCKETS = "aggregates of buckets of time, series by series"
    GROUPS = "aggregates of buckets of many series"
    JOINED = "rows of series beside others"
    FINDINGS = "faults of series"


STORED, READINGS, AMOUNTS, LEVELS = Rows.STORED, Rows.READINGS, Rows.AMOUNTS, Rows.LEVELS
_READINGS = {STORED: READINGS, READINGS: READINGS, AMOUNTS: AMOUNTS}


class Row(NamedTuple):
    """The rows that a step takes and gives."""

    gives: Mapping[Rows, Rows]  # by the rows that it takes
    rule: str = ""  # said where it takes others


STEPS = {
    "consumption": Row({STORED: AMOUNTS}),
    "hold": Row({STORED: LEVELS}),
    "fill": Row(_READINGS),
    "difference": Row(_READINGS),
    "rate": Row(_READINGS),
    "rolling": Row(dict.fromkeys(_READINGS, Rows.WINDOWS)),
    "resample": Row(dict.fromkeys((STORED, READINGS, AMOUNTS, LEVELS), Rows.BUCKETS)),
    "last": Row({STORED: Rows.NEWEST}),
    "detect": Row(dict.fromkeys((STORED, AMOUNTS), Rows.FINDINGS)),
    "aggregate": Row({Rows.BUCKETS: Rows.GROUPS}),
    "join_asof": Row(
        dict.fromkeys(set(Rows) - {Rows.GROUPS, Rows.JOINED, Rows.FINDINGS}, Rows.JOINED),
        "join_asof() takes series, each of them once",
    ),
}


def rows_after(method: str, rows: Rows, last: str | None) -> Rows:
    """The rows that a step makes of others, which the method `last` gave; UsageError where it takes none."""
    row = STEPS[method]
    if rows in row.gives:
        return row.gives[rows]
    givers = [f"{name}()" for name, other in STEPS.items() if set(other.gives.values()) & set(row.gives)]
    takes = [*(["selection"] if STORED in row.gives else []), *givers]
    listed = " or ".join([", ".join(takes[:-1]), takes[-1]] if takes[1:] else takes)
    ends = rows not in (READINGS, AMOUNTS, LEVELS)
    rule = row.rule or (f"{last}() ends a query" if ends else "")
    raise UsageError(f"{method}() follows a {listed}, not {last}()" + (f": {rule}" if rule else ""))
