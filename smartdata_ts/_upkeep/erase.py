"""Erasure: no byte of a series is left in any file of the store.

In one transaction the series' readings are taken out of all chunks, of history's too, and of the head,
and its rows out of the catalog; the same transaction notes which files hold what was taken out. After it
those files are overwritten and removed, and the catalog is written anew, so that none of its pages, nor of
its log, holds what they did. A process that dies in between leaves the note, and the next handle that
opens the store for writing goes on from there.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from smartdata_ts._readings.versions import fold_versions
from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog import Catalog
from smartdata_ts._storage.snapshot import ChunkFiles, Snapshot
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts._upkeep.removal import Removal, versions_of
from smartdata_ts._write.chunks import rewriting
from smartdata_ts.kernels.arrays import Int64Array


@dataclass(frozen=True)
class EraseReport:
    """Counts of an erasure; it does not name what was erased, and so may be kept."""

    series: int
    readings: int  # of the present; their versions in history went with them
    files_rewritten: int  # chunks that held other series too, written anew without
    files_overwritten: int  # with zeros, synced, and removed
    bytes_overwritten: int
    commit: int
    time: str  # UTC, ISO 8601

    @property
    def signature(self) -> str:
        """SHA-256 over the report's fields as sorted JSON, in hexadecimal; the commit's note holds it too."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def erase(catalog: Catalog, files: ChunkFiles, ids: Int64Array) -> EraseReport:
    """Erase the series `ids`, which ascend."""
    with rewriting(catalog, files) as output:
        state = catalog.state(with_history=True)
        chunks = state.chunks + state.history
        count = 0
        for versions in versions_of(Snapshot.of(state, files), ids, TIME_MIN, TIME_MAX):
            count += len(fold_versions(versions)[0])
        removal = Removal(catalog, files, output, state)
        removal.take_out(chunks, ids, TIME_MIN, TIME_MAX)
        # A writer that was killed may have left files with anything in them.
        named = {row.name for row in chunks} | set(output.names())
        orphans = [name for name in disk.names_in(files.directory) if name not in named]
        commit = state.commit + 1
        catalog.add_commit(commit, None, state.reading_count - count)
        old = removal.put_back(commit)
        report = EraseReport(
            series=int(ids.size),
            readings=count,
            files_rewritten=len(output.names()),
            files_overwritten=len(old) + len(orphans),
            bytes_overwritten=sum(disk.size_of_file(files.directory / name) for name in old + orphans),
            commit=commit,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        catalog.note_commit(commit, f"erasure of {report.series} series, sha256 {report.signature}")
        catalog.remove_series(ids.tolist())
        catalog.add_erasure(old + orphans)
        catalog.commit()
    finish_erasures(catalog, files)
    return report


def finish_erasures(catalog: Catalog, files: ChunkFiles) -> None:
    """Overwrite and remove the files that erasures have left, and write the catalog anew."""
    names = catalog.erasures()
    if names is None:
        return
    for name in names:
        disk.overwrite(files.directory / name)
        disk.remove_unless_open(files.directory / name)
    if names:
        disk.sync_directory(files.directory)
    catalog.write_anew()
    catalog.clear_erasures()
