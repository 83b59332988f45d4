"""The catalog: identity of the file, transactions, series and tags by the thousand."""

import gc
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts._storage.catalog import APPLICATION_ID, FILE_NAME, Catalog, ChunkRow
from smartdata_ts.errors import (
    ClosedError,
    CorruptCatalogError,
    SmartDataError,
    StoreBusyError,
    StoreError,
    StoreFormatError,
    UsageError,
)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(tmp_path, False, 0.05)
    yield catalog
    catalog.close()


def chunk(name: str) -> ChunkRow:
    return ChunkRow(name, 1, 2, -5, 5, 100, 1000, 1, 1)


def test_a_new_catalog_says_whose_it_is(catalog: Catalog, tmp_path: Path) -> None:
    header = (tmp_path / FILE_NAME).read_bytes()[:100]
    assert header.startswith(b"SQLite format 3\0")
    with sqlite3.connect(tmp_path / FILE_NAME) as raw:
        assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        settings = dict(raw.execute("SELECT * FROM store").fetchall())
        year_us = 365 * 86_400_000_000
        assert str(UUID(settings.pop("id"))) == catalog.store_id()
        assert settings == {"format_version": "2", "history_us": str(year_us), "history_floor": "0"}
    raw.close()
    assert catalog.state().commit == catalog.last_commit() == 0


def test_someone_elses_database_is_left_alone(tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / FILE_NAME)
    raw.execute("CREATE TABLE mine (x)")
    raw.commit()
    raw.close()
    for read_only in (False, True):
        with pytest.raises(StoreFormatError, match="not of a smartdata_ts store"):
            Catalog(tmp_path, read_only, 1.0)
    raw = sqlite3.connect(tmp_path / FILE_NAME)
    assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    raw.close()


@pytest.mark.parametrize("version", ["3", "0", "x"])
def test_an_unknown_format_version_is_refused(tmp_path: Path, version: str) -> None:
    Catalog(tmp_path, False, 1.0).close()
    raw = sqlite3.connect(tmp_path / FILE_NAME)
    raw.execute("UPDATE store SET value = ?", (version,))
    raw.commit()
    raw.close()
    with pytest.raises(StoreFormatError, match=f"version {version}.*Upgrade"):
        Catalog(tmp_path, True, 1.0)


