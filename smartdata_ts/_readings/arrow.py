"""Arrow arrays made and read without pandas.

Given anything, `pyarrow.array` loads pandas where it is installed, to see whether it was given one of
pandas' objects, and so does turning an array into one of NumPy's: 0.4 s for a process that only wanted
one meter's year.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def fixed_array(
    values: np.ndarray[Any, Any],
    kind: pa.DataType | None = None,
    nulls: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
) -> pa.Array:
    """An array over the memory of `values`, which must not change any more.

    `kind` is a type of the same width, by default that of the values; `nulls` says which are null.
    """
    kind = pa.from_numpy_dtype(values.dtype) if kind is None else kind
    assert kind.bit_width == 8 * values.dtype.itemsize, f"{values.dtype} as {kind}"
    validity = None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    buffers = [validity, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(kind, values.size, buffers)


def result_room(count: int, dtype: np.typing.DTypeLike) -> np.ndarray[Any, Any]:
    """Uninitialised room for part of a result, of Arrow's own memory pool.

    The pool uses the memory of results that are gone again, which the system need not clear once more:
    a fifth of the time of a question with millions of rows.
    """
    return np.frombuffer(pa.allocate_buffer(count * np.dtype(dtype).itemsize), dtype, count)


def text_array(texts: Sequence[str | None]) -> pa.StringArray:
    """An array of texts; None is null."""
    encoded = [b"" if text is None else text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, encoded), np.int32, len(encoded)), out=offsets[1:])
    present = np.fromiter((text is not None for text in texts), np.bool_, len(encoded))
    validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.StringArray.from_buffers(
        len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)), validity
    )


def number_type(kind: pa.DataType) -> np.dtype[Any]:
    """The NumPy type of Arrow's integers or floats; pyarrow's own answer needs pandas in some releases."""
    letter = "f" if pa.types.is_floating(kind) else "u" if pa.types.is_unsigned_integer(kind) else "i"
    return np.dtype(f"{letter}{kind.bit_width // 8}")


def doubles_of(array: pa.Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The numbers of an array of integers or doubles as doubles, null being NaN; shape (array's length,)."""
    dtype = number_type(array.type)
    validity, data = array.buffers()
    if data is None or len(array) == 0:
        return np.full(len(array), np.nan)
    numbers = np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize).astype(np.float64)
    if array.null_count:
        bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
        numbers[bits[array.offset : array.offset + len(array)] == 0] = np.nan
    return numbers


def numbers_of(array: pa.Array) -> np.ndarray[Any, Any]:
    """The numbers of an array of integers or floats without nulls, over its memory."""
    assert array.null_count == 0, "nulls have no number"
    dtype = number_type(array.type)
    _, data = array.buffers()
    if data is None or len(array) == 0:
        return np.empty(0, dtype)
    return np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)
