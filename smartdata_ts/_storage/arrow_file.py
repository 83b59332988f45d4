"""Where in an Arrow IPC file its one record batch's columns stand, without a look at the columns themselves.

Arrow's own reader takes a file that is mapped, and a process that touches a page of a shrunken one is killed;
or it copies all of it. This one is given a function that copies bytes out of the file, asks for the little
that tells of the rest, and checks every size against the file's before anything is allocated. Layout:
https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format, whose tables are flatbuffers: a table
begins with the distance back to its vtable, which holds the distance of each field from the table's begin.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import pyarrow as pa

Read = Callable[[int, int], bytes]  # (place in the file, size) -> bytes

_MAGIC = b"ARROW1"
_METADATA_SIZE_MAX = 1 << 24
_ROW_COUNT_MAX = 1 << 22
_AT_ONCE = 1 << 14  # most files' metadata; more is asked for where this is not enough
_CONTINUATION = 0xFFFFFFFF
_RECORD_BATCH = 3  # of the kinds of message
_OFFSET_SIZE = 4  # of a text's or a binary's


class Range(NamedTuple):
    """A part of the file."""

    place: int
    size: int


@dataclass(frozen=True)
class Batch:
    """The schema, and of each column the buffers that it has: (data,) or (offsets, data)."""

    schema: pa.Schema
    row_count: int
    columns: dict[str, tuple[Range, ...]]


def find_batch(read: Read, size: int) -> Batch:
    """Find the columns of a file of `size` bytes with one uncompressed batch without nulls.

    Columns are of a fixed width, or texts or binaries with offsets of 32 bits. Raises ValueError where
    the file is not so.
    """
    try:
        place, metadata_size, body_size = _block(read, size)
        schema = _schema(read, size)
        message = _message(read(place, metadata_size))
        body = Range(place + metadata_size, body_size)
        return _columns(schema, message, body)
    except (struct.error, pa.ArrowException, OverflowError) as problem:
        raise ValueError(f"its metadata are damaged ({problem})") from problem


def _block(read: Read, size: int) -> tuple[int, int, int]:
    """Find the footer's only batch: its place, and the sizes of its metadata and its body."""
    tail_size = min(size, _AT_ONCE)
    tail = read(size - tail_size, tail_size)
    if tail_size < 10 or tail[-6:] != _MAGIC:
        raise ValueError("it does not end as an Arrow file")
    (footer_size,) = struct.unpack("<I", tail[-10:-6])
    if not 0 < footer_size <= min(size - 10, _METADATA_SIZE_MAX):
        raise ValueError("the size of its footer is out of range")
    if footer_size + 10 > tail_size:
        footer = read(size - 10 - footer_size, footer_size)
    else:
        footer = tail[-10 - footer_size : -10]
    table = _Table.root(footer)
    dictionaries, blocks = table.vector(2), table.vector(3)
    if (dictionaries is not None and dictionaries[1]) or blocks is None or blocks[1] != 1:
        raise ValueError("it holds something else than one batch")
    place, metadata_size, body_size = table.unpack("<qi4xq", blocks[0])
    inside = size - 10 - footer_size
    if not (8 <= place <= inside and 8 <= metadata_size <= min(inside - place, _METADATA_SIZE_MAX)):
        raise ValueError("its batch is not in the file")
    if not 0 <= body_size <= inside - place - metadata_size:
        raise ValueError("its batch is not in the file")
    return place, metadata_size, body_size


def _schema(read: Read, size: int) -> pa.Schema:
    head = read(0, min(size, _AT_ONCE))
    if head[:6] != _MAGIC:
        raise ValueError("it does not begin as an Arrow file")
    message_size = 8 + _message_size(head[8:16])
    if not 8 < message_size <= size - 8:
        raise ValueError("its schema is not in the file")
    if message_size > len(head) - 8:
        head = read(0, 8 + message_size)
    return pa.ipc.read_schema(pa.py_buffer(head[8 : 8 + message_size]))


def _message_size(prefix: bytes) -> int:
    continuation, size = struct.unpack("<II", prefix)
    if continuation != _CONTINUATION or size > _METADATA_SIZE_MAX:
        raise ValueError("its messages are not as they should be")
    return int(size)


