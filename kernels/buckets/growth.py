"""Buckets of meters that only grow, as integers, made of their lines and steps.

Values never fall: a bucket's first reading is its least, and its last its greatest. So a bucket is four
integers: how many readings, the sum of their mantissas, the first and the last. `growth` has
GROWTH_FIELDS x buckets of them, zeroed before the first block. The blocks of a slot come in order of time.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int64Array
from ..codec.blocks import COUNT
from ..codec.lines import (
    LINE_FIELDS,
    LINE_FIRST,
    LINE_TIME,
    TOKENS_SLACK,
    last_time,
    least_token,
    open_steps,
    read_lines,
    sums_of,
)
from ..compiler.jit import inner
from ..numbers.decimals import EXACT_MANTISSA_MAX, POWERS_OF_TEN, TOTAL_MAX
from ..numbers.search import bucket_at
from .cells import (
    AGGREGATE_COUNT,
    AGGREGATE_FIRST,
    AGGREGATE_MEAN,
    AGGREGATE_MIN,
    AGGREGATE_SUM,
    CELL_FIELDS,
    add_decimal,
    merge_run,
)

GROWTH_COUNT, GROWTH_TOTAL, GROWTH_FIRST, GROWTH_LAST = range(4)
GROWTH_FIELDS = 4


class Room(NamedTuple):
    """Scratch for the largest block."""

    times: Int64Array  # or its lines
    mantissas: Int64Array  # or its tokens
    values: Float64Array


class Wanted(NamedTuple):
    """Which readings count, and what is wanted of them."""

    time_min: int  # us; earlier readings do not count
    time_max: int  # us; later readings do not count
    squares: bool  # the squared deviations from the mean
    sums: bool  # the sum, or something that is made of it


class Grown(NamedTuple):
    """The state of a slot's growth after the blocks added so far."""

    exponent: int  # of the mantissas; -1 where nothing has been added
    first_bucket: int
    last_bucket: int
    first_time: int  # us, of the first reading
    last_time: int  # us, of the last reading


@inner
def no_growth():
    """Return what is grown before the first block."""
    return Grown(np.int64(-1), np.int64(0), np.int64(-1), np.int64(0), np.int64(0))


@inner
def add_growth(data, descriptor, tables, room, edges, wanted, grown, growth):
    """Add a block; return what is grown then, and whether it could be added: else nothing has changed.

    A block can be added where its times are lines within the span, and its values decimals that never fall,
    with as many digits as the blocks before.
    """
    for_lines, for_tokens = room.times, room.mantissas
    count = descriptor[COUNT]
    if 8 * for_tokens.size < count + TOKENS_SLACK:
        return grown, False
    line_count, step = read_lines(data, descriptor, for_lines)
    if line_count == 0:
        return grown, False
    lines = for_lines[: (line_count + 1) * LINE_FIELDS]
    begin, end = lines[LINE_TIME], last_time(lines[:-LINE_FIELDS], step, count)
    if begin < max(wanted.time_min, edges[0]):
        return grown, False
    if end > wanted.time_max or end >= edges[edges.size - 1]:
        return grown, False
    tokens = for_tokens.view(np.uint8)
    steps = open_steps(data, descriptor, tables, tokens[:count])
    if not grows(steps, tokens[:count]):
        return grown, False
    first_bucket, last_bucket, first_time = grown.first_bucket, grown.last_bucket, grown.first_time
    if grown.exponent < 0:
        first_bucket, first_time = bucket_at(edges, begin, 0), begin
        last_bucket = first_bucket
    elif (
        grown.exponent != steps.exponent
        or begin <= grown.last_time
        or not _goes_on(growth, last_bucket, steps, tokens[:count])
    ):
        return grown, False
    bucket = bucket_at(edges, begin, last_bucket)
    last_bucket = _add_lines(lines, step, tokens, count, steps, edges, bucket, growth)
    return Grown(steps.exponent, first_bucket, last_bucket, first_time, end), True


@inner
def _goes_on(growth, bucket, steps, tokens):
    """Whether the block's readings are no less than the bucket's, and all surely sum up within an int64."""
    start, base, unit = steps.start, steps.base, steps.unit
    bucket_count = growth.size // GROWTH_FIELDS
    first = growth[GROWTH_FIRST * bucket_count + bucket]
    greatest = max(abs(first), abs(start + tokens.size * (base + 255 * unit)))
    count = growth[GROWTH_COUNT * bucket_count + bucket] + tokens.size
    if np.float64(count) * np.float64(greatest) >= np.float64(TOTAL_MAX):
        return False
    return start + base + unit * np.int64(tokens[0]) >= growth[GROWTH_LAST * bucket_count + bucket]


@inner
def grows(steps, tokens):
    """Whether mantissas never fall, and neither they nor the sums of a block's wrap."""
    start, base, unit = steps.start, steps.base, steps.unit
    if steps.exponent < 0 or not (0 <= unit < 1 << 20 and -(1 << 30) < base < 1 << 30):
        return False
    if base + unit * least_token(tokens) < 0 or start <= -EXACT_MANTISSA_MAX:
        return False
    return start < EXACT_MANTISSA_MAX - tokens.size * (base + unit * 255)


