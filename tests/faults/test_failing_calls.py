"""Every call of the system's fails once, in every scenario: it ends in an error of ours, or well.

What was committed stays, the next write works, nothing is left on the disk, in threads or descriptors.
"""

import errno
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lives import (
    HOUR,
    Compact,
    Delete,
    Erase,
    Model,
    Operation,
    Write,
    check,
    check_no_leaks,
    contents,
    small_limits,
)
from soak import SOAK
from watched_os import Hook, watched

import smartdata_ts as sd
from smartdata_ts.errors import DiskFullError, SmartDataError


def run_of(key: str, first: int, count: int, value: float) -> tuple[tuple[str, int, float], ...]:
    return tuple((key, (first + k) * HOUR, value + k) for k in range(count))


BEFORE = [
    Write((run_of("a", 0, 150, 0.5),)),
    Write((run_of("b", 9000, 150, 1.5),)),
    Write((run_of("a", 100, 130, 2.5), run_of("b", 8900, 150, 3.5))),
    Write((run_of("c", 0, 3, 4.5),)),
]
SCENARIOS = {
    "write to the head": Write((run_of("c", 3, 2, 5.5),)),
    "write chunks": Write((run_of("a", 200, 300, 6.5),)),
    "spill": Write((run_of("a", 300, 355, 6.5), run_of("b", 0, 40, 7.5), run_of("d", 0, 1, 8.5))),
    "flush the head": Write((run_of("c", 1, 99, 9.5),)),
    "compact": Compact(),
    "delete": Delete("a", 50 * HOUR, 180 * HOUR),
    "erase": Erase("b"),
}


@pytest.fixture(scope="module", autouse=True)
def limits() -> Iterator[None]:
    with small_limits():
        yield


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    path, model = tmp_path_factory.mktemp("before") / "city.sdts", Model()
    with sd.open(path) as store:
        for operation in BEFORE:
            operation.run(store)
            operation.apply(model)
        (path / "chunks" / "1970-left.arrow.partial").write_bytes(b"by a writer that was killed")
    return path, model


def failing(number: int, fault: int, for_good: bool) -> Hook:
    """Let the call of this number fail, and, where `for_good`, all that come after it."""

    def hook(count: int, name: str, _arguments: tuple[Any, ...]) -> None:
        if count == number or (for_good and count > number):
            raise OSError(fault, os.strerror(fault), name)

    return hook


