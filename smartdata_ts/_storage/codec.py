"""The airlock to the block kernels: allocates, calls them, and turns what they find into exceptions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from smartdata_ts.errors import CorruptChunkError
from smartdata_ts.kernels.arrays import Float64Array, Int64Array, UInt8Array, UInt16Array, UInt32Array
from smartdata_ts.kernels.codec import blocks as kernel_blocks
from smartdata_ts.kernels.codec import tokens as kernel_tokens
from smartdata_ts.kernels.codec.entropy import DIRECT_COUNT, STATE_COUNT, TOKEN_COUNT, normalize_counts
from smartdata_ts.kernels.codec.integers import (
    ENTROPY,
    PLAN_CODEC,
    PLAN_FIELD_COUNT,
    PLAN_MODEL,
    PLAN_SCORE,
    PLAN_SIZE,
    PREFIX,
)
from smartdata_ts.kernels.codec.models import (
    TABLE_SIZE,
    build_decode_tables,
    build_encode_tables,
    decode_frequencies,
    encode_frequencies,
)
from smartdata_ts.kernels.codec.prefix import ESCAPE, normalize_prefix_counts
from smartdata_ts.kernels.status import MALFORMED

BLOCK_READINGS_MAX = 8192
# Kernels read whole words, so bytes must follow the last payload; in a chunk file these are the
# footer's.
SLACK_SIZE = 8

_MODEL_READINGS = 131_072  # readings for one model more: its bytes must pay for themselves
_MODEL_COUNT_MAX = 6
# The most that a group's prefix code may take, over its entropy code's size: it decodes twice as fast.
_PREFIX_SIZE_MAX = 1 + 1 / 32
_RAW_BITS = np.maximum(np.arange(TOKEN_COUNT) - DIRECT_COUNT, 0) >> 1


@dataclass(frozen=True)
class PayloadColumn:
    """The encoded blocks of one column, in their order, and the size of each in bytes."""

    data: UInt8Array
    sizes: Int64Array


@dataclass(frozen=True)
class EncodedBlocks:
    """Readings as `encode_blocks` writes them; `models` are the bytes that decoding needs beside."""

    models: bytes
    model_count: int
    times: PayloadColumn
    values: PayloadColumn
    qualities: PayloadColumn
    commits: PayloadColumn
    summaries: Float64Array  # blocks x (min, max, sum)


def split_blocks(series_starts: Int64Array) -> Int64Array:
    """Cut each series' readings into blocks of like size, none over BLOCK_READINGS_MAX.

    `series_starts` (series + 1) are the readings' offsets of each series; returns blocks + 1 offsets.
    """
    counts = np.diff(series_starts)
    block_counts = -(-counts // BLOCK_READINGS_MAX)
    block_series = np.repeat(np.arange(counts.size), block_counts)
    within = np.arange(block_series.size) - np.repeat(np.cumsum(block_counts) - block_counts, block_counts)
    starts = series_starts[block_series] + counts[block_series] * within // block_counts[block_series]
    return np.append(starts, series_starts[-1]).astype(np.int64)


def encode_blocks(
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    starts: Int64Array,
    commits: Int64Array | None = None,
    scratch: "Scratch | None" = None,
) -> EncodedBlocks:
    """Encode blocks of readings; times (us UTC) increase within each of `starts` (blocks + 1 offsets).

    Blocks of a single commit have an empty commit column, and so have all where `commits` is None. The
    result is good until `scratch` is used again.
    """
    scratch = Scratch() if scratch is None else scratch
    time_plans = _Plans(starts, scratch, "time")
    kernel_blocks.plan_times(times, starts, *time_plans.rooms())
    value_plans = _Plans(starts, scratch, "value")
    mantissas = scratch.room("mantissas", BLOCK_READINGS_MAX, np.int64)
    kernel_blocks.plan_values(values, starts, mantissas, *value_plans.rooms())
    mixed = _MixedCommits(commits, starts, scratch)
    columns = (time_plans, value_plans, *mixed.plans)
    models = _chosen(_train(*columns), columns)
    summaries = np.empty(3 * time_plans.block_count)
    kernel_blocks.summarize_values(values, starts, summaries)
    return EncodedBlocks(
        models=_pack_frequencies(models.frequencies),
        model_count=models.frequencies.size // TOKEN_COUNT,
        times=_write(kernel_blocks.write_time_blocks, times, time_plans, models),
        values=_write(kernel_blocks.write_value_blocks, values, value_plans, models),
        qualities=_write_qualities(qualities, starts, scratch),
        commits=mixed.write(models),
        summaries=summaries.reshape(-1, 3),
    )


def decode_tables(models: bytes, model_count: int) -> UInt32Array:
    """The decode tables (models x TABLE_SIZE) of a chunk's models; CorruptChunkError if they are none."""
    frequencies = np.empty(model_count * TOKEN_COUNT, np.uint16)
    tables = np.empty(model_count * TABLE_SIZE, np.uint32)
    packed = np.frombuffer(models, np.uint8)
    if (
        decode_frequencies(packed, frequencies) == MALFORMED
        or build_decode_tables(frequencies, np.empty(TOKEN_COUNT, np.int64), tables) == MALFORMED
    ):
        raise CorruptChunkError("the entropy models are not what was written")
    return tables


