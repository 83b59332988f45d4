"""The balance of a zone, made of queries: what flowed in, what its meters counted, what flowed at night."""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._arguments import items, shown
from smartdata_ts._query import Query
from smartdata_ts._readings.arrow import fixed_array
from smartdata_ts._time.calendar import Calendar
from smartdata_ts._time.zone import load_zone, transitions
from smartdata_ts.errors import UsageError
from smartdata_ts.kernels.arrays import Float64Array, Int64Array

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
_RESOLUTION = "1h"  # of night flows
AGGREGATES = ("sum", "completeness")

_SCHEMA = pa.schema(
    [
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        *(
            pa.field(name, pa.float64())
            for name in (
                *("inflow", "use", "difference", "night_flow", "night_use", "net_night_flow"),
                *("inflow_completeness", "use_completeness"),
                *("night_flow_completeness", "night_use_completeness"),
            )
        ),
        pa.field("unit", pa.string()),
    ]
)


@dataclass(frozen=True)
class _Volumes:
    """Sums of some series, bucket by bucket; NaN where nothing is known."""

    sums: Float64Array
    completeness: Float64Array


def window_of(night: tuple[str, str]) -> tuple[int, int]:
    """A night's local begin and end, in us from midnight; the end may be on the next day."""
    given = items(night) or []
    times = [re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text) for text in given if isinstance(text, str)]
    if len(times) != 2 or times[0] is None or times[1] is None or given[0] == given[1]:
        raise UsageError(f"night must be two local times such as ('02:00', '04:00'), not {shown(night)}")
    begin, end = ((int(time[1]) * 60 + int(time[2])) * 60_000_000 for time in times if time)
    return begin, end if end > begin else end + _DAY_US


def balance(
    amounts: list[Query], days_of: list[Query], calendar: Calendar, window: tuple[int, int], unit: str | None
) -> pa.Table:
    """The table of amounts, and their sums by day, of inlets, members and perhaps outlets."""
    tables = [query.to_arrow() for query in days_of]
    times = np.concatenate([_times(table) for table in tables])
    if times.size == 0:
        return _SCHEMA.empty_table()
    edges = calendar.edges(int(times.min()), int(times.max()) + 1)
    volumes = [_placed(table, edges[:-1]) for table in tables]
    nights, days = _nights(edges, window, calendar.tz)
    flows = _night_volumes(amounts, nights)
    columns = _day_columns(volumes) | _night_columns(flows, nights, days, edges.size - 1)
    arrays = {name: _nullable(column) for name, column in columns.items()}
    arrays["time"] = fixed_array(edges[:-1], pa.timestamp("us", tz="UTC"))
    arrays["unit"] = pa.array([unit] * (edges.size - 1), pa.string())
    return pa.table([arrays[name] for name in _SCHEMA.names], schema=_SCHEMA)


def _nights(edges: Int64Array, window: tuple[int, int], tz: str) -> tuple[Int64Array, Int64Array]:
    """The hours of all nights, as rows of begin and end, and the bucket that each begins in."""
    hours = Calendar.parse(_RESOLUTION, tz).edges(int(edges[0]), int(edges[-1]))
    at, offsets = transitions(load_zone(tz), int(hours[0]), int(hours[-1]) + 1)
    local = (hours + offsets[np.searchsorted(at, hours, "right")]) % _DAY_US
    begin, end = local[:-1], local[:-1] + np.diff(hours)
    inside = (begin >= window[0]) & (end <= window[1])
    inside |= (begin + _DAY_US >= window[0]) & (end + _DAY_US <= window[1])
    inside &= (hours[:-1] >= edges[0]) & (hours[1:] <= edges[-1])
    rows = np.stack([hours[:-1][inside], hours[1:][inside]], axis=1)
    return rows, np.searchsorted(edges, rows[:, 0], "right") - 1


def _night_volumes(amounts: list[Query], nights: Int64Array) -> list[_Volumes]:
    """Each query's volumes in the nights' hours."""
    if len(nights) == 0:
        return [_Volumes(np.empty(0), np.empty(0)) for _ in amounts]
    instants = [np.datetime64(int(at), "us") for at in np.unique(nights)]
    found = []
    for query in amounts:
        hours = query.resample(edges=instants, aggregates=["sum", "completeness"], tz="UTC")
        found.append(_placed(hours.aggregate("sum").to_arrow(), nights[:, 0]))
    return found


def _times(table: pa.Table) -> Int64Array:
    return np.asarray(table["time"].cast(pa.int64())).astype(np.int64)


def _placed(table: pa.Table, starts: Int64Array) -> _Volumes:
    """A table's volumes at the buckets that begin so; nothing where it has none."""
    sums, completeness = np.full(starts.size, np.nan), np.zeros(starts.size)
    times = _times(table)
    at = np.minimum(np.searchsorted(starts, times), max(starts.size - 1, 0))
    known = starts[at] == times
    sums[at[known]] = np.asarray(table["sum"].fill_null(np.nan))[known]
    completeness[at[known]] = np.asarray(table["completeness"].fill_null(0.0))[known]
    return _Volumes(sums, completeness)


def _net(volumes: list[_Volumes]) -> _Volumes:
    """The inflow: that of the inlets less that of the outlets, if there are any."""
    inlet = volumes[0]
    if len(volumes) == 2:
        return inlet
    outlet = volumes[2]
    return _Volumes(inlet.sums - outlet.sums, np.minimum(inlet.completeness, outlet.completeness))


def _day_columns(volumes: list[_Volumes]) -> dict[str, Float64Array]:
    inflow, use = _net(volumes), volumes[1]
    return {
        "inflow": inflow.sums,
        "use": use.sums,
        "difference": inflow.sums - use.sums,
        "inflow_completeness": inflow.completeness,
        "use_completeness": use.completeness,
    }


def _night_columns(
    volumes: list[_Volumes], nights: Int64Array, days: Int64Array, day_count: int
) -> dict[str, Float64Array]:
    """Find each day's hour of least inflow, and what was used in it."""
    inflow, use = _net(volumes), volumes[1]
    lengths = (nights[:, 1] - nights[:, 0]) / _HOUR_US
    flow, used = inflow.sums / lengths, use.sums / lengths
    least = np.full((2, day_count), np.nan)
    known = np.flatnonzero(~np.isnan(flow))
    order = known[np.lexsort((known, flow[known], days[known]))]
    firsts = order[np.append(True, days[order][1:] != days[order][:-1])[: order.size]]
    least[:, days[firsts]] = flow[firsts], used[firsts]
    counts = np.bincount(days, minlength=day_count)
    with np.errstate(invalid="ignore"):  # a day without a night's hour has no share of it
        shares = [np.bincount(days, v.completeness, minlength=day_count) / counts for v in (inflow, use)]
    return {
        "night_flow": least[0],
        "night_use": least[1],
        "net_night_flow": least[0] - least[1],
        "night_flow_completeness": shares[0],
        "night_use_completeness": shares[1],
    }


def _nullable(numbers: Float64Array) -> pa.Array:
    return fixed_array(numbers, nulls=np.isnan(numbers))
