"""Prefix codes of small integers (Huffman, 1952); one lookup yields up to three residuals.

A token is a byte: residual + 64 for residuals of -64 to 190, and 255 for all others, which stand apart,
zigzag, in a fixed count of bits each. A model of entropy.py whose tokens end at 255, and whose frequencies
are all powers of two, is a prefix code too: a token of frequency 2^(11 - k) has a code of k bits.

The codes are dealt over STATE_COUNT slots in runs of a token's frequency, the most frequent first, then by
token; a token's code is the number of its first slot, its 11 bits reversed; the lowest k bits count.

A block's tokens are cut into four streams of like length, so that four lookups can be under way at once: a
stream is a chain in which each lookup waits for the one before. Measured on one core (Zen 4, 2.8 GHz), codes
of four bits: 1,700 M tokens/s, where the states of entropy.py give 700; windows of 11 bits give 1,450, and
neither three, six nor eight streams are faster than four.

Decode table, one uint32 a window of WINDOW_BITS: bits 0-23 up to three tokens, 24-29 the bits that they
take, 30-31 their count. It is zero throughout where a model is no prefix code.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Int64Array, UInt8Array, UInt16Array
from ..compiler.jit import inner, kernel
from ..numbers.bits import (
    append_bits,
    bit_length,
    flush_bits,
    load_word,
    read_bits,
    unzigzag,
    write_varint,
    zigzag,
)
from ..status import MALFORMED, OK
from .entropy import DIRECT_MIN, STATE_COUNT, STATE_COUNT_LOG2, TOKEN_COUNT

STREAM_COUNT = 4
ESCAPE = 255
WINDOW_BITS = 12
WINDOW_COUNT = 1 << WINDOW_BITS
# The longest escapes that fit one read; what needs more is coded otherwise.
ESCAPE_BITS_MAX = 64


class Escapes(NamedTuple):
    """The residuals of a block that have no token, one after the other."""

    data: UInt8Array
    position: int  # the first one's first bit
    width: int  # bits of each
    count: int


_WINDOW_MASK = np.uint64(WINDOW_COUNT - 1)
_BITS_MASK = np.uint64(63)
# Four lookups take up to 48 bits, of the 57 that one word surely has; they yield up to twelve tokens, and
# the last store reaches three bytes past its first.
_GROUP_TOKENS_MAX = np.uint64(15)


@inner
def token_of(residual):
    """The token of a residual."""
    return residual - DIRECT_MIN if DIRECT_MIN <= residual < ESCAPE + DIRECT_MIN else ESCAPE


@kernel
def normalize_prefix_counts(counts: Int64Array, frequencies: UInt16Array) -> int:
    """Scale each model's token counts to powers of two that sum to STATE_COUNT; every used token keeps >= 1.

    Both arrays are models x TOKEN_COUNT, flattened. Frequencies are rounded down, then doubled where
    that saves most bits a slot. Measured against package-merge (Larmore and Hirschberg, 1990) on water
    registers: less than 0.1 % longer. Returns OK, or MALFORMED where a model is empty or has other tokens.
    """
    for model in range(counts.size // TOKEN_COUNT):
        first = model * TOKEN_COUNT
        own = counts[first : first + TOKEN_COUNT]
        total = np.int64(0)
        for t in range(TOKEN_COUNT):
            total += own[t]
            if own[t] > 0 and t > ESCAPE:
                return MALFORMED
        if total <= 0:
            return MALFORMED
        free = np.int64(STATE_COUNT)
        for t in range(TOKEN_COUNT):
            share = own[t] * STATE_COUNT // total
            frequency = np.int64(1) << np.int64(max(bit_length(share) - 1, 0)) if own[t] > 0 else 0
            frequencies[first + t] = frequency
            free -= frequency
        while free != 0:
            free -= _resize(own, frequencies[first : first + TOKEN_COUNT], free)
    return OK


@inner
def _resize(counts, frequencies, free):
    """Double one frequency, or, where too many slots are taken, halve one; return by how much it grew."""
    best = -1
    best_ratio = 0.0
    for t in range(TOKEN_COUNT):
        frequency = np.int64(frequencies[t])
        if counts[t] == 0 or frequency > free > 0 or (free < 0 and frequency == 1):
            continue
        # To double a frequency spares a bit at each occurrence, to halve it costs one.
        ratio = counts[t] / frequency if free > 0 else frequency / counts[t]
        if best < 0 or ratio > best_ratio:
            best, best_ratio = t, ratio
    frequency = np.int64(frequencies[best])
    frequencies[best] = 2 * frequency if free > 0 else frequency // 2
    return np.int64(frequencies[best]) - frequency


@inner
def _reversed(slot):
    """The bits of a slot's number in reverse."""
    code = np.int64(0)
    for _ in range(STATE_COUNT_LOG2):
        code = code << 1 | (slot & 1)
        slot >>= 1
    return code


