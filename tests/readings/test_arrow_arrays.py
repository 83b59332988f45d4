"""Arrow arrays made by hand are what pyarrow would have made."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from smartdata_ts._readings.arrow import (
    doubles_of,
    fixed_array,
    number_type,
    numbers_of,
    result_room,
    text_array,
)


@pytest.mark.parametrize(
    "texts", [[], ["a"], [None], ["", "å", None, "x" * 70_000, None], [None] * 9 + ["end"]]
)
def test_texts(texts):
    made = text_array(texts)
    made.validate(full=True)
    assert made.equals(pa.array(texts, pa.string()))


def test_room_for_a_result_is_written_to_and_becomes_an_array():
    room = result_room(1000, np.int64)
    room[:] = np.arange(1000)
    made = fixed_array(room[10:])
    del room
    assert made.to_pylist() == list(range(10, 1000))
    assert result_room(0, np.float64).size == 0


@pytest.mark.parametrize(
    "values", [np.arange(5), np.array([], np.float64), np.arange(9, dtype=np.uint8)[::2]]
)
def test_fixed_widths(values):
    made = fixed_array(values)
    made.validate(full=True)
    assert made.equals(pa.array(values))


def test_integers_as_times():
    made = fixed_array(np.arange(3), pa.timestamp("us", "UTC"))
    assert made.equals(pa.array([0, 1, 2], pa.timestamp("us", "UTC")))


def test_no_pandas_is_loaded():
    code = (
        "import sys, numpy as np\n"
        "from smartdata_ts._readings.arrow import fixed_array, numbers_of, text_array\n"
        "fixed_array(np.arange(3)), text_array(['a', None])\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nulls_stand_where_they_were_said_to_be():
    array = fixed_array(np.array([1.0, 2.0, 3.0]), nulls=np.array([False, True, False]))
    array.validate(full=True)
    assert array.to_pylist() == [1.0, None, 3.0]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64(), pa.float64()])
def test_numbers_are_read_from_the_memory_of_an_array_and_of_a_slice(kind):
    array = pa.array([3, 1, 4, 1, 5], kind)
    assert numbers_of(array).tolist() == [3, 1, 4, 1, 5]
    assert numbers_of(array.slice(1, 3)).tolist() == [1, 4, 1]
    assert numbers_of(array.slice(2, 0)).tolist() == []


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.float64()])
def test_doubles_have_nan_for_null_in_an_array_and_in_a_slice(kind):
    array = pa.array([3, None, 4, *range(9), None], kind)
    expected = np.array([3, np.nan, 4, *range(9), np.nan])
    np.testing.assert_array_equal(doubles_of(array), expected)
    np.testing.assert_array_equal(doubles_of(array.slice(1, 5)), expected[1:6])
    np.testing.assert_array_equal(doubles_of(array.slice(12)), expected[12:])
    assert doubles_of(array.slice(2, 0)).tolist() == []
    assert np.isnan(doubles_of(pa.nulls(2, kind))).all()
    sound = pa.array([1, 2], kind)
    doubles_of(sound)[:] = 7  # a copy
    assert sound.to_pylist() == [1, 2]


NUMBERS = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64()),
]


@pytest.mark.parametrize("kind", NUMBERS, ids=str)
def test_numbers_of_every_kind_keep_it(kind):
    array = pa.array(np.arange(3, dtype=number_type(kind)))
    assert array.type == kind
    assert numbers_of(array).dtype == number_type(kind)
    assert numbers_of(array).tolist() == doubles_of(array).tolist() == [0, 1, 2]
