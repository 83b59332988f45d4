"""Every example runs, quietly and without warnings."""

import subprocess
import sys
from pathlib import Path

import pytest

WITH_ARGUMENTS = {  # which have tests of their own
    "read_chunk",
    "monthly_volumes",
    "minutes_and_hours",
    "register_resolution",
    "fill_gaps",
}
FILES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
EXAMPLES = [path for path in FILES if path.stem not in WITH_ARGUMENTS]


def test_there_are_examples():
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path):
    command = [sys.executable, "-W", "error", str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    assert list(tmp_path.iterdir()) == []
