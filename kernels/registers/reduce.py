"""Registers straight to amounts over buckets, each meter's or those of groups, in one pass.

Intervals between a register's readings follow each other, so that one bucket is open at a time: none is
written to memory, neither interval nor bucket, before it is whole.
"""

import numpy as np

from ..arrays import Float64Array, Int64Array, UInt8Array
from ..buckets.intervals import (
    EMIT_ESTIMATED,
    amount_until,
    has_room,
)
from ..compiler.jit import inner, kernel
from ..numbers.differences import decimals_of
from ..numbers.search import bucket_of, first_at_or_after
from ..numbers.sums import two_sum
from ..quality import is_estimate
from ..status import MALFORMED
from .intervals import intervals_of
from .meters import METER_FIELDS, SCRATCH_FIELDS, factors
from .target import NOTHING, close, close_whole, has_places, target_of, with_begin, with_share


@kernel
def reduce_registers(
    bounds: Int64Array,
    meters: Float64Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    edges: Int64Array,
    control: Int64Array,
    columns: Float64Array,
) -> int:
    """What pick_readings, intervals_between and reduce_intervals make one after another, to the bit.

    Meter m has the readings bounds[m] to bounds[m + 1]; a slot's meters follow each other, in time too.
    `meters`: the slots of all meters, their moduli, their multipliers, by what amounts are multiplied and
    then divided to have the unit that is wanted, and behind them the scratch. `edges`, `control`, `columns`
    and what is returned are those of reduce_intervals.
    """
    if not has_room(edges, control, columns) or not _are_registers(bounds, meters, times, values, qualities):
        return MALFORMED
    return _reduce(bounds, meters, (times, values, qualities), edges, control, columns, False)


@kernel
def fold_registers(
    bounds: Int64Array,
    meters: Float64Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    edges: Int64Array,
    control: Int64Array,
    columns: Float64Array,
) -> int:
    """Fold the rows that reduce_registers would write into the places of groups, a bucket each.

    `control`: 0, the columns that EMIT_SUM and EMIT_COUNT go to, or -1, and -1 for the other fields; how sums
    are folded (groups.FOLD_SUM, FOLD_MIN or FOLD_MAX; counts are summed), then each slot's group. `columns`,
    zeroed: of each group the count of rows by bucket, then of each column the CELL_FIELDS of
    kernels/buckets/groups.py, each by bucket, and STEP_FIELDS more. All else is as of reduce_registers.
    Returns the count of rows folded, or MALFORMED.
    """
    if not _are_registers(bounds, meters, times, values, qualities):
        return MALFORMED
    if not has_places(meters[: bounds.size - 1], edges, control, columns):
        return MALFORMED
    return _reduce(bounds, meters, (times, values, qualities), edges, control, columns, True)


@inner
def _reduce(bounds, meters, readings, edges, control, columns, is_folding):
    times, values, qualities = readings
    meter_count = bounds.size - 1
    slots, scratch = meters[:meter_count], meters[METER_FIELDS * meter_count :].view(np.int64)
    wants_estimates = control[1 + EMIT_ESTIMATED] >= 0
    to = target_of(edges, control, columns, is_folding)
    bucket, row, cell = -1, 0, NOTHING
    for m in range(meter_count):
        slot, first, end = np.int64(slots[m]), bounds[m], bounds[m + 1]
        mantissas = scratch[: end - first]
        exponent = decimals_of(values[first:end], mantissas)
        of_meter = (times[first:end], values[first:end], qualities[first:end], mantissas, exponent)
        rest = scratch[end - first :]
        rows = intervals_of(of_meter, factors(meters, m, meter_count), wants_estimates, rest)
        bucket, row, cell = add_rows(rows, edges, wants_estimates, (slot, bucket, row, cell), to)
        if m + 1 == meter_count or slots[m + 1] != slots[m]:
            row = close((slot, bucket, row, cell), edges.size - 1, to)
            bucket, cell = -1, NOTHING
        if row == MALFORMED:
            return MALFORMED
    return row


@inner
def _are_registers(bounds, meters, times, values, qualities):
    count, meter_count = times.size, bounds.size - 1
    if values.size != count or qualities.size != count:
        return False
    if meter_count < 0 or meters.size < METER_FIELDS * meter_count:
        return False
    if bounds[0] < 0 or bounds[meter_count] > count:
        return False
    room = (meters.size - METER_FIELDS * meter_count) // SCRATCH_FIELDS
    of_slot = 0  # where the slot's first meter begins
    for m in range(meter_count):
        if not 0 <= bounds[m + 1] - bounds[m] <= room:
            return False
        of_slot = bounds[m] if m == 0 or meters[m] != meters[m - 1] else of_slot
        if of_slot < bounds[m] < bounds[m + 1] and times[bounds[m]] < times[bounds[m] - 1]:
            return False
        repeats = 0
        for k in range(bounds[m] + 1, bounds[m + 1]):
            repeats += times[k] <= times[k - 1]
        if repeats:
            return False
    return True


