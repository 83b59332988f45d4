"""What a slice was as of a commit."""

from collections.abc import Iterator

import numpy as np

from smartdata_ts._read.decode import decode, head_versions, pieces_in, within_span
from smartdata_ts._read.plan import Plan, Slice
from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.versions import (
    Versions,
    fold_versions,
    overlay_all,
    sort_versions,
    without_hidden,
)
from smartdata_ts._storage.snapshot import AsOf, Blocks
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.kernels.arrays import Int32Array, Int64Array
from smartdata_ts.kernels.rows.readings import rank_rows

# Slots, first and last times.
_Spans = tuple[Int32Array, Int64Array, Int64Array]


def read_unsettled(plan: Plan, part: Slice, known: np.ndarray) -> Versions:
    """The versions of a slice's tangled series as of a commit, but for those of settled blocks.

    Nor has it those of any blocks of the present of the positions in `known`. Of hidden ones the commit is
    negative.
    """
    return overlay_all(_past_parts(plan, part, plan.tangled, known))


def read_past(plan: Plan, part: Slice, only: np.ndarray | None) -> Readings:
    """What a slice was as of a commit."""
    return without_hidden(overlay_all(_past_parts(plan, part, only))).readings


def _past_parts(
    plan: Plan, part: Slice, only: np.ndarray | None, known: np.ndarray | None = None
) -> Iterator[Versions]:
    """All that a slice is made of, or, as `read_unsettled` has it, a part; unknown versions are hidden."""
    as_of = plan.snapshot.as_of
    assert as_of is not None
    spans = None if known is None else _settled_spans(plan, part)
    for blocks in pieces_in(plan, part, only, known):
        versions = _decode_known(plan, part, blocks)
        _hide_unknown(as_of, plan, part, versions)
        if blocks.chunk.is_history:
            versions = without_hidden(versions)
            if spans is not None:
                versions = versions.select(~_are_in(spans, versions.readings))
        yield versions
    head = sort_versions(within_span(part, head_versions(plan, part, only)))
    _hide_unknown(as_of, plan, part, head)
    yield fold_versions(without_hidden(head))[0]


def _settled_spans(plan: Plan, part: Slice) -> _Spans:
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


def _decode_known(plan: Plan, part: Slice, blocks: Blocks) -> Versions:
    """The readings of some blocks; those of settled ones count as the commit's own, which hides history."""
    as_of, chunk, rows = plan.snapshot.as_of, blocks.chunk, blocks.rows
    assert as_of is not None
    settled = plan.settled_in(chunk, rows)
    readings = decode(blocks, Slice(0, 0, TIME_MIN, TIME_MAX))
    commits = chunk.commits_of(rows[~settled])
    if settled.any():
        of_all = np.full(len(readings), as_of.commit)
        of_all[np.repeat(~settled, chunk.count[rows])] = commits
        commits = of_all
    versions = Versions(readings, commits)
    is_inside = chunk.time_min[rows].min() >= part.time_min and chunk.time_max[rows].max() <= part.time_max
    return versions if is_inside else within_span(part, versions)


def _hide_unknown(as_of: AsOf, plan: Plan, part: Slice, versions: Versions) -> None:
    """Make the commits negative of versions that the commit did not know, and of those deleted by then."""
    rows, commits = versions.readings, versions.commits
    ids = plan.ids[part.first : part.end]
    commits[commits > as_of.commit] = -1
    for deletion in as_of.deletions:
        at = np.flatnonzero(ids == deletion.series)
        if at.size:
            first, end = np.searchsorted(rows.series, (at[0], at[0] + 1))
            times = rows.times[first:end]
            within = (times >= deletion.time_min) & (times <= deletion.time_max)
            commits[first:end][within & (commits[first:end] < deletion.commit)] = -1
