"""What a query will read: the blocks of its series within its span, and slices of it to be read at a time.

A slice is a range of series over a span of time, small enough for its result to be held. A series whose
blocks overlap in time (late or replaced readings) is tangled: it is merged before anything else is made
of it, and all others are taken straight from their blocks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.columns import Readings, fold, series_starts
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage.chunk_file import ChunkFile
from smartdata_ts._storage.snapshot import AsOf, Blocks, Snapshot
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.kernels.arrays import Int64Array


@dataclass(frozen=True)
class Plan:
    """The blocks of a selection: per chunk sorted by position, and which positions need merging."""

    snapshot: Snapshot
    ids: Int64Array
    keys: pa.StringArray
    time_min: int
    time_max: int  # inclusive
    blocks: list[Blocks]
    positions_first: Int64Array  # of each chunk's blocks
    positions_last: Int64Array
    head: Readings  # series = position, sorted and folded
    head_versions: Versions  # series = position, in order of writing
    tangled: np.ndarray  # bool per position
    counts: Int64Array  # readings per position, an upper bound
    wanted: np.ndarray | None  # bool per quality code; None: all are
    settled: dict[ChunkFile, np.ndarray]  # bool per block, of some chunks: see _settled
    separate: np.ndarray  # bool per position, of the past: see make_plan

    @property
    def qualities(self) -> list[int] | None:
        """The codes that are wanted; None: all."""
        return None if self.wanted is None else np.flatnonzero(self.wanted).tolist()

    def settled_in(self, chunk: ChunkFile, rows: Int64Array) -> np.ndarray:
        """Which blocks of tangled series hold, within their spans, just what there is to be read."""
        settled = self.settled.get(chunk)
        return np.zeros(rows.size, np.bool_) if settled is None else settled[rows]

    @property
    def reading_count(self) -> int:
        """At most so many readings will be decoded."""
        return int(self.counts.sum())

    def blocks_in(self, part: "Slice") -> Iterator[tuple[ChunkFile, Int64Array, Int64Array]]:
        """The chunks that have blocks in a slice, with these blocks' rows and positions."""
        near = (self.positions_first < part.end) & (self.positions_last >= part.first)
        for k in np.flatnonzero(near).tolist():
            blocks = self.blocks[k]
            chunk = blocks.chunk
            first, end = np.searchsorted(blocks.positions, (part.first, part.end))
            rows, positions = blocks.rows[first:end], blocks.positions[first:end]
            within = (chunk.time_max[rows] >= part.time_min) & (chunk.time_min[rows] <= part.time_max)
            if within.all():
                yield chunk, rows, positions
            elif within.any():
                yield chunk, rows[within], positions[within]

    def chunk_ends(self) -> Int64Array:
        """Where a range of positions is to end, lest it has many readings of two chunks; and the end of all.

        History, which is little, is left out of account.
        """
        ends = np.array([self.counts.size])
        are_present = np.array([not part.chunk.is_history for part in self.blocks], np.bool_)
        firsts, lasts = self.positions_first[are_present], self.positions_last[are_present]
        order = np.argsort(firsts, kind="stable")
        firsts, lasts = firsts[order], lasts[order]
        if (firsts[1:] < lasts[:-1]).any():  # most ranges have readings of several chunks whatever is done
            return ends
        # A series may end one chunk and begin the next. Of the past, which is joined slowly, it is a range of
        # its own; else it goes with the next.
        behind = lasts + 1 if self.snapshot.as_of is not None else ends
        return np.unique(np.concatenate([firsts[1:], behind, ends]))

    def spans(self) -> tuple[Int64Array, Int64Array]:
        """Each position's first and last time within the plan's span; first > last where there is none."""
        firsts = np.full(self.ids.size, TIME_MAX)
        lasts = np.full(self.ids.size, TIME_MIN)
        for part in self.blocks:
            np.minimum.at(firsts, part.positions, part.chunk.time_min[part.rows])
            np.maximum.at(lasts, part.positions, part.chunk.time_max[part.rows])
        np.minimum.at(firsts, self.head.series, self.head.times)
        np.maximum.at(lasts, self.head.series, self.head.times)
        empty = firsts > lasts
        firsts, lasts = np.maximum(firsts, self.time_min), np.minimum(lasts, self.time_max)
        firsts[empty], lasts[empty] = TIME_MAX, TIME_MIN
        return firsts, lasts


@dataclass(frozen=True)
class Slice:
    """Positions first to end, times time_min to time_max (inclusive)."""

    first: int
    end: int
    time_min: int
    time_max: int


