"""The C function through which Python enters a kernel, written as LLVM's code.

It has the calling convention METH_FASTCALL: it checks and unpacks its arguments, lets go of the
GIL, runs the kernel and boxes what that returns. `self` is NumPy's array type.

An array's address and size are read where every C extension reads them, in the fields of
PyArrayObject and PyArray_Descr, which NumPy keeps in place (NumPy's C-API, "Python types and
C-structures"). The six arrays of a kernel cost 0.2 us so, and 5 us through Numba's dispatcher. An
array that is not one-dimensional, contiguous, aligned, in the machine's byte order and of the very
type is a TypeError; a read-only one is welcome, for kernels do not write their inputs. A record's fields
are fetched by CPython's own functions, and each is checked as an argument is.
"""

# mypy: disable-error-code="no-untyped-call, misc, assignment, attr-defined"
# Numba is not typed.

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types

from .records import Kind, RecordKind

if TYPE_CHECKING:
    from .kernel import Kernel

_HEAD_SIZE = object.__basicsize__
_DATA, _DIMENSION_COUNT, _DIMENSIONS = _HEAD_SIZE, _HEAD_SIZE + 8, _HEAD_SIZE + 16
_TYPE_DESCRIPTION, _ARRAY_FLAGS = _HEAD_SIZE + 40, _HEAD_SIZE + 48
_BYTE_ORDER, _TYPE_NUMBER = _HEAD_SIZE + 10, _HEAD_SIZE + 12
_CONTIGUOUS_AND_ALIGNED = 0x0001 | 0x0100
_TUPLE_SUBCLASS = 1 << 26  # Py_TPFLAGS_TUPLE_SUBCLASS
_FOREIGN_BYTE_ORDER = ord(">" if sys.byteorder == "little" else "<")

_BYTE, _INT, _LONG = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_DOUBLE = ir.DoubleType()
_POINTER = _BYTE.as_pointer()
_ENTRY_TYPE = ir.FunctionType(_POINTER, [_POINTER, _POINTER.as_pointer(), _LONG])


class CompileError(Exception):
    """A kernel that works in this process, but cannot stand alone in an object."""


def emit_entry(context: Any, module: ir.Module, kernel: "Kernel", result: Any, symbol: str) -> None:
    """Write the C function of `kernel` into `module`; `result` is Numba's account of the kernel."""
    _Entry(context, module, kernel, result, symbol).emit()


def numba_type(kind: Kind) -> Any:
    """Return Numba's type for a record, or for the name of one, such as `int64` or `int64[::1]`."""
    if isinstance(kind, RecordKind):
        return types.BaseTuple.from_types([numba_type(own) for _, own in kind.fields], kind.type)
    if kind.endswith("[::1]"):
        return types.Array(getattr(types, kind.removesuffix("[::1]")), 1, "C")
    return getattr(types, kind)


