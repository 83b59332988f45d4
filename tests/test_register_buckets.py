"""Registers straight to buckets: through a store, against the two steps that it stands for."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from register_town import HOUR, fill

import smartdata_ts as sd
from smartdata_ts._steps import buckets, frame, register_buckets

AGGREGATES = ("sum", "count", "min", "max", "completeness", "estimated_share")


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
