"""Records: several arrays and scalars that a kernel takes as one argument, a `typing.NamedTuple` of them.

    class Levels(NamedTuple):
        times: Int64Array
        values: Float64Array
        step_us: int

    @kernel
    def fill(levels: Levels, values: Float64Array) -> int: ...

A kernel that Python enters checks each field as it checks an argument, and names it in its error
("fill(): levels.times must be a contiguous array of int64"). Kernels pass records on to one another, make
them, and return them from inner functions; to machine code a record is its fields, so that it costs nothing
there. A field is an array or a scalar: a record holds no record.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RecordKind:
    """The kind of a parameter that takes a record: the class, and name and kind of each field."""

    type: type
    fields: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        fields = ", ".join(f"{name}: {kind}" for name, kind in self.fields)
        return f"{self.type.__name__}({fields})"


# The kind of a parameter: a record, or the name of one of Numba's types.
Kind = str | RecordKind


def is_record(value: object) -> bool:
    """Return whether `value` is a class made by `typing.NamedTuple` or `collections.namedtuple`."""
    return isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields")


def record_kind(record: Any, kind_of: Callable[[object], str | None]) -> RecordKind:
    """Return the kind of a record, its fields' kinds being `kind_of` their annotations; raise TypeError."""
    fields = []
    for name in record._fields:
        kind = kind_of(record.__annotations__.get(name))
        if kind is None:
            raise TypeError(
                f"record {record.__name__}: annotate {name} with int, float, bool or an array type"
            )
        fields.append((name, kind))
    if not fields:
        raise TypeError(f"record {record.__name__}: has no field")
    return RecordKind(record, tuple(fields))
