"""Float columns: bytes written by hand decode as documented; each kind of data finds its form."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.encoded_blocks import BLOCK_SIZE_MAX, assert_round_trip, bits_of, double_of, examples

from smartdata_ts.kernels.arrays import Float64Array, Int64Array, UInt8Array, UInt32Array
from smartdata_ts.kernels.codec.floats import DECIMAL, PLAIN, PLAIN_VALUES, SPLIT, read_floats
from smartdata_ts.kernels.compiler.jit import kernel
from smartdata_ts.kernels.numbers.decimals import EXPONENT_MAX, POWERS_OF_TEN, unscale
from smartdata_ts.kernels.status import MALFORMED

SIZE = 200
RNG = np.random.default_rng(3)
NEGATIVE_ZERO = 0x8000000000000000


@kernel
def read(
    data: UInt8Array,
    offset: int,
    end: int,
    tables: UInt32Array,
    integers: Int64Array,
    values: Float64Array,
) -> int:
    return read_floats(data, offset, end, tables, integers, values)


@kernel
def divide(integers: Int64Array, exponent: int, values: Float64Array) -> int:
    unscale(integers, exponent, values)
    return 0


def decoded(content: bytes, count: int):
    """Return (status, values): whatever the form, as doubles."""
    data = np.frombuffer(content + b"\xaa" * 8, np.uint8)
    integers, values = np.full(count, 77, np.int64), np.full(count, 7.5)
    status = read(data, 0, len(content), np.empty(0, np.uint32), integers, values)
    if 0 <= status <= EXPONENT_MAX:
        divide(integers, status, values)
    return status, values


def payload_of(values) -> bytes:
    return assert_round_trip(np.arange(len(values)), values).payload(0, 1)


LINE_OF_FIVES = bytes([16, 0, 10, 1, 0])  # 5, 10, 15 ...


def test_decimals_are_integers_over_a_power_of_ten():
    status, values = decoded(bytes([DECIMAL, 2, 0]) + LINE_OF_FIVES, 3)
    assert status == 2
    assert values.tolist() == [0.05, 0.1, 0.15]


def test_odd_doubles_stand_before_the_decimals():
    nan, zero = double_of(0x7FF8000000000123), double_of(NEGATIVE_ZERO)
    odd = b"\1" + np.float64(nan).tobytes() + b"\1" + np.float64(zero).tobytes()
    status, values = decoded(bytes([DECIMAL, 1, 2]) + odd + LINE_OF_FIVES, 5)
    assert status == PLAIN_VALUES
    assert bits_of(values).tolist() == bits_of([0.5, nan, 1.5, zero, 2.5]).tolist()


def test_a_split_puts_low_bits_in_a_stream_and_high_ones_in_a_column():
    # Two values of 16 bits each: the high 8 are 5 and 10, the low 8 in a stream, 48 zeros below.
    status, values = decoded(bytes([SPLIT, 48, 8, 0xAB, 0xCD]) + LINE_OF_FIVES, 2)
    assert status == PLAIN_VALUES
    assert bits_of(values).tolist() == [0x05AB << 48, 0x0ACD << 48]


def test_plain_is_eight_bytes_a_value():
    source = [1.5, double_of(0x7FF0000000000001), -np.inf]
    status, values = decoded(bytes([PLAIN]) + np.array(source).tobytes(), 3)
    assert status == PLAIN_VALUES
    assert bits_of(values).tolist() == bits_of(source).tolist()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\1",
        bytes([PLAIN]) + bytes(23),
        bytes([0, 0, 0]) + LINE_OF_FIVES,
        bytes([4, 0, 0]) + LINE_OF_FIVES,
        bytes([255, 0, 0]) + LINE_OF_FIVES,
        bytes([DECIMAL, 16, 0]) + LINE_OF_FIVES,
        bytes([DECIMAL, 255, 0]) + LINE_OF_FIVES,
        bytes([DECIMAL, 0, 4]) + bytes(36) + LINE_OF_FIVES,
        bytes([DECIMAL, 0, 1, 3]) + bytes(8) + LINE_OF_FIVES,
        bytes([DECIMAL, 0, 1, 0]) + bytes(7),
        bytes([DECIMAL, 0, 2, 0]) + bytes(8) + b"\2" + bytes(8) + LINE_OF_FIVES,
        bytes([DECIMAL, 0]) + b"\xff" * 9 + b"\1" + LINE_OF_FIVES,
        bytes([DECIMAL, 0, 1]) + b"\xff" * 9 + b"\1" + bytes(8) + LINE_OF_FIVES,
        bytes([SPLIT, 0]),
        bytes([SPLIT, 0, 64]) + bytes(40),
        bytes([SPLIT, 255, 255]) + bytes(90),
        bytes([SPLIT, 60, 4]) + bytes(40),
        bytes([SPLIT, 0, 48]) + bytes(17),
        bytes([SPLIT, 0, 8, 1, 2, 3]),
    ],
)
def test_hostile_heads_are_malformed(content):
    assert decoded(content, 3)[0] == MALFORMED


@examples(200)
@given(st.binary(max_size=80), st.integers(1, 12), st.integers(1, 3))
def test_random_bytes_are_a_form_or_malformed(content, count, form):
    status, values = decoded(bytes([form]) + content, count)
    assert status in range(MALFORMED, PLAIN_VALUES + 1)
    assert values.size == count


@pytest.mark.parametrize(
    ("kind", "values", "form"),
    [
        ("register", np.cumsum(RNG.poisson(4, SIZE)) / 1000, DECIMAL),
        ("temperature", np.round(RNG.normal(15, 5, SIZE), 1), DECIMAL),
        ("integers", RNG.integers(-(2**53), 2**53, SIZE).astype(np.float64), DECIMAL),
        ("fifteen places", np.full(SIZE, 3.141592653589793), DECIMAL),
        ("single precision", RNG.normal(20, 5, SIZE).astype(np.float32).astype(np.float64), SPLIT),
        ("measured", RNG.normal(20, 5, SIZE), SPLIT),
        ("nothing but NaN", np.full(SIZE, np.nan), SPLIT),
        ("random bits", RNG.integers(0, 2**64, SIZE, np.uint64).view(np.float64), SPLIT),
    ],
)
def test_each_kind_of_data_finds_its_form(kind, values, form):
    assert payload_of(values)[0] == form, kind


def test_a_few_odd_doubles_leave_a_register_decimal():
    values = np.cumsum(RNG.poisson(4, SIZE)) / 1000
    clean = len(payload_of(values))
    values[[5, 60, 61]] = np.nan, -0.0, 1 / 3
    payload = payload_of(values)
    assert payload[0] == DECIMAL
    assert len(payload) < clean + 60


def test_single_precision_costs_no_more_than_its_bits():
    values = RNG.normal(20, 5, BLOCK_SIZE_MAX).astype(np.float32).astype(np.float64)
    assert len(payload_of(values)) < 4.1 * values.size


def test_a_constant_costs_nothing_a_reading_whatever_its_bits():
    # The high bits are a line; the low ones are not yet.
    values = np.full(BLOCK_SIZE_MAX, 20.5)
    assert len(payload_of(values)) < 20


@examples(200)
@given(st.integers(-(2**53), 2**53), st.integers(0, EXPONENT_MAX))
@example(-(2**53), 15)
@example(1, 15)
def test_a_decimal_is_the_double_that_python_reads(mantissa, exponent):
    values = np.empty(1)
    divide(np.array([mantissa]), exponent, values)
    assert values[0] == float(f"{mantissa}e-{exponent}")


def test_powers_of_ten_are_exact():
    assert [int(power) for power in POWERS_OF_TEN] == [10**k for k in range(EXPONENT_MAX + 1)]


@pytest.mark.parametrize("places", [0, 1, 2, 3])
def test_decimals_that_turn_finer_late_come_back(places):
    values = np.concatenate([np.arange(150.0), np.arange(150) / 10**places + 1e6])
    payload_of(values)
