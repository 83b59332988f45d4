"""The identity of a compiled kernel, as one hash.

The key covers all that Numba would read, as this process holds it: the bytecode and constants of
every function that the kernel reaches, in whatever file, the values of the globals that they name,
and the signatures. Nothing on disk can be newer or older than that. The key also covers what
compiles: this machinery's source, the versions of Python, NumPy, Numba, llvmlite and the package,
Numba's settings in the environment, and the CPU.

A global whose value cannot be told apart by its content is refused, so that the key has no holes.
"""

import os
import sys
import types
from _blake2 import blake2b  # hashlib would load OpenSSL: 13 ms, where all of this takes one
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .machine import cpu_facts, maps_shared_objects
from .records import is_record

if TYPE_CHECKING:
    from .kernel import Kernel

_MACHINERY = (
    *("jit.py", "kernel.py", "records.py", "machine.py"),
    *("compile.py", "entry.py", "link.py", "relocations.py", "native.py"),
)
_MODULES_ALLOWED = ("numpy", "math")
_CONSTANTS = (bool, int, float, complex, str, bytes, type(None))


def kernel_key(kernel: "Kernel") -> str:
    """Return the hash of everything that decides about the machine code of `kernel`."""
    return _hash(repr((compiler_facts(), cpu_facts(), _source_facts(kernel))).encode())


def source_key(kernel: "Kernel") -> str:
    """Return the hash of what `kernel` computes, whatever compiles it, for whatever CPU."""
    return _hash(repr(_source_facts(kernel)).encode())


def _source_facts(kernel: "Kernel") -> list[Any]:
    """Return what `kernel` is, and all that it reaches."""
    reached = [kernel]  # grows as its members are looked at
    return [_kernel_facts(function, reached) for function in reached]


def _hash(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _kernel_facts(kernel: "Kernel", reached: "list[Kernel]") -> tuple[Any, ...]:
    """Return what `kernel` is, and add what it calls to `reached`, whose places stand for callees."""
    function = kernel.function
    values: list[tuple[str, Any]] = []
    for name in sorted(_names(function.__code__) & function.__globals__.keys()):
        value = function.__globals__[name]
        if not isinstance(value, type(kernel)):
            place = f"{function.__module__}.{function.__qualname__}: {name}"
            values.append((name, _value_facts(value, place)))
        else:
            if value not in reached:
                reached.append(value)
            values.append((name, ("kernel", reached.index(value))))
    own_name = (function.__module__, function.__qualname__)
    return (own_name, kernel.signature, function.__defaults__, _code_facts(function.__code__), values)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _names(code: types.CodeType) -> set[str]:
    return {name for part in _codes(code) for name in part.co_names}


def _code_facts(code: types.CodeType) -> list[Any]:
    """Return all of `code` but where it stands: moving a function does not change it."""
    return [
        (
            *(part.co_name, part.co_code, part.co_exceptiontable, part.co_flags),
            *(part.co_argcount, part.co_names, part.co_varnames),
            *(part.co_cellvars, part.co_freevars),
            [value for value in part.co_consts if not isinstance(value, types.CodeType)],
        )
        for part in _codes(code)
    ]


def _value_facts(value: Any, place: str) -> Any:
    """Return what tells a global's value from another, of simple and printable types."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return ("array", value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, np.generic):
        return ("scalar", value.dtype.str, value.tobytes())
    if type(value) in _CONSTANTS:
        return value
    if type(value) is tuple:
        return tuple(_value_facts(item, place) for item in value)
    if isinstance(value, types.ModuleType) and value.__name__.split(".")[0] in _MODULES_ALLOWED:
        return ("module", value.__name__)
    if is_record(value):
        return (
            "record",
            value.__name__,
            value._fields,
            [str(kind) for kind in value.__annotations__.values()],
        )
    if isinstance(value, type | types.BuiltinFunctionType | np.ufunc):
        module = getattr(value, "__module__", None) or "builtins"
        if module.split(".")[0] in (*_MODULES_ALLOWED, "builtins"):
            return ("named", module, value.__name__)
    raise TypeError(
        f"{place} is a {type(value).__name__}, which a kernel may not use: "
        "use functions marked @kernel or @inner, numpy, math, and constants"
    )


@cache
def compiler_facts() -> tuple[Any, ...]:
    """Return what turns a kernel into machine code, and everything that it depends on."""
    here = Path(__file__).parent
    package = sys.modules.get(__name__.rsplit(".", 3)[0])  # not kernels, nor this folder in it
    return (
        *(_hash((here / name).read_bytes()) for name in _MACHINERY),
        *(_version_hash(name) for name in ("numba", "llvmlite")),
        *(np.__version__, getattr(package, "__version__", None)),
        *(sys.implementation.cache_tag, sys.hexversion, sys.platform, sys.maxsize, maps_shared_objects()),
        object.__basicsize__,  # without a GIL, objects begin with more
        sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_")),
    )


def _version_hash(package: str) -> str:
    """Return the hash of a package's version file: importing the package would take a second."""
    spec = PathFinder.find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"{package} is not installed")
    return _hash(Path(spec.origin).with_name("_version.py").read_bytes())
