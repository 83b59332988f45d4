"""What a child inherits by a fork is its parent's: it says so, does nothing to it, and ends without harm."""

import gc
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import smartdata_ts as sd
from smartdata_ts._write import writer as writer_module
from smartdata_ts.errors import ClosedError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

WAIT_S = 60.0
ONE = {"series": "a", "time": [1], "value": [1.0]}


def rows(key: str, count: int) -> dict[str, object]:
    return {"series": key, "time": np.arange(count), "value": np.arange(count) / 7}


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads may live at a fork
        return os.fork()


def told_by_child(run: Callable[[], object], ends: str = "at once") -> str:
    """What a child says that runs something: the name of its error, and its message; it has a minute.

    It ends at once, or as a program does: what it inherits is then freed.
    """
    source, sink = os.pipe()
    child = fork()
    if child == 0:
        try:
            told = repr(run())
        except BaseException as problem:
            told = f"{type(problem).__name__}: {problem}"
        os.write(sink, told.encode())
        if ends == "at once":
            os._exit(0)
        sys.stdout = sys.stderr = None
        gc.collect()
        sys.exit(0)  # through the tests' own frames, which is why it is caught below
    os.close(sink)
    try:
        ready, _, _ = select.select([source], [], [], WAIT_S)
        if not ready:
            os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == 0
        assert ready, "the child hangs"
        return os.read(source, 10_000).decode()
    finally:
        os.close(source)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "city.sdts"
    with sd.open(path) as store:
        store.write(rows("a", 10))
    return path


def expected(told: str) -> bool:
    """Of a C stream Arrow makes an error of its own, which quotes ours."""
    return "ClosedError: " in told and "fork" in told and "open the store again in the child" in told


