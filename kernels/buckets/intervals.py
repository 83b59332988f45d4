"""Amounts of intervals over buckets of time.

Shares are differences of the amount interpolated at the edges, so that they telescope to the whole.
"""

import numpy as np

from ..arrays import Float64Array, Int64Array, UInt8Array
from ..compiler.jit import inner, kernel
from ..numbers.search import bucket_of
from ..numbers.sums import two_sum
from ..quality import is_estimate
from ..status import MALFORMED

# One cell a bucket; the first six fields are what may be asked for.
CELL_SUM = 0
CELL_COUNT = 1  # intervals with an amount that begin in the bucket
CELL_MIN = 2
CELL_MAX = 3
CELL_COVERED = 4  # us of the bucket for which there is an amount
CELL_ESTIMATED = 5  # of these, us of an estimate
CELL_LOST = 6  # what rounding took from the sum
CELL_FIELDS = 7

EMIT_SUM, EMIT_COUNT, EMIT_MIN, EMIT_MAX, EMIT_COVERED, EMIT_ESTIMATED = range(6)
EMIT_FIELDS = 6

# What `control` holds before the room for places.
KEEP_EMPTY = 0
REDUCE_FIELDS = 1 + EMIT_FIELDS


@kernel
def reduce_intervals(
    bounds: Int64Array,
    starts: Int64Array,
    ends: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    edges: Int64Array,
    control: Int64Array,
    columns: Float64Array,
) -> int:
    """Add up every slot's intervals over the buckets between `edges`, in proportion to time.

    Slot k has the rows bounds[k] to bounds[k + 1], by start. Shares are differences of the amount
    interpolated at the edges, so that they telescope to the whole. NaN is no amount; what lies outside of
    the edges, which strictly increase, is left out. One row a bucket that has a part of an amount, or every
    bucket where control[KEEP_EMPTY]. `control`: KEEP_EMPTY, then which column each of the fields EMIT_SUM to
    EMIT_ESTIMATED goes to, or -1, then room for each row's slot, and for each row's bucket. `columns`: one
    slot's cells, then the columns, each of room for all rows. Returns the row count, or MALFORMED.
    """
    if not has_room(edges, control, columns) or not _are_intervals(bounds, starts, ends, values, qualities):
        return MALFORMED
    wants_estimates = control[1 + EMIT_ESTIMATED] >= 0
    cells = columns[: (edges.size - 1) * CELL_FIELDS]
    row = 0
    for slot in range(bounds.size - 1):
        cells[:] = 0.0
        first, end = bounds[slot], bounds[slot + 1]
        rows = (starts[first:end], ends[first:end], values[first:end], qualities[first:end])
        low, high = _add_rows(rows, edges, wants_estimates, cells, edges.size, -1)
        row = _emit_slot(cells, low, high, slot, control, row, columns)
        if row == MALFORMED:
            return MALFORMED
    return row


@inner
def has_room(edges, control, columns):
    """Whether there is room for a slot's cells, and all columns."""
    room = (control.size - REDUCE_FIELDS) // 2
    cell_size = (edges.size - 1) * CELL_FIELDS
    if edges.size < 2 or room < 0:
        return False
    for field in range(EMIT_FIELDS):
        if cell_size + (control[1 + field] + 1) * room > columns.size:
            return False
    return True


@inner
def _add_rows(rows, edges, wants_estimates, cells, low, high):
    """Add a slot's intervals to its cells, of which low to high have something then."""
    starts, ends, amounts, qualities = rows
    bucket = 0
    i = 0
    while i < starts.size:
        if np.isnan(amounts[i]) or ends[i] <= edges[0] or starts[i] >= edges[edges.size - 1]:
            i += 1
            continue
        bucket = bucket_of(edges, starts[i], bucket)
        low = min(low, max(bucket, 0))
        if bucket >= 0 and ends[i] <= edges[bucket + 1]:
            run = (starts[i:], ends[i:], amounts[i:], qualities[i:])
            cell = cells[bucket * CELL_FIELDS : (bucket + 1) * CELL_FIELDS]
            i += _add_within(run, edges[bucket], edges[bucket + 1], wants_estimates, cell)
            high = max(high, bucket)
        else:
            high = max(high, _split(starts[i], ends[i], amounts[i], qualities[i], edges, bucket, cells))
            i += 1
    return low, high


