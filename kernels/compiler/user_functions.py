"""Functions of users, compiled: a number for the values of each bucket, or for its values and their times.

Bucket b's rows stand at bounds[b] to bounds[b + 1]. Compiled functions live as long as the process: those of
users are not ours to keep on disk.
"""

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ..arrays import Float64Array, Int64Array
from .jit import mode

# Fills results[b] for every bucket that has a row.
Loop = Callable[[Int64Array, Int64Array, Float64Array, Float64Array], None]


@lru_cache(maxsize=256)
def loop_over_buckets(function: Callable[..., Any]) -> Loop:
    """A loop that calls a function for each bucket; raises TypeError where it cannot be compiled to one.

    It takes a bucket's values (float64, read-only), or its values and its times (int64 us UTC), and returns
    a number.
    """
    takes_times = _parameter_count(function) == 2
    if mode() == "python":
        return _in_python(function, takes_times)
    import numba

    # NumPy's own, and what is compiled already, the compiler takes as they are.
    is_known = hasattr(function, "py_func") or str(function.__module__).startswith("numpy")
    inner = function if is_known else numba.njit(nogil=True)(function)
    times = numba.types.Array(numba.int64, 1, "C", readonly=True)
    values = numba.types.Array(numba.float64, 1, "C", readonly=True)
    signature = numba.void(numba.int64[::1], times, values, numba.float64[::1])
    body = _with_times(inner) if takes_times else _without_times(inner)
    try:
        compiled: Loop = numba.njit(signature, nogil=True)(body)
    except numba.core.errors.NumbaError as problem:
        raise TypeError(_first_words(str(problem))) from problem
    return compiled


def _parameter_count(function: Callable[..., Any]) -> int:
    parameters = inspect.signature(getattr(function, "py_func", function)).parameters.values()
    count = sum(parameter.default is parameter.empty for parameter in parameters)
    if count not in (1, 2):
        raise TypeError(f"it takes {count} parameters; (values) or (values, times) are given")
    return count


def _without_times(function: Any) -> Callable[..., None]:
    def loop(bounds, times, values, results):  # noqa: ARG001, the same face for both
        for b in range(bounds.size - 1):
            if bounds[b] < bounds[b + 1]:
                results[b] = function(values[bounds[b] : bounds[b + 1]])

    return loop


def _with_times(function: Any) -> Callable[..., None]:
    def loop(bounds, times, values, results):
        for b in range(bounds.size - 1):
            if bounds[b] < bounds[b + 1]:
                results[b] = function(values[bounds[b] : bounds[b + 1]], times[bounds[b] : bounds[b + 1]])

    return loop


def _in_python(function: Callable[..., Any], takes_times: bool) -> Loop:
    return _with_times(function) if takes_times else _without_times(function)


def _first_words(problem: str) -> str:
    """The compiler's first sentence, before it shows its own inside."""
    lines = [line.strip() for line in problem.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Failed in", "-", "File", "During", "<"))]
    return told[0].removesuffix(" found for signature:") if told else problem
