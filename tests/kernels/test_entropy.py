"""tANS: what is coded comes back, costs what the model says, and hostile models are told."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.encoded_blocks import BLOCK_SIZE_MAX, IS_PYTHON, examples

from smartdata_ts.kernels.arrays import Int64Array, UInt8Array, UInt16Array, UInt32Array, UInt64Array
from smartdata_ts.kernels.codec.entropy import (
    DIRECT_MAX,
    DIRECT_MIN,
    RESIDUAL_MAX,
    STATE_COUNT,
    TOKEN_COUNT,
    TOKEN_MAX,
    decode_residuals,
    encode_residuals,
    normalize_counts,
    split_residual,
)
from smartdata_ts.kernels.codec.models import (
    TABLE_SIZE,
    build_decode_tables,
    build_encode_tables,
    decode_frequencies,
    encode_frequencies,
)
from smartdata_ts.kernels.compiler.jit import kernel
from smartdata_ts.kernels.status import MALFORMED, OK

residuals = st.one_of(
    st.integers(-70, 200),
    st.integers(-RESIDUAL_MAX, RESIDUAL_MAX),
    st.sampled_from([-RESIDUAL_MAX, DIRECT_MIN - 1, DIRECT_MIN, 0, DIRECT_MAX, DIRECT_MAX + 1, RESIDUAL_MAX]),
)


@kernel
def encode(
    values: Int64Array,
    symbols: Int64Array,
    states: UInt16Array,
    codes: UInt64Array,
    data: UInt8Array,
) -> int:
    return encode_residuals(values, 0, symbols, states, codes, data, 0)


@kernel
def decode(data: UInt8Array, end: int, table: UInt32Array, start: int, step: int, values: Int64Array) -> int:
    return decode_residuals(data, 0, end, table, start, step, values)


@kernel
def split(values: Int64Array, tokens: Int64Array, widths: Int64Array, raws: UInt64Array) -> int:
    for i in range(values.size):
        tokens[i], widths[i], raws[i] = split_residual(values[i])
    return 0


def model_of(counts: np.ndarray) -> np.ndarray:
    frequencies = np.empty(counts.size, np.uint16)
    assert normalize_counts(counts, frequencies) == OK
    return frequencies


def counts_of(values: np.ndarray) -> np.ndarray:
    tokens = np.empty(values.size, np.int64)
    split(values, tokens, np.empty_like(tokens), np.empty(values.size, np.uint64))
    return np.bincount(tokens, minlength=TOKEN_COUNT)


def decode_table(frequencies: np.ndarray) -> np.ndarray:
    table = np.empty(TABLE_SIZE, np.uint32)
    assert build_decode_tables(frequencies, np.empty(TOKEN_COUNT, np.int64), table) == OK
    return table[:STATE_COUNT]


def encoded(values: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    symbols, states = np.empty(2 * TOKEN_COUNT, np.int64), np.empty(STATE_COUNT, np.uint16)
    build_encode_tables(frequencies, 1, np.empty(STATE_COUNT, np.uint32), symbols, states)
    data = np.zeros(8 * values.size + 24, np.uint8)
    size = encode(values, symbols, states, np.empty(2 * values.size, np.uint64), data)
    return data[:size]


def decoded(data: np.ndarray, table: np.ndarray, count: int, start: int = 0, step: int = 0):
    values = np.empty(count, np.int64)
    padded = np.concatenate([data, np.full(8, 255, np.uint8)])
    return decode(padded, data.size, table, start, step, values), values


@examples(200)
@given(st.lists(residuals, min_size=1, max_size=60))
@example([0])
@example([RESIDUAL_MAX] * 9)
def test_residuals_come_back(values):
    source = np.array(values, np.int64)
    frequencies = model_of(counts_of(source))
    data = encoded(source, frequencies)
    behind, back = decoded(data, decode_table(frequencies), source.size)
    assert behind == data.size
    assert np.diff(back, prepend=0).tolist() == values


@examples(50)
@given(st.lists(st.integers(-200, 200), min_size=1, max_size=30), st.integers(-(2**63), 2**63 - 1))
def test_decoding_sums_up_and_wraps(values, start):
    source = np.array(values, np.int64)
    frequencies = model_of(counts_of(source))
    _, back = decoded(encoded(source, frequencies), decode_table(frequencies), source.size, start, 3)
    total = start
    for value, decoded_value in zip(values, back.tolist(), strict=True):
        total += 3 + value
        assert (decoded_value - total) % 2**64 == 0


@examples(200)
@given(st.lists(residuals, min_size=1))
def test_a_token_and_its_raw_bits_tell_the_residual(values):
    source = np.array(values, np.int64)
    tokens, widths = np.empty(source.size, np.int64), np.empty(source.size, np.int64)
    raws = np.empty(source.size, np.uint64)
    split(source, tokens, widths, raws)
    for value, token, width, raw in zip(*(a.tolist() for a in (source, tokens, widths, raws)), strict=True):
        if DIRECT_MIN <= value <= DIRECT_MAX:
            assert (token, width, raw) == (value + 64, 0, 0)
            continue
        k = abs(value).bit_length() - 1
        assert token == 256 + 2 * k + (value < 0)
        assert token <= TOKEN_MAX
        assert width == k
        assert raw == (value - 2**k if value > 0 else value + 2 ** (k + 1) - 1)


def entropy_bits(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


@pytest.mark.parametrize(
    ("law", "sample"),
    [
        ("geometric", lambda rng, size: rng.geometric(0.3, size) - 1),
        ("poisson", lambda rng, size: rng.poisson(3.0, size)),
        ("rare uses", lambda rng, size: rng.poisson(0.05, size)),
        ("two-sided", lambda rng, size: rng.integers(-3, 4, size)),
        ("escaped", lambda rng, size: rng.integers(-400, 4000, size)),
    ],
)
def test_a_sample_costs_its_entropy_within_a_percent(law, sample):
    size = 4 * BLOCK_SIZE_MAX
    source = sample(np.random.default_rng(len(law)), size).astype(np.int64)
    counts = counts_of(source)
    frequencies = model_of(counts)
    coded = counts > 0
    cross = -(counts[coded] * np.log2(frequencies[coded] / STATE_COUNT)).sum()
    raw_bits = sum(int(n) * ((t - 256) // 2) for t, n in enumerate(counts) if t >= 256)
    bits = 8 * (encoded(source, frequencies).size - 8)
    slack = 200 + 0.01 * size  # the states' last bits, and a hundredth of a bit a residual
    assert bits <= 1.01 * (cross + raw_bits) + slack
    assert cross <= 1.01 * entropy_bits(counts) * size + slack
    assert bits >= entropy_bits(counts) * size + raw_bits - 64


@examples(100)
@given(st.lists(st.integers(0, 10**12), min_size=TOKEN_MAX + 1, max_size=TOKEN_MAX + 1), st.integers(1, 346))
def test_frequencies_sum_up_and_leave_no_token_without(counts, used):
    padded = np.zeros(TOKEN_COUNT, np.int64)
    padded[:used] = counts[:used]
    padded[used - 1] += 1
    frequencies = model_of(padded)
    assert frequencies.sum() == STATE_COUNT
    assert np.array_equal(frequencies > 0, padded > 0)


def test_counts_of_nothing_make_no_model():
    frequencies = np.empty(TOKEN_COUNT, np.uint16)
    assert normalize_counts(np.zeros(TOKEN_COUNT, np.int64), frequencies) == MALFORMED


def sample_models() -> np.ndarray:
    rng = np.random.default_rng(1)
    first, second = np.zeros(TOKEN_COUNT, np.int64), np.zeros(TOKEN_COUNT, np.int64)
    first[:3] = 5, 1, 100
    second[rng.integers(0, TOKEN_MAX, 9)] = rng.integers(1, 1000, 9)
    return model_of(np.concatenate([first, second]))


def test_models_come_back():
    frequencies = sample_models()
    packed = np.zeros(4 * frequencies.size, np.uint8)
    size = encode_frequencies(frequencies, packed)
    back = np.empty_like(frequencies)
    assert decode_frequencies(packed[:size], back) == OK
    assert np.array_equal(back, frequencies)


def test_tokens_behind_the_last_are_malformed():
    frequencies = np.empty(TOKEN_COUNT, np.uint16)
    last = bytes([TOKEN_MAX & 127 | 128, TOKEN_MAX >> 7, 1])
    for gap in (b"\0", b"\1", b"\x90\x4e", b"\xff" * 9 + b"\1"):
        packed = np.frombuffer(last + gap + b"\xff\x0f", np.uint8)
        assert decode_frequencies(packed, frequencies) == MALFORMED


def test_models_cut_short_or_with_a_byte_more_are_malformed():
    frequencies = sample_models()
    packed = np.zeros(4 * frequencies.size, np.uint8)
    size = encode_frequencies(frequencies, packed)
    for cut in [*range(size), size + 1, size + 4]:
        assert decode_frequencies(packed[:cut], np.empty_like(frequencies)) == MALFORMED


def test_every_flipped_bit_of_a_model_is_told_or_gives_a_table_that_holds():
    frequencies = sample_models()
    packed = np.zeros(4 * frequencies.size, np.uint8)
    size = encode_frequencies(frequencies, packed)
    source = np.zeros(8, np.int64)
    data = encoded(source, model_of(counts_of(source)))
    for at in range(0, 8 * size, 5 if IS_PYTHON else 1):
        flipped = packed[:size].copy()
        flipped[at // 8] ^= 1 << at % 8
        back = np.empty_like(frequencies)
        tables = np.zeros(2 * TABLE_SIZE, np.uint32)
        if (
            decode_frequencies(flipped, back) == OK
            and build_decode_tables(back, np.empty(TOKEN_COUNT, np.int64), tables) == OK
        ):
            assert back.reshape(2, -1).sum(axis=1).tolist() == [STATE_COUNT] * 2
            states = tables.reshape(2, -1)[:, :STATE_COUNT]
            bits, bases = states & 255, states >> 20
            assert np.all(bases + (1 << bits) <= STATE_COUNT)
            decoded(data, tables[:STATE_COUNT], 8)


@examples(150)
@given(st.binary(max_size=60))
def test_random_bytes_are_no_model_or_one_that_holds(data):
    frequencies = np.empty(2 * TOKEN_COUNT, np.uint16)
    assert decode_frequencies(np.frombuffer(data, np.uint8), frequencies) in (OK, MALFORMED)
    frequencies[:8] = np.frombuffer(data.ljust(16, b"\7")[:16], np.uint16)  # mostly no sum of 2,048
    tables = np.zeros(2 * TABLE_SIZE, np.uint32)
    assert build_decode_tables(frequencies, np.empty(TOKEN_COUNT, np.int64), tables) in (OK, MALFORMED)


def test_a_stream_that_does_not_end_where_the_states_say_is_malformed():
    rng = np.random.default_rng(2)
    source = rng.poisson(20, 50 if IS_PYTHON else 500).astype(np.int64)
    frequencies = model_of(counts_of(source))
    data = encoded(source, frequencies)
    table = decode_table(frequencies)
    for cut in range(data.size):
        assert decoded(data[:cut], table, source.size)[0] == MALFORMED
    assert decoded(data, table, source.size)[0] == data.size


@pytest.mark.parametrize("lane", range(4))
def test_a_state_that_no_table_has_is_malformed(lane):
    source = np.arange(9)
    frequencies = model_of(counts_of(source))
    data = encoded(source, frequencies)
    data[2 * lane + 1] |= 0x80
    assert decoded(data, decode_table(frequencies), source.size)[0] == MALFORMED
