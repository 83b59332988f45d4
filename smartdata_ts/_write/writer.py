"""Writes: buffered, sorted, folded against what is known, encoded on threads, committed at once.

A writer holds the store's write lock from beginning to end; it commits whole or not at all. Few
readings go to the head, inside the catalog; many become chunk files, which are durable before the
transaction that names them. The head wins over every chunk, so a writer flushes it before it makes
chunks.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from smartdata_ts._arguments import shown, text_or_none
from smartdata_ts._meter.descriptions import checked_facts, checked_tags
from smartdata_ts._meter.quality import quality_name, winners
from smartdata_ts._read.scan import read_series
from smartdata_ts._readings.arrow import fixed_array, text_array
from smartdata_ts._readings.columns import Folded, Readings, concatenate, drop_known, first_conflict, fold
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage.catalog import Catalog
from smartdata_ts._storage.fork import check_process, fork_count
from smartdata_ts._storage.snapshot import ChunkFiles, Snapshot, pack_head
from smartdata_ts._time.zone import TimeZone, zone_name
from smartdata_ts._write.buffer import WriteBuffer
from smartdata_ts._write.chunks import ChunkOutput, flush_head
from smartdata_ts._write.ingest import REASONS, ColumnNames, LocalTimes, Rows, read_rows
from smartdata_ts._write.time_notices import TimeNotices
from smartdata_ts.errors import ConflictError, DataError, SmartDataError, UsageError
from smartdata_ts.kernels.arrays import Int32Array, Int64Array
from smartdata_ts.kernels.rows.readings import mark_stale, number_rows
from smartdata_ts.kernels.status import MALFORMED

# Fewer readings than this go to the head, which is flushed when it holds as many.
HEAD_READINGS_MAX = 65_536
HEAD_BLOBS_MAX = 1024
# Time-ordered input is sorted by the buffer: the larger, the longer its blocks.
BUFFER_READINGS = 4_194_304
KEPT_KEYS_MAX = 65_536
ON_REJECT = ("report", "raise")
_REJECTS_SHOWN = 3
_NOT_STORED = ("duplicates", "replaced", "kept", "rejected", "empty")


@dataclass(frozen=True)
class WriteReport:
    """Counts of rows by their fate: rows == stored + duplicates + replaced + kept + rejected + empty."""

    rows: int = 0
    stored: int = 0  # new (series, time)
    duplicates: int = 0  # same series, time, value and quality: nothing to store
    replaced: int = 0  # same series and time, other value or quality: the later one won
    kept: int = 0  # the same, but what stood was better, or was to be kept: this row gave way
    rejected: int = 0
    rejections: dict[str, int] = field(default_factory=dict)  # reason -> rows
    series_created: int = 0
    commit: int | None = None  # None where nothing had to be stored
    rejected_rows: pa.Table | None = None  # row (from 0, over all writes) and reason
    empty: int = 0  # rows without a value: null or NaN, and not said to be missing or rejected
    ambiguous: int = 0  # of the readings, those in a repeated local hour that the rows' order does not settle
    notices: tuple[str, ...] = ()  # what is suspect: times decades from all others
    # Rows among those replaced and kept that met another row of this write, of up to four million in turn.
    conflicts: int = 0


class WriteState:
    """A writer's knowledge of the store at a commit, kept from write to write by the handle."""

    def __init__(self, catalog: Catalog, files: ChunkFiles) -> None:
        state = catalog.state()
        snapshot = Snapshot.of(state, files)
        self.commit = state.commit
        self.reading_count = state.reading_count
        self.head_blob_count = len(state.head)
        self.head_reading_count = len(snapshot.head)
        # By series id; grown ahead of new series.
        self.newest = snapshot.watermarks(catalog.series_id_max())
        self.ids: dict[str, int] = {}
        # The first and last time of all readings, in us.
        self.span = snapshot.span()
        # The keys of the batch before, and their ids (0: not known).
        self.dictionary: tuple[pa.StringArray, Int32Array] | None = None

    def make_room(self, series_id_max: int) -> None:
        """Let every series up to this id have a watermark."""
        if series_id_max >= self.newest.size:
            grown = np.full(2 * series_id_max + 1024, np.iinfo(np.int64).min)
            grown[: self.newest.size] = self.newest
            self.newest = grown

    def widen(self, span: tuple[int, int]) -> None:
        """Let the span of all readings hold another."""
        self.span = min(self.span[0], span[0]), max(self.span[1], span[1])

    def forget_many_keys(self) -> None:
        """Keep keys for the next write only where they are few; a million take 200 MB."""
        if len(self.ids) > KEPT_KEYS_MAX:
            self.ids = {}
            self.dictionary = None


