"""File operations: whole files or none, errors that say what to do, in one module; locks in another."""

import ast
import errno
import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import BinaryIO

import pytest

import smartdata_ts
from smartdata_ts._storage import disk, mapped_file
from smartdata_ts.errors import DiskFullError, StoreError

PACKAGE = Path(smartdata_ts.__file__).parent
# Outside files and the terminal are others' business; compiled kernels are kept in the user's own cache.
ELSEWHERE = ("formats", "cli", "kernels")
HOMES = ("_storage/disk.py", "_storage/locks.py", "_storage/mapped_file.py")
HOMES += ("_storage/system/posix.py", "_storage/system/windows.py")
# What `os` has that is no file's.
HARMLESS = {
    "PathLike",
    "getpid",
    "urandom",
    "fspath",
    "fsdecode",
    "fsencode",
    "cpu_count",
    "sched_getaffinity",
    "environ",
}
HARMLESS |= {"register_at_fork"}
OF_FILES = set(dir(Path)) - set(dir(PurePath)) - {*dir(str), "absolute", "group"}
OF_FILES |= {"memory_map", "OSFile"}
MODULES = {"io", "shutil", "tempfile", "mmap", "fcntl", "glob"}


def file_operations(source: str) -> Iterator[str]:
    """The calls in a program that touch files."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name in MODULES)
            case ast.ImportFrom(module=module) if module in {*MODULES, "os", "os.path"}:
                yield str(module)
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name not in HARMLESS:
                yield f"os.{name}"
            case ast.Call(func=ast.Name(id="open")):
                yield "open"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="disk"))):
                pass
            case ast.Call(func=ast.Attribute(attr=name)) if name in OF_FILES:
                yield name


def test_no_other_module_of_the_store_touches_files() -> None:
    paths = [path.relative_to(PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]
    found = [
        f"{path}: {name}"
        for path in paths
        if path.parts[0] not in ELSEWHERE and path.as_posix() not in HOMES
        for name in file_operations((PACKAGE / path).read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_search_for_file_operations_finds_them() -> None:
    program = (
        "import mmap, os\nfrom shutil import copy\nos.stat('a')\npath.unlink()\nopen('a')\npa.OSFile('a')"
    )
    found = sorted(file_operations(program))
    assert found == ["OSFile", "mmap", "open", "os.stat", "shutil", "stat", "unlink"]


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        disk.write_durably(path, fail)
    assert disk.names_in(tmp_path) == []

    def write(file: BinaryIO) -> None:
        file.write(b"ab")
        file.write(memoryview(b"cd"))
        assert file.tell() == 4

    assert disk.write_durably(path, write) == 4
    assert path.read_bytes() == b"abcd"
    assert disk.names_in(tmp_path) == ["a.bin"]
    assert (disk.size_of(tmp_path), disk.size_of_file(path)) == (4, 4)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_so(tmp_path: Path, number: int) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(DiskFullError, match=r"a\.bin: cannot be written: .*free some space"):
        disk.write_durably(tmp_path / "a.bin", fail)


def test_what_the_system_refuses_is_ours_and_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(StoreError, match=r"file: cannot be listed: Not a directory"):
        disk.names_in(file)
    with pytest.raises(StoreError, match=r"sub: cannot be created: Not a directory"):
        disk.make_directory(file / "sub")
    with pytest.raises(StoreError, match=f"{tmp_path}: cannot be removed"):
        disk.remove(tmp_path)
    assert not disk.remove_if_possible(tmp_path)
    with pytest.raises(FileNotFoundError):
        mapped_file.MappedFile(tmp_path / "none")


def test_what_is_gone_already_is_no_error(tmp_path: Path) -> None:
    disk.remove(tmp_path / "none")
    assert disk.remove_if_possible(tmp_path / "none")
    assert not disk.is_there(tmp_path / "none" / "below")
    assert not disk.is_file(tmp_path)
    assert disk.is_directory(tmp_path)
    disk.make_directory(tmp_path / "a" / "b")
    disk.make_directory(tmp_path / "a" / "b")
    assert disk.is_directory(tmp_path / "a" / "b")
