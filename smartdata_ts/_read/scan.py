"""Readings out of blocks: slices decoded and merged, on two threads, in the order of the selection.

Results are in the order of the selection's keys, then of time.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from smartdata_ts._read.decode import decode, decode_payloads, pieces_in
from smartdata_ts._read.past import PastPlan, read_past
from smartdata_ts._read.plan import Plan, Slice
from smartdata_ts._read.planning import make_plan
from smartdata_ts._read.series_blocks import head_in, series_blocks
from smartdata_ts._read.slices import slices_by_readings
from smartdata_ts._read.threads import in_order
from smartdata_ts._readings.arrow import fixed_array, text_array
from smartdata_ts._readings.columns import Readings, fold
from smartdata_ts._readings.schema import READINGS_SCHEMA, TIME_TYPE
from smartdata_ts._storage.snapshot import Snapshot
from smartdata_ts.kernels.arrays import Int64Array

SLICE_READINGS = 1_048_576


def read_series(snapshot: Snapshot, ids: Int64Array, time_min: int, time_max: int) -> Readings:
    """All readings of the ascending series `ids` within [time_min, time_max], by id and time."""
    plan = make_plan(snapshot, ids, text_array([]), time_min, time_max)
    readings = read_slice(plan, Slice(0, ids.size, time_min, time_max))
    series = ids[readings.series].astype(np.int32)
    return Readings(series, readings.times, readings.values, readings.qualities)


def read_slice(plan: Plan, part: Slice, only: np.ndarray | None = None) -> Readings:
    """The merged readings of a slice, `series` being the position less part.first; `only` picks positions."""
    readings = _read_all(plan, part, only)
    return readings if plan.wanted is None else readings.select(plan.wanted[readings.qualities])


def _read_all(plan: Plan, part: Slice, only: np.ndarray | None) -> Readings:
    if isinstance(plan, PastPlan) and plan.tangled[part.first : part.end].any():
        return read_past(plan, part, only)
    if only is None and (blocks := series_blocks(plan, part)) is not None and blocks.piece_count > 1:
        # In the order of series and time, so that nothing need be moved.
        loaded = blocks.load()
        return decode_payloads(loaded.encoded, blocks.reading_count, part, loaded.corrupt)
    pieces = [decode(blocks, part) for blocks in pieces_in(plan, part, only)]
    head = head_in(plan, part)
    if only is not None:
        head = head.select(only[head.series + part.first])
    return fold([*pieces, head]).readings


def reading_batches(plan: Plan) -> Iterator[pa.RecordBatch]:
    """The readings of a plan, batch by batch, in bounded memory."""

    def run(part: Slice) -> pa.RecordBatch:
        readings = read_slice(plan, part)
        return pa.record_batch(
            [
                pa.DictionaryArray.from_arrays(
                    fixed_array(readings.series + np.int32(part.first)), plan.keys
                ),
                fixed_array(readings.times, TIME_TYPE),
                fixed_array(readings.values),
                fixed_array(readings.qualities),
            ],
            schema=READINGS_SCHEMA,
        )

    slices = list(slices_by_readings(plan, SLICE_READINGS))
    for batch in in_order(run, slices, plan.reading_count, plan.snapshot.thread_count):
        if batch.num_rows:
            yield batch
