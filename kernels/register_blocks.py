"""Registers straight from blocks to amounts over buckets: a meter's readings are never more than scratch.

What is made of a meter is what kernels/register_amounts.py makes of it. That its readings do not leave the
processor's caches saves half of the time.
"""

import numpy as np

from ._jit import Float64Array, Int64Array, UInt8Array, UInt32Array, inner, kernel
from .amounts import EMIT_ESTIMATED, MALFORMED, has_room
from .blocks import COUNT, DESCRIPTOR_FIELDS, first_at_or_after, read_block
from .qualities import is_reading
from .register_amounts import (
    METER_FIELDS,
    NOTHING,
    SCRATCH_FIELDS,
    add_rows,
    close,
    factors,
    has_places,
    intervals_of,
    target_of,
)

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
    for m in range(meter_count):
        slot = np.int64(slots[m])
        is_last = m + 1 == meter_count or slots[m + 1] != slots[m]
        if m == 0 or slots[m] != slots[m - 1]:
            # An exchange puts one reading before these, or behind them.
            count = _read_meter(
                blocks, bounds[2 * m], bounds[2 * m + 1], _part(readings, 1, room - 1), scratch
            )
            if count < 0:
                return count
            first, behind = _within(readings[0][1 : 1 + count], meters, m, meter_count)
        exchange = _exchange_of(meters, m + 1, meter_count) if not is_last else _NO_EXCHANGE
        end, taken = (behind, _NO_READING) if is_last else _end_with(readings, first, behind, exchange)
        rows = intervals_of(
            _part(readings, first, end), factors(meters, m, meter_count), wants_estimates, scratch
        )
        bucket, row, cell = add_rows(rows, edges, wants_estimates, (slot, bucket, row, cell), to)
        if is_last:
            row = close((slot, bucket, row, cell), edges.size - 1, to)
            bucket, cell = -1, NOTHING
        else:
            first = _begin_with(readings, end, behind, exchange, taken)
        if row == MALFORMED:
            return MALFORMED
    return row


_NO_EXCHANGE = (0, 0.0, 0.0)
_NO_READING = (0, 0.0, 0)


@inner
def _within(times, meters, m, meter_count):
    """Where in the columns, which begin one before `times`, the readings begin and end that are taken."""
    low = _field(meters, FIRST_TIME, meter_count).view(np.int64)[m]
    high = _field(meters, LAST_TIME, meter_count).view(np.int64)[m]
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
def _read_meter(blocks, first, end, readings, integers):
    """Decode a meter's blocks; the count of its usable readings, or -2 - b where block b is malformed."""
    data, descriptors, tables = blocks
    times, values, qualities = readings
    filled = 0
    last = np.int64(0)
    for block in range(first, end):
        descriptor = descriptors[block * DESCRIPTOR_FIELDS : (block + 1) * DESCRIPTOR_FIELDS]
        count = descriptor[COUNT]
        if not 1 <= count <= times.size - filled:
            return MALFORMED_BLOCK - block
        behind = filled + count
        own = (times[filled:behind], values[filled:behind], qualities[filled:behind])
        if read_block(data, descriptor, tables, integers[:count], own) < 0:
            return MALFORMED_BLOCK - block
        if block > first and times[filled] <= last:
            return MALFORMED_BLOCK - block
        last = times[behind - 1]
        filled += _keep_usable(own)
    return filled


@inner
def _keep_usable(readings):
    """Move the readings that are finite, and neither rejected nor missing, to the front; their count."""
    times, values, qualities = readings
    odd_count = 0
    for k in range(values.size):
        odd_count += not np.isfinite(values[k])
    for k in range(qualities.size):
        odd_count += qualities[k] != 0
    if odd_count == 0:  # mostly all are measured
        return values.size
    kept = 0
    for k in range(values.size):
        times[kept], values[kept], qualities[kept] = times[k], values[k], qualities[k]
        kept += np.isfinite(values[k]) and is_reading(qualities[k])
    return kept
