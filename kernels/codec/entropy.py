"""Entropy coding of small integers by tANS (Duda, "Asymmetric numeral systems", arXiv:1311.2540).

A residual r becomes a token and some raw bits:

    token 0 .. 255          r = token - 64, no raw bits
    token 256 + 2k          r in [2^k, 2^(k+1)), r - 2^k in k raw bits
    token 257 + 2k          -r in [2^k, 2^(k+1)), r + 2^(k+1) - 1 in k raw bits     (k <= 44)

A model (models.py) is one frequency a token, summing to 2,048. Four
states take turns, residual i using state i % 4, and share one bit stream: for each residual the low
bits of its state, then its raw bits. One word of the stream feeds four residuals without raw bits.
Measured on one core (Zen 4): 770 M residuals/s without raw bits, 575 M with a quarter of them
escaped; eight states run slower, for want of registers.

Decode table, one uint32 a state: bits 0-7 the count of state bits to read, 8-16 the token, 17 set
where raw bits follow, 20-31 the base of the next state.
"""

import numpy as np

from ..arrays import Int64Array, UInt16Array
from ..compiler.jit import inner, kernel
from ..numbers.bits import append_bits, bit_length, flush_bits, load_word, low_bits
from ..status import MALFORMED, OK

STATE_COUNT_LOG2 = 11
STATE_COUNT = 1 << STATE_COUNT_LOG2
LANE_COUNT = 4
TOKEN_COUNT = 384
DIRECT_MIN = -64
DIRECT_MAX = 191
DIRECT_COUNT = DIRECT_MAX - DIRECT_MIN + 1
RAW_BITS_MAX = 44
TOKEN_MAX = DIRECT_COUNT + 2 * RAW_BITS_MAX + 1
# Raw bits, state bits and a shift of 7 must fit one word: 44 + 11 + 7 <= 64.
RESIDUAL_MAX = (1 << (RAW_BITS_MAX + 1)) - 1


_ESCAPE = np.uint64(1 << 17)


@inner
def split_residual(residual):
    """Return (token, raw bit count, raw bits) of a residual of magnitude <= RESIDUAL_MAX."""
    if DIRECT_MIN <= residual <= DIRECT_MAX:
        return residual - DIRECT_MIN, 0, np.uint64(0)
    if residual > 0:
        k = bit_length(residual) - 1
        return DIRECT_COUNT + 2 * k, k, np.uint64(residual - (np.int64(1) << np.int64(k)))
    k = bit_length(-residual) - 1
    raw = residual + (np.int64(2) << np.int64(k)) - np.int64(1)
    return DIRECT_COUNT + 1 + 2 * k, k, np.uint64(raw)


@inner
def token_raw_bits(token):
    """The count of raw bits that follow a token."""
    return 0 if token < DIRECT_COUNT else (token - DIRECT_COUNT) >> 1


@inner
def _residual_base(token, raw_bits):
    if token < DIRECT_COUNT:
        return np.int64(token) + DIRECT_MIN
    if token & 1 == 0:
        return np.int64(1) << np.int64(raw_bits)
    return np.int64(1) - (np.int64(2) << np.int64(raw_bits))


