"""Readers, a writer and a compactor at once: every query sees one commit; a stuck lock ends in an error."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lives import check_no_leaks
from soak import SOAK

import smartdata_ts as sd
from smartdata_ts.errors import StoreBusyError

PROGRAM = Path(__file__).with_name("many_processes.py")
ROLES = ["writer", "compactor", "reader", "reader", "reader", "reader"]
SECONDS = {False: 10, True: 5} if SOAK == 1 else {False: 60 * SOAK, True: 20 * SOAK}


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_readers_see_one_commit_while_a_writer_and_a_compactor_work(shared: bool, tmp_path: Path) -> None:
    path, seconds = tmp_path / "city.sdts", SECONDS[shared]
    sd.open(path, shared_filesystem=shared).close()
    children = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(path), role, str(seconds), str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, role in enumerate(ROLES)
    ]
    try:
        ends = [child.communicate(timeout=seconds + 120) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert [child.returncode for child in children] == [0] * len(ROLES), [told for _, told in ends]
    # The compactor among them: whoever waits for the lock gets it, however busy a writer is.
    assert all(int(rounds) > 0 for rounds, _ in ends), ends
    with sd.open(path) as store:
        check_no_leaks(store, path)


@pytest.mark.parametrize("operation", ["write", "compact", "describe"])
def test_a_lock_that_is_stuck_ends_in_an_error(operation: str, tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    with sd.open(path, timeout_s=0.2) as store:
        store.write({"series": "a", "time": [0], "value": [1.0]})
        stuck = sqlite3.connect(path / "catalog.sqlite", isolation_level=None)
        try:
            stuck.execute("BEGIN IMMEDIATE")
            start = time.monotonic()
            with pytest.raises(StoreBusyError, match="longer timeout_s"):
                {
                    "write": lambda: store.write({"series": "a", "time": [1], "value": [1.0]}),
                    "compact": store.compact,
                    "describe": lambda: store.describe("a", unit="L"),
                }[operation]()
            assert time.monotonic() - start < 5
            assert store.query().to_arrow().num_rows == 1
        finally:
            stuck.close()
        assert store.write({"series": "a", "time": [2], "value": [1.0]}).stored == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_writer_that_stands_still_and_then_dies_blocks_no_one_for_good(tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    program = f"""
import sys, time, smartdata_ts as sd
with sd.open({str(path)!r}) as store, store.writer() as writer:
    writer.write({{"series": "a", "time": [0], "value": [1.0]}})
    print("in", flush=True)
    time.sleep(600)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "in\n"
        os.kill(child.pid, signal.SIGSTOP)
        with sd.open(path, timeout_s=0.2) as store:
            with pytest.raises(StoreBusyError):
                store.write({"series": "b", "time": [0], "value": [1.0]})
            child.kill()
            child.wait()
            assert store.write({"series": "b", "time": [0], "value": [1.0]}).stored == 1
            assert store.query().to_arrow()["series"].to_pylist() == ["b"]
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