@inner
def fill_codes(frequencies, symbols):
    """Fill (code, length) of every token of one prefix model."""
    slot = np.int64(0)
    for length in range(STATE_COUNT_LOG2 + 1):
        for t in range(TOKEN_COUNT):
            if np.int64(frequencies[t]) == STATE_COUNT >> length:
                symbols[2 * t] = _reversed(slot)
                symbols[2 * t + 1] = length
                slot += np.int64(frequencies[t])


@inner
def fill_windows(frequencies, table):
    """Fill the WINDOW_COUNT entries of one model; with zeros where it is no prefix code."""
    table[:] = 0
    for t in range(TOKEN_COUNT):
        frequency = np.int64(frequencies[t])
        if frequency & (frequency - 1) != 0 or (frequency > 0 and t > ESCAPE):
            return
    slot = np.int64(0)
    for length in range(STATE_COUNT_LOG2 + 1):
        for t in range(ESCAPE + 1):
            if np.int64(frequencies[t]) == STATE_COUNT >> length:
                entry = t | length << 24 | 1 << 30
                for window in range(_reversed(slot), WINDOW_COUNT, 1 << length):
                    table[window] = entry
                slot += np.int64(frequencies[t])
    # The tokens after a window's first stand at a smaller window, which still has its first alone.
    for k in range(WINDOW_COUNT):
        window = WINDOW_COUNT - 1 - k
        table[window] = _extended(table, window)


@inner
def _extended(table, window):
    """The entry of a window with all the tokens that are whole in it, three at most."""
    first = np.int64(table[window])
    bits = first >> 24 & 63
    entry = first & 255
    count = 1
    while count < 3:
        next_first = np.int64(table[window >> bits])
        behind = bits + (next_first >> 24 & 63)
        if behind > WINDOW_BITS:
            break
        entry |= (next_first & 255) << 8 * count
        bits = behind
        count += 1
    return entry | bits << 24 | count << 30


@inner
def stream_bounds(count, stream):
    """Where the tokens of a stream begin and end."""
    length = (count + STREAM_COUNT - 1) // STREAM_COUNT
    return min(stream * length, count), min((stream + 1) * length, count)


@inner
def encode_tokens(residuals, model, symbols, escape_width, data, offset):
    """Write the sizes of the four streams, the streams, and the escapes; return the offset after them."""
    first = 2 * model * TOKEN_COUNT
    escape_count = 0
    for stream in range(STREAM_COUNT):
        begin, end = stream_bounds(residuals.size, stream)
        bit_count = np.int64(0)
        for i in range(begin, end):
            token = token_of(residuals[i])
            bit_count += symbols[first + 2 * token + 1]
            escape_count += token == ESCAPE
        offset = write_varint(data, offset, np.uint64((bit_count + 7) >> 3))
    offset = write_varint(data, offset, np.uint64(escape_count))
    data[offset] = escape_width
    offset += 1
    for stream in range(STREAM_COUNT):
        begin, end = stream_bounds(residuals.size, stream)
        pending, pending_count = np.uint64(0), 0
        for i in range(begin, end):
            symbol = first + 2 * token_of(residuals[i])
            offset, pending, pending_count = append_bits(
                data, offset, pending, pending_count, np.uint64(symbols[symbol]), symbols[symbol + 1]
            )
        offset = flush_bits(data, offset, pending, pending_count)
    if escape_count == 0:
        return offset
    pending, pending_count = np.uint64(0), 0
    for i in range(residuals.size):
        if token_of(residuals[i]) == ESCAPE:
            offset, pending, pending_count = append_bits(
                data, offset, pending, pending_count, zigzag(residuals[i]), escape_width
            )
    return flush_bits(data, offset, pending, pending_count)


@inner
def _store_tokens(tokens, at, entry):
    """Write four bytes; the first one to three are tokens. LLVM makes one store of it."""
    tokens[at] = np.uint8(entry & np.uint64(255))
    tokens[at + np.uint64(1)] = np.uint8(entry >> np.uint64(8) & np.uint64(255))
    tokens[at + np.uint64(2)] = np.uint8(entry >> np.uint64(16) & np.uint64(255))
    tokens[at + np.uint64(3)] = np.uint8(entry >> np.uint64(24) & np.uint64(255))


@inner
def _look_up(word, table, tokens, at, taken):
    """Decode one window's tokens; `taken` sums up their counts (from bit 6 on) and bits."""
    entry = np.uint64(table[word & _WINDOW_MASK])
    _store_tokens(tokens, at + (taken >> np.uint64(6)), entry)
    step = entry >> np.uint64(24)
    return word >> (step & _BITS_MASK), taken + step


@inner
def _word_at(data, last, position):
    return load_word(data, min(position >> np.uint64(3), last)) >> (position & np.uint64(7))


@inner
def _decode_group(data, last, position, table, tokens, at):
    """Four lookups of one stream; return the next position and the next token."""
    word = _word_at(data, last, position)
    taken = np.uint64(0)
    word, taken = _look_up(word, table, tokens, at, taken)
    word, taken = _look_up(word, table, tokens, at, taken)
    word, taken = _look_up(word, table, tokens, at, taken)
    word, taken = _look_up(word, table, tokens, at, taken)
    return position + (taken & _BITS_MASK), at + (taken >> np.uint64(6))


