"""A program that damages a store: `python flip_bytes.py STORE FILE STEP SEED`; prints a line each.

Each `STEP`-th byte of the file is changed in turn, from a random one on, and the file cut there. The store is
opened and asked all that it can be asked; each ends in the right answer or in a SmartDataError. Whatever
dies, hangs for ten seconds, or takes another gigabyte, is an error too: each share of the bytes is a child's.
"""

import os
import random
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

import smartdata_ts as sd
from smartdata_ts.errors import SmartDataError

MEMORY_MAX = 1 << 30
HANG_S = 10
SALVAGED_EVERY = 5
SHARE = 500  # damages to a child


def answers(path: Path) -> dict[str, object]:
    """All that a store says, question by question; an error of ours in place of an answer."""
    questions: dict[str, Callable[[sd.Store], object]] = {
        "readings": lambda store: store.query().to_arrow(),
        "one series": lambda store: store.query("wm-1").to_arrow(),
        "tagged": lambda store: store.query(tags={"zone": "north"}).to_arrow(),
        "daily": lambda store: store.query().resample("1d", ["count", "sum", "max"]).to_arrow(),
        "last": lambda store: store.query().last().to_arrow(),
        "past": lambda store: store.query(as_of=2).to_arrow(),
        "series": lambda store: store.series(),
        "commits": lambda store: store.commits(),
        "verify": lambda store: store.verify(deep=True).problems,
        "count": lambda store: (store.info().readings, store.info().series, store.info().commit),
    }
    found: dict[str, object] = {}
    try:
        with sd.open(path, mode="r") as store:
            for name, ask in questions.items():
                try:
                    found[name] = ask(store)
                except SmartDataError as problem:
                    found[name] = problem
                except Exception as problem:  # what nobody should ever see
                    found[name] = repr(problem)
    except SmartDataError as problem:
        return dict.fromkeys(questions, problem)
    except Exception as problem:
        return dict.fromkeys(questions, repr(problem))
    return found


def _same(answer: object, right: object) -> bool:
    return answer.equals(right) if isinstance(answer, pa.Table) else answer == right


def damages(data: bytes, step: int, choose: random.Random) -> Iterator[tuple[str, bytes]]:
    """What is done to a file, and what it is then."""
    for place in range(choose.randrange(step), len(data), step):
        change = choose.choice([0xFF, 1 << choose.randrange(8), choose.randrange(1, 256)])
        yield f"byte {place} ^ {change}", data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]
        if choose.random() < 0.2:
            yield f"cut at {place}", data[:place]


def salvaged(store: Path, right: object) -> list[str]:
    """What is wrong with what can be salvaged: readings that never were, or are missed without a word."""
    assert isinstance(right, pa.Table)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "salvaged.sdts"
        try:
            report = sd.salvage(store, target)
            with sd.open(target, mode="r") as rescued:
                found = set(places(rescued.query().to_arrow()))
        except SmartDataError:
            return []
        except Exception as problem:
            return [f"salvage: {problem!r}"]
    missing = set(places(right)) - found
    wrong = ["salvage lost some silently"] if missing and not report.losses else []
    # Where a correction is lost, what it corrected stands; where a deletion is, so does what it deleted.
    return wrong + ["salvage made some up"] * bool(found - set(places(right)))


def places(table: pa.Table) -> list[tuple[str, int]]:
    """Series and time of each reading."""
    return list(zip(table["series"].to_pylist(), table["time"].cast("int64").to_pylist(), strict=True))


def share(store: Path, file: Path, done: list[tuple[str, bytes]]) -> None:
    """In a child: do each damage, and tell of wrong answers."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_MAX,) * 2)
    right = answers(store)
    for number, (what, data) in enumerate(done):
        file.write_bytes(data)
        sys.stdout.write(f"{file.name} {what}: ")  # stays in the buffer, unless this is the end
        signal.alarm(HANG_S)
        sys.stdout.flush()
        found = answers(store)
        signal.alarm(0)
        wrong = [name for name, answer in found.items() if not _same(answer, right[name])]
        told = [
            name for name in wrong if not isinstance(found[name], SmartDataError | list)
        ]  # a list: verify's problems
        if wrong and "verify" not in wrong:
            told.append("verify found nothing")
        if number % SALVAGED_EVERY == 0:
            told += salvaged(store, right["readings"])
        raised = {found[name] for name in told if isinstance(found.get(name), str)}
        sys.stdout.write(f"wrong: {', '.join([*told, *map(str, raised)])}\n" if told else "ok\n")


def main(store: Path, name: str, step: int, seed: int) -> int:
    choose = random.Random(seed)
    file = store / name
    before = file.read_bytes()
    all_of_them = list(damages(before, step, choose))
    answers(store)  # loads all that children need
    failed = 0
    for first in range(0, len(all_of_them), SHARE):
        file.write_bytes(before)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                share(store, file, all_of_them[first : first + SHARE])
                sys.stdout.flush()
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        if ended:
            sys.stdout.write(f"the child ended with {ended}\n")
            sys.stdout.flush()
            failed += 1
    file.write_bytes(before)
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
