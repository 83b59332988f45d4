"""A kernel as an object: what it is called with, and what it calls once it is bound."""

import threading
import types
from collections.abc import Callable
from typing import Any

from ..arrays import Float64Array, Int32Array, Int64Array, UInt8Array, UInt16Array, UInt32Array, UInt64Array
from .records import Kind, is_record, record_kind

_NUMBA_TYPES = {
    Int64Array: "int64[::1]",
    Int32Array: "int32[::1]",
    UInt64Array: "uint64[::1]",
    UInt32Array: "uint32[::1]",
    UInt16Array: "uint16[::1]",
    UInt8Array: "uint8[::1]",
    Float64Array: "float64[::1]",
    int: "int64",
    float: "float64",
    bool: "boolean",
}

_bind_lock = threading.RLock()


class Kernel:
    """A function that is compiled at its first call; to a caller it is the plain function.

    `bind` gives a kernel what it calls, once in a process.
    """

    def __init__(
        self, function: types.FunctionType, is_entry: bool, bind: "Callable[[Kernel], None]"
    ) -> None:
        self.function = function
        self.is_entry = is_entry
        self.bind = bind
        self.parameters = _parameters(function) if is_entry else ()
        self.signature = "(" + "".join(f"{kind}, " for _, kind in self.parameters) + ")"
        self.symbol = f"kernel.{function.__name__}"
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        self.call: Callable[..., Any] = self._bind_and_call

    def __call__(self, *arguments: Any) -> Any:
        """Run the kernel, bound by now or not."""
        return self.call(*arguments)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.__qualname__}>"

    def _bind_and_call(self, *arguments: Any) -> Any:
        with _bind_lock:
            if self.call == self._bind_and_call:
                self.bind(self)
        return self.call(*arguments)


def _parameters(function: types.FunctionType) -> tuple[tuple[str, Kind], ...]:
    """Return name and kind of each parameter."""
    code = function.__code__
    parameters = []
    for name in code.co_varnames[: code.co_argcount]:
        kind = _kind_of(function.__annotations__.get(name))
        if kind is None:
            raise TypeError(
                f"kernel {function.__qualname__}(): annotate {name} with int, float, bool, an array type of "
                "arrays.py or a NamedTuple of them"
            )
        parameters.append((name, kind))
    return tuple(parameters)


def _kind_of(annotation: object) -> Kind | None:
    return record_kind(annotation, _field_kind_of) if is_record(annotation) else _field_kind_of(annotation)


def _field_kind_of(annotation: object) -> str | None:
    return _NUMBA_TYPES.get(annotation)  # type: ignore[call-overload]