@inner
def _decode_rest(data, last, position, table, tokens, at, end):
    """The rest of one stream, without a store past its end."""
    while at + _GROUP_TOKENS_MAX <= end:
        position, at = _decode_group(data, last, position, table, tokens, at)
    while at + np.uint64(4) <= end:
        entry = np.uint64(table[_word_at(data, last, position) & _WINDOW_MASK])
        _store_tokens(tokens, at, entry)
        position += entry >> np.uint64(24) & _BITS_MASK
        at += entry >> np.uint64(30)
    while at < end:
        entry = np.uint64(table[_word_at(data, last, position) & _WINDOW_MASK])
        position += entry >> np.uint64(24) & _BITS_MASK
        for _ in range(min(np.int64(entry >> np.uint64(30)), np.int64(end - at))):
            tokens[at] = np.uint8(entry & np.uint64(255))
            entry >>= np.uint64(8)
            at += np.uint64(1)


@inner
def decode_tokens(data, offsets, last, table, tokens):
    """Fill `tokens` from the streams that begin at `offsets`; a word may be read at `last`, and none after.

    The table is a prefix code's, so that every lookup yields a token. A position after `last` reads at
    `last`: a rotten stream gives wrong tokens, which the checksum finds.
    """
    position_a, position_b = np.uint64(offsets[0]) << np.uint64(3), np.uint64(offsets[1]) << np.uint64(3)
    position_c, position_d = np.uint64(offsets[2]) << np.uint64(3), np.uint64(offsets[3]) << np.uint64(3)
    last = np.uint64(last)
    a, end_a = _unsigned_bounds(tokens.size, 0)
    b, end_b = _unsigned_bounds(tokens.size, 1)
    c, end_c = _unsigned_bounds(tokens.size, 2)
    d, end_d = _unsigned_bounds(tokens.size, 3)
    # The last stream is the shortest, and may be much shorter than the others.
    if end_d >= d + _GROUP_TOKENS_MAX:
        limit_a, limit_b = end_a - _GROUP_TOKENS_MAX, end_b - _GROUP_TOKENS_MAX
        limit_c, limit_d = end_c - _GROUP_TOKENS_MAX, end_d - _GROUP_TOKENS_MAX
        while (a <= limit_a) & (b <= limit_b) & (c <= limit_c) & (d <= limit_d):
            position_a, a = _decode_group(data, last, position_a, table, tokens, a)
            position_b, b = _decode_group(data, last, position_b, table, tokens, b)
            position_c, c = _decode_group(data, last, position_c, table, tokens, c)
            position_d, d = _decode_group(data, last, position_d, table, tokens, d)
    _decode_rest(data, last, position_a, table, tokens, a, end_a)
    _decode_rest(data, last, position_b, table, tokens, b, end_b)
    _decode_rest(data, last, position_c, table, tokens, c, end_c)
    _decode_rest(data, last, position_d, table, tokens, d, end_d)


@inner
def _unsigned_bounds(count, stream):
    begin, end = stream_bounds(count, stream)
    return np.uint64(begin), np.uint64(end)


@inner
def sum_tokens(tokens, carry, start, step, unit, values):
    """values[i] = (values[i - 1] & carry) + step + unit * residual[i], without escapes; values[-1] = start.

    `tokens` may be the last bytes of `values`: none is overwritten before it is read.
    """
    base = step + unit * DIRECT_MIN
    value = start
    i = np.uint64(0)
    count = np.uint64(values.size)
    if carry == 0:
        while i < count:
            values[i] = base + unit * np.int64(tokens[i])
            i += np.uint64(1)
        return
    while i + np.uint64(4) <= count:
        value += base + unit * np.int64(tokens[i])
        values[i] = value
        value += base + unit * np.int64(tokens[i + np.uint64(1)])
        values[i + np.uint64(1)] = value
        value += base + unit * np.int64(tokens[i + np.uint64(2)])
        values[i + np.uint64(2)] = value
        value += base + unit * np.int64(tokens[i + np.uint64(3)])
        values[i + np.uint64(3)] = value
        i += np.uint64(4)
    while i < count:
        value += base + unit * np.int64(tokens[i])
        values[i] = value
        i += np.uint64(1)


@inner
def sum_escaped_tokens(tokens, escapes, carry, start, step, unit, values):
    """Do the same with escapes; return how many there were, or -1 where there are more than it was said."""
    data, position, width, escape_count = escapes.data, escapes.position, escapes.width, escapes.count
    found = 0
    value = start
    for i in range(values.size):
        residual = np.int64(tokens[i]) + DIRECT_MIN
        if tokens[i] == ESCAPE:
            if found == escape_count:
                return -1
            residual = unzigzag(read_bits(data, position, width))
            position += width
            found += 1
        value = (value & carry) + step + unit * residual
        values[i] = value
    return found
