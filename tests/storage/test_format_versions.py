"""A store of an older version: read as it is, brought up to date in one transaction when opened to write."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts._storage.catalog import Catalog
from smartdata_ts._write import writer
from smartdata_ts.errors import ReadOnlyError, StoreFormatError

HOUR = 3_600_000_000
NOBODY = 65_534
PROCESSES = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of version 1 with something in every table: the catalog is the same without an identity."""
    monkeypatch.setattr(writer, "HEAD_READINGS_MAX", 50)
    path = tmp_path / "city.sdts"
    times = np.arange(200) * HOUR
    with sd.open(path) as store:
        store.describe("a", quantity="water", unit="m3", kind="register", tags={"zone": "north"})
        store.exchange("a", "1970-01-02", final=20.0, serial="K-1")
        for key in ("a", "b"):
            store.write({"series": key, "time": times, "value": times / HOUR}, note="first")
        store.compact()
        store.delete("b", start="1970-01-05")
        store.snapshot("bills", note="as invoiced")
        store.write({"series": "a", "time": times[:20], "value": times[:20] / 7})
        store.set_retention([{"series": "test-*", "keep": {"raw": "30d"}}])
        store.keep_history("forever")
    with closing(sqlite3.connect(path / "catalog.sqlite")) as raw:
        raw.execute("DELETE FROM store WHERE name = 'id'")
        raw.execute("UPDATE store SET value = '1' WHERE name = 'format_version'")
        raw.commit()
    return path


def answers(path: Path, mode: str = "r") -> list[Any]:
    """What a store says of everything but its version."""
    with sd.open(path, mode) as store:
        return [
            store.query().to_arrow(),
            store.query(as_of="bills").to_arrow(),
            store.changes(since=1).read_all(),
            store.series(),
            store.exchanges(),
            store.commits(),
            store.snapshots(),
            store.retention(),
            store.verify(deep=True),
        ]


def dump(path: Path) -> list[str]:
    """The catalog as SQL, but for the rows that a newer version changes."""
    with closing(sqlite3.connect(path / "catalog.sqlite")) as raw:
        changed = ("'format_version'", "'id'")
        return [line for line in raw.iterdump() if not any(name in line for name in changed)]


def version_of(path: Path) -> tuple[int, str | None]:
    with sd.open(path, "r") as store:
        info = store.info()
        return info.format_version, info.id


def test_reading_leaves_it_as_it_is(path: Path) -> None:
    before = (path / "catalog.sqlite").read_bytes()
    assert version_of(path) == (1, None)
    with sd.open(path, "r") as store, pytest.raises(ReadOnlyError):
        store.compact()
    assert (path / "catalog.sqlite").read_bytes() == before


def test_opening_for_writing_brings_it_up_to_date_and_changes_nothing_else(path: Path) -> None:
    told, rows = answers(path), dump(path)
    with sd.open(path) as store:
        info = store.info()
    assert info.format_version == 2
    assert answers(path) == told
    assert dump(path) == rows
    with sd.open(path) as store:
        assert store.info().id == info.id
    assert answers(path, "a") == told


def in_child(run: Callable[[], object]) -> int:
    """Run something in a child; the status that it ended with, 0 where it succeeded."""
    child = os.fork()
    if child == 0:
        try:
            run()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def test_a_directory_that_nobody_may_write_to_is_read(path: Path) -> None:
    told = answers(path)
    for name in ("catalog.sqlite-wal", "catalog.sqlite-shm", "write.lock"):
        (path / name).unlink(missing_ok=True)
    folders = [path.parent, *path.parent.parents]
    modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in folders}
    path.chmod(0o555)
    if os.geteuid() == 0:  # who may everything becomes one who may not
        for folder, mode in modes.items():
            folder.chmod(mode | 0o111)

    def ask() -> None:
        if os.geteuid() == 0:
            os.setuid(NOBODY)
        assert answers(path) == told
        assert version_of(path) == (1, None)

    try:
        assert in_child(ask) == 0
    finally:
        path.chmod(0o755)
        for folder, mode in modes.items():
            if os.geteuid() == 0:
                folder.chmod(mode)
    assert {file.name for file in path.iterdir()} == {"catalog.sqlite", "chunks"}


