"""A query's blocks, of its series within its span, and slices of them to be read at a time.

A slice is a range of series over a span of time, small enough for its result to be held. A series whose
blocks overlap in time (late or replaced readings) is tangled: it is merged before anything else is made
of it, and all others are taken straight from their blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.columns import Readings, series_starts
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage.chunk_file import ChunkFile
from smartdata_ts._storage.snapshot import Blocks, Snapshot
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

    @property
    def qualities(self) -> list[int] | None:
        """The codes that are wanted; None: all."""
        return None if self.wanted is None else np.flatnonzero(self.wanted).tolist()

    @property
    def leaves_out(self) -> bool:
        """Whether some readings of a tangled series' block may not count."""
        return self.wanted is not None

    @property
    def is_joined_slowly(self) -> bool:
        """Whether readings of one series in two chunks are better read apart from others."""
        return False

    def settled_in(self, chunk: ChunkFile, rows: Int64Array) -> np.ndarray:
        """Which blocks of tangled series hold, within their spans, just what there is to be read."""
        del chunk
        return np.zeros(rows.size, np.bool_)

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
        # A series may end one chunk and begin the next. It goes with the next; where joining is slow, it is a
        # range of its own.
        after = lasts + 1 if self.is_joined_slowly else ends
        return np.unique(np.concatenate([firsts[1:], after, ends]))

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


def overlaps(position_count: int, blocks: list[Blocks], head: Readings) -> tuple[np.ndarray, Int64Array]:
    """Return which positions have blocks (the head's readings are one) that overlap in time; from when on."""
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
