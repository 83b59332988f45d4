"""Kernels as Python sees them, in whatever mode this test run has."""

# mypy: disable-error-code="no-untyped-call, no-untyped-def, no-any-return, arg-type, call-arg"
# An inner function is generic, and a wrong argument is what some tests are about.

import os
import threading

import numpy as np
import pytest

from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array, UInt8Array, UInt64Array
from smartdata_ts.kernels.compiler import jit
from smartdata_ts.kernels.compiler.jit import inner, kernel

LIMITS = np.array([1, 10, 100])
TOO_MUCH = -1


@inner
def _extremes(values):
    low = high = values[0]
    for i in range(1, values.size):
        low = min(low, values[i])
        high = max(high, values[i])
    return low, high


@kernel
def spread(values: Int64Array) -> int:
    """The distance between the extremes."""
    low, high = _extremes(values)
    return high - low


@kernel
def spread_of_floats(values: Float64Array) -> float:
    low, high = _extremes(values)
    return high - low


@kernel
def add(values: Int64Array, amount: int, factor: float, is_wanted: bool, result: Float64Array) -> int:
    if values.size > LIMITS[2]:
        return TOO_MUCH
    for i in range(values.size):
        result[i] = (values[i] + amount) * factor if is_wanted else 0.0
    return values.size


@kernel
def sum_of_blocks(values: Int64Array, block_size: int) -> int:
    total = 0
    for start in range(0, values.size, block_size):
        total += spread(values[start : start + block_size])
    return total


@kernel
def word_count(words: UInt64Array, codes: Int32Array, data: UInt8Array) -> int:
    return words.size + codes.size + data.size


@kernel
def past_the_end(values: Int64Array) -> int:
    return values[values.size]


@kernel
def is_rising(values: Int64Array) -> bool:
    for i in range(1, values.size):  # noqa: SIM110
        if values[i] < values[i - 1]:
            return False
    return True


def test_a_kernel_looks_like_its_function() -> None:
    assert spread.__doc__ == "The distance between the extremes."
    assert spread.__name__ == "spread"
    assert spread.__module__ == __name__


def test_kernels_call_inner_functions_that_are_generic_and_return_tuples() -> None:
    assert spread(np.array([5, -3, 9])) == 12
    assert spread_of_floats(np.array([0.5, -3.25])) == 3.75


def test_kernels_call_kernels_with_views() -> None:
    assert sum_of_blocks(np.array([1, 4, 10, 10, 7]), 2) == 3


def test_scalars_of_numpy_and_python_are_taken() -> None:
    result = np.zeros(2)
    assert add(np.array([1, 2]), np.int32(1), np.float64(0.5), np.bool_(True), result) == 2
    assert result.tolist() == [1.0, 1.5]
    assert add(np.arange(101), 1, 1.0, True, result) == TOO_MUCH


def test_truth_is_returned_as_truth() -> None:
    assert is_rising(np.array([1, 2])) is True
    assert is_rising(np.array([2, 1])) is False


def test_minus_one_is_an_integer_like_any_other() -> None:
    result = np.zeros(1)
    add(np.array([3]), -1, -1.0, True, result)
    assert result[0] == -2.0


def test_empty_arrays_are_taken() -> None:
    assert add(np.empty(0, np.int64), 1, 1.0, True, np.empty(0)) == 0


def test_read_only_arrays_and_derived_ones_are_taken(tmp_path: "os.PathLike[str]") -> None:
    values = np.array([4, 6])
    values.flags.writeable = False
    assert spread(values) == 2
    path = os.path.join(tmp_path, "mapped")  # noqa: PTH118
    values.tofile(path)
    assert spread(np.memmap(path, np.int64, "r")) == 2
    assert spread(np.frombuffer(values.tobytes(), np.int64)) == 2


def test_long_and_long_long_are_the_same_to_a_kernel() -> None:
    assert spread(np.array([1, 3], np.longlong)) == 2
    assert spread(np.array([1, 3], np.dtype("long"))) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        np.arange(4.0),
        np.arange(4, dtype=np.int32),
        np.arange(4, dtype=np.uint64),
        np.arange(4).astype(">i8"),
        np.arange(4).view("M8[us]"),
        np.arange(8)[::2],
        np.arange(4).reshape(2, 2),
        np.array(4),
        np.zeros(17, np.uint8)[1:].view(np.int64),
        [1, 2],
        None,
        b"12345678",
    ],
    ids=repr,
)
def test_what_is_no_such_array_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"spread\(\): values must be a contiguous array of int64"):
        spread(wrong)


def test_a_wrong_argument_in_any_place_is_named() -> None:
    with pytest.raises(TypeError, match=r"word_count\(\): codes must be .* of int32"):
        word_count(np.zeros(1, np.uint64), np.zeros(1), np.zeros(1, np.uint8))


def test_too_few_and_too_many_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"spread\(\) takes 1 argument"):
        spread()
    with pytest.raises(TypeError, match=r"spread\(\) takes 1 argument"):
        spread(np.arange(2), 1)


def test_a_parameter_without_a_type_is_refused_where_it_is_written() -> None:
    def loose(values, amount: int) -> int:
        return amount + values

    with pytest.raises(TypeError, match=r"loose\(\): annotate values"):
        kernel(loose)


def test_an_inner_function_can_be_called_from_python() -> None:
    assert _extremes(np.array([2, 1, 3])) == (1, 3)


def test_a_kernel_within_a_function_works() -> None:
    @kernel
    def doubled(value: int) -> int:
        return 2 * value

    assert doubled(21) == 42


def test_the_mode_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NUMBA_DISABLE_JIT", "SMARTDATA_TS_JIT", "NUMBA_BOUNDSCHECK"):
        monkeypatch.delenv(name, raising=False)
    assert jit.mode() == "machine code"
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    assert jit.mode() == "numba"
    monkeypatch.delenv("NUMBA_BOUNDSCHECK")
    monkeypatch.setenv("SMARTDATA_TS_JIT", "numba")
    assert jit.mode() == "numba"
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert jit.mode() == "python"


@pytest.mark.skipif(os.environ.get("NUMBA_BOUNDSCHECK") != "1", reason="bounds are not checked")
def test_bounds_are_checked_where_that_is_asked_for() -> None:
    with pytest.raises(IndexError):
        past_the_end(np.arange(3))


def test_threads_share_a_kernel_from_its_first_call() -> None:
    @kernel
    def total(values: Int64Array) -> int:
        result = 0
        for i in range(values.size):
            result += values[i]
        return result

    values = np.arange(50)
    results: list[int] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        results.extend(total(values) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results) == {1225}
    assert len(results) == 400
