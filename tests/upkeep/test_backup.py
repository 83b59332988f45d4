"""A backup goes to a new place, or over an earlier backup of the same store; all else is left as it is."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.command_line import run
from support.places import TESTS

import smartdata_ts as sd
from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog import Catalog
from smartdata_ts.errors import SmartDataError, StoreBusyError, StoreFormatError, UsageError

GOLDEN = TESTS / "golden"


def write(path: Path, key: str, time: int = 0) -> None:
    with sd.open(path) as store:
        store.write({"series": key, "time": [time], "value": [1.5]})


def back_up(source: Path, target: Path) -> int:
    with sd.open(source, "r") as store:
        return store.backup(target).commit


def contents(folder: Path, source: Path) -> dict[str, object]:
    """All that lies in a folder but in the store; of what readers note in, the name."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if source not in (path, *path.parents):
            is_file = path.is_file() and not path.name.endswith("-shm")
            found[str(path)] = (path.stat().st_mtime_ns, path.read_bytes()) if is_file else None
    return found


def series(path: Path) -> list[str]:
    with sd.open(path, "r") as store:
        return list(store.series()["series"].to_pylist())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "city.sdts"
    with sd.open(path) as store:
        store.write({"series": "a", "time": list(range(100_000)), "value": [0.5] * 100_000})
    write(path, "a", 500_000)
    return path


# -- what is refused


def live_store(target: Path, _source: Path) -> None:
    write(target, "theirs")


def own_folder(target: Path, _source: Path) -> None:
    (target / "chunks").mkdir(parents=True)
    (target / "chunks" / "thesis.doc").write_text("dear")


def own_folder_like_ours(target: Path, _source: Path) -> None:
    """With names that a backup has too, as it happens."""
    (target / "partial").mkdir(parents=True)
    (target / "partial" / "thesis.doc").write_text("dear")


def own_chunks(target: Path, _source: Path) -> None:
    """The chunks of a store whose catalog is gone: all that is left of it."""
    write(target, "theirs")
    (target / "catalog.sqlite").unlink()
    (target / "chunks" / "1970-1.arrow").write_text("dear")


def other_database(target: Path, _source: Path) -> None:
    target.mkdir()
    with closing(sqlite3.connect(target / "catalog.sqlite")) as raw:
        raw.execute("CREATE TABLE mine (x)")
        raw.commit()


def no_database(target: Path, _source: Path) -> None:
    target.mkdir()
    (target / "catalog.sqlite").write_bytes(b"dear" * 1000)


def linked_catalog(target: Path, source: Path) -> None:
    back_up(source, target)
    (target / "catalog.sqlite").rename(target.parent / "elsewhere")
    (target / "catalog.sqlite").symlink_to(target.parent / "elsewhere")


def linked_chunks(target: Path, source: Path) -> None:
    back_up(source, target)
    (target / "chunks").rename(target.parent / "elsewhere")
    (target / "chunks").symlink_to(target.parent / "elsewhere")


def linked_partial(target: Path, source: Path) -> None:
    back_up(source, target)
    (target.parent / "dear").mkdir()
    (target.parent / "dear" / "thesis.doc").write_text("dear")
    (target / "partial").symlink_to(target.parent / "dear")


def another_backup(target: Path, source: Path) -> None:
    other = source.parent / "other.sdts"
    write(other, "theirs")
    back_up(other, target)


def interrupted_backup_of_another(target: Path, source: Path) -> None:
    another_backup(target, source)
    (target / "partial").mkdir()
    (target / "partial" / "origin").write_text("dd1d08dd-f8dd-47c1-8d4e-3818f0d81cc7")
    (target / "catalog.sqlite").unlink()


def restored(target: Path, source: Path) -> None:
    """Opened for writing, and nothing written."""
    back_up(source, target)
    sd.open(target).close()


def restored_and_open(target: Path, source: Path) -> None:
    """Somebody has it open, and what made a store of it is in its log."""
    back_up(source, target)
    store = sd.open(target)
    store.write({"series": "theirs", "time": [0], "value": [1.0]})
    OPEN.append(store)


def copy_of_the_store(target: Path, source: Path) -> None:
    """By hand: it has the store's identity, and no mark."""
    shutil.copytree(source, target)
    write(target, "theirs")


