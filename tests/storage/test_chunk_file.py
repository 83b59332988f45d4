"""Chunk files: they come back whole, or say what is wrong; no byte is believed unverified."""

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from golden.write_golden import golden_key, golden_readings, golden_versions
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import (
    GOLDEN,
    INT64_MAX,
    INT64_MIN,
    IS_PYTHON,
    bits_of,
    code_columns,
    doubles,
    example_reader,
    examples,
    increasing_times,
)
from support.systems import maps_files

from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage import chunk_file
from smartdata_ts._storage.chunk_file import ChunkFile, encode_chunk, is_as_named, name_chunk
from smartdata_ts._storage.codec import BLOCK_READINGS_MAX
from smartdata_ts.errors import CorruptChunkError, StoreError, StoreFormatError
from smartdata_ts.kernels.codec.blocks import EncodedBlocks, ReadingColumns, read_blocks
from smartdata_ts.kernels.codec.checksum import digest_ranges

reader = example_reader()


def key_of(series: int) -> str:
    return f"wm-{series}"


def write_plain(path: Path, readings: Readings) -> int:
    """As readings of one commit."""
    return path.write_bytes(encode_chunk(Versions.of(readings, 3), key_of))


def small_readings() -> Readings:
    rng = np.random.default_rng(1)
    return Readings(
        np.repeat(np.array([3, 4, 9], np.int32), 12),
        np.tile(np.cumsum(rng.integers(1, 10**7, 12)), 3),
        np.round(rng.normal(20, 5, 36), 2),
        rng.integers(0, 3, 36).astype(np.uint8),
    )


def read_all(chunk: ChunkFile) -> Readings:
    """Verify and decode every block."""
    rows = np.arange(chunk.block_count)
    data, descriptors = chunk.payloads(rows, chunk.series.astype(np.int64))
    count = int(chunk.count.sum())
    scratch, slots = np.empty(BLOCK_READINGS_MAX, np.int64), np.empty(count, np.int32)
    columns = ReadingColumns(np.empty(count, np.int64), np.empty(count), np.empty(count, np.uint8))
    encoded = EncodedBlocks(data, descriptors, chunk.tables)
    kept = read_blocks(encoded, INT64_MIN, INT64_MAX, scratch, slots, columns)
    if kept < 0:
        raise chunk.corrupt(-1 - kept, "it does not decode")
    assert kept == count
    return Readings(slots, *columns)


def assert_same(readings: Readings, expected: Readings) -> None:
    assert np.array_equal(readings.series, expected.series)
    assert np.array_equal(readings.times, expected.times)
    assert np.array_equal(bits_of(readings.values), bits_of(expected.values))
    assert np.array_equal(readings.qualities, expected.qualities)


def commits_in(chunk: ChunkFile) -> list[int]:
    """The commit of every reading."""
    return [int(commit) for commit in chunk.commits_of(np.arange(chunk.block_count)).tolist()]


def read_by_example(path: Path) -> tuple[Readings, list[int]]:
    """What examples/read_chunk.py reads: readings and commits, the series being the key's number."""
    blocks = list(reader.read_chunk(str(path)))
    ids = [int(key.rpartition("-")[2]) for key, *_ in blocks]
    readings = Readings(
        np.concatenate(
            [np.full(len(block[1]), id_, np.int32) for id_, block in zip(ids, blocks, strict=True)]
        ),
        np.concatenate([np.array(block[1], np.int64) for block in blocks]),
        np.concatenate([np.array(block[2], np.float64) for block in blocks]),
        np.concatenate([np.array(block[3], np.uint8) for block in blocks]),
    )
    return readings, [commit for block in blocks for commit in block[4]]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "small.arrow"
    write_plain(path, small_readings())
    return path


