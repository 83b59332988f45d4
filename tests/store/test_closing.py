"""A handle that one thread closes while others use it: each call finishes, or says that it is closed."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts.errors import ClosedError, SmartDataError

RUN_S = 1.0  # of each call's race
HOUR = 3_600_000_000


def write_much(store: sd.Store) -> None:
    with store.writer() as writer:
        for k in range(3):
            writer.write({"series": f"m{k}", "time": np.arange(100), "value": np.zeros(100)})


CALLS: dict[str, Callable[[sd.Store, Path], Any]] = {
    "write": lambda store, _: store.write({"series": "a", "time": [time.time_ns()], "value": [1.0]}),
    "writer": lambda store, _: write_much(store),
    "describe": lambda store, _: store.describe("a", unit="m3"),
    "exchange": lambda store, _: store.exchange("a", "2024-01-01", 1.0),
    "read": lambda store, _: store.query().to_arrow(),
    "half": lambda store, _: next(iter(store.query().to_batches())),
    "past": lambda store, _: store.query(as_of=1).to_arrow(),
    "daily": lambda store, _: store.query().resample("1d", ["count", "sum"]).to_arrow(),
    "consumption": lambda store, _: store.query("a").consumption().to_arrow(),
    "last": lambda store, _: store.query().last().to_arrow(),
    "losses": lambda store, _: store.query().losses(),
    "series": lambda store, _: (store.series(), store.exchanges()),
    "info": lambda store, _: store.info(),
    "history": lambda store, _: (store.commits(), store.changes(since=0).read_all(), store.snapshots()),
    "snapshot": lambda store, _: (store.snapshot("s"), store.release("s")),
    "retention": lambda store, _: (store.set_retention([]), store.retention(), store.apply_retention()),
    "compact": lambda store, _: store.compact(),
    "delete": lambda store, _: store.delete("b", end="1970-01-02"),
    "backup": lambda store, folder: store.backup(folder / "backup"),
    "verify": lambda store, _: store.verify(),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "city.sdts"
    with sd.open(path) as store:
        for key in ("a", "b"):
            store.write({"series": key, "time": np.arange(500) * HOUR, "value": np.arange(500) / 7})
        store.describe("a", unit="m3", kind="register")
        store.compact()
    return path


def race(call: Callable[[sd.Store, Path], Any], path: Path, wait_s: float) -> tuple[list[BaseException], int]:
    """Two threads call again and again until the handle is closed; how that ended, and how many finished."""
    store = sd.open(path)
    ends: list[BaseException] = []
    count = 0

    def use() -> None:
        nonlocal count
        try:
            while True:
                call(store, path.parent)
                count += 1
        except BaseException as problem:
            ends.append(problem)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(wait_s)
    closers = [threading.Thread(target=store.close) for _ in range(2)]
    for thread in (*closers, *threads):
        if thread in closers:
            thread.start()
    for thread in (*closers, *threads):
        thread.join(60)
        assert not thread.is_alive(), "somebody hangs"
    return ends, count


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_races_with_close_finishes_or_says_so(name: str, path: Path) -> None:
    until, closed = time.monotonic() + RUN_S, 0
    waits = np.random.default_rng(7)
    while time.monotonic() < until:
        ends, _ = race(CALLS[name], path, float(waits.uniform(0, 0.02)))
        for end in ends:
            # Two threads may also be in each other's way, as two handles may: with an error of ours.
            assert isinstance(end, SmartDataError), repr(end)
            closed += isinstance(end, ClosedError)
    assert closed > 0
    with sd.open(path) as store:
        assert store.verify(deep=True).problems == []
        assert store.write({"series": "after", "time": [0], "value": [1.0]}).commit is not None


def test_a_write_that_is_under_way_finishes_before_the_handle_closes(path: Path) -> None:
    store = sd.open(path)
    begun, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with store.writer() as writer:
            writer.write({"series": "c", "time": [0], "value": [1.0]})
            begun.set()
            go_on.wait(60)

    writing, closing = threading.Thread(target=write), threading.Thread(target=store.close)
    writing.start()
    begun.wait(60)
    closing.start()
    time.sleep(0.05)
    go_on.set()
    for thread in (writing, closing):
        thread.join(60)
        assert not thread.is_alive()
    with sd.open(path, "r") as reader:
        assert reader.query("c").to_arrow().num_rows == 1


def test_a_writer_whose_handle_is_closed_within_its_block_says_so(path: Path) -> None:
    store = sd.open(path)
    writer = store.writer()
    writer.__enter__()
    writer.write({"series": "c", "time": [0], "value": [1.0]})
    store.close()
    with pytest.raises(ClosedError, match="closed"):
        writer.__exit__(None, None, None)
    with sd.open(path, timeout_s=1) as other:
        assert other.write({"series": "d", "time": [0], "value": [1.0]}).stored == 1
        assert other.info().series == 3


def test_every_call_of_a_closed_handle_says_so(path: Path) -> None:
    store = sd.open(path)
    store.close()
    for name, call in CALLS.items():
        with pytest.raises(ClosedError, match="closed"):
            pytest.fail(f"{name}: {call(store, path.parent)}")
