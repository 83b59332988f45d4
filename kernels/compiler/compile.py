"""From kernels to machine code, through Numba.

Two ways lead from here: `Dispatchers` compiles in this process, as plain Numba does, and
`compile_object` writes a relocatable object with a C function through which Python enters a kernel.
Both compile the same functions with the same options. Only here and in `entry.py` is Numba known.

Written against Numba's own compiler of static modules (numba/pycc, until 0.68), whose ways into
Numba it uses: a code generator that runs nothing, and `no_compile`.
"""

# mypy: disable-error-code="no-untyped-call, misc, assignment, attr-defined"
# Numba is not typed.

import ctypes
import sys
import types as python_types
from collections.abc import Iterator
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from llvmlite.binding import Linkage
from numba.core import compiler
from numba.core.codegen import CPUCodegen, CPUCodeLibrary, JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher, CPUTarget, cpu_target

from .entry import CompileError, emit_entry, numba_type
from .key import kernel_key
from .machine import maps_shared_objects

if TYPE_CHECKING:
    from .kernel import Kernel

HOST = "host"  # this very CPU
_OPTIONS = {"nopython": True, "nogil": True, "error_model": "numpy"}

# Bytes of bytecode. LLVM decides about larger functions: inlining those by force too made block
# decoding no faster (510 and 524 us), and its compilation took twice as long.
_INLINED_SIZE_MAX = 300


class Dispatchers:
    """Numba's dispatchers of kernels, each bound to the dispatchers of those that it calls."""

    def __init__(self, dispatcher_type: Any = CPUDispatcher, **options: Any) -> None:
        self.dispatcher_type = dispatcher_type
        self.options = _OPTIONS | options
        self._of_key: dict[str, Any] = {}

    def of(self, kernel: "Kernel") -> Any:
        """Return the dispatcher of `kernel`; an entry's is compiled, an inner's is generic."""
        key = kernel_key(kernel)  # not the kernel itself: a global that it names may have changed
        if key not in self._of_key:
            function = _copied(kernel.function)
            is_small = len(function.__code__.co_code) < _INLINED_SIZE_MAX
            options = self.options | {"forceinline": is_small and not kernel.is_entry}
            self._of_key[key] = self.dispatcher_type(function, targetoptions=options)
            self._bind(function, kernel)
            if kernel.is_entry:
                self._of_key[key].compile(_types_of(kernel))
                self._of_key[key].disable_compile()
        return self._of_key[key]

    def bound(self, kernel: "Kernel") -> python_types.FunctionType:
        """Return the plain function of `kernel`, bound to dispatchers."""
        function = _copied(kernel.function)
        self._bind(function, kernel)
        return function

    def _bind(self, function: python_types.FunctionType, kernel: "Kernel") -> None:
        for name, value in kernel.function.__globals__.items():
            if isinstance(value, type(kernel)) and name in _names(function.__code__):
                function.__globals__[name] = self.of(value)


def _copied(function: python_types.FunctionType) -> python_types.FunctionType:
    copy = python_types.FunctionType(
        function.__code__, dict(function.__globals__), function.__name__, function.__defaults__
    )
    copy.__module__ = function.__module__
    return copy


def _names(code: python_types.CodeType) -> set[str]:
    nested = (part for part in code.co_consts if isinstance(part, python_types.CodeType))
    return set(code.co_names).union(*map(_names, nested))


class _Codegen(CPUCodegen):
    """Numba's code generator for a CPU, for code that may stand at any address.

    Where LLVM will place the code in memory, it is as Numba emits it for that.
    """

    def __init__(self, cpu: str) -> None:
        self.cpu = cpu
        super().__init__("smartdata_ts")

    def _customize_tm_options(self, options: dict[str, Any]) -> None:
        if self.cpu != HOST:
            options.update(cpu=self.cpu, features=self._tm_features, reloc="pic", codemodel="default")
        elif maps_shared_objects():
            options.update(
                cpu=self._get_host_cpu_name(),
                features=self._tm_features,
                reloc="pic",
                codemodel="default",
            )
        else:
            JITCPUCodegen._customize_tm_options(self, options)

    def _customize_tm_features(self) -> str:
        features: str = self._get_host_cpu_features() if self.cpu == HOST else ""
        return features

    def _add_module(self, module: Any) -> None:
        """Do nothing: the code is not for this process."""


