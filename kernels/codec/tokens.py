"""The tokens of blocks, counted once for all choices that are made by their counts.

A block's list has one int64 for each token that it uses: the token in the upper half, how often it comes in
the lower. It is never longer than the block, nor than TOKEN_COUNT. Lists stand one after another, and a plan
says where its own does; a block that no model may code has none.
"""

import numpy as np

from ..arrays import Int64Array
from ..compiler.jit import inner, kernel
from ..numbers.bits import bit_length, zigzag
from .entropy import DIRECT_MIN, TOKEN_COUNT, split_residual, token_raw_bits
from .integers import (
    ENTROPY,
    LINEAR,
    PLAN_CODEC,
    PLAN_ESCAPE_WIDTH,
    PLAN_EXCEPTION_COUNT,
    PLAN_MODEL,
    PLAN_TOKENS,
    PLAN_TOKENS_END,
    PREFIX,
    has_few_exceptions,
    linear_bits,
    next_exception,
    plan_of,
)
from .prefix import ESCAPE

# Costs are in 1/64 of a bit; a token that a model lacks costs more than any block can save.
COST_UNIT = 64
COST_UNKNOWN = 1 << 24
STATES_BITS = 64
PREFIX_HEAD_BITS = 80

_COUNT_MASK = (1 << 32) - 1


@inner
def list_tokens(residuals, plan, counts, tokens, first):
    """List a block's tokens from `first` on, and plan how wide its escapes are; return where its list ends.

    `counts` is TOKEN_COUNT of zeroed scratch.
    """
    plan[PLAN_TOKENS] = first
    plan[PLAN_TOKENS_END] = first
    if plan[PLAN_CODEC] != ENTROPY:
        return first
    end = first
    code_max = np.uint64(0)
    if has_few_exceptions(residuals, plan):
        tokens[end] = -DIRECT_MIN
        counts[-DIRECT_MIN] = residuals.size - plan[PLAN_EXCEPTION_COUNT]
        end += 1
        i = next_exception(residuals, 0)
        while i < residuals.size:
            end, code_max = _count_token(residuals[i], counts, tokens, end, code_max)
            i = next_exception(residuals, i + 1)
    else:
        for i in range(residuals.size):
            end, code_max = _count_token(residuals[i], counts, tokens, end, code_max)
    for k in range(first, end):
        token = tokens[k]
        tokens[k] = token << 32 | counts[token]
        counts[token] = 0
    plan[PLAN_TOKENS_END] = end
    plan[PLAN_ESCAPE_WIDTH] = bit_length(code_max)
    return end


@inner
def _count_token(residual, counts, tokens, end, code_max):
    """Count a residual's token; return the end of the list, and the greatest code of an escape."""
    token = residual - DIRECT_MIN
    if not 0 <= token < ESCAPE:
        token, _, _ = split_residual(residual)
        code_max = max(code_max, zigzag(residual))
    count = counts[token]
    counts[token] = count + 1
    if count == 0:
        tokens[end] = token
        end += 1
    return end, code_max


@kernel
def count_group_tokens(tokens: Int64Array, plans: Int64Array, groups: Int64Array, counts: Int64Array) -> int:
    """Add each block's tokens to its group's counts (groups x TOKEN_COUNT); returns how many were listed."""
    counted = 0
    for block in range(groups.size):
        plan = plan_of(plans, block)
        first = groups[block] * TOKEN_COUNT
        for k in range(plan[PLAN_TOKENS], plan[PLAN_TOKENS_END]):
            counts[first + (tokens[k] >> 32)] += tokens[k] & _COUNT_MASK
            counted += 1
    return counted


@kernel
def choose_models(
    tokens: Int64Array, starts: Int64Array, plans: Int64Array, costs: Int64Array, prefix_first: int
) -> int:
    """Give every entropy-coded block its cheapest model, or make it LINEAR where that is as short.

    `costs` is models x TOKEN_COUNT; models from `prefix_first` on are prefix codes. Returns the
    count of blocks that stay coded by a model.
    """
    kept = 0
    for block in range(starts.size - 1):
        plan = plan_of(plans, block)
        if plan[PLAN_CODEC] != ENTROPY:
            continue
        listed = tokens[plan[PLAN_TOKENS] : plan[PLAN_TOKENS_END]]
        raw_bit_count, escape_bit_count = _raw_bits(listed, plan[PLAN_ESCAPE_WIDTH])
        best_bits, best_price = np.int64(0), np.int64(-1)
        for model in range(costs.size // TOKEN_COUNT):
            cost = np.int64(0)
            for k in range(listed.size):
                cost += (listed[k] & _COUNT_MASK) * costs[model * TOKEN_COUNT + (listed[k] >> 32)]
            bits = cost // COST_UNIT
            is_prefix = model >= prefix_first
            bits += PREFIX_HEAD_BITS + escape_bit_count if is_prefix else STATES_BITS + raw_bit_count
            # A prefix code decodes twice as fast, which is worth a thirty-second of its size.
            price = bits - bits // 32 if is_prefix else bits
            if best_price < 0 or price < best_price:
                best_bits, best_price = bits, price
                plan[PLAN_MODEL] = model
                plan[PLAN_CODEC] = PREFIX if is_prefix else ENTROPY
        # LINEAR decodes several times faster, which is worth 1/8 bit a reading.
        reading_count = starts[block + 1] - starts[block]
        if linear_bits(plan) <= best_bits + reading_count // 8:
            plan[PLAN_CODEC] = LINEAR
        else:
            kept += 1
    return kept


@inner
def _raw_bits(listed, escape_width):
    """The bits of a block that stand raw in an entropy code, and apart in a prefix code."""
    raw_bit_count = np.int64(0)
    escape_bit_count = np.int64(0)
    for k in range(listed.size):
        token, count = listed[k] >> 32, listed[k] & _COUNT_MASK
        raw_bit_count += count * token_raw_bits(token)
        if token >= ESCAPE:
            escape_bit_count += count * escape_width
    return raw_bit_count, escape_bit_count
