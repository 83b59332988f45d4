"""Registers straight from blocks to amounts over buckets: a meter's readings are never more than scratch.

What is made of a meter is what kernels/register_amounts.py makes of it. That its readings do not leave the
processor's caches saves half of the time.
"""

import numpy as np

from ._jit import Float64Array, Int64Array, UInt8Array, UInt32Array, inner, kernel
from .amounts import EMIT_ESTIMATED, MALFORMED, has_room
from .blocks import COUNT, DESCRIPTOR_FIELDS, read_block
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

# Words of scratch for each reading of the largest meter: its columns, then what register_amounts needs.
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

    Meter m, which has a slot for itself, has the blocks bounds[m] to bounds[m + 1], of which each begins
    behind the one before; `data`, `descriptors` and `tables` are those of read_blocks. The scratch in
    `meters` is BLOCK_SCRATCH_FIELDS words for each reading of the largest. Returns the row count,
    MALFORMED, or -2 - b where block b is malformed.
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
    if not _are_meters(descriptors, bounds, meters) or not has_places(
        bounds, meters, edges, control, columns
    ):
        return MALFORMED
    return _reduce((data, descriptors, tables), bounds, meters, edges, control, columns, True)


@inner
def _are_meters(descriptors, bounds, meters):
    meter_count = bounds.size - 1
    if meter_count < 0 or meters.size < METER_FIELDS * meter_count:
        return False
    if bounds[0] < 0 or bounds[meter_count] > descriptors.size // DESCRIPTOR_FIELDS:
        return False
    for m in range(meter_count):
        if bounds[m] > bounds[m + 1]:
            return False
    return True


@inner
def _reduce(blocks, bounds, meters, edges, control, columns, is_folding):
    meter_count = bounds.size - 1
    scratch = meters[METER_FIELDS * meter_count :].view(np.int64)
    room = scratch.size // BLOCK_SCRATCH_FIELDS
    readings = (
        scratch[:room],
        scratch[room : 2 * room].view(np.float64),
        scratch[2 * room : 3 * room].view(np.uint8)[:room],
    )
    scratch = scratch[3 * room :]
    wants_estimates = control[1 + EMIT_ESTIMATED] >= 0
    to = target_of(edges, control, columns, is_folding)
    row = 0
    for m in range(meter_count):
        count = _read_meter(blocks, bounds[m], bounds[m + 1], readings, scratch)
        if count < 0:
            return count
        of_meter = (readings[0][:count], readings[1][:count], readings[2][:count])
        rows = intervals_of(of_meter, factors(meters, m, meter_count), wants_estimates, scratch)
        slot = np.int64(meters[m])
        bucket, row, cell = add_rows(rows, edges, wants_estimates, (slot, -1, row, NOTHING), to)
        row = close((slot, bucket, row, cell), edges.size - 1, to)
        if row == MALFORMED:
            return MALFORMED
    return row


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
