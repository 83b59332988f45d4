"""Registers straight to amounts over buckets, of meters or of groups, in one pass.

Intervals between a register's readings follow each other, so that one bucket is open at a time: none is
written to memory, neither interval nor bucket, before it is whole.
"""

import numpy as np

from ..arrays import Int64Array
from ..buckets.intervals import EMIT_ESTIMATED, RowSink, amount_until, has_room, intervals_within, share_in
from ..codec.blocks import ReadingColumns
from ..compiler.jit import inner, kernel
from ..numbers.differences import decimals_of
from ..numbers.search import are_bounds, bucket_of, first_at_or_after
from ..numbers.sums import two_sum
from ..quality import is_estimate
from ..status import MALFORMED
from .intervals import RegisterReadings, intervals_of
from .meters import SCRATCH_FIELDS, Meters, are_meters, register_of
from .target import (
    Amount,
    Cursor,
    GroupSink,
    close,
    close_whole,
    has_places,
    no_amount,
    target_of_groups,
    target_of_rows,
    with_begin,
    with_share,
)


@kernel
def reduce_registers(
    bounds: Int64Array,
    meters: Meters,
    readings: ReadingColumns,
    edges: Int64Array,
    scratch: Int64Array,
    sink: RowSink,
) -> int:
    """Do what pick_readings, intervals_between and reduce_intervals do one after another, to the bit.

    Meter m has the readings bounds[m] to bounds[m + 1]. `scratch` has SCRATCH_FIELDS words for each reading
    of the largest meter. `edges`, `sink` and the result are as in reduce_intervals.
    """
    if not has_room(edges, sink) or not _are_registers(bounds, meters, readings, scratch):
        return MALFORMED
    wants_estimates = sink.fields[EMIT_ESTIMATED] >= 0
    return _reduce(bounds, meters, readings, edges, scratch, wants_estimates, target_of_rows(edges, sink))


@kernel
def fold_registers(
    bounds: Int64Array,
    meters: Meters,
    readings: ReadingColumns,
    edges: Int64Array,
    scratch: Int64Array,
    sink: GroupSink,
) -> int:
    """Fold the rows that reduce_registers would write into the places of groups, a bucket each.

    Returns the count of rows folded, or MALFORMED.
    """
    if not _are_registers(bounds, meters, readings, scratch) or not has_places(meters.slots, edges, sink):
        return MALFORMED
    return _reduce(bounds, meters, readings, edges, scratch, False, target_of_groups(edges, sink))


@inner
def _reduce(bounds, meters, readings, edges, scratch, wants_estimates, target):
    times, values, qualities = readings.times, readings.values, readings.qualities
    meter_count, slots = meters.slots.size, meters.slots
    bucket, row, amount = np.int64(-1), np.int64(0), no_amount()
    for m in range(meter_count):
        slot, first, end = slots[m], bounds[m], bounds[m + 1]
        mantissas = scratch[: end - first]
        exponent = decimals_of(values[first:end], mantissas)
        own = RegisterReadings(times[first:end], values[first:end], qualities[first:end], mantissas, exponent)
        intervals = intervals_of(own, register_of(meters, m), wants_estimates, scratch[end - first :])
        cursor = Cursor(slot, bucket, row)
        bucket, row, amount = add_intervals(intervals, edges, wants_estimates, cursor, amount, target)
        if m + 1 == meter_count or slots[m + 1] != slots[m]:
            row = close(Cursor(slot, bucket, row), amount, edges.size - 1, target)
            bucket, amount = np.int64(-1), no_amount()
        if row == MALFORMED:
            return MALFORMED
    return row


@inner
def _are_registers(bounds, meters, readings, scratch):
    times, meter_count = readings.times, bounds.size - 1
    if readings.values.size != times.size or readings.qualities.size != times.size:
        return False
    if not are_bounds(bounds, times.size) or not are_meters(meters, meter_count):
        return False
    room = scratch.size // SCRATCH_FIELDS
    of_slot = 0  # where the slot's first meter begins
    for m in range(meter_count):
        if bounds[m + 1] - bounds[m] > room:
            return False
        of_slot = bounds[m] if m == 0 or meters.slots[m] != meters.slots[m - 1] else of_slot
        if of_slot < bounds[m] < bounds[m + 1] and times[bounds[m]] < times[bounds[m] - 1]:
            return False
        repeats = 0
        for k in range(bounds[m] + 1, bounds[m + 1]):
            repeats += times[k] <= times[k - 1]
        if repeats:
            return False
    return True


