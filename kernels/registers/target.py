"""Where the buckets of registers go: rows, or the sums of groups."""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int64Array
from ..buckets.groups import FOLD_SUM, FOLDED_FIELDS, add_run, fold_value
from ..buckets.intervals import EMIT_FIELDS
from ..compiler.jit import inner
from ..numbers.sums import two_sum
from ..quality import is_estimate
from ..status import MALFORMED

# The last fields of a place: int64s that are zero again when a kernel is done, see lines.py.
STEP_SUM, STEP_BEGINS = range(2)
STEP_FIELDS = 2


class GroupSink(NamedTuple):
    """Where the sums of groups go: into places, of each group one a bucket.

    A group has its count of rows by bucket, then of each column the FOLDED_FIELDS of
    kernels/buckets/groups.py, each by bucket, and STEP_FIELDS more, each by bucket too.
    """

    groups: Int64Array  # of each slot
    places: Float64Array  # groups x words of a place x buckets, zeroed before the first meter
    how: int  # how sums are folded: groups.FOLD_SUM, FOLD_MIN or FOLD_MAX; counts are summed
    sum_column: int  # the column that sums go to, or -1
    count_column: int  # the column that counts go to, or -1


class Target(NamedTuple):
    """Either sink, as all that closes buckets takes it; an array that only the other has is empty."""

    is_folding: bool  # into groups
    bucket_count: int
    slots: Int64Array  # of rows
    buckets: Int64Array  # of rows
    columns: Float64Array  # of rows
    fields: Int64Array  # of rows
    keep_empty: bool  # of rows
    groups: Int64Array  # of each slot
    places: Float64Array  # of groups
    how: int  # of groups
    sum_column: int  # of groups
    count_column: int  # of groups
    place_size: int  # words of a place


class Cursor(NamedTuple):
    """How far a kernel is: a slot's open bucket, and the row that it will have."""

    slot: int
    bucket: int  # -1 where none is open
    row: int  # the next free one, or MALFORMED


class Amount(NamedTuple):
    """The parts of an open bucket's amount so far."""

    total: float
    lost: float  # the total's rounding error
    covered: float  # us of the bucket for which there is an amount
    estimated: float  # of these, us of an estimate
    count: float  # intervals that begin in the bucket
    lowest: float  # of their amounts
    highest: float


@inner
def no_amount():
    """Return the amount of a bucket that is just opened."""
    return Amount(0.0, 0.0, 0.0, 0.0, 0.0, np.inf, -np.inf)


@inner
def target_of_rows(edges, sink):
    """Return a RowSink as a target."""
    nowhere = sink.columns[:0]
    none = np.int64(-1)
    return Target(
        False,
        edges.size - 1,
        sink.slots,
        sink.buckets,
        sink.columns,
        sink.fields,
        sink.keep_empty,
        sink.slots[:0],
        nowhere,
        none,
        none,
        none,
        np.int64(0),
    )


@inner
def target_of_groups(edges, sink):
    """Return a GroupSink as a target."""
    nowhere = sink.groups[:0]
    return Target(
        True,
        edges.size - 1,
        nowhere,
        nowhere,
        sink.places[:0],
        nowhere,
        False,
        sink.groups,
        sink.places,
        sink.how,
        sink.sum_column,
        sink.count_column,
        _place_size(sink),
    )


@inner
def has_places(slots, edges, sink):
    """Return whether there is a place for whatever a fold may make of meters of these slots."""
    slot_count = sink.groups.size
    if edges.size < 2 or sink.sum_column >= 2 or sink.count_column >= 2:
        return False
    place_size = _place_size(sink)
    for slot in range(slot_count):
        if not 0 <= sink.groups[slot] < sink.places.size // ((edges.size - 1) * place_size):
            return False
    for slot in slots:
        if not 0 <= slot < slot_count:
            return False
    return True


@inner
def _place_size(sink):
    """The words of a place: its count of rows, the cells up to the last column used, and STEP_FIELDS."""
    return 1 + (max(sink.sum_column, sink.count_column) + 1) * FOLDED_FIELDS + STEP_FIELDS


