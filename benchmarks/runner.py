"""Runs every task of every peer, each in a child process, and holds their answers together."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import smartdata_ts
from smartdata_ts.kernels.compiler.warmup import warmup

from . import answers
from .child import STREAMED
from .datasets import DataSet
from .peers import PEERS, REFERENCE, THREADS

LOADS = ["load", "compact"]
QUESTIONS = [*answers.COLUMNS, "monthly"]  # which is asked, and not held together: see MONTHLY
SEPARATE_LOADS = ["ordered", "csv"]
TASKS = [*LOADS, *QUESTIONS, *STREAMED, "writes", *SEPARATE_LOADS]
CHILD_SECONDS_MAX = 900
PARTS = {"pandas"}  # peers that hold a part of the data set

Result = dict[str, Any]
Results = dict[str, dict[str, Result]]


def warm_up() -> None:
    """Compile what an installed and used package has compiled: the kernels, and the bytecode."""
    warmup()
    compileall.compile_dir(Path(smartdata_ts.__file__).parent, quiet=1)


def run_child(task: str, peer: str, data: DataSet, target: Path) -> Result:
    """Run one task in a fresh process; a crash or an overrun comes back as a word."""
    job = target.with_suffix(f".{task}.json")
    job.parent.mkdir(parents=True, exist_ok=True)
    result = job.with_suffix(".result")
    result.unlink(missing_ok=True)
    content = {"task": task, "peer": peer, "data": asdict(data), "target": str(target)}
    job.write_text(json.dumps(content))
    threads = str(THREADS)
    environment = {**os.environ, "POLARS_MAX_THREADS": threads, "OMP_NUM_THREADS": threads}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "benchmarks.child", str(job)]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS_MAX,
            cwd=Path(__file__).parents[1],
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"word": f"over {CHILD_SECONDS_MAX} s", "failed": True}
    if done.returncode or not result.exists():
        lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        return {"word": f"failed: {lines[-1][:200]}", "failed": True}
    answer: Result = json.loads(result.read_text())
    return answer


def describe(result: Result) -> str:
    """Say a result in one line."""
    parts = [f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in result.items()]
    return ", ".join(parts)


def disagreements(data: DataSet, work: Path, names: list[str], results: Results) -> list[str]:
    """Hold every peer's answers against the reference's (else the first that has one)."""
    found = []
    for question in answers.COLUMNS:
        having = [n for n in names if "best" in results.get(n, {}).get(question, {})]
        whole = [n for n in having if n not in PARTS]
        if not whole:
            continue
        reference = REFERENCE if REFERENCE in whole else whole[0]
        folder = work / Path(data.folder).name
        expected = answers.load(folder / f"{reference}.{question}.npz")
        for name in having:
            got = answers.load(folder / f"{name}.{question}.npz")
            if wrong := answers.disagreement(question, expected, got, name in PARTS):
                found.append(f"{data.name}: {name} disagrees with {reference} on {wrong}")
    return found


def failures(data: DataSet, results: Results) -> list[str]:
    """List what crashed or ran over its time, as against what a peer does not offer."""
    return [
        f"{data.name}: {name} {task} {result['word']}"
        for name, tasks in results.items()
        for task, result in tasks.items()
        if result.get("failed")
    ]


def run_peers(
    data: DataSet, work: Path, names: list[str], tasks: list[str], say: Callable[[str], None]
) -> Results:
    """Run the tasks of the peers; a peer whose load does not come about is left out after it.

    Task by task, not peer by peer: what is set against one another is measured within a minute or
    so, since other work on the machine comes and goes. Minutes apart, the same DuckDB query on W1
    was seen to differ by a factor of 2.5 on a busy machine.
    """
    results: Results = {name: {} for name in PEERS if name in names}
    folder = work / Path(data.folder).name
    for task in [task for task in TASKS if task in tasks]:
        for name, done in results.items():
            if "word" in done.get("load", {}):
                continue
            target = folder / (f"{name}-{task}" if task in SEPARATE_LOADS else name)
            done[task] = run_child(task, name, data, target)
            say(f"{data.name} {name} {task}: {describe(done[task])}")
    return results


def run_all(
    data: DataSet, work: Path, names: list[str], tasks: list[str], say: Callable[[str], None]
) -> Results:
    """Measure the disk itself, then the peers."""
    disk = run_child("disk", "", data, work / Path(data.folder).name / "disk")
    say(f"{data.name} disk: {describe(disk)}")
    return {"disk": {"disk": disk}, **run_peers(data, work, names, tasks, say)}
