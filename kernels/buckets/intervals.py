"""Amounts of intervals over buckets of time.

Shares are differences of the amount interpolated at the edges, so that they telescope to the whole.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int64Array, UInt8Array
from ..compiler.jit import inner, kernel
from ..numbers.search import are_bounds, bucket_of
from ..numbers.sums import two_sum
from ..quality import is_estimate
from ..status import MALFORMED

# One cell a bucket; the first six fields are the ones that may be asked for.
AMOUNT_SUM = 0
AMOUNT_COUNT = 1  # intervals with an amount that begin in the bucket
AMOUNT_MIN = 2
AMOUNT_MAX = 3
AMOUNT_COVERED = 4  # us of the bucket for which there is an amount
AMOUNT_ESTIMATED = 5  # of these, us of an estimate
AMOUNT_LOST = 6  # the sum's rounding error
AMOUNT_FIELDS = 7

EMIT_SUM, EMIT_COUNT, EMIT_MIN, EMIT_MAX, EMIT_COVERED, EMIT_ESTIMATED = range(6)
EMIT_FIELDS = 6


class Intervals(NamedTuple):
    """Intervals with amounts, by start."""

    starts: Int64Array  # us
    ends: Int64Array  # us, not within the interval
    amounts: Float64Array  # NaN is none
    qualities: UInt8Array  # codes


class RowSink(NamedTuple):
    """Where rows go: a row each slot and bucket, as many as `slots` has room for."""

    slots: Int64Array  # of each row
    buckets: Int64Array  # of each row, by number
    columns: Float64Array  # columns x room
    fields: Int64Array  # which column each of EMIT_SUM to EMIT_ESTIMATED goes to, or -1
    keep_empty: bool  # whether a bucket without a part of an amount has a row too


@inner
def intervals_within(intervals, first, end):
    """Return some of the intervals, by number."""
    return Intervals(
        intervals.starts[first:end],
        intervals.ends[first:end],
        intervals.amounts[first:end],
        intervals.qualities[first:end],
    )


@kernel
def reduce_intervals(
    bounds: Int64Array,
    intervals: Intervals,
    edges: Int64Array,
    cells: Float64Array,
    sink: RowSink,
) -> int:
    """Add up every slot's intervals over the buckets between `edges`, in proportion to time.

    Slot k has the intervals bounds[k] to bounds[k + 1], by start. Shares are differences of the amount
    interpolated at the edges, so that they telescope to the whole. `edges` strictly increase; parts of
    intervals outside of them are left out. `cells` is scratch, buckets x AMOUNT_FIELDS. Returns the row
    count, or MALFORMED.
    """
    if not has_room(edges, sink) or cells.size < (edges.size - 1) * AMOUNT_FIELDS:
        return MALFORMED
    if not _are_intervals(bounds, intervals):
        return MALFORMED
    wants_estimates = sink.fields[EMIT_ESTIMATED] >= 0
    cells = cells[: (edges.size - 1) * AMOUNT_FIELDS]
    row = 0
    for slot in range(bounds.size - 1):
        cells[:] = 0.0
        own = intervals_within(intervals, bounds[slot], bounds[slot + 1])
        low, high = _add_intervals(own, edges, wants_estimates, cells)
        row = _emit_slot(cells, low, high, slot, row, sink)
        if row == MALFORMED:
            return MALFORMED
    return row


@inner
def has_room(edges, sink):
    """Return whether all columns have room for as many rows as there may be."""
    room = sink.slots.size
    if edges.size < 2 or sink.buckets.size < room or sink.fields.size != EMIT_FIELDS:
        return False
    for field in range(EMIT_FIELDS):
        if (sink.fields[field] + 1) * room > sink.columns.size:
            return False
    return True


@inner
def _add_intervals(intervals, edges, wants_estimates, cells):
    """Add a slot's intervals to its cells; return the first and the last bucket that have something then."""
    starts, ends = intervals.starts, intervals.ends
    amounts, qualities = intervals.amounts, intervals.qualities
    low, high = edges.size, -1
    bucket = 0
    i = 0
    while i < starts.size:
        if np.isnan(amounts[i]) or ends[i] <= edges[0] or starts[i] >= edges[edges.size - 1]:
            i += 1
            continue
        bucket = bucket_of(edges, starts[i], bucket)
        low = min(low, max(bucket, 0))
        if bucket >= 0 and ends[i] <= edges[bucket + 1]:
            run = intervals_within(intervals, i, starts.size)
            cell = cells[bucket * AMOUNT_FIELDS : (bucket + 1) * AMOUNT_FIELDS]
            i += _add_within(run, edges[bucket], edges[bucket + 1], wants_estimates, cell)
            high = max(high, bucket)
        else:
            high = max(high, _split(starts[i], ends[i], amounts[i], qualities[i], edges, bucket, cells))
            i += 1
    return low, high


