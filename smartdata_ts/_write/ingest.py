"""Other people's tables as columns of readings: what is taken, what holds no value, what is rejected and why.

A null and a NaN are one: no value. Such a row is empty, and not stored, unless its own quality says that the
reading is missing or rejected; then it is a NaN of that quality. A row that is rejected is not empty too.
"""

import contextlib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from smartdata_ts._arguments import can_be_stored, shown
from smartdata_ts._meter.quality import IS_READING
from smartdata_ts._readings.arrow import fixed_array, numbers_of, text_array
from smartdata_ts._readings.columns import Readings, concatenate, room_for
from smartdata_ts._time.wall_clock import AMBIGUOUS, MISSING, OK, PENDING, LocalTimeResolver, parse_offset_us
from smartdata_ts.errors import DataError, UsageError
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array, UInt8Array

REASONS = (
    "",
    "null series key",
    "empty series key",
    "series key holds a zero byte",
    "series key is no UTF-8 text",
    "null time",
    "time out of range",
    "time finer than a microsecond",
    "local time skipped by the change to summer time",
    "unparsable value",
    "integer that no double holds",
    "quality is no code from 0 to 255",
)
_Reasons = npt.NDArray[np.uint8]
(
    _TAKEN,
    _NULL_KEY,
    _EMPTY_KEY,
    _ZERO_KEY,
    _NO_TEXT,
    _NULL_TIME,
    _TIME_RANGE,
    _FINE_TIME,
    _SKIPPED_TIME,
    _UNPARSABLE,
    _INEXACT,
    _BAD_QUALITY,
    _EMPTY,  # no reason to reject a row: it has no value
) = range(len(REASONS) + 1)

_UNITS_US = {"s": 1_000_000, "ms": 1_000, "us": 1}
# NumPy's units that Arrow does not know.
_COARSE_TIMES = ("M8[m]", "M8[h]", "M8[W]", "M8[M]", "M8[Y]")

_FEW_ROWS = 64
_NO_ROWS = np.empty(0, np.int64)
_NO_REASONS = np.empty(0, np.uint8)


@dataclass(frozen=True)
class ColumnNames:
    """Which columns of a table hold what.

    Where `quality` is None, a column "quality" holds the codes if there is one; False: no column does, and
    all readings are measured.
    """

    series: str = "series"
    time: str = "time"
    value: str = "value"
    quality: str | Literal[False] | None = None

    def __post_init__(self) -> None:
        for given in (self.series, self.time, self.value):
            if not can_be_stored(given):
                raise UsageError(f"series, time and value must be names of columns, not {shown(given)}")
        if not (self.quality is None or self.quality is False or can_be_stored(self.quality)):
            raise UsageError(
                "quality must be the name of a column, or False where none holds codes, not "
                f"{shown(self.quality)}"
            )

    def quality_in(self, columns: Collection[str]) -> str | None:
        """The column of quality codes among these; None where all readings are measured."""
        if self.quality is False:
            return None
        if self.quality is not None:
            return self.quality
        is_free = "quality" not in (self.series, self.time, self.value)
        return "quality" if is_free and "quality" in columns else None


@dataclass(frozen=True)
class Rows:
    """One batch, normalised: `readings.series` indexes `keys`; rejected rows have a reason each."""

    row_count: int
    keys: pa.StringArray | list[str]  # a list where they are few
    readings: Readings
    rejected_rows: Int64Array  # row numbers within the batch, from 0
    rejected_reasons: _Reasons  # indexes into REASONS
    empty_count: int = 0
    ambiguous_count: int = 0  # in a repeated local hour that the rows' order does not settle


def read_rows(
    data: object,
    names: ColumnNames,
    local: "LocalTimes | None" = None,
    takes_nan: bool = False,
    is_result: bool = False,
) -> Iterator[Rows]:
    """The rows of whatever can be read as Arrow, or of a mapping of arrays, batch by batch.

    Times without a zone are UTC, or those that `local` settles. A NaN is a reading where `takes_nan`. Every
    column of a query's result (`is_result`) must be one that is read. Raises DataError where `data` cannot
    be read, or a column is missing or of a wrong type.
    """
    if isinstance(data, Mapping):
        plain = _plain_rows(data, names)
        if plain is not None:
            yield plain
            return
        _check_nothing_lost(data, names, is_result)
        batches = iter([_batch_of_mapping(data, names)])
    else:
        batches = _record_batches(data)
    while (batch := _next_batch(batches)) is not None:
        _check_nothing_lost(batch.schema.names, names, is_result)
        yield normalize(batch, names, local, takes_nan)


