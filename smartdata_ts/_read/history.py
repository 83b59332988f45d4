"""The past of a store: as of which commit it is read, and what has changed since one.

A deletion counts as a version without a value: from its commit on there is no reading.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from smartdata_ts._arguments import is_whole, plain, text, whole_number
from smartdata_ts._read import scan
from smartdata_ts._read.decode import read_versions
from smartdata_ts._read.plan import Plan, Slice
from smartdata_ts._read.planning import make_plan
from smartdata_ts._read.slices import slices_by_readings
from smartdata_ts._readings.arrow import fixed_array
from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.schema import READINGS_SCHEMA, TIME_TYPE
from smartdata_ts._readings.versions import Versions, join, same_as_next
from smartdata_ts._storage.catalog import Catalog, State
from smartdata_ts._storage.fork import in_this_process
from smartdata_ts._storage.snapshot import ChunkFiles, Snapshot
from smartdata_ts._time.calendar import Calendar
from smartdata_ts._time.instant import parse_instant
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.errors import CorruptChunkError, HistoryError, UsageError
from smartdata_ts.kernels.arrays import Int64Array

CHANGES_SCHEMA = pa.schema(
    [
        READINGS_SCHEMA.field("series"),
        READINGS_SCHEMA.field("time"),
        pa.field("old_value", pa.float64()),
        pa.field("old_quality", pa.uint8()),
        pa.field("value", pa.float64()),
        pa.field("quality", pa.uint8()),
        pa.field("commit", pa.int64(), nullable=False),
        pa.field("commit_time", TIME_TYPE, nullable=False),
    ]
)


def commit_of(catalog: Catalog, as_of: object) -> int:
    """The commit that a number, an instant or the name of a snapshot means.

    Raises HistoryError where the store cannot be read as of it: it is gone, or still to come; UsageError
    where it is none of these.
    """
    as_of = plain(as_of)
    if isinstance(as_of, str):
        named = {name: commit for name, commit, _, _ in catalog.snapshot_rows()}
        if as_of in named:
            return named[as_of]
    if is_whole(as_of):
        commit = whole_number("as_of", as_of)
    else:
        try:
            commit = catalog.commit_at(parse_instant(as_of))
        except UsageError as problem:
            raise UsageError(
                "as_of is a commit's number, the name of a snapshot (`store.snapshots()` lists them), or a "
                f"time: {problem}"
            ) from problem
    check_commit(catalog, commit)
    return commit


def check_commit(catalog: Catalog, commit: int) -> None:
    """Raise HistoryError where the store cannot be read as of a commit."""
    floor, last = catalog.history_floor(), catalog.last_commit()
    if commit > last:
        raise HistoryError(f"there is no commit {commit} yet; the last is {last}")
    if commit < floor:
        raise HistoryError(
            f"the history of this store begins with commit {floor}, so that commit {commit} cannot be read "
            "any more; `keep_history` says for how long it is kept, a named snapshot holds it"
        )


def horizon_us(horizon: str) -> int | None:
    """How long history is kept, None for ever; UsageError where the text is no such width."""
    horizon = text("horizon", horizon)
    if horizon == "forever":
        return None
    if horizon.strip() in ("0", "0d"):
        return 0
    return Calendar.parse(horizon).usual_width_us


def commit_table(catalog: Catalog) -> pa.Table:
    """Every commit, the oldest first."""
    commits, times, notes, counts = _columns(catalog.commit_rows(), 4)
    return pa.table(
        {
            "commit": pa.array(commits, pa.int64()),
            "time": pa.array(times, TIME_TYPE),
            "note": pa.array(notes, pa.string()),
            "readings": pa.array(counts, pa.int64()),
        }
    )


def snapshot_table(catalog: Catalog) -> pa.Table:
    """Every named snapshot, the oldest first."""
    names, commits, times, notes = _columns(catalog.snapshot_rows(), 4)
    return pa.table(
        {
            "name": pa.array(names, pa.string()),
            "commit": pa.array(commits, pa.int64()),
            "time": pa.array(times, TIME_TYPE),
            "note": pa.array(notes, pa.string()),
        }
    )


def _columns(rows: Sequence[tuple[object, ...]], count: int) -> Sequence[Sequence[object]]:
    return list(zip(*rows, strict=True)) if rows else [()] * count


def changes(catalog: Catalog, files: ChunkFiles, since: int, until: int | None) -> pa.RecordBatchReader:
    """Return what the commits after `since` changed, up to `until` or the newest; see `Store.changes`."""
    while True:
        state = catalog.state(with_history=True)
        last = state.commit if until is None else until
        check_commit(catalog, since)
        check_commit(catalog, last)
        try:
            batches = _change_batches(state, files, catalog, since, last)
        except CorruptChunkError:
            # A chunk that a compaction has removed since is no corruption.
            if catalog.last_commit() == state.commit:
                raise
        else:
            return pa.RecordBatchReader.from_batches(CHANGES_SCHEMA, in_this_process(batches))


def _change_batches(
    state: State, files: ChunkFiles, catalog: Catalog, since: int, until: int
) -> Iterator[pa.RecordBatch]:
    snapshot = Snapshot.at(until, state, files, since)
    ids = _changed_series(snapshot, state, since, until)
    times = {commit: time_us for commit, time_us, _, _ in catalog.commit_rows()}
    keys = pa.array(catalog.series_keys(ids), pa.string())
    order = np.argsort(keys.to_numpy(zero_copy_only=False), kind="stable") if ids.size else ids
    plan = make_plan(snapshot, ids[order], keys.take(pa.array(order)), TIME_MIN, TIME_MAX)
    batches = (_changes(plan, part, since, times) for part in slices_by_readings(plan, scan.SLICE_READINGS))
    return (batch for batch in batches if batch.num_rows)


def _changed_series(snapshot: Snapshot, state: State, since: int, until: int) -> Int64Array:
    found = [snapshot.head_versions.readings.series[snapshot.head_versions.commits > since]]
    for row in snapshot.chunks:
        if row.commit_max > since:
            chunk = snapshot.chunk(row)
            found.append(chunk.series[(chunk.commit_max > since) & (chunk.commit_min <= until)])
    deleted = [deletion.series for deletion in state.deletions if since < deletion.commit <= until]
    return np.unique(np.concatenate([*found, np.array(deleted, np.int32)])).astype(np.int64)


def _changes(plan: Plan, part: Slice, since: int, times: dict[int, int]) -> pa.RecordBatch:
    """The changes of one slice."""
    assert plan.snapshot.as_of is not None
    until = plan.snapshot.as_of.commit
    versions = read_versions(plan, part)
    versions = versions.select(versions.commits <= until)
    versions, is_deleted = _with_deletions(plan, part, versions)
    rows = versions.readings
    count = len(versions)
    # One commit's last version of a reading counts; versions that came with a deletion come after it.
    again = np.append(same_as_next(rows), False)
    shown = np.ones(count, np.bool_)
    shown[:-1] = ~again[:-1] | (versions.commits[:-1] != versions.commits[1:])
    versions, is_deleted = versions.select(shown), is_deleted[shown]
    rows = versions.readings
    follows = np.zeros(len(versions), np.bool_)
    follows[1:] = same_as_next(rows)
    had = follows.copy()
    had[1:] &= ~is_deleted[:-1]
    same = had & ~is_deleted
    same[1:] &= (rows.qualities[1:] == rows.qualities[:-1]) & (
        rows.values[1:].view(np.int64) == rows.values[:-1].view(np.int64)
    )
    changed = (versions.commits > since) & ~(is_deleted & ~had) & ~same
    at = np.flatnonzero(changed)
    before = np.maximum(at - 1, 0)
    commit_times = np.array([times[commit] for commit in versions.commits[at].tolist()], np.int64)
    return pa.record_batch(
        [
            pa.DictionaryArray.from_arrays(fixed_array(rows.series[at] + np.int32(part.first)), plan.keys),
            fixed_array(rows.times[at], TIME_TYPE),
            fixed_array(rows.values[before], nulls=~had[at]),
            fixed_array(rows.qualities[before], nulls=~had[at]),
            fixed_array(rows.values[at], nulls=is_deleted[at]),
            fixed_array(rows.qualities[at], nulls=is_deleted[at]),
            fixed_array(versions.commits[at]),
            fixed_array(commit_times, TIME_TYPE),
        ],
        schema=CHANGES_SCHEMA,
    )


def _with_deletions(plan: Plan, part: Slice, versions: Versions) -> tuple[Versions, np.ndarray]:
    """The versions with those that deletions are, sorted by series, time and commit; and which are these."""
    assert plan.snapshot.as_of is not None
    ids = plan.ids[part.first : part.end]
    parts, rows = list[Versions](), versions.readings
    for deletion in plan.snapshot.as_of.deletions:
        at = np.flatnonzero(ids == deletion.series)
        if at.size == 0:
            continue
        within = (rows.times >= deletion.time_min) & (rows.times <= deletion.time_max)
        lost = np.unique(rows.times[within & (rows.series == at[0]) & (versions.commits < deletion.commit)])
        gone = Readings(
            np.full(lost.size, at[0], np.int32), lost, np.zeros(lost.size), np.zeros(lost.size, np.uint8)
        )
        parts.append(Versions.of(gone, deletion.commit))
    joined = join([*parts, versions])
    is_deleted = np.arange(len(joined)) < len(joined) - len(versions)
    order = np.lexsort((joined.commits, joined.readings.times, joined.readings.series))
    return joined.select(order), is_deleted[order]
