"""A store made to harm whoever opens it: it leads out of no folder, runs nothing, and takes no memory."""

import contextlib
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.places import TESTS

import smartdata_ts as sd
from smartdata_ts._storage import chunk_file
from smartdata_ts._storage.catalog.commits import _CHUNK_COLUMNS, _digest
from smartdata_ts._storage.chunk_file import ChunkFile
from smartdata_ts._write import writer as writer_module
from smartdata_ts.errors import (
    CorruptCatalogError,
    CorruptChunkError,
    SmartDataError,
    StoreError,
    StoreFormatError,
)

HOUR = 3_600_000_000
PROGRAM = TESTS / "support" / "hostile_catalogs.py"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with one chunk."""
    monkeypatch.setattr(writer_module, "HEAD_READINGS_MAX", 0)
    path = tmp_path / "city.sdts"
    with sd.open(path) as store:
        store.write({"series": "wm-1", "time": np.arange(10) * HOUR, "value": np.arange(10) / 7})
    return path


def chunk_of(path: Path) -> Path:
    (chunk,) = (path / "chunks").iterdir()
    return chunk


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path / "catalog.sqlite")) as catalog:
        for statement in statements:
            catalog.execute(statement)
        catalog.commit()


def rename_chunk(path: Path, name: str) -> None:
    """Give the catalog's chunk another name, with a right checksum."""
    with closing(sqlite3.connect(path / "catalog.sqlite")) as catalog:
        (row,) = catalog.execute(f"SELECT {', '.join(_CHUNK_COLUMNS)} FROM chunk").fetchall()
        catalog.execute("UPDATE chunk SET name = ?, checksum = ?", (name, _digest((name, *row[1:]))))
        catalog.commit()


# -- out of the folder


NAMES = ["../../secret.arrow", "/etc/passwd", "..", ".", "", "a\\b", "sub/x.arrow", "x\0.arrow", ".hidden"]


@pytest.mark.parametrize("name", NAMES)
def test_a_chunk_of_another_folder_is_refused(name: str, path: Path) -> None:
    shutil.copy(chunk_of(path), path.parent / "secret.arrow")
    rename_chunk(path, name)
    with sd.open(path) as store:
        for ask in (
            lambda: store.query().to_arrow(),
            lambda: store.query(on_corrupt="skip").to_arrow(),
            lambda: store.write({"series": "a", "time": [0], "value": [1.0]}),
            store.compact,
            lambda: store.erase("wm-1"),
            lambda: store.backup(path.parent / "copy.sdts"),
        ):
            with pytest.raises(StoreFormatError, match="no file of this store"):
                ask()
    assert (path.parent / "secret.arrow").exists()


@pytest.mark.parametrize("name", [*NAMES[:4], "sub/x"])
def test_an_erasure_of_anothers_file_is_refused(name: str, path: Path) -> None:
    (path.parent / "secret.arrow").write_bytes(b"dear")
    change(path, f"INSERT INTO erasure VALUES ('{name}')")
    with pytest.raises(StoreFormatError, match="no file of this store"):
        sd.open(path)
    assert (path.parent / "secret.arrow").read_bytes() == b"dear"


def linked(path: Path, target: Path) -> None:
    path.rename(target)
    path.symlink_to(target)


def test_a_chunk_that_is_a_link_is_neither_read_nor_copied_nor_overwritten(path: Path) -> None:
    outside = path.parent / "outside.arrow"
    linked(chunk_of(path), outside)
    content = outside.read_bytes()
    with sd.open(path) as store:
        with pytest.raises(CorruptChunkError, match="is a link"):
            store.query().to_arrow()
        with pytest.raises(StoreError):
            store.backup(path.parent / "copy.sdts")
        assert any("is a link" in problem for problem in store.verify().problems)
    change(path, f"INSERT INTO erasure VALUES ('{chunk_of(path).name}')")
    with pytest.raises(StoreError):
        sd.open(path)
    assert outside.read_bytes() == content


def test_a_link_that_no_one_names_is_swept_and_not_what_it_leads_to(path: Path) -> None:
    outside = path.parent / "outside.arrow"
    outside.write_bytes(b"dear")
    (path / "chunks" / "1970-link.arrow").symlink_to(outside)
    with sd.open(path) as store:
        assert store.compact().files_swept == 1
    assert outside.read_bytes() == b"dear"


