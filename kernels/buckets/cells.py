"""A bucket's readings so far, merged into a cell; and rows of aggregates made of cells.

A cell is one series' bucket: CELL_FIELDS words, doubles but for the times of its first and last reading and
the scale. It is zeroed before the first reading. Cells merge, so that readings may come in any order.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int32Array, Int64Array
from ..compiler.jit import inner, kernel
from ..numbers.decimals import INTEGER_POWERS, POWERS_OF_TEN, TOTAL_MAX, can_rescale
from ..numbers.sums import two_sum

CELL_COUNT = 0
CELL_SUM = 1
CELL_MIN = 2
CELL_MAX = 3
CELL_FIRST = 4
CELL_LAST = 5
CELL_SUM_ERROR = 6
CELL_SQUARES = 7  # sum of squared deviations from the mean, where asked for
CELL_FIRST_TIME = 8
CELL_LAST_TIME = 9
CELL_SCALE = 10  # an int64: 1 + e where CELL_SUM is the int64 m of m / 10^e, 0 where it is a double
CELL_FIELDS = 11

AGGREGATE_COUNT = 0
AGGREGATE_SUM = 1
AGGREGATE_MIN = 2
AGGREGATE_MAX = 3
AGGREGATE_MEAN = 4
AGGREGATE_FIRST = 5
AGGREGATE_LAST = 6
AGGREGATE_STD = 7


class AggregateSink(NamedTuple):
    """Where rows of aggregates go: a row each slot and bucket, as many as `slots` has room for."""

    slots: Int32Array  # of each row
    starts: Int64Array  # us, of each row's bucket
    columns: Float64Array  # aggregates x room; a count is an int64
    aggregates: Int64Array  # AGGREGATE_COUNT to AGGREGATE_STD, one a column
    first_slot: int  # the slot that a row of slot 0 has
    keep_empty: bool  # whether a bucket without readings has a row too


@inner
def merge_run(cell, count, total, low, high, first, last, squares, first_time, last_time):
    """Merge all of a run but its sum (squared deviations after Chan, Golub and LeVeque, 1979)."""
    cell_times = cell.view(np.int64)
    before = cell[CELL_COUNT]
    cell[CELL_COUNT] = before + count
    if before == 0.0:
        cell[CELL_MIN] = low
        cell[CELL_MAX] = high
        cell[CELL_FIRST] = first
        cell[CELL_LAST] = last
        cell[CELL_SQUARES] = squares
        cell_times[CELL_FIRST_TIME] = first_time
        cell_times[CELL_LAST_TIME] = last_time
        return
    difference = total / count - _sum_of(cell) / before
    cell[CELL_SQUARES] += squares + difference * difference * before * count / (before + count)
    cell[CELL_MIN] = min(cell[CELL_MIN], low)
    cell[CELL_MAX] = max(cell[CELL_MAX], high)
    if first_time < cell_times[CELL_FIRST_TIME]:
        cell_times[CELL_FIRST_TIME] = first_time
        cell[CELL_FIRST] = first
    if last_time > cell_times[CELL_LAST_TIME]:
        cell_times[CELL_LAST_TIME] = last_time
        cell[CELL_LAST] = last


@inner
def add_decimal(cell, count, total, exponent):
    """Add total / 10^exponent to the sum of a cell that `count` readings have just been merged into."""
    integers = cell.view(np.int64)
    if cell[CELL_COUNT] == count:
        integers[CELL_SUM] = total
        integers[CELL_SCALE] = 1 + exponent
        return
    scale = integers[CELL_SCALE]
    common = max(scale - 1, np.int64(exponent))
    if (
        scale > 0
        and can_rescale(integers[CELL_SUM], common - (scale - 1))
        and can_rescale(total, common - exponent)
    ):
        before = integers[CELL_SUM] * INTEGER_POWERS[common - (scale - 1)]
        after = before + total * INTEGER_POWERS[common - exponent]
        if -TOTAL_MAX < after < TOTAL_MAX:
            integers[CELL_SUM] = after
            integers[CELL_SCALE] = 1 + common
            return
    add_double(cell, count, np.float64(total) / POWERS_OF_TEN[exponent], 0.0)


@inner
def add_double(cell, count, total, error):
    """Add total + error to the sum of a cell that `count` readings have just been merged into."""
    integers = cell.view(np.int64)
    if cell[CELL_COUNT] == count:
        cell[CELL_SUM] = total
        cell[CELL_SUM_ERROR] = error
        return
    if integers[CELL_SCALE] > 0:
        cell[CELL_SUM] = _sum_of(cell)
        cell[CELL_SUM_ERROR] = 0.0
        integers[CELL_SCALE] = 0
    cell[CELL_SUM], rounding = two_sum(cell[CELL_SUM], total)
    if np.isfinite(cell[CELL_SUM]):
        cell[CELL_SUM_ERROR] += rounding + error


@inner
def _sum_of(cell):
    integers = cell.view(np.int64)
    if integers[CELL_SCALE] > 0:
        return np.float64(integers[CELL_SUM]) / POWERS_OF_TEN[integers[CELL_SCALE] - 1]
    return cell[CELL_SUM] + cell[CELL_SUM_ERROR]


@kernel
def emit_cells(
    cells: Float64Array,
    edges: Int64Array,
    sink: AggregateSink,
    row: int,
) -> int:
    """Write one row a cell that has readings, or every cell, and zero the cells for their next use.

    `cells` are series x buckets, `row` is the first one to write. An empty cell has count 0 and NaN for the
    rest. Returns the next free row.
    """
    slot_size = CELL_FIELDS * (edges.size - 1)
    for slot in range(cells.size // slot_size):
        own = cells[slot * slot_size : (slot + 1) * slot_size]
        row = emit_slot(own, edges, slot, row, sink)
    return row


@inner
def emit_slot(cells, edges, slot, row, sink):
    """Write a slot's rows from one on, and zero its cells; return the next free row."""
    slots, starts, keep_empty = sink.slots, sink.starts, sink.keep_empty
    room = starts.size
    row_slot = sink.first_slot + slot
    behind = row
    for bucket in range(edges.size - 1):
        if cells[bucket * CELL_FIELDS + CELL_COUNT] != 0.0 or keep_empty:
            slots[behind] = row_slot
            starts[behind] = edges[bucket]
            behind += 1
    # Column by column: the cells stay in the first-level cache meanwhile.
    for k in range(sink.aggregates.size):
        column = sink.columns[k * room + row : k * room + behind]
        _emit_column(cells, sink.aggregates[k], keep_empty, column)
    cells[:] = 0.0
    return behind


