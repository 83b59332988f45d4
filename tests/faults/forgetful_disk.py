"""A disk that forgets what was not synced: it records a store's life, and gives back a power cut's.

Of the store's own files it knows each write, sync, rename and removal, and gives back a directory in which
each that was not synced happened or did not, a write by sectors. SQLite's files are copied at each step; of
the log, what grew since the last commit returned is cut at any place, or overwritten.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from watched_os import watched

from smartdata_ts._storage.catalog import Catalog

SECTOR = 512
SQLITE_FILES = ("catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-journal")
LOOKS = {"stat", "lstat", "listdir", "memory_map", "scandir", "pread", "read", "fstat", "readv", "preadv"}
LOOKS |= {"flock", "fcntl", "lseek"}
DIRECTORY = -1

Entries = dict[str, int]  # name -> file, or DIRECTORY


@dataclass
class File:
    """What a file held when it was last synced, and what was written since: places and bytes."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes]] = field(default_factory=list)

    def sync(self) -> None:
        for place, data in self.pending:
            _put(self.synced, place, data)
        self.pending = []


@dataclass
class Directory:
    """Entries that are durable, and changes that are not yet: a name and what it then stands for."""

    entries: Entries = field(default_factory=dict)
    pending: list[dict[str, int | None]] = field(default_factory=list)

    def current(self) -> Entries:
        return _changed(self.entries, self.pending)


def _put(target: bytearray, place: int, data: bytes) -> None:
    target.extend(bytes(max(0, place + len(data) - len(target))))
    target[place : place + len(data)] = data


def _changed(entries: Entries, changes: list[dict[str, int | None]]) -> Entries:
    result = dict(entries)
    for change in changes:
        for name, number in change.items():
            if number is None:
                result.pop(name, None)
            else:
                result[name] = number
    return result


@dataclass(frozen=True)
class Cut:
    """A power cut: its step, how many operations had returned, and SQLite's files then."""

    step: int
    returned: int
    durable: dict[str, bytes]  # when the last commit returned
    current: dict[str, bytes]