@pytest.mark.parametrize("name", ["chunks", "catalog.sqlite"])
@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_store_whose_parts_are_links_is_refused(name: str, mode: str, path: Path) -> None:
    linked(path / name, path.parent / name)
    with pytest.raises(StoreFormatError, match="is a link"):
        sd.open(path, mode)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_in_the_place_of_a_chunk_holds_no_one_up(path: Path) -> None:
    chunk = chunk_of(path)
    chunk.unlink()
    os.mkfifo(chunk)
    with sd.open(path) as store, pytest.raises(CorruptChunkError):
        store.query().to_arrow()
    assert sd.salvage(path, path.parent / "new.sdts").losses


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("name", ["catalog.sqlite", "catalog.sqlite-journal"])
def test_a_pipe_in_the_place_of_the_catalog_holds_no_one_up(name: str, path: Path) -> None:
    (path / name).unlink(missing_ok=True)
    os.mkfifo(path / name)
    for mode in ("r", "a"):
        with pytest.raises(StoreError):
            sd.open(path, mode)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_journal_that_names_anothers_file_does_not_remove_it(mode: str, shared: bool, path: Path) -> None:
    """SQLite takes the name at a journal's end for one that is complete, rolls back, and removes it."""
    with sd.open(path, shared_filesystem=shared):
        pass
    secret = path.parent / "secret.txt"
    secret.write_bytes(b"dear")
    database = (path / "catalog.sqlite").read_bytes()
    magic = bytes.fromhex("d9d505f920a163d7")
    page_size = int.from_bytes(database[16:18], "big")
    header = magic + struct.pack(">5I", 0, 123, len(database) // page_size, 512, page_size)
    name = str(secret).encode()
    named = struct.pack(">I", (1 << 30) // page_size + 1) + name + struct.pack(">2I", len(name), sum(name))
    (path / "catalog.sqlite-journal").write_bytes(header.ljust(512, b"\0") + named + magic)
    with pytest.raises(StoreFormatError, match="outside of the store"):
        sd.open(path, mode)
    assert sd.salvage(path, path.parent / "new.sdts").readings == 10
    assert secret.read_bytes() == b"dear"


def test_a_database_that_is_no_store_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with closing(sqlite3.connect(tmp_path / "s" / "catalog.sqlite")) as other:
        other.execute("CREATE TABLE mine (x)")
        other.commit()
    before = (tmp_path / "s" / "catalog.sqlite").read_bytes()
    with pytest.raises(StoreFormatError, match="not of a smartdata_ts store"):
        sd.open(tmp_path / "s")
    assert (tmp_path / "s" / "catalog.sqlite").read_bytes() == before


# -- what SQLite would run


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT 'format_version', i FROM n"
SCHEMES = {
    "a trigger": ["CREATE TRIGGER evil AFTER INSERT ON commits BEGIN DELETE FROM chunk; END"],
    "a seal's trigger that does more": [
        "DROP TRIGGER chunk_insert",
        "CREATE TRIGGER chunk_insert AFTER INSERT ON chunk BEGIN DELETE FROM head; END",
    ],
    "a trigger that is missing": ["DROP TRIGGER chunk_insert"],
    "a view": ["CREATE VIEW more AS SELECT 1"],
    "settings without end": ["DROP TABLE store", f"CREATE VIEW store (name, value) AS {ENDLESS}"],
    "series without end": ["DROP TABLE series", f"CREATE VIEW series (id, key) AS {ENDLESS}"],
    "an index on what is computed": ["CREATE INDEX evil ON series (length(hex(zeroblob(1000000))))"],
    "a table more": ["CREATE TABLE more (x)"],
    "a table less": ["DROP TABLE snapshot"],
    "other columns": ["ALTER TABLE snapshot ADD COLUMN evil TEXT"],
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_catalog_with_other_tables_views_or_triggers_is_refused_at_once(
    scheme: str, mode: str, path: Path
) -> None:
    change(path, *SCHEMES[scheme])
    start = time.monotonic()
    with pytest.raises(StoreError):
        sd.open(path, mode)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_schema_that_is_no_text_is_damage(mode: str, path: Path) -> None:
    with sd.open(path):
        pass
    content = (path / "catalog.sqlite").read_bytes()
    assert b"REFERENCES" in content
    (path / "catalog.sqlite").write_bytes(content.replace(b"REFERENCES", b"R\xbaFERENCES"))
    with pytest.raises(CorruptCatalogError):
        sd.open(path, mode)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured in /proc")
def test_no_value_in_any_column_of_the_catalog_does_harm(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", str(PROGRAM), str(tmp_path / "base.sdts"), "5"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert [line for line in result.stdout.splitlines() if "wrong" in line] == []


# -- sizes


class _Equal(int):
    """Equal to whatever it is compared with: who makes a hostile chunk gives it right checksums."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture
def believed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - written before
    monkeypatch.setattr(chunk_file, "_digest", lambda *_: _Equal())
    monkeypatch.setattr(ChunkFile, "_verified", ChunkFile._copied)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Arrays of NumPy's are among what is traced."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20


def rewrite(file: Path, **columns: list[object]) -> None:
    table = pa.ipc.open_file(file.read_bytes()).read_all()
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
    file.unlink()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks())


LIES: list[dict[str, list[object]]] = [
    {"count": [8192]},
    {"count": [2**31 - 1]},
    {"count": [0]},
    {"count": [-1]},
    {"series": [2**31 - 1]},
    {"series": [-5]},
    {"time_min": [2**62], "time_max": [-(2**62)]},
    {"time_min": [-(2**63)], "time_max": [2**63 - 1]},
    {"commit_min": [2**62], "commit_max": [1]},
    {"commit_min": [-(2**63)], "commit_max": [2**63 - 1]},
    {"times": [b""]},
    {"values": [b"\xff" * 200]},
    {"key": ["x" * 1_000_000]},
]


@pytest.mark.usefixtures("believed", "little_memory")
@pytest.mark.parametrize("columns", LIES, ids=range(len(LIES)))
def test_a_block_that_lies_in_its_summary_does_no_harm(columns: dict[str, list[object]], path: Path) -> None:
    rewrite(chunk_of(path), **columns)
    with sd.open(path) as store:
        for ask in (
            lambda: store.query().to_arrow().validate(full=True),
            lambda: store.query().resample("1d", ["sum", "completeness"]).to_arrow(),
            lambda: store.query().consumption().to_arrow(),
            lambda: store.query().last().to_arrow(),
            lambda: store.query(on_corrupt="skip").losses(),
            lambda: store.verify(deep=True),
            lambda: store.write({"series": "wm-1", "time": [5 * HOUR], "value": [1.0]}),
            store.compact,
        ):
            with contextlib.suppress(SmartDataError):
                ask()


@pytest.mark.usefixtures("believed")
def test_a_chunk_does_not_tell_of_more_readings_than_one_has(path: Path) -> None:
    table = pa.ipc.open_file(chunk_of(path).read_bytes()).read_all()
    count = chunk_file.READINGS_MAX // 8192 + 1
    many = pa.concat_tables([table] * count).combine_chunks()
    many = many.set_column(4, "count", pa.array([8192] * count, pa.int32()))
    many = many.replace_schema_metadata(table.schema.metadata)
    many = many.cast(table.schema)
    chunk_of(path).unlink()
    with pa.ipc.new_file(path / "chunks" / "many.arrow", many.schema) as writer:
        writer.write_table(many)
    with pytest.raises(CorruptChunkError, match="more readings than a chunk has"):
        ChunkFile(path / "chunks" / "many.arrow")


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("footer_size", [1, 16, 2**31 - 1, 2**32 - 1, 1 << 24, (1 << 24) + 1])
@pytest.mark.parametrize("size", [4096, 1 << 40])
@pytest.mark.parametrize("is_shared", [False, True])
def test_a_giant_file_or_footer_takes_no_memory(
    footer_size: int, size: int, is_shared: bool, tmp_path: Path
) -> None:
    file = tmp_path / "giant.arrow"
    with file.open("wb") as opened:
        opened.write(b"ARROW1\0\0")
        try:
            opened.truncate(size)
        except OSError:
            pytest.skip("there are no files with holes of this size here")
        opened.seek(size - 10)
        opened.write(footer_size.to_bytes(4, "little") + b"ARROW1")
    with pytest.raises(CorruptChunkError, match="not a chunk"):
        ChunkFile(file, is_shared)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("word", [0, 1, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_no_number_in_a_chunks_metadata_makes_it_take_memory(word: int, path: Path) -> None:
    """Each word of the footer, and of the messages, is put to extremes in turn."""
    content = chunk_of(path).read_bytes()
    footer_size = int.from_bytes(content[-10:-6], "little")
    places = [*range(len(content) - 10 - footer_size, len(content) - 6, 4), *range(8, 3000, 12)]
    file = path / "chunks" / "changed.arrow"
    for place in places:
        changed = bytearray(content)
        changed[place : place + 4] = word.to_bytes(4, "little")
        file.write_bytes(changed)
        with contextlib.suppress(SmartDataError):
            ChunkFile(file)
        file.unlink()


def test_ids_far_from_one_another_make_no_giant_array(path: Path) -> None:
    with sd.open(path) as store:
        store.describe("wm-2", unit="L")
    change(path, "UPDATE series SET id = 2147483647 WHERE key = 'wm-2'")
    with sd.open(path) as store, pytest.raises(CorruptCatalogError, match="has the id 2147483647"):
        store.write({"series": "wm-1", "time": [0], "value": [1.0]})


def test_a_span_of_ages_takes_no_memory(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write({"series": "a", "time": [-(2**61), 2**61], "value": [1.0, 2.0]})
        for query in (
            store.query().fill("linear", every="1h"),
            store.query().consumption().resample("1h", "sum"),
        ):
            with pytest.raises(SmartDataError, match="buckets"):
                query.to_arrow()
