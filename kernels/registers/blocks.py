"""Registers straight from blocks to amounts over buckets: a meter's readings are never more than scratch.

What is made of a meter is what kernels/registers/reduce.py makes of it. That its readings do not leave the
processor's caches saves half of the time.
"""

import numpy as np

from ..arrays import Float64Array, Int64Array, UInt8Array, UInt32Array
from ..buckets.intervals import EMIT_ESTIMATED, has_room
from ..codec.blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    QUALITIES_END,
    QUALITIES_OFFSET,
    VALUES_END,
    VALUES_OFFSET,
    read_times,
    tables_of,
)
from ..codec.floats import PLAIN_VALUES, read_floats
from ..codec.qualities import read_qualities
from ..compiler.jit import inner, kernel
from ..numbers.decimals import EXACT_MANTISSA_MAX, unscale
from ..numbers.differences import decimals_of
from ..numbers.search import first_at_or_after
from ..quality import is_reading
from ..status import MALFORMED
from .intervals import intervals_of, is_growing
from .lines import NO_LINES, fold_meter, open_meter, settle_lines, width_of
from .meters import METER_FIELDS, SCRATCH_FIELDS, factors
from .reduce import add_rows
from .target import NOTHING, close, has_places, target_of

MALFORMED_BLOCK = -2  # less the block's number

# What is told of each meter behind METER_FIELDS: the first and the last time of which its readings are taken
# (int64s, as all times here); and, unless it is the first of its slot, when it took the place of the one
# before, what that one's register showed then, and what its own did.
FIRST_TIME, LAST_TIME, EXCHANGE_TIME, EXCHANGE_FINAL, EXCHANGE_INITIAL = range(METER_FIELDS, METER_FIELDS + 5)
BLOCK_METER_FIELDS = METER_FIELDS + 5

# Words of scratch for each reading of the largest meter, and for two more: its columns, then what
# register_amounts needs.
BLOCK_SCRATCH_FIELDS = 3 + SCRATCH_FIELDS


@kernel
def reduce_register_blocks(
    data: UInt8Array,
    descriptors: Int64Array,
    tables: UInt32Array,
    bounds: Int64Array,
    meters: Float64Array,
    edges: Int64Array,
    control: Int64Array,
    columns: Float64Array,
) -> int:
    """What reduce_registers makes of the readings of blocks, all but those that are not usable.

    Meter m is read from the blocks bounds[2 m] to bounds[2 m + 1], of which each begins behind the one
    before; meters of one slot follow each other, and have the same blocks. `data`, `descriptors` and
    `tables` are those of read_blocks, `meters` has BLOCK_METER_FIELDS of each meter and then the scratch.
    Returns the row count, MALFORMED, or -2 - b where block b is malformed.
    """
    if not has_room(edges, control, columns) or not _are_meters(descriptors, bounds, meters):
        return MALFORMED
    return _reduce((data, descriptors, tables), bounds, meters, edges, control, columns, False)


