"""Registers straight to amounts over buckets, each meter's or those of groups, in one pass.

Intervals between a register's readings follow each other, so that one bucket is open at a time: none is
written to memory, neither interval nor bucket, before it is whole.
"""

import numpy as np

from ..arrays import Float64Array, Int64Array, UInt8Array
from ..buckets.groups import CELL_FIELDS as PLACE_CELL_FIELDS
from ..buckets.groups import FOLD_SUM, add_run, fold_value
from ..buckets.intervals import (
    CELL_FIELDS,
    EMIT_COUNT,
    EMIT_ESTIMATED,
    EMIT_FIELDS,
    EMIT_SUM,
    KEEP_EMPTY,
    REDUCE_FIELDS,
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

# What a place holds last, int64s that nothing is left of when a kernel is done: see lines.py.
STEP_SUM, STEP_BEGINS = range(2)
STEP_FIELDS = 2

# What `control` of a fold holds before the group of each slot.
FOLD_HOW = REDUCE_FIELDS
FOLD_FIELDS = REDUCE_FIELDS + 1

# An open bucket's cell: sum, what rounding took from it, us covered, of these estimated, count, least, most.
NOTHING = (0.0, 0.0, 0.0, 0.0, 0.0, np.inf, -np.inf)


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
    are folded (places.FOLD_SUM, FOLD_MIN or FOLD_MAX; counts are summed), then each slot's group. `columns`,
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
def target_of(edges, control, columns, is_folding):
    """Where rows go to: control, what columns are for them, how many buckets and what places there are."""
    rows_of = columns if is_folding else columns[(edges.size - 1) * CELL_FIELDS :]
    return control, rows_of, edges.size - 1, _place_size(control), is_folding


@inner
def has_places(slots, edges, control, columns):
    """Whether there is a place for whatever a fold may make of meters of these slots."""
    slot_count = control.size - FOLD_FIELDS
    if edges.size < 2 or slot_count < 0 or control[KEEP_EMPTY] != 0:
        return False
    for field in range(EMIT_FIELDS):
        if control[1 + field] >= (2 if field in (EMIT_SUM, EMIT_COUNT) else 0):
            return False
    place_size = _place_size(control)
    for slot in range(slot_count):
        if not 0 <= control[FOLD_FIELDS + slot] < columns.size // ((edges.size - 1) * place_size):
            return False
    for slot in slots:
        if not 0 <= slot < slot_count:
            return False
    return True


@inner
def _place_size(control):
    """The words of a place: its count of rows, the cells up to the last column used, and STEP_FIELDS."""
    return 1 + (max(control[1 + EMIT_SUM], control[1 + EMIT_COUNT]) + 1) * PLACE_CELL_FIELDS + STEP_FIELDS


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
                row = _close_whole(_part(rows, i - 1, closed), wants_estimates, (slot, bucket, row), to)
                bucket, i = bucket + closed, i - 1 + closed
                continue
        if begin >= 0:
            cell = _with_begin(cell, amount)
        low = max(start, edges[0])
        before = amount_until(low, start, end, amount)
        while True:
            high = min(end, edges[bucket + 1])
            until = amount_until(high, start, end, amount)
            cell = _with_share(cell, until - before, high - low, is_estimated)
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
def _close_whole(rows, wants_estimates, at, to):
    """Be done with buckets of one interval each; the row behind, or MALFORMED."""
    starts, ends, amounts, qualities = rows
    slot, bucket, row = at
    _, _, _, _, is_folding = to
    if is_folding:
        return row + _fold_whole(amounts, (slot, bucket), to)
    for k in range(starts.size):
        is_estimated = wants_estimates and is_estimate(qualities[k])
        cell = _with_share(_with_begin(NOTHING, amounts[k]), amounts[k], ends[k] - starts[k], is_estimated)
        row = _write((slot, bucket + k, row, cell), to)
    return row


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
            begun = _with_begin((total, lost, covered, estimated, count, lowest, highest), amounts[i])
            total, lost, covered, estimated, count, lowest, highest = _with_share(
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


@inner
def _with_begin(cell, amount):
    """The cell after one more interval has begun."""
    total, lost, covered, estimated, count, lowest, highest = cell
    lowest = amount if amount < lowest else lowest
    highest = amount if amount > highest else highest
    return total, lost, covered, estimated, count + 1, lowest, highest


@inner
def _with_share(cell, share, length, is_estimated):
    """The cell with a share of an interval, of which `length` us lie in the bucket."""
    total, lost, covered, estimated, count, lowest, highest = cell
    total, rounding = two_sum(total, share)
    estimated = estimated + length if is_estimated else estimated
    return total, lost + rounding, covered + length, estimated, count, lowest, highest


@inner
def close(at, target, to):
    """Be done with the open bucket, and, if kept, empty ones up to `target`; the row behind, or MALFORMED."""
    slot, bucket, row, _ = at
    control, _, _, _, is_folding = to
    if bucket >= 0:
        row = _fold(at, to) if is_folding else _write(at, to)
    if control[KEEP_EMPTY] != 0:
        for empty in range(bucket + 1, target):
            row = _write((slot, empty, row, NOTHING), to)
    return row


@inner
def _write(at, to):
    """Write one row; the row behind, or MALFORMED."""
    slot, bucket, row, cell = at
    control, columns, _, _, _ = to
    room = (control.size - REDUCE_FIELDS) // 2
    if not 0 <= row < room:
        return MALFORMED
    control[REDUCE_FIELDS + row] = slot
    control[REDUCE_FIELDS + room + row] = bucket
    fields = _fields_of(cell)
    for field in range(EMIT_FIELDS):
        column = control[1 + field]
        if column >= 0:
            columns[column * room + row] = fields[field]
    return row + 1


@inner
def _fold(at, to):
    """Fold one row into the place of its slot's group; the row behind."""
    slot, bucket, row, cell = at
    control, columns, bucket_count, _, _ = to
    total, count, _, _, _, _ = _fields_of(cell)
    place, of_sum, of_count = place_of(slot, bucket, to)
    columns[place] += 1
    if of_sum >= 0:
        fold_value(total, control[FOLD_HOW], columns, of_sum, bucket_count)
    if of_count >= 0:
        fold_value(count, FOLD_SUM, columns, of_count, bucket_count)
    return row + 1


@inner
def _fold_whole(amounts, at, to):
    """Fold a row each into the places from one on, as _fold would; their count."""
    slot, bucket = at
    control, columns, bucket_count, _, _ = to
    place, of_sum, of_count = place_of(slot, bucket, to)
    row_counts = columns[place : place + amounts.size]
    for k in range(row_counts.size):
        row_counts[k] += 1
    how = control[FOLD_HOW]
    if of_sum >= 0 and how == FOLD_SUM:
        add_run(amounts, columns, of_sum, bucket_count)
    elif of_sum >= 0:
        for k in range(amounts.size):
            fold_value(0.0 + amounts[k], how, columns, of_sum + k, bucket_count)  # no sum is -0.0
    if of_count >= 0:
        for k in range(amounts.size):
            fold_value(1.0, FOLD_SUM, columns, of_count + k, bucket_count)
    return amounts.size


@inner
def place_of(slot, bucket, to):
    """Where the count of rows of a slot's bucket is, and the cells of sum and count, or less than 0."""
    control, _, bucket_count, place_size, _ = to
    place = control[FOLD_FIELDS + slot] * place_size * bucket_count + bucket
    of_sum, of_count = control[1 + EMIT_SUM], control[1 + EMIT_COUNT]
    cell_size = PLACE_CELL_FIELDS * bucket_count
    sums = place + bucket_count + of_sum * cell_size if of_sum >= 0 else -1
    counts = place + bucket_count + of_count * cell_size if of_count >= 0 else -1
    return place, sums, counts


@inner
def _fields_of(cell):
    """What a bucket comes to, by field."""
    total, lost, covered, estimated, count, lowest, highest = cell
    total = total + lost if covered > 0 else np.nan
    lowest = lowest if count > 0 else np.nan
    highest = highest if count > 0 else np.nan
    return total, count, lowest, highest, covered, estimated
