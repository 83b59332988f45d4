"""Series keys in text to small codes, by an open-addressing hash table in the caller's arrays.

Key c is key_bytes[key_stops[c] : key_stops[c + 1]], codes count from 0 in order of appearance.
`slots` holds codes, or -1; its size is a power of two and at most half of it is used.
`successors[c]` is the code that last followed c: files come sorted by series, or by time with all
series in the same order, and in both the guess is right nearly always and saves the hashing.
"""

import numpy as np

from ..arrays import Int32Array, Int64Array, UInt8Array
from ..compiler.jit import inner, kernel
from ..numbers.bits import load_word
from .status import EMPTY_KEY, OK, UNREADABLE_KEY, ZERO_KEY

# Places in the state.
KEY_COUNT = 0
LAST_CODE = 1
NEXT_ROW = 2
STATE_SIZE = 3

# Codes of rows without a key.
NO_KEY = -1
NO_TEXT = -2
ZERO_BYTE = -3


@inner
def _equals(buffer, start, size, key_bytes, key_stops, code):
    key_start = key_stops[code]
    if key_stops[code + 1] - key_start != size:
        return False
    if size < 8:
        for i in range(size):
            if buffer[start + i] != key_bytes[key_start + i]:
                return False
        return True
    # Words; the last one may overlap the one before.
    for i in range(0, size - 7, 8):
        if load_word(buffer, np.uint64(start + i)) != load_word(key_bytes, np.uint64(key_start + i)):
            return False
    i = size - 8
    return load_word(buffer, np.uint64(start + i)) == load_word(key_bytes, np.uint64(key_start + i))


@inner
def hash_bytes(buffer, start, size):
    """FNV-1a over bytes, its high half folded in."""
    code = np.uint64(14695981039346656037)
    for i in range(size):
        code = (code ^ np.uint64(buffer[start + i])) * np.uint64(1099511628211)
    return np.int64((code ^ (code >> np.uint64(32))) & np.uint64(0x7FFFFFFF))


@inner
def _find_slot(buffer, start, size, slots, key_stops, key_bytes):
    """The slot that holds the key, or the free one where it belongs."""
    mask = slots.size - 1
    slot = hash_bytes(buffer, start, size) & mask
    for _ in range(slots.size):
        code = slots[slot]
        if code < 0 or _equals(buffer, start, size, key_bytes, key_stops, code):
            break
        slot = (slot + 1) & mask
    return slot


@kernel
def encode_keys(
    buffer: UInt8Array,
    spans: Int32Array,
    slots: Int32Array,
    key_stops: Int64Array,
    successors: Int32Array,
    key_bytes: UInt8Array,
    state: Int64Array,
    codes: Int32Array,
) -> int:
    """Fill `codes` from state[NEXT_ROW] on; return the row that was reached.

    An empty span gets the code NO_KEY. Stops before a row for whose key `slots`, `key_stops` or
    `key_bytes` has no room: the caller makes more and calls again.
    """
    key_count = state[KEY_COUNT]
    last = state[LAST_CODE]
    row = state[NEXT_ROW]
    while row < codes.size:
        start = np.int64(spans[2 * row])
        size = np.int64(spans[2 * row + 1]) - start
        if size <= 0 or start < 0 or start + size > buffer.size:
            codes[row] = NO_KEY
            row += 1
            continue
        code = np.int64(successors[last]) if last >= 0 else np.int64(-1)
        if code < 0 or not _equals(buffer, start, size, key_bytes, key_stops, code):
            slot = _find_slot(buffer, start, size, slots, key_stops, key_bytes)
            code = np.int64(slots[slot])
            if code < 0:
                used = key_stops[key_count]
                if 2 * (key_count + 1) > slots.size or used + size > key_bytes.size:
                    break
                code = key_count
                for i in range(size):
                    key_bytes[used + i] = buffer[start + i]
                key_stops[code + 1] = used + size
                successors[code] = code
                slots[slot] = code
                key_count += 1
            if last >= 0:
                successors[last] = code
        codes[row] = code
        last = code
        row += 1
    state[KEY_COUNT] = key_count
    state[LAST_CODE] = last
    state[NEXT_ROW] = row
    return row


@kernel
def rebuild_slots(key_bytes: UInt8Array, key_stops: Int64Array, key_count: int, slots: Int32Array) -> int:
    """Enter the keys into fresh `slots`, all -1; return the key count."""
    mask = slots.size - 1
    for code in range(key_count):
        start = key_stops[code]
        slot = hash_bytes(key_bytes, start, key_stops[code + 1] - start) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = code
    return key_count


@kernel
def mark_rows(codes: Int32Array, statuses: UInt8Array) -> int:
    """Set the status of rows that were OK and have no code but NO_KEY or the like; return how many."""
    marked = 0
    for row in range(codes.size):
        if codes[row] < 0 and statuses[row] == OK:
            if codes[row] == NO_KEY:
                statuses[row] = EMPTY_KEY
            else:
                statuses[row] = ZERO_KEY if codes[row] == ZERO_BYTE else UNREADABLE_KEY
            marked += 1
    return marked