def _message(data: bytes) -> "_Table":
    """The record batch within a message."""
    size = _message_size(data[:8])
    message = _Table.root(data[8 : 8 + size])
    batch = message.table(2)
    if message.number(1, "<B") != _RECORD_BATCH or batch is None:
        raise ValueError("its message is no batch")
    return batch


def _columns(schema: pa.Schema, batch: "_Table", body: Range) -> Batch:
    row_count = batch.number(0, "<q")
    nodes, buffers = batch.vector(1), batch.vector(2)
    if not 0 <= row_count <= _ROW_COUNT_MAX or nodes is None or buffers is None or batch.has(3):
        raise ValueError("its batch is compressed, or its count of rows is out of range")
    kinds = schema.types
    widths = [_buffer_count(kind) for kind in kinds]
    if nodes[1] != len(widths) or buffers[1] != sum(widths):
        raise ValueError("its batch does not fit its schema")
    told = batch.unpack(f"<{2 * nodes[1]}q", nodes[0])
    if told != (row_count, 0) * nodes[1]:
        raise ValueError("its columns are not of one length, or have nulls")
    ranges = batch.unpack(f"<{2 * buffers[1]}q", buffers[0])
    for place, size in zip(ranges[::2], ranges[1::2], strict=True):
        if not (0 <= place <= body.size and 0 <= size <= body.size - place):
            raise ValueError("a column is not in the file as it is")
    columns = {}
    first = 0
    for name, kind, width in zip(schema.names, kinds, widths, strict=True):
        # The first buffer of each tells of nulls.
        own = ranges[2 * first + 2 : 2 * (first + width)]
        first += width
        columns[name] = tuple(
            Range(body.place + place, size) for place, size in zip(own[::2], own[1::2], strict=True)
        )
        needed = _OFFSET_SIZE * (row_count + 1) if width == 3 else row_count * kind.byte_width
        if own[1] < needed:
            raise ValueError(f"its column {name!r} has fewer bytes than rows")
    if len(columns) != len(widths):
        raise ValueError("two of its columns have one name")
    return Batch(schema, row_count, columns)


@cache
def _buffer_count(kind: pa.DataType) -> int:
    if pa.types.is_binary(kind) or pa.types.is_string(kind):
        return 3
    if pa.types.is_primitive(kind) and kind.bit_width % 8 == 0:
        return 2
    raise ValueError(f"it has a column of type {kind}")


class _Table:
    """A table of a flatbuffer; a place outside of it is a struct.error, as is a short one."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place
        (back,) = self.unpack("<i", place)
        self._fields = place - back
        (self._fields_size,) = self.unpack("<H", self._fields)

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        """The outermost table."""
        return cls(data, struct.unpack_from("<I", data)[0])

    def unpack(self, form: str, place: int) -> tuple[int, ...]:
        """Numbers at a place, which is never counted from the end."""
        if place < 0:
            raise struct.error("a place before the begin")
        return struct.unpack_from(form, self._data, place)

    def _at(self, number: int) -> int:
        """The place of a field; 0 where the table lacks it."""
        entry = 4 + 2 * number
        if entry + 2 > self._fields_size:
            return 0
        (distance,) = self.unpack("<H", self._fields + entry)
        return self._place + distance if distance else 0

    def has(self, number: int) -> bool:
        """Whether the table has this field."""
        return bool(self._at(number))

    def number(self, number: int, form: str) -> int:
        """A field that is a number; 0 where the table lacks it."""
        place = self._at(number)
        return self.unpack(form, place)[0] if place else 0

    def _target(self, number: int) -> int:
        place = self._at(number)
        return place + self.unpack("<I", place)[0] if place else 0

    def table(self, number: int) -> "_Table | None":
        """A field that is a table."""
        target = self._target(number)
        return _Table(self._data, target) if target else None

    def vector(self, number: int) -> tuple[int, int] | None:
        """A field that is a vector: the place of its first element, and the count."""
        target = self._target(number)
        return (target + 4, self.unpack("<I", target)[0]) if target else None
