"""The past: which blocks are as a commit knew them, and what it knew of all others.

A plan of the past offers it to its readers. A block is settled where it is as it was as of the commit,
whatever history holds; readers take it like a block of the present. Series with any other block are tangled:
`read_past` gives their readings, and `known_part` most of their blocks, so that a step can drop readings of
later commits as it decodes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np

from smartdata_ts._read.decode import decode, head_versions, pieces_in, within_span
from smartdata_ts._read.plan import Plan, Slice, overlaps
from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.versions import (
    Versions,
    fold_versions,
    overlay_all,
    sort_versions,
    without_hidden,
)
from smartdata_ts._storage.chunk_file import ChunkFile
from smartdata_ts._storage.snapshot import AsOf, Blocks
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.kernels.arrays import Int32Array, Int64Array
from smartdata_ts.kernels.rows.readings import rank_rows

# Slots, first and last times.
_Spans = tuple[Int32Array, Int64Array, Int64Array]


@dataclass(frozen=True)
class PastPlan(Plan):
    """A plan as of a commit."""

    as_of: AsOf
    settled: dict[ChunkFile, np.ndarray]  # bool per block, of some chunks
    # Per position whether no two blocks of the present hold a reading of one time: what these hold that the
    # commit knew, it knew as it is.
    separate: np.ndarray

    @classmethod
    def of(cls, plan: Plan, as_of: AsOf) -> Self:
        """The plan, whose snapshot is as of the commit, with what is settled of it."""
        found = {field.name: getattr(plan, field.name) for field in fields(Plan)}
        snapshot, settled = plan.snapshot, dict[ChunkFile, np.ndarray]()
        separate = np.zeros(plan.ids.size, np.bool_)
        if snapshot.is_whole and plan.wanted is None and plan.tangled.any():
            present = snapshot.present_blocks(plan.ids, plan.time_min, plan.time_max)
            settled = _settled(as_of, plan.ids, present, plan.head)
            blocks = [part for part in plan.blocks if not part.chunk.is_history]
            separate = ~overlaps(plan.ids.size, blocks, plan.head)[0]
        return cls(**found, as_of=as_of, settled=settled, separate=separate)

    @property
    def leaves_out(self) -> bool:
        """Always: later commits' readings."""
        return True

    @property
    def is_joined_slowly(self) -> bool:
        """Always: versions of several chunks are laid over each other."""
        return True

    def settled_in(self, chunk: ChunkFile, rows: Int64Array) -> np.ndarray:
        """Which blocks of tangled series are settled."""
        settled = self.settled.get(chunk)
        return super().settled_in(chunk, rows) if settled is None else settled[rows]


class KnownPart(NamedTuple):
    """A slice's tangled series as a commit knew them, without settled blocks."""

    commit: int
    blocks: list[Blocks]  # with readings of later commits too; positions are less the slice's first
    rest: Versions  # all else, mostly history, which is little; hidden ones have negative commits


def known_part(plan: Plan, part: Slice, may_drop: bool) -> KnownPart | None:
    """Return the unsettled blocks of a slice, and what else a commit knew of it; None: merge all of it.

    With `may_drop` the caller drops readings of later commits from blocks of series whose blocks do not
    overlap, and hides what these supersede; else no blocks are given.
    """
    if not isinstance(plan, PastPlan) or not plan.settled:
        return None
    known = plan.tangled & plan.separate & may_drop
    blocks = []
    for chunk, rows, positions in plan.blocks_in(part):
        wanted = known[positions] & ~plan.settled_in(chunk, rows) & (not chunk.is_history)
        if wanted.any():
            blocks.append(Blocks(chunk, rows[wanted], positions[wanted] - part.first))
    rest = overlay_all(_past_parts(plan, part, plan.tangled, known))
    return KnownPart(plan.as_of.commit, blocks, rest)


def unsettled(as_of: AsOf, ids: Int64Array, blocks: list[Blocks]) -> np.ndarray:
    """Return which positions have readings that the commit did not know, or no longer had."""
    found = np.isin(ids, [deletion.series for deletion in as_of.deletions])
    for part in blocks:
        found[part.positions[part.chunk.commit_max[part.rows] > as_of.commit]] = True
    return found


