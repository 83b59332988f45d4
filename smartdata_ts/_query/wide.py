"""A long result as a wide table: a row a time, and a column a series."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smartdata_ts._readings.arrow import fixed_array, number_type
from smartdata_ts.errors import UsageError
from smartdata_ts.kernels.arrays import Int64Array

_NO_VALUES = ("series", "time", "end", "quality", "event")


def wide_table(batches: Iterable[pa.RecordBatch], schema: pa.Schema, keys: list[str]) -> pa.Table:
    """The rows of all batches, sorted by time; null where a series has none at a time.

    A column is named by its series' key, and the value's name after it where there are several.
    """
    names = [name for name in schema.names if name not in _NO_VALUES]
    others = [name for name in names if not _is_number(schema.field(name).type)]
    if "series" not in schema.names or not names or others:
        raise UsageError(f"a wide table is made of series with numbers, not of {', '.join(schema.names)}")
    parts = list(batches)
    times = np.unique(np.concatenate([np.empty(0, np.int64), *map(_times, parts)]))
    columns = {"time": fixed_array(times, schema.field("time").type)}
    places = [_places(part, times, len(keys)) for part in parts]
    for name in names:
        cells, known = _filled(parts, places, name, (len(keys), times.size))
        for k, key in enumerate(keys):
            label = key if len(names) == 1 else f"{key} {name}"
            if label in columns:
                raise UsageError(
                    f"two columns of the wide table would be called {label!r}; rename the series"
                )
            columns[label] = fixed_array(cells[k], nulls=~known[k])
    return pa.table(columns)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _times(batch: pa.RecordBatch) -> Int64Array:
    return np.asarray(pc.cast(batch.column("time"), pa.int64()))


def _places(batch: pa.RecordBatch, times: Int64Array, series_count: int) -> Int64Array:
    """The cell of each row; the cells of all series stand one series after the other."""
    positions = np.asarray(batch.column("series").indices).astype(np.int64)
    assert positions.max(initial=0) < max(series_count, 1)
    return positions * times.size + np.searchsorted(times, _times(batch))


def _filled(
    parts: list[pa.RecordBatch], places: list[Int64Array], name: str, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """One value of every cell, and whether it is known."""
    kind = parts[0].column(name).type if parts else pa.float64()
    cells = np.zeros(shape[0] * shape[1], number_type(kind))
    known = np.zeros(cells.size, np.bool_)
    for part, at in zip(parts, places, strict=True):
        column = part.column(name)
        known[at] = np.asarray(pc.is_valid(column))
        cells[at] = np.asarray(pc.fill_null(column, 0) if column.null_count else column)
    return cells.reshape(shape), known.reshape(shape)