@st.composite
def any_readings(draw):
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    ids = sorted(draw(st.sets(st.integers(0, 2**31 - 1), min_size=len(sizes), max_size=len(sizes))))
    return Readings(
        np.repeat(np.array(ids, np.int32), sizes),
        np.concatenate([draw(increasing_times(size)) for size in sizes]),
        np.concatenate([draw(doubles(size)) for size in sizes]),
        np.concatenate([draw(code_columns(size)) for size in sizes]),
    )


@examples(100)
@given(any_readings(), st.data())
def test_readings_come_back_by_the_library_and_by_the_example(tmp_path_factory, readings, data):
    path = tmp_path_factory.mktemp("chunk") / "any.arrow"
    commit = st.integers(1, 2**62) | st.integers(1, 3)
    drawn = data.draw(st.lists(commit, min_size=1, max_size=len(readings)))
    commits = np.resize(np.array(drawn, np.int64), len(readings))
    path.write_bytes(encode_chunk(Versions(readings, commits), key_of))
    chunk = ChunkFile(path)
    assert_same(read_all(chunk), readings)
    assert commits_in(chunk) == commits.tolist()
    assert chunk.keys.to_pylist() == [key_of(series) for series in chunk.series.tolist()]
    found, found_commits = read_by_example(path)
    assert_same(found, readings)
    assert found_commits == commits.tolist()