def _settled(
    as_of: AsOf, ids: Int64Array, present: list[Blocks], head: Readings
) -> dict[ChunkFile, np.ndarray]:
    """Return, per chunk of the present, which blocks are as they were, whatever history holds.

    All that history holds was superseded or deleted. Where nothing else of the present overlaps a block,
    and nothing of its series was ever deleted, it holds what superseded the history of its span; and all
    of that was known.
    """
    _, limits = overlaps(ids.size, present, head)
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


def read_past(plan: PastPlan, part: Slice, only: np.ndarray | None) -> Readings:
    """Return the readings of a slice as of the commit."""
    return without_hidden(overlay_all(_past_parts(plan, part, only))).readings


def _past_parts(
    plan: PastPlan, part: Slice, only: np.ndarray | None, known: np.ndarray | None = None
) -> Iterator[Versions]:
    """Yield all that a slice is made of, or what `known_part` leaves of it; unknown versions are hidden."""
    spans = None if known is None else _settled_spans(plan, part)
    for blocks in pieces_in(plan, part, only, known):
        versions = _decode_known(plan, part, blocks)
        _hide_unknown(plan, part, versions)
        if blocks.chunk.is_history:
            versions = without_hidden(versions)
            if spans is not None:
                versions = versions.select(~_are_in(spans, versions.readings))
        yield versions
    head = sort_versions(within_span(part, head_versions(plan, part, only)))
    _hide_unknown(plan, part, head)
    yield fold_versions(without_hidden(head))[0]


def _settled_spans(plan: PastPlan, part: Slice) -> _Spans:
    """The slots, first and last times of a slice's settled blocks, in order; they do not overlap."""
    found = [np.zeros((3, 0), np.int64)]
    for chunk, rows, positions in plan.blocks_in(part):
        settled = plan.settled_in(chunk, rows)
        slots = positions[settled] - part.first
        found.append(np.stack([slots, chunk.time_min[rows][settled], chunk.time_max[rows][settled]]))
    slots, firsts, lasts = np.concatenate(found, axis=1)
    order = np.lexsort((firsts, slots))
    return slots[order].astype(np.int32), firsts[order], lasts[order]


def _are_in(spans: _Spans, rows: Readings) -> np.ndarray:
    """Which of the sorted rows lie in some span of theirs."""
    slots, firsts, lasts = spans
    if slots.size == 0:
        return np.zeros(len(rows), np.bool_)
    ranks = np.empty(len(rows), np.int64)
    rank_rows(slots, firsts, rows.series, rows.times, ranks)
    at = np.maximum(ranks - 1, 0)
    are_in: np.ndarray = (ranks > 0) & (slots[at] == rows.series) & (rows.times <= lasts[at])
    return are_in


def _decode_known(plan: PastPlan, part: Slice, blocks: Blocks) -> Versions:
    """Decode some blocks; settled readings count as the commit's own, which hides history."""
    chunk, rows = blocks.chunk, blocks.rows
    settled = plan.settled_in(chunk, rows)
    readings = decode(blocks, Slice(0, 0, TIME_MIN, TIME_MAX))
    commits = chunk.commits_of(rows[~settled])
    if settled.any():
        of_all = np.full(len(readings), plan.as_of.commit)
        of_all[np.repeat(~settled, chunk.count[rows])] = commits
        commits = of_all
    versions = Versions(readings, commits)
    is_inside = chunk.time_min[rows].min() >= part.time_min and chunk.time_max[rows].max() <= part.time_max
    return versions if is_inside else within_span(part, versions)


def _hide_unknown(plan: PastPlan, part: Slice, versions: Versions) -> None:
    """Make negative the commits of versions that the commit did not know, or that were deleted by then."""
    as_of, rows, commits = plan.as_of, versions.readings, versions.commits
    ids = plan.ids[part.first : part.end]
    commits[commits > as_of.commit] = -1
    for deletion in as_of.deletions:
        at = np.flatnonzero(ids == deletion.series)
        if at.size:
            first, end = np.searchsorted(rows.series, (at[0], at[0] + 1))
            times = rows.times[first:end]
            within = (times >= deletion.time_min) & (times <= deletion.time_max)
            commits[first:end][within & (commits[first:end] < deletion.commit)] = -1
