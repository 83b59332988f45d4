"""Other people's tables as columns of readings: what is taken, and what is rejected and why."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from smartdata_ts._arrow_arrays import fixed_array, numbers_of, text_array
from smartdata_ts._readings import Readings
from smartdata_ts.errors import DataError
from smartdata_ts.kernels._jit import Float64Array, Int32Array, Int64Array, UInt8Array

REASONS = (
    "",
    "null series key",
    "empty series key",
    "series key holds a zero byte",
    "null time",
    "time out of range",
    "time finer than a microsecond",
    "null value",
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
    _NULL_TIME,
    _TIME_RANGE,
    _FINE_TIME,
    _NULL_VALUE,
    _UNPARSABLE,
    _INEXACT,
    _BAD_QUALITY,
) = range(len(REASONS))

_UNITS_US = {"s": 1_000_000, "ms": 1_000, "us": 1}
# NumPy's units that Arrow does not know.
_COARSE_TIMES = ("M8[m]", "M8[h]", "M8[W]", "M8[M]", "M8[Y]")

_FEW_ROWS = 64
_NO_ROWS = np.empty(0, np.int64)
_NO_REASONS = np.empty(0, np.uint8)


@dataclass(frozen=True)
class ColumnNames:
    """Which columns of a table hold what; `quality` None means that all readings are measured."""

    series: str = "series"
    time: str = "time"
    value: str = "value"
    quality: str | None = None


@dataclass(frozen=True)
class Rows:
    """One batch, normalised: `readings.series` indexes `keys`; rejected rows have a reason each."""

    row_count: int
    keys: pa.StringArray | list[str]  # a list where they are few
    readings: Readings
    rejected_rows: Int64Array  # row numbers within the batch, from 0
    rejected_reasons: _Reasons  # indexes into REASONS


def read_rows(data: object, names: ColumnNames) -> Iterator[Rows]:
    """The rows of whatever can be read as Arrow, or of a mapping of arrays, batch by batch.

    Raises DataError where `data` is none of these, or a column is missing or of a wrong type.
    """
    if isinstance(data, Mapping):
        plain = _plain_rows(data, names)
        yield normalize(_batch_of_mapping(data, names), names) if plain is None else plain
        return
    for batch in _record_batches(data):
        yield normalize(batch, names)


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
    except (pa.ArrowException, TypeError) as problem:
        raise DataError(f"a {type(data).__name__} that is no table: {problem}") from problem
    raise DataError(
        f"cannot write a {type(data).__name__}: give an Arrow table, a pandas or polars frame, anything "
        "with __arrow_c_stream__, or a mapping of column names to arrays"
    )


def _plain_rows(data: Mapping[str, object], names: ColumnNames) -> Rows | None:
    """Rows of one series, or a few of several, that need no conversion; None where they may need one.

    The detour by Arrow takes 80 us, this takes 8: much, beside a commit's 150.
    """
    key = data.get(names.series)
    times = _plain_column(data.get(names.time), int, np.dtype(np.int64))
    values = _plain_column(data.get(names.value), float, np.dtype(np.float64))
    if names.quality is not None or times is None or values is None or times.size != values.size:
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
    wanted = (names.series, names.time, names.value, names.quality)
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


def normalize(batch: pa.RecordBatch, names: ColumnNames) -> Rows:
    """Turn one batch into readings; DataError where a column is missing or of a type that cannot be one."""
    reasons = np.zeros(batch.num_rows, np.uint8)
    keys, codes = _series(_column(batch, names.series), names.series, reasons)
    times = _times(_column(batch, names.time), names.time, reasons)
    values = _values(_column(batch, names.value), names.value, reasons)
    if names.quality is None:
        qualities = np.zeros(batch.num_rows, np.uint8)
    else:
        qualities = _qualities(_column(batch, names.quality), names.quality, reasons)
    readings = Readings(codes, times, values, qualities)
    rejected = np.flatnonzero(reasons)
    if rejected.size:
        readings = readings.select(reasons == _TAKEN)
    return Rows(batch.num_rows, keys, readings, rejected, reasons[rejected])


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
    if _has_bad_key(keys):
        import pyarrow.compute as pc

        for bad, reason in ((pc.equal(keys, ""), _EMPTY_KEY), (pc.match_substring(keys, "\0"), _ZERO_KEY)):
            _note(reasons, np.asarray(bad.fill_null(False))[codes], reason)
    return keys, codes


def _has_bad_key(keys: pa.StringArray) -> bool:
    """Whether some key is empty, null, or has a zero byte; told from the buffers, as every batch asks it."""
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


def _values(array: pa.Array, name: str, reasons: _Reasons) -> Float64Array:
    array = _decoded(array)
    if array.null_count:
        _note(reasons, _nulls(array), _NULL_VALUE)
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


def _qualities(array: pa.Array, name: str, reasons: _Reasons) -> UInt8Array:
    """Quality codes; a null is 0, measured."""
    array = _decoded(array)
    if pa.types.is_null(array.type):
        return np.zeros(len(array), np.uint8)
    if not pa.types.is_integer(array.type):
        raise DataError(f"column {name!r} is {array.type}, not a quality code from 0 to 255")
    codes = numbers_of(_filled(array))
    if codes.dtype != np.uint8:
        _note(reasons, (codes < 0) | (codes > 255), _BAD_QUALITY)
        codes = codes.astype(np.uint8)
    return codes
