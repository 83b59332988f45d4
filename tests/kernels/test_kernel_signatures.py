"""Signatures tell what kernels take: few parameters, and records in place of tuples; nothing is long."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import smartdata_ts.kernels

PARAMETERS_MAX = 8
UNPACKED_NAMES_MAX = 3
LONG_UNPACKINGS_MAX = 15
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
# What packed arrays were called, whose slots meant different things.
PACKED = {"control", "options", "told", "to", "at", "own"}

FILES = sorted(Path(smartdata_ts.kernels.__file__).parent.rglob("*.py"))


def functions(source: str) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))


def is_kernel(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(decorator) == "kernel" for decorator in function.decorator_list)


def parameters(function: ast.FunctionDef) -> list[str]:
    given = function.args
    assert not given.kwonlyargs, "a kernel takes its arguments by place"
    return [argument.arg for argument in (*given.posonlyargs, *given.args)]


def long_unpackings(source: str) -> list[int]:
    """Lines on which a value is unpacked into more names than can be told apart by their order."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign):
            targets = [] if isinstance(node.value, ast.Tuple) else node.targets
        elif isinstance(node, ast.For | ast.comprehension):
            targets = [node.target]
        else:
            continue
        parts = [part for target in targets for part in ast.walk(target)]
        tuples = [part for part in parts if isinstance(part, ast.Tuple | ast.List)]
        lines += [part.lineno for part in tuples if len(part.elts) > UNPACKED_NAMES_MAX]
    return lines


def test_no_kernel_has_more_than_eight_parameters() -> None:
    kernels = [function for path in FILES for function in functions(path.read_text()) if is_kernel(function)]
    assert len(kernels) > 40
    assert {k.name: len(parameters(k)) for k in kernels if len(parameters(k)) > PARAMETERS_MAX} == {}


def test_no_kernel_takes_an_array_whose_slots_mean_different_things() -> None:
    kernels = [function for path in FILES for function in functions(path.read_text()) if is_kernel(function)]
    assert {k.name: parameters(k) for k in kernels if PACKED & set(parameters(k))} == {}


def test_tuples_of_four_and_more_names_are_few() -> None:
    found = {path: long_unpackings(path.read_text()) for path in FILES}
    assert sum(map(len, found.values())) <= LONG_UNPACKINGS_MAX, {k: v for k, v in found.items() if v}


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("a, b, c = f()", 0),
        ("a, b, c, d = f()", 1),
        ("a, b, c, d = 1, 2, 3, 4", 0),
        ("for a, (b, c, d, e) in f(): pass", 1),
        ("x = [a for a, b, c, d in f()]", 1),
        ("a = b = c = d = f()", 0),
    ],
)
def test_unpackings_are_counted(source: str, count: int) -> None:
    assert len(long_unpackings(source)) == count


def test_files_and_functions_are_short() -> None:
    sources = {path: path.read_text() for path in FILES}
    assert [path for path, source in sources.items() if source.count("\n") > FILE_LINES_MAX] == []
    long = [
        (path.name, function.name)
        for path, source in sources.items()
        for function in functions(source)
        if (function.end_lineno or 0) - function.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []
