"""XXH64 against digests that the reference implementation gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import example_reader, examples

from smartdata_ts.kernels.codec.checksum import digest_ranges

PRIME32 = 2654435761
PRIME64 = 11400714785074694797

reader = example_reader()


def sanity_buffer(size: int) -> bytes:
    """The bytes that the reference implementation tests itself with."""
    out = bytearray()
    state = PRIME32
    for _ in range(size):
        out.append(state >> 56 & 255)
        state = state * PRIME64 % 2**64
    return bytes(out)


def digest(data: bytes, seed: int = 0) -> int:
    digests = np.array([seed], np.uint64)
    array = np.frombuffer(data, np.uint8)
    assert digest_ranges(array, np.zeros(1, np.int64), np.array([array.size]), digests) == 1
    return int(digests[0])


@pytest.mark.parametrize(
    ("size", "seed", "expected"),
    [
        (0, 0, 0xEF46DB3751D8E999),
        (0, PRIME32, 0xAC75FDA2929B17EF),
        (1, 0, 0xE934A84ADB052768),
        (1, PRIME32, 0x5014607643A9B4C3),
        (4, 0, 0x9136A0DCA57457EE),
        (14, 0, 0x8282DCC4994E35C8),
        (14, PRIME32, 0xC3BD6BF63DEB6DF0),
        (222, 0, 0xB641AE8CB691C174),
        (222, PRIME32, 0x20CB8AB7AE10C14A),
    ],
)
def test_the_reference_digests(size, seed, expected):
    assert digest(sanity_buffer(size), seed) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"a", 0xD24EC4F1A98C6E5B), (b"abc", 0x44BC2CF5AD770999), (b"xxhash", 0x32DD38952C4BC720)],
)
def test_well_known_digests(text, expected):
    assert digest(text) == expected


@examples(150)
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_any_bytes_digest_as_the_plain_python_of_the_example_says(data, seed):
    assert digest(data, seed) == reader.xxh64(data, seed)


@examples(50)
@given(st.binary(max_size=100), st.integers(-2, 102), st.integers(-2, 102))
def test_a_range_digests_alone_or_is_told_to_lie_outside(data, first, end):
    digests = np.zeros(2, np.uint64)
    firsts, ends = np.array([0, first]), np.array([0, end])
    status = digest_ranges(np.frombuffer(data, np.uint8), firsts, ends, digests)
    if 0 <= first <= end <= len(data):
        assert status == 2
        assert int(digests[1]) == reader.xxh64(data[first:end], 0)
    else:
        assert status == -2
