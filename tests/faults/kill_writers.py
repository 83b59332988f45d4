"""A program that kills writers: `python kill_writers.py DIRECTORY KILLS SEED`. It prints one line of counts.

It imports once and forks, so that a writer's start costs nothing. The writer says over a pipe how many
operations have returned; it is killed (SIGKILL) at a random instant, the store opened, and compared with
the oracle. The next writer goes on where the last one died; every some kills a new store is begun.
"""

import os
import random
import select
import signal
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

from lives import Oracle, check, check_no_leaks, contents, operations, small_limits

import smartdata_ts as sd

KILLS_A_STORE = 25
OPERATIONS_MAX = 400
LONGEST_S = 0.1


def live(path: Path, seed: int, first: int, pipe: int) -> None:
    """A writer: run operations from the one numbered `first` on, and tell of each that has returned."""
    with sd.open(path) as store:
        for number, operation in enumerate(operations(seed)):
            if number >= first:
                operation.run(store)
                os.write(pipe, b".")
            if number >= OPERATIONS_MAX:
                return


def killed_writer(path: Path, seed: int, first: int, delay_s: float) -> int:
    """Fork a writer, kill it after `delay_s`; the count of operations that had returned."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            live(path, seed, first, write)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    deadline = time.monotonic() + delay_s
    returned, ended = 0, False
    while not ended and (left := deadline - time.monotonic()) > 0:
        if select.select([read], [], [], left)[0]:
            told = os.read(read, 4096)
            returned, ended = returned + len(told), not told
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while told := os.read(read, 4096):
        returned += len(told)
    os.close(read)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the writer failed before it was killed"
    return returned


def matches(path: Path, oracle: Oracle, returned: int) -> int:
    """Hold the store to the oracle; how many operations it shows, one in flight perhaps included."""
    with sd.open(path, timeout_s=5) as store:
        found = contents(store)
        shown = next((k for k in (returned, returned + 1) if oracle.after(k) == found), None)
        assert shown is not None, f"after {returned} operations the store shows something else"
        check(store, oracle.after(shown))
        oracle.check_commits(store, shown)
    return shown


def _warm_up(path: Path, seed: int) -> None:
    """Load what writers load, so that they spend their short lives writing."""
    with small_limits(), sd.open(path) as store:
        for operation, _ in zip(operations(seed), range(30), strict=False):
            operation.run(store)
        check_no_leaks(store, path)


def main(directory: Path, kill_count: int, seed: int) -> None:
    choose = random.Random(seed)
    counts: Counter[str] = Counter()
    _warm_up(directory / "warm.sdts", choose.randrange(2**32))
    while counts["kills"] < kill_count:
        life = choose.randrange(2**32)
        path, oracle, done = directory / f"{counts['stores']}.sdts", Oracle(life), 0
        counts["stores"] += 1
        with small_limits() if choose.random() < 0.8 else nullcontext():
            for _ in range(min(KILLS_A_STORE, kill_count - counts["kills"])):
                if done >= OPERATIONS_MAX:
                    break
                returned = killed_writer(path, life, done, choose.uniform(0, LONGEST_S))
                shown = matches(path, oracle, done + returned)
                counts["kills"] += 1
                counts["operations"] += returned
                counts["in flight and kept"] += shown - done - returned
                done = shown
                if choose.random() < 0.1:
                    with sd.open(path) as store:
                        check_no_leaks(store, path)
                        check(store, oracle.after(done))
                    counts["swept"] += 1
    sys.stdout.write(", ".join(f"{name} {count}" for name, count in counts.items()) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
