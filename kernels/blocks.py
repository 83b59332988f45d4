"""Blocks of readings, many a call: planned, modelled, written, and read back.

Block b of a call covers readings starts[b] to starts[b + 1], of one series, times increasing.
To write: plan each column, count the tokens of likely groups of blocks, make models of them, choose
the cheapest model for each block by exact cost, write. To read: one row of DESCRIPTOR_FIELDS int64 a
block, with offsets into the bytes of the whole chunk file.
"""

import numpy as np

from ._jit import (
    Float64Array,
    Int32Array,
    Int64Array,
    UInt8Array,
    UInt16Array,
    UInt32Array,
    UInt64Array,
    inner,
    kernel,
)
from .bits import bit_length, zigzag
from .entropy import MALFORMED, TOKEN_COUNT, split_residual
from .floats import (
    PLAIN_VALUES,
    plan_floats,
    read_floats,
    unscale,
    write_floats,
)
from .integers import (
    ENTROPY,
    LINEAR,
    PLAN_CODEC,
    PLAN_ESCAPE_WIDTH,
    PLAN_FIELD_COUNT,
    PLAN_MODEL,
    PLAN_SIZE,
    PREFIX,
    linear_bits,
    plan_integers,
    read_integers,
    write_integers,
)
from .models import TABLE_SIZE
from .prefix import ESCAPE, token_of
from .qualities import read_qualities, write_qualities

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

# Costs are in 1/64 of a bit; a token that a model lacks costs more than any block can save.
COST_UNIT = 64
COST_UNKNOWN = 1 << 24
STATES_BITS = 64
PREFIX_HEAD_BITS = 80


@inner
def _plan_of(plans, block):
    return plans[block * PLAN_FIELD_COUNT : (block + 1) * PLAN_FIELD_COUNT]


@kernel
def plan_times(times: Int64Array, starts: Int64Array, residuals: Int64Array, plans: Int64Array) -> int:
    """Plan the times of every block; returns the block count."""
    for block in range(starts.size - 1):
        first = starts[block]
        end = starts[block + 1]
        plan_integers(times[first:end], False, residuals[first:end], _plan_of(plans, block))
    return starts.size - 1


@kernel
def plan_values(
    values: Float64Array,
    starts: Int64Array,
    mantissas: Int64Array,
    residuals: Int64Array,
    plans: Int64Array,
) -> int:
    """Plan the values of every block; `mantissas` is scratch of the largest block's size."""
    for block in range(starts.size - 1):
        first = starts[block]
        end = starts[block + 1]
        plan_floats(values[first:end], mantissas, residuals[first:end], _plan_of(plans, block))
    return starts.size - 1


@kernel
def count_group_tokens(
    residuals: Int64Array,
    starts: Int64Array,
    plans: Int64Array,
    groups: Int64Array,
    counts: Int64Array,
) -> int:
    """Add each entropy-coded block's tokens to its group's counts (groups x TOKEN_COUNT)."""
    counted = 0
    for block in range(starts.size - 1):
        if _plan_of(plans, block)[PLAN_CODEC] != ENTROPY:
            continue
        first = groups[block] * TOKEN_COUNT
        for i in range(starts[block], starts[block + 1]):
            token, _, _ = split_residual(residuals[i])
            counts[first + token] += 1
        counted += 1
    return counted


@kernel
def choose_models(
    residuals: Int64Array,
    starts: Int64Array,
    plans: Int64Array,
    costs: Int64Array,
    prefix_first: int,
    counts: Int64Array,
) -> int:
    """Give every entropy-coded block its cheapest model, or make it LINEAR where that is as short.

    `costs` is models x TOKEN_COUNT, of which those from `prefix_first` on are for prefix codes; `counts` is
    TOKEN_COUNT x 2 of zeroed scratch. Returns the count of blocks that stay coded by a model.
    """
    kept = 0
    for block in range(starts.size - 1):
        plan = _plan_of(plans, block)
        if plan[PLAN_CODEC] != ENTROPY:
            continue
        used_count, raw_bit_count, escape_bit_count = _count_tokens(
            residuals[starts[block] : starts[block + 1]], plan, counts
        )
        best_bits, best_price = np.int64(0), np.int64(-1)
        for model in range(costs.size // TOKEN_COUNT):
            cost = np.int64(0)
            for k in range(used_count):
                token = counts[TOKEN_COUNT + k]
                cost += counts[token] * costs[model * TOKEN_COUNT + token]
            bits = cost // COST_UNIT
            is_prefix = model >= prefix_first
            bits += PREFIX_HEAD_BITS + escape_bit_count if is_prefix else STATES_BITS + raw_bit_count
            # A prefix code decodes twice as fast, which is worth a thirty-second of its size.
            price = bits - bits // 32 if is_prefix else bits
            if best_price < 0 or price < best_price:
                best_bits, best_price = bits, price
                plan[PLAN_MODEL] = model
                plan[PLAN_CODEC] = PREFIX if is_prefix else ENTROPY
        for k in range(used_count):
            counts[counts[TOKEN_COUNT + k]] = 0
        # LINEAR decodes several times faster, which is worth 1/8 bit a reading.
        reading_count = starts[block + 1] - starts[block]
        if linear_bits(plan) <= best_bits + reading_count // 8:
            plan[PLAN_CODEC] = LINEAR
        else:
            kept += 1
    return kept


@inner
def _count_tokens(residuals, plan, counts):
    """Count a block's tokens, and list those that are used; plan what its escapes take in a prefix code.

    Returns how many are used, and the bits that stand raw in an entropy code, and apart in a prefix code.
    """
    used_count = 0
    raw_bit_count = 0
    escape_count = 0
    code_max = np.uint64(0)
    for i in range(residuals.size):
        token, raw_bits, _ = split_residual(residuals[i])
        raw_bit_count += raw_bits
        if token_of(residuals[i]) == ESCAPE:
            escape_count += 1
            code_max = max(code_max, zigzag(residuals[i]))
        if counts[token] == 0:
            counts[TOKEN_COUNT + used_count] = token
            used_count += 1
        counts[token] += 1
    plan[PLAN_ESCAPE_WIDTH] = bit_length(code_max)
    return used_count, raw_bit_count, escape_count * plan[PLAN_ESCAPE_WIDTH]


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
        plan = _plan_of(plans, block)
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
        plan = _plan_of(plans, block)
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
def first_at_or_after(times, bound):
    """The index of the first time >= bound in increasing `times`; times.size where there is none."""
    low = 0
    high = times.size
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


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
