"""Backup: a consistent copy of a store, while writers go on; a store like any other.

The catalog is copied as of a commit, under a partial name; then the chunks that it names and the target
lacks, which never change; and only when all are durable does the catalog take its name. Until then the
target is what it was before: nothing that opens, or the backup of last time. A rerun goes on from there.
"""

from dataclasses import dataclass
from pathlib import Path

from smartdata_ts import _disk
from smartdata_ts._catalog import FILE_NAME, Catalog
from smartdata_ts.errors import StoreError, StoreFormatError


@dataclass(frozen=True)
class BackupReport:
    """What a backup did."""

    commit: int  # as of which the target is
    chunks: int
    chunks_copied: int  # the others were there already
    bytes_copied: int
    files_removed: int  # of the backup before


def backup(catalog: Catalog, chunk_directory: Path, target: Path) -> BackupReport:
    """Copy the store into the directory `target`, which may hold an earlier backup of it."""
    chunks = target / chunk_directory.name
    partial = target / "partial"
    if _disk.is_there(target / FILE_NAME) and not _disk.is_file(target / FILE_NAME):
        raise StoreFormatError(f"{target}: not a directory that a backup can go to")
    _disk.make_directory(chunks)
    _disk.make_directory(partial)
    copied: set[str] = set()
    size = 0
    while True:
        _disk.remove(partial / FILE_NAME)
        catalog.copy_to(partial / FILE_NAME)
        copy = Catalog(partial, True, 0.0)
        try:
            state = copy.state(with_history=True)
        finally:
            copy.close()
        rows = state.chunks + state.history
        try:
            for row in rows:
                if _disk.size_of_file(chunks / row.name) != row.size:
                    size += _disk.copy_durably(chunk_directory / row.name, chunks / row.name)
                    copied.add(row.name)
        except StoreError:
            # A compaction has removed a chunk since; the newer catalog names what took its place.
            if catalog.last_commit() == state.commit:
                raise
            continue
        break
    _disk.sync_and_rename(partial / FILE_NAME, target / FILE_NAME)
    size += _disk.size_of_file(target / FILE_NAME)
    for suffix in ("-journal", "-wal", "-shm"):  # of whoever has read the backup before
        _disk.remove(target / (FILE_NAME + suffix))
    _disk.remove_directory(partial)
    named = {row.name for row in rows}
    old = [name for name in _disk.names_in(chunks) if name not in named]
    for name in old:
        _disk.remove(chunks / name)
    return BackupReport(state.commit, len(named), len(copied & named), size, len(old))
