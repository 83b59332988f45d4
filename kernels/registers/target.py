"""Where the buckets of registers go: rows, or the sums of groups."""

import numpy as np

from ..buckets.groups import CELL_FIELDS as PLACE_CELL_FIELDS
from ..buckets.groups import FOLD_SUM, add_run, fold_value
from ..buckets.intervals import CELL_FIELDS, EMIT_COUNT, EMIT_FIELDS, EMIT_SUM, KEEP_EMPTY, REDUCE_FIELDS
from ..compiler.jit import inner
from ..numbers.sums import two_sum
from ..quality import is_estimate
from ..status import MALFORMED

# What a place holds last, int64s that nothing is left of when a kernel is done: see lines.py.
STEP_SUM, STEP_BEGINS = range(2)
STEP_FIELDS = 2

# What `control` of a fold holds before the group of each slot.
FOLD_HOW = REDUCE_FIELDS
FOLD_FIELDS = REDUCE_FIELDS + 1

# An open bucket's cell: sum, what rounding took from it, us covered, of these estimated, count, least, most.
NOTHING = (0.0, 0.0, 0.0, 0.0, 0.0, np.inf, -np.inf)


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
def close_whole(rows, wants_estimates, at, to):
    """Be done with buckets of one interval each; the row behind, or MALFORMED."""
    starts, ends, amounts, qualities = rows
    slot, bucket, row = at
    _, _, _, _, is_folding = to
    if is_folding:
        return row + _fold_whole(amounts, (slot, bucket), to)
    for k in range(starts.size):
        is_estimated = wants_estimates and is_estimate(qualities[k])
        cell = with_share(with_begin(NOTHING, amounts[k]), amounts[k], ends[k] - starts[k], is_estimated)
        row = _write((slot, bucket + k, row, cell), to)
    return row


@inner
def with_begin(cell, amount):
    """The cell after one more interval has begun."""
    total, lost, covered, estimated, count, lowest, highest = cell
    lowest = amount if amount < lowest else lowest
    highest = amount if amount > highest else highest
    return total, lost, covered, estimated, count + 1, lowest, highest


@inner
def with_share(cell, share, length, is_estimated):
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
