"""What the README shows can be typed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.partition("#")[0].strip() for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()
]


def test_the_python_examples_run(tmp_path):
    example = "\n".join(text for kind, text in BLOCKS if kind == "python")
    command = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "'series': 'wm-17'" in done.stdout
    assert "'count': 2, 'first': 4807.912, 'last': 4807.925" in done.stdout
    assert "'zone': 'Harbour'" in done.stdout


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {line.split()[1] for line in COMMANDS if line.startswith("make ")} | set(
        re.findall(r"`make (\w+)`", README)
    )
    assert {"demo", "test", "bench"} <= targets
    for target in targets:
        assert f"\n{target}:" in makefile


def test_the_commands_run_in_their_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("readings.csv").write_text(
        "meter;time;m3\nwm-17;26.10.2025 00:00;4807,912\nwm-17;26.10.2025 01:00;4807,925\n"
    )
    commands = [line for line in COMMANDS if line.startswith("smartdata-ts ")]
    assert len(commands) >= 7
    for line in commands:
        done = run(*shlex.split(line.partition(" > ")[0])[1:])
        assert (done.status, done.err) == (0, ""), line
    assert Path("year.parquet").is_file()


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_the_links_lead_somewhere(target):
    if not (ROOT / target).exists() and target.startswith("docs/"):
        pytest.skip(f"{target} is not written yet")
    assert (ROOT / target).exists()
