"""Batches as delimited text: ISO 8601 times, numbers that read back bit for bit, guarded texts."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smartdata_ts._arrow_arrays import text_array
from smartdata_ts._time_zone import load_zone

from ._iso_times import iso_times

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


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

    def rows(self, batch: pa.RecordBatch) -> pa.Buffer:
        """The rows of a batch, each with its newline."""
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
        return iso_times(times, self._tz)


def _bytes_of(lines: pa.Array) -> pa.Buffer:
    """The bytes of a string array's values, one after another."""
    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset :]
    start, stop = int(offsets[0]), int(offsets[len(lines)])
    return lines.buffers()[2].slice(start, stop - start) if stop > start else pa.py_buffer(b"")
