"""Readings to bucket aggregates, fused with decoding: a block is decoded into scratch and reduced there.

A cell is one series' bucket: CELL_FIELDS words, doubles but for the times of its first and last
reading. Cells are series x buckets, zeroed before the first call; they merge, so that blocks, merged
columns and recent writes may come in any order. Bucket k covers edges[k] <= time < edges[k + 1].

NaN readings are skipped. Sums do not depend on how the readings are stored: where all readings of a
bucket are decimals (as a meter's are), they are summed as integers and divided once, so that the sum is
the decimal one, correctly rounded. Otherwise a sum carries its rounding error along (Knuth's TwoSum),
and is within an ulp of the exact one.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int32Array, Int64Array
from ..codec.blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    QUALITIES_END,
    QUALITIES_OFFSET,
    SLOT,
    VALUES_END,
    VALUES_OFFSET,
    EncodedBlocks,
    descriptor_of,
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
from .cells import CELL_FIELDS, AggregateSink, add_decimal, add_double, emit_slot, merge_run
from .growth import GROWTH_FIELDS, Room, Wanted, add_growth, emit_growth, merge_growth, no_growth

# As many mantissas, each below EXACT_MANTISSA_MAX, sum up within an int64.
_EXACT_COUNT_MAX = 8192


class OtherReadings(NamedTuple):
    """Readings that do not stand in the blocks, by slot and time."""

    slots: Int64Array
    times: Int64Array  # us
    commits: Int64Array  # that each was made known by; -1 where another supersedes it


@kernel
def reduce_blocks(
    blocks: EncodedBlocks, edges: Int64Array, wanted: Wanted, room: Room, cells: Float64Array
) -> int:
    """Add every block's readings to its series' cells.

    Returns the count of readings within the span, or -1 - b where block b is malformed.
    """
    reduced = 0
    bucket_count = edges.size - 1
    for block in range(blocks.descriptors.size // DESCRIPTOR_FIELDS):
        descriptor = descriptor_of(blocks, block)
        tables = tables_of(descriptor, blocks.tables)
        first_cell = descriptor[SLOT] * bucket_count * CELL_FIELDS
        of_slot = cells[first_cell : first_cell + bucket_count * CELL_FIELDS]
        counted = _reduce_block(blocks.data, descriptor, tables, room, edges, wanted, of_slot)
        if counted == MALFORMED:
            return -1 - block
        reduced += counted
    return reduced


@kernel
def resample_blocks(
    blocks: EncodedBlocks,
    edges: Int64Array,
    wanted: Wanted,
    room: Room,
    growth: Int64Array,
    cells: Float64Array,
    sink: AggregateSink,
    row: int,
) -> int:
    """Write what reduce_blocks and then emit_cells would, of blocks by slot and time; no cell is kept empty.

    `growth` and `cells` are a slot's, zero before and after. Returns the next free row, or -1 - b where block
    b is malformed.
    """
    data, descriptors = blocks.data, blocks.descriptors
    block_count = descriptors.size // DESCRIPTOR_FIELDS
    # A slot's blocks grow as long as they can; what does not, and all after it, goes to cells.
    grown, has_cells = no_growth(), False
    for block in range(block_count):
        descriptor = descriptor_of(blocks, block)
        tables = tables_of(descriptor, blocks.tables)
        slot = descriptor[SLOT]
        added = False
        if not has_cells and _may_grow(descriptor, room, wanted):
            grown, added = add_growth(data, descriptor, tables, room, edges, wanted, grown, growth)
        if not added:
            merge_growth(grown, edges, growth, cells)
            grown, has_cells = no_growth(), True
            if _reduce_decoded(data, descriptor, tables, room, edges, wanted, cells) == MALFORMED:
                cells[:] = 0.0
                return -1 - block
        if block + 1 == block_count or descriptors[(block + 1) * DESCRIPTOR_FIELDS + SLOT] != slot:
            if has_cells:
                row = emit_slot(cells, edges, slot, row, sink)
            else:
                row = emit_growth(grown, growth, edges, slot, row, sink)
            grown, has_cells = no_growth(), False
    return row


@inner
def _fits(descriptor, room):
    return 1 <= descriptor[COUNT] <= min(min(room.times.size, room.mantissas.size), room.values.size)


@inner
def _may_grow(descriptor, room, wanted):
    """Whether a block fits the scratch, and nothing is asked for that takes all of its readings."""
    return _fits(descriptor, room) and not wanted.squares


@inner
def _reduce_block(data, descriptor, tables, room, edges, wanted, cells):
    """Add a block's readings to its slot's cells; return the count of those within the span, or MALFORMED."""
    # Growth is kept in the room of the values' doubles, which are not made then.
    growth_size = GROWTH_FIELDS * (edges.size - 1)
    if growth_size <= room.values.size and _may_grow(descriptor, room, wanted):
        growth = room.values.view(np.int64)[:growth_size]
        growth[:] = 0
        grown, added = add_growth(data, descriptor, tables, room, edges, wanted, no_growth(), growth)
        if added:
            merge_growth(grown, edges, growth, cells)
            return descriptor[COUNT]
    return _reduce_decoded(data, descriptor, tables, room, edges, wanted, cells)


@inner
def _reduce_decoded(data, descriptor, tables, room, edges, wanted, cells):
    """The same of any block."""
    if not _fits(descriptor, room):
        return MALFORMED
    count = descriptor[COUNT]
    times, integers, values = room.times[:count], room.mantissas[:count], room.values[:count]
    exponent = _read(data, descriptor, tables, times, integers, values)
    if exponent == MALFORMED:
        return MALFORMED
    return _reduce_series(times, integers, exponent, values, edges, wanted, 0, cells)


@inner
def _read(data, descriptor, tables, times, integers, values):
    """Decode a block's times, and its values as `read_floats` does; return what that returns."""
    if read_times(data, descriptor, tables, times) == MALFORMED:
        return MALFORMED
    return read_floats(data, descriptor[VALUES_OFFSET], descriptor[VALUES_END], tables, integers, values)


