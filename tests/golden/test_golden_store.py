"""The golden stores of each format version: written once, read by every release for ever."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.places import TESTS
from support.restored import restore

import smartdata_ts as sd
from smartdata_ts._storage.catalog import FORMAT_VERSION

GOLDEN = TESTS / "golden"
Row = tuple[str, int, str, int]


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def path(version: int, tmp_path: Path) -> Path:
    """A copy, which opening may change."""
    return Path(shutil.copytree(GOLDEN / f"store-v{version}", tmp_path / "store"))


@pytest.fixture(scope="module")
def expected() -> list[Row]:
    """The readings, which are the same in all."""
    with (GOLDEN / "store-v1.csv").open(encoding="utf-8", newline="") as file:
        return [(key, int(time), bits, int(quality)) for key, time, bits, quality in csv.reader(file)]


def rows_of(result: pa.Table) -> list[Row]:
    bits = [f"{pattern:016x}" for pattern in np.asarray(result["value"]).view(np.uint64).tolist()]
    times = result["time"].cast(pa.int64()).to_pylist()
    columns = (result["series"].to_pylist(), times, bits, result["quality"].to_pylist())
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("mode", ["r", "a"])
def test_every_reading_comes_back_to_the_bit(path: Path, expected: list[Row], mode: str) -> None:
    with sd.open(path, mode=mode) as store:
        assert rows_of(store.query().to_arrow()) == expected
        newest = {row[0]: row for row in expected}
        assert rows_of(store.query().last().to_arrow()) == list(newest.values())
        info = store.info()
        assert (info.readings, info.series, info.commit) == (len(expected), 8, 5)
        assert info.chunks > 4
        assert info.head_readings > 10


def test_series_keep_what_was_said_of_them(path: Path) -> None:
    with sd.open(path, mode="r") as store:
        rows = {row.pop("series"): row for row in store.series().to_pylist()}
    assert rows["register/Ødegård"] == {
        "quantity": "water",
        "unit": "m3",
        "kind": "register",
        "interval_us": 3_600_000_000,
        "decimals": 3,
        "register_digits": 8,
        "multiplier": 0.001,
        "tags": [("zone", "DMA-7")],
    }
    assert rows["described/only"]["unit"] == "kWh"


def test_an_exchange_is_kept(path: Path) -> None:
    with sd.open(path, mode="r") as store:
        (exchange,) = store.exchanges().to_pylist()
    assert exchange.pop("time").isoformat() == "2024-06-01T00:00:00+00:00"
    assert exchange == {
        "series": "register/Ødegård",
        "final": 99.5,
        "initial": 0.25,
        "serial": "K-2231",
        "multiplier": 0.01,
        "register_digits": 6,
    }


def test_it_can_be_written_to_and_compacted(path: Path, expected: list[Row]) -> None:
    with sd.open(path) as store:
        times = np.array([row[1] for row in expected])
        values = np.array([int(row[2], 16) for row in expected], np.uint64).view(np.float64)
        qualities = np.array([row[3] for row in expected], np.uint8)
        again = {"series": [row[0] for row in expected], "time": times, "value": values, "quality": qualities}
        assert restore(store, again).duplicates == len(expected)
        store.compact()
        assert rows_of(store.query().to_arrow()) == expected
        assert store.write({"series": "new", "time": [1], "value": [1.0]}).commit == 7


def test_the_version_and_the_identity_are_told(path: Path, version: int) -> None:
    with sd.open(path, mode="r") as store:
        info = store.info()
    known = {1: None, 2: "dd1d08dd-f8dd-47c1-8d4e-3818f0d81cc7"}
    assert (info.format_version, info.id) == (version, known[version])
    with sd.open(path) as store:
        opened = store.info()
    assert opened.format_version == 2
    assert opened.id == info.id or (version == 1 and opened.id is not None)
    with sd.open(path, mode="r") as store:
        assert store.info().id == opened.id


def test_it_is_salvaged_into_a_store_of_another_identity(
    path: Path, expected: list[Row], tmp_path: Path
) -> None:
    assert sd.salvage(path, tmp_path / "new").losses == []
    with sd.open(path, mode="r") as old, sd.open(tmp_path / "new", mode="r") as new:
        assert rows_of(new.query().to_arrow()) == expected
        assert new.info().id not in (None, old.info().id)
        assert new.series() == old.series()


def test_snapshots_and_retention_come_back_from_version_2(tmp_path: Path) -> None:
    with sd.open(shutil.copytree(GOLDEN / "store-v2", tmp_path / "store"), mode="r") as store:
        (snapshot,) = store.snapshots().to_pylist()
        assert (snapshot["name"], snapshot["commit"], snapshot["note"]) == ("bills 2024", 5, "as invoiced")
        assert store.retention() == [{"keep": {"raw": "forever"}, "series": "gauge/*", "tz": "UTC"}]


def test_every_version_has_a_golden_store() -> None:
    assert sorted(path.name for path in GOLDEN.glob("store-v?")) == [
        f"store-v{version}" for version in range(1, FORMAT_VERSION + 1)
    ]