def test_a_kill_before_every_statement_leaves_one_version_or_the_other(path: Path, tmp_path: Path) -> None:
    told, found = answers(path), set()
    execute = Catalog._execute
    for last in range(100):
        copy = Path(shutil.copytree(path, tmp_path / f"copy-{last}"))
        count = 0

        def execute_or_die(catalog: Catalog, *arguments: Any, last: int = last) -> Any:
            nonlocal count
            count += 1
            if count > last:
                os.kill(os.getpid(), signal.SIGKILL)
            return execute(catalog, *arguments)

        def open_to_write(copy: Path = copy, meddled: Any = execute_or_die) -> None:
            Catalog._execute = meddled  # type: ignore[method-assign]
            sd.open(copy)

        ended = in_child(open_to_write)
        version, _ = version_of(copy)
        found.add((version, ended == 0))
        assert answers(copy) == told
        with sd.open(copy, timeout_s=5) as store:
            assert store.info().format_version == 2
        assert answers(copy) == told
        if ended == 0:
            break
    assert found == {(1, False), (2, False), (2, True)}


def open_and_tell(path: str, barrier: Any, told: Any) -> None:
    barrier.wait()
    with sd.open(path) as store:
        told.put((store.info().format_version, store.info().id))


def test_of_two_who_open_it_at_once_one_brings_it_up_to_date(path: Path) -> None:
    before = answers(path)
    barrier, told = PROCESSES.Barrier(3), PROCESSES.Queue()
    children = [PROCESSES.Process(target=open_and_tell, args=(str(path), barrier, told)) for _ in range(3)]
    for child in children:
        child.start()
    found = {told.get(timeout=120) for _ in children}
    for child in children:
        child.join(120)
        assert child.exitcode == 0
    assert found == {version_of(path)}
    assert answers(path) == before


def test_a_reader_goes_on_while_it_is_brought_up_to_date(path: Path) -> None:
    with sd.open(path, "r") as reader:
        before = reader.query().to_arrow()
        assert reader.info().id is None
        with sd.open(path) as store:
            assert reader.query().to_arrow() == before
            assert reader.info().id == store.info().id
            store.write({"series": "c", "time": [0], "value": [1.0]})
            assert reader.query("c").to_arrow().num_rows == 1


def test_a_version_to_come_is_refused_and_stays(path: Path) -> None:
    with closing(sqlite3.connect(path / "catalog.sqlite")) as raw:
        raw.execute("UPDATE store SET value = '3' WHERE name = 'format_version'")
        raw.commit()
    before = (path / "catalog.sqlite").read_bytes()
    for mode in ("r", "a"):
        with pytest.raises(
            StoreFormatError, match=r"version 3; this release reads versions 1 to 2\. Upgrade"
        ):
            sd.open(path, mode)
    assert (path / "catalog.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW more AS SELECT 1",
        "DROP TABLE erasure",
        "ALTER TABLE series ADD COLUMN more",
    ],
)
def test_an_old_catalog_that_is_no_catalog_to_the_letter_is_not_brought_up_to_date(
    statement: str, path: Path
) -> None:
    with closing(sqlite3.connect(path / "catalog.sqlite")) as raw:
        raw.execute(statement)
        raw.commit()
    for mode in ("r", "a"):
        with pytest.raises(StoreFormatError, match="not those of a store"):
            sd.open(path, mode)
    with closing(sqlite3.connect(path / "catalog.sqlite")) as raw:
        assert raw.execute("SELECT value FROM store WHERE name = 'format_version'").fetchall() == [("1",)]


@pytest.mark.parametrize("value", ["", "x", b"1", "dd1d08dd-f8dd-47c1-8d4e-3818f0d81cc", None])
def test_an_identity_that_is_none_is_found(value: object, path: Path, tmp_path: Path) -> None:
    with sd.open(path):
        pass
    with closing(sqlite3.connect(path / "catalog.sqlite")) as raw:
        if value is None:
            raw.execute("DELETE FROM store WHERE name = 'id'")
        else:
            raw.execute("UPDATE store SET value = ? WHERE name = 'id'", (value,))
        raw.commit()
    with sd.open(path, "r") as store:
        assert any("settings" in problem for problem in store.verify().problems)
        for ask in (store.info, lambda: store.backup(tmp_path / "copy")):
            with pytest.raises(sd.errors.CorruptCatalogError, match="settings"):
                ask()
        assert store.query().to_arrow().num_rows > 0
