"""A disk that is really full, and files that may not grow: SQLite's errors and ours, and what comes after."""

import contextlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lives import HOUR, Model, Write, check, check_no_leaks, contents, small_limits

import smartdata_ts as sd
from smartdata_ts.errors import DiskFullError, StoreError

BALLAST = 256 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes, if we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def scattered(number: int) -> Write:
    return Write((tuple((f"wm-{k}", number * HOUR, number + k / 8) for k in range(40)),))


def bulk(number: int) -> Write:
    return Write((tuple(("bulk", (number * 500 + k) * HOUR, (number * k) % 997 / 7) for k in range(300)),))


def fill(store: sd.Store, make: Callable[[int], Write], model: Model) -> None:
    """Write until the disk is full; the model is what was acknowledged."""
    for number in range(100_000):
        write = make(number)
        try:
            write.run(store)
        except DiskFullError as problem:
            assert "free some space" in str(problem)  # noqa: PT017
            return
        write.apply(model)
    pytest.fail("the disk was never full")


@pytest.mark.slow
@pytest.mark.parametrize("make", [scattered, bulk])
def test_a_full_disk_keeps_what_was_committed(make: Callable[[int], Write], small_disk: Path) -> None:
    path, ballast, model = small_disk / "city.sdts", small_disk / "ballast", Model()
    ballast.write_bytes(os.urandom(BALLAST))
    with small_limits():
        with sd.open(path) as store:
            fill(store, make, model)
            check(store, model)
            with contextlib.suppress(StoreError):
                store.compact()
            check(store, model)
        ballast.unlink()
        with sd.open(path) as store:
            check(store, model)
            more = scattered(10**6)
            more.run(store)
            more.apply(model)
            check(store, model)
    with sd.open(path, mode="r") as store:
        check(store, model)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("make", [scattered, bulk])
def test_files_that_may_not_grow_keep_what_was_committed(
    make: Callable[[int], Write], tmp_path: Path
) -> None:
    path = tmp_path / "city.sdts"
    with small_limits(), sd.open(path) as store:
        make(0).run(store)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            status = limited(path, make, write)
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        returned = len(told.read())
    assert os.waitpid(child, 0)[1] == 0
    model = Model()
    for number in range(returned + 1):
        make(number).apply(model)
    with small_limits(), sd.open(path) as store:
        check(store, model)
        make(returned + 1).run(store)
        make(returned + 1).apply(model)
        check_no_leaks(store, path)
        check(store, model)


def limited(path: Path, make: Callable[[int], Write], pipe: int) -> int:
    """In a child whose files may not grow beyond some size: write until they would; tell of each write."""
    size = 3000 if make is bulk else 300_000  # smaller than a chunk; smaller than the log
    with small_limits(), sd.open(path) as store:
        if make is scattered:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        for number in range(1, 100_000):
            if make is bulk and number == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            try:
                make(number).run(store)
            except StoreError:
                contents(store)
                return 0
            os.write(pipe, b".")
    return 1