@inner
def add_rows(rows, edges, wants_estimates, at, to):
    """Add a meter's intervals to buckets; the one that is open then, the row behind those written, its cell.

    `at` is (slot, the open bucket or -1, row, cell), `to` what target_of tells.
    """
    starts, ends, amounts, qualities = rows
    slot, bucket, row, cell = at
    last_edge = edges[edges.size - 1]
    i = 0
    while i < starts.size and row >= 0:
        if bucket >= 0 and ends[i] <= edges[bucket + 1]:
            run = _part(rows, i, starts.size - i)
            count, cell = _add_within(run, (edges[bucket], edges[bucket + 1]), wants_estimates, cell)
            i += count
            if i == starts.size:
                break
        start, end, amount = starts[i], ends[i], amounts[i]
        is_estimated = wants_estimates and is_estimate(qualities[i])
        i += 1
        if np.isnan(amount) or end <= edges[0] or start >= last_edge:
            continue
        begin = bucket_of(edges, start, bucket)
        if bucket < max(begin, 0):
            row = close((slot, bucket, row, cell), max(begin, 0), to)
            bucket, cell = max(begin, 0), NOTHING
            closed = _count_whole(rows, i - 1, edges, bucket) - 1
            if closed > 0:
                row = close_whole(_part(rows, i - 1, closed), wants_estimates, (slot, bucket, row), to)
                bucket, i = bucket + closed, i - 1 + closed
                continue
        if begin >= 0:
            cell = with_begin(cell, amount)
        low = max(start, edges[0])
        before = amount_until(low, start, end, amount)
        while True:
            high = min(end, edges[bucket + 1])
            until = amount_until(high, start, end, amount)
            cell = with_share(cell, until - before, high - low, is_estimated)
            if high == end or high == last_edge:
                break
            row = close((slot, bucket, row, cell), bucket + 1, to)
            bucket, cell, low, before = bucket + 1, NOTHING, high, until
    return bucket, row, cell


@inner
def _part(rows, first, count):
    starts, ends, amounts, qualities = rows
    end = first + count
    return starts[first:end], ends[first:end], amounts[first:end], qualities[first:end]


@inner
def _count_whole(rows, first, edges, bucket):
    """How many intervals from the first on are just as long as a bucket each, from that bucket on."""
    starts, _, _, _ = rows
    if starts[first] != edges[bucket]:
        return 0
    most = min(starts.size - first, edges.size - 1 - bucket)
    _, ends, amounts, _ = _part(rows, first, most)
    bucket_ends = edges[bucket + 1 : bucket + 1 + most]
    count = 0
    while count < ends.size and ends[count] == bucket_ends[count] and not np.isnan(amounts[count]):
        count += 1
    return count


@inner
def _add_within(rows, bucket_edges, wants_estimates, cell):
    """Add the first intervals, up to one that leaves the open bucket; their count, and the cell."""
    starts, ends, amounts, qualities = rows
    edge, next_edge = bucket_edges
    total, lost, covered, estimated, count, lowest, highest = cell
    if starts[0] < edge:
        return 0, cell
    size = _count_until(ends, next_edge)
    amounts = amounts[:size]
    nothing_count = 0
    for i in range(size):
        nothing_count += np.isnan(amounts[i])
    if nothing_count == 0:
        # As little as can be within this loop: what it carries along is then kept in registers.
        for i in range(size):
            amount = amounts[i]
            lowest = amount if amount < lowest else lowest
            highest = amount if amount > highest else highest
            total, rounding = two_sum(total, amount)
            lost += rounding
        length = np.int64(0)
        for i in range(size):
            length += ends[i] - starts[i]
        covered += length
        count += size
        if wants_estimates:
            for i in range(size):
                if is_estimate(qualities[i]):
                    estimated += ends[i] - starts[i]
        return size, (total, lost, covered, estimated, count, lowest, highest)
    for i in range(size):
        if not np.isnan(amounts[i]):
            is_estimated = wants_estimates and is_estimate(qualities[i])
            begun = with_begin((total, lost, covered, estimated, count, lowest, highest), amounts[i])
            total, lost, covered, estimated, count, lowest, highest = with_share(
                begun, amounts[i], ends[i] - starts[i], is_estimated
            )
    return size, (total, lost, covered, estimated, count, lowest, highest)


@inner
def _count_until(ends, edge):
    """How many of increasing ends lie up to an edge; mostly few, or many."""
    few = 0
    while few < min(ends.size, 32) and ends[few] <= edge:
        few += 1
    if few < 32 or few == ends.size:
        return few
    return few + first_at_or_after(ends[few:], edge + 1)