USES: dict[str, Callable[[sd.Writer], object]] = {
    "write": lambda writer: writer.write(ONE),
    "write much": lambda writer: writer.write(rows("a", 200_000)),
    "end": lambda writer: writer.__exit__(None, None, None),
    "begin": lambda writer: writer.__enter__(),
}


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("count", [5, 100_000])
@pytest.mark.parametrize("use", USES)
def test_a_writer_is_its_parents(
    use: str, count: int, shared: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it has written chunks, and its transaction pages."""
    monkeypatch.setattr(writer_module, "BUFFER_READINGS", 20_000)
    with sd.open(path, shared_filesystem=shared) as store:
        with store.writer() as writer:
            writer.write(rows("b", count))
            assert expected(told_by_child(lambda: USES[use](writer)))
            writer.write(rows("c", count))
        assert writer.report.stored == 2 * count
        assert store.query().to_arrow().num_rows == 10 + 2 * count
        assert store.verify(deep=True).problems == []


@pytest.mark.parametrize("problem", [SystemExit, KeyboardInterrupt, ZeroDivisionError])
def test_an_error_in_a_child_leaves_the_block_and_undoes_nothing(
    problem: type[BaseException], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "BUFFER_READINGS", 20_000)
    with sd.open(path) as store, store.writer() as writer:
        writer.write(rows("b", 100_000))

        def fail_in_block() -> None:
            try:
                raise problem("in the child")
            except BaseException as error:
                writer.__exit__(type(error), error, error.__traceback__)
                raise

        assert told_by_child(fail_in_block) == f"{problem.__name__}: in the child"
    with sd.open(path) as store:
        assert store.query("b").to_arrow().num_rows == 100_000


def test_data_that_forks_is_written_by_the_parent_alone(path: Path) -> None:
    children = []

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch(rows("b", 10) | {"series": ["b"] * 10})
        children.append(fork())
        yield pa.record_batch(rows("c", 10) | {"series": ["c"] * 10})

    with sd.open(path) as store:
        schema = pa.record_batch(rows("b", 10) | {"series": ["b"] * 10}).schema
        try:
            store.write(pa.RecordBatchReader.from_batches(schema, batches()))
        except ClosedError:
            os._exit(7)
        finally:
            if children == [0]:
                os._exit(8)
        assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
        assert store.query().to_arrow().num_rows == 30


def program(path: Path, body: str) -> str:
    """A program whose child ends as programs do, by itself, with all that it inherits."""
    return f"""
import os, sys, numpy as np, smartdata_ts as sd
from smartdata_ts._write import writer
writer.BUFFER_READINGS = 20_000
path = {str(path)!r}
rows = lambda key, count: {{"series": key, "time": np.arange(count), "value": np.arange(count) / 7}}
{body}
"""


def run_program(path: Path, body: str) -> None:
    import subprocess

    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program(path, body)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("shared", [False, True])
def test_a_child_that_ends_by_itself_does_not_undo_what_its_parent_is_writing(
    shared: bool, path: Path
) -> None:
    """SQLite's connection would be freed with the interpreter, and roll back: from the parent's journal."""
    run_program(
        path,
        f"""
store = sd.open(path, shared_filesystem={shared})
with store.writer() as writer:
    writer.write(rows("b", 100_000))
    # So much that the transaction has pages in the log, or in the database beside the journal.
    catalog = store.writing_catalog()
    catalog._connection.execute("PRAGMA cache_size = 5")
    catalog.add_series([f"key {{k}}" for k in range(20_000)])
    child = os.fork()
    if child == 0:
        del store, writer, catalog
        import gc; gc.collect()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    writer.write(rows("c", 10))
assert store.query().to_arrow().num_rows == 100_020
assert store.verify(deep=True).problems == []
""",
    )
    with sd.open(path) as store:
        assert store.info().series == 20_003
        assert store.query().to_arrow().num_rows == 100_020


def test_a_pool_of_workers_within_a_write_says_so_and_the_parent_goes_on(path: Path) -> None:
    run_program(
        path,
        """
import multiprocessing
from smartdata_ts.errors import ClosedError
def write(key):
    try:
        writer.write({"series": key, "time": [0], "value": [1.0]})
    except ClosedError:
        return "closed"
with sd.open(path) as store, store.writer() as writer:
    writer.write(rows("b", 10))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(write, ["x", "y", "z"]) == ["closed"] * 3
        pool.close()
        pool.join()
    writer.write(rows("c", 10))
""",
    )
    with sd.open(path) as store:
        assert store.query().to_arrow().num_rows == 30


RESULTS: dict[str, Callable[[sd.Store], Iterator[pa.RecordBatch]]] = {
    "readings": lambda store: store.query("big").to_batches(),
    "resample": lambda store: store.query("big").resample("1d", "sum").to_batches(),
    "consumption": lambda store: store.query("big").consumption().to_batches(),
    "across": lambda store: store.query().consumption().resample("1d", "sum").aggregate("sum").to_batches(),
    "small": lambda store: store.query("a").to_batches(),
    "changes": lambda store: store.changes(since=0),
    "stream": lambda store: pa.RecordBatchReader.from_stream(store.query("big")),
}


@pytest.fixture
def big(path: Path) -> Path:
    with sd.open(path) as store:
        hours = np.arange(250_000) * 3_600_000_000 // 8
        store.describe(["big", "big 2", "a"], kind="register", unit="m3")
        store.write({"series": "big", "time": hours, "value": np.arange(hours.size) * 1.0})
        store.write({"series": "big 2", "time": hours[:100_000], "value": np.arange(100_000) * 1.0})
    return path


@pytest.mark.parametrize("ends", ["at once", "as a program"])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_its_parents(
    name: str, begun: bool, ends: str, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smartdata_ts._read import scan

    monkeypatch.setattr(scan, "SLICE_READINGS", 25_000)
    with sd.open(big) as store:
        count = sum(batch.num_rows for batch in RESULTS[name](store))
        result = iter(RESULTS[name](store))
        done = next(result).num_rows if begun else 0

        def read() -> object:
            return sum(batch.num_rows for batch in result)

        try:
            assert expected(told_by_child(read, ends))
        except SystemExit:  # the child's
            del result, store
            gc.collect()
            os._exit(0)
        assert done + sum(batch.num_rows for batch in result) == count


def test_a_half_read_result_that_a_child_only_ends_with_holds_it_up_no_longer(big: Path) -> None:
    run_program(
        big,
        """
from smartdata_ts._read import scan
scan.SLICE_READINGS = 25_000
store = sd.open(path)
result = iter(store.query("big").to_batches())
next(result)
child = os.fork()
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
list(result)
store.close()
""",
    )


@pytest.mark.parametrize("mode", ["r", "a"])
def test_a_child_opens_the_store_by_itself(mode: str, path: Path) -> None:
    with sd.open(path) as store:

        def ask() -> int:
            with sd.open(path, mode) as own:
                if mode == "a":
                    own.write({"series": "child", "time": [0], "value": [1.0]})
                return int(own.query().to_arrow().num_rows)

        assert told_by_child(ask) == ("11" if mode == "a" else "10")
        assert store.write({"series": "parent", "time": [0], "value": [1.0]}).stored == 1
        assert store.query().to_arrow().num_rows == (12 if mode == "a" else 11)


def test_every_public_call_of_a_handle_says_so(path: Path, tmp_path: Path) -> None:
    with sd.open(path) as store:
        query = store.query()
        calls: dict[str, Callable[[], Any]] = {
            "write": lambda: store.write(ONE),
            "writer": store.writer,
            "describe": lambda: store.describe("a", unit="m3"),
            "exchange": lambda: store.exchange("a", "2024-01-01", 1.0),
            "query": store.query,
            "to_arrow": query.to_arrow,
            "to_batches": query.to_batches,
            "losses": query.losses,
            "series": store.series,
            "exchanges": store.exchanges,
            "info": store.info,
            "commits": store.commits,
            "changes": lambda: store.changes(0),
            "snapshot": lambda: store.snapshot("s"),
            "snapshots": store.snapshots,
            "release": lambda: store.release("s"),
            "keep_history": lambda: store.keep_history("1y"),
            "compact": store.compact,
            "delete": lambda: store.delete("a"),
            "erase": lambda: store.erase("a"),
            "set_retention": lambda: store.set_retention([]),
            "retention": store.retention,
            "apply_retention": store.apply_retention,
            "backup": lambda: store.backup(tmp_path / "copy"),
            "verify": store.verify,
        }

        def use_all() -> list[str]:
            wrong = []
            for name, call in calls.items():
                try:
                    call()
                except ClosedError as problem:
                    if "fork" not in str(problem):
                        wrong.append(name)
                else:
                    wrong.append(name)
            store.close()
            return wrong

        assert told_by_child(use_all) == "[]"
        assert store.query().to_arrow().num_rows == 10
        assert store.write({"series": "b", "time": [0], "value": [1.0]}).stored == 1


def test_a_child_that_outlives_its_parent_holds_no_lock(path: Path) -> None:
    source, sink = os.pipe()
    parent = fork()
    if parent == 0:
        store = sd.open(path)
        writer = store.writer()
        writer.__enter__()
        child = os.fork()
        if child == 0:
            os.write(sink, b"%d" % os.getpid())
            time.sleep(WAIT_S)
        os._exit(0)
    try:
        child = int(os.read(source, 100))
        os.waitpid(parent, 0)
        with sd.open(path, timeout_s=5) as store:
            assert store.write({"series": "b", "time": [0], "value": [1.0]}).stored == 1
        os.kill(child, 0)  # it is there still
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(source)
        os.close(sink)
