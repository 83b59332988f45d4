"""JSON documents: the items of the arrays under some keys, one after another, in bounded memory.

A document of up to DOCUMENT_SIZE_MAX bytes is parsed at once; of a larger one only an item is built at a
time, which needs ijson. Both give the same items.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any, NoReturn

from smartdata_ts.errors import DataError, MissingDependencyError
from smartdata_ts.formats._source import Source

DOCUMENT_SIZE_MAX = 8 << 20
DEPTH_MAX = 64
_ITEM_VALUES_MAX = 1_000_000


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


DECODER = json.JSONDecoder(parse_constant=_refuse)


def json_items(source: Source, keys: Collection[str]) -> Iterator[Any]:
    """Each item of the arrays under one of `keys`, wherever they are; and of an array at the top.

    Items within an item are its own affair.
    """
    data = source.read(DOCUMENT_SIZE_MAX + 1)
    if len(data) <= DOCUMENT_SIZE_MAX:
        yield from _walk(_document(data, source.name), frozenset(keys), source.name)
    else:
        yield from _streamed(data, source, frozenset(keys))


def _document(data: bytes, where: str) -> Any:
    try:
        text = data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
        return DECODER.decode(text)
    except RecursionError as error:
        raise _too_deep(where) from error
    except ValueError as error:  # of UnicodeDecodeError and JSONDecodeError too
        raise DataError(f"{where}: no well-formed JSON: {error}; ask for the file once more") from error


def _walk(document: Any, keys: frozenset[str], where: str) -> Iterator[Any]:
    waiting: list[tuple[Any, bool, int]] = [(document, True, 0)]
    while waiting:
        node, wanted, depth = waiting.pop()
        if depth > DEPTH_MAX:
            raise _too_deep(where)
        if isinstance(node, dict):
            waiting += [(node[key], key in keys, depth + 1) for key in reversed(node)]
        elif isinstance(node, list) and wanted:
            yield from node
        elif isinstance(node, list):
            waiting += [(item, False, depth + 1) for item in reversed(node)]


def _streamed(data: bytes, source: Source, keys: frozenset[str]) -> Iterator[Any]:
    try:
        import ijson
    except ImportError as error:
        raise MissingDependencyError(
            f"{source.name}: JSON of more than {DOCUMENT_SIZE_MAX >> 20} MB needs ijson:"
            ' pip install "smartdata_ts[json]"'
        ) from error
    builder: Any = None
    is_wanted, depth, begun_at, value_count = True, 0, -1, 0
    arrays: list[bool] = []  # of the containers that are open: whether their items are wanted
    try:
        for event, value in ijson.basic_parse(_Joined(data, source), use_float=True):
            is_start, is_end = event.startswith("start_"), event.startswith("end_")
            depth += is_start - is_end
            if depth > DEPTH_MAX:
                raise _too_deep(source.name)
            if builder is not None and not (is_end and depth < begun_at):
                builder.event(event, value)
                value_count += 1
                if value_count > _ITEM_VALUES_MAX:
                    raise DataError(
                        f"{source.name}: more than {_ITEM_VALUES_MAX:,} values in one item: split the file"
                    )
            elif event == "map_key":
                is_wanted = value in keys
                continue
            elif is_end:
                arrays.pop()
            elif arrays and arrays[-1]:
                builder, begun_at, value_count = ijson.ObjectBuilder(), depth - is_start, 0
                builder.event(event, value)
            elif is_start:
                arrays.append(event == "start_array" and is_wanted)
                is_wanted = False
            if builder is not None and depth == begun_at:
                yield builder.value
                builder = None
    except ijson.JSONError as error:
        raise DataError(f"{source.name}: no well-formed JSON: {error}; ask for the file once more") from error


class _Joined:
    """The part that was read, and the rest."""

    def __init__(self, data: bytes, source: Source) -> None:
        self._data = memoryview(data.removeprefix(b"\xef\xbb\xbf"))
        self._source = source

    def read(self, size: int = 65_536) -> bytes:
        part, self._data = bytes(self._data[:size]), self._data[size:]
        return part or (self._source.read(size) if size else b"")


def _too_deep(where: str) -> DataError:
    return DataError(f"{where}: JSON nested more than {DEPTH_MAX} deep; no readings")
