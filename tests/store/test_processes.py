"""Several processes on one store: writers take turns, readers never wait, handles know where they belong."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import warnings
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import smartdata_ts as sd
from smartdata_ts.errors import ClosedError, StoreBusyError

PROCESSES = multiprocessing.get_context("spawn")
WAIT_S = 120.0  # for a child, on a machine under any load
COUNT = 60


def write_in_turn(path: str, name: str) -> None:
    """A child: small writes of its own series, and one common series."""
    with sd.open(path) as store:
        for k in range(COUNT):
            report = store.write({"series": [name, "common"], "time": [k, k], "value": [float(k), float(k)]})
            assert report.rows == 2
            assert store.query(name).to_arrow().num_rows == k + 1


def write_bulk(path: str, started: Event, go_on: Event) -> None:
    """A child: one large write, which waits before its end."""
    with sd.open(path) as store, store.writer() as writer:
        writer.write({"series": "bulk", "time": np.arange(200_000), "value": np.zeros(200_000)})
        started.set()
        assert go_on.wait(WAIT_S)


def count_rows(packed: bytes) -> int:
    """A child: run a query that came in a pickle."""
    query = pickle.loads(packed)
    assert isinstance(query, sd.Query)
    with query.store:  # type: ignore[attr-defined]
        return int(query.to_arrow().num_rows)


def start(target: object, *arguments: object) -> multiprocessing.process.BaseProcess:
    process = PROCESSES.Process(target=target, args=arguments)  # type: ignore[arg-type]
    process.start()
    return process


def finish(*processes: multiprocessing.process.BaseProcess) -> None:
    for process in processes:
        process.join(WAIT_S)
        assert process.exitcode == 0


def test_processes_create_one_store_and_write_in_turn(tmp_path: Path) -> None:
    path = str(tmp_path / "city.sdts")
    finish(*[start(write_in_turn, path, name) for name in ("a", "b", "c")])
    with sd.open(path) as store:
        info = store.info()
        assert info.series == 4
        assert info.readings == 4 * COUNT
        result = store.query().resample("1d", ["count", "sum"]).to_arrow().to_pylist()
        assert [row["count"] for row in result] == [COUNT] * 4
        assert [row["sum"] for row in result] == [sum(range(COUNT))] * 4


def test_readers_go_on_and_writers_give_up_while_another_process_writes(tmp_path: Path) -> None:
    path = str(tmp_path / "city.sdts")
    started, go_on = PROCESSES.Event(), PROCESSES.Event()
    with sd.open(path, timeout_s=0.1) as store:
        store.write({"series": "a", "time": [1], "value": [1.0]})
        child = start(write_bulk, path, started, go_on)
        try:
            assert started.wait(WAIT_S)
            assert store.query().to_arrow().num_rows == 1
            assert store.info().readings == 1
            with sd.open(path, mode="r") as reader:
                assert reader.query().last().to_arrow().num_rows == 1
            with pytest.raises(StoreBusyError, match="longer than the timeout"):
                store.write({"series": "a", "time": [2], "value": [1.0]})
        finally:
            go_on.set()
            finish(child)
        assert store.query().to_arrow().num_rows == 200_001
        assert store.write({"series": "a", "time": [2], "value": [1.0]}).stored == 1


def test_a_query_runs_in_another_process(tmp_path: Path) -> None:
    with sd.open(tmp_path / "city.sdts") as store:
        store.write({"series": ["a", "b"], "time": [1, 2], "value": [1.0, 2.0]})
        queries = [store.query(), store.query("a"), store.query().last(), store.query().resample("1d", "sum")]
        with PROCESSES.Pool(1) as pool:
            counts = pool.map(count_rows, [pickle.dumps(query) for query in queries])
            pool.close()
            pool.join()
        assert counts == [query.to_arrow().num_rows for query in queries] == [2, 1, 2, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_handle_carried_across_fork_says_so(tmp_path: Path) -> None:
    with sd.open(tmp_path / "city.sdts") as store:
        store.write({"series": "a", "time": [1], "value": [1.0]})
        query = store.query()
        read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads may live at a fork
            child = os.fork()
        if child == 0:
            told = []
            one = {"series": "a", "time": [2], "value": [1.0]}
            for use in (query.to_arrow, store.query, store.info, lambda: store.write(one)):
                try:
                    use()
                except ClosedError as problem:
                    told.append("fork" in str(problem))
            store.close()  # no error, and nothing of the parent's is closed
            with sd.open(tmp_path / "city.sdts") as own:
                told.append(own.query().to_arrow().num_rows == 1)
            os.write(write, repr(told).encode())
            os._exit(0)
        os.close(write)
        _, status = os.waitpid(child, 0)
        assert status == 0
        assert os.read(read, 1000).decode() == repr([True] * 5)
        os.close(read)
        assert store.query().to_arrow().num_rows == 1
        assert store.write({"series": "a", "time": [2], "value": [1.0]}).stored == 1


def test_importing_and_using_prints_nothing_and_changes_nothing(tmp_path: Path) -> None:
    program = f"""
import locale, os, signal, threading, warnings
import numba, numpy, pyarrow  # which set filters of their own
def state():
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    filters, threads = list(warnings.filters), threading.enumerate()
    return (locale.setlocale(locale.LC_ALL), os.getcwd(), handlers, filters, threads)
before = state()
import smartdata_ts as sd
with sd.open({str(tmp_path / "s")!r}) as store:
    store.write({{"series": "a", "time": [1], "value": [1.0]}})
    assert store.query().resample("1d", "sum").to_arrow().num_rows == 1
assert state() == before
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    assert (result.stdout, result.stderr) == ("", "")


def test_a_write_that_returned_outlives_the_process(tmp_path: Path) -> None:
    program = f"""
import os, numpy as np, smartdata_ts as sd
store = sd.open({str(tmp_path / "s")!r})
store.write({{"series": "a", "time": [1], "value": [1.0]}})
store.write({{"series": "b", "time": np.arange(70_000), "value": np.zeros(70_000)}})
writer = store.writer()
writer.__enter__()
writer.write({{"series": "c", "time": [1], "value": [1.0]}})
os._exit(1)
"""
    result = subprocess.run([sys.executable, "-c", program], timeout=WAIT_S, check=False)
    assert result.returncode == 1
    with sd.open(tmp_path / "s", timeout_s=1) as store:
        counts = pa.table(store.query()).group_by("series").aggregate([([], "count_all")]).to_pydict()
        assert dict(zip(counts["series"], counts["count_all"], strict=True)) == {"a": 1, "b": 70_000}
        assert store.write({"series": "c", "time": [1], "value": [1.0]}).series_created == 1
