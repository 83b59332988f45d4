"""The one place that knows how kernels are compiled and called.

`@kernel` marks a function that Python enters: at most eight annotated parameters, each a contiguous
array, a scalar, or a record of them (`records.py`); it returns a count or a status as an int, or a float.
`@inner` marks a function that only kernels call: it may be generic over types and may return tuples.

Importing a kernel module compiles nothing. A kernel's first call in a process binds it to one of:

    machine code    from the cache on disk, compiled and kept there if it is not there yet
    numba           SMARTDATA_TS_JIT=numba, NUMBA_BOUNDSCHECK=1, or where the above cannot be had
    python          NUMBA_DISABLE_JIT=1

Only compiling imports numba. docs/kernels.md tells the whole scheme.
"""

import os
import types
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import numpy as np

from .kernel import Kernel
from .records import RecordKind

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Mark a kernel that Python enters; its annotations are its signature."""
    return cast(Function, Kernel(cast(types.FunctionType, function), is_entry=True, bind=_bind))


def inner(function: Function) -> Function:
    """Mark a function that only kernels call."""
    return cast(Function, Kernel(cast(types.FunctionType, function), is_entry=False, bind=_bind))


def mode() -> str:
    """Return how kernels run in this process: "machine code", "numba" or "python"."""
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        return "python"
    if os.environ.get("SMARTDATA_TS_JIT") == "numba" or os.environ.get("NUMBA_BOUNDSCHECK") == "1":
        return "numba"
    return "machine code"


def _bind(entry: Kernel) -> None:
    """Give `entry` what it calls."""
    chosen = mode()
    if chosen == "python":
        entry.call = _in_python(entry)
    elif chosen == "numba" or not entry.is_entry:
        entry.call = _in_numba(entry)
    else:
        from .binding import machine_code

        bound = machine_code(entry)
        entry.call = bound.function if bound else _in_numba(entry)


def _in_python(kernel: Kernel) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        _check(kernel, arguments)
        with np.errstate(all="ignore"):  # machine integers wrap and divide without a word
            return kernel.function(*arguments)

    return call


@cache
def _dispatchers(boundscheck: bool) -> Any:
    from .compile import Dispatchers

    return Dispatchers(boundscheck=boundscheck)


def _in_numba(kernel: Kernel) -> Callable[..., Any]:
    dispatcher = _dispatchers(os.environ.get("NUMBA_BOUNDSCHECK") == "1").of(kernel)

    def call(*arguments: Any) -> Any:
        _check(kernel, arguments)
        return dispatcher(*map(_plain, arguments))

    return call


def _check(kernel: Kernel, arguments: tuple[Any, ...]) -> None:
    """Raise the TypeErrors that machine code raises."""
    if not kernel.is_entry:
        return
    if len(arguments) != len(kernel.parameters):
        raise TypeError(f"{kernel.__name__}() takes {len(kernel.parameters)} arguments")
    for argument, (name, kind) in zip(arguments, kernel.parameters, strict=True):
        if isinstance(kind, RecordKind):
            if not isinstance(argument, tuple) or len(argument) != len(kind.fields):
                raise TypeError(f"{kernel.__name__}(): {name} must be a record {kind.type.__name__}")
            for item, (field, field_kind) in zip(argument, kind.fields, strict=True):
                _check_array(kernel, item, f"{name}.{field}", field_kind)
        else:
            _check_array(kernel, argument, name, kind)


def _check_array(kernel: Kernel, argument: Any, name: str, kind: str) -> None:
    item = kind.removesuffix("[::1]")
    if kind != item and not _is_array_of(item, argument):
        raise TypeError(f"{kernel.__name__}(): {name} must be a contiguous array of {item}")


def _is_array_of(item: str, argument: Any) -> bool:
    return (
        isinstance(argument, np.ndarray)
        and argument.ndim == 1
        and argument.dtype == item
        and argument.flags.c_contiguous
        and argument.flags.aligned
    )


class _Alias:
    def __init__(self, interface: dict[str, Any]) -> None:
        self.__array_interface__ = interface


def _plain(argument: Any) -> Any:
    """Return an argument, or a record of them, as the types for which Numba has compiled the kernel."""
    if isinstance(argument, tuple):
        return argument._make(map(_plain_field, argument))  # type: ignore[attr-defined]
    return _writable(argument)


def _plain_field(item: Any) -> Any:
    """Numba converts a scalar of NumPy's, but not within a record."""
    return item.item() if isinstance(item, np.generic) else _writable(item)


def _writable(argument: Any) -> Any:
    """Hide that a mapped file's array is read-only, which Numba takes for another type.

    Kernels never write their inputs.
    """
    if isinstance(argument, np.ndarray) and not argument.flags.writeable:
        interface = dict(argument.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        return np.asarray(_Alias(interface))
    return argument
