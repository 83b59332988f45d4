"""Whole series as blocks, one series after another, for kernels that take a series at once.

The blocks may stand in several chunks; recent writes are encoded to blocks as those of a chunk are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from smartdata_ts._read.plan import Plan, Slice
from smartdata_ts._readings.columns import Readings, series_starts
from smartdata_ts._storage import codec
from smartdata_ts._storage.snapshot import Blocks
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.errors import CorruptChunkError
from smartdata_ts.kernels.arrays import Int64Array, UInt8Array, UInt32Array
from smartdata_ts.kernels.codec import blocks as kernel_blocks
from smartdata_ts.kernels.codec.models import TABLE_SIZE

_RECENT_SHARE_MAX = 1 / 16  # of all readings: to encode one takes as long as to decode ten


@dataclass(frozen=True)
class SeriesBlocks:
    """All readings of some series, each once: blocks of a chunk each, and what was written since."""

    slot_count: int
    chunks: list[Blocks]  # `positions` are slots
    recent: Readings  # `series` are slots
    taken: tuple[int, int]  # times, inclusive: what of the blocks lies outside is not asked for

    @property
    def piece_count(self) -> int:
        """How many chunks, the recent ones counted as one."""
        return len(self.chunks) + (len(self.recent) > 0)

    @property
    def reading_count(self) -> int:
        """The readings of all blocks, and the recent ones."""
        return sum(int(part.chunk.count[part.rows].sum()) for part in self.chunks) + len(self.recent)

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last time; the first is greater where there is none."""
        firsts = [int(part.chunk.time_min[part.rows].min()) for part in self.chunks]
        lasts = [int(part.chunk.time_max[part.rows].max()) for part in self.chunks]
        times = self.recent.times
        low, high = min(firsts, default=TIME_MAX), max(lasts, default=TIME_MIN)
        return int(times.min(initial=low)), int(times.max(initial=high))

    def by_chunk(self) -> "Iterator[tuple[int, SeriesBlocks]]":
        """Parts of a chunk each, and of what the one before has of its first series; with their first slots.

        All is one part where chunks share more series than that.
        """
        chunks = sorted(self.chunks, key=lambda part: int(part.positions[0]))
        ends = [int(part.positions[-1]) for part in chunks]
        begins = sorted({int(part.positions[0]) for part in chunks[1:]})
        if any(after.positions[0] < end for after, end in zip(chunks[1:], ends[:-1], strict=True)):
            begins = []
        for first, end in pairwise([0, *begins, self.slot_count]):
            cuts = [np.searchsorted(part.positions, [first, end]).tolist() for part in chunks]
            own = [
                Blocks(part.chunk, part.rows[low:high], part.positions[low:high] - first)
                for part, (low, high) in zip(chunks, cuts, strict=True)
                if low < high
            ]
            low, high = np.searchsorted(self.recent.series, [first, end]).tolist()
            recent = self.recent.select(slice(low, high))
            recent = replace(recent, series=recent.series - np.int32(first))
            if own or len(recent):
                yield first, SeriesBlocks(end - first, own, recent, self.taken)

    def load(self) -> "Payloads":
        """Their verified bytes, good until this thread asks any chunk again.

        Raises CorruptChunkError where a chunk's differ from what was written.
        """
        # Only the bytes of the last chunk need not be copied, which is therefore the largest.
        chunks = sorted(self.chunks, key=lambda part: part.rows.size)
        pieces = [_of_chunk(part, is_to_stay=part is not chunks[-1]) for part in chunks]
        if len(self.recent):
            pieces.append(_of_recent(self.recent))
        if len(pieces) == 1:
            return self._joined(pieces, pieces[0].data, pieces[0].tables, chunks)
        for piece, before in zip(pieces, _before([piece.data.size for piece in pieces]), strict=True):
            piece.fields[:, kernel_blocks.TIMES_OFFSET : kernel_blocks.QUALITIES_END + 1] += before
        model_counts = [piece.tables.size // TABLE_SIZE for piece in pieces]
        for piece, before in zip(pieces, _before(model_counts), strict=True):
            piece.fields[:, kernel_blocks.FIRST_MODEL] = before
        data, tables = (
            np.concatenate(parts) for parts in zip(*((p.data, p.tables) for p in pieces), strict=True)
        )
        return self._joined(pieces, data, tables, chunks)

    def _joined(
        self, pieces: "list[_Piece]", data: UInt8Array, tables: UInt32Array, chunks: list[Blocks]
    ) -> "Payloads":
        """The blocks of all pieces, in the order of series and time."""
        descriptors = pieces[0].fields
        order = np.arange(descriptors.shape[0])
        if len(pieces) > 1:
            descriptors = np.concatenate([piece.fields for piece in pieces])
            begins = np.concatenate([piece.begins for piece in pieces])
            order = np.lexsort((begins, descriptors[:, kernel_blocks.SLOT]))
            descriptors = descriptors[order]
        slots = descriptors[:, kernel_blocks.SLOT]
        return Payloads(
            kernel_blocks.EncodedBlocks(data, descriptors.reshape(-1), tables),
            np.searchsorted(slots, np.arange(self.slot_count + 1)),
            np.bincount(slots, descriptors[:, kernel_blocks.COUNT], self.slot_count).astype(np.int64),
            chunks,
            order,
        )


@dataclass(frozen=True)
class Payloads:
    """Blocks as kernels read them, sorted by slot, then by time."""

    encoded: kernel_blocks.EncodedBlocks
    bounds: Int64Array  # slot k has the blocks bounds[k] to bounds[k + 1]
    counts: Int64Array  # of readings, by slot
    _chunks: list[Blocks]
    _order: Int64Array  # of the blocks of all chunks, chunk after chunk

    def corrupt(self, block: int) -> CorruptChunkError:
        """The error that says which block cannot be decoded."""
        at = int(self._order[block])
        for part in self._chunks:
            if at < part.rows.size:
                return part.chunk.corrupt(int(part.rows[at]), "its payload cannot be decoded")
            at -= part.rows.size
        raise AssertionError("what was just encoded can be decoded")


def series_blocks(plan: Plan, part: Slice) -> SeriesBlocks | None:
    """The blocks that have readings in a slice; None where they must be merged, or too many are recent."""
    if plan.tangled[part.first : part.end].any():
        return None
    found = plan.blocks_in(part)
    chunks = [Blocks(chunk, rows, positions - part.first) for chunk, rows, positions in found]
    taken = (part.time_min, part.time_max)
    blocks = SeriesBlocks(part.end - part.first, chunks, head_in(plan, part), taken)
    return None if len(blocks.recent) > _RECENT_SHARE_MAX * blocks.reading_count else blocks


def head_in(plan: Plan, part: Slice) -> Readings:
    """Return the recent writes of a slice; `series` is the position less part.first."""
    if len(plan.head) == 0:
        return plan.head
    first, end = np.searchsorted(plan.head.series, [part.first, part.end])
    head = plan.head.select(slice(int(first), int(end)))
    within = (head.times >= part.time_min) & (head.times <= part.time_max)
    chosen = head if within.all() else head.select(within)
    return Readings(chosen.series - np.int32(part.first), chosen.times, chosen.values, chosen.qualities)


@dataclass(frozen=True)
class _Piece:
    """Blocks that share their models."""

    data: UInt8Array
    fields: Int64Array  # blocks x DESCRIPTOR_FIELDS
    tables: UInt32Array
    begins: Int64Array  # the first time of each block


def _of_chunk(part: Blocks, is_to_stay: bool) -> _Piece:
    """The bytes of blocks; unless they are `to_stay`, only until this thread asks any chunk again."""
    data, descriptors = part.chunk.payloads(part.rows, part.positions)
    fields = descriptors.reshape(-1, kernel_blocks.DESCRIPTOR_FIELDS)
    data = data.copy() if is_to_stay else data
    return _Piece(data, fields, part.chunk.tables, part.chunk.time_min[part.rows])


def _of_recent(rows: Readings) -> _Piece:
    """The blocks of recent writes, which are sorted."""
    firsts = series_starts(rows.series)
    starts = codec.split_blocks(np.append(firsts, len(rows)))
    encoded = codec.encode_blocks(rows.times, rows.values, rows.qualities, starts)
    fields = np.zeros((starts.size - 1, kernel_blocks.DESCRIPTOR_FIELDS), np.int64)
    fields[:, kernel_blocks.SLOT] = rows.series[starts[:-1]]
    fields[:, kernel_blocks.COUNT] = np.diff(starts)
    columns = (encoded.times, encoded.values, encoded.qualities)
    for k, (column, before) in enumerate(zip(columns, _before([c.data.size for c in columns]), strict=True)):
        ends = before + np.cumsum(column.sizes)
        fields[:, kernel_blocks.TIMES_OFFSET + 2 * k] = ends - column.sizes
        fields[:, kernel_blocks.TIMES_END + 2 * k] = ends
    slack = np.zeros(codec.SLACK_SIZE, np.uint8)
    data = np.concatenate([*(column.data for column in columns), slack])
    tables = codec.decode_tables(encoded.models, encoded.model_count)
    return _Piece(data, fields, tables, rows.times[starts[:-1]])


def _before(sizes: list[int]) -> list[int]:
    """How much stands before each of some pieces."""
    return [sum(sizes[:k]) for k in range(len(sizes))]
