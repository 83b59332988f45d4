"""Read a chunk of a store without smartdata_ts: docs/format.md in Python, for the plainest of readers.

    python examples/read_chunk.py STORE.sdts/chunks/NAME.arrow

prints series key, time (us UTC), value, quality and commit of every reading. Nothing but NumPy and PyArrow is
needed, and they only open the file. A corrupt chunk raises ValueError.
"""

import base64
import struct
import sys
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

WORD = (1 << 64) - 1
STATE_COUNT = 2048
Model = dict[int, int]  # the frequency of each token


def read_chunk(path: str) -> Iterator[tuple[str, list[int], list[float], list[int], list[int]]]:
    """Yield (series key, times, values, qualities, commits) of each block."""
    batch, models = open_chunk(path)
    names = ("key", "count", "checksum", "commit_min", "times", "values", "qualities", "commits")
    for row in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
        key, count, checksum, commit, times, values, qualities, commits = row
        if xxh64(commits, xxh64(qualities, xxh64(values, xxh64(times, 0)))) != checksum:
            raise ValueError("a block's checksum is wrong")
        yield (
            key,
            read_integers(Bytes(times), count, models),
            read_floats(Bytes(values), count, models),
            read_qualities(Bytes(qualities), count),
            read_integers(Bytes(commits), count, models) if commits else count * [commit],
        )


def open_chunk(path: str) -> tuple[pa.RecordBatch, list[Model]]:
    """Return the record batch, one row a block, and the entropy models, all checked."""
    with pa.memory_map(path) as source:
        batch = pa.ipc.open_file(source).get_batch(0)
    metadata = {name.decode(): text.decode() for name, text in batch.schema.metadata.items()}
    if metadata["smartdata_ts.format"] != "chunk" or metadata["smartdata_ts.version"] not in ("1", "2"):
        raise ValueError("not a chunk of format version 1 or 2")
    packed = base64.b64decode(metadata["smartdata_ts.models"])
    digest = xxh64(packed, 0)
    summaries = [column for column in batch.columns if column.type not in (pa.string(), pa.binary())]
    for column in summaries:
        width = column.type.bit_width // 8
        first = column.offset * width
        digest = xxh64(column.buffers()[1].to_pybytes()[first : first + len(column) * width], digest)
    keys = [key.encode() for key in batch.column("key").to_pylist()]
    digest = xxh64(b"".join(struct.pack("<I", len(key)) + key for key in keys), digest)
    if digest != int(metadata["smartdata_ts.checksum"], 16):
        raise ValueError("the checksum of the summaries is wrong")
    return batch, read_models(packed, int(metadata["smartdata_ts.model_count"]))


