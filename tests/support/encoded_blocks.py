"""Readings encoded into blocks and decoded again, without a file between; what codec tests share."""

import importlib.util
import os
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from smartdata_ts._storage import codec
from smartdata_ts.kernels.codec.blocks import DESCRIPTOR_FIELDS, EncodedBlocks, ReadingColumns, read_blocks
from support.places import ROOT, TESTS

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
IS_PYTHON = os.environ.get("NUMBA_DISABLE_JIT") == "1"
BLOCK_SIZE_MAX = 300 if IS_PYTHON else codec.BLOCK_READINGS_MAX
GOLDEN = [TESTS / "golden" / f"chunk-v{version}.arrow" for version in (1, 2)]


def examples(count: int) -> settings:
    """A Hypothesis profile; plain Python is slow."""
    return settings(max_examples=max(count // 10, 10) if IS_PYTHON else count, deadline=None)


def example_reader() -> ModuleType:
    """examples/read_chunk.py, which knows nothing of the package, as a module."""
    path = ROOT / "examples" / "read_chunk.py"
    spec = importlib.util.spec_from_file_location("read_chunk", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass
class Blocks:
    """Encoded blocks in memory, as they would lie in a file."""

    data: np.ndarray
    descriptors: np.ndarray
    tables: np.ndarray
    reading_count: int
    models: bytes
    model_count: int

    @property
    def encoded(self) -> EncodedBlocks:
        """The blocks as kernels take them."""
        return EncodedBlocks(self.data, self.descriptors, self.tables)

    def payload(self, block: int, column: int) -> bytes:
        """The bytes of a block's times (0), values (1) or qualities (2)."""
        first, end = self.descriptors.reshape(-1, DESCRIPTOR_FIELDS)[block, 2 + 2 * column : 4 + 2 * column]
        return self.data[first:end].tobytes()

    def decode(self, time_min: int = INT64_MIN, time_max: int = INT64_MAX):
        """Return (status, slots, times, values, qualities); the columns hold what is kept."""
        scratch = np.empty(codec.BLOCK_READINGS_MAX, np.int64)
        slots = np.empty(self.reading_count, np.int32)
        times = np.empty(self.reading_count, np.int64)
        values = np.empty(self.reading_count)
        qualities = np.empty(self.reading_count, np.uint8)
        columns = ReadingColumns(times, values, qualities)
        kept = read_blocks(self.encoded, time_min, time_max, scratch, slots, columns)
        return (kept, *(column[: max(kept, 0)] for column in (slots, times, values, qualities)))


def encode(times, values, qualities=None, starts=None) -> Blocks:
    times = np.asarray(times, np.int64)
    values = np.asarray(values, np.float64)
    qualities = np.zeros(times.size, np.uint8) if qualities is None else np.asarray(qualities, np.uint8)
    if starts is None:
        starts = codec.split_blocks(np.array([0, times.size]))
    starts = np.asarray(starts, np.int64)
    encoded = codec.encode_blocks(times, values, qualities, starts)
    columns = (encoded.times, encoded.values, encoded.qualities)
    descriptors = np.zeros((starts.size - 1, DESCRIPTOR_FIELDS), np.int64)
    descriptors[:, 1] = np.diff(starts)
    base = 0
    for k, column in enumerate(columns):
        ends = base + np.cumsum(column.sizes)
        descriptors[:, 2 + 2 * k] = ends - column.sizes
        descriptors[:, 3 + 2 * k] = ends
        base += column.data.size
    slack = np.zeros(codec.SLACK_SIZE, np.uint8)
    return Blocks(
        data=np.concatenate([*(column.data for column in columns), slack]),
        descriptors=descriptors.reshape(-1),
        tables=codec.decode_tables(encoded.models, encoded.model_count),
        reading_count=times.size,
        models=encoded.models,
        model_count=encoded.model_count,
    )


def assert_round_trip(times, values, qualities=None, starts=None) -> Blocks:
    blocks = encode(times, values, qualities, starts)
    kept, _, decoded_times, decoded_values, decoded_qualities = blocks.decode()
    assert kept == blocks.reading_count
    assert np.array_equal(decoded_times, times)
    assert np.array_equal(bits_of(decoded_values), bits_of(values))
    assert np.array_equal(decoded_qualities, np.zeros(len(times)) if qualities is None else qualities)
    return blocks


def bits_of(values) -> np.ndarray:
    return np.ascontiguousarray(values, np.float64).view(np.uint64)


def double_of(bits: int) -> float:
    return float(np.array([bits], np.uint64).view(np.float64)[0])


# -- strategies

odd_bits = st.sampled_from(
    [
        0x7FF8000000000000,  # quiet NaN
        0xFFF8000000000000,
        0x7FF8DEADBEEF0001,  # with a payload
        0x7FF0000000000001,  # signalling
        0xFFF7FFFFFFFFFFFF,
        0x7FF0000000000000,  # infinities
        0xFFF0000000000000,
        0x8000000000000000,  # -0.0
        0x0000000000000001,  # subnormals
        0x800FFFFFFFFFFFFF,
        0x0010000000000000,  # the smallest normal
        0x7FEFFFFFFFFFFFFF,  # the largest
        0x4340000000000000,  # 2^53
        0xC340000000000000,
    ]
)
decimals = st.builds(lambda m, e: m / 10.0**e, st.integers(-(10**6), 10**6), st.integers(0, 15))
doubles_as_bits = st.one_of(
    odd_bits,
    st.integers(0, 2**64 - 1),
    st.one_of(
        decimals,
        st.integers(-(2**53), 2**53).map(float),
        st.floats(width=32),
        st.floats(),
    ).map(lambda value: int(bits_of([value])[0])),
)


@st.composite
def doubles(draw, size: int) -> np.ndarray:
    """A column of one kind, strewn with a few of another."""
    column = np.array(draw(_columns(size)), np.float64)
    for at, bits in draw(st.lists(st.tuples(st.integers(0, size - 1), doubles_as_bits), max_size=4)):
        column.view(np.uint64)[at] = bits
    return column


@st.composite
def _columns(draw, size: int) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["register", "gauge", "float32", "bits", "binary", "constant", "tall"]))
    places = draw(st.integers(0, 15))
    if kind == "register":
        return np.cumsum(rng.poisson(3, size)) / 10.0**places
    if kind == "gauge":
        return np.rint(rng.normal(500, 40, size)) / 10.0**places
    if kind == "float32":
        return rng.normal(20, 5, size).astype(np.float32).astype(np.float64)
    if kind == "bits":
        return rng.integers(0, 2**64, size, np.uint64).view(np.float64)
    if kind == "binary":
        return rng.normal(20, 5, size)
    if kind == "tall":
        return rng.integers(-(2**53), 2**53, size).astype(np.float64)
    return np.full(size, double_of(draw(doubles_as_bits)))


@st.composite
def increasing_times(draw, size: int) -> np.ndarray:
    """Times of one series: regular, with gaps, jittered, or strewn over all of int64."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["regular", "gaps", "jitter", "random", "edges"]))
    if kind == "random" or (kind == "edges" and size < 2):
        span = rng.integers(INT64_MIN, INT64_MAX, 2 * size + 8, endpoint=True)
        return np.sort(rng.permutation(np.unique(span))[:size])
    step = draw(st.sampled_from([1, 60_000_000, 3_600_000_000, 7]))
    steps = np.full(size, step, np.int64)
    if kind == "gaps":
        steps[rng.random(size) < 0.05] *= int(rng.integers(1, 1000))
    if kind == "jitter":
        steps += rng.integers(0, 30, size) * draw(st.sampled_from([1, 1_000_000]))
    times = np.cumsum(steps) + draw(st.sampled_from([0, -(2**55), 1_700_000_000_000_000, 2**61]))
    if kind == "edges":
        times[0] = INT64_MIN
        times[-1] = INT64_MAX
    return times


sizes = st.one_of(
    st.integers(1, 9),
    st.integers(1, 80),
    st.sampled_from([63, 64, 65, 255, 256, 257, BLOCK_SIZE_MAX - 1, BLOCK_SIZE_MAX]),
)


@st.composite
def code_columns(draw, size: int) -> np.ndarray:
    """Quality codes: constant, in runs, or random."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["zero", "constant", "runs", "random"]))
    if kind == "zero":
        return np.zeros(size, np.uint8)
    if kind == "constant":
        return np.full(size, draw(st.integers(0, 255)), np.uint8)
    if kind == "runs":
        return np.repeat(rng.integers(0, 256, size), rng.integers(1, 300, size))[:size].astype(np.uint8)
    return rng.integers(0, 256, size).astype(np.uint8)