def later_backup(target: Path, source: Path) -> None:
    """The store was set back to what it was before, by hand, and has gone another way since."""
    shutil.copytree(source, source.parent / "before")
    write(source, "lost")
    back_up(source, target)
    shutil.rmtree(source)
    (source.parent / "before").rename(source)
    write(source, "won")


def old_version(target: Path, _source: Path) -> None:
    shutil.copytree(GOLDEN / "store-v1", target)


def version_to_come(target: Path, source: Path) -> None:
    back_up(source, target)
    with closing(sqlite3.connect(target / "catalog.sqlite")) as raw:
        raw.execute("UPDATE store SET value = '3' WHERE name = 'format_version'")
        raw.commit()


def a_file(target: Path, _source: Path) -> None:
    target.write_text("dear")


OPEN: list[sd.Store] = []
REFUSED: dict[Callable[[Path, Path], None], str] = {
    live_store: "a store of its own",
    own_folder: "is no backup of this store",
    own_folder_like_ours: "is no backup of this store",
    own_chunks: "is no backup of this store",
    other_database: "not of a smartdata_ts store",
    no_database: "not the catalog",
    linked_catalog: "is a link",
    linked_chunks: "is a link",
    linked_partial: "is a link",
    another_backup: "a backup of another store",
    interrupted_backup_of_another: "is no backup of this store",
    restored: "a store of its own, or a backup that was opened for writing",
    restored_and_open: "a store of its own, or a backup that was opened for writing",
    copy_of_the_store: "a store of its own",
    later_backup: "has commits that this store lacks, the last being 3",
    old_version: "format version 1.*remove it",
    version_to_come: "version 3.*Upgrade",
    a_file: "is no directory",
}


