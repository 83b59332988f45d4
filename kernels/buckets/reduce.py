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

from ..arrays import Float64Array, Int32Array, Int64Array, UInt8Array, UInt32Array
from ..codec.blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    QUALITIES_END,
    QUALITIES_OFFSET,
    SLOT,
    VALUES_END,
    VALUES_OFFSET,
    read_times,
    tables_of,
)
from ..codec.floats import PLAIN_VALUES, read_floats
from ..codec.integers import read_integers
from ..compiler.jit import inner, kernel
from ..numbers.decimals import (
    EXACT_MANTISSA_MAX,
    INTEGER_POWERS,
    POWERS_OF_TEN,
    TOTAL_MAX,
    can_rescale,
    exponent_of,
    scaled,
    unscale,
)
from ..numbers.search import bucket_at, first_at_or_after
from ..numbers.sums import two_sum
from ..status import MALFORMED
from .cells import CELL_FIELDS, EMIT_ROW, EMIT_SLOT, add_decimal, add_double, emit_slot, merge_run
from .growth import (
    GROWTH_FIELDS,
    NO_GROWTH,
    SPAN_TIME_MAX,
    SPAN_TIME_MIN,
    add_growth,
    emit_growth,
    merge_growth,
)

# What `control` holds before its integer scratch.
CONTROL_TIME_MIN = SPAN_TIME_MIN
CONTROL_TIME_MAX = SPAN_TIME_MAX
CONTROL_SQUARES = 2
CONTROL_NO_SUMS = 3  # not 0: nothing that is made of a sum is asked for
CONTROL_COMMIT = 4  # what is later is not known
CONTROL_FIELDS = 5

# So many mantissas below so large a bound sum up within an int64.
_EXACT_COUNT_MAX = 8192


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
    bucket_count = edges.size - 1
    scratch = control[CONTROL_FIELDS:]
    columns = (scratch[:room], scratch[room : 2 * room], values)
    for block in range(descriptors.size // DESCRIPTOR_FIELDS):
        descriptor = descriptors[block * DESCRIPTOR_FIELDS : (block + 1) * DESCRIPTOR_FIELDS]
        own_tables = tables_of(descriptor, tables)
        first_cell = descriptor[SLOT] * bucket_count * CELL_FIELDS
        of_slot = cells[first_cell : first_cell + bucket_count * CELL_FIELDS]
        counted = _reduce_block(data, descriptor, own_tables, columns, edges, control, of_slot)
        if counted == MALFORMED:
            return -1 - block
        reduced += counted
    return reduced


@kernel
def resample_blocks(
    data: UInt8Array,
    descriptors: Int64Array,
    tables: UInt32Array,
    edges: Int64Array,
    options: Int64Array,
    scratch: Int64Array,
    slots: Int32Array,
    columns: Float64Array,
) -> int:
    """Write what reduce_blocks and then emit_cells would, of blocks by slot and time; no cell is kept empty.

    `options` are CONTROL_FIELDS, then those of emit_cells. `scratch` has room for the times, mantissas and
    values of the largest block, and, zeroed before and behind, for a slot's growth and cells. Returns the row
    behind the last one written, or -1 - b where block b is malformed.
    """
    bucket_count = edges.size - 1
    room = (scratch.size - (GROWTH_FIELDS + CELL_FIELDS) * bucket_count) // 3
    columns_of = (scratch[:room], scratch[room : 2 * room], scratch[2 * room : 3 * room].view(np.float64))
    growth = scratch[3 * room : 3 * room + GROWTH_FIELDS * bucket_count]
    cells = scratch[scratch.size - CELL_FIELDS * bucket_count :].view(np.float64)
    emitted = options[CONTROL_FIELDS:]
    row = emitted[EMIT_ROW]
    block_count = descriptors.size // DESCRIPTOR_FIELDS
    # A slot's blocks grow as long as they can; what does not, and all behind it, goes to cells.
    grown, has_cells = NO_GROWTH, False
    for block in range(block_count):
        descriptor = descriptors[block * DESCRIPTOR_FIELDS : (block + 1) * DESCRIPTOR_FIELDS]
        own_tables = tables_of(descriptor, tables)
        slot = descriptor[SLOT]
        added = False
        if not has_cells and _may_grow(descriptor, columns_of, options):
            grown, added = add_growth(data, descriptor, own_tables, columns_of, edges, options, grown, growth)
        if not added:
            merge_growth(grown, edges, growth, cells)
            grown, has_cells = NO_GROWTH, True
            if _reduce_decoded(data, descriptor, own_tables, columns_of, edges, options, cells) == MALFORMED:
                cells[:] = 0.0
                return -1 - block
        if block + 1 == block_count or descriptors[(block + 1) * DESCRIPTOR_FIELDS + SLOT] != slot:
            at = (emitted[EMIT_SLOT] + slot, row)
            if has_cells:
                row = emit_slot(cells, edges, emitted, at, slots, columns)
            else:
                row = emit_growth(grown, growth, edges, emitted, at, slots, columns)
            grown, has_cells = NO_GROWTH, False
    return row


@inner
def _may_grow(descriptor, columns, control):
    """Whether a block fits the scratch, and nothing is asked for that takes all of its readings."""
    times, _, values = columns
    return 1 <= descriptor[COUNT] <= min(times.size, values.size) and control[CONTROL_SQUARES] == 0


@inner
def _reduce_block(data, descriptor, tables, columns, edges, control, cells):
    """Add a block's readings to its slot's cells; return the count of those within the span, or MALFORMED."""
    # What grows is kept in room that the values' doubles would take: they are not made then.
    _, _, values = columns
    growth_size = GROWTH_FIELDS * (edges.size - 1)
    if growth_size <= values.size and _may_grow(descriptor, columns, control):
        growth = values.view(np.int64)[:growth_size]
        growth[:] = 0
        grown, added = add_growth(data, descriptor, tables, columns, edges, control, NO_GROWTH, growth)
        if added:
            merge_growth(grown, edges, growth, cells)
            return descriptor[COUNT]
    return _reduce_decoded(data, descriptor, tables, columns, edges, control, cells)


@inner
def _reduce_decoded(data, descriptor, tables, columns, edges, control, cells):
    """The same of any block."""
    times, integers, values = columns
    count = descriptor[COUNT]
    if not 1 <= count <= min(times.size, values.size):
        return MALFORMED
    times, integers, values = times[:count], integers[:count], values[:count]
    exponent = _read(data, descriptor, tables, times, integers, values)
    if exponent == MALFORMED:
        return MALFORMED
    return _reduce_series(times, integers, exponent, values, edges, control, 0, cells)


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
    bucket = bucket_at(edges, times[i], 0)
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
            bucket = bucket_at(edges, times[i], bucket + 1)
    return end - first


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
    if run.size > _EXACT_COUNT_MAX or low <= -EXACT_MANTISSA_MAX or high >= EXACT_MANTISSA_MAX:
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
    merge_run(
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
    add_decimal(cell, run.size, total, exponent)


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
    merge_run(
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
        add_decimal(cell, count, mantissa, exponent)
    else:
        add_double(cell, count, total, error)


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
            if finer < 0 or not can_rescale(total, finer - exponent):
                return -1, total
            total *= INTEGER_POWERS[finer - exponent]
            exponent = finer
            mantissa = scaled(value, POWERS_OF_TEN[exponent])
        total += np.int64(mantissa)
        if not -TOTAL_MAX < total < TOTAL_MAX:
            return -1, total
    return exponent, total
