"""Chunk files: all of their bytes, and nothing else knows them. docs/format.md is the contract.

A chunk is an Arrow IPC file with one record batch, uncompressed, one row a block, sorted by series and
time. Schema metadata: `smartdata_ts.format` ("chunk"), `smartdata_ts.version`, `smartdata_ts.readings`
("present", or "history": superseded or deleted), the entropy models
(`smartdata_ts.models`, base64, and `smartdata_ts.model_count`), and `smartdata_ts.checksum` over the
models and all columns but the payloads. Each block names its series by key, so that a chunk tells all by
itself, and the commits that its readings came with. Each block's own `checksum` covers its payloads. The
first is verified on opening, the others before their block is decoded, so that no byte is believed
unverified.
"""

import base64
import os
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.arrow import text_array
from smartdata_ts._readings.columns import Readings, sorted_starts
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage import codec, disk, system
from smartdata_ts._storage.arrow_file import Batch, Range, find_batch
from smartdata_ts.errors import CorruptChunkError, StoreError, StoreFormatError
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array, UInt8Array, UInt64Array
from smartdata_ts.kernels.codec.blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    QUALITIES_END,
    QUALITIES_OFFSET,
    SLOT,
    TIMES_END,
    TIMES_OFFSET,
    VALUES_END,
    VALUES_OFFSET,
    EncodedBlocks,
    read_integer_blocks,
)
from smartdata_ts.kernels.codec.checksum import digest_ranges

FORMAT_VERSION = 2
_READ_VERSIONS = ("1", "2")

_TIME = pa.timestamp("us", tz="UTC")
_FIELDS = [
    ("series", pa.int32()),
    ("key", pa.string()),
    ("time_min", _TIME),
    ("time_max", _TIME),
    ("count", pa.int32()),
    ("value_min", pa.float64()),
    ("value_max", pa.float64()),
    ("value_sum", pa.float64()),
    ("value_first", pa.float64()),
    ("value_last", pa.float64()),
    ("quality_min", pa.uint8()),
    ("quality_max", pa.uint8()),
    ("commit_min", pa.int64()),
    ("commit_max", pa.int64()),
    ("checksum", pa.uint64()),
    ("times", pa.binary()),
    ("values", pa.binary()),
    ("qualities", pa.binary()),
    ("commits", pa.binary()),
]
SCHEMA = pa.schema([pa.field(name, kind, nullable=False) for name, kind in _FIELDS])
_PAYLOAD_NAMES = ("times", "values", "qualities", "commits")
_TIMES, _VALUES, _QUALITIES, _COMMITS = range(4)
_SUMMARY_TYPES: dict[str, np.dtype[Any]] = {
    "series": np.dtype("<i4"),
    "time_min": np.dtype("<i8"),
    "time_max": np.dtype("<i8"),
    "count": np.dtype("<i4"),
    "value_min": np.dtype("<f8"),
    "value_max": np.dtype("<f8"),
    "value_sum": np.dtype("<f8"),
    "value_first": np.dtype("<f8"),
    "value_last": np.dtype("<f8"),
    "quality_min": np.dtype("u1"),
    "quality_max": np.dtype("u1"),
    "commit_min": np.dtype("<i8"),
    "commit_max": np.dtype("<i8"),
    "checksum": np.dtype("<u8"),
}
READINGS_MAX = 1 << 22  # of a chunk; so many decoded ones are some hundred megabytes
_MODEL_COUNT_MAX = 255  # a block names its model in a byte
_KEYS_SIZE_MAX = 1 << 28
_GAP_MAX = 4096
_PAYLOAD_SIZE_MAX = 2**31 - 1  # of a column: Arrow's offsets are int32


_PIECE_SIZE = 1 << 20  # of a file, as the checksum in its name takes it
_CHECKSUM_IN_NAME = re.compile(r"-([0-9a-f]{16})-[0-9a-f]{8}\.arrow")

