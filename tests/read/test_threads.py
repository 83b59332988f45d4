"""Threads: as many as were asked for answer and write, the answers are the same, and none is left running."""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts._read import threads as read_threads
from smartdata_ts._storage.snapshot import ChunkFiles
from smartdata_ts.errors import UsageError

HOUR = 3_600_000_000
READINGS = 400_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("threads") / "city.sdts"
    with sd.open(folder, threads=3) as store, store.writer() as writer:
        for series in range(40):
            count = READINGS // 40
            times = 1_700_000_000_000_000 + np.arange(count) * HOUR
            writer.write({"series": f"wm-{series}", "time": times, "value": np.arange(count) * 0.25 + series})
    return folder


def names_at_work(run: Any) -> set[str]:
    """The threads that ran the tasks of a function."""
    seen: set[str] = set()

    def task(number: int) -> int:
        seen.add(threading.current_thread().name)
        barrier.wait(10)
        return number

    barrier = threading.Barrier(run.parties)
    assert list(run(task)) == list(range(run.parties))
    return seen


@pytest.mark.parametrize("count", [1, 2, 5])
def test_tasks_run_on_so_many_threads_in_order(count: int) -> None:
    class Run:
        parties = count

        def __call__(self, task: Any) -> Any:
            return read_threads.in_order(task, range(count), 10**9, count)

    names = names_at_work(Run())
    assert len(names) == count
    assert (names == {threading.current_thread().name}) == (count == 1)
    assert not any(thread.name.startswith("smartdata_ts") for thread in threading.enumerate())


def test_answers_do_not_depend_on_the_threads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_threads, "_THREADS_FROM_READINGS", 1)
    answers = []
    for count in (1, 2, 7):
        with sd.open(path, mode="r", threads=count) as store:
            days = store.query(tz="Europe/Oslo").resample("1d", ["count", "sum", "last"]).to_arrow()
            answers.append((store.query().to_arrow(), days, store.verify(deep=True).problems))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0].num_rows == READINGS


@pytest.mark.parametrize("cores", [1, 3, 64])
def test_the_cores_of_the_process_are_used_by_default(
    path: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    with sd.open(path, mode="r") as store:
        assert store.pin()[1].thread_count == min(cores, 8)
    with sd.open(path, mode="r", threads=12) as store:
        assert store.pin()[1].thread_count == 12


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, None.__class__])
def test_what_is_no_number_of_threads_is_refused(path: Path, wrong: Any) -> None:
    with pytest.raises(UsageError, match="threads must be a whole number, at least 1"):
        sd.open(path, threads=wrong)


def test_files_of_no_handle_are_read_on_one_thread(tmp_path: Path) -> None:
    assert ChunkFiles(tmp_path).thread_count == 1
