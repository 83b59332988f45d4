"""Models of tokens, which the blocks of a chunk share: stored as frequencies, and made into tables.

A model is one frequency a token, summing to STATE_COUNT. entropy.py codes by any, prefix.py by those whose
frequencies are powers of two.

A decode table is TABLE_SIZE words: entropy.py's entry of each state, then prefix.py's of each window.
"""

import numpy as np

from ..arrays import Int64Array, UInt8Array, UInt16Array, UInt32Array
from ..compiler.jit import inner, kernel
from ..numbers.bits import read_varint, write_varint
from ..status import MALFORMED, OK
from .entropy import STATE_COUNT, TOKEN_COUNT, TOKEN_MAX, fill_states, fill_symbols
from .prefix import WINDOW_COUNT, fill_codes, fill_windows

TABLE_SIZE = STATE_COUNT + WINDOW_COUNT


@inner
def state_table(tables, model):
    """The entries of each state of a model."""
    return tables[model * TABLE_SIZE : model * TABLE_SIZE + STATE_COUNT]


@inner
def window_table(tables, model):
    """The entries of each window of a model."""
    return tables[model * TABLE_SIZE + STATE_COUNT : (model + 1) * TABLE_SIZE]


@kernel
def build_decode_tables(frequencies: UInt16Array, occurrences: Int64Array, tables: UInt32Array) -> int:
    """Fill models x TABLE_SIZE entries; `occurrences` is TOKEN_COUNT of scratch.

    Returns OK, or MALFORMED where a model's frequencies do not sum to STATE_COUNT.
    """
    for model in range(frequencies.size // TOKEN_COUNT):
        own = frequencies[model * TOKEN_COUNT : (model + 1) * TOKEN_COUNT]
        total = np.int64(0)
        for t in range(TOKEN_COUNT):
            total += own[t]
            if own[t] > 0 and t > TOKEN_MAX:
                return MALFORMED
        if total != STATE_COUNT:
            return MALFORMED
        fill_states(own, occurrences, state_table(tables, model))
        fill_windows(own, window_table(tables, model))
    return OK


@kernel
def build_encode_tables(
    frequencies: UInt16Array,
    prefix_first: int,
    scratch: UInt32Array,
    symbols: Int64Array,
    states: UInt16Array,
) -> int:
    """Fill what encoders need; returns OK. From the model `prefix_first` on all are for prefix codes.

    `symbols` is models x TOKEN_COUNT x 2: what fill_symbols or fill_codes tells of a token; `states` is
    models x STATE_COUNT; `scratch` is STATE_COUNT long.
    """
    for model in range(frequencies.size // TOKEN_COUNT):
        own = frequencies[model * TOKEN_COUNT : (model + 1) * TOKEN_COUNT]
        own_symbols = symbols[2 * model * TOKEN_COUNT : 2 * (model + 1) * TOKEN_COUNT]
        if model < prefix_first:
            fill_symbols(own, model * STATE_COUNT, scratch, own_symbols, states)
        else:
            fill_codes(own, own_symbols)
    return OK


@kernel
def decode_frequencies(data: UInt8Array, frequencies: UInt16Array) -> int:
    """Read models written by `encode_frequencies` into models x TOKEN_COUNT; returns OK or MALFORMED."""
    offset = 0
    for i in range(frequencies.size):
        frequencies[i] = 0
    for model in range(frequencies.size // TOKEN_COUNT):
        total = 0
        token = -1
        while total < STATE_COUNT:
            gap, offset = read_varint(data, offset, data.size)
            frequency, offset = read_varint(data, offset, data.size)
            if offset < 0 or gap >= np.uint64(TOKEN_MAX - token):
                return MALFORMED
            if not np.uint64(1) <= frequency <= np.uint64(STATE_COUNT - total):
                return MALFORMED
            token += np.int64(gap) + 1
            total += np.int64(frequency)
            frequencies[model * TOKEN_COUNT + token] = frequency
    return OK if offset == data.size else MALFORMED


@kernel
def encode_frequencies(frequencies: UInt16Array, data: UInt8Array) -> int:
    """Write (tokens skipped, frequency) as varints, model after model; return the byte count."""
    offset = 0
    for model in range(frequencies.size // TOKEN_COUNT):
        behind_last = 0
        for token in range(TOKEN_COUNT):
            frequency = frequencies[model * TOKEN_COUNT + token]
            if frequency > 0:
                offset = write_varint(data, offset, np.uint64(token - behind_last))
                offset = write_varint(data, offset, np.uint64(frequency))
                behind_last = token + 1
    return offset