@inner
def _add_within(intervals, edge, next_edge, wants_estimates, cell):
    """Add the first intervals, up to one that leaves the bucket, to its cell, as _split would; their count.

    The cell's fields are kept apart meanwhile: sums in memory cost twice the time.
    """
    starts, ends = intervals.starts, intervals.ends
    amounts, qualities = intervals.amounts, intervals.qualities
    total, lost = cell[AMOUNT_SUM], cell[AMOUNT_LOST]
    covered, estimated = cell[AMOUNT_COVERED], cell[AMOUNT_ESTIMATED]
    begun = cell[AMOUNT_COUNT]
    low = cell[AMOUNT_MIN] if begun > 0 else np.inf
    high = cell[AMOUNT_MAX] if begun > 0 else -np.inf
    i = 0
    while i < starts.size and edge <= starts[i] and ends[i] <= next_edge:
        amount = amounts[i]
        if not np.isnan(amount):
            begun += 1
            low = amount if amount < low else low
            high = amount if amount > high else high
            total, rounding = two_sum(total, amount)
            lost += rounding
            covered += ends[i] - starts[i]
            if wants_estimates and is_estimate(qualities[i]):
                estimated += ends[i] - starts[i]
        i += 1
    cell[AMOUNT_SUM], cell[AMOUNT_LOST] = total, lost
    cell[AMOUNT_COVERED], cell[AMOUNT_ESTIMATED] = covered, estimated
    cell[AMOUNT_COUNT], cell[AMOUNT_MIN], cell[AMOUNT_MAX] = begun, low, high
    return i


@inner
def _are_intervals(bounds, intervals):
    starts, ends = intervals.starts, intervals.ends
    count = starts.size
    if ends.size != count or intervals.amounts.size != count or intervals.qualities.size != count:
        return False
    if not are_bounds(bounds, count):
        return False
    for i in range(count):
        if starts[i] >= ends[i]:
            return False
    return True


@inner
def _emit_slot(cells, low, high, slot, row, sink):
    """Write a row for each of a slot's cells that is to have one; return the next free row, or MALFORMED."""
    if sink.keep_empty:
        low, high = 0, cells.size // AMOUNT_FIELDS - 1
    if row + max(high - low + 1, 0) > sink.slots.size:
        return MALFORMED
    for bucket in range(low, high + 1):
        cell = cells[bucket * AMOUNT_FIELDS : (bucket + 1) * AMOUNT_FIELDS]
        if cell[AMOUNT_COVERED] > 0 or sink.keep_empty:
            sink.slots[row] = slot
            sink.buckets[row] = bucket
            _emit(cell, row, sink)
            row += 1
    return row


@inner
def _emit(cell, row, sink):
    """Write the wanted fields of a cell."""
    room = sink.slots.size
    has_begin = cell[AMOUNT_COUNT] > 0
    for field in range(EMIT_FIELDS):
        column = sink.fields[field]
        if column >= 0:
            value = cell[field]
            if field == EMIT_SUM:
                value = cell[AMOUNT_SUM] + cell[AMOUNT_LOST] if cell[AMOUNT_COVERED] > 0 else np.nan
            elif (field == EMIT_MIN or field == EMIT_MAX) and not has_begin:
                value = np.nan
            sink.columns[column * room + row] = value


@inner
def _split(start, end, amount, quality, edges, bucket, cells):
    """Add an interval, which begins in `bucket` (-1: before all), to its cells; the last bucket of it."""
    is_estimated = is_estimate(quality)
    if bucket >= 0:
        _count(cells, bucket * AMOUNT_FIELDS, amount)
    bucket = max(bucket, 0)
    low = max(start, edges[0])
    before = amount_until(low, start, end, amount)
    while low < end and bucket < edges.size - 1:
        share, high, until = share_in(edges[bucket + 1], start, end, amount, before)
        cell = bucket * AMOUNT_FIELDS
        _add(cells, cell, share)
        cells[cell + AMOUNT_COVERED] += high - low
        if is_estimated:
            cells[cell + AMOUNT_ESTIMATED] += high - low
        low, before = high, until
        bucket += 1
    return bucket - 1


@inner
def share_in(next_edge, start, end, amount, before):
    """Return an interval's share in a bucket, where that ends, and the amount up to there.

    `before` is the amount that lies before the bucket.
    """
    high = min(end, next_edge)
    until = amount_until(high, start, end, amount)
    return until - before, high, until


@inner
def amount_until(at, start, end, amount):
    """The part of an interval's amount that lies before an instant."""
    if at == end:
        return amount
    if at == start:
        return 0.0
    return amount * (np.float64(at - start) / np.float64(end - start))


@inner
def _count(cells, cell, amount):
    count = cells[cell + AMOUNT_COUNT]
    if count == 0 or amount < cells[cell + AMOUNT_MIN]:
        cells[cell + AMOUNT_MIN] = amount
    if count == 0 or amount > cells[cell + AMOUNT_MAX]:
        cells[cell + AMOUNT_MAX] = amount
    cells[cell + AMOUNT_COUNT] = count + 1


@inner
def _add(cells, cell, share):
    cells[cell + AMOUNT_SUM], rounding = two_sum(cells[cell + AMOUNT_SUM], share)
    cells[cell + AMOUNT_LOST] += rounding