@inner
def add_intervals(intervals, edges, wants_estimates, cursor, open_amount, target):
    """Add a meter's intervals to buckets; return the bucket open then, the next free row, and its amount."""
    starts, ends = intervals.starts, intervals.ends
    amounts, qualities = intervals.amounts, intervals.qualities
    slot, bucket, row = cursor.slot, cursor.bucket, cursor.row
    last_edge = edges[edges.size - 1]
    i = 0
    while i < starts.size and row >= 0:
        if bucket >= 0 and ends[i] <= edges[bucket + 1]:
            run = intervals_within(intervals, i, starts.size)
            edge, next_edge = edges[bucket], edges[bucket + 1]
            count, open_amount = _add_within(run, edge, next_edge, wants_estimates, open_amount)
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
            row = close(Cursor(slot, bucket, row), open_amount, max(begin, 0), target)
            bucket, open_amount = max(begin, 0), no_amount()
            closed = _count_whole(intervals, i - 1, edges, bucket) - 1
            if closed > 0:
                whole = intervals_within(intervals, i - 1, i - 1 + closed)
                row = close_whole(whole, wants_estimates, Cursor(slot, bucket, row), target)
                bucket, i = bucket + closed, i - 1 + closed
                continue
        if begin >= 0:
            open_amount = with_begin(open_amount, amount)
        low = max(start, edges[0])
        before = amount_until(low, start, end, amount)
        while True:
            share, high, until = share_in(edges[bucket + 1], start, end, amount, before)
            open_amount = with_share(open_amount, share, high - low, is_estimated)
            if high == end or high == last_edge:
                break
            row = close(Cursor(slot, bucket, row), open_amount, bucket + 1, target)
            bucket, open_amount, low, before = bucket + 1, no_amount(), high, until
    return bucket, row, open_amount


@inner
def _count_whole(intervals, first, edges, bucket):
    """How many intervals from the first on are just as long as a bucket each, from that bucket on."""
    starts = intervals.starts
    if starts[first] != edges[bucket]:
        return 0
    most = min(starts.size - first, edges.size - 1 - bucket)
    ends, amounts = intervals.ends[first : first + most], intervals.amounts[first : first + most]
    bucket_ends = edges[bucket + 1 : bucket + 1 + most]
    count = 0
    while count < ends.size and ends[count] == bucket_ends[count] and not np.isnan(amounts[count]):
        count += 1
    return count


@inner
def _add_within(intervals, edge, next_edge, wants_estimates, before):
    """Add the first intervals, up to one that leaves the open bucket; return their count, and its amount."""
    starts, ends = intervals.starts, intervals.ends
    amounts, qualities = intervals.amounts, intervals.qualities
    if starts[0] < edge:
        return 0, before
    # As locals, since LLVM keeps a record's fields less well in registers across a loop.
    total, lost, covered, estimated = before.total, before.lost, before.covered, before.estimated
    count, lowest, highest = before.count, before.lowest, before.highest
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
        return size, Amount(total, lost, covered, estimated, count, lowest, highest)
    after = before
    for i in range(size):
        if not np.isnan(amounts[i]):
            is_estimated = wants_estimates and is_estimate(qualities[i])
            after = with_share(with_begin(after, amounts[i]), amounts[i], ends[i] - starts[i], is_estimated)
    return size, after


@inner
def _count_until(ends, edge):
    """How many of increasing ends lie up to an edge; mostly few, or many."""
    few = 0
    while few < min(ends.size, 32) and ends[few] <= edge:
        few += 1
    if few < 32 or few == ends.size:
        return few
    return few + first_at_or_after(ends[few:], edge + 1)
