"""One measurement in a fresh process: `python -m benchmarks.child JOB.json` fills in its result.

A job names a task, a peer, a data set and a target folder. Durability is part of the price:
whatever a load wrote is synced within its time.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from . import answers
from .datasets import DataSet, stream
from .peers import THREADS, NotOffered, Peer, load_peer
from .w1 import HOUR_US

STREAMED = ["fill_linear", "fill_profile", "rolling"]
RUNS_MAX = 5
RUNS_SECONDS_MAX = 25.0
WRITE_SECONDS = 2.0
LAST_HOUR_US = 1_900_000_000_000_000  # after every reading of every data set

Result = dict[str, Any]


def memory_peak() -> int:
    """Return this process's own peak in bytes.

    `ru_maxrss` keeps the peak of the parent through fork and exec; VmHWM starts anew.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def sync(target: Path) -> None:
    """Bring every file under `target` to disk."""
    for path in [p for p in target.rglob("*") if p.is_file()]:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def into_memory(source: Path) -> None:
    """Read a file once, so that whoever loads it waits for no disk, first or last in the round."""
    with source.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


def run_load(peer: Peer, data: DataSet, target: Path, task: str) -> Result:
    """Measure a load; the CSV's goes to a target of its own."""
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    expected = data.csv_rows if task == "csv" else data.rows
    source = data.path({"csv": "readings.csv", "load": "sorted.arrow"}.get(task, "ordered.arrow"))
    into_memory(source)
    start = time.perf_counter()
    if task == "csv":
        rows = peer.load_csv(target, source)
    elif task == "load":
        rows = peer.load(target, source)
    else:
        rows = peer.load_ordered(target, source)
    sync(target)
    seconds = time.perf_counter() - start
    if rows != expected and not peer.part:
        raise RuntimeError(f"{rows} rows stored of {expected}")
    return {"seconds": seconds, "rows": rows, "bytes": peer.size(target)}


def run_compact(peer: Peer, data: DataSet, target: Path, _: str) -> Result:
    """Measure compaction."""
    start = time.perf_counter()
    peer.compact(target)
    sync(target)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "rows": data.rows, "bytes": peer.size(target)}


def _repeat(asks: list[Callable[[], pa.Table]]) -> tuple[list[float], pa.Table]:
    """Run the questions in turn; return the times and the first one's newest answer."""
    seconds: list[float] = []
    answer = None
    while len(seconds) < max(RUNS_MAX, len(asks)) and sum(seconds) < RUNS_SECONDS_MAX:
        turn = len(seconds) % len(asks)
        if turn == 0:
            answer = None  # a second answer kept would count in the peak of memory
        start = time.perf_counter()
        table = asks[turn]()
        seconds.append(time.perf_counter() - start)
        if turn == 0:
            answer = table
        del table
    return seconds, answer


def run_question(peer: Peer, data: DataSet, target: Path, question: str) -> Result:
    """Measure a question, several times, and keep its answer for comparison."""
    asks: dict[str, list[Callable[[], pa.Table]]] = {
        "daily": [lambda: peer.daily("UTC")],
        "daily_oslo": [lambda: peer.daily("Europe/Oslo")],
        "last": [peer.last],
        "year": [lambda key=key: peer.year(key) for key in data.year_keys],
        "hourly": [peer.hourly],
        "monthly": [peer.monthly],
    }
    peer.open(target)
    seconds, table = _repeat(asks[question])
    peak = memory_peak()
    if question in answers.COLUMNS:
        answers.save(target.with_suffix(f".{question}.npz"), answers.canonical(question, table))
    peer.close()
    best, median = min(seconds), statistics.median(seconds)
    return {"best": best, "median": median, "runs": len(seconds), "peak": peak}


def run_streamed(peer: Peer, data: DataSet, target: Path, task: str) -> Result:
    """Measure a task whose result is read batch by batch and not kept, by the readings that it scans."""
    peer.open(target)
    best = float("inf")
    for _ in range(2):
        start = time.perf_counter()
        made = sum(batch.num_rows for batch in peer.streamed(task))
        best = min(best, time.perf_counter() - start)
    peak = memory_peak()
    peer.close()
    return {"seconds": best, "rows": data.rows, "made": made, "peak": peak}


def run_writes(peer: Peer, data: DataSet, target: Path, _: str) -> Result:
    """Count durable writes of one reading each, to one meter after another."""
    peer.open(target)
    peer.write_one(data.year_keys[0], LAST_HOUR_US, 0.0)  # warm
    count = 1
    start = time.perf_counter()
    while (seconds := time.perf_counter() - start) < WRITE_SECONDS:
        key = data.year_keys[count % len(data.year_keys)]
        peer.write_one(key, LAST_HOUR_US + count * HOUR_US, float(count))
        count += 1
    peer.close()
    return {"per_second": (count - 1) / seconds}


def run_disk(data: DataSet, target: Path) -> Result:
    """Count the disk's own appends of 4 KiB with fdatasync, and time the bare Arrow source.

    The load average, taken first, tells whether the machine was at rest.
    """
    load_average = os.getloadavg()[0]
    path = target.with_suffix(".disk")
    path.parent.mkdir(parents=True, exist_ok=True)
    count, block = 0, bytes(4096)
    with path.open("wb", buffering=0) as file:
        start = time.perf_counter()
        while (seconds := time.perf_counter() - start) < WRITE_SECONDS:
            file.write(block)
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    into_memory(data.path("sorted.arrow"))
    start = time.perf_counter()
    rows = sum(batch.num_rows for batch in stream(data.path("sorted.arrow")))
    source = time.perf_counter() - start
    return {
        "per_second": count / seconds,
        "source_seconds": source,
        "rows": rows,
        "load_average": load_average,
    }


def run(job: dict[str, Any]) -> Result:
    """Run one job; what the peer cannot do comes back as a word."""
    data, target, task = DataSet(**job["data"]), Path(job["target"]), job["task"]
    if task == "disk":
        return run_disk(data, target)
    tasks = {"load": run_load, "ordered": run_load, "csv": run_load}
    tasks |= dict.fromkeys(STREAMED, run_streamed)
    measure = {**tasks, "compact": run_compact, "writes": run_writes}.get(task, run_question)
    try:
        peer = load_peer(job["peer"])
        version = peer.version()
        result = measure(peer, data, target, task)
    except ImportError as error:
        return {"word": f"not installed ({error})"}
    except NotOffered as error:
        return {"word": str(error)}
    return {"peak": memory_peak(), **result, "version": version}


def main() -> None:
    """Read the job, run it, write the result beside it."""
    path = Path(sys.argv[1])
    pa.set_cpu_count(THREADS)
    path.with_suffix(".result").write_text(json.dumps(run(json.loads(path.read_text()))))


if __name__ == "__main__":
    main()
