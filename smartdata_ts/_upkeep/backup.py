"""Backup: a consistent copy of a store, while writers go on; a store like any other, marked as a backup.

The catalog is copied as of a commit, under a partial name; then the chunks that it names and the target
lacks, which never change; and only when all are durable does the catalog take its name. Until then the
target is what it was before: nothing that opens, or the backup of last time. A rerun goes on from there.

A backup replaces what is at its target, so that this must be a new place, or an earlier backup of the same
store: of its identity, marked, and with no commit that the store lacks. All else is left as it is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog import BACKUP, CHUNK_DIRECTORY, FILE_NAME, Catalog, State
from smartdata_ts._storage.locks import FileLock
from smartdata_ts.errors import StoreBusyError, StoreError, StoreFormatError, UsageError

_PARTIAL = "partial"
# In the partial directory: the identity of the store that is being copied; what one backup at a time holds.
_ORIGIN_NAME = "origin"
_LOCK_NAME = "lock"
_ELSE = "name a directory that is new, empty, or an earlier backup of this store"


@dataclass(frozen=True)
class BackupReport:
    """Counts of a backup."""

    commit: int  # the target is as of this one
    chunks: int
    chunks_copied: int  # the others were there already
    bytes_copied: int
    files_removed: int  # of the backup before


def backup(catalog: Catalog, chunk_directory: Path, target: Path) -> BackupReport:
    """Copy the store into the directory `target`, which may hold an earlier backup of it."""
    origin = catalog.store_id()
    if origin is None:
        raise StoreFormatError(
            f"{chunk_directory.parent}: a store of format version 1, which has no identity that a backup "
            "could be known by; open it once with mode 'a', or compact it, which brings it up to date"
        )
    _check_place(chunk_directory.parent, target)
    _check_target(catalog, origin, target)
    disk.make_directory(target / _PARTIAL)
    lock = FileLock(target / _PARTIAL / _LOCK_NAME)
    try:
        if not lock.take():
            raise StoreBusyError(f"{target}: another backup is on its way there; try again after it")
        return _write_to(target, origin, catalog, chunk_directory, lock)
    finally:
        lock.close()


def _write_to(
    target: Path, origin: str, catalog: Catalog, chunk_directory: Path, lock: FileLock
) -> BackupReport:
    partial, chunks = target / _PARTIAL, target / CHUNK_DIRECTORY

    def write_origin(file: BinaryIO) -> None:
        file.write(origin.encode())

    disk.write_durably(partial / _ORIGIN_NAME, write_origin)
    disk.make_directory(chunks)
    copied: dict[str, int] = {}  # sizes in bytes
    while True:
        state = _copy_catalog(catalog, partial)
        rows = state.chunks + state.history
        try:
            for row in rows:
                if disk.size_of_file(chunks / row.name) != row.size:
                    copied[row.name] = disk.copy_durably(chunk_directory / row.name, chunks / row.name)
        except StoreError:
            # A compaction has removed a chunk since; the newer catalog names what took its place.
            if catalog.last_commit() == state.commit:
                raise
            continue
        break
    _check_target(catalog, origin, target)  # somebody may have opened it for writing meanwhile
    disk.sync_and_rename(partial / FILE_NAME, target / FILE_NAME)
    size = sum(copied.values()) + disk.size_of_file(target / FILE_NAME)
    for suffix in ("-journal", "-wal", "-shm"):  # left by a reader of the backup
        disk.remove(target / (FILE_NAME + suffix))
    lock.close_before_removal()
    disk.remove_directory(partial)
    named = {row.name for row in rows}
    old = [name for name in disk.names_in(chunks) if name not in named]
    for name in old:
        disk.remove_unless_open(chunks / name)
    return BackupReport(state.commit, len(named), len(copied.keys() & named), size, len(old))


def _copy_catalog(catalog: Catalog, partial: Path) -> State:
    """Copy the catalog as of its newest commit, marked as a backup's; what it names."""
    disk.remove(partial / FILE_NAME)
    catalog.copy_to(partial / FILE_NAME, BACKUP)
    copy = Catalog(partial, True, 0.0, is_still=True)
    try:
        return copy.state(with_history=True)
    finally:
        copy.close()


def _check_place(store: Path, target: Path) -> None:
    """Refuse the store itself, by whatever name, and what lies within it."""
    store, target = disk.real_path(store), disk.real_path(target)
    if target == store:
        raise UsageError(f"{target}: is the store itself; name another directory")
    if store in target.parents:
        raise UsageError(f"{target}: lies within the store itself; name a directory outside of it")


def _check_target(catalog: Catalog, origin: str, target: Path) -> None:
    """Refuse a target where a backup would take something from somebody; nothing of it is changed."""
    if not disk.is_there(target):
        return
    if not disk.is_directory(target):
        raise StoreFormatError(f"{target}: is no directory; {_ELSE}")
    for name in (CHUNK_DIRECTORY, _PARTIAL):
        if disk.is_link(target / name):
            raise StoreFormatError(f"{target / name}: is a link; {_ELSE}")
    names = disk.names_in(target)
    if FILE_NAME in names:
        _check_earlier(catalog, origin, target)
    elif names and not _is_interrupted(origin, target):
        strange = next((name for name in names if name not in (CHUNK_DIRECTORY, _PARTIAL)), names[0])
        raise StoreFormatError(f"{target}: is no backup of this store (it holds {strange!r}); {_ELSE}")


def _is_interrupted(origin: str, target: Path) -> bool:
    """Whether a first backup of the store has ended before its catalog took its name."""
    names = set(disk.names_in(target))
    if not names <= {CHUNK_DIRECTORY, _PARTIAL} or not disk.is_directory(target / _PARTIAL):
        return False
    begun = set(disk.names_in(target / _PARTIAL))
    if names == {_PARTIAL} and begun <= {_LOCK_NAME, _ORIGIN_NAME + disk.PARTIAL_SUFFIX}:
        return True  # it ended before it could say whose it was
    return disk.end_of(target / _PARTIAL / _ORIGIN_NAME, len(origin) + 1) == origin.encode()


def _check_earlier(catalog: Catalog, origin: str, target: Path) -> None:
    """Refuse a store that is no earlier backup of this one."""
    try:
        found = Catalog(target, True, 0.0, is_still=True)
    except StoreError as problem:
        raise StoreFormatError(f"{target}: cannot be replaced by a backup; {_ELSE}. {problem}") from problem
    try:
        reason = _reason_against(found, catalog, origin)
    finally:
        found.close()
    if reason:
        raise StoreFormatError(f"{target}: {reason}; {_ELSE}")


def _reason_against(found: Catalog, catalog: Catalog, origin: str) -> str | None:
    """Why a backup may not take the place of a store that was found; None where it may."""
    if found.format_version() == 1:
        return (
            "is a store of format version 1, of which nobody knows whether it is a backup of this one. Where "
            "you know it, remove it, or keep it as it is"
        )
    if not found.is_backup():
        return "is a store of its own, or a backup that was opened for writing, and became one"
    if found.store_id() != origin:
        return f"is a backup of another store, {found.store_id()}"
    newest = found.last_commit()
    if found.commit_row(newest) != catalog.commit_row(newest):
        return f"has commits that this store lacks, the last being {newest}"
    return None
