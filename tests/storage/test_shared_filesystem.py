"""A store for a network share: a rollback journal in the place of a log, plain reads in that of a mapping."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts._storage import mapped_file
from smartdata_ts.errors import StoreBusyError, StoreFormatError

HOUR = 3_600_000_000


def rows(key: str, count: int) -> dict[str, object]:
    return {"series": key, "time": np.arange(count) * HOUR, "value": np.arange(count) / 7}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A shared store with chunks and a head."""
    path = tmp_path / "city.sdts"
    with sd.open(path, shared_filesystem=True) as store:
        store.write(rows("a", 100_000))
        store.write(rows("b", 10))
    return path


def journal_mode(path: Path) -> str:
    connection = sqlite3.connect(path / "catalog.sqlite")
    try:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    finally:
        connection.close()


def test_it_answers_as_any_other(path: Path, tmp_path: Path) -> None:
    with sd.open(tmp_path / "other.sdts") as other, sd.open(path) as store:
        other.write(rows("a", 100_000))
        other.write(rows("b", 10))
        assert store.query().to_arrow().equals(other.query().to_arrow())
        asked = store.query().resample("1d", ["sum", "count"])
        assert asked.to_arrow().equals(other.query().resample("1d", ["sum", "count"]).to_arrow())
        assert store.verify(deep=True).problems == []
        store.compact()
        store.erase("b")
        assert store.query().to_arrow().equals(other.query("a").to_arrow())
        store.backup(tmp_path / "copy.sdts")
    with sd.open(tmp_path / "copy.sdts", "r") as copy:
        assert copy.info().series == 1


def test_no_file_is_mapped_and_none_lies_beside_the_catalog(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> None:
        pytest.fail("mapped")

    monkeypatch.setattr(mapped_file, "MappedFile", refuse)
    with sd.open(path) as store, sd.open(path, "r") as reader:
        store.write(rows("c", 5))
        assert reader.query("c").to_arrow().num_rows == 5
        assert store.query("a").to_arrow().num_rows == 100_000
        assert sorted(os.listdir(path)) == ["catalog.sqlite", "chunks", "write.lock"]  # noqa: PTH208
    assert journal_mode(path) == "delete"


def test_whoever_opens_it_takes_it_as_it_is(path: Path) -> None:
    with sd.open(path, "r", shared_filesystem=True) as store:
        assert store.query("b").to_arrow().num_rows == 10
    with pytest.raises(StoreFormatError, match="shared_filesystem=True; open it with mode 'a' once"):
        sd.open(path, "r", shared_filesystem=False)


@pytest.mark.parametrize("shared", [True, False])
def test_a_store_can_be_made_so_and_back(shared: bool, tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    with sd.open(path, shared_filesystem=not shared) as store:
        store.write(rows("a", 10))
    with sd.open(path, shared_filesystem=shared) as store:
        store.write(rows("b", 10))
    assert journal_mode(path) == ("delete" if shared else "wal")
    with sd.open(path) as store:
        store.write(rows("c", 10))
        assert store.query().to_arrow().num_rows == 30
    assert journal_mode(path) == ("delete" if shared else "wal")


def test_it_is_not_changed_under_one_who_has_it_open(tmp_path: Path) -> None:
    with sd.open(tmp_path / "city.sdts") as store:
        store.write(rows("a", 10))
        with pytest.raises(StoreBusyError):
            sd.open(tmp_path / "city.sdts", timeout_s=0.1, shared_filesystem=True)
        assert store.query().to_arrow().num_rows == 10


@pytest.mark.parametrize("mode", ["r", "a"])
def test_what_a_killed_writer_left_is_undone_by_the_next_who_opens(path: Path, mode: str) -> None:
    script = f"""
import os, signal, sqlite3
connection = sqlite3.connect({str(path / "catalog.sqlite")!r}, isolation_level=None)
connection.execute("PRAGMA cache_size = 5")
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM head")
connection.executemany("INSERT INTO store VALUES (?, zeroblob(1000))", [(str(k),) for k in range(3000)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (path / "catalog.sqlite-journal").exists()
    with sd.open(path, mode) as store:
        assert store.query("b").to_arrow().num_rows == 10
    assert not (path / "catalog.sqlite-journal").exists()


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_how_long_a_commit_waits_is_told_to_sqlite(durability: str, tmp_path: Path) -> None:
    """EXTRA, where a commit is durable: it syncs the directory from which the journal went too."""
    levels = {}
    for shared in (False, True):
        with sd.open(tmp_path / str(shared), durability=durability, shared_filesystem=shared) as store:
            store.write(rows("a", 1))
            levels[shared] = store.writing_catalog()._rows("PRAGMA synchronous")
    assert levels == (
        {False: [(3,)], True: [(3,)]} if durability == "full" else {False: [(1,)], True: [(2,)]}
    )