_THIN_SIZE_MIN = 4096  # fewer are not worth the look
_SCRATCH_SIZE_MAX = 1 << 22  # kept for a thread's next slice: fresh memory costs more than the copy
_scratch = threading.local()


@dataclass(frozen=True)
class _Payloads:
    """Bytes of some blocks, and where in them each column (by its place in _PAYLOAD_NAMES) of each is."""

    data: UInt8Array
    firsts: Int64Array  # (4, blocks)
    ends: Int64Array

    def digests(self) -> UInt64Array:
        """The checksum of each block."""
        digests = np.zeros(self.firsts.shape[1], np.uint64)
        for first, end in zip(self.firsts, self.ends, strict=True):
            digest_ranges(self.data, first, end, digests)
        return digests


def _in_range(offsets: Int32Array, data: Range) -> Int32Array:
    """Return a binary column's offsets, checked against the file."""
    if offsets[0] < 0 or offsets[-1] > data.size or (offsets[1:] < offsets[:-1]).any():
        raise ValueError("a payload is not in the file as it is")
    return offsets


def _thin(column: np.ndarray) -> np.ndarray:
    """The same, in no memory where many blocks have one value."""
    if column.size >= _THIN_SIZE_MIN and (column == column[0]).all():
        return np.broadcast_to(column[:1].copy(), column.size)
    return column


def _scratch_of(size: int) -> UInt8Array:
    """Memory of this thread, used again and again."""
    kept: UInt8Array | None = getattr(_scratch, "data", None)
    if kept is None or kept.size < size:
        kept = np.empty(max(size, 1 << 16), np.uint8)
        if size <= _SCRATCH_SIZE_MAX:
            _scratch.data = kept
    return kept[:size]


def encode_chunk(
    versions: Versions,
    key_of: Callable[[int], str],
    is_history: bool = False,
    scratch: codec.Scratch | None = None,
) -> UInt8Array:
    """The bytes of a chunk file of readings.

    The readings are sorted by series and time, each (series, time) once; `key_of` tells a series' key.
    """
    readings = versions.readings
    assert 0 < len(readings) <= READINGS_MAX
    starts = codec.split_blocks(np.append(sorted_starts(readings.series), len(readings)))
    commits = versions.commits if versions.commit is None else None
    encoded = codec.encode_blocks(
        readings.times, readings.values, readings.qualities, starts, commits, scratch
    )
    columns = _summaries(readings, starts, encoded.summaries)
    if commits is None:
        columns["commit_min"] = columns["commit_max"] = np.full(starts.size - 1, versions.commit, np.int64)
    else:
        columns["commit_min"] = np.minimum.reduceat(commits, starts[:-1])
        columns["commit_max"] = np.maximum.reduceat(commits, starts[:-1])
    keys = text_array([key_of(series) for series in columns["series"].tolist()])
    batch = _record_batch(columns, keys, encoded, is_history)
    file = pa.BufferOutputStream()
    with pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    return np.frombuffer(file.getvalue(), np.uint8)


def name_chunk(data: UInt8Array, year: int) -> str:
    """A new name for a file of these bytes, which tells their checksum."""
    pieces = (data[first : first + _PIECE_SIZE] for first in range(0, data.size, _PIECE_SIZE))
    return f"{year}-{_digest(pieces):016x}-{os.urandom(4).hex()}.arrow"


def is_as_named(path: Path) -> bool | None:
    """Whether a file's bytes have the checksum that its name tells; None where it tells none.

    Raises StoreError where the file cannot be read.
    """
    told = _CHECKSUM_IN_NAME.search(path.name)
    if told is None:
        return None
    return _digest(disk.pieces_of(path, _scratch_of(_PIECE_SIZE))) == int(told[1], 16)


