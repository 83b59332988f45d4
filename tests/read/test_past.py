"""The past, read straight from the blocks that have not changed since: against a dictionary per commit."""

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from support.plans import plan_of

import smartdata_ts as sd
from smartdata_ts._read.past import PastPlan

YEARS = 3
DAYS = 365 * YEARS
DAY_US = 86_400_000_000
START_US = 1_577_836_800_000_000  # 2020
Readings = dict[tuple[str, int], float]


def time_of(day: int) -> np.datetime64:
    return np.datetime64(START_US + day * DAY_US, "us")


def live(store: sd.Store, rng: np.random.Generator, steps: int) -> dict[int, Readings]:
    """Write, correct, delete and compact at random; what there was to be read as of each commit."""
    store.write({"series": ["a", "b"], "time": [time_of(0)] * 2, "value": [0.5, 0.5]})
    readings: Readings = {("a", 0): 0.5, ("b", 0): 0.5}
    past = {store.info().commit: dict(readings)}
    for _ in range(steps):
        key = str(rng.choice(["a", "b"]))
        first = int(rng.integers(0, DAYS))
        last = min(first + int(rng.integers(0, 300)), DAYS)
        action = rng.choice(["write", "late", "delete", "compact"], p=[0.25, 0.55, 0.08, 0.12])
        if action == "compact":
            store.compact()
        elif action == "delete":
            store.delete(key, start=time_of(first), end=time_of(last + 1))
            gone = [place for place in readings if place[0] == key and first <= place[1] <= last]
            for place in gone:
                del readings[place]
        else:
            days = np.arange(first, last + 1)
            if action == "late":
                days = 40 * rng.choice(DAYS // 40, 3, replace=False)
            values = rng.integers(0, 1000, days.size) / 10
            times = np.datetime64(START_US, "us") + days * np.timedelta64(DAY_US, "us")
            store.write({"series": [key] * days.size, "time": times, "value": values})
            readings.update(zip(((key, int(day)) for day in days), values.tolist(), strict=True))
        past[store.info().commit] = dict(readings)
    return past


def sums(readings: Readings, width: int) -> list[tuple[str, int, int, float, float, float]]:
    """Key, number of the bucket, count, min, max and last of each bucket."""
    found = []
    ordered = sorted(readings.items())
    for (key, bucket), rows in groupby(ordered, lambda row: (row[0][0], row[0][1] // width)):
        values = [value for _, value in rows]
        found.append((key, bucket, len(values), min(values), max(values), values[-1]))
    return found


@pytest.mark.parametrize("seed", range(16))
def test_every_commit_is_read_as_it_was(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    if seed % 4:  # every write makes chunks, of which the newest are folded now and then
        monkeypatch.setattr("smartdata_ts._write.writer.HEAD_READINGS_MAX", 2)
        monkeypatch.setattr("smartdata_ts._upkeep.compact.NEWEST_CHUNKS_MIN", 2)
    with sd.open(tmp_path / "a.sdts", auto_compact=bool(seed % 2)) as store:
        past = live(store, rng, 40)
        for commit, readings in past.items():
            query = store.query(as_of=commit)
            table = query.to_arrow()
            days = (np.asarray(table["time"].cast("int64")) - START_US) // DAY_US
            rows = zip(table["series"].to_pylist(), days.tolist(), strict=True)
            assert list(zip(rows, table["value"].to_pylist(), strict=True)) == sorted(readings.items())
            table = query.resample("1d", ["count", "min", "max", "last"]).to_arrow()
            days = (np.asarray(table["time"].cast("int64")) - START_US) // DAY_US
            columns = [table["series"].to_pylist(), days.tolist()]
            columns += [table[name].to_pylist() for name in ("count", "min", "max", "last")]
            assert list(zip(*columns, strict=True)) == sums(readings, 1)


def settled_count(store: sd.Store, commit: int) -> int:
    """How many blocks a query of the past takes as they are, though history is about."""
    found = plan_of(store, commit)
    assert isinstance(found, PastPlan)
    return sum(int(blocks.sum()) for blocks in found.settled.values())


def write_year(store: sd.Store, year: int, value: float, day: int | None = None) -> None:
    days = np.arange(365 * year, 365 * (year + 1)) if day is None else np.array([365 * year + day])
    times = np.datetime64(START_US, "us") + days * np.timedelta64(DAY_US, "us")
    store.write({"series": ["a"] * days.size, "time": times, "value": np.full(days.size, value)})


def test_blocks_that_are_as_they_were_are_taken_as_they_are(tmp_path: Path) -> None:
    with sd.open(tmp_path / "a.sdts", auto_compact=False) as store:
        write_year(store, 0, 1.0)
        store.compact()
        write_year(store, 0, 2.0, 100)
        write_year(store, 1, 3.0)
        store.compact()
        before = store.info().commit
        write_year(store, 1, 4.0, 200)
        store.compact()
        expected = store.query(as_of=before).to_arrow()
        # The second year's block has changed since; history stands in the span of either.
        assert settled_count(store, before) == 1
        assert sorted(set(expected["value"].to_pylist())) == [1.0, 2.0, 3.0]
        store.delete("a", start=time_of(10), end=time_of(11))
        assert settled_count(store, before) == 0
        assert store.query(as_of=before).to_arrow().equals(expected)
