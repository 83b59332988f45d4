"""Registers straight to buckets: through a store, against the two steps that it stands for."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import smartdata_ts as sd
from smartdata_ts._steps import buckets, frame, register_buckets

HOUR = 3_600_000_000
AGGREGATES = ("sum", "count", "min", "max", "completeness", "estimated_share")


def fill(store: sd.Store, rng: np.random.Generator) -> None:
    """A small town: registers that turn over, fall, stand and are exchanged, a flow, hourly amounts."""
    for k in range(12):
        key, count = f"wm-{k}", int(rng.integers(0, 200))
        times = np.cumsum(rng.integers(1, 5 * HOUR, count)) + 1_700_000_000_000_000
        values = np.cumsum(rng.integers(0, 50, count)) + rng.choice([0.0, 9_000.0])
        falls = rng.random(count) < rng.choice([0.0, 0.03])
        values = np.where(falls, values * rng.random(count), values) % 10_000
        qualities = rng.choice([0, 1, 2, 6, 7], count, p=[0.8, 0.05, 0.05, 0.05, 0.05])
        store.write({"series": key, "time": times, "value": values, "quality": qualities}, quality="quality")
        facts = {"unit": str(rng.choice(["L", "m3"])), "multiplier": float(rng.choice([1.0, 0.1]))}
        store.describe(key, kind="register", register_digits=4, **facts)
        if k % 3 == 0 and count:
            at = times[int(rng.integers(count))] + int(rng.integers(-HOUR, 2))
            store.exchange(key, at=np.datetime64(int(at), "us"), final=9_999.0, initial=1.0, multiplier=2.0)
    hours = 1_700_000_000_000_000 + np.arange(50) * HOUR
    store.write({"series": "flow", "time": hours, "value": rng.random(50)})
    store.describe("flow", kind="gauge", unit="L/s")
    store.write({"series": "hourly", "time": hours, "value": rng.random(50)})
    store.describe("hourly", kind="interval", unit="L", interval="1h")


@pytest.mark.parametrize("seed", range(8))
def test_the_same_as_of_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(frame, "FRAME_READINGS", int(rng.choice([100, 100_000])))
    with sd.open(tmp_path / "town.sdts") as store:
        fill(store, rng)
        start = np.datetime64(1_700_000_000_000_000 + int(rng.integers(100 * HOUR)), "us")
        end = start + np.timedelta64(int(rng.integers(1, 400)), "h")
        for spans in ({}, {"start": start}, {"end": end}, {"start": start, "end": end}):
            for unit in (None, "m3"):
                amounts = store.query(tz="Europe/Oslo", **spans).consumption(unit=unit)
                for width, empty in (("1h", False), ("1d", True), ("1mo", False)):
                    query = amounts.resample(width, AGGREGATES, empty=empty)
                    found = query.to_arrow()
                    with monkeypatch.context() as patch:
                        patch.setattr(register_buckets, "fused", lambda steps: steps)
                        expected = query.to_arrow()
                    assert found.equals(expected)


def test_registers_make_no_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sd.open(tmp_path / "town.sdts") as store:
        store.write({"series": ["a", "a"], "time": [0, HOUR], "value": [1.0, 3.0]})
        monkeypatch.setattr(buckets.Buckets, "run", None)
        table = store.query().consumption().resample("1d", "sum").to_arrow()
        assert table["sum"].to_pylist() == [2.0]
        assert table.schema.field("time").type == pa.timestamp("us", "UTC")