def _summaries(readings: Readings, starts: Int64Array, extremes: Float64Array) -> dict[str, np.ndarray]:
    """The columns of a chunk up to the checksum, which depends on the payloads."""
    first, last = starts[:-1], starts[1:] - 1
    value_min, value_max, value_sum = extremes.T
    columns = {
        "series": readings.series[first],
        "time_min": readings.times[first],
        "time_max": readings.times[last],
        "count": np.diff(starts),
        "value_min": value_min,
        "value_max": value_max,
        "value_sum": value_sum,
        "value_first": readings.values[first],
        "value_last": readings.values[last],
        "quality_min": np.minimum.reduceat(readings.qualities, first),
        "quality_max": np.maximum.reduceat(readings.qualities, first),
    }
    return {
        name: np.ascontiguousarray(column, dtype=_SUMMARY_TYPES[name]) for name, column in columns.items()
    }


def _record_batch(
    columns: dict[str, np.ndarray], keys: pa.StringArray, encoded: codec.EncodedBlocks, is_history: bool
) -> pa.RecordBatch:
    row_count = columns["series"].size
    digests = np.zeros(row_count, np.uint64)
    arrays: dict[str, pa.Array] = {"key": keys}
    for name in _PAYLOAD_NAMES:
        column: codec.PayloadColumn = getattr(encoded, name)
        ends = np.cumsum(column.sizes)
        assert ends[-1] <= _PAYLOAD_SIZE_MAX, "a chunk has more readings than its offsets can tell"
        digest_ranges(column.data, ends - column.sizes, ends, digests)
        offsets = np.concatenate([[0], ends]).astype(np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(column.data)]
        arrays[name] = pa.Array.from_buffers(pa.binary(), row_count, buffers)
    columns = {**columns, "checksum": digests}
    for name, summary in columns.items():
        buffers = [None, pa.py_buffer(summary)]
        arrays[name] = pa.Array.from_buffers(SCHEMA.field(name).type, row_count, buffers)
    metadata = {
        "smartdata_ts.format": "chunk",
        "smartdata_ts.version": str(FORMAT_VERSION),
        "smartdata_ts.readings": "history" if is_history else "present",
        "smartdata_ts.models": base64.b64encode(encoded.models).decode(),
        "smartdata_ts.model_count": str(encoded.model_count),
        "smartdata_ts.checksum": f"{_digest(_summary_bytes(encoded.models, columns, keys)):016x}",
    }
    return pa.record_batch([arrays[field.name] for field in SCHEMA], schema=SCHEMA.with_metadata(metadata))


def _digest(parts: Iterable[UInt8Array]) -> int:
    """The chained checksum of parts."""
    digest = np.zeros(1, np.uint64)
    zero = np.zeros(1, np.int64)
    for part in parts:
        digest_ranges(part, zero, np.full(1, part.size), digest)
    return int(digest[0])


def _summary_bytes(
    models: bytes, columns: dict[str, np.ndarray], keys: pa.StringArray
) -> Iterable[UInt8Array]:
    """Yield the bytes under the summaries' checksum: the models, the columns in their order, and the keys."""
    yield np.frombuffer(models, np.uint8)
    for name in _SUMMARY_TYPES:
        yield columns[name].view(np.uint8)
    yield _text_bytes(keys)


def _text_bytes(keys: pa.StringArray) -> UInt8Array:
    """Return the keys, each after its size in four bytes."""
    _, offsets, text = keys.buffers()
    ends = np.frombuffer(offsets, "<i4", len(keys) + 1, keys.offset * 4)
    texts = np.frombuffer(text or b"", np.uint8)[ends[0] : ends[-1]]
    is_size = np.zeros(texts.size + 4 * len(keys), np.bool_)
    places = ends[:-1] - ends[0] + 4 * np.arange(len(keys))
    is_size[(places[:, np.newaxis] + np.arange(4)).ravel()] = True
    joined = np.empty(is_size.size, np.uint8)
    joined[is_size] = np.diff(ends).astype("<i4").view(np.uint8)
    joined[~is_size] = texts
    return joined


