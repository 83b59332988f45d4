"""Batches as delimited text: ISO 8601 times, numbers that read back bit for bit, guarded texts."""

import re
from collections.abc import Callable, Sequence
from math import isfinite

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.arrow import text_array
from smartdata_ts._time.zone import load_zone

from .iso_times import iso_times

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
# So many rows are joined in Python in less time than pyarrow.compute takes to load.
_FEW_ROWS = 2048
# Python and Arrow write these alike, but for Python's ".0"; the very large and small by power differ.
_ALIKE_MIN, _ALIKE_MAX = 1e-3, 1e9


class CsvEncoder:
    """Makes text of batches.

    A spreadsheet takes a text that starts with one of = + - @ for a formula; with `guard` such texts
    get an apostrophe in front. Numbers are not touched.
    """

    def __init__(self, delimiter: str, tz: str, guard: bool) -> None:
        load_zone(tz)
        self._delimiter = delimiter
        self._tz = tz
        self._guard = guard
        self._special = re.compile(f'[{re.escape(delimiter)}"\\r\\n]|^\\s|\\s$')

    def header(self, names: Sequence[str]) -> bytes:
        """The line of column names."""
        return (self._delimiter.join(map(self._quoted, names)) + "\n").encode()

    def rows(self, batch: pa.RecordBatch) -> pa.Buffer | bytes:
        """The rows of a batch, each with its newline."""
        few = self._few_rows(batch) if batch.num_rows <= _FEW_ROWS else None
        return self._many_rows(batch) if few is None else few

    def _few_rows(self, batch: pa.RecordBatch) -> bytes | None:
        columns = []
        for column in batch.columns:
            if (cells := self._few_cells(column)) is None:
                return None
            columns.append(cells)
        return "".join(self._delimiter.join(row) + "\n" for row in zip(*columns, strict=True)).encode()

    def _few_cells(self, column: pa.Array) -> list[str] | None:
        """The cells of a column, or None where Python writes its values otherwise than Arrow."""
        kind = column.type
        if pa.types.is_timestamp(kind):
            return ["" if text is None else text for text in iso_times(column, self._tz)]
        values = column.to_pylist()
        if pa.types.is_string(kind) or _is_text_dictionary(kind):
            quoted = {value: self._quoted(value) for value in set(values) if value is not None}
            return [quoted.get(value, "") for value in values]
        if pa.types.is_float64(kind) and all(map(_is_written_alike, values)):
            return ["" if value is None else repr(value).removesuffix(".0") for value in values]
        if pa.types.is_integer(kind):
            return ["" if value is None else str(value) for value in values]
        return None

    def _many_rows(self, batch: pa.RecordBatch) -> pa.Buffer:
        import pyarrow.compute as pc

        cells = [self._cells(column) for column in batch.columns]
        lines = pc.binary_join_element_wise(*cells, self._delimiter)
        lines = pc.binary_join_element_wise(lines, "", "\n")
        return _bytes_of(lines)

    def _cells(self, column: pa.Array) -> pa.Array:
        kind = column.type
        if pa.types.is_timestamp(kind):
            return self._through_few(column, self._times)
        if pa.types.is_string(kind) or pa.types.is_dictionary(kind):
            return self._through_few(column, self._texts)
        return column.cast(pa.string()).fill_null("")

    def _through_few(self, column: pa.Array, encode: Callable[[pa.Array], pa.Array]) -> pa.Array:
        """Encode each distinct value once; readings share their times and their series."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        cells = encode(column.dictionary)
        return cells.take(column.indices).fill_null("")

    def _texts(self, texts: pa.Array) -> pa.Array:
        cells = [None if text is None else self._quoted(text) for text in texts.to_pylist()]
        return text_array(cells)

    def _quoted(self, text: str) -> str:
        if self._guard and text.startswith(_FORMULA_STARTS):
            text = "'" + text
        if self._special.search(text):
            return '"' + text.replace('"', '""') + '"'
        return text

    def _times(self, times: pa.Array) -> pa.Array:
        return text_array(iso_times(times, self._tz))


def _is_text_dictionary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type))


def _is_written_alike(value: float | None) -> bool:
    return not value or not isfinite(value) or _ALIKE_MIN <= abs(value) < _ALIKE_MAX


def _bytes_of(lines: pa.Array) -> pa.Buffer:
    """The bytes of a string array's values, one after another."""
    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset :]
    start, stop = int(offsets[0]), int(offsets[len(lines)])
    return lines.buffers()[2].slice(start, stop - start) if stop > start else pa.py_buffer(b"")