class _Library(CPUCodeLibrary):
    """The code of one function, or, where there are `exports`, of a whole object.

    Only an object is optimised, once. Numba optimises and emits every function on its own, and again
    in each of its callers: that takes twice the time.
    """

    exports: frozenset[str] = frozenset()

    def finalize(self) -> None:
        if self.exports:
            # LLVM takes a shared definition only if it is wanted already: callers first.
            self._linking_libraries = sorted(self._reached(), key=lambda part: not isinstance(part, _Library))
            super().finalize()
        self._finalized = True

    def _reached(self) -> Iterator[Any]:
        """Yield the libraries of all functions that this one calls, and those that they call."""
        seen: set[Any] = set()
        waiting = list(self._linking_libraries)
        while waiting:
            library = waiting.pop()
            if library not in seen:
                seen.add(library)
                yield library
                waiting += library._linking_libraries

    def _get_module_for_linking(self) -> Any:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.external:
                function.linkage = "weak_odr"
        return self._final_module

    def _optimize_final_module(self) -> None:
        # A function that nobody outside can call may be inlined and left out.
        module = self._final_module
        for value in (*module.functions, *module.global_variables):
            if not value.is_declaration and value.name not in self.exports:
                value.linkage = "internal"
        super()._optimize_final_module()

    def _finalize_specific(self) -> None:
        """Do nothing: the code is not for this process."""

    def emit_object(self) -> bytes:
        """Return the relocatable object."""
        return bytes(self._codegen._tm.emit_object(self._final_module))

    def undefined(self) -> list[str]:
        """Return the names of the outside functions that the code calls."""
        functions = (f.name for f in self._final_module.functions if f.is_declaration)
        return [name for name in functions if not name.startswith("llvm.")]


class _Target(CPUTarget):
    """Numba's CPU target, but what it compiles goes into objects and is never run here."""

    def __init__(self, cpu: str) -> None:
        self.cpu = cpu
        super().__init__("cpu")

    @cached_property
    def _toplevel_target_context(self) -> Any:
        _Codegen._library_class = _Library
        return cpu_target.target_context.subtarget(
            _internal_codegen=_Codegen(self.cpu), get_executable=_not_executable
        )

    @property
    def typing_context(self) -> Any:
        return cpu_target.typing_context


def _not_executable(*_: Any) -> Any:
    """Return a builtin function unlike any other: Numba files what it compiled under one."""
    return object().__sizeof__


@cache
def _dispatchers(cpu: str) -> Dispatchers:
    """Return the dispatchers for objects: what several kernels call is translated once."""
    dispatcher = type("_Dispatcher", (CPUDispatcher,), {"targetdescr": _Target(cpu)})
    return Dispatchers(dispatcher, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def compile_object(kernel: "Kernel", cpu: str = HOST, symbol: str | None = None) -> bytes:
    """Return a relocatable object with the C function of `kernel`, named as its symbol says.

    It is for this very CPU, or for each that has what a `cpu` of LLVM's names has, such as "x86-64-v3".
    """
    with global_compiler_lock:
        dispatchers = _dispatchers(cpu)
        context = dispatchers.dispatcher_type.targetdescr.target_context
        cpu_target.typing_context.refresh()
        context.refresh()
        library = context.codegen().create_library(kernel.__name__)
        library.exports = frozenset({symbol or kernel.symbol})
        library.add_ir_module(_reference_counting(library))
        result = _lowered(context, library, kernel, dispatchers)
        module = library.create_ir_module(kernel.symbol)
        emit_entry(context, module, kernel, result, symbol or kernel.symbol)
        library.add_ir_module(module)
        library.finalize()
        _check_outside(library)
        content: bytes = library.emit_object()
        return content


def _lowered(context: Any, library: _Library, kernel: "Kernel", dispatchers: Dispatchers) -> Any:
    """Translate `kernel` into `library`, unoptimised; return what Numba knows of it."""
    flags = compiler.Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.nrt = True
    flags.release_gil = True
    flags.error_model = _OPTIONS["error_model"]
    function = dispatchers.bound(kernel)
    return compiler.compile_extra(
        *(cpu_target.typing_context, context, function, _types_of(kernel), None, flags),
        locals={},
        library=library,
    )


def _types_of(kernel: "Kernel") -> tuple[Any, ...]:
    return tuple(numba_type(kind) for _, kind in kernel.parameters)


def _reference_counting(library: _Library) -> ir.Module:
    """Return a module where counting references does nothing.

    Numba counts the references to an array's memory even where a view is taken in a loop. No array
    of a kernel has memory of its own: the caller allocates.
    """
    module = library.create_ir_module("reference_counting")
    for name in ("NRT_incref", "NRT_decref"):
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()]), name)
        ir.IRBuilder(function.append_basic_block()).ret_void()
    return module


def _check_outside(library: _Library) -> None:
    libraries = (
        [ctypes.CDLL("ucrtbase"), ctypes.pythonapi] if sys.platform == "win32" else [ctypes.CDLL(None)]
    )
    for name in library.undefined():
        is_there = any(hasattr(outside, name) for outside in libraries)
        if name.startswith(("NRT_", "numba_")) or not is_there:
            raise CompileError(f"{library.name} needs {name}, which is not there without Numba")