class ForgetfulDisk:
    """Records what happens below `root`."""

    def __init__(self, root: Path, store: Path) -> None:
        self.root, self.store = root, store
        self.steps: list[tuple[str, tuple[Any, ...]]] = []
        self.cuts: list[Cut] = []
        self.returned = 0
        self._open: dict[int, tuple[str, Any]] = {}
        self._places: dict[int, int] = {}
        self._numbers: dict[Path, int] = {}  # of files, by their names now
        self._file_count = 0
        self._durable: dict[str, bytes] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record all that `_storage/disk` does, and when commits return."""
        commit = Catalog.commit

        def commit_and_look(catalog: Catalog) -> None:
            commit(catalog)
            files = self._sqlite_files()
            # Before its log goes into the database, and the database is changed, SQLite syncs it.
            if catalog._is_durable or files.get("catalog.sqlite") != self._durable.get("catalog.sqlite"):
                self._durable = files

        with watched(after=self._done), pytest.MonkeyPatch.context() as patch:
            patch.setattr(Catalog, "commit", commit_and_look)
            yield

    def _sqlite_files(self) -> dict[str, bytes]:
        paths = [self.store / name for name in SQLITE_FILES]
        return {path.name: path.read_bytes() for path in paths if path.exists()}

    def _done(self, _number: int, name: str, arguments: tuple[Any, ...], result: Any) -> None:
        if name in LOOKS:
            return
        step = getattr(self, f"_after_{name}")(result, *arguments)
        if step is not None:
            self.steps.append(step)
            self.cuts.append(Cut(len(self.steps), self.returned, self._durable, self._sqlite_files()))

    def _after_open(self, result: int, path: Any, flags: int, _mode: int = 0) -> Any:
        path = Path(path)
        if flags & os.O_CREAT:
            self._file_count += 1
            self._open[result] = ("file", self._file_count)
            self._places[result] = 0
            self._numbers[path] = self._file_count
            return "entry", (path.parent, {path.name: self._file_count})
        number = self._numbers.get(path)
        self._open[result] = ("directory", path) if number is None else ("file", number)
        self._places[result] = 0
        return None

    def _after_write(self, result: int, descriptor: int, data: Any) -> Any:
        place = self._places[descriptor]
        self._places[descriptor] += result
        return "write", (self._open[descriptor][1], place, bytes(memoryview(data)[:result]))

    def _after_fsync(self, _result: None, descriptor: int) -> Any:
        kind, what = self._open[descriptor]
        return f"sync {kind}", (what,)

    def _after_rename(self, _result: None, source: Any, target: Any) -> Any:
        source, target = Path(source), Path(target)
        assert source.parent == target.parent
        self._numbers[target] = self._numbers.pop(source)
        return "rename", (source.parent, source.name, target.name)

    _after_replace = _after_rename

    def _after_unlink(self, _result: None, path: Any) -> Any:
        return "entry", (Path(path).parent, {Path(path).name: None})

    def _after_mkdir(self, _result: None, path: Any) -> Any:
        return "entry", (Path(path).parent, {Path(path).name: DIRECTORY})

    def give_back(self, cut: Cut, target: Path, choose: random.Random) -> None:
        """Make at `target` what the disk may hold after the cut."""
        files, directories = self._replayed(cut.step)
        self._make(self.root, target, files, directories, choose)
        if (directory := target / self.store.relative_to(self.root)).is_dir():
            for name, data in _sqlite_after(cut, choose).items():
                (directory / name).write_bytes(data)

    def _replayed(self, step_count: int) -> tuple[dict[int, File], dict[Path, Directory]]:
        files: dict[int, File] = {}
        directories: dict[Path, Directory] = {self.root: Directory()}
        for kind, arguments in self.steps[:step_count]:
            if kind == "entry":
                folder, change = arguments
                directories.setdefault(folder, Directory()).pending.append(change)
                for number in change.values():
                    files.setdefault(number or 0, File())
            elif kind == "rename":
                folder, source, name = arguments
                number = directories[folder].current()[source]
                directories[folder].pending.append({source: None, name: number})
            elif kind == "write":
                files[arguments[0]].pending.append(arguments[1:])
            elif kind == "sync file":
                files[arguments[0]].sync()
            else:
                directory = directories.setdefault(arguments[0], Directory())
                directory.entries, directory.pending = directory.current(), []
        return files, directories

    def _make(
        self,
        source: Path,
        target: Path,
        files: dict[int, File],
        directories: dict[Path, Directory],
        choose: random.Random,
    ) -> None:
        target.mkdir()
        directory = directories.get(source, Directory())
        kept = [change for change in directory.pending if choose.random() < 0.5]
        for name, number in _changed(directory.entries, kept).items():
            if number == DIRECTORY:
                self._make(source / name, target / name, files, directories, choose)
            else:
                (target / name).write_bytes(_sectors(files[number], choose))


def _sectors(file: File, choose: random.Random) -> bytes:
    """What was synced, and of later writes some sectors; the file may have grown, with zeros, or not."""
    data = bytearray(file.synced)
    end = max([len(data), *(place + len(written) for place, written in file.pending)])
    size = choose.choice([end, choose.randint(len(data), end)])
    data.extend(bytes(size - len(data)))
    for first, written in file.pending:
        place = first
        while place < min(size, first + len(written)):
            behind = min(size, first + len(written), place - place % SECTOR + SECTOR)
            if choose.random() < 0.5:
                data[place:behind] = written[place - first : behind - first]
            place = behind
    return bytes(data)


def _sqlite_after(cut: Cut, choose: random.Random) -> dict[str, bytes]:
    log = "catalog.sqlite-wal"
    files = choose.choice([cut.durable, cut.current])
    before, after = cut.durable.get(log, b""), cut.current.get(log, b"")
    if files is cut.current and cut.durable and after.startswith(before) and len(after) > len(before):
        place = choose.randint(len(before), len(after))
        tail = choose.choice([b"", bytes(len(after) - place), choose.randbytes(len(after) - place)])
        return {**files, log: after[:place] + tail}
    return files
