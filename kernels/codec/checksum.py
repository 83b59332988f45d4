"""XXH64, the checksum of a block (Collet, "xxHash fast digest algorithm", version 0.1.1)."""

import numpy as np

from ..arrays import Int64Array, UInt8Array, UInt64Array
from ..compiler.jit import inner, kernel
from ..numbers.bits import load_word

PRIME_1 = np.uint64(0x9E3779B185EBCA87)
PRIME_2 = np.uint64(0xC2B2AE3D27D4EB4F)
PRIME_3 = np.uint64(0x165667B19E3779F9)
PRIME_4 = np.uint64(0x85EBCA77C2B2AE63)
PRIME_5 = np.uint64(0x27D4EB2F165667C5)


@inner
def _rotate(word, count):
    return (word << np.uint64(count)) | (word >> np.uint64(64 - count))


@inner
def _round(accumulator, word):
    return _rotate(accumulator + word * PRIME_2, 31) * PRIME_1


@inner
def _merge(digest, accumulator):
    return (digest ^ _round(np.uint64(0), accumulator)) * PRIME_1 + PRIME_4


@inner
def digest_bytes(data, first, end, seed):
    """The XXH64 of data[first:end] as a uint64; 0 <= first <= end <= data.size."""
    position = np.uint64(first)
    behind = np.uint64(end)
    eight = np.uint64(8)
    size = behind - position
    if size >= np.uint64(32):
        a = seed + PRIME_1 + PRIME_2
        b = seed + PRIME_2
        c = seed
        d = seed - PRIME_1
        while position + np.uint64(32) <= behind:
            a = _round(a, load_word(data, position))
            b = _round(b, load_word(data, position + eight))
            c = _round(c, load_word(data, position + np.uint64(16)))
            d = _round(d, load_word(data, position + np.uint64(24)))
            position += np.uint64(32)
        digest = _rotate(a, 1) + _rotate(b, 7) + _rotate(c, 12) + _rotate(d, 18)
        digest = _merge(_merge(_merge(_merge(digest, a), b), c), d)
    else:
        digest = seed + PRIME_5
    digest += size
    while position + eight <= behind:
        digest = _rotate(digest ^ _round(np.uint64(0), load_word(data, position)), 27)
        digest = digest * PRIME_1 + PRIME_4
        position += eight
    if position + np.uint64(4) <= behind:
        half = np.uint64(0)
        for k in range(4):
            half |= np.uint64(data[position + np.uint64(k)]) << np.uint64(8 * k)
        digest = _rotate(digest ^ (half * PRIME_1), 23) * PRIME_2 + PRIME_3
        position += np.uint64(4)
    while position < behind:
        digest = _rotate(digest ^ (np.uint64(data[position]) * PRIME_5), 11) * PRIME_1
        position += np.uint64(1)
    digest = (digest ^ (digest >> np.uint64(33))) * PRIME_2
    digest = (digest ^ (digest >> np.uint64(29))) * PRIME_3
    return digest ^ (digest >> np.uint64(32))


@kernel
def digest_ranges(data: UInt8Array, firsts: Int64Array, ends: Int64Array, digests: UInt64Array) -> int:
    """Chain a digest per range: digests[k] seeds that of data[firsts[k]:ends[k]], then becomes it.

    Returns the count of ranges, or -1 - k where range k lies outside `data`.
    """
    for k in range(digests.size):
        if not 0 <= firsts[k] <= ends[k] <= data.size:
            return -1 - k
        digests[k] = digest_bytes(data, firsts[k], ends[k], digests[k])
    return digests.size
