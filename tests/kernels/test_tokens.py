"""Lists of tokens against a Counter, and the models that are chosen by them against all costs in full."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import examples

from smartdata_ts.kernels.arrays import Int64Array
from smartdata_ts.kernels.codec.entropy import RESIDUAL_MAX, TOKEN_COUNT
from smartdata_ts.kernels.codec.integers import (
    ENTROPY,
    LINEAR,
    PLAN_CODEC,
    PLAN_ESCAPE_WIDTH,
    PLAN_EXCEPTION_COUNT,
    PLAN_FIELD_COUNT,
    PLAN_MODEL,
    PLAN_POSITION_WIDTH,
    PLAN_RESIDUAL_WIDTH,
    PLAN_TOKENS,
    PLAN_TOKENS_END,
    PREFIX,
    RAW,
)
from smartdata_ts.kernels.codec.tokens import (
    COST_UNIT,
    PREFIX_HEAD_BITS,
    STATES_BITS,
    choose_models,
    count_group_tokens,
    list_tokens,
)
from smartdata_ts.kernels.compiler.jit import kernel

residual = st.one_of(
    st.integers(-2, 2),
    st.integers(-300, 300),
    st.sampled_from([-65, -64, 190, 191, 192, -128, -129, RESIDUAL_MAX, -RESIDUAL_MAX]),
    st.integers(-RESIDUAL_MAX, RESIDUAL_MAX),
)
block = st.one_of(
    st.lists(residual, min_size=1, max_size=60),
    st.tuples(st.integers(20, 60), st.lists(residual, max_size=2)).map(lambda few: [0] * few[0] + few[1]),
)


@kernel
def list_all(
    residuals: Int64Array, starts: Int64Array, plans: Int64Array, counts: Int64Array, tokens: Int64Array
) -> int:
    end = 0
    for b in range(starts.size - 1):
        plan = plans[b * PLAN_FIELD_COUNT : (b + 1) * PLAN_FIELD_COUNT]
        end = list_tokens(residuals[starts[b] : starts[b + 1]], plan, counts, tokens, end)
    return end


def token_of(residual: int) -> int:
    """Said again, in other words than entropy.py's."""
    if -64 <= residual <= 191:
        return residual + 64
    return 256 + 2 * (abs(residual).bit_length() - 1) + (residual < 0)


def raw_bits_of(token: int) -> int:
    return max(token - 256, 0) // 2


def zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def listed(blocks: list[list[int]], codecs: list[int]):
    """Return (tokens, plans, a dict of each block's counts)."""
    plans = np.zeros((len(blocks), PLAN_FIELD_COUNT), np.int64)
    plans[:, PLAN_CODEC] = codecs
    plans[:, PLAN_EXCEPTION_COUNT] = [sum(r != 0 for r in rows) for rows in blocks]
    starts = np.cumsum([0, *map(len, blocks)])
    counts = np.zeros(TOKEN_COUNT, np.int64)
    tokens = np.full(starts[-1], 77, np.int64)
    end = list_all(np.concatenate(blocks).astype(np.int64), starts, plans.reshape(-1), counts, tokens)
    assert not counts.any()
    assert plans[-1, PLAN_TOKENS_END] == end
    assert (tokens[end:] == 77).all()
    lists = [tokens[plan[PLAN_TOKENS] : plan[PLAN_TOKENS_END]].tolist() for plan in plans]
    return tokens, plans, [{word >> 32: word & (2**32 - 1) for word in words} for words in lists]


@examples(200)
@given(st.lists(block, min_size=1, max_size=4), st.data())
def test_lists_count_every_token_of_each_block_that_a_model_may_code(blocks, data):
    codecs = [data.draw(st.sampled_from([ENTROPY, ENTROPY, RAW, LINEAR])) for _ in blocks]
    _, plans, counts = listed(blocks, codecs)
    for rows, codec, plan, found in zip(blocks, codecs, plans, counts, strict=True):
        assert found == (Counter(map(token_of, rows)) if codec == ENTROPY else {})
        escapes = [zigzag(r) for r in rows if not -64 <= r < 191] if codec == ENTROPY else []
        assert plan[PLAN_ESCAPE_WIDTH] == max(escapes, default=0).bit_length()


@examples(100)
@given(st.lists(block, min_size=1, max_size=5), st.data())
def test_groups_count_the_tokens_of_their_blocks(blocks, data):
    tokens, plans, counts = listed(blocks, [ENTROPY] * len(blocks))
    groups = [data.draw(st.integers(0, 2)) for _ in blocks]
    grouped = np.ones(3 * TOKEN_COUNT, np.int64)
    assert count_group_tokens(tokens, plans.reshape(-1), np.array(groups), grouped) == sum(map(len, counts))
    expected = np.ones((3, TOKEN_COUNT), np.int64)
    for group, found in zip(groups, counts, strict=True):
        for token, count in found.items():
            expected[group, token] += count
    assert np.array_equal(grouped, expected.reshape(-1))


def naive_choice(rows: list[int], costs: np.ndarray, prefix_first: int) -> tuple[int, int, int]:
    """Return (codec, model, bits) of the cheapest model."""
    raw_bits = sum(raw_bits_of(token_of(r)) for r in rows)
    escapes = [zigzag(r) for r in rows if not -64 <= r < 191]
    choices = []
    for model, own in enumerate(costs.tolist()):
        bits = sum(own[token_of(r)] for r in rows) // COST_UNIT
        if model < prefix_first:
            bits += STATES_BITS + raw_bits
            choices.append((bits, model, ENTROPY, bits))
        else:
            bits += PREFIX_HEAD_BITS + len(escapes) * max(escapes, default=0).bit_length()
            choices.append((bits - bits // 32, model, PREFIX, bits))
    _, model, codec, bits = min(choices)
    return codec, model, bits


@examples(100)
@given(st.lists(block, min_size=1, max_size=4), st.integers(0, 3), st.integers(0, 2**32), st.data())
def test_every_block_gets_its_cheapest_model_or_a_line(blocks, prefix_first, seed, data):
    costs = np.random.default_rng(seed).integers(0, 12 * COST_UNIT, (3, TOKEN_COUNT))
    codecs = [data.draw(st.sampled_from([ENTROPY, ENTROPY, RAW])) for _ in blocks]
    tokens, plans, _ = listed(blocks, codecs)
    plans[:, PLAN_POSITION_WIDTH] = data.draw(st.integers(0, 6))
    plans[:, PLAN_RESIDUAL_WIDTH] = data.draw(st.integers(0, 12))
    starts = np.cumsum([0, *map(len, blocks)])
    kept = choose_models(tokens, starts, plans.reshape(-1), costs.reshape(-1), prefix_first)
    expected_kept = 0
    for rows, before, plan in zip(blocks, codecs, plans, strict=True):
        if before == RAW:
            assert plan[PLAN_CODEC] == RAW
            continue
        codec, model, bits = naive_choice(rows, costs, prefix_first)
        line = plan[PLAN_EXCEPTION_COUNT] * (plan[PLAN_POSITION_WIDTH] + plan[PLAN_RESIDUAL_WIDTH])
        is_line = line <= bits + len(rows) // 8
        assert plan[PLAN_CODEC] == (LINEAR if is_line else codec)
        assert is_line or plan[PLAN_MODEL] == model
        expected_kept += not is_line
    assert kept == expected_kept


@pytest.mark.parametrize("size", [1, 2, 8, 9, 63, 64, 65])
def test_a_block_of_nothing_but_zeros_has_one_token(size):
    assert listed([[0] * size], [ENTROPY])[2] == [{64: size}]
