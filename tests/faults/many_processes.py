"""A program of one role on a shared store: `python many_processes.py STORE ROLE SECONDS SEED`.

Each write gives two series readings that cancel out, so that of whatever commit a reader sees, every sum is
zero and both series have the same times. It prints how many rounds it made.
"""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from lives import HOUR, small_limits

import smartdata_ts as sd

PAIRS = [("in-1", "out-1"), ("in-2", "out-2")]
TIMES_MAX = 3000


def write(store: sd.Store, choose: random.Random) -> None:
    """A few readings, a run of them, or several batches; new ones and corrections of old ones."""
    batches = choose.choice([1, 1, 1, 3])
    with store.writer(note="pair") as writer:
        for _ in range(batches):
            first, count = choose.randrange(TIMES_MAX), choose.choice([1, 2, 5, 60, 200])
            times = np.arange(first, min(first + count, TIMES_MAX)) * HOUR
            values = np.full(times.size, float(choose.randrange(1, 1000)))
            for one, other in PAIRS:
                writer.write({"series": one, "time": times, "value": values})
                writer.write({"series": other, "time": times, "value": -values})


def compact(store: sd.Store, choose: random.Random) -> None:
    """A compaction, and a pause, so that chunks come to be again."""
    store.compact()
    time.sleep(choose.random() / 5)


class Reader:
    """Asks one thing after the other; each answer must be that of one commit, none older than the last."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, store: sd.Store, choose: random.Random) -> None:
        choose.choice([self.readings, self.buckets, self.newest])(store)

    def readings(self, store: sd.Store) -> None:
        table = store.query().to_arrow()
        names, times = np.asarray(table["series"]), np.asarray(table["time"].cast("int64"))
        values = np.asarray(table["value"])
        for one, other in PAIRS:
            mine, its = names == one, names == other
            assert np.array_equal(times[mine], times[its])
            assert np.array_equal(values[mine], -values[its])
            assert (np.diff(times[mine]) > 0).all()
        assert table.num_rows >= self._count, "readings that have been seen are gone"
        self._count = table.num_rows

    def buckets(self, store: sd.Store) -> None:
        table = store.query().resample("1w", ["count", "sum"]).to_arrow()
        names, sums = np.asarray(table["series"]), np.asarray(table["sum"])
        for one, other in PAIRS:
            assert np.array_equal(sums[names == one], -sums[names == other])

    def newest(self, store: sd.Store) -> None:
        rows = store.query().last().to_arrow().to_pylist()
        assert len({row["time"] for row in rows}) <= 1
        assert sum(row["value"] for row in rows) == 0


def main(path: Path, role: str, seconds: float, seed: int) -> None:
    roles: dict[str, Callable[[sd.Store, random.Random], None]] = {
        "writer": write,
        "compactor": compact,
        "reader": Reader(),
    }
    choose, rounds = random.Random(seed), 0
    with small_limits(), sd.open(path, mode="r" if role == "reader" else "a", timeout_s=60) as store:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            roles[role](store, choose)
            rounds += 1
    sys.stdout.write(f"{rounds}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
