"""Upkeep: what keeps a store small, whole and lawful."""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from smartdata_ts._arguments import flag, path_of, text_or_none
from smartdata_ts._query import keys_to_remove, selected
from smartdata_ts._time.instant import parse_span
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts._time.zone import TimeZone

from .handle import Handle

if TYPE_CHECKING:
    from smartdata_ts._upkeep.backup import BackupReport
    from smartdata_ts._upkeep.compact import CompactReport
    from smartdata_ts._upkeep.delete import DeleteReport
    from smartdata_ts._upkeep.erase import EraseReport
    from smartdata_ts._upkeep.retention import RetentionReport
    from smartdata_ts._upkeep.verify import VerifyReport


class Upkeep(Handle):
    """The face that removes, copies and checks readings."""

    def compact(self) -> "CompactReport":
        """Fold chunks that overlap, or are small, into few; sweep what killed writers left.

        Time-ordered and late readings make many short blocks; this makes long ones of them, which are
        smaller and faster to read, and drops readings that were replaced. Queries go on meanwhile, writers
        wait.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.compact().chunks_after
        1
        """
        from smartdata_ts._upkeep.compact import compact

        access = self._for_writing()
        self._snapshot = None  # which holds the chunks that are folded
        report = compact(access.catalog, self._files)
        access.state = None
        return report

    def delete(
        self,
        series: str | Iterable[str] | None = None,
        start: object = None,
        end: object = None,
        tz: TimeZone = "UTC",
        note: str | None = None,
        *,
        tags: Mapping[str, str | Sequence[str]] | None = None,
        everything: bool = False,
    ) -> "DeleteReport":
        """Delete the readings of a series, or of many, within [start, end), at once and in one commit.

        `tags` narrow as in `query`. All series lose theirs only where `everything` is said; None, an empty
        list, an empty text and empty tags name no series, and raise UsageError. Times are as in `query`.
        `as_of` an earlier commit still shows them, for as long as history is kept; `erase` leaves no trace.
        Raises UnknownSeriesError where a key is named that the store does not hold.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 1], "value": [1.5, 2.5]})
        >>> store.delete("wm-17", end="1970-01-01T00:00:00.000001").readings
        1
        >>> store.query().to_arrow()["value"].to_pylist()
        [2.5]
        """
        from smartdata_ts._upkeep.delete import delete

        keys, wanted = keys_to_remove(series, tags, everything, "delete")
        start_us, end_us = parse_span(start, end, tz)
        note = text_or_none("note", note, may_be_empty=True)
        access = self._for_writing()
        ids = np.sort(selected(access.catalog, keys, wanted).ids)
        first = TIME_MIN if start_us is None else start_us
        last = TIME_MAX if end_us is None else end_us - 1
        report = delete(access.catalog, self._files, ids, first, last, note)
        access.state = None
        return report

    def erase(
        self,
        series: str | Iterable[str] | None = None,
        *,
        tags: Mapping[str, str | Sequence[str]] | None = None,
        everything: bool = False,
    ) -> "EraseReport":
        """Remove every trace of a series, or of many, from all files: readings, history, facts and tags.

        `tags` narrow as in `query`. All series are erased only where `everything` is said; None, an empty
        list, an empty text and empty tags name no series, and raise UsageError.
        All other series answer as before. Old files are overwritten, so that a query that is reading them
        in another process may fail. If the process dies, the next handle that opens the store for writing
        finishes. Notes of commits, and backups, are the user's own. Raises UnknownSeriesError.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": ["wm-17", "wm-18"], "time": [0, 0], "value": [1.5, 2.5]})
        >>> store.erase("wm-17").readings
        1
        >>> store.series()["series"].to_pylist()
        ['wm-18']
        """
        from smartdata_ts._upkeep.erase import erase

        keys, wanted = keys_to_remove(series, tags, everything, "erase")
        access = self._for_writing()
        ids = np.sort(selected(access.catalog, keys, wanted).ids)
        self._snapshot = None
        access.state = None
        try:
            return erase(access.catalog, self._files, ids)
        finally:
            access.state = None

    def set_retention(self, rules: Iterable[Mapping[str, object]], tz: TimeZone = "UTC") -> None:
        """Say for how long readings are kept; `apply_retention` does it. The rules before are forgotten.

        A rule says which series it is for, by `series` (a pattern such as "wm-*"), `quantity` and `tags`,
        which must all fit; of several rules the first that fits counts. `keep` says what is kept of
        them up to which age, from fine to coarse: "raw", then buckets of a calendar in the zone `tz`.
        Older readings than the last age are removed; an age may be "forever". An empty list keeps all.
        Raises UsageError.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.set_retention([
        ...     {"series": "test-*", "keep": {"raw": "30d"}},
        ...     {"quantity": "water", "keep": {"raw": "2y", "1h": "5y", "1d": "10y", "1mo": "forever"}},
        ... ], tz="Europe/Oslo")
        """
        from smartdata_ts._upkeep.retention_rules import checked_rules, rules_as_text

        text = rules_as_text(checked_rules(rules, tz))
        catalog = self._for_writing().catalog
        with catalog.transaction():
            catalog.set_retention(text)

    def retention(self) -> list[dict[str, object]]:
        """The rules of retention, as `set_retention` takes them.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.set_retention([{"series": "test-*", "keep": {"raw": "30d"}}])
        >>> store.retention()
        [{'keep': {'raw': '30d'}, 'series': 'test-*', 'tz': 'UTC'}]
        """
        self._check()
        rules: list[dict[str, object]] = json.loads(self._catalog.retention())
        return rules

    def apply_retention(
        self, now: object = None, dry_run: bool = False, tz: TimeZone = "UTC"
    ) -> "RetentionReport":
        """Thin out and remove what is older than the rules say, as of `now`; `dry_run` only counts it.

        Coarser readings depend on the kind of the series. A register keeps the last reading of each
        bucket, as it was read, so that volumes stay what they are; and both sides of a fall, and the
        first of a year. Amounts (kind "interval") become their sum, a gauge its mean, at the bucket's
        start, with the least of their qualities; readings that are rejected, missing or no numbers do not
        count. A series without a kind is left as it is, and reported. Only whole buckets are thinned out.

        Removed readings leave history too, unless the store has a named snapshot: then they stay in history
        until it is released, and the rules are applied again when there is something to do.

        >>> import smartdata_ts as sd, tempfile, numpy as np
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> hours = np.array(["2020-01-01T00", "2020-01-01T01", "2020-01-02T00"], "M8[us]")
        >>> store.describe("temperature", kind="gauge")
        >>> report = store.write({"series": "temperature", "time": hours, "value": [1.0, 2.0, 5.0]})
        >>> store.set_retention([{"keep": {"raw": "2y", "1d": "forever"}}])
        >>> store.apply_retention(now="2025-01-01").readings_removed
        2
        >>> store.query().to_arrow()["value"].to_pylist()
        [1.5, 5.0]
        """
        from smartdata_ts._upkeep.retention import apply_retention

        is_dry = flag("dry_run", dry_run)
        at_us = parse_span(now, None, tz)[0]
        now_us = time.time_ns() // 1000 if at_us is None else at_us
        if is_dry:
            self._check()
            return apply_retention(self._catalog, self._files, now_us, True)
        access = self._for_writing()
        try:
            return apply_retention(access.catalog, self._files, now_us, False)
        finally:
            access.state = None

    def backup(self, target: str | os.PathLike[str]) -> "BackupReport":
        """Copy the store, as of its newest commit, into the directory `target`; writers go on meanwhile.

        `target` is new, empty, or an earlier backup of this store: then only chunks that it lacks are
        copied. Until all is durable it is what it was; a backup that was killed goes on when it is run
        again. To restore, open it: for writing, it becomes a store of its own, which no backup replaces.
        Copy nothing by hand while somebody writes, docs/reliability.md says why.

        Raises StoreFormatError or UsageError, before anything is changed, where something else is there:
        a store, a backup of another one, or one with commits that this store lacks.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> folder = tempfile.mkdtemp() + "/city.sdts"
        >>> store.backup(folder).commit
        1
        >>> sd.open(folder, mode="r").query().to_arrow()["value"].to_pylist()
        [1.5]
        """
        from smartdata_ts._upkeep.backup import backup

        self._check()
        return backup(self._catalog, self._files.directory, path_of("target", target))

    def verify(self, deep: bool = False) -> "VerifyReport":
        """Hold all that is stored to its checksums, and the catalog to the chunks; `deep` decodes it too.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.verify().problems
        []
        """
        from smartdata_ts._upkeep.verify import verify

        self._check()
        return verify(self._catalog, self._files, flag("deep", deep))
