"""Records as kernels take them, in whatever mode this test run has."""

# mypy: disable-error-code="no-untyped-call, no-untyped-def, no-any-return, arg-type, call-arg"

from typing import NamedTuple

import numpy as np
import pytest

from smartdata_ts.kernels.arrays import Float64Array, Int64Array, UInt8Array
from smartdata_ts.kernels.compiler.jit import inner, kernel


class Rows(NamedTuple):
    times: Int64Array
    values: Float64Array
    qualities: UInt8Array
    scale: float
    first: int
    is_wanted: bool


class Pair(NamedTuple):
    low: Int64Array
    high: Int64Array


class Extremes(NamedTuple):
    low: int
    high: int


@inner
def _extremes(values):
    low = high = values[0]
    for i in range(1, values.size):
        low = min(low, values[i])
        high = max(high, values[i])
    return Extremes(low, high)


@inner
def _sum_from(rows, first):
    total = 0.0
    for i in range(first, rows.values.size):
        total += rows.values[i] * rows.scale + rows.times[i] + rows.qualities[i]
    return total


@kernel
def weigh(rows: Rows, weight: float, result: Float64Array) -> int:
    if not rows.is_wanted:
        return -1
    result[0] = weight * _sum_from(rows, rows.first)
    rows.values[0] = 99.0
    return rows.times.size


@kernel
def widest(pair: Pair) -> int:
    low, high = _extremes(pair.low), _extremes(pair.high)
    return high.high - low.low


def rows_of(**changed: object) -> Rows:
    fields = {
        "times": np.array([1, 2, 3]),
        "values": np.array([0.5, 1.5, 2.5]),
        "qualities": np.array([0, 1, 2], np.uint8),
        "scale": 2.0,
        "first": 1,
        "is_wanted": True,
    }
    return Rows(**(fields | changed))


def test_a_record_is_read_by_its_names_and_its_arrays_are_filled() -> None:
    rows, result = rows_of(), np.zeros(1)
    assert weigh(rows, 10.0, result) == 3
    assert result[0] == 10.0 * ((1.5 * 2 + 2 + 1) + (2.5 * 2 + 3 + 2))
    assert rows.values[0] == 99.0


def test_a_record_of_fields_of_one_kind_and_records_within_kernels() -> None:
    assert widest(Pair(np.array([4, -2, 3]), np.array([1, 9]))) == 11


def test_scalars_of_numpy_are_taken_as_fields() -> None:
    result = np.zeros(1)
    rows = rows_of(scale=np.float64(2.0), first=np.int32(2), is_wanted=np.bool_(True))
    assert weigh(rows, 1.0, result) == 3
    assert result[0] == 2.5 * 2 + 3 + 2
    assert weigh(rows_of(is_wanted=False), 1.0, result) == -1


def test_read_only_arrays_are_taken_as_fields() -> None:
    low, high = np.array([1, 2]), np.array([5, 3])
    low.flags.writeable = high.flags.writeable = False
    assert widest(Pair(low, high)) == 4


@pytest.mark.parametrize(
    ("field", "wrong", "item"),
    [
        ("times", np.arange(3.0), "int64"),
        ("times", np.arange(6)[::2], "int64"),
        ("times", [1, 2, 3], "int64"),
        ("values", np.arange(3, dtype=np.float32), "float64"),
        ("qualities", None, "uint8"),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(field: str, wrong: object, item: str) -> None:
    with pytest.raises(TypeError, match=rf"weigh\(\): rows\.{field} must be a contiguous array of {item}"):
        weigh(rows_of(**{field: wrong}), 1.0, np.zeros(1))


@pytest.mark.parametrize("wrong", [None, 3, np.zeros(6), [1, 2], (1, 2), tuple(rows_of())[:5]], ids=repr)
def test_what_is_no_record_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"weigh\(\): rows must be a record Rows"):
        weigh(wrong, 1.0, np.zeros(1))


def test_a_field_without_a_type_is_refused_where_the_kernel_is_written() -> None:
    class Loose(NamedTuple):
        times: Int64Array
        name: str

    def takes(loose: Loose) -> int:
        return loose.times.size

    with pytest.raises(TypeError, match=r"record Loose: annotate name with"):
        kernel(takes)
