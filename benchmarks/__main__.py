"""`python -m benchmarks`: run smartdata_ts and its peers on the same data, compare, report."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from . import w1
from .chart import chart
from .datasets import DataSet, make_real, make_w1
from .peers import PEERS
from .report import Runs, page, peers_table, targets_table
from .runner import TASKS, disagreements, failures, run_all, warm_up

FULL_METERS = 10_000


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("bench-data"), help="folder of the data")
    parser.add_argument("--meters", type=int, default=FULL_METERS, help="meters of W1")
    parser.add_argument("--hours", type=int, default=w1.HOURS, help="hours of W1")
    parser.add_argument("--csv-rows", type=int, default=10_000_000, help="rows of W1's CSV file")
    parser.add_argument("--sets", default="W1,real", help="data sets, by comma")
    parser.add_argument("--peers", default=",".join(PEERS), help="peers, by comma")
    parser.add_argument("--tasks", default=",".join(TASKS), help="tasks, by comma; needs load")
    parser.add_argument("--docs", type=Path, help="where the page and chart go; a full run: docs")
    parser.add_argument("--make-only", action="store_true", help="make the data sets, then stop")
    parser.add_argument("--keep", action="store_true", help="keep what the peers stored")
    chosen = parser.parse_args(arguments)
    for option, known in (("peers", PEERS), ("tasks", TASKS), ("sets", ["W1", "real"])):
        values = getattr(chosen, option).split(",")
        if unknown := [value for value in values if value not in known]:
            parser.error(f"--{option}: unknown {', '.join(unknown)}; known: {', '.join(known)}")
        setattr(chosen, option, values)
    return chosen


def command(chosen: argparse.Namespace) -> str:
    """Return the command that makes the same figures, on whatever folder."""
    words = ["python -m benchmarks"]
    if (chosen.meters, chosen.hours) != (FULL_METERS, w1.HOURS):
        words.append(f"--meters {chosen.meters} --hours {chosen.hours}")
    if chosen.peers != list(PEERS):
        words.append(f"--peers {','.join(chosen.peers)}")
    if chosen.tasks != TASKS:
        words.append(f"--tasks {','.join(chosen.tasks)}")
    return " ".join(words)


def data_sets(chosen: argparse.Namespace) -> list[DataSet]:
    """Make the data sets asked for, or find them made."""
    found = []
    if "W1" in chosen.sets:
        found.append(make_w1(chosen.data, chosen.meters, chosen.hours, chosen.csv_rows))
    if "real" in chosen.sets:
        real = make_real(chosen.data)
        if real:
            found.append(real)
        else:
            print("real set skipped: its folder is not there", file=sys.stderr)
    return found


def write_docs(chosen: argparse.Namespace, runs: Runs, how: str, problems: list[str]) -> None:
    """Write the page and the chart, for a full run or where the user says so."""
    everything = (FULL_METERS, w1.HOURS, list(PEERS), TASKS)
    full = (chosen.meters, chosen.hours, chosen.peers, chosen.tasks) == everything
    folder = chosen.docs or (Path("docs") if full else None)
    if folder is None:
        print("\nnot a full run: docs are left as they are (--docs FOLDER writes them)")
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.md").write_text(page(runs, how, problems))
    (folder / "benchmarks.svg").write_text(chart(*runs[0]))
    print(f"\nwritten: {folder / 'benchmarks.md'}, {folder / 'benchmarks.svg'}")


def main(arguments: list[str] | None = None) -> int:
    """Run; return 1 where answers disagree or a peer failed."""
    chosen = parse(sys.argv[1:] if arguments is None else arguments)
    chosen.data.mkdir(parents=True, exist_ok=True)
    chosen.data = chosen.data.resolve()
    sets = data_sets(chosen)
    if chosen.make_only or not sets:
        return 0
    warm_up()
    work = chosen.data / "work"
    runs: Runs = []
    problems: list[str] = []
    for data in sets:
        results = run_all(data, work, chosen.peers, chosen.tasks, lambda line: print(line, flush=True))
        problems += disagreements(data, work, chosen.peers, results) + failures(data, results)
        runs.append((data, results))
    if not chosen.keep:
        shutil.rmtree(work, ignore_errors=True)
    print(f"\n{targets_table(runs)}")
    for data, results in runs:
        print(f"\n{peers_table(data, results)}")
    write_docs(chosen, runs, command(chosen), problems)
    for problem in problems:
        print(f"PROBLEM: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
