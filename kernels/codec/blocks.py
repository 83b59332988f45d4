"""Blocks of readings, many a call: planned, modelled, written, and read back.

Block b of a call covers readings starts[b] to starts[b + 1], of one series, times increasing.
To write: plan each column, count the tokens of likely groups of blocks, make models of them, choose
the cheapest model for each block by exact cost (tokens.py), write. To read: one row of DESCRIPTOR_FIELDS
int64 a block, with offsets into the bytes of the whole chunk file.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int32Array, Int64Array, UInt8Array, UInt16Array, UInt32Array, UInt64Array
from ..compiler.jit import inner, kernel
from ..numbers.decimals import unscale
from ..numbers.search import first_at_or_after
from ..status import MALFORMED
from .floats import PLAIN_VALUES, plan_floats, read_floats, write_floats
from .integers import PLAN_SIZE, plan_integers, plan_of, read_integers, write_integers
from .models import TABLE_SIZE
from .qualities import read_qualities, write_qualities
from .tokens import list_tokens

SLOT = 0
COUNT = 1
TIMES_OFFSET = 2
TIMES_END = 3
VALUES_OFFSET = 4
VALUES_END = 5
QUALITIES_OFFSET = 6
QUALITIES_END = 7
FIRST_MODEL = 8  # of its chunk, in tables of several
DESCRIPTOR_FIELDS = 9


class EncodedBlocks(NamedTuple):
    """Encoded blocks, from one chunk file or several."""

    data: UInt8Array  # the bytes of the files, and SLACK_SIZE more
    descriptors: Int64Array  # blocks x DESCRIPTOR_FIELDS
    tables: UInt32Array  # the decode tables of each chunk's models


class ReadingColumns(NamedTuple):
    """Readings as columns."""

    times: Int64Array  # us since 1970, UTC
    values: Float64Array
    qualities: UInt8Array  # codes


@inner
def readings_within(readings, first, end):
    """Return some of the readings, by number."""
    return ReadingColumns(
        readings.times[first:end], readings.values[first:end], readings.qualities[first:end]
    )


@inner
def descriptor_of(blocks, block):
    """Return a block's descriptor."""
    return blocks.descriptors[block * DESCRIPTOR_FIELDS : (block + 1) * DESCRIPTOR_FIELDS]


@kernel
def plan_times(
    times: Int64Array,
    starts: Int64Array,
    residuals: Int64Array,
    plans: Int64Array,
    counts: Int64Array,
    tokens: Int64Array,
) -> int:
    """Plan the times of every block, and list their tokens; returns how many are listed.

    `counts` is TOKEN_COUNT of zeroed scratch; `tokens` has room for as many a block as it has readings, or
    TOKEN_COUNT.
    """
    listed = 0
    for block in range(starts.size - 1):
        first = starts[block]
        end = starts[block + 1]
        plan = plan_of(plans, block)
        plan_integers(times[first:end], False, residuals[first:end], plan)
        listed = list_tokens(residuals[first:end], plan, counts, tokens, listed)
    return listed


@kernel
def plan_values(
    values: Float64Array,
    starts: Int64Array,
    mantissas: Int64Array,
    residuals: Int64Array,
    plans: Int64Array,
    counts: Int64Array,
    tokens: Int64Array,
) -> int:
    """Do the same to values; `mantissas` is scratch of the largest block's size."""
    listed = 0
    for block in range(starts.size - 1):
        first = starts[block]
        end = starts[block + 1]
        plan = plan_of(plans, block)
        plan_floats(values[first:end], mantissas, residuals[first:end], plan)
        listed = list_tokens(residuals[first:end], plan, counts, tokens, listed)
    return listed


@kernel
def write_time_blocks(
    times: Int64Array,
    residuals: Int64Array,
    starts: Int64Array,
    plans: Int64Array,
    symbols: Int64Array,
    states: UInt16Array,
    codes: UInt64Array,
    data: UInt8Array,
) -> int:
    """Write the times of all blocks one after another, sizes into the plans; return the byte count."""
    offset = 0
    for block in range(starts.size - 1):
        plan = plan_of(plans, block)
        first = starts[block]
        end = starts[block + 1]
        behind = write_integers(
            times[first:end], residuals[first:end], plan, symbols, states, codes, data, offset
        )
        plan[PLAN_SIZE] = behind - offset
        offset = behind
    return offset


@kernel
def write_value_blocks(
    values: Float64Array,
    residuals: Int64Array,
    starts: Int64Array,
    plans: Int64Array,
    symbols: Int64Array,
    states: UInt16Array,
    codes: UInt64Array,
    data: UInt8Array,
) -> int:
    """Write the values of all blocks one after another, sizes into the plans; return the byte count."""
    offset = 0
    for block in range(starts.size - 1):
        plan = plan_of(plans, block)
        first = starts[block]
        end = starts[block + 1]
        behind = write_floats(
            values[first:end], residuals[first:end], plan, symbols, states, codes, data, offset
        )
        plan[PLAN_SIZE] = behind - offset
        offset = behind
    return offset


@kernel
def write_quality_blocks(
    qualities: UInt8Array, starts: Int64Array, data: UInt8Array, sizes: Int64Array
) -> int:
    """Write the qualities of all blocks one after another; return the byte count."""
    offset = 0
    for block in range(starts.size - 1):
        behind = write_qualities(qualities[starts[block] : starts[block + 1]], data, offset)
        sizes[block] = behind - offset
        offset = behind
    return offset


