"""Retention: what is older than a rule says is thinned out, or removed, and leaves history with it.

It goes rule by rule and year by year, the oldest first, a commit each: a process that is killed in between
has done what is committed, and the next application goes on from there. It first finds which series of a
year change, so that only these are written anew.

While the store has a named snapshot, what is removed goes to history, as of a deletion. Without one it
leaves history too: as of earlier commits there is then only what is left of it, and what was made of it
came with the commit of the retention.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from smartdata_ts._meter.descriptions import KINDS
from smartdata_ts._readings.versions import Versions, fold_versions, join, layers, sort_versions
from smartdata_ts._storage.catalog import Catalog, State
from smartdata_ts._storage.snapshot import ChunkFiles, Snapshot
from smartdata_ts._upkeep.removal import Removal, versions_of
from smartdata_ts._upkeep.retention_rules import Rule, Segment, checked_rules, segments
from smartdata_ts._upkeep.thinning import Thinned, Thinning
from smartdata_ts._write.chunks import CHUNK_READINGS_MAX, ChunkOutput, rewriting
from smartdata_ts.kernels.arrays import Int64Array


@dataclass(frozen=True)
class RetentionReport:
    """Counts of an application of the rules; for a dry run, of what it would do."""

    readings_removed: int
    readings_made: int  # that came in the place of some of them
    series: int  # those that lost readings
    series_left: tuple[str, ...] = ()  # nothing was done to them: what coarser ones would be, no kind says
    chunks_rewritten: int = 0
    commits: tuple[int, ...] = ()


@dataclass
class _Tally:
    """Counts for a report."""

    removed: int = 0
    made: int = 0
    series: set[int] = field(default_factory=set)
    rewritten: int = 0
    commits: list[int] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def add(self, thinned: Thinned) -> None:
        self.removed += int((~thinned.stays).sum())
        self.made += len(thinned.made)
        self.series.update(thinned.series.tolist())

    def report(self) -> RetentionReport:
        return RetentionReport(
            self.removed,
            self.made,
            len(self.series),
            tuple(sorted(self.left)),
            self.rewritten,
            tuple(self.commits),
        )


@dataclass(frozen=True)
class _Task:
    """Some series in a segment of their rule."""

    segment: Segment
    ids: Int64Array  # ascending
    kinds: np.ndarray  # by series id, as _thinning has them

    def thinned(self, pieces: Iterator[Versions], commit: int) -> Iterator[Thinned]:
        """Thin out readings that stand."""
        if not self.segment.keeps:
            for piece in pieces:
                yield Thinned(piece, np.zeros(len(piece), np.bool_), join([]))
            return
        yield from Thinning(self.segment.edges, self.kinds, commit).run(pieces)


def apply_retention(catalog: Catalog, files: ChunkFiles, now_us: int, is_dry_run: bool) -> RetentionReport:
    """Apply the rules of the catalog as of a time."""
    tally = _Tally()
    for task in _tasks(catalog, files, now_us, tally):
        if is_dry_run:
            for thinned in task.thinned(_standing(catalog.state(), files, task, 0), 0):
                tally.add(thinned)
        else:
            _apply(catalog, files, task, tally)
    return tally.report()


def _tasks(catalog: Catalog, files: ChunkFiles, now_us: int, tally: _Tally) -> Iterator[_Task]:
    rules = checked_rules(json.loads(catalog.retention()), "UTC")
    groups: list[list[int]] = [[] for _ in rules]
    kinds = np.zeros(catalog.series_id_max() + 1, np.uint8)
    for number, key, quantity, _, kind, *_, tags in catalog.series_rows():
        fitting = [k for k, rule in enumerate(rules) if rule.fits(key, quantity, json.loads(tags))]
        if not fitting:
            continue
        if kind is None and rules[fitting[0]].is_thinning:
            tally.left.append(key)
            continue
        groups[fitting[0]].append(number)
        kinds[number] = 0 if kind is None else KINDS.index(kind) + 1
    first_us = _first_time(Snapshot.of(catalog.state(with_history=True), files), catalog)
    for rule, group in zip(rules, groups, strict=True):
        if group and first_us is not None:
            yield from _tasks_of(rule, np.array(sorted(group), np.int64), kinds, now_us, first_us)


def _tasks_of(rule: Rule, ids: Int64Array, kinds: np.ndarray, now_us: int, first_us: int) -> Iterator[_Task]:
    return (_Task(segment, ids, kinds) for segment in segments(rule, now_us, first_us))


def _first_time(snapshot: Snapshot, catalog: Catalog) -> int | None:
    times = [row.time_min for row in snapshot.chunks + catalog.chunk_rows(is_history=True)]
    if len(snapshot.head):
        times.append(int(snapshot.head.times.min()))
    return min(times, default=None)


def _standing(state: State, files: ChunkFiles, task: _Task, floor: int) -> Iterator[Versions]:
    snapshot = Snapshot.of(state, files)
    for versions in versions_of(snapshot, task.ids, task.segment.time_min, task.segment.time_max):
        yield fold_versions(versions, floor)[0]


def _apply(catalog: Catalog, files: ChunkFiles, task: _Task, tally: _Tally) -> None:
    """Do one task in a transaction of its own; none where there is nothing to do."""
    with rewriting(catalog, files) as output:
        state = catalog.state(with_history=True)
        floor = catalog.raise_history_floor()
        commit = state.commit + 1
        found = _Tally()
        for thinned in task.thinned(_standing(state, files, task, floor), commit):
            found.add(thinned)
        changing = replace(task, ids=np.array(sorted(found.series), np.int64))
        holds = bool(catalog.snapshot_rows())
        removal = Removal(catalog, files, output, state)
        span = (task.segment.time_min, task.segment.time_max)
        removal.take_out(state.chunks, changing.ids, *span)
        if not holds:
            removal.take_out(state.history, task.ids, *span)
        _write_changed(state, files, changing, floor, output, commit if holds else None)
        catalog.add_commit(commit, "retention", state.reading_count - found.removed + found.made)
        gone = removal.put_back(commit)
        for row in output.finish():
            catalog.add_chunk(commit, row)
        if holds:
            catalog.add_deletions(commit, changing.ids.tolist(), *span)
        if not (gone or found.removed):
            catalog.roll_back()
            return
        catalog.commit()
    files.remove(gone)
    tally.removed += found.removed
    tally.made += found.made
    tally.series |= found.series
    tally.rewritten += len(gone)
    tally.commits.append(commit)


def _write_changed(
    state: State, files: ChunkFiles, task: _Task, floor: int, output: ChunkOutput, held_by: int | None
) -> None:
    """Write what the series that change have from now on; where it is held, what they had goes to history.

    After a deletion only the readings of its own commit are seen, so readings that stay are written again
    with it.
    """

    def standing() -> Iterator[Versions]:
        snapshot = Snapshot.of(state, files)
        for versions in versions_of(snapshot, task.ids, task.segment.time_min, task.segment.time_max):
            stands, superseded = fold_versions(versions, floor)
            if held_by is not None:
                for layer in layers(sort_versions(join([superseded, stands]))):
                    output.add(layer, is_history=True)
            yield stands

    parts: list[Versions] = []
    for thinned in task.thinned(standing(), state.commit + 1):
        after = thinned.after
        parts.append(after if held_by is None else Versions.of(after.readings, held_by))
        if sum(map(len, parts)) >= CHUNK_READINGS_MAX:
            output.add(join(parts))
            parts = []
    output.add(join(parts))
