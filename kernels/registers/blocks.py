"""Registers straight from blocks to amounts over buckets: a meter's readings are never more than scratch.

A meter comes to the same as in kernels/registers/reduce.py. Its readings do not leave the processor's caches,
which saves half of the time.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int64Array
from ..buckets.intervals import EMIT_ESTIMATED, RowSink, has_room
from ..codec.blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    QUALITIES_END,
    QUALITIES_OFFSET,
    VALUES_END,
    VALUES_OFFSET,
    EncodedBlocks,
    ReadingColumns,
    descriptor_of,
    read_times,
    readings_within,
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
from .intervals import RegisterReadings, intervals_of, is_growing
from .lines import NO_LINES, Span, fold_meter, grid_of, open_meter, settle_lines
from .meters import SCRATCH_FIELDS, Meters, are_meters, register_of
from .reduce import add_intervals
from .target import (
    Cursor,
    GroupSink,
    close,
    has_places,
    no_amount,
    target_of_groups,
    target_of_rows,
)

MALFORMED_BLOCK = -2  # less the block's number

# Words of scratch for each reading of the largest meter, and for two more: its columns, then the words
# that reduce_registers needs.
BLOCK_SCRATCH_FIELDS = 3 + SCRATCH_FIELDS


class Exchanges(NamedTuple):
    """How each meter took the place of the one before; not looked at for the first meter of a slot."""

    times: Int64Array  # us
    finals: Float64Array  # what the register of the one before showed then
    initials: Float64Array  # what its own register showed


class Exchange(NamedTuple):
    """One of the exchanges."""

    time: int
    final: float
    initial: float


class Reading(NamedTuple):
    """A reading that an exchange's reading displaces for a while."""

    time: int
    value: float
    quality: int


@kernel
def reduce_register_blocks(
    blocks: EncodedBlocks,
    bounds: Int64Array,
    meters: Meters,
    exchanges: Exchanges,
    span: Span,
    edges: Int64Array,
    scratch: Int64Array,
    sink: RowSink,
) -> int:
    """Do what reduce_registers does, with the usable readings of blocks.

    Meter m is read from the blocks bounds[2 m] to bounds[2 m + 1], each later than the one before; meters
    of one slot have the same blocks. `scratch` has BLOCK_SCRATCH_FIELDS words for each reading of the
    largest meter, and for two more. Returns the row count, MALFORMED, or -2 - b where block b is malformed.
    """
    if not has_room(edges, sink) or not _are_exchanged(blocks, bounds, meters, exchanges):
        return MALFORMED
    wants_estimates, target = sink.fields[EMIT_ESTIMATED] >= 0, target_of_rows(edges, sink)
    return _reduce(blocks, bounds, meters, exchanges, span, edges, scratch, wants_estimates, target)


@kernel
def fold_register_blocks(
    blocks: EncodedBlocks,
    bounds: Int64Array,
    meters: Meters,
    exchanges: Exchanges,
    span: Span,
    edges: Int64Array,
    scratch: Int64Array,
    sink: GroupSink,
) -> int:
    """Do what fold_registers does, with the usable readings of blocks; see reduce_register_blocks."""
    if not _are_exchanged(blocks, bounds, meters, exchanges) or not has_places(meters.slots, edges, sink):
        return MALFORMED
    target = target_of_groups(edges, sink)
    return _reduce(blocks, bounds, meters, exchanges, span, edges, scratch, False, target)


@inner
def _are_exchanged(blocks, bounds, meters, exchanges):
    """Return whether meters have blocks, and exchanges follow each other."""
    meter_count = bounds.size // 2
    if bounds.size != 2 * meter_count or not are_meters(meters, meter_count):
        return False
    slots, times = meters.slots, exchanges.times
    if not times.size == exchanges.finals.size == exchanges.initials.size == meter_count:
        return False
    for m in range(meter_count):
        if not 0 <= bounds[2 * m] <= bounds[2 * m + 1] <= blocks.descriptors.size // DESCRIPTOR_FIELDS:
            return False
        if m > 1 and slots[m - 2] == slots[m - 1] == slots[m] and times[m - 1] >= times[m]:
            return False
    return True