@inner
def _emit_column(cells, aggregate, keep_empty, column):
    """Write one aggregate of the cells that have readings, or of all."""
    integers = column.view(np.int64)
    field = _field_of(aggregate)
    row = 0
    for first in range(0, cells.size, CELL_FIELDS):
        if cells[first + CELL_COUNT] == 0.0:
            if not keep_empty:
                continue
            column[row] = np.nan
            if aggregate == AGGREGATE_COUNT:
                integers[row] = 0
        elif aggregate == AGGREGATE_COUNT:
            integers[row] = np.int64(cells[first + CELL_COUNT])
        elif field >= 0:
            column[row] = cells[first + field]
        else:
            column[row] = _derived(cells[first : first + CELL_FIELDS], aggregate)
        row += 1


@inner
def _field_of(aggregate):
    """The field that holds an aggregate as it is, or -1."""
    if aggregate == AGGREGATE_MIN:
        return CELL_MIN
    if aggregate == AGGREGATE_MAX:
        return CELL_MAX
    if aggregate == AGGREGATE_FIRST:
        return CELL_FIRST
    if aggregate == AGGREGATE_LAST:
        return CELL_LAST
    return -1


@inner
def _derived(cell, aggregate):
    """An aggregate that is made of several fields of a cell that has readings."""
    count = cell[CELL_COUNT]
    if aggregate == AGGREGATE_SUM:
        return _sum_of(cell)
    if aggregate == AGGREGATE_MEAN:
        return _sum_of(cell) / count
    # The sample's standard deviation; one reading has none.
    return np.sqrt(cell[CELL_SQUARES] / (count - 1.0)) if count > 1.0 else np.nan