@inner
def close_whole(intervals, wants_estimates, cursor, target):
    """Be done with buckets of one interval each; return the next free row, or MALFORMED."""
    slot, bucket, row = cursor.slot, cursor.bucket, cursor.row
    if target.is_folding:
        return row + _fold_whole(intervals.amounts, slot, bucket, target)
    starts, ends, amounts = intervals.starts, intervals.ends, intervals.amounts
    for k in range(starts.size):
        is_estimated = wants_estimates and is_estimate(intervals.qualities[k])
        begun = with_begin(no_amount(), amounts[k])
        amount = with_share(begun, amounts[k], ends[k] - starts[k], is_estimated)
        row = _write(Cursor(slot, bucket + k, row), amount, target)
    return row


@inner
def with_begin(amount, begun):
    """Return the bucket's amount after one more interval, of the amount `begun`, has begun."""
    return Amount(
        amount.total,
        amount.lost,
        amount.covered,
        amount.estimated,
        amount.count + 1,
        begun if begun < amount.lowest else amount.lowest,
        begun if begun > amount.highest else amount.highest,
    )


@inner
def with_share(amount, share, length, is_estimated):
    """Return the bucket's amount with a share of an interval that lies in the bucket for `length` us."""
    total, rounding = two_sum(amount.total, share)
    return Amount(
        total,
        amount.lost + rounding,
        amount.covered + length,
        amount.estimated + length if is_estimated else amount.estimated,
        amount.count,
        amount.lowest,
        amount.highest,
    )


@inner
def close(cursor, amount, until, target):
    """Be done with the open bucket, and, if kept, empty ones before `until`.

    Returns the next free row, or MALFORMED.
    """
    row = cursor.row
    if cursor.bucket >= 0:
        row = _fold(cursor, amount, target) if target.is_folding else _write(cursor, amount, target)
    if target.keep_empty:
        for empty in range(cursor.bucket + 1, until):
            row = _write(Cursor(cursor.slot, empty, row), no_amount(), target)
    return row


@inner
def _write(cursor, amount, target):
    """Write one row; return the next free one, or MALFORMED."""
    room, row = target.slots.size, cursor.row
    if not 0 <= row < room:
        return MALFORMED
    target.slots[row] = cursor.slot
    target.buckets[row] = cursor.bucket
    values = _values_of(amount)
    for field in range(EMIT_FIELDS):
        column = target.fields[field]
        if column >= 0:
            target.columns[column * room + row] = values[field]
    return row + 1


@inner
def _fold(cursor, amount, target):
    """Fold one row into the place of its slot's group; return the next row."""
    bucket_count = target.bucket_count
    values = _values_of(amount)
    place, of_sum, of_count = place_of(cursor.slot, cursor.bucket, target)
    target.places[place] += 1
    if of_sum >= 0:
        fold_value(values[0], target.how, target.places, of_sum, bucket_count)
    if of_count >= 0:
        fold_value(values[1], FOLD_SUM, target.places, of_count, bucket_count)
    return cursor.row + 1


@inner
def _fold_whole(amounts, slot, bucket, target):
    """Fold a row each into the places from one on, as _fold would; return their count."""
    places, bucket_count, how = target.places, target.bucket_count, target.how
    place, of_sum, of_count = place_of(slot, bucket, target)
    row_counts = places[place : place + amounts.size]
    for k in range(row_counts.size):
        row_counts[k] += 1
    if of_sum >= 0 and how == FOLD_SUM:
        add_run(amounts, places, of_sum, bucket_count)
    elif of_sum >= 0:
        for k in range(amounts.size):
            fold_value(0.0 + amounts[k], how, places, of_sum + k, bucket_count)  # no sum is -0.0
    if of_count >= 0:
        for k in range(amounts.size):
            fold_value(1.0, FOLD_SUM, places, of_count + k, bucket_count)
    return amounts.size


@inner
def place_of(slot, bucket, target):
    """Where the count of rows of a slot's bucket is, and the cells of sum and count, or less than 0."""
    bucket_count = target.bucket_count
    place = target.groups[slot] * target.place_size * bucket_count + bucket
    of_sum, of_count = target.sum_column, target.count_column
    cell_size = FOLDED_FIELDS * bucket_count
    sums = place + bucket_count + of_sum * cell_size if of_sum >= 0 else -1
    counts = place + bucket_count + of_count * cell_size if of_count >= 0 else -1
    return place, sums, counts


@inner
def _values_of(amount):
    """The bucket's values, by field from EMIT_SUM to EMIT_ESTIMATED."""
    return (
        amount.total + amount.lost if amount.covered > 0 else np.nan,
        amount.count,
        amount.lowest if amount.count > 0 else np.nan,
        amount.highest if amount.count > 0 else np.nan,
        amount.covered,
        amount.estimated,
    )
