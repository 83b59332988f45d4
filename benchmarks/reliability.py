"""What keeping a store whole costs: `python -m benchmarks.reliability`, printed as must, aim and got.

Each figure is a ratio of two measurements of one process that take turns, or is scaled to the disk at
hand, so that a busy machine slows both alike; of each the best run counts. Every task has a process of
its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa

import smartdata_ts as sd
from smartdata_ts._storage import chunk_file as chunk_file_module
from smartdata_ts._write import writer as writer_module

from . import w1
from .child import memory_peak
from .datasets import make_w1, stream
from .report import table
from .targets import DISK_WRITES_PER_SECOND, Target

ROUNDS = 5
READERS = 4
CHUNKS = 1000
COMMITS = 400
WRITE_SECONDS = 2.0
MONTH = 730  # hours

Figures = dict[str, float]


def best_of(*tasks: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """The least time of each of some tasks, which take turns."""
    best = [float("inf")] * len(tasks)
    for _ in range(rounds):
        for k, task in enumerate(tasks):
            start = time.perf_counter()
            task()
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def drain(query: sd.Query) -> int:
    """Read a query's batches, and keep none."""
    return sum(batch.num_rows for batch in query.to_batches())


def loaded(work: Path, source: Path) -> Path:
    """The store of a data set, loaded once."""
    path = work / "whole.sdts"
    if not path.exists():
        with sd.open(work / "partial.sdts") as store, store.writer() as writer:
            for batch in stream(source / "sorted.arrow"):
                writer.write(batch)
        (work / "partial.sdts").rename(path)
    return path


def run_verify(work: Path, source: Path) -> Figures:
    """Verification against reading the same files and hashing them with zlib.crc32."""
    path = loaded(work, source)
    files = [file for file in path.rglob("*") if file.is_file()]
    with sd.open(path, mode="r") as store:
        ours, plain = best_of(store.verify, lambda: [zlib.crc32(file.read_bytes()) for file in files])
    return {"verify": plain / ours}


def run_checksums(work: Path, source: Path) -> Figures:
    """Reading with the checks of blocks against reading without, in per cent slower."""
    with sd.open(loaded(work, source), mode="r") as store:
        chunk_file = chunk_file_module.ChunkFile

        def unchecked() -> None:
            with patch.object(chunk_file, "_verified", chunk_file._copied):
                drain(store.query())

        checked, plain = best_of(lambda: drain(store.query()), unchecked)
    return {"checksums": (checked / plain - 1) * 100}


def commits_per_second(path: Path, keys: list[str], first_us: int) -> float:
    """Durable writes of one reading each."""
    with sd.open(path) as store:
        store.write({"series": keys[0], "time": [first_us], "value": [0.0]})
        start, count = time.perf_counter(), 0
        while (seconds := time.perf_counter() - start) < WRITE_SECONDS:
            count += 1
            reading = {"series": keys[count % len(keys)], "time": [first_us + count], "value": [1.0]}
            store.write(reading)
    return count / seconds


def syncs_per_second(path: Path) -> float:
    """The disk's own appends of 4 KiB with fdatasync."""
    with path.open("wb", buffering=0) as file:
        start, count = time.perf_counter(), 0
        while (seconds := time.perf_counter() - start) < WRITE_SECONDS:
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return count / seconds


READER = """
import sys, time
import smartdata_ts as sd
with sd.open(sys.argv[1], mode="r") as store:
    count = 0
    print("ready", flush=True)
    while True:
        store.query(f"wm-{count % 1000:05d}").last().to_arrow()
        count += 1
        time.sleep(0.01)
"""


def run_commits(work: Path, source: Path) -> Figures:
    """Durable one-reading commits, alone and while four processes ask a hundred questions a second each."""
    path = work / "commits.sdts"
    shutil.rmtree(path, ignore_errors=True)
    with sd.open(path) as store, store.writer() as writer:
        for batch, _ in zip(stream(source / "sorted.arrow"), range(9), strict=False):
            writer.write(batch)
    keys = [f"wm-{k:05d}" for k in range(1000)]
    disk = syncs_per_second(work / "disk")
    alone = commits_per_second(path, keys, 1_900_000_000_000_000)
    command = [sys.executable, "-c", READER, str(path)]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(READERS)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            reader.stdout.readline()
        beside = commits_per_second(path, keys, 1_950_000_000_000_000)
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
    scale = DISK_WRITES_PER_SECOND / disk
    return {"commits": alone * scale, "commits_beside_readers": beside * scale}


def months(source: Path, meters: int) -> Iterator[pa.Table]:
    """A year of some meters, month by month."""
    dense = np.load(source / "dense.npy", mmap_mode="r")[:meters]
    names = w1.keys(len(dense))
    for first in range(0, dense.shape[1], MONTH):
        litres = np.asarray(dense[:, first : first + MONTH])
        series, hours = np.nonzero(litres != w1.MISSING)
        yield pa.table(
            {
                "series": pa.DictionaryArray.from_arrays(pa.array(series.astype(np.int32)), names),
                "time": pa.array(w1.START_US + (hours + first) * w1.HOUR_US, pa.timestamp("us", "UTC")),
                "value": litres[series, hours] / 1000.0,
            }
        )