def make_plan(
    snapshot: Snapshot,
    ids: Int64Array,
    keys: pa.StringArray,
    time_min: int,
    time_max: int,
    qualities: Sequence[int] | None = None,
    of_versions: bool = False,
) -> Plan:
    """Find the blocks of the series `ids` within [time_min, time_max]; of some qualities, or of all.

    Whoever reads versions merges nothing: `of_versions`, no position is looked at for whether it is tangled.
    """
    blocks = [_by_position(part) for part in snapshot.blocks(ids, time_min, time_max)]
    head_versions = _head_of(snapshot, ids, time_min, time_max)
    head = fold([head_versions.readings]).readings
    counts = np.zeros(ids.size, np.int64)
    for part in blocks:
        np.add.at(counts, part.positions, part.chunk.count[part.rows])
    np.add.at(counts, head.series, 1)
    tangled = np.zeros(ids.size, np.bool_) if of_versions else _overlaps(ids.size, blocks, head)[0]
    if snapshot.as_of is not None:
        tangled |= _unsettled(snapshot.as_of, ids, blocks)
    wanted = None
    if qualities is not None:
        wanted = np.zeros(256, np.bool_)
        wanted[list(qualities)] = True
        tangled |= _mixed(wanted, ids.size, blocks, head)
    settled = {}
    separate = np.zeros(ids.size, np.bool_)
    if snapshot.as_of is not None and snapshot.is_whole and wanted is None and tangled.any():
        present = snapshot.present_blocks(ids, time_min, time_max)
        settled = _settled(snapshot.as_of, ids, present, head)
        # No two of these hold a reading of one time. What they hold that the commit knew, it knew as it is.
        separate = ~_overlaps(ids.size, [part for part in blocks if not part.chunk.is_history], head)[0]
    ends = np.array([(part.positions[0], part.positions[-1]) for part in blocks], np.int64).reshape(-1, 2)
    return Plan(
        snapshot,
        ids,
        keys,
        time_min,
        time_max,
        blocks,
        ends[:, 0],
        ends[:, 1],
        head,
        head_versions,
        tangled,
        counts,
        wanted,
        settled,
        separate,
    )


def _by_position(part: Blocks) -> Blocks:
    if np.all(part.positions[:-1] <= part.positions[1:]):
        return part
    order = np.argsort(part.positions, kind="stable")
    return Blocks(part.chunk, part.rows[order], part.positions[order])


def _head_of(snapshot: Snapshot, ids: Int64Array, time_min: int, time_max: int) -> Versions:
    head = snapshot.head_versions
    if len(head) == 0 or ids.size == 0:
        return head.select(slice(0, 0))
    rows = head.readings
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids, rows.series, sorter=order), ids.size - 1)
    positions = order[at]
    wanted = (ids[positions] == rows.series) & (rows.times >= time_min) & (rows.times <= time_max)
    chosen = head.select(wanted)
    rows = chosen.readings
    placed = Readings(positions[wanted].astype(np.int32), rows.times, rows.values, rows.qualities)
    return Versions(placed, chosen.commits)


def _unsettled(as_of: AsOf, ids: Int64Array, blocks: list[Blocks]) -> np.ndarray:
    """Which positions have readings that the commit did not know, or no longer: they are told apart first."""
    unsettled = np.isin(ids, [deletion.series for deletion in as_of.deletions])
    for part in blocks:
        unsettled[part.positions[part.chunk.commit_max[part.rows] > as_of.commit]] = True
    return unsettled


def _mixed(wanted: np.ndarray, position_count: int, blocks: list[Blocks], head: Readings) -> np.ndarray:
    """Which positions have readings of other qualities, which are left out after all have been merged."""
    mixed = np.zeros(position_count, np.bool_)
    for part in blocks:
        low, high = part.chunk.quality_min[part.rows], part.chunk.quality_max[part.rows]
        mixed[part.positions[(low != high) | ~wanted[low]]] = True
    mixed[head.series[~wanted[head.qualities]]] = True
    return mixed


def _settled(
    as_of: AsOf, ids: Int64Array, present: list[Blocks], head: Readings
) -> dict[ChunkFile, np.ndarray]:
    """Per chunk of the present, which blocks are as they were as of the commit, whatever history holds.

    Whatever history holds was superseded or deleted. Where nothing else of the present overlaps a block,
    and nothing of its series was ever deleted, it holds what superseded the history of its span; and all
    of that was known.
    """
    _, limits = _overlaps(ids.size, present, head)
    limits[np.isin(ids, as_of.ever_deleted)] = TIME_MIN
    for row in as_of.later_chunks:
        near = (ids >= row.series_min) & (ids <= row.series_max)
        limits[near] = np.minimum(limits[near], row.time_min)
    settled = {}
    for part in present:
        chunk, rows = part.chunk, part.rows
        is_settled = np.zeros(chunk.block_count, np.bool_)
        is_settled[rows] = (chunk.commit_max[rows] <= as_of.commit) & (
            chunk.time_max[rows] < limits[part.positions]
        )
        settled[chunk] = is_settled
    return settled


def _overlaps(position_count: int, blocks: list[Blocks], head: Readings) -> tuple[np.ndarray, Int64Array]:
    """Which positions have blocks (the head's readings being one) that overlap in time; from when on."""
    tangled = np.zeros(position_count, np.bool_)
    begins = np.full(position_count, TIME_MAX)
    positions = [part.positions for part in blocks]
    firsts = [part.chunk.time_min[part.rows] for part in blocks]
    lasts = [part.chunk.time_max[part.rows] for part in blocks]
    if len(head):
        starts = series_starts(head.series)
        positions.append(head.series[starts].astype(np.int64))
        firsts.append(head.times[starts])
        lasts.append(head.times[np.append(starts[1:], len(head)) - 1])
    if not positions:
        return tangled, begins
    position, first, last = map(np.concatenate, (positions, firsts, lasts))
    order = np.lexsort((first, position))
    position, first, last = position[order], first[order], last[order]
    # Ordered by their begin, some two neighbours overlap if any two blocks do; none before the first such.
    overlaps = (position[1:] == position[:-1]) & (first[1:] <= last[:-1])
    tangled[position[1:][overlaps]] = True
    np.minimum.at(begins, position[1:][overlaps], first[:-1][overlaps])
    return tangled, begins