@dataclass
class WriteAccess:
    """A handle's means of writing; `state` is None where nothing is known of the store."""

    catalog: Catalog
    files: ChunkFiles
    # Called after a commit that added chunks; gives the number of the commit that it made, if any.
    tidy: Callable[[Catalog, ChunkFiles], int | None] | None = None
    state: WriteState | None = None
    results: tuple[type, ...] = ()  # what a query's result is: all of it is to be kept


class Writer:
    """One all-or-nothing write of any size; a context manager that `Store.writer` makes."""

    def __init__(
        self, access: WriteAccess, note: str | None, on_conflict: str, on_reject: str = "report"
    ) -> None:
        if not isinstance(on_reject, str) or on_reject not in ON_REJECT:
            raise UsageError(f"on_reject must be 'report' or 'raise', not {shown(on_reject)}")
        self._made = fork_count()
        self._access = access
        self._wins = winners(on_conflict)
        self._on_reject = on_reject
        self._on_conflict = on_conflict
        self._catalog = access.catalog
        self._files = access.files
        # Another type would be stored as SQLite converts it, and the commit's checksum be another's.
        self._note = text_or_none("note", note, may_be_empty=True)
        self._is_open = False
        self._report: WriteReport | None = None
        self._buffer = WriteBuffer()
        self._counts = dict.fromkeys(
            (
                "rows",
                "duplicates",
                "replaced",
                "kept",
                "rejected",
                "empty",
                "ambiguous",
                "series_created",
                "conflicts",
            ),
            0,
        )
        self._rejects: list[tuple[Int64Array, npt.NDArray[np.uint8]]] = []
        self._locals: dict[str, LocalTimes] = {}
        self._time_notices = TimeNotices()
        self._output = ChunkOutput(access.files, access.catalog.series_keys)

    def _check_process(self) -> None:
        if self._made != fork_count():
            check_process(self._made, f"{self._files.directory.parent}: this writer was made")

    def __enter__(self) -> "Writer":
        self._check_process()
        if self._is_open or self._report is not None:
            raise UsageError("a writer serves for one `with` block; begin another")
        self._catalog.begin()
        try:
            # Only a commit leaves a state that can be relied upon.
            kept, self._access.state = self._access.state, None
            if kept is None or kept.commit != self._catalog.last_commit():
                kept = WriteState(self._catalog, self._files)
        except BaseException:
            self._catalog.roll_back()
            raise
        self.state = kept
        self._is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        if error is not None:
            if self._made == fork_count():  # else the write is the parent's, and goes on there
                self._abandon()
            return
        self._check_process()
        try:
            report = self._finish()
            self._access.state = self.state
            self._catalog.commit()
        except BaseException:
            self._access.state = None
            self._abandon()
            raise
        self._report = report
        self._tidy()

    def _tidy(self) -> None:
        """Let chunks be folded. The write stands, so that what fails is left for the next one to try."""
        access = self._access
        if access.tidy is None or not len(self._output):
            return
        with contextlib.suppress(SmartDataError):
            commit = access.tidy(access.catalog, access.files)
            if commit is not None and access.state is not None and access.state.commit == commit - 1:
                access.state.commit = commit

    @property
    def report(self) -> WriteReport:
        """Counts of what became of every row; complete once the writer has committed."""
        if self._report is None:
            raise UsageError("the report of a write is complete only after its `with` block")
        return self._report

    def write(
        self,
        data: object,
        series: str = "series",
        time: str = "time",
        value: str = "value",
        quality: str | Literal[False] | None = None,
        tz: TimeZone = "UTC",
    ) -> None:
        """Add readings; see `Store.write` for what `data` may be, and for `tz`.

        Rows of all calls count as one write: a later one replaces an earlier one of its series and time.
        """
        names = ColumnNames(series, time, value, quality)
        local = self._local_times(tz)
        is_result = isinstance(data, self._access.results)
        self._add(read_rows(data, names, local, is_result=is_result))

    def facts_of(self, keys: Sequence[str]) -> dict[str, dict[str, str | None]]:
        """What stands, within this write, of series that it knows: unit, kind, and the tag "direction"."""
        self._check_is_open()
        ids = self._catalog.series_ids(keys)
        said = self._catalog.facts_of(ids, ("unit", "kind"))
        columns = (said["unit"], said["kind"], self._catalog.tags_of(ids, "direction"))
        names = ("unit", "kind", "direction")
        return {
            key: dict(zip(names, row, strict=True))
            for key, row in zip(keys, zip(*columns, strict=True), strict=True)
        }

    def describe(self, series: str, facts: Mapping[str, object], tags: Mapping[str, str]) -> None:
        """Say what a series of this write is, in the same commit; see `Store.describe` for the facts."""
        self._check_is_open()
        where = f"series {series!r}"
        (number,) = self._catalog.series_ids([series]).tolist()
        self._catalog.set_facts(number, checked_facts(where, facts), checked_tags(where, tags))

    def restore(self, data: object) -> None:
        """Add readings as a store had them: a NaN is one too, whatever its quality."""
        self._add(read_rows(data, ColumnNames(), takes_nan=True))

    def _local_times(self, tz: TimeZone) -> LocalTimes | None:
        """Return the resolver of local times, the same for all calls of a zone; None: times are UTC."""
        name = tz if isinstance(tz, str) else zone_name(tz)  # a text may be an offset too
        if name == "UTC":
            return None
        if name not in self._locals:
            self._locals[name] = LocalTimes(name)
        return self._locals[name]

    def _add(self, batches: Iterable[Rows]) -> None:
        self._check_is_open()
        for rows in batches:
            self._check_process()  # the data may be an iterator that forks
            self._take(rows)
            while parts := self._buffer.take_chunk():
                self._spill_chunk(parts)
            if len(self._buffer) >= BUFFER_READINGS:
                self._spill()

    def _check_is_open(self) -> None:
        self._check_process()
        if not self._is_open:
            raise UsageError("a writer takes readings within its `with` block only; begin another")

    def _take(self, rows: Rows) -> None:
        if rows.rejected_rows.size:
            self._rejects.append((rows.rejected_rows + self._counts["rows"], rows.rejected_reasons))
        self._counts["rows"] += rows.row_count
        self._counts["rejected"] += rows.rejected_rows.size
        self._counts["empty"] += rows.empty_count
        self._counts["ambiguous"] += rows.ambiguous_count
        if len(rows.readings):
            readings = rows.readings
            ids = self._ids_of(rows)
            self._buffer.append(Readings(ids, readings.times, readings.values, readings.qualities))

    def _ids_of(self, rows: Rows) -> Int32Array:
        """The series id of each row; keys that rows use and the store lacks are created."""
        if isinstance(rows.keys, list):
            known = [self.state.ids.get(key, 0) for key in rows.keys]
            if all(known):
                return np.array(known, np.int32)[rows.readings.series]
            return self._ids_of(replace(rows, keys=text_array(rows.keys)))
        codes, numbers = rows.readings.series, self._numbers_of(rows.keys)
        ids = np.empty(codes.size, np.int32)
        unknown_count = number_rows(codes, numbers, ids)
        if unknown_count == MALFORMED:
            self.state.dictionary = None
            raise DataError(
                f"a row's series key is not among the {len(rows.keys):,} of its dictionary;"
                " the table is damaged: make it anew"
            )
        if unknown_count:
            unknown = np.flatnonzero(numbers < 0)
            numbers[unknown] = 0
            keys = [rows.keys[code].as_py() for code in unknown.tolist()]
            self._create(sorted(set(keys)))
            numbers[unknown] = self._known_ids(keys)
            number_rows(codes, numbers, ids)
        return ids

    def _numbers_of(self, keys: pa.StringArray) -> Int32Array:
        """The series id of each key, 0 where it is not known yet; the last dictionary's are at hand."""
        if self.state.dictionary is None or not self.state.dictionary[0].equals(keys):
            self.state.dictionary = (keys, self._known_ids(keys.to_pylist()))
        return self.state.dictionary[1]

    def _known_ids(self, keys: list[str]) -> Int32Array:
        return np.array([self.state.ids.get(key, 0) for key in keys], np.int32)

    def _create(self, keys: list[str]) -> None:
        """Learn the ids of keys that are sorted; those that the store lacks become series."""
        found = self._catalog.series_ids(keys)
        new = [key for key, number in zip(keys, found.tolist(), strict=True) if number == 0]
        if new:
            found[found == 0] = self._catalog.add_series(new)
            self._counts["series_created"] += len(new)
        self.state.ids.update(zip(keys, found.tolist(), strict=True))

    def _drain(self) -> Readings:
        """Take the buffer, sorted and folded in itself and against all that is known."""
        parts = self._buffer.take_all()
        looked_at = parts.copy() if self._on_conflict == "error" else []
        folded = fold(parts, self._wins)
        self._count(folded, looked_at)
        self._counts["conflicts"] += folded.replaced_count + folded.kept_count
        readings = folded.readings
        return self._without_known(readings, self._stale(readings))

    def _stale(self, readings: Readings) -> npt.NDArray[np.bool_]:
        """Which of the sorted readings are not newer than all of their series; then it learns of them."""
        stale = np.empty(len(readings), np.bool_)
        if len(readings):
            self.state.make_room(int(readings.series[-1]))
            self._time_notices.look(readings, self.state.newest, self.state.span, self._snapshot_now)
            mark_stale(readings.series, readings.times, self.state.newest, stale.view(np.uint8))
        return stale

    def _without_known(self, readings: Readings, stale: npt.NDArray[np.bool_]) -> Readings:
        """The readings without what is known of those that are stale."""
        if not stale.any():
            return readings
        known = self._known(readings.select(stale))
        fresh = drop_known(readings, known, self._wins)
        self._count(fresh, [known, readings])
        return fresh.readings

    def _count(self, folded: Folded, parts: list[Readings]) -> None:
        """Count what was folded away; raise ConflictError where that was not to be."""
        self._counts["duplicates"] += folded.duplicate_count
        self._counts["replaced"] += folded.replaced_count
        self._counts["kept"] += folded.kept_count
        if self._on_conflict == "error" and folded.kept_count:
            found = first_conflict(parts)
            assert found is not None
            rows, at = found
            key = self._catalog.series_keys(rows.series[at : at + 1].astype(np.int64))[0]
            old, new = (f"{rows.values[k]!s} ({quality_name(int(rows.qualities[k]))})" for k in (at - 1, at))
            raise ConflictError(
                f"series {key!r} at {np.datetime64(int(rows.times[at]), 'us')}Z is {old}, and {new} came. "
                "Nothing of this write is kept; on_conflict says what else to do"
            )

    def _known(self, readings: Readings) -> Readings:
        """Return what the store and this writer hold of the same series over the same times."""
        snapshot = self._snapshot_now()
        ids = np.unique(readings.series).astype(np.int64)
        return read_series(snapshot, ids, int(readings.times.min()), int(readings.times.max()))

    def _snapshot_now(self) -> Snapshot:
        """The store with what this writer has made of it so far."""
        return self._snapshot().with_chunks(self._output.live_rows())

    def _snapshot(self) -> Snapshot:
        return Snapshot.of(self._catalog.state(), self._files)

    def _spill(self) -> None:
        """Turn the buffer into chunks."""
        readings = self._drain()
        if len(readings):
            self._flush_head()
            self._add_chunks(readings)

    def _spill_chunk(self, parts: list[Readings]) -> None:
        """Turn sorted readings, which fill a chunk, into one; into some where the store knows of them."""
        stale = [self._stale(part) for part in parts]
        if any(marks.any() for marks in stale):
            readings = self._without_known(concatenate(parts), np.concatenate(stale))
            if len(readings):
                self._flush_head()
                self._add_chunks(readings)
        else:
            self._flush_head()
            self._output.add_chunk(parts, self.state.commit + 1)

    def _add_chunks(self, readings: Readings) -> None:
        self._output.add(Versions.of(readings, self.state.commit + 1))

    def _flush_head(self) -> None:
        """Turn the head into chunks, if there is one."""
        if self.state.head_reading_count:
            flush_head(self._snapshot(), self._catalog.raise_history_floor(), self._output)
            self._catalog.clear_head()
            self.state.head_blob_count = self.state.head_reading_count = 0

    def _finish(self) -> WriteReport:
        for local in self._locals.values():
            self._take(local.finish())
        if self._on_reject == "raise" and self._counts["rejected"]:
            raise DataError(self._about_rejects())
        for_head: Readings | None = None
        if len(self._output) or len(self._buffer) > HEAD_READINGS_MAX:
            self._spill()
        else:
            readings = self._drain()
            if len(readings) + self.state.head_reading_count > HEAD_READINGS_MAX:
                self._flush_head()
                self._add_chunks(readings)
            else:
                for_head = readings
        chunks = self._output.finish()
        counts = self._counts
        new = counts["rows"] - sum(counts[name] for name in _NOT_STORED)
        commit = None
        if new or counts["replaced"] or counts["series_created"]:
            self.state.reading_count += new
            commit = self.state.commit = self.state.commit + 1
            self._catalog.add_commit(commit, self._note, self.state.reading_count)
            for chunk in chunks:
                self._catalog.add_chunk(commit, chunk)
            if for_head is not None and len(for_head):
                self._add_head(commit, for_head)
        self.state.forget_many_keys()
        return self._make_report(new, commit)

    def _add_head(self, commit: int, readings: Readings) -> None:
        state = self.state
        self._catalog.add_head(commit, len(readings), pack_head(Versions.of(readings, commit)))
        state.head_reading_count += len(readings)
        state.head_blob_count += 1
        if state.head_blob_count > HEAD_BLOBS_MAX:
            self._catalog.merge_head(commit)
            state.head_blob_count = 1

    def _make_report(self, stored: int, commit: int | None) -> WriteReport:
        notices = self._time_notices.notices(self.state.span, self._key_of)
        self.state.widen(self._time_notices.span)
        counts = WriteReport(**self._counts, stored=stored, commit=commit, notices=notices)  # type: ignore[arg-type]
        if not counts.rejected:
            return counts
        rows, codes = self._rejected()
        rejections = {REASONS[code]: int((codes == code).sum()) for code in np.unique(codes)}
        reasons = text_array([REASONS[code] for code in codes])
        rejected_rows = pa.table({"row": fixed_array(rows), "reason": reasons})
        return replace(counts, rejections=rejections, rejected_rows=rejected_rows)

    def _rejected(self) -> tuple[Int64Array, npt.NDArray[np.uint8]]:
        """Numbers of the rejected rows, over all calls, and why each was."""
        rows, reasons = zip(*self._rejects, strict=True)
        return np.concatenate(rows), np.concatenate(reasons)

    def _about_rejects(self) -> str:
        rows, codes = (column[:_REJECTS_SHOWN].tolist() for column in self._rejected())
        first = "; ".join(f"row {row}: {REASONS[code]}" for row, code in zip(rows, codes, strict=True))
        counts = self._counts
        more = "; ..." if counts["rejected"] > len(rows) else ""
        return (
            f"{counts['rejected']:,} of {counts['rows']:,} rows (from 0) cannot be readings: {first}{more}. "
            "Nothing of this write is kept; on_reject='report' stores the others"
        )

    def _key_of(self, series_id: int) -> str:
        return self._catalog.series_keys(np.array([series_id]))[0]

    def _abandon(self) -> None:
        """Leave nothing of a write that failed."""
        try:
            self._catalog.roll_back()
        finally:
            self._output.abandon()