def _record_batches(data: object) -> Iterator[pa.RecordBatch]:
    if isinstance(data, pa.Table):
        return iter(data.to_batches())
    if isinstance(data, pa.RecordBatch):
        return iter([data])
    try:
        if hasattr(data, "__arrow_c_stream__"):
            return iter(pa.RecordBatchReader.from_stream(data))
        if hasattr(data, "__arrow_c_array__"):
            return iter([pa.record_batch(data)])
    except (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError) as problem:
        raise DataError(f"a {type(data).__name__} that is no table: {problem}") from problem
    raise DataError(
        f"cannot write a {type(data).__name__}: give an Arrow table, a pandas or polars frame, anything "
        "with __arrow_c_stream__, or a mapping of column names to arrays"
    )


def _next_batch(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    try:
        return next(batches, None)
    except pa.ArrowException as problem:
        raise DataError(f"the table could not be read to its end: {problem}") from problem


# Columns of amounts and of held levels: each row is of a span of time.
_SPAN_COLUMNS = {"series", "time", "end", "value", "quality"}


def _check_nothing_lost(columns: Collection[str], names: ColumnNames, is_result: bool) -> None:
    """Raise DataError where a result of a query says more than the readings that could be made of it."""
    taken = (names.series, names.time, names.value, names.quality_in(columns))
    if not set(taken[:3]) <= set(columns):
        return
    lost = [name for name in columns if name not in taken]
    is_of_spans = "end" in lost and set(columns) in (_SPAN_COLUMNS, _SPAN_COLUMNS | {"event"})
    if not (lost and (is_result or is_of_spans)):
        return
    kept = ", ".join(repr(name) for name in taken if name is not None)
    raise DataError(
        f"a store keeps nothing of the result's {', '.join(map(repr, lost))}: to write the rest as readings, "
        f"of series of their own, select it: .to_arrow().select([{kept}])"
    )


def _plain_rows(data: Mapping[str, object], names: ColumnNames) -> Rows | None:
    """Rows of one series, or a few of several, that need no conversion; None where they may need one.

    The detour by Arrow takes 80 us, this takes 8: much, beside a commit's 150.
    """
    key = data.get(names.series)
    times = _plain_column(data.get(names.time), int, np.dtype(np.int64))
    values = _plain_column(data.get(names.value), float, np.dtype(np.float64))
    if names.quality_in(data) is not None or times is None or values is None or times.size != values.size:
        return None
    if _has_nan(values):
        return None
    if isinstance(key, str):
        keys, codes = [key], np.zeros(times.size, np.int32)
    elif type(key) is list and len(key) == times.size <= _FEW_ROWS and {type(text) for text in key} == {str}:
        keys = list(dict.fromkeys(key))
        codes = np.array([keys.index(text) for text in key], np.int32)
    else:
        return None
    if any(_is_bad_key(text) for text in keys):
        return None
    readings = Readings(codes, times, values, np.zeros(times.size, np.uint8))
    return Rows(times.size, keys, readings, _NO_ROWS, _NO_REASONS)


def _has_nan(values: Float64Array) -> bool:
    # A call of NumPy takes longer than Python takes to look at few.
    return any(map(math.isnan, values.tolist())) if values.size <= _FEW_ROWS else bool(np.isnan(values.min()))


def _plain_column(column: object, kind: type, dtype: np.dtype) -> np.ndarray | None:
    """A copy of the column, whose owner may fill it anew before it is stored; None if it is not plain."""
    if type(column) is list and len(column) <= _FEW_ROWS:
        try:
            return np.array(column, dtype) if {type(item) for item in column} == {kind} else None
        except OverflowError:
            return None
    if type(column) is np.ndarray and column.dtype == dtype and column.ndim == 1:
        return column.copy()
    return None


def _is_bad_key(key: str) -> bool:
    return not key or "\0" in key or not key.isascii()


def _batch_of_mapping(data: Mapping[str, object], names: ColumnNames) -> pa.RecordBatch:
    wanted = (names.series, names.time, names.value, names.quality_in(data))
    columns = {name: data[name] for name in wanted if name is not None and name in data}
    sizes = {_size(name, column) for name, column in columns.items() if not isinstance(column, str)}
    if len(sizes) > 1:
        raise DataError(f"the columns are not equally long: {sorted(sizes)}")
    row_count = sizes.pop() if sizes else 0
    arrays = [_array(name, column, row_count) for name, column in columns.items()]
    return pa.record_batch(arrays, names=list(columns))


def _size(name: str, column: object) -> int:
    try:
        return len(column)  # type: ignore[arg-type]
    except TypeError:
        raise DataError(
            f"column {name!r} is {column!r}, not an array: give a list or an array, also for a single reading"
        ) from None


def _array(name: str, column: object, row_count: int) -> pa.Array:
    try:
        if isinstance(column, str):
            indices = fixed_array(np.zeros(row_count, np.int32))
            return pa.DictionaryArray.from_arrays(indices, text_array([column]))
        if isinstance(column, np.ndarray):
            # Arrow would share the memory, which its owner may fill anew before it is stored.
            column = column.astype("M8[us]") if column.dtype in _COARSE_TIMES else column.copy()
        array = pa.array(column)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as problem:
        raise DataError(f"column {name!r} cannot be read as an Arrow array: {problem}") from problem
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def normalize(
    batch: pa.RecordBatch, names: ColumnNames, local: "LocalTimes | None" = None, takes_nan: bool = False
) -> Rows:
    """Turn one batch into readings; DataError where a column is missing or of a type that cannot be one."""
    reasons = np.zeros(batch.num_rows, np.uint8)
    keys, codes = _series(_column(batch, names.series), names.series, reasons)
    time_column = _column(batch, names.time)
    times = _times(time_column, names.time, reasons)
    values, empty = _values(_column(batch, names.value), names.value, reasons)
    quality = names.quality_in(batch.schema.names)
    if quality is None:
        qualities = np.zeros(batch.num_rows, np.uint8)
    else:
        qualities = _qualities(_column(batch, quality), quality, reasons, names.quality is None)
    if empty is not None and not takes_nan:
        _note(reasons, empty & IS_READING[qualities], _EMPTY)
    readings = Readings(codes, times, values, qualities)
    if local is not None and _is_local(time_column.type):
        return local.settle(keys, readings, reasons)
    return _rows(keys, readings, reasons)


def _rows(keys: pa.StringArray, readings: Readings, reasons: _Reasons) -> Rows:
    """The rows without those that are empty or rejected, which are counted."""
    row_count, left_out = reasons.size, np.flatnonzero(reasons)
    if left_out.size:
        readings = readings.select(reasons == _TAKEN)
    rejected = left_out[reasons[left_out] != _EMPTY]
    return Rows(row_count, keys, readings, rejected, reasons[rejected], left_out.size - rejected.size)


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    indexes = batch.schema.get_all_field_indices(name)
    if len(indexes) == 1:
        return batch.column(indexes[0])
    have = ", ".join(repr(other) for other in batch.schema.names)
    problem = "more than one column" if indexes else "no column"
    raise DataError(f"there is {problem} {name!r}; the table has {have}")


def _decoded(array: pa.Array) -> pa.Array:
    """The array without dictionary or runs, and text in Arrow's plainest form."""
    if pa.types.is_run_end_encoded(array.type):
        import pyarrow.compute as pc

        array = pc.run_end_decode(array)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    return array


def _as(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The array, of a type; casting loads pyarrow.compute even where there is nothing to do."""
    return array if array.type == kind else array.cast(kind)


def _note(reasons: _Reasons, rows: npt.NDArray[np.bool_], reason: int) -> None:
    reasons[rows & (reasons == _TAKEN)] = reason


def _nulls(array: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(array.is_null())


def _filled(array: pa.Array) -> pa.Array:
    """The array with zeros for nulls, which have been noted."""
    return array.fill_null(pa.scalar(0).cast(array.type)) if array.null_count else array


def _series(array: pa.Array, name: str, reasons: _Reasons) -> tuple[pa.StringArray, Int32Array]:
    try:
        if not pa.types.is_dictionary(array.type):
            array = _decoded(array).cast(pa.string()).dictionary_encode()
        keys, indices = _as(array.dictionary, pa.string()), _as(array.indices, pa.int32())
    except pa.ArrowException as problem:
        raise DataError(
            f"column {name!r} is {array.type}, which gives no series keys: {problem}"
        ) from problem
    if indices.null_count or keys.null_count:
        _note(reasons, _nulls(_decoded(array)), _NULL_KEY)
        indices = indices.fill_null(0)
    codes = numbers_of(indices)
    if not _are_texts(keys):
        texts = [_text(raw) for raw in keys.cast(pa.binary()).to_pylist()]
        _note(reasons, np.array([text is None for text in texts], np.bool_)[codes], _NO_TEXT)
        keys = text_array([text or "" for text in texts])
    if _has_bad_key(keys):
        import pyarrow.compute as pc

        for bad, reason in ((pc.equal(keys, ""), _EMPTY_KEY), (pc.match_substring(keys, "\0"), _ZERO_KEY)):
            _note(reasons, np.asarray(bad.fill_null(False))[codes], reason)
    return keys, codes


def _are_texts(keys: pa.StringArray) -> bool:
    """Whether the keys are UTF-8, which Arrow does not look at by itself."""
    try:
        keys.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _text(raw: bytes | None) -> str | None:
    try:
        return "" if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def _has_bad_key(keys: pa.StringArray) -> bool:
    """Whether some key is empty, null, or has a zero byte; read from the buffers, as every batch asks it."""
    _, offsets, data = keys.buffers()
    if len(keys) == 0 or data is None:
        return len(keys) > 0
    ends = np.frombuffer(offsets, np.int32, len(keys) + 1, 4 * keys.offset)
    text = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]
    return bool((ends[1:] == ends[:-1]).any()) or not text.all()


def _times(array: pa.Array, name: str, reasons: _Reasons) -> Int64Array:
    array = _decoded(array)
    if pa.types.is_null(array.type):
        array = array.cast(pa.int64())
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(array.type) else "ms"))
    if array.null_count:
        _note(reasons, _nulls(array), _NULL_TIME)
        array = array.cast(pa.timestamp(array.type.unit) if pa.types.is_timestamp(array.type) else array.type)
    if pa.types.is_integer(array.type):
        integers = numbers_of(_filled(array))
        if integers.dtype == np.uint64:
            _note(reasons, integers > np.iinfo(np.int64).max, _TIME_RANGE)
        return integers.astype(np.int64, copy=False)
    if not pa.types.is_timestamp(array.type):
        raise DataError(
            f"column {name!r} is {array.type}, not a time: give timestamps, or int64 microseconds UTC"
        )
    integers = array.view(pa.int64())
    times = numbers_of(_filled(integers))
    if array.type.unit == "ns":
        _note(reasons, times % 1000 != 0, _FINE_TIME)
        return times // 1000
    scale = _UNITS_US[array.type.unit]
    if scale > 1:
        limit = np.iinfo(np.int64).max // scale
        _note(reasons, (times > limit) | (times < -limit), _TIME_RANGE)
        with np.errstate(over="ignore"):
            times = times * scale
    return times


def _is_local(kind: pa.DataType) -> bool:
    """Whether times of a type are wall times: timestamps without a zone, and dates."""
    while pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        kind = kind.value_type
    return pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)


def _values(
    array: pa.Array, name: str, reasons: _Reasons
) -> tuple[Float64Array, npt.NDArray[np.bool_] | None]:
    """The values, and which rows have none, where there are any; these are NaN."""
    array = _decoded(array)
    values = _numbers(array, name, reasons)
    nulls = _nulls(array) if array.null_count else None
    if nulls is not None:
        values = np.where(nulls, np.nan, values)
    # Asked of the least value first: that takes a third of the time.
    if values.size == 0 or not np.isnan(values.min()):
        return values, None
    return values, np.isnan(values)


def _numbers(array: pa.Array, name: str, reasons: _Reasons) -> Float64Array:
    """The numbers of a column; any for null."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array))
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return _parsed(array, reasons)
    if pa.types.is_integer(array.type):
        integers = numbers_of(_filled(array))
        values = integers.astype(np.float64)
        # Beyond 2^53 some integers fall between two doubles.
        _note(reasons, (integers > 2**53) | (integers < -(2**53)), _INEXACT)
        return values
    if pa.types.is_decimal(array.type):
        # Arrow's own conversion is off by an ulp for some; its texts are exact.
        return _parsed(array.cast(pa.string()), reasons)
    if not (pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise DataError(f"column {name!r} is {array.type}, not a number")
    doubles: Float64Array = numbers_of(_as(_filled(array), pa.float64()))
    return doubles


def _parsed(array: pa.Array, reasons: _Reasons) -> Float64Array:
    """The numbers that texts hold; where some hold none, each distinct text is looked at once."""
    with contextlib.suppress(pa.ArrowInvalid):
        texts = array.fill_null("0") if array.null_count else array
        exact: Float64Array = numbers_of(texts.cast(pa.float64()))
        return exact
    coded = array.dictionary_encode()
    numbers = np.zeros(len(coded.dictionary) + 1)
    bad = np.zeros(len(coded.dictionary) + 1, np.bool_)
    for i, text in enumerate(coded.dictionary.to_pylist()):
        try:
            numbers[i] = float(text.replace("_", "?"))  # Python takes 1_000
        except ValueError:
            bad[i] = True
    indices = numbers_of(coded.indices.fill_null(len(coded.dictionary)))
    _note(reasons, bad[indices], _UNPARSABLE)
    parsed: Float64Array = numbers[indices]
    return parsed


def _qualities(array: pa.Array, name: str, reasons: _Reasons, is_unasked: bool) -> UInt8Array:
    """Quality codes; a null is 0, measured."""
    array = _decoded(array)
    if pa.types.is_null(array.type):
        return np.zeros(len(array), np.uint8)
    if not pa.types.is_integer(array.type):
        advice = "; name the column of codes, or say quality=False where there is none" if is_unasked else ""
        raise DataError(f"column {name!r} is {array.type}, not a quality code from 0 to 255{advice}")
    codes = numbers_of(_filled(array))
    if codes.dtype != np.uint8:
        _note(reasons, (codes < 0) | (codes > 255), _BAD_QUALITY)
        codes = codes.astype(np.uint8)
    return codes


# Beyond these, the calendar's years, no zone says anything.
_WALL_MIN, _WALL_MAX = (int(np.datetime64(year, "us").astype(np.int64)) for year in ("0001", "9999"))


class LocalTimes:
    """Makes instants of the local times of one zone; `_time/wall_clock` has the rules.

    Rows in a repeated hour wait until their series has left it, and then come before the next batch's rows,
    so that it does not matter where batches are cut.
    """

    def __init__(self, tz: str) -> None:
        self._offset_us = parse_offset_us(tz)
        self._resolver = LocalTimeResolver(tz if self._offset_us is None else "UTC")
        self._codes: dict[str, int] = {}  # of keys, the same in every batch
        self._keys = text_array([])
        self._waiting = room_for(0)

    def settle(self, keys: pa.StringArray, readings: Readings, reasons: _Reasons) -> Rows:
        """Return the rows that waited, and the batch's, as far as their instants are settled."""
        _note(reasons, (readings.times < _WALL_MIN) | (readings.times >= _WALL_MAX), _TIME_RANGE)
        places = np.flatnonzero(reasons == _TAKEN)
        readings = readings.select(places)
        known = self._codes
        codes = [known.setdefault(key or "", len(known)) for key in keys.to_pylist()]
        stable = np.array(codes, np.int32)[readings.series]
        readings = Readings(stable, readings.times, readings.values, readings.qualities)
        waited = len(self._waiting)
        settled, status = self._resolved(readings, final=False)
        skipped = np.flatnonzero(status == MISSING) - waited
        reasons[places[skipped]] = _SKIPPED_TIME
        rejected = np.flatnonzero((reasons != _TAKEN) & (reasons != _EMPTY))
        return Rows(
            reasons.size,
            self._dictionary(),
            settled,
            rejected,
            reasons[rejected],
            int(np.count_nonzero(reasons == _EMPTY)),
            int(np.count_nonzero(status == AMBIGUOUS)),
        )

    def finish(self) -> Rows:
        """The rows that still wait; no others come."""
        settled, status = self._resolved(room_for(0), final=True)
        ambiguous = int(np.count_nonzero(status == AMBIGUOUS))
        return Rows(0, self._dictionary(), settled, _NO_ROWS, _NO_REASONS, 0, ambiguous)

    def _resolved(self, readings: Readings, final: bool) -> tuple[Readings, UInt8Array]:
        rows = concatenate([self._waiting, readings])
        instants, status = self._resolver.instants(rows.series, rows.times - (self._offset_us or 0), final)
        self._waiting = rows.select(status == PENDING)
        rows = Readings(rows.series, instants, rows.values, rows.qualities)
        return rows.select((status == OK) | (status == AMBIGUOUS)), status

    def _dictionary(self) -> pa.StringArray:
        if len(self._keys) < len(self._codes):
            self._keys = text_array(list(self._codes))
        return self._keys