@kernel
def fold_register_blocks(
    data: UInt8Array,
    descriptors: Int64Array,
    tables: UInt32Array,
    bounds: Int64Array,
    meters: Float64Array,
    edges: Int64Array,
    control: Int64Array,
    columns: Float64Array,
) -> int:
    """What fold_registers makes of the readings of blocks; all else is as of reduce_register_blocks."""
    if not _are_meters(descriptors, bounds, meters):
        return MALFORMED
    if not has_places(meters[: bounds.size // 2], edges, control, columns):
        return MALFORMED
    return _reduce((data, descriptors, tables), bounds, meters, edges, control, columns, True)


@inner
def _are_meters(descriptors, bounds, meters):
    meter_count = bounds.size // 2
    if bounds.size != 2 * meter_count or meters.size < BLOCK_METER_FIELDS * meter_count:
        return False
    times = _field(meters, EXCHANGE_TIME, meter_count).view(np.int64)
    for m in range(meter_count):
        if not 0 <= bounds[2 * m] <= bounds[2 * m + 1] <= descriptors.size // DESCRIPTOR_FIELDS:
            return False
        if m > 1 and meters[m - 2] == meters[m - 1] == meters[m] and times[m - 1] >= times[m]:
            return False
    return True


@inner
def _field(meters, field, meter_count):
    return meters[field * meter_count : (field + 1) * meter_count]


@inner
def _reduce(blocks, bounds, meters, edges, control, columns, is_folding):
    meter_count = bounds.size // 2
    slots = meters[:meter_count]
    scratch = meters[BLOCK_METER_FIELDS * meter_count :].view(np.int64)
    room = scratch.size // BLOCK_SCRATCH_FIELDS
    if room < 2:
        return MALFORMED
    readings = (
        scratch[:room],
        scratch[room : 2 * room].view(np.float64),
        scratch[2 * room : 3 * room].view(np.uint8)[:room],
    )
    scratch = scratch[3 * room :]
    wants_estimates = control[1 + EMIT_ESTIMATED] >= 0
    to = target_of(edges, control, columns, is_folding)
    bucket, row, cell = -1, 0, NOTHING
    first, behind = 0, 0
    exponent, exponent_of_lines = np.int64(-1), np.int64(-1)
    frame = (edges, width_of(edges, control, is_folding))
    for m in range(meter_count):
        slot = np.int64(slots[m])
        is_last = m + 1 == meter_count or slots[m + 1] != slots[m]
        if is_last and (m == 0 or slots[m - 1] != slots[m]):
            own = (slot, bounds[2 * m], bounds[2 * m + 1], _taken(meters, m, meter_count))
            count, exponent_of_lines = _fold_lines(
                blocks, own, factors(meters, m, meter_count), frame, exponent_of_lines, scratch, to
            )
            if count >= 0:
                row += count
                continue
        if m == 0 or slots[m] != slots[m - 1]:
            # An exchange puts one reading before these, or behind them.
            count, exponent = _read_meter(
                blocks, bounds[2 * m], bounds[2 * m + 1], _part(readings, 1, room - 1), is_last
            )
            if count < 0:
                return count
            first, behind = _within(readings[0][1 : 1 + count], meters, m, meter_count)
        exchange = _exchange_of(meters, m + 1, meter_count) if not is_last else _NO_EXCHANGE
        end, taken = (behind, _NO_READING) if is_last else _end_with(readings, first, behind, exchange)
        of_meter = _with_mantissas(_part(readings, first, end), exponent, scratch)
        rest = scratch[end - first :]
        rows = intervals_of(of_meter, factors(meters, m, meter_count), wants_estimates, rest)
        bucket, row, cell = add_rows(rows, edges, wants_estimates, (slot, bucket, row, cell), to)
        if is_last:
            row = close((slot, bucket, row, cell), edges.size - 1, to)
            bucket, cell = -1, NOTHING
        else:
            first = _begin_with(readings, end, behind, exchange, taken)
        if row == MALFORMED:
            return MALFORMED
    if exponent_of_lines >= 0:
        settle_lines(exponent_of_lines, to)
    return row


@inner
def _fold_lines(blocks, meter, factors, frame, exponent_of_sums, scratch, to):
    """Fold a meter by its lines; return its count of rows, -1 where it cannot be, and the sums' exponent."""
    slot, first, end, taken = meter
    _, multiplier, numerator, denominator = factors
    _, width = frame
    if width == 0 or multiplier != 1.0 or numerator != denominator:
        return -1, exponent_of_sums
    exponent, block_count = open_meter(blocks, (first, end), taken, frame, exponent_of_sums, scratch)
    if exponent == NO_LINES:
        return -1, exponent_of_sums
    if exponent > exponent_of_sums:  # all sums so far are of fewer digits
        if exponent_of_sums >= 0:
            settle_lines(exponent_of_sums, to)
        exponent_of_sums = exponent
    return fold_meter(slot, block_count, (exponent, exponent_of_sums), frame, scratch, to), exponent_of_sums


@inner
def _taken(meters, m, meter_count):
    """The first and the last time of which a meter's readings are taken."""
    return (
        _field(meters, FIRST_TIME, meter_count).view(np.int64)[m],
        _field(meters, LAST_TIME, meter_count).view(np.int64)[m],
    )


_NO_EXCHANGE = (0, 0.0, 0.0)
_NO_READING = (0, 0.0, 0)


@inner
def _within(times, meters, m, meter_count):
    """Where in the columns, which begin one before `times`, the readings begin and end that are taken."""
    low, high = _taken(meters, m, meter_count)
    end = times.size
    if end > 0 and times[end - 1] > high:
        end = first_at_or_after(times, high + 1)
    return 1 + first_at_or_after(times[:end], low), 1 + end


@inner
def _part(readings, first, end):
    times, values, qualities = readings
    return times[first:end], values[first:end], qualities[first:end]


@inner
def _exchange_of(meters, m, meter_count):
    """When a meter took the place of the one before, what that showed then, and what this one did."""
    return (
        _field(meters, EXCHANGE_TIME, meter_count).view(np.int64)[m],
        _field(meters, EXCHANGE_FINAL, meter_count)[m],
        _field(meters, EXCHANGE_INITIAL, meter_count)[m],
    )


@inner
def _end_with(readings, first, behind, exchange):
    """Put the old meter's last reading behind its others; the end of these, and what stood in its place."""
    times, values, qualities = readings
    time, final, _ = exchange
    at = first + first_at_or_after(times[first:behind], time)
    taken = (times[at], values[at], np.int64(qualities[at]))
    times[at], values[at], qualities[at] = time, final, 0
    return at + 1, taken


@inner
def _begin_with(readings, end, behind, exchange, taken):
    """Put back what was taken, and the new meter's first reading before its others; return where these begin.

    What the series has at that very instant is one of the two, which the exchange tells better.
    """
    times, values, qualities = readings
    time, _, initial = exchange
    taken_time, taken_value, taken_quality = taken
    is_replaced = end - 1 < behind and taken_time == time
    times[end - 1], values[end - 1], qualities[end - 1] = taken_time, taken_value, taken_quality
    first = end - 1 if is_replaced else end - 2
    times[first], values[first], qualities[first] = time, initial, 0
    return first


@inner
def _with_mantissas(readings, exponent, scratch):
    """The readings as intervals_of takes them; where the exponent is not -1 their values are mantissas."""
    times, values, qualities = readings
    if exponent < 0:
        mantissas = scratch[: values.size]
        return times, values, qualities, mantissas, decimals_of(values, mantissas)
    mantissas = values.view(np.int64)
    if not is_growing(mantissas):  # then the values are looked at, and the mantissas are not
        unscale(mantissas, exponent, values)
        exponent = np.int64(-1)
    return times, values, qualities, mantissas, exponent


@inner
def _read_meter(blocks, first, end, readings, may_be_integers):
    """Decode a meter's blocks; return (the count of its usable readings, the exponent of their mantissas).

    Where all are decimals of few enough digits, at one exponent, and that is wanted, there are mantissas in
    the place of values; else the exponent is -1. The count is -2 - b where block b is malformed.
    """
    data, descriptors, tables = blocks
    times, values, qualities = readings
    filled = 0
    last = np.int64(0)
    exponent = np.int64(-1)
    are_integers = may_be_integers
    for block in range(first, end):
        descriptor = descriptors[block * DESCRIPTOR_FIELDS : (block + 1) * DESCRIPTOR_FIELDS]
        count = descriptor[COUNT]
        if not 1 <= count <= times.size - filled:
            return MALFORMED_BLOCK - block, exponent
        behind = filled + count
        own = (times[filled:behind], values[filled:behind], qualities[filled:behind])
        own_exponent = _read_numbers(data, descriptor, tables, own)
        if own_exponent == MALFORMED or (block > first and times[filled] <= last):
            return MALFORMED_BLOCK - block, exponent
        last = times[behind - 1]
        if are_integers and (own_exponent == PLAIN_VALUES or (filled > 0 and own_exponent != exponent)):
            if filled > 0:
                unscale(values.view(np.int64)[:filled], exponent, values[:filled])
            are_integers, exponent = False, np.int64(-1)
        if are_integers:
            exponent = own_exponent
        elif own_exponent != PLAIN_VALUES:
            unscale(values.view(np.int64)[filled:behind], own_exponent, values[filled:behind])
        filled += _keep_usable(own, are_integers)
    return filled, exponent


@inner
def _read_numbers(data, descriptor, tables, columns):
    """Decode a block; return the exponent of its mantissas, PLAIN_VALUES where it has doubles, or MALFORMED.

    Both stand in the place of the values.
    """
    times, values, qualities = columns
    tables = tables_of(descriptor, tables)
    mantissas = values.view(np.int64)
    if read_times(data, descriptor, tables, times) == MALFORMED:
        return np.int64(MALFORMED)
    offset, end = descriptor[VALUES_OFFSET], descriptor[VALUES_END]
    exponent = np.int64(read_floats(data, offset, end, tables, mantissas, values))
    offset, end = descriptor[QUALITIES_OFFSET], descriptor[QUALITIES_END]
    if exponent == MALFORMED or read_qualities(data, offset, end, qualities) == MALFORMED:
        return np.int64(MALFORMED)
    if exponent != PLAIN_VALUES and not _are_small(mantissas):
        unscale(mantissas, exponent, values)
        return np.int64(PLAIN_VALUES)
    return exponent


@inner
def _are_small(mantissas):
    """Whether their differences are those of decimals: see differences.py."""
    large_count = 0
    for k in range(mantissas.size):
        large_count += not -EXACT_MANTISSA_MAX < mantissas[k] < EXACT_MANTISSA_MAX
    return large_count == 0


@inner
def _keep_usable(readings, are_integers):
    """Move the readings that are finite, and neither rejected nor missing, to the front; their count."""
    times, values, qualities = readings
    odd_count = 0
    if not are_integers:
        for k in range(values.size):
            odd_count += not np.isfinite(values[k])
    for k in range(qualities.size):
        odd_count += qualities[k] != 0
    if odd_count == 0:  # mostly all are measured
        return values.size
    bits = values.view(np.int64)
    kept = 0
    for k in range(values.size):
        is_kept = (are_integers or np.isfinite(values[k])) and is_reading(qualities[k])
        times[kept], bits[kept], qualities[kept] = times[k], bits[k], qualities[k]
        kept += is_kept
    return kept