def run_as_of(work: Path, source: Path) -> Figures:
    """As of now, and as of a month ago, against the present; a hundredth was corrected since."""
    path = work / "past.sdts"
    shutil.rmtree(path, ignore_errors=True)
    with sd.open(path) as store:
        before = None
        for month in months(source, 2000):
            month_ago = store.info().commit
            store.write(month)
            if before is not None:
                late = before.take(np.arange(0, before.num_rows, 100))
                store.write(late.set_column(2, "value", pa.array(np.asarray(late["value"]) + 1.0)))
            before = month
        store.compact()
        now = store.info().commit

        def asked(as_of: int | None) -> Callable[[], int]:
            return lambda: drain(store.query(as_of=as_of).resample("1d", ["min", "max"]))

        present, as_now, then = best_of(asked(None), asked(now), asked(month_ago))
    return {"as_of_now": as_now / present, "as_of_last_month": then / present}


def run_fold(work: Path, source: Path) -> Figures:
    """Compaction of all that came in time order, in 400 chunks."""
    path = work / "fold.sdts"
    if os.environ.get("BENCH_FILL"):
        shutil.rmtree(path, ignore_errors=True)
        with sd.open(path, auto_compact=False) as store:
            hours = list(stream(source / "ordered.arrow"))
            each = -(-len(hours) // COMMITS)
            for first in range(0, len(hours), each):
                store.write(pa.Table.from_batches(hours[first : first + each]))
        return {}
    # In a process of its own, whose memory is that of compaction alone.
    command = [sys.executable, "-m", __spec__.name, "--task", "fold", str(work), str(source)]
    subprocess.run(command, check=True, env={**os.environ, "BENCH_FILL": "1"}, stdout=subprocess.DEVNULL)
    with sd.open(path) as store:
        readings, start = store.info().readings, time.perf_counter()
        report = store.compact()
        seconds = time.perf_counter() - start
    shutil.rmtree(path)
    return {
        "fold": readings / seconds / 1e6,
        "fold_peak": memory_peak() / 1e9,
        "fold_chunks": report.chunks_before,
    }


def run_open(work: Path, _: Path) -> Figures:
    """Opening a store of 1,000 chunks for reading, and the first question, after the imports."""
    path = work / "many.sdts"
    shutil.rmtree(path, ignore_errors=True)
    keys = [f"wm-{k:05d}" for k in range(100)]
    with patch.object(writer_module, "HEAD_READINGS_MAX", 10), sd.open(path, auto_compact=False) as store:
        for hour in range(CHUNKS):
            times = np.full(len(keys), w1.START_US + hour * w1.HOUR_US)
            store.write({"series": keys, "time": times, "value": np.arange(100.0)})
        assert store.info().chunks == CHUNKS

    def opened() -> None:
        with sd.open(path, mode="r") as store:
            store.pin()

    def asked() -> None:
        with sd.open(path, mode="r") as store:
            store.query(keys[0]).last().to_arrow()

    seconds, first = best_of(opened, asked)
    return {"open": seconds * 1e3, "open_and_ask": first * 1e3}


TASKS: dict[str, Callable[[Path, Path], Figures]] = {
    "verify": run_verify,
    "checksums": run_checksums,
    "commits": run_commits,
    "as_of": run_as_of,
    "fold": run_fold,
    "open": run_open,
}


def _got(name: str) -> Callable[[Any], float | None]:
    return lambda figures: figures.get(name)


TARGETS = [
    Target("verify", "W1", "x read + crc32", 0.8, 1.0, _got("verify")),
    Target("reading with checksums", "W1", "% slower", 8, 4, _got("checksums"), less=True),
    Target("one-reading commits", "W1", "/s at 4,000 syncs/s", 2500, 3500, _got("commits")),
    Target(
        "... beside four readers", "W1", "/s at 4,000 syncs/s", 2500, 3500, _got("commits_beside_readers")
    ),
    Target("as of now", "W1", "x the present", 1.05, 1.0, _got("as_of_now"), less=True),
    Target("as of last month", "W1", "x the present", 2, 1.2, _got("as_of_last_month"), less=True),
    Target("compaction of 400 chunks", "W1", "M readings/s", 10, 20, _got("fold")),
    Target("peak memory, compaction", "W1", "GB", 1.0, 0.6, _got("fold_peak"), less=True),
    Target("opening 1,000 chunks", "made up", "ms", 30, 10, _got("open"), less=True),
]


def targets(figures: Figures) -> str:
    """The table of targets: must, aim, got."""
    rows = []
    for target in TARGETS:
        got = target.got(figures)  # type: ignore[arg-type]
        shown = "" if got is None else f"{got:,.2f}"
        rows.append(
            [target.what, target.unit, f"{target.must:g}", f"{target.aim:g}", shown, target.word(got)]
        )
    return table(["what", "unit", "must", "aim", "got", ""], rows)


def child(task: str, work: Path, source: Path) -> Figures:
    """Run one task in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--task", task, str(work), str(source)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Figures = json.loads(done.stdout)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("bench-data"), help="folder of the data")
    parser.add_argument("--meters", type=int, default=10_000, help="meters of W1")
    parser.add_argument("--hours", type=int, default=w1.HOURS, help="hours of W1")
    parser.add_argument("--tasks", default=",".join(TASKS), help="tasks, by comma")
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.task:  # in a child
        name, work, source = chosen.task
        print(json.dumps(TASKS[name](Path(work), Path(source))))
        return
    chosen.data.mkdir(parents=True, exist_ok=True)
    data = make_w1(chosen.data.resolve(), chosen.meters, chosen.hours, 1000)
    work = chosen.data.resolve() / "reliability"
    work.mkdir(exist_ok=True)
    figures: Figures = {}
    for task in chosen.tasks.split(","):
        found = child(task, work, Path(data.folder))
        print(task, ", ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
        figures |= found
    shutil.rmtree(work)
    print(f"\n{targets(figures)}")


if __name__ == "__main__":
    main()