class ChunkFile:
    """An open chunk: its blocks' summaries as arrays, and its bytes, mapped; `is_shared`: read from the file.

    Raises CorruptChunkError where it is missing or damaged, StoreFormatError where a newer release
    wrote it, StoreError where the system does not let it be read.
    """

    def __init__(self, path: Path, is_shared: bool = False) -> None:
        self.path = path
        self._file = self._opened(is_shared)
        try:
            self._load(find_batch(self._file.read, self._file.size))
            self._file.release()
        except StoreFormatError:
            raise
        # pyarrow raises plain Python errors too; int() and base64 raise ValueError.
        except (
            StoreError,
            pa.ArrowException,
            OSError,
            KeyError,
            ValueError,
            TypeError,
            OverflowError,
        ) as problem:
            raise CorruptChunkError(
                f"{path}: not a chunk, or a damaged one: {problem}. Restore the file from a backup."
            ) from problem

    def _opened(self, is_shared: bool) -> disk.ReadFile:
        try:
            if not disk.is_regular(self.path):
                raise CorruptChunkError(f"{self.path}: is a link, or no file. Put the chunk in its place.")
            if is_shared or not system.MAPS_FILES:
                return disk.PlainFile(self.path)
            from . import mapped_file  # which needs what not every system has

            return mapped_file.MappedFile(self.path)
        except FileNotFoundError as problem:
            raise CorruptChunkError(
                f"{self.path}: the chunk is missing. Restore the file from a backup."
            ) from problem

    def _load(self, batch: Batch) -> None:
        metadata = batch.schema.metadata or {}
        if metadata.get(b"smartdata_ts.format") != b"chunk":
            raise ValueError("the schema metadata do not name it one")
        self._check_version(metadata[b"smartdata_ts.version"].decode())
        if batch.schema.remove_metadata() != SCHEMA:
            raise ValueError("its columns are not those of a chunk")
        if batch.row_count == 0:
            raise ValueError("it has no blocks")
        columns, self.keys, self._payload_offsets = self._columns(batch)
        self._payload_places = np.array([batch.columns[name][1].place for name in _PAYLOAD_NAMES])[
            :, np.newaxis
        ]
        models = base64.b64decode(metadata[b"smartdata_ts.models"], validate=True)
        self.is_history = metadata[b"smartdata_ts.readings"] == b"history"
        told = int(metadata[b"smartdata_ts.checksum"], 16)
        if _digest(_summary_bytes(models, columns, self.keys)) != told:
            raise ValueError("the checksum of its summaries is wrong")
        model_count = int(metadata[b"smartdata_ts.model_count"])
        if not 0 <= model_count <= _MODEL_COUNT_MAX:
            raise ValueError("the count of its models is out of range")
        self.tables = codec.decode_tables(models, model_count)
        self._set_summaries(columns)

    def _columns(self, batch: Batch) -> tuple[dict[str, np.ndarray], pa.StringArray, Int32Array]:
        """Copies of all columns but the payloads, and of those the offsets."""
        count = batch.row_count
        wanted = {
            name: Range(batch.columns[name][0].place, kind.itemsize * count)
            for name, kind in _SUMMARY_TYPES.items()
        }
        wanted |= {
            name: Range(batch.columns[name][0].place, 4 * (count + 1)) for name in ("key", *_PAYLOAD_NAMES)
        }
        texts = batch.columns["key"][1]
        if texts.size > _KEYS_SIZE_MAX:
            raise ValueError("its keys are longer than keys are")
        wanted["texts"] = texts
        found = self._file.read_all(list(wanted.values()))
        parts = dict(zip(wanted, found, strict=True))
        columns = {name: np.frombuffer(parts[name], kind) for name, kind in _SUMMARY_TYPES.items()}
        buffers = (pa.py_buffer(parts["key"]), pa.py_buffer(parts["texts"]))
        keys = pa.StringArray.from_buffers(count, *buffers)
        keys.validate(full=True)
        offsets = [
            _in_range(np.frombuffer(parts[name], "<i4"), batch.columns[name][1]) for name in _PAYLOAD_NAMES
        ]
        return columns, keys, np.stack(offsets)

    def _check_version(self, version: str) -> None:
        if version not in _READ_VERSIONS:
            raise StoreFormatError(
                f"{self.path}: chunk format version {version}; this release reads up to {FORMAT_VERSION}. "
                "Upgrade smartdata_ts."
            )

    def _set_summaries(self, columns: dict[str, np.ndarray]) -> None:
        self.series: Int32Array = columns["series"]
        self.time_min: Int64Array = columns["time_min"]
        self.time_max: Int64Array = columns["time_max"]
        self.count: Int32Array = columns["count"]
        self.value_first: Float64Array = columns["value_first"]
        self.value_last: Float64Array = columns["value_last"]
        self.quality_min: UInt8Array = _thin(columns["quality_min"])
        self.quality_max: UInt8Array = _thin(columns["quality_max"])
        self.commit_min: Int64Array = _thin(columns["commit_min"])
        self.commit_max: Int64Array = _thin(columns["commit_max"])
        self._checksum: UInt64Array = columns["checksum"]
        if self.count.min() < 1 or self.count.max() > codec.BLOCK_READINGS_MAX:
            raise ValueError("a block's count of readings is out of range")
        if int(self.count.sum()) > READINGS_MAX:
            raise ValueError("it tells of more readings than a chunk has")
        if self.series[0] < 0 or (np.diff(self.series) < 0).any():
            raise ValueError("its blocks are not in the order of their series")
        if (self.time_min > self.time_max).any() or (self.commit_min > self.commit_max).any():
            raise ValueError("a block ends before it begins")

    def release(self) -> None:
        """Let go of what memory the file itself takes, for one who is done with some of it."""
        self._file.release()

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return self._file.size

    @property
    def block_count(self) -> int:
        """The count of blocks."""
        return int(self.series.size)

    def payloads(
        self, rows: Int64Array, slots: Int64Array, with_commits: bool = False
    ) -> tuple[UInt8Array, Int64Array]:
        """The verified bytes of the blocks `rows`, and what the kernels need to read each for its slot.

        The bytes are good until this thread asks any chunk again. With commits, the QUALITIES_ fields tell
        of these instead.
        """
        found = self._verified(rows)
        fields = np.zeros((rows.size, DESCRIPTOR_FIELDS), np.int64)
        fields[:, SLOT] = slots
        fields[:, COUNT] = self.count[rows]
        for column, first, end in (
            (_TIMES, TIMES_OFFSET, TIMES_END),
            (_VALUES, VALUES_OFFSET, VALUES_END),
            (_COMMITS if with_commits else _QUALITIES, QUALITIES_OFFSET, QUALITIES_END),
        ):
            fields[:, first] = found.firsts[column]
            fields[:, end] = found.ends[column]
        return found.data, fields.reshape(-1)

    def commits_of(self, rows: Int64Array) -> Int64Array:
        """The commit of every reading of the blocks `rows`."""
        counts = self.count[rows]
        mixed = self.commit_min[rows] != self.commit_max[rows]
        decoded = self._decoded_commits(rows[mixed])
        if mixed.all():
            return decoded
        commits = np.repeat(self.commit_min[rows], counts)
        if mixed.any():
            commits[np.repeat(mixed, counts)] = decoded
        return commits

    def _decoded_commits(self, rows: Int64Array) -> Int64Array:
        counts = self.count[rows]
        decoded = np.empty(int(counts.sum()), np.int64)
        if rows.size:
            found = self._verified(rows)
            fields = np.zeros((rows.size, DESCRIPTOR_FIELDS), np.int64)
            fields[:, COUNT] = counts
            fields[:, TIMES_OFFSET], fields[:, TIMES_END] = found.firsts[_COMMITS], found.ends[_COMMITS]
            encoded = EncodedBlocks(found.data, fields.reshape(-1), self.tables)
            status = read_integer_blocks(encoded, decoded)
            if status < 0:
                raise self.corrupt(int(rows[-1 - status]), "its commits cannot be decoded")
        return decoded

    def _verified(self, rows: Int64Array) -> "_Payloads":
        """The bytes of the blocks `rows`; raises CorruptChunkError unless every checksum is right."""
        found = self._copied(rows)
        wrong = np.flatnonzero(found.digests() != self._checksum[rows])
        if wrong.size:
            raise self.corrupt(int(rows[wrong[0]]), "its checksum is wrong")
        return found

    def wrong_checksums(self, rows: Int64Array) -> np.ndarray:
        """Return, for each block in `rows`, whether its payloads differ from what was written."""
        wrong: np.ndarray = self._copied(rows).digests() != self._checksum[rows]
        return wrong

    def _copied(self, rows: Int64Array) -> "_Payloads":
        """The payloads of the blocks `rows` in this thread's scratch.

        The mapping itself is never touched: were the file to shrink, that would kill the process.
        """
        if rows.size and (rows[1:] - rows[:-1] == 1).all():
            return self._copied_run(int(rows[0]), int(rows[-1]))
        firsts = (self._payload_offsets[:, rows] + self._payload_places).ravel()
        ends = (self._payload_offsets[:, rows + 1] + self._payload_places).ravel()
        # Neighbours are copied as one piece, with the little that may stand between them.
        gaps = firsts[1:] - ends[:-1]
        breaks = np.flatnonzero((gaps < 0) | (gaps > _GAP_MAX)) + 1
        bounds = np.concatenate([[0], breaks, [firsts.size]]) if firsts.size else np.zeros(1, np.int64)
        piece_firsts, piece_ends = firsts[bounds[:-1]], ends[bounds[1:] - 1]
        data, places = self._copied_pieces(piece_firsts, piece_ends)
        shifts = np.repeat(places - piece_firsts, np.diff(bounds))
        shape = (len(_PAYLOAD_NAMES), rows.size)
        return _Payloads(data, (firsts + shifts).reshape(shape), (ends + shifts).reshape(shape))

    def _copied_run(self, first: int, last: int) -> "_Payloads":
        """The same of neighbours, whose columns are one piece each: what most slices ask for."""
        offsets = self._payload_offsets[:, first : last + 2] + self._payload_places
        data, places = self._copied_pieces(offsets[:, 0], offsets[:, -1])
        placed = offsets + (places - offsets[:, 0])[:, np.newaxis]
        return _Payloads(data, placed[:, :-1], placed[:, 1:])

    def _copied_pieces(self, firsts: Int64Array, ends: Int64Array) -> tuple[UInt8Array, Int64Array]:
        """Copy parts of the file into this thread's scratch, in order; return it and where each begins."""
        sizes = ends - firsts
        behind = np.cumsum(sizes)
        size = int(behind[-1]) if behind.size else 0
        data = _scratch_of(size + codec.SLACK_SIZE)
        data[size:] = 0
        try:
            self._file.copy(firsts, ends, data[:size])
        except StoreError as problem:
            raise CorruptChunkError(
                f"{self.path}: has shrunk since it was opened, or the disk cannot read it ({problem}). "
                "Restore the file from a backup."
            ) from problem
        return data, behind - sizes

    def corrupt(self, row: int, problem: str) -> CorruptChunkError:
        """The error that says which block of this file is damaged."""
        first, last = (np.datetime64(int(column[row]), "us") for column in (self.time_min, self.time_max))
        return CorruptChunkError(
            f"{self.path}: block {row} (series {self.keys[row].as_py()!r}, {first}Z to {last}Z) is damaged: "
            f"{problem}. Restore the file from a backup."
        )
