"""Verification finds what is wrong, backups are stores, and salvage saves what is sound."""

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.command_line import run

import smartdata_ts as sd
from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog.commits import _CHUNK_COLUMNS, _digest
from smartdata_ts._write import writer
from smartdata_ts.errors import CorruptChunkError, SmartDataError, StoreError, StoreNotFoundError, UsageError

HOUR = 3_600_000_000


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two years of three series in chunks, corrections above them, history, and a head."""
    monkeypatch.setattr(writer, "HEAD_READINGS_MAX", 50)
    path = tmp_path / "city.sdts"
    hours = np.arange(9_000) * HOUR
    with sd.open(path) as store:
        for k, key in enumerate(("a", "b", "Ødegård")):
            store.write({"series": key, "time": hours, "value": np.arange(9_000) / 10 + k})
        store.compact()
        store.write({"series": "b", "time": hours[:100], "value": np.zeros(100)})
        store.write({"series": "b", "time": hours[:80], "value": np.ones(80)})
        store.compact()
        store.write({"series": "a", "time": hours[100:200], "value": np.full(100, 7.0)})
        store.write({"series": ["a", "new"], "time": [5 * HOUR, HOUR], "value": [70.5, 1.0]})
        store.describe("a", unit="m3", tags={"zone": "north"})
    return path


def readings(path: Path) -> pa.Table:
    with sd.open(path, mode="r") as store:
        return store.query().to_arrow()


def chunk_of(path: Path, history: bool = False) -> Path:
    with sd.open(path, mode="r") as store:
        rows = store.pin()[0].chunk_rows(is_history=history)
    return path / "chunks" / max(rows, key=lambda row: row.reading_count).name


def flip(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 16
    file.write_bytes(data)


def test_a_sound_store_is_sound(path: Path) -> None:
    with sd.open(path, mode="r") as store:
        for deep in (False, True):
            report = store.verify(deep)
            assert report.problems == []
            assert report.is_sound
            info = store.info()
            assert report.readings >= info.readings + info.history_readings
            assert report.chunks == info.chunks + info.history_chunks
            assert report.orphans == 0
    (path / "chunks" / "1999-dead.arrow.partial").write_bytes(b"x")
    with sd.open(path, mode="r") as store:
        assert store.verify().orphans == 1


@pytest.mark.parametrize("history", [False, True])
def test_every_damage_of_a_chunk_is_found(path: Path, tmp_path: Path, history: bool) -> None:
    victim = chunk_of(path, history)
    size = victim.stat().st_size
    for place in range(8, size, size // 40):
        copy = tmp_path / f"copy-{place}"
        shutil.copytree(path, copy)
        flip(copy / "chunks" / victim.name, place)
        with sd.open(copy, mode="r") as store:
            report = store.verify()
        assert report.problems
        assert all(victim.name in problem for problem in report.problems)
        if "no reading depends" in report.problems[0]:  # Arrow's padding, the schema's order of words
            assert readings(copy) == readings(path)
        shutil.rmtree(copy)


def test_chunks_of_names_that_tell_no_checksum_are_looked_into(path: Path) -> None:
    """Those that the first stores had; the places are of all that is read."""
    with sqlite3.connect(path / "catalog.sqlite") as raw:
        for number, (row, *columns) in enumerate(
            raw.execute(f"SELECT id, {', '.join(_CHUNK_COLUMNS)} FROM chunk").fetchall()
        ):
            plain = f"2024-{number:016x}.arrow"
            (path / "chunks" / columns[0]).rename(path / "chunks" / plain)
            told = (plain, _digest([plain, *columns[1:]]), row)
            raw.execute("UPDATE chunk SET name = ?, checksum = ? WHERE id = ?", told)
    raw.close()
    with sd.open(path, mode="r") as store:
        assert store.verify().problems == []
        before = readings(path)
    victim = chunk_of(path)
    size = victim.stat().st_size
    found = 0
    for place in range(8, size, size // 20):
        flip(victim, place)
        with sd.open(path, mode="r") as store:
            report = store.verify()
        if report.is_sound:
            assert readings(path) == before
        found += not report.is_sound
        flip(victim, place)
    assert found > 5


def test_a_missing_a_cut_and_an_exchanged_chunk_are_found(path: Path, tmp_path: Path) -> None:
    victim = chunk_of(path)
    others = [file for file in victim.parent.iterdir() if file != victim]
    for k, damage in enumerate(
        (
            lambda file: file.unlink(),
            lambda file: os.truncate(file, file.stat().st_size // 2),
            lambda file: os.truncate(file, 0),
            lambda file: shutil.copy(others[0], file),
        )
    ):
        copy = tmp_path / f"copy-{k}"
        shutil.copytree(path, copy)
        damage(copy / "chunks" / victim.name)
        with sd.open(copy, mode="r") as store:
            assert any(victim.name in problem for problem in store.verify().problems)


def test_damage_in_the_catalog_is_found(path: Path) -> None:
    with sqlite3.connect(path / "catalog.sqlite") as raw:
        raw.execute("UPDATE series SET key = 'other' WHERE key = 'a'")
    raw.close()
    with sd.open(path, mode="r") as store:
        assert any("'other'" in problem and "'a'" in problem for problem in store.verify().problems)
    with sqlite3.connect(path / "catalog.sqlite") as raw:
        raw.execute("UPDATE head SET data = zeroblob(length(data))")
    raw.close()
    with sd.open(path, mode="r") as store:
        with pytest.raises(StoreError, match=r"recent readings.*not what was written"):
            store.query().to_arrow()
        assert any("recent readings" in problem for problem in store.verify().problems)


def test_a_backup_is_a_store_and_takes_only_what_is_new(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup" / "city.sdts"
    with sd.open(path) as store:
        first = store.backup(target)
        assert first.chunks == first.chunks_copied > 2
        expected = store.query().to_arrow()
        assert readings(target) == expected
        store.write({"series": "a", "time": [0], "value": [99.0]})
        second = store.backup(target)
        assert (second.chunks_copied, second.commit) == (0, first.commit + 1)
        store.compact()
        third = store.backup(target)
        assert third.chunks_copied > 0
        assert third.files_removed > 0
        assert readings(target) == store.query().to_arrow() != expected
        with sd.open(target) as copy:
            assert copy.verify(deep=True).is_sound
            assert copy.query(as_of=first.commit).to_arrow() == expected
        with pytest.raises(UsageError, match="the store itself"):
            store.backup(path)


def test_a_backup_that_fails_leaves_the_one_before(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "backup"
    with sd.open(path) as store:
        store.backup(target)
        before = readings(target)
        store.write({"series": "a", "time": np.arange(60) * HOUR, "value": np.full(60, 5.0)})
        with monkeypatch.context() as patch:

            def full(*_: object) -> int:
                raise StoreError("no space")

            patch.setattr(disk, "copy_durably", full)
            with pytest.raises(StoreError, match="no space"):
                store.backup(target)
        assert readings(target) == before
        store.backup(target)
        assert readings(target) == store.query().to_arrow()
        assert not (target / "partial").exists()


def test_salvage_of_a_sound_store_loses_nothing(path: Path, tmp_path: Path) -> None:
    report = sd.salvage(path, tmp_path / "new.sdts")
    assert report.losses == []
    assert readings(tmp_path / "new.sdts") == readings(path)
    with sd.open(tmp_path / "new.sdts") as new, sd.open(path) as old:
        assert new.series() == old.series()
    with pytest.raises(UsageError, match="there already"):
        sd.salvage(path, tmp_path / "new.sdts")
    with pytest.raises(StoreNotFoundError):
        sd.salvage(tmp_path / "nothing", tmp_path / "other.sdts")


@pytest.mark.parametrize("damage", ["gone", "cut", "zeros", "text"])
def test_salvage_without_a_catalog_finds_all_that_is_in_chunks(
    path: Path, tmp_path: Path, damage: str
) -> None:
    with sd.open(path) as store:
        store.delete("b", start="1970-02-01", end="1970-02-02")
        store.compact()  # flushes the head
    expected = readings(path)
    catalog = path / "catalog.sqlite"
    size = catalog.stat().st_size
    if damage == "gone":
        catalog.unlink()
    elif damage == "cut":
        os.truncate(catalog, size // 3)
    elif damage == "zeros":
        catalog.write_bytes(bytes(size))
    else:
        catalog.write_text("not a database" * 100)
    report = sd.salvage(path, tmp_path / "new.sdts")
    assert readings(tmp_path / "new.sdts") == expected
    assert report.losses


def test_salvage_saves_what_stands_beside_a_damaged_block(path: Path, tmp_path: Path) -> None:
    victim = chunk_of(path)
    payload = pa.ipc.open_file(victim).read_all()["values"][1].as_py()
    flip(victim, victim.read_bytes().index(payload) + 1)
    with pytest.raises(CorruptChunkError):
        readings(path)
    report = sd.salvage(path, tmp_path / "new.sdts")
    assert len(report.losses) == 1
    assert victim.name in report.losses[0]
    saved = readings(tmp_path / "new.sdts")
    assert 9_000 < saved.num_rows < 27_001
    assert run("salvage", str(path), str(tmp_path / "again.sdts")).status == 1
    assert run("verify", str(tmp_path / "again.sdts"), "--deep").status == 0


def test_at_the_command_line(path: Path, tmp_path: Path) -> None:
    assert run("verify", str(path)).out.startswith("sound: ")
    assert "as of commit" in run("backup", str(path), str(tmp_path / "b")).out
    assert "chunks of" in run("compact", str(path)).out
    deleted = run("delete", str(path), "a", "--end", "1970-01-02")
    assert deleted.out.startswith("24 readings deleted, commit ")
    assert '"series": 1' in run("erase", str(path), "a", "--yes").out
    flip(chunk_of(path), 3_000)
    failed = run("verify", str(path))
    assert (failed.status, failed.out.splitlines()[-1].split(":")[0]) == (1, "DAMAGED")
    with pytest.raises(SmartDataError):
        readings(path)