@kernel
def normalize_counts(counts: Int64Array, frequencies: UInt16Array) -> int:
    """Scale each model's token counts to frequencies that sum to STATE_COUNT; every used token keeps >= 1.

    Both arrays are models x TOKEN_COUNT, flattened. Returns OK, or MALFORMED where a model is empty.
    """
    for model in range(counts.size // TOKEN_COUNT):
        first = model * TOKEN_COUNT
        total = np.int64(0)
        for t in range(TOKEN_COUNT):
            total += counts[first + t]
        if total <= 0:
            return MALFORMED
        used = 0
        for t in range(TOKEN_COUNT):
            frequency = counts[first + t] * STATE_COUNT // total
            if counts[first + t] > 0:
                frequency = max(frequency, 1)
            frequencies[first + t] = frequency
            used += frequency
        while used != STATE_COUNT:
            used += _nudge(counts, frequencies, first, 1 if used < STATE_COUNT else -1)
    return OK


@inner
def _nudge(counts, frequencies, first, change):
    """Change by one the frequency that is furthest off, in proportion; return the change."""
    best = -1
    best_ratio = 0.0
    for t in range(TOKEN_COUNT):
        frequency = np.float64(frequencies[first + t])
        if counts[first + t] == 0 or (change < 0 and frequency <= 1.0):
            continue
        count = np.float64(counts[first + t])
        # The loss of one slot costs count / frequency, the gain of one brings as much.
        ratio = count / (frequency + 0.5) if change > 0 else (frequency - 0.5) / count
        if best < 0 or ratio > best_ratio:
            best = t
            best_ratio = ratio
    frequencies[first + best] = np.int64(frequencies[first + best]) + change
    return change


@inner
def _spread(frequencies, table):
    """Deal the tokens of one model over the states, in FSE's steps; `table` gets the token of each state."""
    state = 0
    for t in range(TOKEN_COUNT):
        for _ in range(np.int64(frequencies[t])):
            table[state] = t
            state = (state + (STATE_COUNT >> 1) + (STATE_COUNT >> 3) + 3) & (STATE_COUNT - 1)


@inner
def fill_states(frequencies, occurrences, table):
    """Fill the STATE_COUNT entries of one model; `occurrences` is TOKEN_COUNT of scratch.

    The frequencies sum to STATE_COUNT, and none is of a token above TOKEN_MAX.
    """
    for t in range(TOKEN_COUNT):
        occurrences[t] = frequencies[t]
    _spread(frequencies, table)
    for state in range(STATE_COUNT):
        token = np.int64(table[state])
        occurrence = occurrences[token]
        occurrences[token] += 1
        state_bits = STATE_COUNT_LOG2 + 1 - bit_length(occurrence)
        base = (occurrence << state_bits) - STATE_COUNT
        entry = state_bits | (token << 8) | (base << 20)
        if token_raw_bits(token) > 0:
            entry |= 1 << 17
        table[state] = entry


@inner
def fill_symbols(frequencies, offset, scratch, symbols, states):
    """Fill one model's `symbols`, pairs of a token's frequency and the offset of its states, and `states`.

    The model's states begin at `offset` of all; `scratch` is STATE_COUNT long.
    """
    behind = np.int64(offset)
    for t in range(TOKEN_COUNT):
        symbols[2 * t] = frequencies[t]
        symbols[2 * t + 1] = behind
        behind += np.int64(frequencies[t])
    _spread(frequencies, scratch)
    for state in range(STATE_COUNT):
        symbol = 2 * np.int64(scratch[state])
        states[symbols[symbol + 1]] = state
        symbols[symbol + 1] += 1
    for t in range(TOKEN_COUNT):
        symbols[2 * t + 1] -= symbols[2 * t]


@inner
def encode_residuals(residuals, model, symbols, states, codes, data, offset):
    """Write the four first states (uint16 each) and the bit stream; return the offset after them.

    `codes` is 2 x residuals of uint64 scratch. A decoder runs forwards, so the states run backwards:
    each residual's bits are noted first, and packed in order afterwards.
    """
    count = residuals.size
    # Four named states, as in the decoder: an array of them would go through memory.
    state_a = np.uint64(STATE_COUNT)
    state_b = np.uint64(STATE_COUNT)
    state_c = np.uint64(STATE_COUNT)
    state_d = np.uint64(STATE_COUNT)
    for k in range(count):
        i = count - 1 - k
        token, raw_bits, raw = split_residual(residuals[i])
        symbol = 2 * (model * TOKEN_COUNT + token)
        frequency = np.uint64(symbols[symbol])
        lane = i & 3
        state = state_a
        if lane == 1:
            state = state_b
        elif lane == 2:
            state = state_c
        elif lane == 3:
            state = state_d
        # The state sheds bits until it lies in [frequency, 2 x frequency).
        state_bits = bit_length(state) - bit_length(frequency)
        if (state >> np.uint64(state_bits)) < frequency:
            state_bits -= 1
        codes[2 * i] = low_bits(state, state_bits) | (raw << np.uint64(state_bits))
        codes[2 * i + 1] = np.uint64(state_bits + raw_bits)
        rank = np.int64((state >> np.uint64(state_bits)) - frequency)
        state = np.uint64(states[symbols[symbol + 1] + rank]) + np.uint64(STATE_COUNT)
        if lane == 0:
            state_a = state
        elif lane == 1:
            state_b = state
        elif lane == 2:
            state_c = state
        else:
            state_d = state
    offset = _write_state(data, offset, state_a)
    offset = _write_state(data, offset, state_b)
    offset = _write_state(data, offset, state_c)
    offset = _write_state(data, offset, state_d)
    pending = np.uint64(0)
    pending_count = 0
    for i in range(count):
        offset, pending, pending_count = append_bits(
            data, offset, pending, pending_count, codes[2 * i], np.int64(codes[2 * i + 1])
        )
    return flush_bits(data, offset, pending, pending_count)


@inner
def _write_state(data, offset, state):
    low = state - np.uint64(STATE_COUNT)
    data[offset] = np.uint8(low & np.uint64(255))
    data[offset + 1] = np.uint8(low >> np.uint64(8))
    return offset + 2


@inner
def _read_state(data, offset):
    return np.uint64(data[offset]) | (np.uint64(data[offset + 1]) << np.uint64(8))


@inner
def _step(word, entry):
    """Return (next state, the word without the bits taken)."""
    state_bits = entry & np.uint64(255)
    state = (entry >> np.uint64(20)) + (word & ((np.uint64(1) << state_bits) - np.uint64(1)))
    return state, word >> state_bits


@inner
def _direct(entry):
    return np.int64((entry >> np.uint64(8)) & np.uint64(511)) + DIRECT_MIN


@inner
def _step_escaped(data, last, position, entry):
    """Return (residual, next state, position) of a residual that may have raw bits."""
    word = load_word(data, min(position >> np.uint64(3), last)) >> (position & np.uint64(7))
    state_bits = entry & np.uint64(255)
    token = np.int64((entry >> np.uint64(8)) & np.uint64(511))
    raw_bits = np.uint64(token_raw_bits(token))
    raw = (word >> state_bits) & ((np.uint64(1) << raw_bits) - np.uint64(1))
    residual = _residual_base(token, raw_bits) + np.int64(raw)
    state, _ = _step(word, entry)
    return residual, state, position + state_bits + raw_bits


@inner
def decode_residuals(data, offset, end, table, start, step, values):
    """Decode `values.size` residuals into running sums; return the offset after them, or MALFORMED.

    values[i] = values[i - 1] + step + residual[i], with values[-1] = start. Needs end + 8 <= data.size.
    The sum is part of this loop because it is nearly free here; a column that is not a sum of its
    residuals is derived from it afterwards.
    """
    if offset < 0 or end - offset < 2 * LANE_COUNT or end > data.size - 8:
        return MALFORMED
    a = _read_state(data, offset)
    b = _read_state(data, offset + 2)
    c = _read_state(data, offset + 4)
    d = _read_state(data, offset + 6)
    if max(max(a, b), max(c, d)) >= np.uint64(STATE_COUNT):
        return MALFORMED
    position = np.uint64(offset + 8) << np.uint64(3)
    last = np.uint64(end)
    value = np.int64(start)
    count = np.uint64(values.size)
    i = np.uint64(0)
    # States stay below STATE_COUNT by the table's construction, and a position past `end` reads at
    # `end`: a rotten stream gives wrong values, which the checks below and the checksum tell.
    while i + np.uint64(4) <= count:
        ea = np.uint64(table[a])
        eb = np.uint64(table[b])
        ec = np.uint64(table[c])
        ed = np.uint64(table[d])
        if (ea | eb | ec | ed) & _ESCAPE == np.uint64(0):
            word = load_word(data, min(position >> np.uint64(3), last)) >> (position & np.uint64(7))
            position += (
                (ea & np.uint64(255)) + (eb & np.uint64(255)) + (ec & np.uint64(255)) + (ed & np.uint64(255))
            )
            a, word = _step(word, ea)
            b, word = _step(word, eb)
            c, word = _step(word, ec)
            d, word = _step(word, ed)
            value += step + _direct(ea)
            values[i] = value
            value += step + _direct(eb)
            values[i + np.uint64(1)] = value
            value += step + _direct(ec)
            values[i + np.uint64(2)] = value
            value += step + _direct(ed)
            values[i + np.uint64(3)] = value
        else:
            residual, a, position = _step_escaped(data, last, position, ea)
            value += step + residual
            values[i] = value
            residual, b, position = _step_escaped(data, last, position, eb)
            value += step + residual
            values[i + np.uint64(1)] = value
            residual, c, position = _step_escaped(data, last, position, ec)
            value += step + residual
            values[i + np.uint64(2)] = value
            residual, d, position = _step_escaped(data, last, position, ed)
            value += step + residual
            values[i + np.uint64(3)] = value
        i += np.uint64(4)
    while i < count:
        residual, a, position = _step_escaped(data, last, position, np.uint64(table[a]))
        value += step + residual
        values[i] = value
        # The lanes turn, so that the next residual's state is always `a`.
        a, b, c, d = b, c, d, a
        i += np.uint64(1)
    behind = np.int64((position + np.uint64(7)) >> np.uint64(3))
    if behind > end or (a | b | c | d) != np.uint64(0):
        return MALFORMED
    return behind
