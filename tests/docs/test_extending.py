"""The worked examples of docs/extending.md pass their own tests, in a copy of the tree, as they stand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from page_examples import ROOT, blocks_of, copy_of_tree, place_of, put

PAGE = ROOT / "docs" / "extending.md"
BLOCKS = blocks_of(PAGE)
TESTS = [block.path for block in BLOCKS if block.path is not None and block.path.startswith("tests/")]
pytestmark = pytest.mark.slow
KERNEL_TESTS = [path for path in TESTS if path.startswith("tests/kernels/")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with every example in its place."""
    target = copy_of_tree(tmp_path_factory.mktemp("tree"))
    for block in BLOCKS:
        put(block, target)
    return target


def run(tree: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the copy, and on nothing else of ours."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_passes(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_the_page_has_an_example_and_a_test_of_each_kind() -> None:
    assert [Path(path).parent.name for path in TESTS] == ["kernels", "steps", "cli", "formats", "kernels"]


def test_the_copy_is_what_runs(tree: Path) -> None:
    done = run(tree, "-c", "import smartdata_ts; print(smartdata_ts.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(tree), done.stderr


def test_every_example_passes_the_tests_that_the_page_gives_it(tree: Path) -> None:
    done = run(tree, "-m", "pytest", "-p", "no:cacheprovider", "-v", *TESTS)
    assert_passes(done)
    assert all(f"{path} ." in done.stdout for path in TESTS)


@pytest.mark.parametrize("mode", ["NUMBA_DISABLE_JIT=1", "NUMBA_BOUNDSCHECK=1", "SMARTDATA_TS_JIT=numba"])
def test_kernels_pass_in_every_mode_that_the_page_names(tree: Path, mode: str) -> None:
    name, _, value = mode.partition("=")
    assert f"{mode} python -m pytest" in PAGE.read_text(encoding="utf-8")
    assert_passes(run(tree, "-m", "pytest", "-p", "no:cacheprovider", *KERNEL_TESTS, **{name: value}))


def test_the_new_method_has_a_doctest_that_runs(tree: Path) -> None:
    program = (
        "import doctest, smartdata_ts as sd;"
        "finder = doctest.DocTestFinder(); runner = doctest.DocTestRunner();"
        "[runner.run(test) for test in finder.find(sd.Query.total, 'total', globs={})];"
        "print(runner.tries, runner.failures)"
    )
    assert run(tree, "-c", program).stdout.split() == ["4", "0"]


def test_the_examples_pass_the_linter(tree: Path) -> None:
    files = [str(place_of(block.path, tree)) for block in BLOCKS if block.path is not None]
    assert len(files) == 9
    checked = run(tree, "-m", "ruff", "check", *files)
    assert checked.returncode == 0, checked.stdout
    formatted = run(tree, "-m", "ruff", "format", "--diff", *files)
    assert formatted.returncode == 0, formatted.stdout
