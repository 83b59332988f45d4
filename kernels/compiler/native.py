"""Machine code on disk as Python functions, without Numba.

A shared object of kernels is mapped by the system's loader; where that takes none of ours, LLVM places a
relocatable object in memory. Each kernel's symbol is a C function
with CPython's vectorcall-like calling convention (METH_FASTCALL); it checks its arguments, lets go
of the GIL, runs the loop, and returns the status. Here such an address becomes a builtin function.
"""

import ctypes
import os
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
_engines: list[Any] = []  # in whose memory the code is

# The names that `entry.py` calls and reads, all of CPython's stable ABI.
PYTHON_NAMES = (
    *("PyBool_FromLong", "PyErr_Occurred", "PyErr_SetString", "PyEval_RestoreThread", "PyEval_SaveThread"),
    *(
        "PyExc_TypeError",
        "PyFloat_AsDouble",
        "PyFloat_FromDouble",
        "PyLong_AsLongLong",
        "PyLong_FromLongLong",
    ),
    *("PyLong_FromUnsignedLongLong", "PyObject_IsTrue", "PyTuple_GetItem", "PyTuple_Size"),
    *("PyType_GetFlags", "PyType_IsSubtype", "Py_BuildValue"),
)


@cache
def is_supported() -> bool:
    """Tell whether compiled kernels can be called here: by a CPython whose arrays are as they expect."""
    return sys.implementation.name == "cpython" and sys.maxsize > 2**32 and _arrays_are_as_expected()


def _arrays_are_as_expected() -> bool:
    """Look for an array's facts where the compiled entries read them (`entry.py`).

    Those that came along were compiled beside another NumPy, perhaps.
    """
    probe, head = np.arange(3, dtype=np.int64), object.__basicsize__
    words = (ctypes.c_int64 * 7).from_address(id(probe) + head)
    data, dimension_count, dimensions, *_, description, flags = words
    size = ctypes.c_int64.from_address(dimensions).value
    number = ctypes.c_int32.from_address(description + head + 12).value
    order = ctypes.c_uint8.from_address(description + head + 10).value
    found = (data, dimension_count & 0xFFFFFFFF, size, number, order, flags & 0x101)
    return found == (probe.ctypes.data, 1, 3, probe.dtype.num, ord("="), 0x101)


def load(path: Path, symbol: str) -> Callable[..., Any]:
    """Map the shared object at `path`; return its function. Raise OSError if the system refuses."""
    address = ctypes.cast(_library(path)[symbol], ctypes.c_void_p).value
    assert address is not None
    return _function(address, symbol)


@cache
def _library(path: Path) -> ctypes.CDLL:
    if sys.platform != "win32":
        return ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL)
    raise OSError(f"{path}: Windows takes no object of this kind")


def load_object(content: bytes, symbol: str) -> Callable[..., Any]:
    """Place a relocatable object in memory, as LLVM's run time does it, where no loader takes ours.

    Raise OSError if it is none for this machine.
    """
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    # Not every system's loader tells where these are: Windows looks in some libraries only.
    for name in PYTHON_NAMES:
        binding.add_symbol(name, ctypes.addressof(ctypes.c_byte.in_dll(ctypes.pythonapi, name)))
    target = binding.Target.from_default_triple()
    module = binding.parse_assembly(f'target triple = "{target.triple}"')
    try:
        # Not one for all objects: a file of kernels may have a name that another has too.
        engine = binding.create_mcjit_compiler(module, target.create_target_machine(jit=True))
        engine.add_object_file(binding.ObjectFileRef.from_data(content))
        engine.finalize_object()
    except RuntimeError as problem:
        raise OSError(f"kernel {symbol}: {problem}") from problem
    _engines.append(engine)
    address = engine.get_function_address(symbol)
    if not address:
        raise OSError(f"kernel {symbol}: is not in its object")
    return _function(address, symbol)


def _function(address: int, symbol: str) -> Callable[..., Any]:
    definition = _MethodDefinition(symbol.encode(), address, METH_FASTCALL, None)
    _definitions.append(definition)
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype = ctypes.py_object
    create.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    # The entry knows an array by its type, which it gets as `self`.
    function: Callable[..., Any] = create(ctypes.addressof(definition), np.ndarray, None)
    return function
