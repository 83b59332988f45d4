"""Blocks of readings, many a call: planned, modelled, written, and read back.

Block b of a call covers readings starts[b] to starts[b + 1], of one series, times increasing.
To write: plan each column, count the tokens of likely groups of blocks, make models of them, choose
the cheapest model for each block by exact cost (tokens.py), write. To read: one row of DESCRIPTOR_FIELDS
int64 a block, with offsets into the bytes of the whole chunk file.
"""

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
    """The same of the values; `mantissas` is scratch of the largest block's size."""
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
    """Write the times of every block behind each other, sizes into the plans; return the byte count."""
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
    """Write the values of every block behind each other, sizes into the plans; return the byte count."""
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
    """Write the qualities of every block behind each other; return the byte count."""
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
    """The decode tables of a block's own chunk, and of those behind; none where it has none."""
    first = descriptor[FIRST_MODEL]
    if not 0 <= first <= tables.size // TABLE_SIZE:
        return tables[:0]
    return tables[first * TABLE_SIZE :]


@inner
def read_times(data, descriptor, tables, times):
    """Decode one block's times; return MALFORMED where they are not, or do not increase.

    Whoever reduces or cuts the block searches in them, and would be led out of it.
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
def read_block(data, descriptor, tables, integers, columns):
    """Decode one block into times, values and qualities of its size, as is `integers`, which is scratch.

    Returns its count of readings, or MALFORMED.
    """
    times, values, qualities = columns
    tables = tables_of(descriptor, tables)
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
    data: UInt8Array,
    descriptors: Int64Array,
    tables: UInt32Array,
    span: Int64Array,
    slots: Int32Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
) -> int:
    """Decode blocks into columns, keeping readings with span[0] <= time <= span[1].

    `span` holds those two bounds and, from index 2 on, scratch for integers of the largest block.
    The columns have room for every reading of every block. Returns the count of readings kept, or
    -1 - b where block b is malformed.
    """
    filled = 0
    for block in range(descriptors.size // DESCRIPTOR_FIELDS):
        descriptor = descriptors[block * DESCRIPTOR_FIELDS : (block + 1) * DESCRIPTOR_FIELDS]
        count = descriptor[COUNT]
        if not 1 <= count <= min(span.size - 2, times.size - filled):
            return -1 - block
        end = filled + count
        integers = span[2 : 2 + count]
        block_times = times[filled:end]
        block_values = values[filled:end]
        block_qualities = qualities[filled:end]
        columns = (block_times, block_values, block_qualities)
        if read_block(data, descriptor, tables, integers, columns) == MALFORMED:
            return -1 - block
        if block_times[0] < span[0] or block_times[count - 1] > span[1]:
            end = filled + _keep_span(span, block_times, block_values, block_qualities)
        for i in range(filled, end):
            slots[i] = descriptor[SLOT]
        filled = end
    return filled


@kernel
def read_integer_blocks(
    data: UInt8Array, descriptors: Int64Array, tables: UInt32Array, values: Int64Array
) -> int:
    """Decode integer columns, block behind block; each descriptor's TIMES_ fields say where its bytes stand.

    `values` has room for every block. Returns the count of values, or -1 - b where block b is malformed.
    """
    filled = 0
    for block in range(descriptors.size // DESCRIPTOR_FIELDS):
        descriptor = descriptors[block * DESCRIPTOR_FIELDS : (block + 1) * DESCRIPTOR_FIELDS]
        count = descriptor[COUNT]
        if not 1 <= count <= values.size - filled:
            return -1 - block
        column = values[filled : filled + count]
        own_tables = tables_of(descriptor, tables)
        behind = read_integers(data, descriptor[TIMES_OFFSET], descriptor[TIMES_END], own_tables, column)
        if behind == MALFORMED:
            return -1 - block
        filled += count
    return filled


@inner
def _keep_span(span, times, values, qualities):
    """Move the readings within the span to the front; return their count."""
    first = first_at_or_after(times, span[0])
    end = times.size
    # span[1] may be the greatest int64, so that no time lies behind it.
    while end > first and times[end - 1] > span[1]:
        end -= 1
    for i in range(first, end):
        times[i - first] = times[i]
        values[i - first] = values[i]
        qualities[i - first] = qualities[i]
    return end - first
