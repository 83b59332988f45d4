"""A chunk that shrinks while it is mapped ends a query in an error, never the process (SIGBUS)."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from support.systems import maps_files

import smartdata_ts as sd
from smartdata_ts._storage import disk, mapped_file
from smartdata_ts._storage.chunk_file import ChunkFile
from smartdata_ts.errors import CorruptChunkError, StoreError

QUESTIONS = {
    "read": "store.query().to_arrow()",
    "resample": "store.query().resample('1d', 'sum').to_arrow()",
    "verify": "print('\\n'.join(store.verify(deep=True).problems))",
}


@pytest.fixture
def store_path(tmp_path):
    noise = np.random.default_rng(1)
    with sd.open(tmp_path / "store") as store:
        for key in ("a", "b"):
            store.write(
                {"series": key, "time": np.arange(150_000) * 60_000_000, "value": noise.random(150_000)}
            )
        store.compact()
    return tmp_path / "store"


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("size", [0, 100_000])
def test_a_chunk_truncated_under_an_open_store_is_an_error(store_path, question, size):
    script = f"""
        import os, sys, pathlib
        import smartdata_ts as sd
        from smartdata_ts.errors import CorruptChunkError
        store = sd.open(sys.argv[1], "r")
        store.query().to_arrow()
        for chunk in pathlib.Path(sys.argv[1], "chunks").iterdir():
            os.truncate(chunk, {size})
        try:
            {QUESTIONS[question]}
        except CorruptChunkError as problem:
            print(problem)
    """
    result = run(script, store_path)
    assert result.returncode == 0, (result.returncode, result.stderr)
    assert ".arrow" in result.stdout


def test_a_chunk_truncated_between_two_batches_is_an_error(store_path):
    script = """
        import os, sys, pathlib
        import smartdata_ts as sd
        from smartdata_ts.errors import CorruptChunkError
        from smartdata_ts._read import scan
        scan.SLICE_READINGS = 1000
        store = sd.open(sys.argv[1], "r")
        batches = iter(store.query().to_batches())
        next(batches)
        for chunk in pathlib.Path(sys.argv[1], "chunks").iterdir():
            os.truncate(chunk, 0)
        try:
            for batch in batches:
                pass
        except CorruptChunkError as problem:
            print(problem)
    """
    result = run(script, store_path)
    assert result.returncode == 0, (result.returncode, result.stderr)
    assert "shrunk" in result.stdout


def ranges_of(data):
    noise = np.random.default_rng(2)
    firsts = noise.integers(0, data.size, 3000)
    ends = np.minimum(firsts + noise.integers(0, 50, 3000), data.size)
    return firsts, ends


KINDS = [(mapped_file.MappedFile, True), (mapped_file.MappedFile, False), (disk.PlainFile, True)]


@pytest.mark.parametrize(("kind", "has_system_call"), KINDS)
def test_ranges_are_copied_one_behind_the_other(tmp_path, monkeypatch, kind, has_system_call):
    if not has_system_call:
        monkeypatch.setattr(mapped_file, "_read_memory", None)
    content = np.random.default_rng(3).integers(0, 256, 100_000).astype(np.uint8)
    (tmp_path / "file").write_bytes(content.tobytes())
    file = kind(tmp_path / "file")
    firsts, ends = ranges_of(content)
    firsts[7], ends[7] = 0, file.size
    target = np.empty(int((ends - firsts).sum()), np.uint8)
    file.release()
    file.copy(firsts, ends, target)
    expected = np.concatenate([content[first:end] for first, end in zip(firsts, ends, strict=True)])
    assert np.array_equal(target, expected)


def file_pages_kb() -> int:
    """What of files counts as this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /proc")
def test_what_was_read_is_let_go_of_and_read_again(tmp_path):
    content = np.random.default_rng(3).integers(0, 256, 1 << 24).astype(np.uint8)
    (tmp_path / "file").write_bytes(content.tobytes())
    file = mapped_file.MappedFile(tmp_path / "file")
    before = file_pages_kb()
    assert file.read(0, file.size) == content.tobytes()
    assert file_pages_kb() > before + (8 << 10)
    file.release()
    assert file_pages_kb() < before + (4 << 10)
    assert file.read(70_000, 100) == content[70_000:70_100].tobytes()


@pytest.mark.parametrize(("kind", "has_system_call"), KINDS)
def test_a_page_that_is_gone_is_an_error(tmp_path, monkeypatch, kind, has_system_call):
    if not has_system_call:
        monkeypatch.setattr(mapped_file, "_read_memory", None)
    (tmp_path / "file").write_bytes(bytes(100_000))
    file = kind(tmp_path / "file")
    os.truncate(tmp_path / "file", 50_000)
    target = np.empty(100_000, np.uint8)
    with pytest.raises(StoreError, match="file: cannot be read: "):
        file.copy(np.array([0]), np.array([100_000]), target)


@pytest.mark.parametrize("kind", [pytest.param(mapped_file.MappedFile, marks=maps_files), disk.PlainFile])
def test_a_file_that_shrinks_while_it_is_opened_is_an_error(store_path, monkeypatch, kind):
    """Arrow's own reader would be killed: it reads the footer from the mapping."""
    (path,) = (store_path / "chunks").iterdir()

    class Shrinking(kind):
        def __init__(self, path):
            super().__init__(path)
            os.truncate(path, 4096)

    is_shared = kind is disk.PlainFile
    monkeypatch.setattr(disk if is_shared else mapped_file, kind.__name__, Shrinking)
    with pytest.raises(CorruptChunkError, match=path.name):
        ChunkFile(path, is_shared)
