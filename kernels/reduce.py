"""Readings to bucket aggregates, fused with decoding: a block is decoded into scratch and reduced there.

A cell is one series' bucket: CELL_FIELDS words, doubles but for the times of its first and last
reading. Cells are series x buckets, zeroed before the first call; they merge, so that blocks, merged
columns and recent writes may come in any order. Bucket k covers edges[k] <= time < edges[k + 1].

NaN readings are skipped. Sums do not depend on how the readings are stored: where all readings of a
bucket are decimals (as a meter's are), they are summed as integers and divided once, so that the sum is
the decimal one, correctly rounded. Otherwise a sum carries its rounding error along (Knuth's TwoSum),
and is within an ulp of the exact one.
"""

import numpy as np

from ._jit import Float64Array, Int32Array, Int64Array, UInt8Array, UInt32Array, inner, kernel
from .blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    QUALITIES_END,
    QUALITIES_OFFSET,
    SLOT,
    VALUES_END,
    VALUES_OFFSET,
    first_at_or_after,
    read_times,
    tables_of,
)
from .entropy import MALFORMED
from .floats import EXPONENT_MAX, PLAIN_VALUES, POWERS_OF_TEN, exponent_of, read_floats, scaled, unscale
from .integers import read_integers
from .sums import two_sum

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

# What `control` holds before its integer scratch.
CONTROL_TIME_MIN = 0
CONTROL_TIME_MAX = 1
CONTROL_SQUARES = 2
CONTROL_NO_SUMS = 3  # not 0: nothing that is made of a sum is asked for
CONTROL_COMMIT = 4  # what is later is not known
CONTROL_FIELDS = 5

# What `options` hold before the aggregates.
EMIT_KEEP_EMPTY = 0
EMIT_ROW = 1
EMIT_SLOT = 2
EMIT_FIELDS = 3

# So many mantissas below so large a bound sum up within an int64.
_EXACT_COUNT_MAX = 8192
_EXACT_MANTISSA_MAX = np.int64(1) << np.int64(49)
# Two totals below this add up within an int64.
_TOTAL_MAX = np.int64(1) << np.int64(62)
_INTEGER_POWERS = np.array([10**k for k in range(EXPONENT_MAX + 1)])

AGGREGATE_COUNT = 0
AGGREGATE_SUM = 1
AGGREGATE_MIN = 2
AGGREGATE_MAX = 3
AGGREGATE_MEAN = 4
AGGREGATE_FIRST = 5
AGGREGATE_LAST = 6
AGGREGATE_STD = 7