class Bytes:
    """A payload, read from its begin onwards; bits are taken from the lowest of each byte."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.bit = 0

    def bits(self, width: int) -> int:
        first = self.bit // 8
        word = int.from_bytes(self.data[first : (self.bit + width + 7) // 8], "little")
        self.bit += width
        if self.bit > 8 * len(self.data):
            raise ValueError("a payload is cut short")
        return (word >> (self.bit - width) % 8) & ((1 << width) - 1)

    def align(self) -> None:
        self.bit = (self.bit + 7) // 8 * 8

    def byte(self) -> int:
        return self.bits(8)

    def varint(self) -> int:
        value = 0
        for k in range(10):
            byte = self.byte()
            value |= (byte & 127) << 7 * k
            if byte < 128:
                return value & WORD
        raise ValueError("a varint has no end")


def int64(word: int) -> int:
    """Wrap to 64 bits, signed."""
    return ((word + (1 << 63)) & WORD) - (1 << 63)


def double(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bits & WORD))[0]


def unzigzag(code: int) -> int:
    return (code >> 1) ^ -(code & 1)


# -- columns


def read_integers(data: Bytes, count: int, models: list[Model]) -> list[int]:
    head = data.byte()
    codec, carry = head & ~16, bool(head & 16)
    if codec == 2:  # RAW
        return [int64(data.bits(64)) for _ in range(count)]
    value, step, unit = unzigzag(data.varint()), unzigzag(data.varint()), data.varint()
    if codec == 0:  # LINEAR
        residuals = read_exceptions(data, count)
    elif codec == 1:  # ENTROPY
        residuals = read_residuals(data, count, decode_table(models[data.byte()]))
    elif codec == 3:  # PREFIX, since version 2
        residuals = read_prefixed(data, count, prefix_codes(models[data.byte()]))
    else:
        raise ValueError("an integer codec is unknown")
    values = []
    for residual in residuals:
        value = int64((value if carry else 0) + step + unit * residual)
        values.append(value)
    return values


def read_exceptions(data: Bytes, count: int) -> list[int]:
    residuals = [0] * count
    exception_count = data.varint()
    if exception_count == 0:
        return residuals
    position_width, residual_width = data.byte(), data.byte()
    i = -1
    for _ in range(exception_count):
        i += 1 + data.bits(position_width)
        residuals[i] = unzigzag(data.bits(residual_width))
    data.align()
    return residuals


def read_residuals(data: Bytes, count: int, table: list[tuple[int, int, int]]) -> list[int]:
    states = [data.bits(16) for _ in range(4)]
    residuals = []
    for i in range(count):
        state_bits, token, base = table[states[i % 4]]
        states[i % 4] = base + data.bits(state_bits)
        if token < 256:
            residuals.append(token - 64)
        else:
            k = (token - 256) // 2
            raw = data.bits(k)
            residuals.append(raw + (1 << k) if token % 2 == 0 else raw + 1 - (2 << k))
    data.align()
    if any(states):
        raise ValueError("an entropy code does not end as it should")
    return residuals


def read_prefixed(data: Bytes, count: int, codes: dict[tuple[int, int], int]) -> list[int]:
    sizes = [data.varint() for _ in range(4)]
    escape_count, width = data.varint(), data.byte()
    length = (count + 3) // 4
    tokens: list[int] = []
    for k, size in enumerate(sizes):
        begin = data.bit
        for _ in range(k * length, min((k + 1) * length, count)):
            code, bits = 0, 0
            while (code, bits) not in codes:
                if bits == 11:
                    raise ValueError("a prefix code is unknown")
                code |= data.bits(1) << bits
                bits += 1
            tokens.append(codes[code, bits])
        if data.bit > begin + 8 * size:
            raise ValueError("a stream is longer than it says")
        data.bit = begin + 8 * size
    escapes = [unzigzag(data.bits(width)) for _ in range(escape_count)]
    data.align()
    if tokens.count(255) != escape_count:
        raise ValueError("escapes are not as many as tokens say")
    return [escapes.pop(0) if token == 255 else token - 64 for token in tokens]


def read_floats(data: Bytes, count: int, models: list[Model]) -> list[float]:
    form = data.byte()
    if form == 3:  # PLAIN
        return [double(data.bits(64)) for _ in range(count)]
    if form == 1:  # DECIMAL
        power = 10.0 ** data.byte()
        odd = {}
        i = -1
        for _ in range(data.varint()):
            i += 1 + data.varint()
            odd[i] = double(data.bits(64))
        mantissas = read_integers(data, count, models)
        return [odd[i] if i in odd else mantissas[i] / power for i in range(count)]
    if form != 2:  # SPLIT
        raise ValueError("a form of values is unknown")
    zeros, width = data.byte(), data.byte()
    low = [data.bits(width) for _ in range(count)]
    data.align()
    high = read_integers(data, count, models)
    return [double((high[i] << width | low[i]) << zeros) for i in range(count)]


def read_qualities(data: Bytes, count: int) -> list[int]:
    if not data.data:
        return [0] * count
    if data.byte() == 2:  # PLAIN
        return [data.byte() for _ in range(count)]
    qualities: list[int] = []
    while len(qualities) < count:  # RUNS
        code = data.byte()
        qualities += [code] * data.varint()
    return qualities


# -- entropy models


def read_models(packed: bytes, model_count: int) -> list[Model]:
    data = Bytes(packed)
    models = []
    for _ in range(model_count):
        frequencies: dict[int, int] = {}
        token = -1
        while sum(frequencies.values()) < STATE_COUNT:
            token += 1 + data.varint()
            frequencies[token] = data.varint()
        models.append(frequencies)
    return models


def prefix_codes(frequencies: Model) -> dict[tuple[int, int], int]:
    """The token of each code, which is told by its bits and their count."""
    codes = {}
    slot = 0
    for token in sorted(frequencies, key=lambda token: (-frequencies[token], token)):
        bits = 12 - frequencies[token].bit_length()
        codes[int(f"{slot:011b}"[::-1], 2), bits] = token
        slot += frequencies[token]
    return codes


def decode_table(frequencies: Model) -> list[tuple[int, int, int]]:
    tokens = [0] * STATE_COUNT
    state = 0
    for token in sorted(frequencies):
        for _ in range(frequencies[token]):
            tokens[state] = token
            state = (state + 1283) % STATE_COUNT
    occurrences = dict(frequencies)
    table = []
    for token in tokens:
        occurrence = occurrences[token]
        occurrences[token] += 1
        state_bits = 12 - occurrence.bit_length()
        table.append((state_bits, token, (occurrence << state_bits) - STATE_COUNT))
    return table


# -- checksums

PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def rotate(word: int, count: int) -> int:
    word &= WORD
    return (word << count | word >> (64 - count)) & WORD


def xxh64(data: bytes, seed: int) -> int:
    p1, p2, p3, p4, p5 = PRIMES

    def mixed(lane: int, word: int) -> int:
        return rotate(lane + word * p2, 31) * p1 & WORD

    stripes = len(data) // 32 * 32
    digest = seed + p5
    if stripes:
        lanes = [seed + p1 + p2, seed + p2, seed, seed - p1]
        for words in struct.iter_unpack("<4Q", data[:stripes]):
            lanes = [mixed(lane, word) for lane, word in zip(lanes, words, strict=True)]
        digest = sum(rotate(lane, count) for lane, count in zip(lanes, (1, 7, 12, 18), strict=True))
        for lane in lanes:
            digest = ((digest ^ mixed(0, lane)) * p1 + p4) & WORD
    digest = (digest + len(data)) & WORD
    rest = data[stripes:]
    while len(rest) >= 8:
        digest = (rotate(digest ^ mixed(0, int.from_bytes(rest[:8], "little")), 27) * p1 + p4) & WORD
        rest = rest[8:]
    if len(rest) >= 4:
        digest = (rotate(digest ^ int.from_bytes(rest[:4], "little") * p1 & WORD, 23) * p2 + p3) & WORD
        rest = rest[4:]
    for byte in rest:
        digest = rotate(digest ^ byte * p5 & WORD, 11) * p1 & WORD
    digest = (digest ^ digest >> 33) * p2 & WORD
    digest = (digest ^ digest >> 29) * p3 & WORD
    return digest ^ digest >> 32


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for key, *columns in read_chunk(sys.argv[1]):
        for time, value, quality, commit in zip(*columns, strict=True):
            print(key, time, np.format_float_positional(value, trim="0"), quality, commit)
