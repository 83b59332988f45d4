"""A kernel's key changes with whatever changes its machine code, and with nothing else."""

import math
import types
from typing import Any

import numpy as np
import pytest

from smartdata_ts.kernels.arrays import Int64Array
from smartdata_ts.kernels.compiler import key
from smartdata_ts.kernels.compiler.jit import inner, kernel

_SOURCE = """
@inner
def callee(value):
    return value * FACTOR

@kernel
def entry(values: Int64Array) -> int:
    '''Sum.'''
    total = 0
    for i in range(values.size):
        total += callee(values[i]) + TABLE[0]
    return total
"""


def _key_of(source: str = _SOURCE, **changed: Any) -> str:
    names: dict[str, Any] = {
        "inner": inner,
        "kernel": kernel,
        "Int64Array": Int64Array,
        "np": np,
        "math": math,
    }
    names |= {"__name__": "made", "FACTOR": 2, "TABLE": np.array([1, 2]), "OTHER": 1}
    names |= changed
    exec(compile(source, "made.py", "exec"), names)
    return key.kernel_key(names["entry"])


def test_the_same_source_has_the_same_key_wherever_it_stands() -> None:
    assert _key_of() == _key_of()
    assert _key_of() == _key_of("\n\n# a comment\n" + _SOURCE)
    assert _key_of() == _key_of(OTHER=2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("value * FACTOR", "value + FACTOR"),
        ("value * FACTOR", "value * 2"),
        ("total = 0", "total = 1"),
        ("total = 0", "total = 0.0"),
        ("total = 0", "total = False"),
        ("total = 0", "total = -0"),
        ("TABLE[0]", "TABLE[1]"),
        ("range(values.size)", "range(1, values.size)"),
        ("callee(values[i])", "abs(values[i])"),
        ("values: Int64Array", "values: int"),
    ],
)
def test_a_changed_source_has_another_key(old: str, new: str) -> None:
    changed = _SOURCE.replace(old, new)
    assert changed != _SOURCE
    assert (_key_of() == _key_of(changed)) == (new == "total = -0")  # which Python compiles to 0


@pytest.mark.parametrize(
    "changed",
    [
        {"FACTOR": 3},
        {"FACTOR": 2.0},
        {"FACTOR": np.int64(2)},
        {"FACTOR": np.int32(2)},
        {"FACTOR": True},
        {"TABLE": np.array([1, 3])},
        {"TABLE": np.array([1, 2], np.int32)},
        {"TABLE": np.array([[1, 2]])},
        {"TABLE": (1, 2)},
        {"callee": None},
    ],
    ids=repr,
)
def test_a_changed_global_has_another_key(changed: dict[str, Any]) -> None:
    if "callee" in changed:
        assert _key_of() != _key_of(_SOURCE.replace("@inner\ndef callee", "@inner\ndef other"), callee=abs)
    else:
        assert _key_of() != _key_of(**changed)


def test_the_compiler_and_the_cpu_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _key_of()
    monkeypatch.setattr(key, "compiler_facts", lambda: ("another",))
    assert _key_of() != before
    monkeypatch.undo()
    monkeypatch.setattr(key, "cpu_facts", lambda: ("another",))
    assert _key_of() != before


def test_the_facts_of_this_machine_say_something() -> None:
    facts = "\n".join(key.cpu_facts())
    assert "flags=" in facts or "Features=" in facts or "name=" in facts
    assert np.__version__ in key.compiler_facts()
    assert "cpu MHz" not in facts


@pytest.mark.parametrize(
    "value",
    [{}, [1], np.array([object()]), types.SimpleNamespace(), key, lambda: 0, Any, (1, [2])],
    ids=lambda value: type(value).__name__,
)
def test_a_global_that_a_key_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"made.callee: FACTOR is a .*, which a kernel may not use"):
        _key_of(FACTOR=value)
