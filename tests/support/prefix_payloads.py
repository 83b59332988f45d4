"""Integer columns in prefix codes: as kernels write them, and read as documented, in plain Python."""

import numpy as np

from smartdata_ts.kernels.arrays import Int64Array, UInt8Array
from smartdata_ts.kernels.codec.entropy import STATE_COUNT, TOKEN_COUNT
from smartdata_ts.kernels.codec.integers import CARRY_FLAG, PREFIX
from smartdata_ts.kernels.codec.models import TABLE_SIZE, build_decode_tables, build_encode_tables
from smartdata_ts.kernels.codec.prefix import encode_tokens, normalize_prefix_counts, token_of
from smartdata_ts.kernels.compiler.jit import kernel
from smartdata_ts.kernels.status import OK
from support.integer_columns import header, zigzag


@kernel
def write(residuals: Int64Array, model: int, symbols: Int64Array, escape_width: int, data: UInt8Array) -> int:
    return encode_tokens(residuals, model, symbols, escape_width, data, 0)


@kernel
def tokens_of(residuals: Int64Array, tokens: Int64Array) -> int:
    for i in range(residuals.size):
        tokens[i] = token_of(residuals[i])
    return OK


# -- written


def counts_from(by_token: dict[int, int]) -> np.ndarray:
    counts = np.zeros(TOKEN_COUNT, np.int64)
    counts[list(by_token)] = list(by_token.values())
    return counts


def token_counts(residuals) -> np.ndarray:
    source = np.array(residuals, np.int64)
    tokens = np.empty_like(source)
    tokens_of(source, tokens)
    return np.bincount(tokens, minlength=TOKEN_COUNT)


def model_of(counts: np.ndarray) -> np.ndarray:
    frequencies = np.full(counts.size, 7, np.uint16)
    assert normalize_prefix_counts(counts.astype(np.int64), frequencies) == OK
    return frequencies


def tables_of(*models: np.ndarray) -> np.ndarray:
    tables = np.empty(len(models) * TABLE_SIZE, np.uint32)
    assert build_decode_tables(np.concatenate(models), np.empty(TOKEN_COUNT, np.int64), tables) == OK
    return tables


def payload(residuals, models, model=0, line=(True, 0, 0, 1), width=None) -> bytes:
    """An integer column: `line` tells whether it has a carry, its start, its step, and its unit."""
    source, frequencies = np.array(residuals, np.int64), np.concatenate(models)
    symbols, states = np.empty(2 * frequencies.size, np.int64), np.empty(0, np.uint16)
    build_encode_tables(frequencies, 0, np.empty(STATE_COUNT, np.uint32), symbols, states)
    if width is None:
        width = max((zigzag(r).bit_length() for r in residuals if not -64 <= r < 191), default=0)
    data = np.zeros(12 * source.size + 80, np.uint8)
    size = write(source, model, symbols, width, data)
    carry, *numbers = line
    return header(PREFIX | CARRY_FLAG * carry, *numbers) + bytes([model]) + data[:size].tobytes()


# -- read


def codes_of(frequencies: np.ndarray) -> dict[str, int]:
    """The token of each code, a code being the string of its bits as they stand in the stream."""
    codes, slot = {}, 0
    used = [(int(n), token) for token, n in enumerate(frequencies) if n > 0]
    for frequency, token in sorted(used, key=lambda pair: (-pair[0], pair[1])):
        length = 12 - frequency.bit_length()
        codes[f"{slot:011b}"[:length]] = token
        slot += frequency
    return codes


class Stream:
    """Bytes, and the next bit of them."""

    def __init__(self, content: bytes) -> None:
        self.content, self.word, self.at = content, int.from_bytes(content, "little"), 0

    def bits(self, count: int) -> int:
        word = self.word >> self.at & (1 << count) - 1
        self.at += count
        assert self.at <= 8 * len(self.content)
        return word

    def varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self.bits(8)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def token(self, codes: dict[str, int]) -> int:
        code = ""
        while code not in codes:
            code += str(self.bits(1))
        return codes[code]


def unzigzag(code: int) -> int:
    return code // 2 if code % 2 == 0 else -(code + 1) // 2


def int64(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def token_streams(stream: Stream, count: int, codes: dict[str, int]) -> tuple[list[int], list[int]]:
    """The tokens of four streams, and the residuals that stand apart."""
    sizes = [stream.varint() for _ in range(4)]
    escape_count, width = stream.varint(), stream.bits(8)
    length = -(-count // 4)
    tokens = []
    for k, size in enumerate(sizes):
        own = Stream(stream.content[stream.at // 8 : stream.at // 8 + size])
        tokens += [own.token(codes) for _ in range(min(k * length, count), min((k + 1) * length, count))]
        assert size == -(-own.at // 8), "no byte more than the codes take"
        stream.at += 8 * size
    return tokens, [unzigzag(stream.bits(width)) for _ in range(escape_count)]


def naive_tokens(content: bytes, count: int, models: list[np.ndarray]) -> list[int]:
    stream = Stream(content)
    stream.bits(8)
    for _ in range(3):
        stream.varint()
    return token_streams(stream, count, codes_of(models[stream.bits(8)]))[0]


def naive_values(content: bytes, count: int, models: list[np.ndarray]) -> list[int]:
    stream = Stream(content)
    head = stream.bits(8)
    assert head & 15 == PREFIX
    value, step, unit = unzigzag(stream.varint()), unzigzag(stream.varint()), stream.varint()
    tokens, escapes = token_streams(stream, count, codes_of(models[stream.bits(8)]))
    assert stream.at <= 8 * len(content) < stream.at + 8
    values = []
    for token in tokens:
        residual = escapes.pop(0) if token == 255 else token - 64
        value = int64((value if head & CARRY_FLAG else 0) + step + unit * residual)
        values.append(value)
    assert escapes == []
    return values
