"""Integer columns: bytes written by hand decode as documented; plans are short and exact."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import INT64_MAX, INT64_MIN, assert_round_trip, encode, examples
from support.integer_columns import header, zigzag

from smartdata_ts.kernels.arrays import Int64Array, UInt8Array, UInt32Array
from smartdata_ts.kernels.codec.integers import (
    CARRY_FLAG,
    ENTROPY,
    LINEAR,
    PLAN_CARRY,
    PLAN_CODEC,
    PLAN_EXCEPTION_COUNT,
    PLAN_FIELD_COUNT,
    PLAN_POSITION_WIDTH,
    PLAN_RESIDUAL_WIDTH,
    PLAN_SCORE,
    PLAN_START,
    PLAN_STEP,
    PLAN_UNIT,
    RAW,
    plan_integers,
    read_integers,
)
from smartdata_ts.kernels.compiler.jit import kernel
from smartdata_ts.kernels.status import MALFORMED

LINE = LINEAR | CARRY_FLAG
MINUTE = 60_000_000
int64s = st.one_of(st.integers(INT64_MIN, INT64_MAX), st.integers(-5, 5))


@kernel
def read(data: UInt8Array, offset: int, end: int, tables: UInt32Array, values: Int64Array) -> int:
    return read_integers(data, offset, end, tables, values)


@kernel
def plan(source: Int64Array, may_be_plain: bool, residuals: Int64Array, fields: Int64Array) -> int:
    plan_integers(source, may_be_plain, residuals, fields)
    return 0


def decoded(content: bytes, count: int):
    """Return (offset behind, values)."""
    data = np.frombuffer(content + b"\xaa" * 8, np.uint8)
    values = np.full(count, 77, np.int64)
    return read(data, 0, len(content), np.empty(0, np.uint32), values), values.tolist()


def planned(values, may_be_plain: bool = False):
    source = np.array(values, np.int64)
    residuals, fields = np.empty(source.size, np.int64), np.zeros(PLAN_FIELD_COUNT, np.int64)
    plan(source, may_be_plain, residuals, fields)
    return residuals.tolist(), fields.tolist()


def wrapped(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def naive_fit(values: list[int], carry: bool) -> tuple[int, int]:
    """Step and unit, from the votes of one term after the other."""
    terms = [wrapped(b - a) for a, b in pairwise(values)] if carry else values
    if not terms:
        return 0, 1
    votes, candidate, total = 0, terms[0], 0.0
    for term in terms:
        candidate = term if votes == 0 else candidate
        votes += 1 if term == candidate else -1
        total += float(term)
    mean = total / len(terms)
    step = 0
    if 4 * terms.count(candidate) >= len(terms):
        step = candidate
    elif not -32 <= mean <= 95.5:
        step = min(terms, key=lambda term: abs(float(term) - mean))
    unit = 0
    for term in terms:
        rest = wrapped(term - step)
        unit = 1 if INT64_MIN in (unit, rest) else math.gcd(unit, rest)
        if unit == 1:
            break
    return step, max(unit, 1)


few_terms = st.lists(
    st.sampled_from([0, 1, 5, 5, 7, -3, 2**40, INT64_MIN, INT64_MAX]), min_size=1, max_size=40
)


@examples(300)
@given(st.one_of(st.lists(int64s, min_size=1, max_size=40), few_terms), st.booleans())
def test_steps_and_units_are_those_of_one_vote_after_the_other(terms, are_steps):
    values = [wrapped(sum(terms[: i + 1])) for i in range(len(terms))] if are_steps else terms
    fields = planned(values)[1]
    assert (fields[PLAN_STEP], fields[PLAN_UNIT]) == naive_fit(values, carry=True)
    residuals, fields = planned(values, may_be_plain=True)
    assert (fields[PLAN_STEP], fields[PLAN_UNIT]) == naive_fit(values, carry=fields[PLAN_CARRY] != 0)
    assert fields[PLAN_SCORE] == sum(abs(residual).bit_length() for residual in residuals)


def test_differences_wrap_whatever_the_compiler_takes_for_granted():
    values = [-8144099601054124532, -7250436592375235860, 2826069367303183102]
    fields = planned(values)[1]
    assert (fields[PLAN_STEP], fields[PLAN_UNIT]) == (893663008678888672, 9182842950999530290)


@pytest.mark.parametrize("gap_share", [0, 0.01, 0.12, 0.13, 0.5])
def test_exceptions_are_counted_whether_few_or_many(gap_share):
    skips = np.where(np.random.default_rng(3).random(500) < gap_share, 3, 1)
    residuals, fields = planned(np.cumsum(skips) * MINUTE)
    places = np.flatnonzero(residuals)
    assert fields[PLAN_EXCEPTION_COUNT] == places.size
    assert fields[PLAN_POSITION_WIDTH] == int(np.diff(places, prepend=-1).max(initial=1) - 1).bit_length()
    assert fields[PLAN_RESIDUAL_WIDTH] == max(zigzag(residual) for residual in residuals).bit_length()


def test_a_line_is_start_and_step():
    content = header(LINE, 100, 7, 1) + b"\0"
    assert decoded(content, 4) == (len(content), [107, 114, 121, 128])


def test_a_line_without_carry_is_a_constant():
    content = header(LINEAR, 0, -7, 1) + b"\0"
    assert decoded(content, 3) == (len(content), [-7, -7, -7])


def test_exceptions_are_skips_and_zigzag_residuals_in_a_bit_stream():
    # Skip 1, residual 2 (zigzag 4); skip 2, residual -1 (zigzag 1): widths 2 and 3, lowest bits first.
    stream = 1 | 4 << 2 | 2 << 5 | 1 << 7
    content = header(LINE, 0, 10, 5) + b"\x02\x02\x03" + stream.to_bytes(2, "little")
    assert decoded(content, 6) == (len(content), [10, 30, 40, 50, 55, 65])
    content = header(LINEAR, 0, 10, 5) + b"\x02\x02\x03" + stream.to_bytes(2, "little")
    assert decoded(content, 6) == (len(content), [10, 20, 10, 10, 5, 10])


def test_raw_is_eight_bytes_a_value():
    values = [INT64_MIN, -1, INT64_MAX]
    content = bytes([RAW]) + np.array(values, "<i8").tobytes()
    assert decoded(content, 3) == (25, values)


def test_arithmetic_wraps():
    content = header(LINE, INT64_MAX - 1, 1, 1) + b"\0"
    assert decoded(content, 2)[1] == [INT64_MAX, INT64_MIN]


@pytest.mark.parametrize("head", [3, 4, 15, 19, 32, 64, 128, 255, 0x20 | LINE])
def test_an_unknown_codec_is_malformed(head):
    assert decoded(header(head, 0, 1, 1) + bytes(40), 4)[0] == MALFORMED


@pytest.mark.parametrize(
    "tail",
    [
        b"",  # no count of exceptions
        b"\x05",  # more exceptions than values
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # 2^64 - 1 of them
        b"\x01",  # no widths
        b"\x01\x02",
        b"\x01\x41\x01" + bytes(20),  # a width over 64
        b"\x01\x01\xff" + bytes(80),
        b"\x01\x08\x08\x00",  # a stream cut short
        b"\x01\x08\x08\x04\x00",  # an exception behind the last value
        b"\x02\x08\x00\x03\x00",  # two, the second of which is
        b"\x01\x40\x00" + b"\xff" * 8,  # a skip of 2^64 - 1
    ],
)
def test_hostile_exceptions_are_malformed(tail):
    assert decoded(header(LINE, 0, 1, 1) + tail, 4)[0] == MALFORMED


def test_hostile_units_and_steps_give_wrong_values_no_more():
    for unit in (0, 2**63, 2**64 - 1):
        content = header(LINE, INT64_MIN, INT64_MAX, unit) + b"\x01\x00\x40" + b"\xff" * 8
        assert decoded(content, 4)[0] == len(content)


@pytest.mark.parametrize("bounds", [(-1, 5), (5, 5), (6, 5), (0, 10**6), (0, INT64_MAX), (INT64_MIN, 4)])
def test_bounds_outside_of_the_data_are_malformed(bounds):
    assert read(np.zeros(20, np.uint8), *bounds, np.empty(0, np.uint32), np.empty(1, np.int64)) == MALFORMED


@examples(200)
@given(st.binary(max_size=60), st.integers(1, 12), st.sampled_from([0, 16, 2, 18]))
def test_random_bytes_are_malformed_or_end_where_they_say(content, count, head):
    behind = decoded(bytes([head]) + content, count)[0]
    assert behind == MALFORMED or 0 < behind <= len(content) + 1


@examples(200)
@given(st.lists(int64s, min_size=1, max_size=40), st.booleans())
def test_a_plan_explains_every_value(values, may_be_plain):
    residuals, fields = planned(values, may_be_plain)
    before = fields[PLAN_START]
    for value, residual in zip(values, residuals, strict=True):
        base = before if fields[PLAN_CARRY] else 0
        assert (base + fields[PLAN_STEP] + fields[PLAN_UNIT] * residual - value) % 2**64 == 0
        before = value
    assert fields[PLAN_EXCEPTION_COUNT] == sum(residual != 0 for residual in residuals)
    assert fields[PLAN_UNIT] >= 1


def test_a_plan_finds_step_and_unit():
    times = np.cumsum([60, 60, 60, 120, 60, 60, 240, 60]) * 1_000_000
    residuals, fields = planned(times)
    assert fields[PLAN_STEP] == MINUTE
    assert fields[PLAN_UNIT] == MINUTE
    assert residuals == [0, 0, 0, 1, 0, 0, 3, 0]


def test_a_plan_sums_up_registers_and_leaves_gauges_alone():
    rng = np.random.default_rng(1)
    assert planned(np.cumsum(rng.poisson(5, 600)), True)[1][PLAN_CARRY] == -1
    assert planned(rng.integers(-50, 50, 600), True)[1][PLAN_CARRY] == 0
    assert planned(rng.integers(-50, 50, 600), False)[1][PLAN_CARRY] == -1


def test_steps_too_large_for_the_entropy_code_are_kept_apart_or_raw():
    assert planned([0, 1, 2, 3, 2**46, 2**46 + 1, 2**46 + 9])[1][PLAN_CODEC] == LINEAR
    rng = np.random.default_rng(1)
    assert planned(rng.integers(INT64_MIN, INT64_MAX, 999))[1][PLAN_CODEC] == RAW
    assert planned(range(9))[1][PLAN_CODEC] == ENTROPY  # until the models' costs are known


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_entropy_coded_times_of_few_readings_come_back(count):
    rng = np.random.default_rng(count)
    lengths = [200, count, 200]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    # Of all magnitudes, of which a prefix code would escape most.
    steps = [1 << rng.integers(0, 20, length) for length in lengths]
    times = np.concatenate([np.cumsum(of_block) for of_block in steps])
    blocks = assert_round_trip(times, np.zeros(times.size), None, starts)
    assert blocks.payload(0, 0)[0] == ENTROPY | CARRY_FLAG


def test_the_codec_of_a_payload_is_told_by_its_first_byte():
    assert encode([5, 10, 15], np.zeros(3)).payload(0, 0)[0] == LINE
