"""Who copies its store's folder by hand loses SQLite's locks: what was acknowledged stays all the same."""

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest
from support.systems import forgets_locks

import smartdata_ts as sd
from smartdata_ts._storage.system import posix
from smartdata_ts.errors import StoreBusyError

PROCESSES = multiprocessing.get_context("spawn")
WAIT_S = 120.0


def write_in_a_loop(path: str, started: Event, stop: Event, told: Any, reopens: bool) -> None:
    """A child: writes until it is to stop, and tells what was acknowledged."""
    times = []
    store = sd.open(path)
    while not stop.is_set():
        time_us = len(times)
        store.write({"series": "child", "time": [time_us], "value": [float(time_us)]})
        times.append(time_us)
        if reopens:
            store.close()
            store = sd.open(path)
        started.set()
    store.close()
    told.put(times)


@forgets_locks
@pytest.mark.parametrize("reopens", [False, True])
def test_every_acknowledged_write_of_both_is_there(reopens: bool, tmp_path: Path) -> None:
    """Where one of them opens and closes, the log must not go from under the other."""
    path = tmp_path / "city.sdts"
    started, stop, told = PROCESSES.Event(), PROCESSES.Event(), PROCESSES.Queue()
    with sd.open(path) as store:
        store.write({"series": "parent", "time": [0], "value": [0.0]})
        child = PROCESSES.Process(target=write_in_a_loop, args=(str(path), started, stop, told, reopens))
        child.start()
        assert started.wait(WAIT_S)
        count, until = 1, time.monotonic() + 4
        while time.monotonic() < until:
            shutil.copytree(
                path, tmp_path / f"copy-{count}", ignore_dangling_symlinks=True, copy_function=copy
            )
            shutil.rmtree(tmp_path / f"copy-{count}")
            for _ in range(3):
                store.write({"series": "parent", "time": [count], "value": [float(count)]})
                count += 1
        stop.set()
        times = told.get(timeout=WAIT_S)
        child.join(WAIT_S)
        assert child.exitcode == 0
    with sd.open(path, "r") as store:
        found = store.query().to_arrow()
        assert (
            found.filter(found["series"].cast("string").to_numpy(zero_copy_only=False) == "parent").num_rows
            == count
        )
        assert found.num_rows == count + len(times)
        assert store.verify(deep=True).problems == []
        assert store.info().commit == count + len(times)


def copy(source: str, target: str) -> None:
    """As shutil does, but for a file that goes meanwhile, such as the log."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def in_another_process(program: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", "import smartdata_ts as sd\n" + program],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
    )
    return ended.stdout.strip()


@forgets_locks
def test_the_log_stays_where_another_who_lost_its_locks_has_the_store_open(tmp_path: Path) -> None:
    path = str(tmp_path / "city.sdts")
    write = f"with sd.open({path!r}) as store: store.write(dict(series='b', time=[0], value=[1.0]))"
    count = f"with sd.open({path!r}, mode='r') as store: print(store.query().to_arrow().num_rows)"
    with sd.open(path) as store, sd.open(path, "r") as reader:
        store.write({"series": "a", "time": [0], "value": [1.0]})
        shutil.copytree(path, tmp_path / "copy")
        in_another_process(write)
        store.write({"series": "a", "time": [1], "value": [1.0]})
        assert in_another_process(count) == "3"
        assert reader.query().to_arrow().num_rows == 3
    assert not (tmp_path / "city.sdts" / "catalog.sqlite-wal").exists()
    assert in_another_process(count) == "3"
    assert in_another_process(count.replace("city.sdts", "copy")) == "1"


def held_meanwhile(path: Path) -> str:
    """What another process gets that wants to write."""
    return in_another_process(
        f"""
try:
    with sd.open({str(path)!r}, timeout_s=0.2) as store: store.write(dict(series='b', time=[0], value=[1.0]))
    print("written")
except sd.errors.StoreBusyError as problem:
    print("longer than the timeout" in str(problem))
