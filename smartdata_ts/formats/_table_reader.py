"""Arrow tables of any layout as readings: columns by name, options and content, as in text files."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smartdata_ts._readings.arrow import text_array
from smartdata_ts.errors import DataError, DialectError
from smartdata_ts.kernels.arrays import Int32Array, UInt8Array
from smartdata_ts.kernels.text import status as text_status
from smartdata_ts.kernels.text import times as text_times

from ._columns.column_roles import Roles, assign_roles
from ._columns.number_column import NumberColumn
from ._columns.settled_rows import NO_ROWS, Rows, SettledRows, good_batch, mark_empty
from ._columns.time_column import TimeColumn
from ._columns.time_format import TimeFormat, guess_epoch, guess_time_format, time_format_of
from ._options import ReadOptions
from ._reader import Reader
from ._rejects import REASONS, Reject, RejectSink
from ._text.text_reader import failed_rows
from ._text.wide_text import check_keys

_SAMPLE_ROWS = 1000
_EXACT_MAX = 1 << 53
_NO_SPANS = np.zeros(0, np.int32)


class TableReader(Reader):
    """Reads batches of an Arrow schema; a reject's line is the row's number, counted from 1.

    In a wide table every cell is a row of its own.
    """

    def __init__(
        self,
        name: str,
        batches: Iterable[pa.RecordBatch],
        options: ReadOptions,
        sink: RejectSink | None,
        resource: Any,
    ) -> None:
        super().__init__(name, sink)
        self._resource = resource
        self._batches = _whole(batches, name)
        self._first = next(self._batches, None)
        if self._first is None:
            raise DataError(f"{name}: there is nothing in it")
        self._options = options
        self._names = self._first.schema.names
        self._roles, self._time_format = self._tell_roles(self._first)
        if self._roles.wide:
            check_keys([self._names[column] for column in self._roles.values], name)
        times = TimeColumn(options.tz, options.stamp, options.interval, name)
        self._settled = SettledRows(times)
        self._numbers = NumberColumn(options.decimal or ".", options.thousands, "utf-8")
        self._code_by_key: dict[str, int] = {}
        self._dictionary = text_array([])
        self._row = 0

    @property
    def description(self) -> str:
        """One line that says what was taken for what."""
        roles, names = self._roles, self._names
        if roles.wide:
            series = f"{len(roles.values)} series, one a column"
        else:
            key = self._options.series_key
            series = f"series {key!r} for all" if roles.series is None else f"series {names[roles.series]!r}"
            series += f"; value {names[roles.values[0]]!r}"
        quality = "" if roles.quality is None else f"; quality {names[roles.quality]!r}"
        return f"time {names[roles.time]!r}; {series}{quality}"

    def close(self) -> None:
        """Close the file."""
        self._resource.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        batch, self._first = self._first, None
        while batch is not None:
            for column in self._roles.values:
                yield from self._read(batch, column)
            self._row += batch.num_rows
            batch = next(self._batches, None)
        yield from self._finish(self._settled.settle(NO_ROWS, final=True))

    def _tell_roles(self, batch: pa.RecordBatch) -> tuple[Roles, TimeFormat]:
        head = batch.slice(0, _SAMPLE_ROWS)
        cells = [_texts(column).fill_null("").to_pylist() for column in head.columns]
        data = [list(row) for row in zip(*cells, strict=True)]
        roles = assign_roles(self._names, data, True, self._options, self.name)
        if roles.clock is not None:
            raise DialectError(f"{self.name}: date and time of day in two columns are for text files")
        if self._options.time_format is not None:
            return roles, time_format_of(self._options.time_format)
        if pa.types.is_temporal(batch.schema.types[roles.time]):
            return roles, TimeFormat()
        found = guess_epoch(cells[roles.time], self.name) or guess_time_format(cells[roles.time], self.name)
        if found is None:
            raise DialectError(
                f"{self.name}: column {self._names[roles.time]!r} reads as no time:"
                " pass time= or time_format="
            )
        return roles, found

    def _read(self, batch: pa.RecordBatch, value: int) -> Iterator[pa.RecordBatch]:
        """The readings of one value column."""
        self.rows += batch.num_rows
        roles, statuses = self._roles, np.zeros(batch.num_rows, np.uint8)
        if roles.wide:
            code = self._code_by_key.setdefault(self._names[value], len(self._code_by_key))
            codes = np.full(batch.num_rows, code, np.int32)
        else:
            codes = self._codes(batch, statuses)
        times, instants = self._times(batch.column(roles.time), statuses)
        qualities = self._qualities(batch, statuses)
        values, empty = self._values(batch.column(value), statuses)
        mark_empty(empty, qualities, values, statuses)
        rows = Rows(codes, times, instants, values, qualities, statuses)
        waited = self._settled.waiting
        rows = self._settled.settle(rows)
        self._reject(batch, value, rows.statuses[waited:])
        yield from self._finish(rows)

    def _finish(self, rows: Rows) -> Iterator[pa.RecordBatch]:
        self.ambiguous = self._settled.ambiguous
        if len(self._dictionary) < len(self._code_by_key):
            self._dictionary = text_array(list(self._code_by_key))
        for batch in good_batch(rows, self._dictionary, self._roles.quality is not None):
            self.taken += batch.num_rows
            yield batch

    def _reject(self, batch: pa.RecordBatch, value: int, statuses: UInt8Array) -> None:
        is_empty = statuses == text_status.EMPTY_VALUE
        self.empty += int(np.count_nonzero(is_empty))
        for row in failed_rows(np.where(is_empty, text_status.OK, statuses)):
            status = int(statuses[row])
            where = f" in column {self._names[value]!r}" if self._roles.wide else ""
            cells = [_cell_text(column, row) for column in batch.columns]
            reject = Reject(self._row + row + 1, REASONS[status] + where, ";".join(cells))
            self.reject(reject)

    def _codes(self, batch: pa.RecordBatch, statuses: UInt8Array) -> Int32Array:
        if self._roles.series is None:
            self._code_by_key.setdefault(str(self._options.series_key), 0)
            return np.zeros(batch.num_rows, np.int32)
        column = batch.column(self._roles.series)
        if not pa.types.is_dictionary(column.type):
            column = _texts(column).dictionary_encode()
        keys = _texts(column.dictionary).fill_null("").to_pylist()
        known = self._code_by_key
        codes = [known.setdefault(key.strip(), len(known)) if key.strip() else -1 for key in keys]
        places = column.indices.cast(pa.int32()).fill_null(len(codes)).to_numpy()
        found: Int32Array = np.array([*codes, -1], np.int32)[places]
        statuses[found < 0] = text_status.EMPTY_KEY
        has_zero = np.array([*("\0" in key for key in keys), False], np.bool_)[places]
        statuses[has_zero] = text_status.ZERO_KEY
        return found

    def _times(self, column: pa.Array, statuses: UInt8Array) -> tuple[np.ndarray, UInt8Array]:
        kind = column.type
        if not pa.types.is_temporal(kind):
            return self._written_times(column, statuses)
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise DialectError(f"{self.name}: a column of {kind} tells no instant: pass time=")
        unit = getattr(kind, "unit", "s")
        if pa.types.is_date(kind):
            column = column.cast(pa.timestamp("s"))
        counts = column.cast(pa.timestamp(unit)).cast(pa.int64()).fill_null(0).to_numpy()
        _mark(column.is_null(), text_status.EMPTY_TIME, statuses)
        if unit == "ns":
            statuses[(counts % 1000 != 0) & (statuses == 0)] = text_status.TIME_TOO_FINE
            times = counts // 1000
        else:
            scale = {"s": 10**6, "ms": 1000, "us": 1}[unit]
            limit = (1 << 63) // scale - 1
            too_large = (counts > limit) | (counts < -limit)
            statuses[too_large & (statuses == 0)] = text_status.TIME_OUT_OF_RANGE
            times = np.where(too_large, 0, counts) * scale
        has_zone = pa.types.is_timestamp(kind) and kind.tz is not None
        return times, np.full(times.size, has_zone, np.uint8)

    def _written_times(self, column: pa.Array, statuses: UInt8Array) -> tuple[np.ndarray, UInt8Array]:
        buffer, spans = _text_spans(column)
        times, instants = np.empty(len(column), np.int64), np.empty(len(column), np.uint8)
        spec = self._time_format.spec()
        text_times.parse_times(buffer, spans, _NO_SPANS, spec, times, instants, statuses)
        return times, instants

    def _values(self, column: pa.Array, statuses: UInt8Array) -> tuple[np.ndarray, np.ndarray]:
        """The values, and which rows have none."""
        kind = column.type
        if pa.types.is_floating(kind):
            values = np.array(column.cast(pa.float64()).fill_null(np.nan))
            return values, np.isnan(values)
        if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            nulls = np.asarray(column.is_null())
            values = np.array(column.fill_null(0).cast(pa.float64(), safe=False))
            exact = np.abs(values) <= _EXACT_MAX
            statuses[~exact & (statuses == 0)] = text_status.NUMBER_OUT_OF_RANGE
            return values, nulls
        buffer, spans = _text_spans(column)
        values = np.zeros(len(column), np.float64)
        self._numbers.parse(buffer, spans, values, statuses)
        empty = statuses == text_status.EMPTY_VALUE
        statuses[empty] = text_status.OK
        return values, empty

    def _qualities(self, batch: pa.RecordBatch, statuses: UInt8Array) -> UInt8Array:
        if self._roles.quality is None:
            return np.zeros(batch.num_rows, np.uint8)
        column = _texts(batch.column(self._roles.quality)).fill_null("").dictionary_encode()
        given = self._roles.quality_codes(self._options.quality_codes)
        codes = [_quality_code(text, given) for text in column.dictionary.to_pylist()]
        found = np.array([*codes, 0], np.int16)[column.indices.to_numpy()]
        statuses[(found < 0) & (statuses == 0)] = text_status.UNREADABLE_QUALITY
        qualities: UInt8Array = np.maximum(found, 0).astype(np.uint8)
        return qualities


def _whole(batches: Iterable[pa.RecordBatch], name: str) -> Iterator[pa.RecordBatch]:
    """The batches; DataError where one is damaged, be it only its offsets, which point into memory."""
    try:
        for batch in batches:
            batch.validate(full=True)
            assert batch.schema.names is not None, "names that are no text are found here"
            yield batch
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: damaged: {error}; ask for the file once more") from error


def _quality_code(text: str, given: Any) -> int:
    if text in given:
        return int(given[text])
    if text == "":
        return 0
    return int(text) if text.isascii() and text.isdecimal() and int(text) <= 255 else -1


def _cell_text(column: pa.Array, row: int) -> str:
    try:
        return str(column[row].as_py())
    except (OverflowError, ValueError):  # a time beyond what Python's types hold
        return str(column.cast(pa.int64())[row].as_py())


def _mark(failed: pa.Array, status: int, statuses: UInt8Array) -> None:
    statuses[failed.to_numpy(zero_copy_only=False) & (statuses == text_status.OK)] = status


def _texts(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid as error:
        raise DataError(f"a column of {column.type} holds no text: {error}") from error
    except pa.ArrowNotImplementedError:
        return pa.nulls(len(column), pa.string())


def _text_spans(column: pa.Array) -> tuple[UInt8Array, Int32Array]:
    """The bytes of a column's texts, and where each starts and stops; null is empty."""
    texts = pc.utf8_trim_whitespace(_texts(column).fill_null(""))
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset :][: len(texts) + 1]
    spans = np.empty(2 * len(texts), np.int32)
    spans[0::2], spans[1::2] = offsets[:-1], offsets[1:]
    data = texts.buffers()[2]
    return np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8), spans