class Scratch:
    """Memory for one encoding after another: that of the system is cleared page by page, which costs more.

    It grows to what the largest of them needs.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, np.ndarray] = {}

    def room(self, name: str, count: int, dtype: np.typing.DTypeLike) -> np.ndarray:
        """Room for items, of whatever content; what had this name before is given up."""
        kept = self._rooms.pop(name, None)
        if kept is None or kept.size < count:
            del kept
            # Where sizes differ little, none but the first is allocated; what is not used takes no memory.
            kept = np.empty(1 << max(count - 1, 0).bit_length(), dtype)
        self._rooms[name] = kept
        return kept[:count]


class _Plans:
    """One column's residuals, and what the kernels plan of each block, in scratch of the column's name."""

    def __init__(self, starts: Int64Array, scratch: Scratch, name: str) -> None:
        self.starts = starts
        self.block_count = starts.size - 1
        self.scratch = scratch
        self.name = name
        self.residuals: Int64Array = scratch.room(f"{name} residuals", int(starts[-1]), np.int64)
        self.fields = np.zeros(self.block_count * PLAN_FIELD_COUNT, np.int64)
        token_count_max = int(np.minimum(np.diff(starts), TOKEN_COUNT).sum())
        self.tokens: Int64Array = scratch.room(f"{name} tokens", token_count_max, np.int64)

    def rooms(self) -> tuple[Int64Array, ...]:
        """Return the arrays that a planning kernel fills and uses."""
        return self.residuals, self.fields, np.zeros(TOKEN_COUNT, np.int64), self.tokens

    def field(self, index: int) -> Int64Array:
        return self.fields[index::PLAN_FIELD_COUNT]

    def is_coded(self) -> np.ndarray:
        """Which blocks need a model."""
        codecs = self.field(PLAN_CODEC)
        coded: np.ndarray = (codecs == ENTROPY) | (codecs == PREFIX)
        return coded

    def groups(self) -> Int64Array:
        """Number each block by likeness: the mean bit length of its residuals, in groups of like weight."""
        coded = self.field(PLAN_CODEC) == ENTROPY
        counts = np.where(coded, np.diff(self.starts), 0)
        group_count = int(np.clip(counts.sum() // _MODEL_READINGS, 1, _MODEL_COUNT_MAX))
        order = np.argsort(self.field(PLAN_SCORE) / np.maximum(counts, 1), kind="stable")
        groups = np.zeros(self.block_count, np.int64)
        before = np.cumsum(counts[order]) - counts[order]
        groups[order] = before * group_count // max(int(counts.sum()), 1)
        return np.minimum(groups, group_count - 1)


class _MixedCommits:
    """The commits of those blocks that have readings of several."""

    def __init__(self, commits: Int64Array | None, starts: Int64Array, scratch: Scratch) -> None:
        self._block_count = starts.size - 1
        self._blocks = np.empty(0, np.int64)
        self.plans: list[_Plans] = []
        if commits is None:
            return
        firsts = starts[:-1]
        low, high = np.minimum.reduceat(commits, firsts), np.maximum.reduceat(commits, firsts)
        is_mixed = low != high
        self._blocks = np.flatnonzero(is_mixed)
        if self._blocks.size:
            counts = np.diff(starts)
            self._commits = commits if is_mixed.all() else commits[np.repeat(is_mixed, counts)]
            mixed_starts = np.concatenate([[0], np.cumsum(counts[is_mixed])]).astype(np.int64)
            plans = _Plans(mixed_starts, scratch, "commit")
            kernel_blocks.plan_times(self._commits, mixed_starts, *plans.rooms())
            self.plans = [plans]

    def write(self, models: "_EncodeModels") -> PayloadColumn:
        sizes = np.zeros(self._block_count, np.int64)
        if not self.plans:
            return PayloadColumn(np.empty(0, np.uint8), sizes)
        column = _write(kernel_blocks.write_time_blocks, self._commits, self.plans[0], models)
        sizes[self._blocks] = column.sizes
        return PayloadColumn(column.data, sizes)


class _EncodeModels:
    """The frequencies of models, prefix codes after entropy codes, and the tables of encoders."""

    def __init__(self, frequencies: UInt16Array, prefix_first: int) -> None:
        model_count = frequencies.size // TOKEN_COUNT
        self.frequencies = frequencies
        self.symbols = np.empty(2 * frequencies.size, np.int64)
        self.states = np.empty(model_count * STATE_COUNT, np.uint16)
        scratch = np.empty(STATE_COUNT, np.uint32)
        build_encode_tables(frequencies, prefix_first, scratch, self.symbols, self.states)


def _chosen(trained: tuple[UInt16Array, UInt16Array], columns: Sequence[_Plans]) -> _EncodeModels:
    """Give every block its cheapest model, of entropy codes and of prefix codes; those that any block has."""
    frequencies = np.concatenate(trained).reshape(-1, TOKEN_COUNT)
    prefix_first = trained[0].size // TOKEN_COUNT
    costs = _costs(frequencies)
    # All that a prefix code does not code directly has the token of escapes.
    costs[prefix_first:, ESCAPE:] = costs[prefix_first:, ESCAPE : ESCAPE + 1]
    is_used = np.zeros(frequencies.shape[0], np.bool_)
    for plans in columns:
        kernel_tokens.choose_models(plans.tokens, plans.starts, plans.fields, costs.reshape(-1), prefix_first)
        is_used[plans.field(PLAN_MODEL)[plans.is_coded()]] = True
    for plans in columns:
        models = plans.field(PLAN_MODEL)
        models[plans.is_coded()] = (np.cumsum(is_used) - 1)[models[plans.is_coded()]]
    return _EncodeModels(frequencies[is_used].reshape(-1), int(is_used[:prefix_first].sum()))


def _costs(frequencies: UInt16Array) -> Int64Array:
    """Return the cost of each token, in COST_UNITs of a bit."""
    with np.errstate(divide="ignore"):
        bits = np.log2(STATE_COUNT) - np.log2(frequencies.astype(np.float64))
    costs: Int64Array = np.rint(np.minimum(bits, 64) * kernel_tokens.COST_UNIT).astype(np.int64)
    costs[frequencies == 0] = kernel_tokens.COST_UNKNOWN
    return costs


def _train(*columns: _Plans) -> tuple[UInt16Array, UInt16Array]:
    """One model a group of like blocks, as frequencies (models x TOKEN_COUNT).

    Returns entropy codes, then prefix codes: a group gets the latter where that is nearly as short.
    """
    counts = []
    for plans in columns:
        groups = plans.groups()
        column = np.zeros((int(groups.max()) + 1) * TOKEN_COUNT, np.int64)
        kernel_tokens.count_group_tokens(plans.tokens, plans.fields, groups, column)
        counts.append(column.reshape(-1, TOKEN_COUNT))
    used = np.concatenate(counts)
    used = used[used.any(axis=1)]
    entropy = _normalized(normalize_counts, used)
    bytewise = used.copy()
    bytewise[:, ESCAPE] = used[:, ESCAPE:].sum(axis=1)
    bytewise[:, ESCAPE + 1 :] = 0
    prefix = _normalized(normalize_prefix_counts, bytewise)
    entropy_bits = _bits_of(used, entropy) + (used * _RAW_BITS).sum(axis=1)
    escape_bits = bytewise[:, ESCAPE] * (used.astype(np.bool_) * (_RAW_BITS + 2)).max(axis=1, initial=0)
    is_prefix = _bits_of(bytewise, prefix) + escape_bits <= entropy_bits * _PREFIX_SIZE_MAX
    return entropy[~is_prefix].reshape(-1), prefix[is_prefix].reshape(-1)


def _normalized(normalize: Callable[[Int64Array, UInt16Array], int], counts: Int64Array) -> UInt16Array:
    """The frequencies of models of these token counts, in their shape."""
    frequencies = np.empty(counts.size, np.uint16)
    status = normalize(np.ascontiguousarray(counts).reshape(-1), frequencies)
    assert status != MALFORMED
    return frequencies.reshape(counts.shape)


def _bits_of(counts: Int64Array, frequencies: UInt16Array) -> Int64Array:
    """Return the bits that each model's tokens take, without raw bits."""
    costs = _costs(frequencies)
    bits: Int64Array = (counts * np.where(counts > 0, costs, 0)).sum(axis=1) // kernel_tokens.COST_UNIT
    return bits