@inner
def _reduce(blocks, bounds, meters, exchanges, span, edges, scratch, wants_estimates, target):
    meter_count, slots = bounds.size // 2, meters.slots
    room = scratch.size // BLOCK_SCRATCH_FIELDS
    if room < 2:
        return MALFORMED
    readings, scratch = _columns_of(scratch, room), scratch[3 * room :]
    bucket, row, amount = np.int64(-1), np.int64(0), no_amount()
    first, behind = 0, 0
    exponent, exponent_of_lines = np.int64(-1), np.int64(-1)
    grid = grid_of(edges, target)
    for m in range(meter_count):
        slot, first_block, end_block = slots[m], bounds[2 * m], bounds[2 * m + 1]
        register = register_of(meters, m)
        is_last = m + 1 == meter_count or slots[m + 1] != slots[m]
        if is_last and (m == 0 or slots[m - 1] != slots[m]) and _may_have_lines(grid, register):
            opened = open_meter(blocks, first_block, end_block, span, grid, exponent_of_lines, scratch)
            if opened[0] != NO_LINES:
                exponent_of_lines = _settle_coarser(exponent_of_lines, opened[0], target)
                row += fold_meter(slot, opened[1], opened[0], exponent_of_lines, edges, scratch, target)
                continue
        if m == 0 or slots[m] != slots[m - 1]:
            # An exchange puts one reading before these, or after them.
            inside = readings_within(readings, 1, room - 1)
            count, exponent = _read_meter(blocks, first_block, end_block, inside, is_last)
            if count < 0:
                return count
            first, behind = _taken(readings.times[1 : 1 + count], span)
        exchange = _no_exchange() if is_last else _exchange_of(exchanges, m + 1)
        end, displaced = (behind, _no_reading()) if is_last else _end_with(readings, first, behind, exchange)
        own = _with_mantissas(readings_within(readings, first, end), exponent, scratch)
        intervals = intervals_of(own, register, wants_estimates, scratch[end - first :])
        cursor = Cursor(slot, bucket, row)
        bucket, row, amount = add_intervals(intervals, edges, wants_estimates, cursor, amount, target)
        if is_last:
            row = close(Cursor(slot, bucket, row), amount, edges.size - 1, target)
            bucket, amount = np.int64(-1), no_amount()
        else:
            first = _begin_with(readings, end, behind, exchange, displaced)
        if row == MALFORMED:
            return MALFORMED
    if exponent_of_lines >= 0:
        settle_lines(exponent_of_lines, target)
    return row


@inner
def _columns_of(scratch, room):
    """Room for the readings of a meter, in the first words of the scratch."""
    return ReadingColumns(
        scratch[:room],
        scratch[room : 2 * room].view(np.float64),
        scratch[2 * room : 3 * room].view(np.uint8)[:room],
    )


@inner
def _may_have_lines(grid, register):
    """Return whether a step of the register is an amount, and lines can be folded into the buckets."""
    return grid.width != 0 and register.multiplier == 1.0 and register.numerator == register.denominator


@inner
def _settle_coarser(exponent_of_sums, exponent, target):
    """Settle the sums so far where a meter has more digits than they; return the exponent of the sums."""
    if exponent <= exponent_of_sums:
        return exponent_of_sums
    if exponent_of_sums >= 0:
        settle_lines(exponent_of_sums, target)
    return exponent


@inner
def _taken(times, span):
    """Where in the columns, which begin one before `times`, the readings begin and end that are taken."""
    end = times.size
    if end > 0 and times[end - 1] > span.time_max:
        end = first_at_or_after(times, span.time_max + 1)
    return 1 + first_at_or_after(times[:end], span.time_min), 1 + end