@kernel
def reduce_blocks(
    data: UInt8Array,
    descriptors: Int64Array,
    tables: UInt32Array,
    edges: Int64Array,
    control: Int64Array,
    values: Float64Array,
    cells: Float64Array,
) -> int:
    """Add every block's readings to its series' cells; `control` and `values` hold the scratch.

    `control` is CONTROL_FIELDS, then room for the times and the mantissas of the largest block.
    Returns the count of readings within the span, or -1 - b where block b is malformed.
    """
    reduced = 0
    room = (control.size - CONTROL_FIELDS) // 2
    for block in range(descriptors.size // DESCRIPTOR_FIELDS):
        descriptor = descriptors[block * DESCRIPTOR_FIELDS : (block + 1) * DESCRIPTOR_FIELDS]
        count = descriptor[COUNT]
        if not 1 <= count <= min(room, values.size):
            return -1 - block
        times = control[CONTROL_FIELDS : CONTROL_FIELDS + count]
        integers = control[CONTROL_FIELDS + room : CONTROL_FIELDS + room + count]
        block_values = values[:count]
        exponent = _read(data, descriptor, tables_of(descriptor, tables), times, integers, block_values)
        if exponent == MALFORMED:
            return -1 - block
        row = descriptor[SLOT] * (edges.size - 1)
        reduced += _reduce_series(times, integers, exponent, block_values, edges, control, row, cells)
    return reduced


@inner
def _read(data, descriptor, tables, times, integers, values):
    """Decode a block's times, and its values as `read_floats` does; return what that returns."""
    if read_times(data, descriptor, tables, times) == MALFORMED:
        return MALFORMED
    return read_floats(data, descriptor[VALUES_OFFSET], descriptor[VALUES_END], tables, integers, values)


@kernel
def reduce_known_blocks(
    data: UInt8Array,
    descriptors: Int64Array,
    tables: UInt32Array,
    edges: Int64Array,
    control: Int64Array,
    values: Float64Array,
    rest: Int64Array,
    cells: Float64Array,
) -> int:
    """Add what a commit knew of every block to its series' cells, and hide what of the rest that supersedes.

    As `reduce_blocks`; but a descriptor's QUALITIES_ fields say where the block's commits stand (in no
    bytes where all its readings are known), and `control` has room for those of the largest block too.
    `rest` holds the slots, the times and the commits of other readings, sorted by slot and time: at times
    of which a block has a known reading, its commits become -1.
    """
    reduced = 0
    room = (control.size - CONTROL_FIELDS) // 3
    for block in range(descriptors.size // DESCRIPTOR_FIELDS):
        descriptor = descriptors[block * DESCRIPTOR_FIELDS : (block + 1) * DESCRIPTOR_FIELDS]
        count = descriptor[COUNT]
        if not 1 <= count <= min(room, values.size):
            return -1 - block
        times = control[CONTROL_FIELDS : CONTROL_FIELDS + count]
        integers = control[CONTROL_FIELDS + room : CONTROL_FIELDS + room + count]
        own_tables = tables_of(descriptor, tables)
        exponent = _read(data, descriptor, own_tables, times, integers, values[:count])
        if exponent == MALFORMED:
            return -1 - block
        offset, end = descriptor[QUALITIES_OFFSET], descriptor[QUALITIES_END]
        known = count
        if offset != end:
            commits = control[CONTROL_FIELDS + 2 * room : CONTROL_FIELDS + 2 * room + count]
            if read_integers(data, offset, end, own_tables, commits) == MALFORMED:
                return -1 - block
            known = _keep_known(commits, control[CONTROL_COMMIT], times, integers, values)
        if known == 0:
            continue
        _hide_superseded(rest, descriptor[SLOT], times[:known])
        row = descriptor[SLOT] * (edges.size - 1)
        reduced += _reduce_series(
            times[:known], integers[:known], exponent, values[:known], edges, control, row, cells
        )
    return reduced


@inner
def _keep_known(commits, commit, times, integers, values):
    """Move the readings up to a commit to the front; return their count."""
    known = 0
    while known < commits.size and commits[known] <= commit:
        known += 1
    for i in range(known + 1, commits.size):
        if commits[i] <= commit:
            times[known] = times[i]
            integers[known] = integers[i]
            values[known] = values[i]
            known += 1
    return known


@inner
def _hide_superseded(rest, slot, times):
    """Make the commits of those of the rest -1 that are of a slot and of one of the increasing times."""
    size = rest.size // 3
    slots = rest[:size]
    rest_times = rest[size : 2 * size]
    first = first_at_or_after(slots, slot)
    end = first + first_at_or_after(slots[first:], slot + 1)
    at = 0
    for i in range(first + first_at_or_after(rest_times[first:end], times[0]), end):
        at += first_at_or_after(times[at:], rest_times[i])
        if at == times.size:
            return
        if times[at] == rest_times[i]:
            rest[2 * size + i] = -1


@kernel
def reduce_columns(
    slots: Int32Array,
    times: Int64Array,
    values: Float64Array,
    edges: Int64Array,
    control: Int64Array,
    cells: Float64Array,
) -> int:
    """Add plain readings, sorted by slot and time, to their cells; returns the count within the span."""
    reduced = 0
    first = 0
    while first < slots.size:
        end = first + 1
        while end < slots.size and slots[end] == slots[first]:
            end += 1
        row = np.int64(slots[first]) * (edges.size - 1)
        # The integer column is not read where values are plain; any array will do for it.
        reduced += _reduce_series(
            times[first:end],
            times[first:end],
            PLAIN_VALUES,
            values[first:end],
            edges,
            control,
            row,
            cells,
        )
        first = end
    return reduced


@inner
def _reduce_series(times, integers, exponent, values, edges, control, row, cells):
    """Cut one series' readings at the bucket edges and merge each run into its cell."""
    i = first_at_or_after(times, max(control[CONTROL_TIME_MIN], edges[0]))
    first = i
    end = first_at_or_after(times, edges[edges.size - 1])
    if end > i and times[end - 1] > control[CONTROL_TIME_MAX]:
        end = first_at_or_after(times[:end], control[CONTROL_TIME_MAX] + 1)
    if i >= end:
        return 0
    bucket = _bucket_of(edges, times[i], 0)
    usual_length = 1
    while i < end:
        run_length = _run_length(times, i, end, edges[bucket + 1], usual_length)
        usual_length = max(usual_length, run_length)
        cell = cells[(row + bucket) * CELL_FIELDS : (row + bucket + 1) * CELL_FIELDS]
        run_times = times[i : i + run_length]
        run_values = values[i : i + run_length]
        if exponent == PLAIN_VALUES:
            _merge_floats(run_times, run_values, control, cell)
        else:
            run = integers[i : i + run_length]
            _merge_integers(run_times, run, exponent, run_values, control, cell)
        i += run_length
        if i < end:
            bucket = _bucket_of(edges, times[i], bucket + 1)
    return end - first


@inner
def _bucket_of(edges, time, guess):
    """The bucket that holds `time`, which lies within the edges; mostly the next one."""
    if edges[guess] <= time < edges[guess + 1]:
        return guess
    low = guess
    high = edges.size - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if edges[middle] <= time:
            low = middle
        else:
            high = middle
    return low


@inner
def _run_length(times, i, end, edge, usual_length):
    """How many readings from i on lie before `edge`, at least one; mostly as many as in most buckets."""
    behind = min(i + usual_length, end)
    if times[behind - 1] < edge:
        if behind == end or times[behind] >= edge:
            return behind - i
        return behind - i + first_at_or_after(times[behind:end], edge)
    # A gap or two make a bucket somewhat shorter.
    for _ in range(4):
        behind -= 1
        if times[behind - 1] < edge:
            return behind - i
    return first_at_or_after(times[i:behind], edge)


@inner
def _merge_integers(times, run, exponent, values, control, cell):
    """Merge a run of decimals run[k] / 10^exponent; `values` is room for them as doubles."""
    total = np.int64(0)
    low = run[0]
    high = low
    for k in range(run.size):
        mantissa = run[k]
        total += mantissa
        low = min(low, mantissa)
        high = max(high, mantissa)
    if run.size > _EXACT_COUNT_MAX or low <= -_EXACT_MANTISSA_MAX or high >= _EXACT_MANTISSA_MAX:
        unscale(run, exponent, values)
        _merge_floats(times, values, control, cell)
        return
    power = POWERS_OF_TEN[exponent]
    squares = 0.0
    if control[CONTROL_SQUARES] != 0:
        mean = np.float64(total) / np.float64(run.size)
        for k in range(run.size):
            deviation = np.float64(run[k]) - mean
            squares += deviation * deviation
        squares = squares / power / power
    _merge_cell(
        cell,
        np.float64(run.size),
        np.float64(total) / power,
        np.float64(low) / power,
        np.float64(high) / power,
        np.float64(run[0]) / power,
        np.float64(run[run.size - 1]) / power,
        squares,
        times[0],
        times[times.size - 1],
    )
    _add_decimal(cell, run.size, total, exponent)


@inner
def _merge_floats(times, values, control, cell):
    i = 0
    end = values.size
    while i < end and np.isnan(values[i]):
        i += 1
    while end > i and np.isnan(values[end - 1]):
        end -= 1
    if i == end:
        return
    count = 0
    low = values[i]
    high = low
    for k in range(i, end):
        value = values[k]
        if not np.isnan(value):
            count += 1
            low = min(low, value)
            high = max(high, value)
    exponent = -1
    mantissa = np.int64(0)
    total = 0.0
    error = 0.0
    if control[CONTROL_NO_SUMS] == 0:
        exponent, mantissa = _decimal_sum(values[i:end])
        if exponent < 0 or control[CONTROL_SQUARES] != 0:
            total, error = _compensated_sum(values[i:end])
    squares = 0.0
    if control[CONTROL_SQUARES] != 0:
        mean = (total + error) / count
        for k in range(i, end):
            if not np.isnan(values[k]):
                squares += (values[k] - mean) * (values[k] - mean)
    _merge_cell(
        cell,
        np.float64(count),
        total + error,
        low,
        high,
        values[i],
        values[end - 1],
        squares,
        times[i],
        times[end - 1],
    )
    if exponent >= 0:
        _add_decimal(cell, count, mantissa, exponent)
    else:
        _add_double(cell, count, total, error)


@inner
def _compensated_sum(values):
    """Return (sum, rounding error) of the values that are not NaN."""
    total = 0.0
    error = 0.0
    for k in range(values.size):
        if not np.isnan(values[k]):
            total, rounding = two_sum(total, values[k])
            error += rounding
    # An infinite sum has no rounding error, but NaN for one.
    return total, error if np.isfinite(total) else 0.0


@inner
def _decimal_sum(values):
    """Return (e, m) where the values are decimals that sum up to m / 10^e; e is -1 where they are not."""
    exponent = 0
    total = np.int64(0)
    for k in range(values.size):
        value = values[k]
        if np.isnan(value):
            continue
        mantissa = scaled(value, POWERS_OF_TEN[exponent])
        if np.isnan(mantissa):
            finer = exponent_of(value, exponent)
            if finer < 0 or not _can_rescale(total, finer - exponent):
                return -1, total
            total *= _INTEGER_POWERS[finer - exponent]
            exponent = finer
            mantissa = scaled(value, POWERS_OF_TEN[exponent])
        total += np.int64(mantissa)
        if not -_TOTAL_MAX < total < _TOTAL_MAX:
            return -1, total
    return exponent, total


@inner
def _can_rescale(total, digits):
    limit = _TOTAL_MAX // _INTEGER_POWERS[digits]
    return -limit < total < limit


@inner
def _merge_cell(cell, count, total, low, high, first, last, squares, first_time, last_time):
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
def _add_decimal(cell, count, total, exponent):
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
        and _can_rescale(integers[CELL_SUM], common - (scale - 1))
        and _can_rescale(total, common - exponent)
    ):
        before = integers[CELL_SUM] * _INTEGER_POWERS[common - (scale - 1)]
        after = before + total * _INTEGER_POWERS[common - exponent]
        if -_TOTAL_MAX < after < _TOTAL_MAX:
            integers[CELL_SUM] = after
            integers[CELL_SCALE] = 1 + common
            return
    _add_double(cell, count, np.float64(total) / POWERS_OF_TEN[exponent], 0.0)


@inner
def _add_double(cell, count, total, error):
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
    options: Int64Array,
    slots: Int32Array,
    starts: Int64Array,
    columns: Float64Array,
) -> int:
    """Write one row a cell that has readings, or every cell, and zero the cells for their next use.

    `options` hold the EMIT_ fields (whether to keep empty cells, the first row and slot to write), then
    the aggregates. A row is a slot, a bucket start, and one word in each column of `columns`, which is
    aggregates x rows: a double, or an int64 for a count. An empty cell has count 0 and NaN for the
    rest. Returns the row behind the last one written.
    """
    bucket_count = edges.size - 1
    aggregate_count = options.size - EMIT_FIELDS
    room = columns.size // aggregate_count
    keep_empty = options[EMIT_KEEP_EMPTY] != 0
    row = options[EMIT_ROW]
    slot_size = CELL_FIELDS * bucket_count
    for slot in range(cells.size // slot_size):
        # A slot at a time, column by column: its cells stay in the first-level cache meanwhile.
        own = cells[slot * slot_size : (slot + 1) * slot_size]
        behind = row
        for bucket in range(bucket_count):
            if own[bucket * CELL_FIELDS + CELL_COUNT] != 0.0 or keep_empty:
                slots[behind] = options[EMIT_SLOT] + slot
                starts[behind] = edges[bucket]
                behind += 1
        for k in range(aggregate_count):
            column = columns[k * room + row : k * room + behind]
            _emit_column(own, options[EMIT_FIELDS + k], keep_empty, column)
        own[:] = 0.0
        row = behind
    return row


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
