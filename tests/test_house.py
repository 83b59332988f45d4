"""The tree keeps its own rules, and every list that is kept by hand names what is there."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import imports_kernels

import smartdata_ts
import smartdata_ts.kernels
from smartdata_ts.cli import import_
from smartdata_ts.cli._command import COMMANDS, SUMMARIES
from smartdata_ts.formats._options import ReadOptions
from smartdata_ts.kernels.compiler import key
from smartdata_ts.kernels.compiler.warmup import all_kernels

ROOT = Path(__file__).parents[1]
PACKAGE = Path(smartdata_ts.__file__).parent
KERNELS = Path(smartdata_ts.kernels.__file__).parent
TESTS = Path(__file__).parent
FILE_LINES_MAX, FUNCTION_LINES_MAX = 600, 70
HARD_TURNS = re.compile(r"\b(behind|of which|those of|whoever|told of)\b", re.IGNORECASE)
HARD_TURNS_A_THOUSAND_WORDS_MAX = 1.2
NAMES_THAT_SAY_NOTHING = ("utils", "util", "helpers", "helper", "common", "misc")


def python_files(folder: Path) -> list[Path]:
    """Every file of a folder; those of the kernels count once, though a link leads there too."""
    found = sorted(folder.rglob("*.py"))
    return [path for path in found if folder == KERNELS or KERNELS.name not in path.relative_to(folder).parts]


FILES = [path for folder in (PACKAGE, KERNELS, TESTS) for path in python_files(folder)]
FOLDERS = sorted({path.parent for folder in (PACKAGE, KERNELS) for path in python_files(folder)})


def test_there_are_files_to_hold() -> None:
    assert len(FILES) > 250
    assert {PACKAGE / "cli", KERNELS} <= set(FOLDERS)


# -- what is installed


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_folder_of_modules_is_a_package_which_setuptools_finds(folder: Path) -> None:
    assert (folder / "__init__.py").is_file()


def test_the_version_is_written_once() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'version = { attr = "smartdata_ts.__version__" }' in project
    assert smartdata_ts.__version__ not in re.findall(r'"(.*?)"', project)


# -- sizes and names


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_and_functions_keep_to_their_length(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= FILE_LINES_MAX
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < FUNCTION_LINES_MAX, node.name


def test_names_of_files_say_what_is_in_them() -> None:
    names = {part.removesuffix(".py").strip("_") for path in FILES for part in (path.name, path.parent.name)}
    assert not names & set(NAMES_THAT_SAY_NOTHING)


# -- names that are loaded when they are first asked for


@pytest.mark.parametrize("folder", [PACKAGE, PACKAGE / "formats"], ids=lambda folder: folder.name)
def test_lazy_names_are_those_that_type_checkers_see(folder: Path) -> None:
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    seen = {
        alias.asname or alias.name
        for branch in tree.body
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for line in branch.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    lists = {
        ast.unparse(line.targets[0]): ast.literal_eval(line.value)
        for line in tree.body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) in ("_HOMES", "__all__")
    }
    assert seen - {"Path", "Any"} == set(lists["_HOMES"])
    defined = {line.name for line in tree.body if isinstance(line, ast.FunctionDef)} | {
        "__version__",
        "errors",
    }
    assert set(lists["_HOMES"]) <= set(lists["__all__"]) <= set(lists["_HOMES"]) | defined


# -- commands


def test_every_command_has_its_summary() -> None:
    assert list(SUMMARIES) == list(COMMANDS)


def test_messages_about_reading_name_options_that_the_import_has() -> None:
    """What Python's messages say of `skip_rows=` the command line says of --skip-rows."""
    named = {option.name for option in import_.import_.params}
    assert {field.name for field in fields(ReadOptions)} <= named


# -- kernels

# Their contents decide how a kernel is found or called, and nothing of its machine code.
NOT_IN_THE_KEY = {
    "__init__.py",
    "binding.py",
    "key.py",
    "object_cache.py",
    "shipped.py",
    "shipping.py",
    "user_functions.py",
    "warmup.py",
}


def test_the_key_covers_all_that_makes_machine_code() -> None:
    machinery = {path.name for path in (KERNELS / "compiler").glob("*.py")} - NOT_IN_THE_KEY
    assert set(key._MACHINERY) == machinery


def test_what_knows_of_the_compiler_is_in_the_key() -> None:
    for path in KERNELS.rglob("*.py"):
        imported = re.search(
            r"^(from|import) (numba|llvmlite)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        assert not imported or path.name in key._MACHINERY


def test_every_file_of_kernels_has_tests_that_run_in_every_mode() -> None:
    """`make modes` runs the modules of tests that import kernels."""
    sources = {path.stem: path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")}
    sources = {name: source for name, source in sources.items() if imports_kernels(source)}
    names = {kernel.__module__.rpartition(".")[2] for kernel in all_kernels()}
    assert len(names) > 20
    for name in names:
        imported = re.compile(rf"^from smartdata_ts\.kernels(\.\w+)*(\.| import .*\b){name}\b", re.MULTILINE)
        assert f"test_{name}" in sources or any(map(imported.search, sources.values())), name


# -- the voice


def comments_of(source: str) -> Iterator[str]:
    """Every comment and docstring of a file's text."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def test_comments_and_docstrings_are_found() -> None:
    source = '"""Of a module."""\ndef f():\n    """Told of."""\n    return 1  # behind it, "in a string"\n'
    assert sorted(comments_of(source)) == ['# behind it, "in a string"', "Of a module.", "Told of."]
    assert [bool(HARD_TURNS.search(text)) for text in sorted(comments_of(source))] == [True, False, True]


def test_hard_turns_are_rare() -> None:
    texts = [
        text
        for folder in (PACKAGE, KERNELS)
        for path in python_files(folder)
        for text in comments_of(path.read_text(encoding="utf-8"))
    ]
    words = sum(len(text.split()) for text in texts)
    turns = [f"{turn}: {text[:90]}" for text in texts for turn in HARD_TURNS.findall(text)]
    assert words > 30_000
    assert 1000 * len(turns) <= HARD_TURNS_A_THOUSAND_WORDS_MAX * words, turns