def _pack_frequencies(frequencies: UInt16Array) -> bytes:
    packed = np.empty(4 * frequencies.size, np.uint8)
    return packed[: encode_frequencies(frequencies, packed)].tobytes()


def _write(
    write_blocks: Callable[..., int],
    source: Int64Array | Float64Array,
    plans: _Plans,
    models: _EncodeModels,
) -> PayloadColumn:
    """Write one column with the kernel given."""
    # Room for the worst case, which the system lends only where it is written: eight bytes a reading
    # with eight more for an odd double, nine of low bits and states, and the headers.
    room = 18 * source.size + 96 * plans.block_count + SLACK_SIZE
    data: UInt8Array = plans.scratch.room(f"{plans.name} data", room, np.uint8)
    codes = plans.scratch.room("codes", 2 * BLOCK_READINGS_MAX, np.uint64)
    size = write_blocks(
        source, plans.residuals, plans.starts, plans.fields, models.symbols, models.states, codes, data
    )
    return PayloadColumn(data[:size], plans.field(PLAN_SIZE))


def _write_qualities(qualities: UInt8Array, starts: Int64Array, scratch: Scratch) -> PayloadColumn:
    data: UInt8Array = scratch.room("quality data", 3 * qualities.size + SLACK_SIZE, np.uint8)
    sizes = np.empty(starts.size - 1, np.int64)
    size = kernel_blocks.write_quality_blocks(qualities, starts, data, sizes)
    return PayloadColumn(data[:size], sizes)