def short_write(number: int) -> Hook:
    """Let a write take half of what it is given, and the one after it nothing for want of space."""

    def hook(count: int, name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if name == "write" and count == number and len(arguments[1]) > 1:
            return arguments[0], arguments[1][: len(arguments[1]) // 2]
        if name == "write" and count == number + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return None

    return hook


FAULTS: dict[str, Callable[[int], Hook]] = {
    "EIO": lambda number: failing(number, errno.EIO, False),
    "EIO from there on": lambda number: failing(number, errno.EIO, True),
    "ENOSPC": lambda number: failing(number, errno.ENOSPC, False),
    "ENOSPC from there on": lambda number: failing(number, errno.ENOSPC, True),
    "EINTR": lambda number: failing(number, errno.EINTR, False),
    "short write": short_write,
}


@contextmanager
def nothing_left() -> Iterator[None]:
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    yield
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208


# How a call can fail, and the faults that stand for it in turn; in a soak each call meets all of them.
WAYS = {
    "once": ["EIO", "ENOSPC", "EINTR"],
    "from there on": ["EIO from there on", "ENOSPC from there on"],
    "short": ["short write"],
}


def calls_of(run: Callable[[], object], way: str = "once") -> list[int]:
    """Return the numbers of the calls that it makes, or only of those that a way concerns.

    Of the many that write to a file, it takes some.
    """
    names: list[str] = []

    def hook(_count: int, name: str, _arguments: tuple[Any, ...]) -> None:
        names.append(name)

    with watched(hook):
        run()
    every = 1 if SOAK > 1 else 23
    writes = [number for number, name in enumerate(names) if name == "write"][::every]
    if way == "short":
        return writes
    return sorted({*writes, *(number for number, name in enumerate(names) if name != "write")})


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_call_that_fails_spoils_nothing(
    scenario: str, way: str, before: tuple[Path, Model], tmp_path: Path
) -> None:
    operation, (origin, model) = SCENARIOS[scenario], before
    after = dict(model)
    operation.apply(after)

    def rehearse() -> None:
        with sd.open(shutil.copytree(origin, tmp_path / "rehearsal")) as store:
            operation.run(store)

    outcomes = set()
    for place, number in enumerate(calls_of(rehearse, way)):
        faults = WAYS[way]
        for fault in faults if SOAK > 1 else [faults[place % len(faults)]]:
            path = shutil.copytree(origin, tmp_path / str(number))
            with nothing_left():
                outcomes.add(fail_once(path, operation, FAULTS[fault](number), model, after))
            shutil.rmtree(path)
    if way != "short":
        assert "failed" in outcomes


def fail_once(path: Path, operation: Operation, hook: Hook, model: Model, after: Model) -> str:
    outcome, told, store = "failed", "", None
    try:
        with watched(hook):
            try:
                store = sd.open(path)
                operation.run(store)
                outcome = "succeeded"
            except SmartDataError as problem:
                told = str(problem)
        assert outcome == "succeeded" or str(path) in told
        store = store or sd.open(path)
        expected = after if outcome == "succeeded" else model
        if isinstance(operation, Erase) and outcome == "failed" and contents(store) == after:
            expected = after  # what is left of an erasure is done by the next handle
        assert contents(store) == expected
        one = Write((run_of("next", 0, 1, 0.25),))
        one.run(store)
        expected = dict(expected)
        one.apply(expected)
        check_no_leaks(store, path)
        assert contents(store) == expected
    finally:
        if store is not None:
            store.close()
    with sd.open(path, mode="r") as reader:
        check(reader, expected)
    return outcome


def ask(path: Path) -> Model:
    with sd.open(path, mode="r") as store:
        store.series()
        store.query().last().to_arrow()
        store.query().resample("1d", ["count", "sum"]).to_arrow()
        return contents(store)


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "short write"])
def test_a_call_that_fails_while_reading_is_told(fault: str, before: tuple[Path, Model]) -> None:
    path, model = before
    for number in calls_of(lambda: ask(path)):
        with nothing_left():
            told = str(path)
            with watched(FAULTS[fault](number)):
                try:
                    assert ask(path) == model
                except SmartDataError as problem:
                    told = str(problem)
            assert str(path) in told
            assert ask(path) == model


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "short write"])
def test_a_store_whose_creation_fails_is_created_the_next_time(fault: str, tmp_path: Path) -> None:
    def create(path: Path) -> None:
        sd.open(path).close()

    for number in calls_of(lambda: create(tmp_path / "rehearsal")):
        path = tmp_path / "towns" / f"{number}.sdts"
        with nothing_left():
            told = str(tmp_path)
            with watched(FAULTS[fault](number)):
                try:
                    create(path)
                except SmartDataError as problem:
                    told = str(problem)
            assert str(tmp_path) in told
            with sd.open(path) as store:
                check(store, {})
                store.write({"series": "a", "time": [0], "value": [1.0]})
                check(store, {("a", 0): 1.0})
        shutil.rmtree(tmp_path / "towns")


def test_a_full_disk_is_named_as_one(before: tuple[Path, Model], tmp_path: Path) -> None:
    path = shutil.copytree(before[0], tmp_path / "city.sdts")

    def hook(_count: int, name: str, _arguments: tuple[Any, ...]) -> None:
        if name == "write":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with sd.open(path) as store, watched(hook), pytest.raises(DiskFullError, match="free some space"):
        SCENARIOS["write chunks"].run(store)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_kill_before_every_call_leaves_all_or_nothing(
    scenario: str, before: tuple[Path, Model], tmp_path: Path
) -> None:
    operation, (origin, model) = SCENARIOS[scenario], before
    after = dict(model)
    operation.apply(after)

    def run(path: Path) -> None:
        with sd.open(path) as store:
            operation.run(store)

    for number in calls_of(lambda: run(shutil.copytree(origin, tmp_path / "rehearsal"))):
        path = shutil.copytree(origin, tmp_path / str(number))

        def hook(count: int, _name: str, _arguments: tuple[Any, ...], last: int = number) -> None:
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)

        die(lambda path=path, hook=hook: meddled(run, path, hook))  # type: ignore[misc]
        with sd.open(path, timeout_s=5) as store:
            assert contents(store) in (model, after)
            check_no_leaks(store, path)
            assert contents(store) in (model, after)
        shutil.rmtree(path)


def meddled(run: Callable[[Path], None], path: Path, hook: Hook) -> None:
    with watched(hook):
        run(path)


def die(run: Callable[[], None]) -> None:
    """Run something in a child that is killed by it."""
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
