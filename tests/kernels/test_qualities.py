"""Quality codes: bytes written by hand decode as documented, and nothing is longer than it need be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import BLOCK_SIZE_MAX, assert_round_trip, code_columns, examples, sizes

from smartdata_ts.kernels.arrays import UInt8Array
from smartdata_ts.kernels.codec.qualities import read_qualities
from smartdata_ts.kernels.compiler.jit import kernel
from smartdata_ts.kernels.status import MALFORMED


@kernel
def read(data: UInt8Array, offset: int, end: int, qualities: UInt8Array) -> int:
    return read_qualities(data, offset, end, qualities)


def decoded(content: bytes, count: int):
    qualities = np.full(count, 77, np.uint8)
    return read(np.frombuffer(content, np.uint8), 0, len(content), qualities), qualities.tolist()


def payload_of(codes) -> bytes:
    return assert_round_trip(np.arange(len(codes)), np.zeros(len(codes)), codes).payload(0, 2)


def test_no_bytes_at_all_mean_measured():
    assert decoded(b"", 3) == (0, [0, 0, 0])
    assert payload_of(np.zeros(BLOCK_SIZE_MAX, np.uint8)) == b""


def test_runs_are_a_code_and_a_length():
    assert decoded(b"\x01\x05\x02\x00\x01\xff\x03", 6) == (7, [5, 5, 0, 255, 255, 255])
    assert decoded(b"\x01\x09\xc8\x01", 200) == (4, [9] * 200)


def test_plain_is_a_byte_a_code():
    assert decoded(b"\x02\x05\x00\xff", 3) == (4, [5, 0, 255])


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\x01\x03",
        b"\x03\x01\x03",
        b"\xff",
        b"\x01",
        b"\x01\x05",
        b"\x01\x05\x02",  # a run too few
        b"\x01\x05\x04",  # a run too long
        b"\x01\x05\x00\x05\x03",  # a run of nothing
        b"\x01\x05" + b"\xff" * 9 + b"\x01",  # of 2^64 - 1
        b"\x01\x05" + b"\x80" * 12,
        b"\x02\x05\x05",
    ],
)
def test_hostile_runs_are_malformed(content):
    assert decoded(content, 3)[0] == MALFORMED


@pytest.mark.parametrize("bounds", [(-1, 3), (4, 3), (0, 9), (3, 10**9)])
def test_bounds_outside_of_the_data_are_malformed(bounds):
    assert read(np.ones(8, np.uint8), *bounds, np.empty(3, np.uint8)) == MALFORMED


@examples(200)
@given(st.binary(max_size=30), st.integers(1, 40))
def test_random_bytes_are_malformed_or_end_where_they_say(content, count):
    behind = decoded(content, count)[0]
    assert behind == MALFORMED or 0 <= behind <= len(content)


@examples(100)
@given(st.data(), sizes)
def test_codes_come_back_in_a_byte_each_at_most(data, size):
    codes = data.draw(code_columns(size))
    assert len(payload_of(codes)) <= size + 1


def test_a_constant_costs_four_bytes():
    assert payload_of(np.full(BLOCK_SIZE_MAX, 3, np.uint8))[:2] == b"\x01\x03"
    assert len(payload_of(np.full(BLOCK_SIZE_MAX, 3, np.uint8))) == 4
