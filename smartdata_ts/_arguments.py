"""Arguments of callers as plain Python values: numbers of NumPy and Arrow, flags, texts, paths.

Every function raises UsageError, which names the argument and says what it may be.
"""

import math
import os
import re
import reprlib
from collections.abc import Iterable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UsageError

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def shown(value: Any) -> str:
    """A value as an error's message shows it: however long it is, a line of it."""
    return " ".join(_SHORT.repr(value).split())


def plain(value: Any) -> Any:
    """An Arrow scalar as Python's own; anything else as it is."""
    as_python = getattr(value, "as_py", None)
    return as_python() if callable(as_python) else value


def is_whole(value: Any) -> bool:
    """Whether it is an integer of Python or NumPy; a flag or a span of time is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64)


def items(given: Any) -> list[Any] | None:
    """Return the items of any kind of list; None where it is none, and may mean another thing.

    A frame of pandas would give the names of its columns, and a mapping its own.
    """
    given = plain(given)
    is_list = isinstance(given, Iterable) and not isinstance(given, str | bytes | bytearray | Mapping)
    if not is_list or getattr(given, "ndim", 1) != 1:
        return None
    return [item if type(item) is str else plain(item) for item in given]


def whole_number(name: str, value: Any, low: int = -(2**63)) -> int:
    """The integer of 64 bits, no less than `low`."""
    value = plain(value)
    if not is_whole(value) or not low <= int(value) < 2**63:
        least = f", at least {low}" if low >= 0 else ""
        raise UsageError(f"{name} must be a whole number{least}, not {shown(value)}")
    return int(value)


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """The number from `low` to `high`; a text of digits is none, and neither is a NaN."""
    value = plain(value)
    is_real = isinstance(value, Real) and not isinstance(value, bool | np.timedelta64)
    if not is_real or not low <= value <= high:
        rule = f"from {low:g} to {high:g}" if high < math.inf else f"of {low:g} or more"
        raise UsageError(
            f"{name} must be a number{'' if low == -math.inf else ' ' + rule}, not {shown(value)}"
        )
    try:
        return float(value)
    except OverflowError:
        raise UsageError(f"{name} must be a number that a double can hold, not {shown(value)}") from None


def flag(name: str, value: Any) -> bool:
    """The truth value; what merely counts as one in Python, such as the text "false", is none."""
    value = plain(value)
    if isinstance(value, bool | np.bool_) or (is_whole(value) and value in (0, 1)):
        return bool(value)
    raise UsageError(f"{name} must be True or False, not {shown(value)}")


def can_be_stored(value: Any) -> bool:
    """Whether it is text that UTF-8 and SQLite's JSON can hold."""
    if not isinstance(value, str) or "\0" in value:
        return False
    return value.isascii() or _HALF_CHARACTER.search(value) is None


def text(name: str, value: Any, may_be_empty: bool = False) -> str:
    """The text."""
    value = plain(value)
    if not can_be_stored(value) or not (value or may_be_empty):
        raise UsageError(
            f"{name} must be a text{'' if may_be_empty else ' that is not empty'}, not {shown(value)}"
        )
    return str(value)


def text_or_none(name: str, value: Any, may_be_empty: bool = False) -> str | None:
    """The text, or None where none is given."""
    return None if value is None else text(name, value, may_be_empty)


def texts(rule: str, given: Any) -> tuple[str, ...]:
    """A text or many, of Python, NumPy, pandas or Arrow; `rule` begins the message where they are none."""
    given = plain(given)
    found = [given] if isinstance(given, str) else items(given)
    if found is None or not all(map(can_be_stored, found)):
        raise UsageError(f"{rule}, not {shown(given)}")
    return tuple(map(str, found))


def path_of(name: str, value: Any) -> Path:
    """The absolute path, which stays what it is when the host changes its own directory."""
    given = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(given, str) or not given or "\0" in given:
        raise UsageError(f"{name} must be a path, as a text or a pathlib.Path, not {shown(value)}")
    try:
        os.fsencode(given)
    except UnicodeEncodeError:
        raise UsageError(f"{name} is a path that no file system can hold: {shown(given)}") from None
    return Path(given).absolute()
