"""Machine code on disk as Python functions, without Numba.

A shared object of kernels is mapped by the system's loader. Each kernel's symbol is a C function
with CPython's vectorcall-like calling convention (METH_FASTCALL); it checks its arguments, lets go
of the GIL, runs the loop, and returns the status. Here such an address becomes a builtin function.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

METH_FASTCALL = 0x80


class _MethodDefinition(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    )


# CPython keeps pointers into the definitions for as long as the functions live: for ever.
_definitions: list[_MethodDefinition] = []


@cache
def is_supported() -> bool:
    """Tell whether this system loads the objects that `link.py` writes."""
    return (
        sys.platform == "linux"
        and platform.machine() == "x86_64"
        and sys.implementation.name == "cpython"
        and _arrays_are_as_expected()
    )


def _arrays_are_as_expected() -> bool:
    """Look for an array's facts where the compiled entries read them (`compile.py`)."""
    probe = np.arange(3, dtype=np.int64)
    words = (ctypes.c_int64 * 4).from_address(id(probe) + object.__basicsize__)
    size = ctypes.c_int64.from_address(words[2]).value
    return (words[0], words[1] & 0xFFFFFFFF, size) == (probe.ctypes.data, 1, 3)


def load(path: Path, symbol: str) -> Callable[..., Any]:
    """Map the object at `path`; return its function. Raise OSError if the system refuses."""
    library = ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL)
    address = ctypes.cast(library[symbol], ctypes.c_void_p).value
    definition = _MethodDefinition(symbol.encode(), address, METH_FASTCALL, None)
    _definitions.append(definition)
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype = ctypes.py_object
    create.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    # The entry knows an array by its type, which it gets as `self`.
    function: Callable[..., Any] = create(ctypes.addressof(definition), np.ndarray, None)
    return function
