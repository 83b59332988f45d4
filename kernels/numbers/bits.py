"""Words, varints and bit streams in byte arrays, little-endian throughout.

A varint is LEB128: seven bits a byte, lowest first, the high bit set on all but the last byte; ten
bytes at most. A bit stream is read from the lowest bit of its first byte upwards.
"""

import numpy as np

from ..compiler.jit import inner

VARINT_SIZE_MAX = 10


@inner
def load_word(data, offset):
    """Eight bytes as a uint64; `offset` is a uint64 with offset + 8 <= data.size.

    LLVM makes one unaligned load of it; an unsigned offset spares the test for negative indices.
    """
    word = np.uint64(data[offset])
    for k in range(1, 8):
        word |= np.uint64(data[offset + np.uint64(k)]) << np.uint64(8 * k)
    return word


@inner
def store_word(data, offset, word):
    """The inverse of `load_word`."""
    for k in range(8):
        data[offset + k] = np.uint8((word >> np.uint64(8 * k)) & np.uint64(255))


@inner
def low_bits(word, width):
    """The lowest `width` bits, 0 <= width <= 63."""
    return word & ((np.uint64(1) << np.uint64(width)) - np.uint64(1))


@inner
def bit_length(value):
    """The position above the highest set bit of a non-negative int64; LLVM makes one lzcnt of it."""
    length = 0
    rest = np.uint64(value)
    while rest != np.uint64(0):
        rest >>= np.uint64(1)
        length += 1
    return length


@inner
def zigzag(value):
    """0, -1, 1, -2 ... as 0, 1, 2, 3 ..."""
    return (np.uint64(value) << np.uint64(1)) ^ np.uint64(np.int64(value) >> np.int64(63))


@inner
def unzigzag(code):
    """The inverse of `zigzag`."""
    return np.int64(code >> np.uint64(1)) ^ -np.int64(code & np.uint64(1))


@inner
def write_varint(data, offset, value):
    """Write the uint64 `value`; return the offset after it."""
    rest = np.uint64(value)
    while rest >= np.uint64(128):
        data[offset] = np.uint8((rest & np.uint64(127)) | np.uint64(128))
        rest >>= np.uint64(7)
        offset += 1
    data[offset] = np.uint8(rest)
    return offset + 1


@inner
def read_varint(data, offset, end):
    """Return (uint64 value, offset after it), the offset -1 where no varint stands before `end`."""
    value = np.uint64(0)
    for k in range(VARINT_SIZE_MAX):
        if not 0 <= offset < end:
            return value, -1
        byte = np.uint64(data[offset])
        offset += 1
        value |= (byte & np.uint64(127)) << np.uint64(7 * k)
        if byte < np.uint64(128):
            return value, offset
    return value, -1


@inner
def append_bits(data, offset, pending, pending_count, bits, width):
    """Append `width` (0 to 64) bits to the stream; return (offset, pending, pending_count).

    `pending` holds fewer than 64 bits that wait for a whole word; `flush_bits` writes the last.
    """
    pending |= bits << np.uint64(pending_count)
    pending_count += width
    if pending_count >= 64:
        store_word(data, offset, pending)
        offset += 8
        pending_count -= 64
        taken = width - pending_count
        # A shift by 64 is undefined: where a whole word was taken, nothing is left over.
        pending = np.uint64(0) if taken == 64 else bits >> np.uint64(taken)
    return offset, pending, pending_count


@inner
def flush_bits(data, offset, pending, pending_count):
    """Write what waits, in whole bytes; return the offset after it."""
    while pending_count > 0:
        data[offset] = np.uint8(pending & np.uint64(255))
        pending >>= np.uint64(8)
        pending_count -= 8
        offset += 1
    return offset


@inner
def read_bits(data, position, width):
    """Read `width` (0 to 64) bits at the bit `position` >= 0; bits past the end of `data` read as zero."""
    offset = position >> 3
    shift = position & 7
    value = np.uint64(0)
    if offset + 9 <= data.size:
        value = load_word(data, np.uint64(offset)) >> np.uint64(shift)
        if shift > 0:
            value |= np.uint64(data[offset + 8]) << np.uint64(64 - shift)
    else:
        for k in range(min(9, data.size - offset)):
            byte = np.uint64(data[offset + k])
            at = 8 * k - shift
            value |= byte << np.uint64(at) if at >= 0 else byte >> np.uint64(-at)
    return value if width == 64 else low_bits(value, width)