@inner
def _add_lines(lines, step, tokens, count, steps, edges, bucket, growth):
    """Cut lines at the edges, the first from `bucket` on; return the last bucket."""
    value, base, unit = steps.start, steps.base, steps.unit
    bucket_count = edges.size - 1
    counts = growth[GROWTH_COUNT * bucket_count : (GROWTH_COUNT + 1) * bucket_count]
    totals = growth[GROWTH_TOTAL * bucket_count : (GROWTH_TOTAL + 1) * bucket_count]
    firsts = growth[GROWTH_FIRST * bucket_count : (GROWTH_FIRST + 1) * bucket_count]
    lasts = growth[GROWTH_LAST * bucket_count : (GROWTH_LAST + 1) * bucket_count]
    time, end = lines[LINE_TIME], lines[LINE_FIELDS + LINE_FIRST]
    i, line = 0, 0
    while i < count:
        if time >= edges[bucket + 1]:
            bucket = bucket_at(edges, time, bucket + 1)
        edge = edges[bucket + 1]
        first = i
        # A gap within the bucket changes nothing but how many readings it has.
        while i < count and time < edge:
            run = np.int64((np.uint64(edge) - np.uint64(time) - np.uint64(1)) // np.uint64(step)) + 1
            if run < end - i:
                i += run
                time += run * step
            else:
                i = end
                if i == count:
                    break
                line += LINE_FIELDS
                time, end = lines[line + LINE_TIME], lines[line + LINE_FIELDS + LINE_FIRST]
        run = i - first
        grown, weighted = sums_of(tokens, first, run)
        if counts[bucket] == 0:
            firsts[bucket] = value + base + unit * np.int64(tokens[first])
        counts[bucket] += run
        totals[bucket] += run * value + (run * (run + 1) // 2) * base + unit * weighted
        value += run * base + unit * grown
        lasts[bucket] = value
    return bucket


@inner
def merge_growth(grown, edges, growth, cells):
    """Merge what is grown into a slot's cells, and zero it for its next use.

    A bucket's edges and the first and last reading of all say when its own first and last are: whatever else
    reaches into it came before or after all of these.
    """
    exponent, first_bucket, last_bucket = grown.exponent, grown.first_bucket, grown.last_bucket
    first_time, last_time = grown.first_time, grown.last_time
    bucket_count = edges.size - 1
    for bucket in range(first_bucket, last_bucket + 1):
        count = growth[GROWTH_COUNT * bucket_count + bucket]
        if count == 0:
            continue
        power = POWERS_OF_TEN[exponent]
        total = growth[GROWTH_TOTAL * bucket_count + bucket]
        low = np.float64(growth[GROWTH_FIRST * bucket_count + bucket]) / power
        high = np.float64(growth[GROWTH_LAST * bucket_count + bucket]) / power
        begin, end = max(edges[bucket], first_time), min(edges[bucket + 1] - 1, last_time)
        cell = cells[bucket * CELL_FIELDS : (bucket + 1) * CELL_FIELDS]
        decimal_total = np.float64(total) / power
        merge_run(cell, np.float64(count), decimal_total, low, high, low, high, 0.0, begin, end)
        add_decimal(cell, np.float64(count), total, exponent)
    _forget(growth, first_bucket, last_bucket)


@inner
def _forget(growth, first_bucket, last_bucket):
    """Zero some buckets: the same room may next be that of other buckets, and of other fields."""
    bucket_count = growth.size // GROWTH_FIELDS
    for field in range(GROWTH_FIELDS):
        growth[field * bucket_count + first_bucket : field * bucket_count + last_bucket + 1] = 0


@inner
def emit_growth(grown, growth, edges, slot, row, sink):
    """Write a slot's rows from one on, as emit_slot would, and zero the growth; return the next free row."""
    exponent, first_bucket, last_bucket = grown.exponent, grown.first_bucket, grown.last_bucket
    starts, of_slot = sink.starts[row:], sink.slots[row:]
    row_slot = sink.first_slot + slot
    room = sink.starts.size
    bucket_count = edges.size - 1
    behind = first_bucket
    # Buckets that have readings move to the front of the others; mostly all have.
    for bucket in range(first_bucket, last_bucket + 1):
        if growth[bucket] == 0:
            continue
        if behind != bucket:
            for field in range(GROWTH_FIELDS):
                growth[field * bucket_count + behind] = growth[field * bucket_count + bucket]
        of_slot[behind - first_bucket] = row_slot
        starts[behind - first_bucket] = edges[bucket]
        behind += 1
    row_count = behind - first_bucket
    for k in range(sink.aggregates.size):
        column = sink.columns[k * room + row : k * room + row + row_count]
        _emit_column(growth, first_bucket, exponent, sink.aggregates[k], column)
    _forget(growth, first_bucket, last_bucket)
    return row + row_count


@inner
def _emit_column(growth, first_bucket, exponent, aggregate, column):
    """Write one aggregate of the buckets from the first on."""
    bucket_count = growth.size // GROWTH_FIELDS
    power = POWERS_OF_TEN[exponent]
    counts = growth[first_bucket : first_bucket + column.size]
    if aggregate == AGGREGATE_COUNT:
        integers = column.view(np.int64)
        for k in range(integers.size):
            integers[k] = counts[k]
        return
    field = GROWTH_LAST
    if aggregate == AGGREGATE_SUM or aggregate == AGGREGATE_MEAN:
        field = GROWTH_TOTAL
    elif aggregate == AGGREGATE_MIN or aggregate == AGGREGATE_FIRST:
        field = GROWTH_FIRST
    first = field * bucket_count + first_bucket
    mantissas = growth[first : first + column.size]
    for k in range(column.size):
        column[k] = np.float64(mantissas[k]) / power
    if aggregate == AGGREGATE_MEAN:
        for k in range(column.size):
            column[k] /= np.float64(counts[k])