@pytest.mark.parametrize("size", [1, 1 << 20, (1 << 20) + 1, 5 << 19])
def test_a_name_tells_whether_the_bytes_are_those_that_got_it(tmp_path, size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    path = tmp_path / name_chunk(data, 2024)
    # docs/format.md: of each mebibyte, seeded with that of the one before
    checksum = np.zeros(1, np.uint64)
    for first in range(0, size, 1 << 20):
        end = min(first + (1 << 20), size)
        digest_ranges(data, np.array([first]), np.array([end]), checksum)
    assert path.name.startswith(f"2024-{int(checksum[0]):016x}-")
    assert name_chunk(data, 2024) != path.name
    path.write_bytes(data)
    assert is_as_named(path) is True
    for place in {0, size // 2, size - 1}:
        wounded = data.copy()
        wounded[place] ^= 1
        path.write_bytes(wounded)
        assert is_as_named(path) is False
    path.write_bytes(data[:-1])
    assert is_as_named(path) is False
    path.write_bytes(bytes(data) + b"\0")
    assert is_as_named(path) is False
    other = path.rename(tmp_path / "2024-0123456789abcdef.arrow")
    assert is_as_named(other) is None


def test_what_is_no_file_has_no_checksum(tmp_path):
    path = tmp_path / name_chunk(np.zeros(1, np.uint8), 2024)
    os.mkfifo(path)
    with pytest.raises(StoreError, match="cannot be read"):
        is_as_named(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(StoreError, match="cannot be read"):
        is_as_named(path)


def test_commits_cost_a_byte_only_where_a_block_has_several(tmp_path):
    readings = small_readings()
    one = write_plain(tmp_path / "one.arrow", readings)
    commits = np.where(readings.series == 4, readings.times % 2, 3)
    several = encode_chunk(Versions(readings, commits), key_of)
    assert one < several.size < one + 100
    batch = pa.ipc.open_file(several).get_batch(0)
    assert [len(payload) > 0 for payload in batch["commits"].to_pylist()] == [False, True, False]


@pytest.mark.parametrize("version", [1, 2])
def test_the_golden_chunks_decode_forever(version):
    chunk = ChunkFile(GOLDEN[version - 1])
    assert_same(read_all(chunk), golden_readings(version))
    assert commits_in(chunk) == golden_versions(version).commits.tolist()
    assert set(chunk.keys.to_pylist()) == {golden_key(series) for series in chunk.series.tolist()}


@pytest.mark.parametrize("version", [1, 2])
def test_the_golden_chunks_decode_without_the_library(version):
    readings, commits = read_by_example(GOLDEN[version - 1])
    assert_same(readings, golden_readings(version))
    assert commits == golden_versions(version).commits.tolist()


def test_the_golden_chunk_of_version_2_has_what_came_with_it():
    payloads = pa.ipc.open_file(GOLDEN[1]).get_batch(0)["values"].to_pylist()
    assert [payload[3] for payload in payloads] == [19, 19, 3]  # prefix codes of sums, and of levels


def test_the_example_prints_every_reading_and_does_not_know_the_library():
    code = "import sys, runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__'); "
    code += "assert not [name for name in sys.modules if name.startswith(('smartdata_ts', 'numba'))]"
    command = [sys.executable, "-c", code, str(reader.__file__), str(GOLDEN[0])]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(lines) == len(golden_readings())
    assert lines[-1] == "Målar-2147483647 1735689600000000 -12.34 0 7"


def test_any_arrow_reader_opens_a_chunk(path):
    table = pa.ipc.open_file(path).read_all()
    assert table.schema.remove_metadata() == chunk_file.SCHEMA
    readings = small_readings()
    assert table["series"].to_pylist() == [3, 4, 9]
    assert table["count"].to_pylist() == [12, 12, 12]
    assert table["value_min"].to_pylist() == [readings.values[k : k + 12].min() for k in (0, 12, 24)]
    assert table["value_first"].to_pylist() == readings.values[::12].tolist()
    assert table["quality_max"].to_pylist() == [readings.qualities[k : k + 12].max() for k in (0, 12, 24)]


def test_summaries_are_at_hand_without_decoding(path):
    chunk, readings = ChunkFile(path), small_readings()
    assert chunk.block_count == 3
    assert chunk.size == path.stat().st_size
    assert chunk.time_min.tolist() == readings.times[::12].tolist()
    assert chunk.time_max.tolist() == readings.times[11::12].tolist()
    assert chunk.value_last.tolist() == readings.values[11::12].tolist()


# -- damage


def assert_told_or_right(path: Path, content: bytes, good: Readings) -> None:
    """Either an error of ours with the file's name, or exactly the right answer."""
    # A new file each time: the old one may still be mapped.
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    try:
        chunk = ChunkFile(path)
        readings = read_all(chunk)
    except (CorruptChunkError, StoreFormatError) as problem:
        named = str(path) in str(problem)
    else:
        named = True
        assert_same(readings, good)
        assert chunk.time_min.tolist() == good.times[::12].tolist()
        assert chunk.value_last.tolist() == good.values[11::12].tolist()
    assert named


@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_a_flip_of_any_byte_is_told_or_does_no_harm(path, mask):
    content, good = path.read_bytes(), small_readings()
    for at in range(mask % 40, len(content), 40) if IS_PYTHON else range(len(content)):
        flipped = bytearray(content)
        flipped[at] ^= mask
        assert_told_or_right(path, bytes(flipped), good)


def test_a_chunk_cut_short_anywhere_is_told(path):
    content, good = path.read_bytes(), small_readings()
    for size in range(len(content)):
        assert_told_or_right(path, content[:size], good)
        with pytest.raises(CorruptChunkError):
            ChunkFile(path)


@examples(300)
@given(st.data())
def test_several_wounds_at_once_are_told_or_do_no_harm(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("chunk") / "wounded.arrow"
    write_plain(path, small_readings())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 8))
        word = data.draw(
            st.sampled_from([b"\0", b"\xff", b"\0" * 8, b"\xff" * 8, b"\xff\xff\xff\x7f", b"\1"])
        )
        content[at : at + len(word)] = word
    assert_told_or_right(path, bytes(content), small_readings())


@pytest.mark.parametrize(
    "content", [b"", b"ARROW1\0\0", b"ARROW1\0\0" * 9 + b"ARROW1", b"SQLite format 3\0" * 9]
)
def test_what_is_no_arrow_file_is_told(tmp_path, content):
    (tmp_path / "x.arrow").write_bytes(content)
    with pytest.raises(CorruptChunkError, match="not a chunk"):
        ChunkFile(tmp_path / "x.arrow")


def test_a_missing_chunk_is_told(tmp_path):
    with pytest.raises(CorruptChunkError, match=r"gone\.arrow: the chunk is missing"):
        ChunkFile(tmp_path / "gone.arrow")


@maps_files
def test_a_chunk_that_the_system_does_not_let_us_read_is_told(path, monkeypatch):
    def refuse(_: str) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(pa, "memory_map", refuse)
    with pytest.raises(StoreError, match=re.escape(os.strerror(errno.EACCES))):
        ChunkFile(path)


def rewrite(path: Path, change, **options) -> None:
    """Write the chunk's table again, changed, as any Arrow program might."""
    table = change(pa.ipc.open_file(path.read_bytes()).read_all())
    path.unlink()
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)


def with_metadata(table: pa.Table, **changes: str | None) -> pa.Table:
    metadata = {key.decode(): text.decode() for key, text in table.schema.metadata.items()}
    for name, text in changes.items():
        metadata[f"smartdata_ts.{name}"] = text
    return table.replace_schema_metadata({key: text for key, text in metadata.items() if text is not None})


@pytest.mark.parametrize("version", ["3", "0", "99", "1.1", "one", ""])
def test_an_unknown_version_is_refused_with_a_way_out(path, version):
    rewrite(path, lambda table: with_metadata(table, version=version))
    with pytest.raises(StoreFormatError, match="Upgrade smartdata_ts"):
        ChunkFile(path)


@pytest.mark.parametrize("name", ["format", "version", "models", "model_count", "checksum"])
@pytest.mark.parametrize("text", [None, "-1", "1e9", "999999999999999999999"])
def test_metadata_that_lack_or_lie_are_told(path, name, text):
    rewrite(path, lambda table: with_metadata(table, **{name: text}))
    with pytest.raises((CorruptChunkError, StoreFormatError)):
        ChunkFile(path)


def test_a_chunk_rewritten_by_another_program_is_as_good(path):
    rewrite(path, lambda table: table)
    assert_same(read_all(ChunkFile(path)), small_readings())


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda table: table, {"compression": "zstd"}),
        (lambda table: table, {"compression": "lz4"}),
        (lambda table: table.slice(0, 2), {}),
        (lambda table: table.slice(1), {}),
        (lambda table: table.slice(0, 0), {}),
        (lambda table: pa.concat_tables([table, table]), {}),
        (lambda table: table.drop_columns("count"), {}),
        (lambda table: table.take([2, 1, 0]), {}),
        (lambda table: table.set_column(3, "count", pa.array([12, 12, 13], pa.int32())), {}),
        (lambda table: table.append_column("more", pa.array([1, 2, 3])), {}),
    ],
)
def test_a_chunk_that_was_changed_is_told(path, change, options):
    rewrite(path, change, **options)
    with pytest.raises(CorruptChunkError):
        ChunkFile(path)


def test_a_damaged_block_is_named_and_leaves_the_others_readable(path):
    payload = pa.ipc.open_file(path).read_all()["values"][1].as_py()
    content = bytearray(path.read_bytes())
    assert content.count(payload) == 1
    offset = content.index(payload)
    content[offset] ^= 1
    damaged = path.with_name("damaged.arrow")
    damaged.write_bytes(content)
    chunk = ChunkFile(damaged)
    chunk.payloads(np.array([0, 2]), np.zeros(2, np.int64))
    with pytest.raises(
        CorruptChunkError, match=r"damaged\.arrow: block 1 \(series 'wm-4', 1970-01-01T.*checksum"
    ):
        chunk.payloads(np.arange(3), np.zeros(3, np.int64))


def test_an_open_chunk_outlives_the_removal_of_its_file(path):
    chunk = ChunkFile(path)
    shutil.copy(path, path.with_name("copy.arrow"))
    path.unlink()
    assert_same(read_all(chunk), small_readings())
