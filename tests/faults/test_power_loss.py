"""The power fails at every step: what had returned is there, and nothing half done.

Holds for `durability="full"`, the default; with "normal" what is there is a prefix of it, and whole.
"""

import random
import shutil
import struct
from pathlib import Path

import pytest
from forgetful_disk import SECTOR, ForgetfulDisk
from lives import Oracle, Write, check, check_no_leaks, contents, operations, small_limits
from soak import SOAK

import smartdata_ts as sd
from smartdata_ts._storage import disk as disk_module
from smartdata_ts._storage.catalog import Catalog

LIVES = 3 * SOAK
OPERATIONS = 25


def recorded(directory: Path, seed: int, durability: str = "full") -> ForgetfulDisk:
    directory.mkdir()
    path = directory / "towns" / "city.sdts"
    disk = ForgetfulDisk(directory, path)
    with disk.recording(), sd.open(path, durability=durability) as store:
        for operation, _ in zip(operations(seed), range(OPERATIONS), strict=False):
            operation.run(store)
            disk.returned += 1
    return disk


def check_cuts(disk: ForgetfulDisk, directory: Path, seed: int, whole: bool = True) -> int:
    """Open what is left after each cut; how many were looked at."""
    oracle, choose, looked = Oracle(seed), random.Random(seed), 0
    for cut, (kind, _) in zip(disk.cuts, disk.steps, strict=True):
        if kind == "write" and choose.random() < 0.97:
            continue
        target = directory / "after"
        disk.give_back(cut, target, choose)
        path = target / disk.store.relative_to(disk.root)
        with sd.open(path) as store:
            found = contents(store)
            assert found in (oracle.after(cut.returned), oracle.after(cut.returned + 1))
            if whole and choose.random() < 0.2:
                store.write({"series": "next", "time": [0], "value": [1.0]})
                check_no_leaks(store, path)
                check(store, {**found, ("next", 0): 1.0})
        shutil.rmtree(target)
        looked += 1
    return looked


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(LIVES))
def test_a_power_cut_at_any_step_loses_nothing_that_had_returned(seed: int, tmp_path: Path) -> None:
    with small_limits():
        disk = recorded(tmp_path / "life", seed)
        assert any(kind == "rename" for kind, _ in disk.steps), "no chunk was written"
        assert check_cuts(disk, tmp_path, seed) > 50


def lost_after_cuts(disk: ForgetfulDisk, directory: Path, seed: int) -> int:
    """Open what is left after each cut: some prefix of what had returned, and sound; how often not all."""
    oracle, choose, lost = Oracle(seed), random.Random(seed), 0
    for cut, (kind, _) in zip(disk.cuts, disk.steps, strict=True):
        if kind == "write" and choose.random() < 0.95:
            continue
        target = directory / "after"
        disk.give_back(cut, target, choose)
        with sd.open(target / disk.store.relative_to(disk.root), durability="normal") as store:
            found = contents(store)
            prefixes = [oracle.after(count) for count in range(cut.returned + 2)]
            assert found in prefixes
            assert store.verify(deep=True).problems == []
            lost += found not in prefixes[-2:]
        shutil.rmtree(target)
    return lost


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(LIVES - 1))
def test_without_waiting_for_the_disk_a_power_cut_leaves_a_prefix(seed: int, tmp_path: Path) -> None:
    with small_limits():
        disk = recorded(tmp_path / "life", seed, "normal")
        assert lost_after_cuts(disk, tmp_path, seed) > 0, "the simulation forgot nothing"


@pytest.mark.slow
def test_the_simulation_finds_files_that_are_removed_too_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were a compaction's commit not durable before the old chunks go, the store would name what is gone."""
    begin = Catalog.begin
    monkeypatch.setattr(Catalog, "begin", lambda catalog, *_, **__: begin(catalog))
    with small_limits():
        disk = recorded(tmp_path / "life", 0, "normal")
        monkeypatch.undo()
        with pytest.raises((AssertionError, sd.errors.StoreError)):
            lost_after_cuts(disk, tmp_path, 0)


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", ["files", "directories"])
def test_the_simulation_finds_a_sync_that_is_missing(
    forgotten: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forgotten == "directories":
        monkeypatch.setattr(disk_module.system, "sync_directory", lambda _path: None)
    else:
        write = disk_module._write
        monkeypatch.setattr(disk_module, "_write", lambda path, put, _sync: write(path, put, False))
    with small_limits():
        disk = recorded(tmp_path / "life", 0)
        monkeypatch.undo()
        with small_limits(), pytest.raises((AssertionError, sd.errors.StoreError)):
            check_cuts(disk, tmp_path, 0, whole=False)


@pytest.mark.slow
@pytest.mark.parametrize("tail", ["nothing", "zeros", "noise"])
def test_a_log_cut_anywhere_holds_a_prefix_of_commits(tail: str, tmp_path: Path) -> None:
    choose = random.Random(7)
    path, copy = tmp_path / "city.sdts", tmp_path / "copy.sdts"
    writes = [operation for operation in _first(operations(3), 30) if isinstance(operation, Write)]
    models: list[dict[tuple[str, int], float]] = [{}]
    with small_limits(), sd.open(path, auto_compact=False) as store:  # one commit a write
        created = len(commit_ends((path / "catalog.sqlite-wal").read_bytes()))
        for write in writes:
            write.run(store)
            models.append(dict(models[-1]))
            write.apply(models[-1])
        log = (path / "catalog.sqlite-wal").read_bytes()
        shutil.copytree(path, copy, ignore=lambda _, names: [name for name in names if name.endswith("-shm")])
        database = (path / "catalog.sqlite").read_bytes()
    ends = commit_ends(log)
    assert len(ends) == created + len(writes)
    fills = {"nothing": lambda _size: b"", "zeros": bytes, "noise": choose.randbytes}
    places = sorted(
        {*range(0, len(log), SECTOR), *(place for end in ends for place in (end - 1, end, end + 1))}
    )
    places = [place for place in places if place <= len(log)]
    for place in places if SOAK > 1 else sorted({*choose.sample(places, 100), *ends}):
        (copy / "catalog.sqlite").write_bytes(database)
        found = log[:place] + fills[tail](len(log) - place)
        (copy / "catalog.sqlite-wal").write_bytes(found)
        (copy / "catalog.sqlite-shm").unlink(missing_ok=True)
        kept = sum(found[:end] == log[:end] for end in ends)  # a zero may stand for a zero
        with small_limits(), sd.open(copy) as store:
            assert contents(store) == models[max(0, kept - created)]


def _first(life: object, count: int) -> list[object]:
    return [next(life) for _ in range(count)]  # type: ignore[call-overload]


def commit_ends(log: bytes) -> list[int]:
    """Where in a write-ahead log each transaction ends: https://www.sqlite.org/fileformat2.html#walformat."""
    _, _, page_size = struct.unpack(">3I", log[:12])
    salt, frame_size = log[16:24], 24 + page_size
    ends = []
    for start in range(32, len(log) - frame_size + 1, frame_size):
        _, size_after_commit = struct.unpack(">2I", log[start : start + 8])
        if log[start + 8 : start + 16] != salt:
            break
        if size_after_commit:
            ends.append(start + frame_size)
    return ends