def test_a_damaged_file_is_a_format_error(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\1" * 5000)
    with pytest.raises(StoreFormatError, match="not the catalog"):
        Catalog(tmp_path, False, 1.0)


def test_a_reader_cannot_write_and_a_closed_catalog_says_so(catalog: Catalog, tmp_path: Path) -> None:
    reader = Catalog(tmp_path, True, 1.0)
    with pytest.raises(StoreError):
        reader.add_series(["a"])
    reader.close()
    with pytest.raises(ClosedError):
        reader.last_commit()
    assert catalog.series_count() == 0


def test_transactions_are_exclusive_and_whole(catalog: Catalog, tmp_path: Path) -> None:
    other = Catalog(tmp_path, False, 0.05)
    with catalog.transaction():
        catalog.add_series(["a"])
        with pytest.raises(UsageError, match="within a write already"):
            catalog.begin()
        with pytest.raises(StoreBusyError):
            other.begin()
        assert other.series_count() == 0
    assert other.series_count() == 1
    with pytest.raises(ZeroDivisionError), other.transaction():
        other.add_series([f"b{1 // len([])}"])
    with other.transaction():
        other.add_series(["b"])
    assert catalog.series_count() == 2
    other.close()


def test_state_tells_chunks_and_head_in_order(catalog: Catalog) -> None:
    with catalog.transaction():
        catalog.add_commit(1, "one", 3)
        catalog.add_chunk(1, chunk("x"))
        catalog.add_head(1, 1, b"1")
    with catalog.transaction():
        catalog.add_commit(2, None, 7)
        catalog.add_chunk(2, chunk("y"))
        catalog.add_head(2, 2, b"22")
    state = catalog.state()
    assert (state.commit, state.reading_count) == (2, 7)
    assert state.chunks == (replace(chunk("x"), commit=1), replace(chunk("y"), commit=2))
    assert state.head == (b"1", b"22")
    with catalog.transaction():
        catalog.merge_head(2)
        catalog.remove_chunks(["x", "unknown"])
        assert catalog.state().head == (b"122",)
    assert catalog.state().chunks == (replace(chunk("y"), commit=2),)
    with catalog.transaction():
        catalog.clear_head()
    assert catalog.state().head == ()


def test_a_head_that_is_asked_for_again_and_again_is_the_one_of_now(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Catalog(tmp_path, True, 1.0)
    rows_read: list[int] = []
    read = Catalog._head_rows

    def noted(self: Catalog, behind: int) -> tuple[tuple[int, int, bytes], ...]:
        rows = read(self, behind)
        rows_read.append(len(rows))
        return rows

    monkeypatch.setattr(Catalog, "_head_rows", noted)

    def write(commit: int, *blobs: bytes, clears: bool = False) -> None:
        with catalog.transaction():
            catalog.add_commit(commit, None, 1)
            if clears:
                catalog.clear_head()
            for blob in blobs:
                catalog.add_head(commit, 1, blob)

    write(1, b"1")
    write(2, b"2", b"3")
    assert reader.state().head == (b"1", b"2", b"3")
    write(3, b"4")
    assert reader.state().head == (b"1", b"2", b"3", b"4")
    assert reader.state().head == (b"1", b"2", b"3", b"4")
    assert rows_read == [3, 1, 0]
    # As many anew, under the same ids.
    write(4, b"5", b"6", b"7", b"8", clears=True)
    assert reader.state().head == (b"5", b"6", b"7", b"8")
    with catalog.transaction():
        catalog.add_commit(5, None, 1)
        catalog.merge_head(5)
        assert catalog.state().head == (b"5678",)
        assert reader.state().head == (b"5", b"6", b"7", b"8")
    assert reader.state().head == catalog.state().head == (b"5678",)
    catalog.begin()
    catalog.add_commit(6, None, 1)
    catalog.add_head(6, 1, b"undone")
    assert catalog.state().head == (b"5678", b"undone")
    catalog.roll_back()  # what is not committed is not remembered
    write(6, b"9")
    assert reader.state().head == catalog.state().head == (b"5678", b"9")
    write(7, clears=True)
    assert reader.state().head == catalog.state().head == ()
    reader.close()


def test_a_head_that_rots_behind_what_is_known_is_told_of(catalog: Catalog) -> None:
    with catalog.transaction():
        catalog.add_commit(1, None, 1)
        catalog.add_head(1, 1, b"1")
    assert catalog.state().head == (b"1",)
    catalog._execute("UPDATE head SET data = x'00'")
    assert catalog.state().head == (b"1",)  # as it was when it was sound
    with pytest.raises(CorruptCatalogError, match="recent readings"):
        catalog.state(with_history=True)


def test_ids_by_the_thousand_in_the_order_asked_for(catalog: Catalog) -> None:
    keys = [f"wm-{k:05}" for k in range(20_000)]
    with catalog.transaction():
        ids = catalog.add_series(keys)
    assert np.array_equal(np.sort(ids), np.arange(1, 20_001))
    assert np.array_equal(catalog.series_ids(["none", *keys[::-1]]), np.concatenate([[0], ids[::-1]]))
    assert catalog.series_id_max() == catalog.series_count() == 20_000
    assert catalog.series_ids([]).size == 0
    found, names = catalog.select_series(None, {})
    assert np.array_equal(found, ids)
    assert names.to_pylist() == keys


def test_series_are_selected_by_key_and_tag_in_the_order_of_utf8(catalog: Catalog) -> None:
    keys = ["b", "Å", "a", "z,", "日本", "💧", "'"]
    with catalog.transaction():
        catalog.add_series(keys)
        for key in keys[:4]:
            number = catalog.series_id(key)
            assert number is not None
            catalog.set_facts(number, {"unit": "L"}, {"zone": key, "all": "yes"})
    assert catalog.series_id("none") is None
    assert catalog.select_series(None, {})[1].to_pylist() == sorted(keys)
    assert catalog.select_series(["💧", "a", "none"], {})[1].to_pylist() == ["a", "💧"]
    assert catalog.select_series(None, {"zone": ["Å", "z,"], "all": ["yes"]})[1].to_pylist() == ["z,", "Å"]
    assert catalog.select_series(["a"], {"zone": ["b"]})[1].to_pylist() == []
    assert catalog.select_series([], {})[0].size == 0


@pytest.mark.parametrize("name", ["../x.arrow", "/etc/passwd", "a/b", "..", "a\\b"])
def test_a_chunk_outside_of_the_store_is_refused(catalog: Catalog, name: str) -> None:
    with catalog.transaction():
        catalog.add_commit(1, None, 100)
        catalog.add_chunk(1, chunk(name))
    with pytest.raises(StoreFormatError, match="no file of this store"):
        catalog.state()


@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_schema_that_is_no_text_is_damage(tmp_path: Path, mode: str) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write({"series": "a", "time": [0], "value": [1.0]})
    path = tmp_path / "s" / "catalog.sqlite"
    path.write_bytes(path.read_bytes().replace(b"REFERENCES", b"R\xbaFERENCES"))
    with pytest.raises(SmartDataError, match=r"catalog\.sqlite"):
        sd.open(tmp_path / "s", mode=mode)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE series SET id = -1 WHERE key = 'a'",
        "UPDATE series SET id = 3000000000 WHERE key = 'a'",
        "UPDATE series SET unit = x'00' WHERE key = 'b'",
        "UPDATE series SET decimals = 1.5 WHERE key = 'b'",
        "UPDATE series SET register_digits = 301 WHERE key = 'c'",
        "UPDATE series SET multiplier = 'text' WHERE key = 'c'",
        "UPDATE tag SET value = x'00'",
        "UPDATE tag SET name = x'00'",
        "",
    ],
)
def test_a_verification_finds_what_series_cannot_be(tmp_path: Path, change: str) -> None:
    path = tmp_path / "city.sdts"
    with sd.open(path) as store:
        for key in "abc":
            store.describe(key, unit="L", kind="register", decimals=1, register_digits=5, tags={"zone": key})
    with closing(sqlite3.connect(path / FILE_NAME, isolation_level=None)) as connection:
        connection.execute(change)
    with sd.open(path, mode="r") as store:
        problems = store.verify().problems
        assert len(problems) == len(set(problems))
        assert bool(problems) == bool(change)