class _Entry:
    """The C function through which Python enters one kernel.

    It is `PyObject *entry(PyObject *ndarray_type, PyObject *const *arguments, Py_ssize_t count)`.
    """

    def __init__(self, context: Any, module: ir.Module, kernel: "Kernel", result: Any, symbol: str) -> None:
        self.context = context
        self.module = module
        self.kernel = kernel
        self.description = result.fndesc
        function = ir.Function(module, _ENTRY_TYPE, symbol)
        self.array_type, self.arguments, self.count = function.args
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))

    def emit(self) -> None:
        parameters = self.kernel.parameters
        message = f"{self.kernel.__name__}() takes {len(parameters)} arguments"
        self._require(self.builder.icmp_signed("==", self.count, _LONG(len(parameters))), message)
        values = [self._argument(k, *parameter) for k, parameter in enumerate(parameters)]
        status, result = self._call_without_gil(values)
        self._require(status.is_ok, f"{self.kernel.__name__}() raised, which no kernel may")
        self.builder.ret(self._boxed(result))

    def _python(self, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
        """Call a function of CPython's C-API."""
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        return self.builder.call(cgutils.get_or_insert_function(self.module, kind, name), arguments)

    def _require(self, condition: ir.Value, message: str) -> None:
        with self.builder.if_then(self.builder.not_(condition), likely=False):
            error = self.module.globals.get("PyExc_TypeError") or ir.GlobalVariable(
                self.module, _POINTER, "PyExc_TypeError"
            )
            text = self.context.insert_const_string(self.module, message)
            self._python("PyErr_SetString", ir.VoidType(), self.builder.load(error), text)
            self.builder.ret(_POINTER(None))

    def _read(self, base: ir.Value, offset: int, kind: ir.Type) -> ir.Value:
        """Read the field of a C structure."""
        address = self.builder.gep(base, [_LONG(offset)])
        return self.builder.load(self.builder.bitcast(address, kind.as_pointer()))

    def _argument(self, index: int, name: str, kind: Kind) -> ir.Value:
        argument = self.builder.load(self.builder.gep(self.arguments, [_LONG(index)]))
        if isinstance(kind, RecordKind):
            return self._record(argument, name, kind)
        return self._scalar_or_array(argument, name, kind)

    def _record(self, record: ir.Value, name: str, kind: RecordKind) -> ir.Value:
        """Unpack a tuple of as many items as the record has fields, whatever its class."""
        builder, size = self.builder, len(kind.fields)
        message = f"{self.kernel.__name__}(): {name} must be a record {kind.type.__name__}"
        flags = self._python("PyType_GetFlags", _LONG, self._read(record, _HEAD_SIZE - 8, _POINTER))
        is_tuple = builder.icmp_signed("!=", builder.and_(flags, _LONG(_TUPLE_SUBCLASS)), _LONG(0))
        self._require(is_tuple, message)
        item_count = self._python("PyTuple_Size", _LONG, record)
        self._require(builder.icmp_signed("==", item_count, _LONG(size)), message)
        values = []
        for k, (field, own) in enumerate(kind.fields):
            item = self._python("PyTuple_GetItem", _POINTER, record, _LONG(k))
            values.append(self._scalar_or_array(item, f"{name}.{field}", own))
        return self.context.make_tuple(builder, numba_type(kind), values)

    def _scalar_or_array(self, argument: ir.Value, name: str, kind: str) -> ir.Value:
        if kind.endswith("[::1]"):
            return self._array(argument, name, kind)
        if kind == "boolean":
            answer = self._python("PyObject_IsTrue", _INT, argument)
            self._return_error_if(self.builder.icmp_signed("<", answer, _INT(0)))
            return self.builder.icmp_signed("!=", answer, _INT(0))
        if kind == "int64":
            value = self._python("PyLong_AsLongLong", _LONG, argument)
            is_suspect = self.builder.icmp_signed("==", value, _LONG(-1))
        else:
            value = self._python("PyFloat_AsDouble", _DOUBLE, argument)
            is_suspect = self.builder.fcmp_ordered("==", value, _DOUBLE(-1.0))
        with self.builder.if_then(is_suspect, likely=False):
            error = self._python("PyErr_Occurred", _POINTER)
            self._return_error_if(self.builder.icmp_unsigned("!=", error, _POINTER(None)))
        return value

    def _return_error_if(self, condition: ir.Value) -> None:
        with self.builder.if_then(condition, likely=False):
            self.builder.ret(_POINTER(None))

    def _array(self, argument: ir.Value, name: str, kind: str) -> ir.Value:
        """Check an array and describe it as Numba does; it may be read-only, as mapped files are."""
        item = kind.removesuffix("[::1]")
        message = f"{self.kernel.__name__}(): {name} must be a contiguous array of {item}"
        builder = self.builder
        self._require(self._is_array(argument), message)
        dimension_count = self._read(argument, _DIMENSION_COUNT, _INT)
        self._require(builder.icmp_signed("==", dimension_count, _INT(1)), message)
        flags = builder.and_(self._read(argument, _ARRAY_FLAGS, _INT), _INT(_CONTIGUOUS_AND_ALIGNED))
        self._require(builder.icmp_signed("==", flags, _INT(_CONTIGUOUS_AND_ALIGNED)), message)
        self._require(self._is_of_type(argument, np.dtype(item)), message)
        array_type = numba_type(kind)
        array = self.context.make_array(array_type)(self.context, builder)
        size = self._read(self._read(argument, _DIMENSIONS, _POINTER), 0, _LONG)
        item_size = _LONG(np.dtype(item).itemsize)
        values = {
            "data": builder.bitcast(self._read(argument, _DATA, _POINTER), array.data.type),
            "nitems": size,
            "itemsize": item_size,
            "shape": cgutils.pack_array(builder, [size]),
            "strides": cgutils.pack_array(builder, [item_size]),
        }
        for field, value in values.items():
            setattr(array, field, value)
        return array._getvalue()

    def _is_array(self, argument: ir.Value) -> ir.Value:
        builder = self.builder
        actual = self._read(argument, _HEAD_SIZE - 8, _POINTER)
        is_same = builder.icmp_unsigned("==", actual, self.array_type)
        with builder.if_else(is_same) as (same, other):
            with same:
                same_block = builder.block
            with other:
                is_derived = builder.icmp_signed(
                    "!=", self._python("PyType_IsSubtype", _INT, actual, self.array_type), _INT(0)
                )
                other_block = builder.block
        answer = builder.phi(ir.IntType(1))
        answer.add_incoming(is_same, same_block)
        answer.add_incoming(is_derived, other_block)
        return answer

    def _is_of_type(self, argument: ir.Value, dtype: "np.dtype[Any]") -> ir.Value:
        """Compare NumPy's type numbers: C's long and long long are both int64 here."""
        builder = self.builder
        description = self._read(argument, _TYPE_DESCRIPTION, _POINTER)
        number = self._read(description, _TYPE_NUMBER, _INT)
        equal = ir.Constant(ir.IntType(1), 0)
        for same in {np.dtype(code).num for code in "bBhHiIlLqQfd" if np.dtype(code) == dtype}:
            equal = builder.or_(equal, builder.icmp_signed("==", number, _INT(same)))
        order = self._read(description, _BYTE_ORDER, _BYTE)
        return builder.and_(equal, builder.icmp_signed("!=", order, _BYTE(_FOREIGN_BYTE_ORDER)))

    def _call_without_gil(self, values: list[ir.Value]) -> tuple[Any, ir.Value]:
        description, builder = self.description, self.builder
        native = self.context.declare_function(self.module, description)
        state = self._python("PyEval_SaveThread", _POINTER)
        status, result = self.context.call_conv.call_function(
            builder, native, description.restype, description.argtypes, values
        )
        self._python("PyEval_RestoreThread", ir.VoidType(), state)
        return status, result

    def _boxed(self, value: ir.Value) -> ir.Value:
        kind = types.unliteral(self.description.restype)
        builder = self.builder
        if isinstance(kind, types.Float):
            return self._python("PyFloat_FromDouble", _POINTER, self._widened(value, kind))
        if isinstance(kind, types.Boolean):
            return self._python("PyBool_FromLong", _POINTER, builder.zext(value, _LONG))
        if isinstance(kind, types.Integer):
            name = "PyLong_FromLongLong" if kind.signed else "PyLong_FromUnsignedLongLong"
            return self._python(name, _POINTER, self._widened(value, kind))
        if isinstance(kind, types.NoneType):
            return self._python("Py_BuildValue", _POINTER, self._empty_text())
        raise CompileError(f"{self.kernel.__name__}() returns {kind}; a kernel returns a scalar")

    def _widened(self, value: ir.Value, kind: Any) -> ir.Value:
        if isinstance(kind, types.Float):
            return self.builder.fpext(value, _DOUBLE) if kind.bitwidth < 64 else value
        if kind.bitwidth == 64:
            return value
        return (self.builder.sext if kind.signed else self.builder.zext)(value, _LONG)

    def _empty_text(self) -> ir.Value:
        return self.context.insert_const_string(self.module, "")