@inner
def _exchange_of(exchanges, m):
    return Exchange(exchanges.times[m], exchanges.finals[m], exchanges.initials[m])


@inner
def _no_exchange():
    return Exchange(np.int64(0), 0.0, 0.0)


@inner
def _no_reading():
    return Reading(np.int64(0), 0.0, np.int64(0))


@inner
def _put(readings, k, time, value, quality):
    readings.times[k], readings.values[k], readings.qualities[k] = time, value, quality


@inner
def _end_with(readings, first, behind, exchange):
    """Put the old meter's last reading after its others; return the end of these, and what it displaced."""
    k = first + first_at_or_after(readings.times[first:behind], exchange.time)
    displaced = Reading(readings.times[k], readings.values[k], np.int64(readings.qualities[k]))
    _put(readings, k, exchange.time, exchange.final, 0)
    return k + 1, displaced


@inner
def _begin_with(readings, end, behind, exchange, displaced):
    """Put back what was displaced, and the new meter's first reading before its others.

    Returns where these begin. A reading of the series at that very instant is one of the exchange's
    two, which are the better record: it is left out.
    """
    is_replaced = end - 1 < behind and displaced.time == exchange.time
    _put(readings, end - 1, displaced.time, displaced.value, displaced.quality)
    first = end - 1 if is_replaced else end - 2
    _put(readings, first, exchange.time, exchange.initial, 0)
    return first


@inner
def _with_mantissas(readings, exponent, scratch):
    """The readings as intervals_of takes them; where the exponent is not -1 their values are mantissas."""
    times, values, qualities = readings.times, readings.values, readings.qualities
    if exponent < 0:
        mantissas = scratch[: values.size]
        return RegisterReadings(times, values, qualities, mantissas, decimals_of(values, mantissas))
    mantissas = values.view(np.int64)
    if not is_growing(mantissas):  # then the values are looked at, and the mantissas are not
        unscale(mantissas, exponent, values)
        exponent = np.int64(-1)
    return RegisterReadings(times, values, qualities, mantissas, exponent)


@inner
def _read_meter(blocks, first, end, readings, may_be_integers):
    """Decode a meter's blocks; return (the count of its usable readings, the exponent of their mantissas).

    Where all are decimals of few enough digits, at one exponent, and that is wanted, there are mantissas in
    the place of values; else the exponent is -1. The count is -2 - b where block b is malformed.
    """
    times, values = readings.times, readings.values
    filled = 0
    last = np.int64(0)
    exponent = np.int64(-1)
    are_integers = may_be_integers
    for block in range(first, end):
        descriptor = descriptor_of(blocks, block)
        count = descriptor[COUNT]
        if not 1 <= count <= times.size - filled:
            return MALFORMED_BLOCK - block, exponent
        behind = filled + count
        own = readings_within(readings, filled, behind)
        own_exponent = _read_numbers(blocks, descriptor, own)
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
def _read_numbers(blocks, descriptor, readings):
    """Decode a block; return the exponent of its mantissas, PLAIN_VALUES where it has doubles, or MALFORMED.

    Both stand in the place of the values.
    """
    data, tables = blocks.data, tables_of(descriptor, blocks.tables)
    values, qualities = readings.values, readings.qualities
    mantissas = values.view(np.int64)
    if read_times(data, descriptor, tables, readings.times) == MALFORMED:
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
    """Whether their differences are decimal: see differences.py."""
    large_count = 0
    for k in range(mantissas.size):
        large_count += not -EXACT_MANTISSA_MAX < mantissas[k] < EXACT_MANTISSA_MAX
    return large_count == 0


@inner
def _keep_usable(readings, are_integers):
    """Move the readings that are finite, and neither rejected nor missing, to the front; their count."""
    times, values, qualities = readings.times, readings.values, readings.qualities
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