def test_a_reader_remembers_what_it_found_until_the_catalog_has_changed(
    catalog: Catalog, tmp_path: Path
) -> None:
    found: list[int] = []

    def find() -> int:
        found.append(reader.series_count())
        return found[-1]

    with closing(Catalog(tmp_path, True, 1.0)) as reader:
        assert [reader.remembered("count", find) for _ in range(3)] == [0, 0, 0]
        assert found == [0]
        with catalog.transaction():
            catalog.add_series(["a"])
            assert reader.remembered("count", find) == 0  # not yet committed
        assert [reader.remembered("count", find) for _ in range(3)] == [1, 1, 1]
        for k in range(100):  # so many are not kept
            assert reader.remembered(k, lambda k=k: -k) == -k
        assert reader.remembered("count", find) == 1
        assert found == [0, 1, 1]


def test_a_writer_remembers_nothing_since_nobody_tells_it_of_its_own_changes(catalog: Catalog) -> None:
    assert catalog.remembered("count", catalog.series_count) == 0
    with catalog.transaction():
        catalog.add_series(["a"])
    assert catalog.remembered("count", catalog.series_count) == 1


def test_facts_come_by_position_whatever_the_order_of_ids(catalog: Catalog) -> None:
    with catalog.transaction():
        ids = catalog.add_series(["a", "b", "c", "d"])
        catalog.set_facts(int(ids[0]), {"unit": "m3", "kind": "register"}, {})
        catalog.set_facts(int(ids[2]), {"unit": "m3", "kind": "register", "multiplier": 0.5}, {})
    facts = catalog.facts_of(ids[[2, 1, 0, 3, 2]], ("unit", "kind", "multiplier"))
    assert facts == {
        "unit": ["m3", None, "m3", None, "m3"],
        "kind": ["register", None, "register", None, "register"],
        "multiplier": [0.5, None, None, None, 0.5],
    }
    assert catalog.facts_of(ids[:0], ("unit",)) == {"unit": []}


def test_a_handle_that_is_dropped_warns_of_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store = sd.open(tmp_path / "city.sdts")
        store.write({"series": "a", "time": [0], "value": [1.0]})
        assert store.query().to_arrow().num_rows == 1
        del store
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
