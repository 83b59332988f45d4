"""Files and folders of a store have the rights that the umask leaves, so that a group can share it."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts.errors import StoreFormatError


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def rights(path: Path) -> dict[str, int]:
    return {
        str(file.relative_to(path)): stat.S_IMODE(file.stat().st_mode) for file in (path, *path.rglob("*"))
    }


def expected(path: Path, mask: int) -> dict[str, int]:
    return {
        str(file.relative_to(path)): (0o777 if file.is_dir() else 0o666) & ~mask
        for file in (path, *path.rglob("*"))
    }


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("mask", [0o002, 0o022, 0o077, 0o007])
def test_all_that_a_store_makes_has_the_rights_of_the_umask(mask: int, shared: bool, tmp_path: Path) -> None:
    path, copy, saved = tmp_path / "town" / "city.sdts", tmp_path / "backups" / "copy", tmp_path / "saved"
    with umask(mask), sd.open(path, shared_filesystem=shared) as store:
        store.write({"series": "a", "time": np.arange(100_000), "value": np.zeros(100_000)})
        store.write({"series": "a", "time": [-1], "value": [1.0]})
        with store.writer() as writer:  # while there is a journal
            writer.write({"series": "b", "time": [0], "value": [1.0]})
            assert rights(path) == expected(path, mask)
        store.backup(copy)
        sd.salvage(path, saved)
        with sd.open(copy, "r") as reader, sd.open(saved) as other:
            other.write({"series": "c", "time": [0], "value": [1.0]})
            assert reader.query().to_arrow().num_rows == 100_002
            assert set(rights(path)) >= {"catalog.sqlite", "write.lock", "chunks"}
            assert shared or "catalog.sqlite-wal" in rights(path)
            for folder in (path, path.parent, copy, copy.parent, saved):
                assert rights(folder) == expected(folder, mask)


def test_another_umask_changes_no_rights_of_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    with umask(0o002):
        sd.open(path).close()
    with umask(0o077), sd.open(path) as store:
        store.write({"series": "a", "time": [0], "value": [1.0]})
        logs = {name: mode for name, mode in rights(path).items() if name.startswith("catalog")}
    assert set(logs.values()) == {0o664}


def test_an_empty_catalog_of_a_creation_that_was_interrupted_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    (path / "chunks").mkdir(parents=True)
    (path / "catalog.sqlite").touch()
    with sd.open(path) as store:
        assert store.write({"series": "a", "time": [0], "value": [1.0]}).stored == 1


def test_nothing_is_made_where_something_else_lies(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("dear")
    with pytest.raises(StoreFormatError, match="no store"):
        sd.open(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.doc"]
