"""One face for each system: the same behaviour, or the refusal that is that system's own."""

import errno
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts._storage import disk, system
from smartdata_ts._storage.system import posix, windows
from smartdata_ts.errors import StoreError

SYSTEMS = pytest.mark.parametrize("chosen", [posix, windows], ids=["posix", "windows"])


@SYSTEMS
def test_each_system_has_the_whole_face(chosen: ModuleType) -> None:
    assert [name for name in system.__all__ if not hasattr(chosen, name)] == ["check_machine"]


@SYSTEMS
def test_a_rename_replaces_what_was_there(chosen: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    chosen.rename(tmp_path / "a", tmp_path / "b")
    chosen.sync_directory(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_bytes() == b"new"
    chosen.unlink(tmp_path / "b")
    with pytest.raises(FileNotFoundError):
        chosen.unlink(tmp_path / "b")


@SYSTEMS
def test_bytes_are_read_from_a_place_and_from_where_one_is(chosen: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(10)))
    descriptor = chosen.open_itself(tmp_path / "a", os.O_RDONLY)
    try:
        assert chosen.read_at(descriptor, 3, 4) == b"\4\5\6"
        assert chosen.read_at(descriptor, 9, 8) == b"\x08\x09"
        assert chosen.read_at(descriptor, 9, 10) == b""
        os.lseek(descriptor, 0, os.SEEK_SET)
        room = np.full(6, 99, np.uint8)
        assert chosen.read_into(descriptor, room) == 6
        assert room.tolist() == [0, 1, 2, 3, 4, 5]
        assert chosen.read_into(descriptor, room) == 4
        assert room.tolist() == [6, 7, 8, 9, 4, 5]
        assert chosen.read_into(descriptor, room) == 0
    finally:
        os.close(descriptor)


@SYSTEMS
def test_a_file_itself_is_opened_and_no_link_or_pipe_waited_for(chosen: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(OSError):  # noqa: PT011 - each system has its own number
        chosen.open_itself(tmp_path / "link", os.O_RDONLY)
    with pytest.raises(FileNotFoundError):
        chosen.open_itself(tmp_path / "none", os.O_RDONLY)
    os.close(chosen.open_itself(tmp_path / "made", os.O_RDWR | os.O_CREAT))
    assert (tmp_path / "made").read_bytes() == b""


@SYSTEMS
def test_a_lock_is_one_descriptors_until_it_lets_go(chosen: ModuleType, tmp_path: Path) -> None:
    first, second = (chosen.open_itself(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert chosen.lock(first)
    assert not chosen.lock(second)
    chosen.unlock(first)
    assert chosen.lock(second)
    os.close(second)  # which lets go of it too
    assert chosen.lock(first)
    os.close(first)


def test_a_file_that_a_scanner_holds_for_a_moment_is_renamed_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    class Held:
        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        @staticmethod
        def replace(source: Path, target: Path) -> None:
            tries.append(source)
            if len(tries) < 3:
                raise PermissionError(errno.EACCES, "in use")
            os.replace(source, target)  # noqa: PTH105

    monkeypatch.setattr(windows, "os", Held())
    (tmp_path / "a").write_bytes(b"a")
    windows.rename(tmp_path / "a", tmp_path / "b")
    assert (len(tries), (tmp_path / "b").exists()) == (3, True)


@pytest.mark.skipif(system.MAPS_FILES, reason="this system removes what is open")
def test_what_is_open_is_neither_removed_nor_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this run too (`tests/support/windows_manners.py`): else `make portable` would try nothing."""
    monkeypatch.setattr(windows, "_PATIENCE_S", 0.0)
    path, other = tmp_path / "open", tmp_path / "other"
    path.write_bytes(b"open")
    other.write_bytes(b"other")
    with path.open("rb"):
        with pytest.raises(StoreError, match=r"cannot be removed: .* Close it where it is open"):
            disk.remove(path)
        assert not disk.remove_unless_open(path)
        with pytest.raises(StoreError, match=r"cannot be renamed: .* Close it where it is open"):
            disk.sync_and_rename(other, path)
        assert (path.read_bytes(), other.read_bytes()) == (b"open", b"other")
    disk.sync_and_rename(other, path)
    assert path.read_bytes() == b"other"
    assert disk.remove_unless_open(path)


@pytest.mark.skipif(system.MAPS_FILES, reason="this system removes what is open")
def test_a_chunk_in_use_outlives_a_compaction_and_goes_with_the_next(tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    with sd.open(path) as store:
        for first in (0, 50_000):
            times = np.arange(first, first + 70_000)
            store.write({"series": "a", "time": times, "value": times / 10})
        with sd.open(path, "r") as reader:
            before = reader.query().to_arrow()
            assert store.compact().files_swept == 0
            assert len(list((path / "chunks").iterdir())) > 1
            assert reader.query().to_arrow().equals(before)
        store.compact()
        assert len(list((path / "chunks").iterdir())) == store.info().chunks
        assert store.query().to_arrow().equals(before)


@pytest.mark.parametrize("refusal", [None, errno.ENOTSUP, errno.EIO])
def test_where_a_plain_sync_stops_at_the_drive_the_full_one_is_asked_for(
    refusal: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS; a file system without it, such as a network share, has the plain one."""
    asked: list[object] = []

    def control(_descriptor: int, command: int) -> None:
        asked.append(command)
        if refusal is not None:
            raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(posix, "_FULL_SYNC", 51)
    monkeypatch.setattr(posix.fcntl, "fcntl", control)
    monkeypatch.setattr(posix.os, "fsync", lambda _descriptor: asked.append("plain"))
    if refusal == errno.EIO:
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            posix.sync(0)
        assert asked == [51]
    else:
        posix.sync(0)
        assert asked == ([51] if refusal is None else [51, "plain"])


@pytest.mark.parametrize(("durability", "expected"), [("full", 1), ("normal", 0)])
def test_sqlite_syncs_fully_too_where_commits_wait_for_the_disk(
    durability: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "HAS_FULL_SYNC", True)
    from smartdata_ts._storage.catalog import Catalog

    with sd.open(tmp_path / "city.sdts"):
        pass
    catalog = Catalog(tmp_path / "city.sdts", False, 1.0, durability)
    try:
        with catalog.transaction():
            assert catalog._rows("PRAGMA fullfsync") == [(expected,)]
            assert catalog._rows("PRAGMA checkpoint_fullfsync") == [(1,)]
    finally:
        catalog.close()


@pytest.mark.parametrize(("name", "value"), [("maxsize", 2**31 - 1), ("byteorder", "big")])
def test_a_machine_on_which_it_cannot_work_is_told_so_at_once(
    name: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, name, value)
    with pytest.raises(StoreError, match="needs cpython, 64 bits, little-endian; this Python is cpython, "):
        sd.open(tmp_path / "city.sdts")
    assert not (tmp_path / "city.sdts").exists()