@kernel
def reduce_known_blocks(
    blocks: EncodedBlocks,
    edges: Int64Array,
    wanted: Wanted,
    room: Room,
    commit: int,
    commits: Int64Array,
    rest: OtherReadings,
    cells: Float64Array,
) -> int:
    """Add the readings of blocks that a commit knew to their cells, and hide the rest that they supersede.

    As `reduce_blocks`; but a descriptor's QUALITIES_ fields say where the block's commits stand (in no
    bytes where all its readings are known), and `commits` is room for the largest block's. Where a block
    has a known reading, the commits of the rest at its time become -1.
    """
    reduced = 0
    for block in range(blocks.descriptors.size // DESCRIPTOR_FIELDS):
        descriptor = descriptor_of(blocks, block)
        count = descriptor[COUNT]
        if not _fits(descriptor, room) or count > commits.size:
            return -1 - block
        times, integers, values = room.times[:count], room.mantissas[:count], room.values[:count]
        tables = tables_of(descriptor, blocks.tables)
        exponent = _read(blocks.data, descriptor, tables, times, integers, values)
        if exponent == MALFORMED:
            return -1 - block
        offset, end = descriptor[QUALITIES_OFFSET], descriptor[QUALITIES_END]
        known = count
        if offset != end:
            own_commits = commits[:count]
            if read_integers(blocks.data, offset, end, tables, own_commits) == MALFORMED:
                return -1 - block
            known = _keep_known(own_commits, commit, times, integers, values)
        if known == 0:
            continue
        _hide_superseded(rest, descriptor[SLOT], times[:known])
        row = descriptor[SLOT] * (edges.size - 1)
        reduced += _reduce_series(
            times[:known], integers[:known], exponent, values[:known], edges, wanted, row, cells
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
    """Make the commits of the rest -1 that have this slot, and one of the increasing times."""
    rest_times = rest.times
    first = first_at_or_after(rest.slots, slot)
    end = first + first_at_or_after(rest.slots[first:], slot + 1)
    at = 0
    for i in range(first + first_at_or_after(rest_times[first:end], times[0]), end):
        at += first_at_or_after(times[at:], rest_times[i])
        if at == times.size:
            return
        if times[at] == rest_times[i]:
            rest.commits[i] = -1


@kernel
def reduce_columns(
    slots: Int32Array,
    times: Int64Array,
    values: Float64Array,
    edges: Int64Array,
    wanted: Wanted,
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
            wanted,
            row,
            cells,
        )
        first = end
    return reduced


@inner
def _reduce_series(times, integers, exponent, values, edges, wanted, row, cells):
    """Cut one series' readings at the bucket edges and merge each run into its cell."""
    i = first_at_or_after(times, max(wanted.time_min, edges[0]))
    first = i
    end = first_at_or_after(times, edges[edges.size - 1])
    if end > i and times[end - 1] > wanted.time_max:
        end = first_at_or_after(times[:end], wanted.time_max + 1)
    if i >= end:
        return 0
    bucket = bucket_at(edges, times[i], 0)
    usual_length = 1
    while i < end:
        run_length = _run_length(times, i, end, edges[bucket + 1], usual_length)
        usual_length = max(usual_length, run_length)
        cell = cells[(row + bucket) * CELL_FIELDS : (row + bucket + 1) * CELL_FIELDS]
        run = integers[i : i + run_length]
        run_end = times[i + run_length - 1]
        if exponent == PLAIN_VALUES or not _merge_integers(times[i], run_end, run, exponent, wanted, cell):
            run_values = values[i : i + run_length]
            if exponent != PLAIN_VALUES:
                unscale(run, exponent, run_values)
            _merge_floats(times[i : i + run_length], run_values, wanted, cell)
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
def _merge_integers(first_time, last_time, run, exponent, wanted, cell):
    """Merge a run of decimals run[k] / 10^exponent, if few and small enough to sum up; return whether."""
    total = np.int64(0)
    low = run[0]
    high = low
    for k in range(run.size):
        mantissa = run[k]
        total += mantissa
        low = min(low, mantissa)
        high = max(high, mantissa)
    if run.size > _EXACT_COUNT_MAX or low <= -EXACT_MANTISSA_MAX or high >= EXACT_MANTISSA_MAX:
        return False
    power = POWERS_OF_TEN[exponent]
    squares = 0.0
    if wanted.squares:
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
        first_time,
        last_time,
    )
    add_decimal(cell, run.size, total, exponent)
    return True


@inner
def _merge_floats(times, values, wanted, cell):
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
    if wanted.sums:
        exponent, mantissa = _decimal_sum(values[i:end])
        if exponent < 0 or wanted.squares:
            total, error = _compensated_sum(values[i:end])
    squares = 0.0
    if wanted.squares:
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
    exponent, power = 0, 1.0  # the power as a local: read from its table, it costs a load a value
    total = np.int64(0)
    for k in range(values.size):
        value = values[k]
        if np.isnan(value):
            continue
        mantissa = scaled(value, power)
        if np.isnan(mantissa):
            finer = exponent_of(value, exponent)
            if finer < 0 or not can_rescale(total, finer - exponent):
                return -1, total
            total *= INTEGER_POWERS[finer - exponent]
            exponent, power = finer, POWERS_OF_TEN[finer]
            mantissa = scaled(value, power)
        total += np.int64(mantissa)
        if not -TOTAL_MAX < total < TOTAL_MAX:
            return -1, total
    return exponent, total