@pytest.mark.parametrize("make", REFUSED)
def test_what_a_backup_would_take_from_somebody_stays(
    make: Callable[[Path, Path], None], path: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    make(target, path)
    try:
        before = contents(tmp_path, path)
        told = run("backup", str(path), str(target))
        assert told.status == 1
        for mode in ("r", "a"):
            with sd.open(path, mode) as store, pytest.raises(StoreFormatError, match=REFUSED[make]) as raised:
                store.backup(target)
            assert str(target) in str(raised.value)
            assert "name a directory that is new, empty, or an earlier backup" in str(raised.value)
        assert contents(tmp_path, path) == before
    finally:
        while OPEN:
            OPEN.pop().close()


def test_the_store_itself_is_refused_by_whatever_name(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    with sd.open(path) as store:
        for target in (path, tmp_path / "link", tmp_path / "x" / ".." / "city.sdts"):
            with pytest.raises(UsageError, match="the store itself; name another"):
                store.backup(target)
        for target in (path / "backup", path / "chunks" / "b", tmp_path / "link" / "c"):
            with pytest.raises(UsageError, match="within the store itself"):
                store.backup(target)
    assert sorted(file.name for file in path.iterdir()) == ["catalog.sqlite", "chunks", "write.lock"]
    copy = tmp_path / "copy"
    back_up(path, copy)
    with sd.open(copy, "r") as store, pytest.raises(UsageError, match="the store itself"):
        store.backup(copy)


def test_a_store_without_an_identity_is_to_be_opened_for_writing_first(tmp_path: Path) -> None:
    old, target = tmp_path / "old", tmp_path / "target"
    shutil.copytree(GOLDEN / "store-v1", old)
    with pytest.raises(StoreFormatError, match="open it once with mode 'a'"):
        back_up(old, target)
    assert not target.exists()
    sd.open(old).close()
    assert back_up(old, target) == 5
    assert back_up(old, target) == 5


# -- what goes on


@pytest.mark.parametrize("shared", [False, True])
def test_a_backup_is_marked_until_it_is_opened_for_writing(shared: bool, path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()  # empty
    with sd.open(path, shared_filesystem=shared) as store:
        ours = store.info().id
        store.backup(target)
        write(path, "b")
        assert store.backup(target).commit == 3
    with sd.open(target, "r") as copy:
        assert (copy.info().is_backup, copy.info().id) == (True, ours)
    assert series(target) == ["a", "b"]
    assert {file.name for file in target.iterdir()} <= {
        *("catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm", "chunks")
    }
    with sd.open(target) as restored:
        theirs = restored.info()
        assert not theirs.is_backup
        assert theirs.id not in (None, ours)
        restored.backup(tmp_path / "its own")
    with sd.open(target) as restored:
        assert restored.info().id == theirs.id
    with sd.open(path, "r") as store:
        assert (store.info().is_backup, store.info().id) == (False, ours)


def test_a_backup_can_be_backed_up_and_so_can_what_was_restored(path: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    back_up(path, first)
    back_up(first, second)
    write(path, "b")
    back_up(path, first)
    back_up(first, second)
    back_up(path, second)
    assert series(second) == ["a", "b"]
    write(path, "c")
    back_up(path, second)
    with pytest.raises(StoreFormatError, match="has commits that this store lacks"):
        back_up(first, second)
    shutil.copytree(first, tmp_path / "restored")
    write(tmp_path / "restored", "d")
    back_up(tmp_path / "restored", tmp_path / "third")
    for other in (first, second):
        with pytest.raises(StoreFormatError, match="a backup of another store"):
            back_up(tmp_path / "restored", other)


def killed_at(number: int, run: Callable[[], object]) -> bool:
    """Run something in a child that is killed before its call of this number; whether it came so far."""
    from watched_os import watched

    child = os.fork()
    if child == 0:

        def hook(count: int, _name: str, _arguments: tuple[object, ...]) -> None:
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with watched(hook):
                run()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] != 0


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TESTS / "faults"))


@pytest.mark.slow
@pytest.mark.usefixtures("faults")
@pytest.mark.parametrize("again", [False, True])
def test_one_that_was_killed_before_any_call_goes_on(again: bool, path: Path, tmp_path: Path) -> None:
    target, number = tmp_path / "target", 0
    earlier = tmp_path / "earlier"
    if again:
        back_up(path, earlier)
        with sd.open(path) as store:
            store.write({"series": "b", "time": list(range(70_000)), "value": [1.0] * 70_000})
    while True:  # each number until the backup needs no more calls
        if again:
            shutil.copytree(earlier, target)
        ended = not killed_at(number, lambda: back_up(path, target))
        if target.exists() and (target / "catalog.sqlite").exists():
            assert series(target) in (["a"], ["a", "b"])
        assert back_up(path, target) == (3 if again else 2)
        assert series(target) == (["a", "b"] if again else ["a"])
        assert not (target / "partial").exists()
        with sd.open(target, "r") as copy:
            assert copy.info().is_backup
            assert copy.verify(deep=True).is_sound
        shutil.rmtree(target)
        if ended:
            break
        number += 1
    assert number > 30


def test_of_two_into_one_place_one_waits_for_another_time(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, copy = tmp_path / "target", Catalog.copy_to
    seen: list[SmartDataError] = []

    def meanwhile(catalog: Catalog, *arguments: object) -> None:
        monkeypatch.setattr(Catalog, "copy_to", copy)
        try:
            back_up(path, target)
        except SmartDataError as problem:
            seen.append(problem)
        copy(catalog, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Catalog, "copy_to", meanwhile)
    back_up(path, target)
    assert [type(problem) for problem in seen] == [StoreBusyError]
    assert series(target) == ["a"]


def test_one_that_is_restored_while_the_next_is_on_its_way_stays(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, copy = tmp_path / "target", Catalog.copy_to
    back_up(path, target)

    def meanwhile(catalog: Catalog, *arguments: object) -> None:
        copy(catalog, *arguments)  # type: ignore[arg-type]
        write(target, "theirs")

    monkeypatch.setattr(Catalog, "copy_to", meanwhile)
    with pytest.raises(StoreFormatError, match="opened for writing"):
        back_up(path, target)
    assert series(target) == ["a", "theirs"]


def test_a_full_disk_leaves_the_mark_or_the_one_before(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    back_up(path, target)
    write(path, "b")

    def full(*_: object) -> None:
        raise sd.errors.DiskFullError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync_and_rename", full)
        with pytest.raises(sd.errors.DiskFullError):
            back_up(path, target)
    assert series(target) == ["a"]
    assert back_up(path, target) == 3