@kernel
def summarize_values(values: Float64Array, starts: Int64Array, summaries: Float64Array) -> int:
    """Fill blocks x (min, max, sum), NaN left out of account; NaN, NaN, 0 where all are."""
    for block in range(starts.size - 1):
        low = np.inf
        high = -np.inf
        total = 0.0
        found = False
        for i in range(starts[block], starts[block + 1]):
            value = values[i]
            if value == value:
                found = True
                low = min(low, value)
                high = max(high, value)
                total += value
        summaries[3 * block] = low if found else np.nan
        summaries[3 * block + 1] = high if found else np.nan
        summaries[3 * block + 2] = total
    return starts.size - 1


@inner
def tables_of(descriptor, tables):
    """The decode tables of a block's own chunk and of the chunks after it; none where it has none."""
    first = descriptor[FIRST_MODEL]
    if not 0 <= first <= tables.size // TABLE_SIZE:
        return tables[:0]
    return tables[first * TABLE_SIZE :]


@inner
def read_times(data, descriptor, tables, times):
    """Decode one block's times; return MALFORMED where they cannot be read, or do not increase.

    Kernels that reduce or cut the block search in its times; unsorted ones would lead them out of it.
    """
    behind = read_integers(data, descriptor[TIMES_OFFSET], descriptor[TIMES_END], tables, times)
    return behind if behind != MALFORMED and _increase(times) else MALFORMED


@inner
def _increase(times):
    # Without a way out, which would keep LLVM from comparing four times at once.
    before = times[: times.size - 1]
    after = times[1:]
    unordered = False
    for i in range(before.size):
        unordered |= after[i] <= before[i]
    return not unordered


@inner
def read_block(blocks, descriptor, integers, readings):
    """Decode one block into readings of its size, as is `integers`, which is scratch.

    Returns its count of readings, or MALFORMED.
    """
    data, tables = blocks.data, tables_of(descriptor, blocks.tables)
    times, values, qualities = readings.times, readings.values, readings.qualities
    if read_times(data, descriptor, tables, times) == MALFORMED:
        return MALFORMED
    offset, end = descriptor[VALUES_OFFSET], descriptor[VALUES_END]
    exponent = read_floats(data, offset, end, tables, integers, values)
    if exponent == MALFORMED:
        return MALFORMED
    if exponent != PLAIN_VALUES:
        unscale(integers, exponent, values)
    offset, end = descriptor[QUALITIES_OFFSET], descriptor[QUALITIES_END]
    return times.size if read_qualities(data, offset, end, qualities) != MALFORMED else MALFORMED


@kernel
def read_blocks(
    blocks: EncodedBlocks,
    time_min: int,
    time_max: int,
    scratch: Int64Array,
    slots: Int32Array,
    readings: ReadingColumns,
) -> int:
    """Decode blocks into columns, keeping readings with time_min <= time <= time_max, and their slots.

    `scratch` has room for the integers of the largest block, the columns for every reading of every block.
    Returns the count of readings kept, or -1 - b where block b is malformed.
    """
    filled = 0
    for block in range(blocks.descriptors.size // DESCRIPTOR_FIELDS):
        descriptor = descriptor_of(blocks, block)
        count = descriptor[COUNT]
        if not 1 <= count <= min(scratch.size, readings.times.size - filled):
            return -1 - block
        end = filled + count
        own = readings_within(readings, filled, end)
        if read_block(blocks, descriptor, scratch[:count], own) == MALFORMED:
            return -1 - block
        if own.times[0] < time_min or own.times[count - 1] > time_max:
            end = filled + _keep_span(time_min, time_max, own)
        for i in range(filled, end):
            slots[i] = descriptor[SLOT]
        filled = end
    return filled


@kernel
def read_integer_blocks(blocks: EncodedBlocks, values: Int64Array) -> int:
    """Decode integer columns, one block after the other.

    Each descriptor's TIMES_ fields say where its bytes stand. `values` has room for every block. Returns the
    count of values, or -1 - b where block b is malformed.
    """
    filled = 0
    for block in range(blocks.descriptors.size // DESCRIPTOR_FIELDS):
        descriptor = descriptor_of(blocks, block)
        count = descriptor[COUNT]
        if not 1 <= count <= values.size - filled:
            return -1 - block
        column = values[filled : filled + count]
        tables = tables_of(descriptor, blocks.tables)
        offset, end = descriptor[TIMES_OFFSET], descriptor[TIMES_END]
        behind = read_integers(blocks.data, offset, end, tables, column)
        if behind == MALFORMED:
            return -1 - block
        filled += count
    return filled


@inner
def _keep_span(time_min, time_max, readings):
    """Move the readings within the span to the front; return their count."""
    times, values, qualities = readings.times, readings.values, readings.qualities
    first = first_at_or_after(times, time_min)
    end = times.size
    # time_max may be the greatest int64, so that no time lies after it.
    while end > first and times[end - 1] > time_max:
        end -= 1
    for i in range(first, end):
        times[i - first] = times[i]
        values[i - first] = values[i]
        qualities[i - first] = qualities[i]
    return end - first