"""
    )


@forgets_locks
def test_writers_take_turns_where_the_locks_of_one_are_gone(tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    with sd.open(path) as store:
        with store.writer() as writer:
            writer.write({"series": "a", "time": [0], "value": [1.0]})
            shutil.copytree(path, tmp_path / "copy")
            assert held_meanwhile(path) == "True"
        assert held_meanwhile(path) == "written"
        assert store.query().to_arrow().num_rows == 2


def test_a_lock_file_that_somebody_removes_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    lock = path / "write.lock"
    with sd.open(path) as store, sd.open(path, timeout_s=0.1) as other:
        store.write({"series": "a", "time": [0], "value": [1.0]})
        lock.unlink()
        with store.writer() as writer:
            writer.write({"series": "a", "time": [1], "value": [1.0]})
            assert lock.exists()
            with pytest.raises(StoreBusyError):
                other.write({"series": "a", "time": [2], "value": [1.0]})
            lock.unlink()  # within a write: SQLite's lock is left
            with pytest.raises(StoreBusyError):
                other.write({"series": "a", "time": [2], "value": [1.0]})
        assert other.write({"series": "a", "time": [2], "value": [1.0]}).stored == 1
        assert store.query().to_arrow().num_rows == 3


def test_a_lock_file_that_came_along_is_the_copys_own(tmp_path: Path) -> None:
    path, copied = tmp_path / "city.sdts", tmp_path / "copy"
    with sd.open(path) as store, store.writer() as writer:
        writer.write({"series": "a", "time": [0], "value": [1.0]})
        shutil.copytree(path, copied)
        with sd.open(copied, timeout_s=1) as other:
            assert other.write({"series": "b", "time": [0], "value": [1.0]}).stored == 1


@pytest.mark.parametrize("kind", ["link", "directory"])
def test_a_lock_file_that_leads_elsewhere_is_refused(kind: str, tmp_path: Path) -> None:
    path, outside = tmp_path / "city.sdts", tmp_path / "outside"
    with sd.open(path) as store:
        store.write({"series": "a", "time": [0], "value": [1.0]})
    (path / "write.lock").unlink()
    if kind == "link":
        (path / "write.lock").symlink_to(outside)
    else:
        (path / "write.lock").mkdir()
    with sd.open(path) as store, pytest.raises(sd.errors.StoreError, match=r"write\.lock: cannot be locked"):
        store.write({"series": "a", "time": [1], "value": [1.0]})
    assert not outside.exists()
    with sd.open(path, "r") as store:
        assert store.query().to_arrow().num_rows == 1


def test_a_file_system_without_such_locks_has_sqlites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(posix.fcntl, "flock", refuse)
    path = tmp_path / "city.sdts"
    with sd.open(path) as store, sd.open(path, timeout_s=0.1) as other, store.writer() as writer:
        writer.write({"series": "a", "time": [0], "value": [1.0]})
        with pytest.raises(StoreBusyError):
            other.write({"series": "a", "time": [2], "value": [1.0]})
    with sd.open(path) as store:
        assert store.query().to_arrow().num_rows == 1


def test_waiting_for_the_lock_ends_after_the_timeout(tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    with sd.open(path) as store, sd.open(path, timeout_s=0.5) as other, store.writer() as writer:
        writer.write({"series": "a", "time": [0], "value": [1.0]})
        begin = time.monotonic()
        with pytest.raises(StoreBusyError):
            other.write({"series": "a", "time": [2], "value": [1.0]})
        assert 0.4 < time.monotonic() - begin < 30


def test_sqlites_lock_alone_is_waited_for_without_the_other_in_hand(tmp_path: Path) -> None:
    """Such as an older release's writer holds."""
    path = tmp_path / "city.sdts"
    with sd.open(path) as store, sd.open(path) as other:
        with closing(sqlite3.connect(path / "catalog.sqlite", isolation_level=None)) as old:
            old.execute("BEGIN IMMEDIATE")
            written = threading.Thread(
                target=lambda: store.write({"series": "a", "time": [0], "value": [1.0]})
            )
            written.start()
            time.sleep(0.1)
            old.execute("COMMIT")
        written.join(WAIT_S)
        assert other.query().to_arrow().num_rows == 1
