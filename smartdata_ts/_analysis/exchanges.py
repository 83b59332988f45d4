"""Exchanges of meters that nobody has said, drawn from what the registers did."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smartdata_ts._query import Query
from smartdata_ts._readings.schema import TIME_TYPE
from smartdata_ts.kernels.arrays import Float64Array, Int64Array
from smartdata_ts.kernels.registers.events import EVENT_NONE, EVENT_RESET

_USUAL_FACTOR = 10.0
_SCHEMA = pa.schema(
    [
        pa.field("series", pa.string()),
        pa.field("time", TIME_TYPE),
        pa.field("final", pa.float64()),
        pa.field("initial", pa.float64()),
        pa.field("last_time", TIME_TYPE),
        pa.field("last_value", pa.float64()),
        pa.field("first_time", TIME_TYPE),
        pa.field("first_value", pa.float64()),
    ]
)


def infer_exchanges(query: Query) -> pa.Table:
    """One row for each reset of the registers that a query selects; `Store.infer_exchanges` has the rules."""
    rows = [row for batch in query.consumption().to_batches() for row in _of_batch(query, batch)]
    return pa.Table.from_pylist(rows, _SCHEMA)


def _of_batch(query: Query, batch: pa.RecordBatch) -> Iterator[dict[str, object]]:
    """A batch has whole series, so that all their intervals are in it."""
    slots = batch.column("series").indices
    resets = batch.filter(pc.equal(batch.column("event"), EVENT_RESET))
    for slot in pc.unique(resets.column("series").indices).to_pylist():
        intervals = batch.filter(pc.equal(slots, slot))
        key = intervals.column("series")[0].as_py()
        readings = replace(query, series=(key,)).to_arrow()
        yield from _of_series(key, intervals, _microseconds(readings["time"]), np.asarray(readings["value"]))


def _of_series(
    key: str, intervals: pa.RecordBatch, times: Int64Array, values: Float64Array
) -> Iterator[dict[str, object]]:
    begins, ends = (_microseconds(intervals.column(name)) for name in ("time", "end"))
    events = np.asarray(intervals.column("event"))
    lasts, firsts = (values[np.searchsorted(times, at)] for at in (begins, ends))
    plain = events == EVENT_NONE
    usual_rate = (firsts - lasts)[plain].sum() / max((ends - begins)[plain].sum(), 1)
    for k in np.flatnonzero(events == EVENT_RESET).tolist():
        length = int(ends[k] - begins[k])
        is_use = 0 <= firsts[k] <= _USUAL_FACTOR * usual_rate * length
        yield {
            "series": key,
            "time": int(begins[k]) + length // 2,
            "final": float(lasts[k]),
            "initial": 0.0 if is_use else float(firsts[k]),
            "last_time": int(begins[k]),
            "last_value": float(lasts[k]),
            "first_time": int(ends[k]),
            "first_value": float(firsts[k]),
        }


def _microseconds(times: pa.Array) -> Int64Array:
    return np.asarray(times.cast(pa.int64()))
