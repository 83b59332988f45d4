"""One block of a uint8 column of quality codes.

empty           every code is 0, which means measured
byte 0 = 1      runs: (code byte, varint length >= 1) until the count is reached
byte 0 = 2      one byte a code
"""

from ..compiler.jit import inner
from ..numbers.bits import read_varint, write_varint
from ..status import MALFORMED

RUNS = 1
PLAIN = 2


@inner
def write_qualities(qualities, data, offset):
    """Write one block, the shorter way; return the offset after it. Needs 3 bytes a code of room."""
    run_count = 1
    any_set = qualities[0] != 0
    for i in range(1, qualities.size):
        if qualities[i] != qualities[i - 1]:
            run_count += 1
            any_set = True
    if not any_set:
        return offset
    if 3 * run_count > qualities.size:
        data[offset] = PLAIN
        for i in range(qualities.size):
            data[offset + 1 + i] = qualities[i]
        return offset + 1 + qualities.size
    data[offset] = RUNS
    offset += 1
    first = 0
    for i in range(1, qualities.size + 1):
        if i == qualities.size or qualities[i] != qualities[first]:
            data[offset] = qualities[first]
            offset = write_varint(data, offset + 1, i - first)
            first = i
    return offset


@inner
def read_qualities(data, offset, end, qualities):
    """Fill `qualities`; return the offset after the block, or MALFORMED."""
    if offset == end:
        qualities[:] = 0
        return offset
    if not 0 <= offset < end or end > data.size:
        return MALFORMED
    form = data[offset]
    offset += 1
    if form == PLAIN and end - offset >= qualities.size:
        for i in range(qualities.size):
            qualities[i] = data[offset + i]
        return offset + qualities.size
    if form != RUNS:
        return MALFORMED
    filled = 0
    while filled < qualities.size:
        if offset >= end:
            return MALFORMED
        code = data[offset]
        length, offset = read_varint(data, offset + 1, end)
        if offset < 0 or not 1 <= length <= qualities.size - filled:
            return MALFORMED
        for i in range(filled, filled + int(length)):
            qualities[i] = code
        filled += int(length)
    return offset
