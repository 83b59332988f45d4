"""History: what was known when, and what has changed since."""

import pyarrow as pa

from smartdata_ts._arguments import text, text_or_none, whole_number
from smartdata_ts._read.history import changes, commit_table, horizon_us, snapshot_table

from .handle import Handle


class History(Handle):
    """The face for a store's past."""

    def commits(self) -> pa.Table:
        """Every commit: commit, time, note (as its writer gave it), readings in the store after it.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]}, note="from the SCADA")
        >>> store.commits().select(["commit", "note", "readings"]).to_pylist()
        [{'commit': 1, 'note': 'from the SCADA', 'readings': 1}]
        """
        self._check()
        return commit_table(self._catalog)

    def changes(self, since: int, until: int | None = None) -> pa.RecordBatchReader:
        """Return what the commits after `since` changed, up to `until` (the newest), in bounded memory.

        Columns: series, time, old_value, old_quality (null: there was no reading), value, quality (null:
        it was deleted), commit, commit_time; by series, time and commit. The same reading sent again is
        no change. To follow a store, keep the highest commit and ask from there again.

        Raises HistoryError where history does not reach back to `since`.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> first = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> second = store.write({"series": "wm-17", "time": [0], "value": [1.6]})
        >>> changes = store.changes(since=first.commit).read_all()
        >>> changes.select(["old_value", "value", "commit"]).to_pylist()
        [{'old_value': 1.5, 'value': 1.6, 'commit': 2}]
        """
        self._check()
        first = whole_number("since", since)
        last = None if until is None else whole_number("until", until)
        return changes(self._catalog, self._files, first, last)

    def snapshot(self, name: str, note: str | None = None) -> int:
        """Name the store as it is now, and hold its readings until `release`; returns the commit.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> commit = store.snapshot("bills 2025", note="as invoiced")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.6]})
        >>> store.query(as_of="bills 2025").to_arrow()["value"].to_pylist()
        [1.5]
        """
        name = text("the name of a snapshot", name)
        note = text_or_none("note", note, may_be_empty=True)
        catalog = self._for_writing().catalog
        with catalog.transaction():
            commit = catalog.last_commit()
            catalog.add_snapshot(name, commit, note)
        return commit

    def release(self, name: str) -> None:
        """Let go of a named snapshot; UsageError where there is none such.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> commit = store.snapshot("bills 2025")
        >>> store.release("bills 2025")
        """
        name = text("the name of a snapshot", name)
        catalog = self._for_writing().catalog
        with catalog.transaction():
            catalog.remove_snapshot(name)

    def snapshots(self) -> pa.Table:
        """The named snapshots: name, commit, time (of the naming), note.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> commit = store.snapshot("bills 2025")
        >>> store.snapshots()["name"].to_pylist()
        ['bills 2025']
        """
        self._check()
        return snapshot_table(self._catalog)

    def keep_history(self, horizon: str) -> None:
        """Keep readings that were replaced or deleted for so long: "0d", "90d", "2y" or "forever".

        A new store keeps them for a year. The next compaction gives up older ones.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.keep_history("forever")
        """
        history_us = horizon_us(horizon)
        catalog = self._for_writing().catalog
        with catalog.transaction():
            catalog.set_history(history_us)