@inner
def _add_within(rows, edge, next_edge, wants_estimates, cell):
    """Add the first rows, up to one that leaves the bucket, to its cell, as _split would; their count.

    The cell's fields are kept apart meanwhile: sums in memory cost twice the time.
    """
    starts, ends, amounts, qualities = rows
    total, lost, covered, estimated = (
        cell[CELL_SUM],
        cell[CELL_LOST],
        cell[CELL_COVERED],
        cell[CELL_ESTIMATED],
    )
    begun = cell[CELL_COUNT]
    low = cell[CELL_MIN] if begun > 0 else np.inf
    high = cell[CELL_MAX] if begun > 0 else -np.inf
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
    cell[CELL_SUM], cell[CELL_LOST], cell[CELL_COVERED], cell[CELL_ESTIMATED] = (
        total,
        lost,
        covered,
        estimated,
    )
    cell[CELL_COUNT], cell[CELL_MIN], cell[CELL_MAX] = begun, low, high
    return i


@inner
def _are_intervals(bounds, starts, ends, values, qualities):
    count = starts.size
    if ends.size != count or values.size != count or qualities.size != count:
        return False
    if bounds.size < 1 or bounds[0] < 0 or bounds[bounds.size - 1] > count:
        return False
    for slot in range(bounds.size - 1):
        if bounds[slot] > bounds[slot + 1]:
            return False
    for i in range(count):
        if starts[i] >= ends[i]:
            return False
    return True


@inner
def _emit_slot(cells, low, high, slot, control, row, columns):
    """Write a row for each of a slot's cells that is to have one; returns the row behind, or MALFORMED."""
    room = (control.size - REDUCE_FIELDS) // 2
    if control[KEEP_EMPTY] != 0:
        low, high = 0, cells.size // CELL_FIELDS - 1
    if row + max(high - low + 1, 0) > room:
        return MALFORMED
    for bucket in range(low, high + 1):
        cell = cells[bucket * CELL_FIELDS : (bucket + 1) * CELL_FIELDS]
        if cell[CELL_COVERED] > 0 or control[KEEP_EMPTY] != 0:
            control[REDUCE_FIELDS + row] = slot
            control[REDUCE_FIELDS + room + row] = bucket
            _emit(cell, control, room, row, columns[cells.size :])
            row += 1
    return row


@inner
def _emit(cell, control, room, row, columns):
    """Write what is wanted of a cell."""
    has_begin = cell[CELL_COUNT] > 0
    for field in range(EMIT_FIELDS):
        column = control[1 + field]
        if column >= 0:
            value = cell[field]
            if field == EMIT_SUM:
                value = cell[CELL_SUM] + cell[CELL_LOST] if cell[CELL_COVERED] > 0 else np.nan
            elif (field == EMIT_MIN or field == EMIT_MAX) and not has_begin:
                value = np.nan
            columns[column * room + row] = value


@inner
def _split(start, end, amount, quality, edges, bucket, cells):
    """Add an interval, which begins in `bucket` (-1: before all), to its cells; the last bucket of it."""
    is_estimated = is_estimate(quality)
    if bucket >= 0:
        _count(cells, bucket * CELL_FIELDS, amount)
    bucket = max(bucket, 0)
    low = max(start, edges[0])
    before = amount_until(low, start, end, amount)
    while low < end and bucket < edges.size - 1:
        high = min(end, edges[bucket + 1])
        until = amount_until(high, start, end, amount)
        cell = bucket * CELL_FIELDS
        _add(cells, cell, until - before)
        cells[cell + CELL_COVERED] += high - low
        if is_estimated:
            cells[cell + CELL_ESTIMATED] += high - low
        low, before = high, until
        bucket += 1
    return bucket - 1


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
    count = cells[cell + CELL_COUNT]
    if count == 0 or amount < cells[cell + CELL_MIN]:
        cells[cell + CELL_MIN] = amount
    if count == 0 or amount > cells[cell + CELL_MAX]:
        cells[cell + CELL_MAX] = amount
    cells[cell + CELL_COUNT] = count + 1


@inner
def _add(cells, cell, share):
    cells[cell + CELL_SUM], rounding = two_sum(cells[cell + CELL_SUM], share)
    cells[cell + CELL_LOST] += rounding
