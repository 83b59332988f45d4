"""Words, varints and bit streams against Python's own integers."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from support.encoded_blocks import INT64_MAX, INT64_MIN, examples

from smartdata_ts.kernels.arrays import Int64Array, UInt8Array, UInt64Array
from smartdata_ts.kernels.compiler.jit import kernel
from smartdata_ts.kernels.numbers.bits import (
    append_bits,
    bit_length,
    flush_bits,
    load_word,
    read_bits,
    read_varint,
    store_word,
    unzigzag,
    write_varint,
    zigzag,
)

words = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 64).map(lambda k: min(2**k, 2**64 - 1)))
int64s = st.one_of(st.integers(INT64_MIN, INT64_MAX), st.sampled_from([INT64_MIN, -1, 0, 1, INT64_MAX]))


@kernel
def through_word(data: UInt8Array, offset: int, copy: UInt8Array) -> int:
    store_word(copy, offset, load_word(data, np.uint64(offset)))
    return 0


@kernel
def through_zigzag(values: Int64Array, codes: UInt64Array, back: Int64Array) -> int:
    for i in range(values.size):
        codes[i] = zigzag(values[i])
        back[i] = unzigzag(codes[i])
    return 0


@kernel
def lengths_of(values: Int64Array, lengths: Int64Array) -> int:
    for i in range(values.size):
        lengths[i] = bit_length(values[i])
    return 0


@kernel
def put_varint(value: UInt64Array, data: UInt8Array) -> int:
    return write_varint(data, 0, value[0])


@kernel
def get_varint(data: UInt8Array, offset: int, end: int, value: UInt64Array) -> int:
    value[0], behind = read_varint(data, offset, end)
    return behind


@kernel
def put_bits(fields: UInt64Array, widths: Int64Array, data: UInt8Array) -> int:
    offset = 0
    pending = np.uint64(0)
    pending_count = 0
    for i in range(fields.size):
        offset, pending, pending_count = append_bits(
            data, offset, pending, pending_count, fields[i], widths[i]
        )
    return flush_bits(data, offset, pending, pending_count)


@kernel
def get_bits(data: UInt8Array, position: int, width: int, field: UInt64Array) -> int:
    field[0] = read_bits(data, position, width)
    return 0


def as_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def test_a_word_is_little_endian_at_any_offset():
    data = np.arange(1, 21, dtype=np.uint8)
    for offset in range(13):
        copy = np.zeros_like(data)
        through_word(data, offset, copy)
        assert copy[offset : offset + 8].tolist() == data[offset : offset + 8].tolist()
        assert copy.sum() == data[offset : offset + 8].sum()


@examples(100)
@given(st.lists(int64s, min_size=1))
def test_zigzag_puts_small_magnitudes_first_and_comes_back(values):
    source = np.array(values, np.int64)
    codes, back = np.empty(source.size, np.uint64), np.empty(source.size, np.int64)
    through_zigzag(source, codes, back)
    assert codes.tolist() == [2 * v if v >= 0 else -2 * v - 1 for v in values]
    assert back.tolist() == values


@examples(50)
@given(st.lists(st.integers(0, INT64_MAX), min_size=1))
def test_bit_length_is_that_of_python(values):
    lengths = np.empty(len(values), np.int64)
    lengths_of(np.array(values, np.int64), lengths)
    assert lengths.tolist() == [value.bit_length() for value in values]


@examples(200)
@given(words)
@example(0)
@example(127)
@example(128)
@example(2**64 - 1)
def test_a_varint_is_leb128_and_comes_back(value):
    data = np.zeros(10, np.uint8)
    size = put_varint(np.array([value], np.uint64), data)
    assert data[:size].tobytes() == as_varint(value)
    back = np.zeros(1, np.uint64)
    assert get_varint(data, 0, size, back) == size
    assert int(back[0]) == value
    for cut in range(size):
        assert get_varint(data, 0, cut, back) == -1


@examples(100)
@given(st.binary(max_size=14), st.integers(-3, 16), st.integers(-3, 16))
def test_a_varint_that_is_none_is_told(data, offset, end):
    array = np.frombuffer(data, np.uint8)
    behind = get_varint(array, offset, min(end, array.size), np.zeros(1, np.uint64))
    assert behind == -1 or offset < behind <= min(end, offset + 10)


def test_a_varint_without_end_is_none():
    assert get_varint(np.full(20, 255, np.uint8), 0, 20, np.zeros(1, np.uint64)) == -1
    assert get_varint(np.full(20, 128, np.uint8), -1, 20, np.zeros(1, np.uint64)) == -1


@examples(150)
@given(st.lists(st.tuples(words, st.integers(0, 64)), max_size=40))
def test_a_bit_stream_holds_fields_of_any_width(fields):
    values = [word % (1 << width) for word, width in fields]
    widths = np.array([width for _, width in fields], np.int64)
    data = np.zeros(int(widths.sum()) // 8 + 16, np.uint8)
    size = put_bits(np.array(values, np.uint64), widths, data)
    assert size == (widths.sum() + 7) // 8
    stream = sum(value << int(at) for value, at in zip(values, np.cumsum(widths) - widths, strict=True))
    assert int.from_bytes(data.tobytes(), "little") == stream
    position = 0
    for value, width in zip(values, widths.tolist(), strict=True):
        field = np.zeros(1, np.uint64)
        get_bits(data[:size].copy(), position, width, field)
        assert int(field[0]) == value
        position += width


@examples(100)
@given(st.binary(max_size=12), st.integers(0, 200), st.integers(0, 64))
def test_bits_behind_the_end_read_as_zero(data, position, width):
    field = np.zeros(1, np.uint64)
    get_bits(np.frombuffer(data, np.uint8), position, width, field)
    assert int(field[0]) == (int.from_bytes(data, "little") >> position) % (1 << width)
