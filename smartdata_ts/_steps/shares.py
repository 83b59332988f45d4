"""How complete a bucket is, and how much of it is estimated.

A series is expected to have a reading every `interval` that it was described with, or else every usual step:
the lower median time between two of its readings within the query's span. A bucket expects its true length
over that, rounded, and at least one; so a local day of 25 hours expects 25 hourly readings.
"""

import numpy as np
import pyarrow as pa

from smartdata_ts._read.decode import decode
from smartdata_ts._read.plan import Plan, Slice
from smartdata_ts._read.planning import make_plan
from smartdata_ts._read.scan import read_slice
from smartdata_ts._read.threads import in_order
from smartdata_ts._readings.columns import Readings, bounds_of
from smartdata_ts._steps.pipeline import FRAME_READINGS, ranges
from smartdata_ts._storage.snapshot import Blocks
from smartdata_ts.kernels.arrays import Float64Array, Int64Array
from smartdata_ts.kernels.gaps import cut as gaps_cut
from smartdata_ts.kernels.quality import STATUS_IS_ESTIMATE

ESTIMATES = STATUS_IS_ESTIMATE[np.arange(256) & 15] > 0
SHARES = ("expected_count", "completeness", "estimated_share")


def field_of(name: str) -> pa.Field:
    """The column of an aggregate: counts are int64, all else double."""
    return pa.field(name, pa.int64() if name in ("count", "expected_count") else pa.float64())


def steps_of(plan: Plan, intervals_us: list[int | None]) -> Int64Array:
    """The time from one reading to the next that each series has, in us; 0 where nothing tells of it."""
    steps = np.array([interval or 0 for interval in intervals_us], np.int64)
    lacking = np.flatnonzero(steps == 0)
    if lacking.size:
        keys, span = plan.keys.take(lacking), (plan.time_min, plan.time_max)
        part = make_plan(plan.snapshot, plan.ids[lacking], keys, *span, plan.qualities)

        def run(positions: tuple[int, int]) -> Int64Array:
            readings = read_slice(part, Slice(*positions, *span))
            return _usual_steps(readings.select(~np.isnan(readings.values)), positions[1] - positions[0])

        found = in_order(run, ranges(part, FRAME_READINGS), part.reading_count, part.snapshot.thread_count)
        steps[lacking] = np.concatenate([*found])
    return steps


def _usual_steps(readings: Readings, slot_count: int) -> Int64Array:
    bounds = bounds_of(readings.series, slot_count)
    return usual_spacings(bounds, readings.times)


def following(bounds: Int64Array, starts: Int64Array) -> Int64Array:
    """Where the next row of the series starts; the last row's own start."""
    ends = np.append(starts[1:], starts[-1:])
    lasts = bounds[1:][bounds[1:] > bounds[:-1]] - 1
    ends[lasts] = starts[lasts]
    return ends


def usual_lengths(bounds: Int64Array, starts: Int64Array, ends: Int64Array) -> Int64Array:
    """Each series' lower median length of rows; 0 where it has none."""
    steps = np.empty(bounds.size - 1, np.int64)
    status = gaps_cut.usual_steps(bounds, starts, ends, np.empty(starts.size), steps)
    assert status == steps.size, "the columns fit each other"
    return steps


def usual_spacings(bounds: Int64Array, times: Int64Array) -> Int64Array:
    """Each series' lower median time from reading to reading; 0 where it has but one."""
    steps = np.empty(bounds.size - 1, np.int64)
    status = gaps_cut.usual_spacings(bounds, times, np.empty(times.size), steps)
    assert status == steps.size, "the columns fit each other"
    return steps


def expected_counts(widths: Int64Array, steps: Int64Array) -> Int64Array:
    """How many readings buckets of these widths should have; 0 where nothing tells of it."""
    known = np.maximum(steps, 1)
    whole, rest = widths // known, widths % known
    rounded = whole + (rest >= known - known // 2)
    return np.where(steps > 0, np.maximum(rounded, 1), 0).astype(np.int64)


def completeness_of(counts: Int64Array, expected: Int64Array) -> Float64Array:
    """The share of the expected readings that are there, at most 1; NaN where none is known to be."""
    shares = np.minimum(counts / np.maximum(expected, 1), 1.0)
    return np.where(expected > 0, shares, np.nan)


def count_estimates(plan: Plan, part: Slice, edges: Int64Array, loose: list[Readings]) -> Int64Array:
    """How many readings of each cell, slot by slot, are estimates; `loose` are those not in plain blocks."""
    bucket_count = edges.size - 1
    counts = np.zeros((part.end - part.first) * bucket_count, np.int64)
    for readings in [*_estimated_blocks(plan, part), *loose]:
        wanted = ESTIMATES[readings.qualities] & ~np.isnan(readings.values)
        buckets = np.searchsorted(edges, readings.times[wanted], "right") - 1
        cells = readings.series[wanted].astype(np.int64) * bucket_count + buckets
        inside = (buckets >= 0) & (buckets < bucket_count)
        np.add.at(counts, cells[inside], 1)
    return counts


def _estimated_blocks(plan: Plan, part: Slice) -> list[Readings]:
    """The readings of those plain blocks that may have estimates, by their summaries."""
    found = []
    for chunk, rows, positions in plan.blocks_in(part):
        low, high = chunk.quality_min[rows], chunk.quality_max[rows]
        plain = ~plan.tangled[positions] | plan.settled_in(chunk, rows)
        wanted = ((low != high) | ESTIMATES[low]) & plain
        if wanted.any():
            found.append(decode(Blocks(chunk, rows[wanted], positions[wanted] - part.first), part))
    return found
