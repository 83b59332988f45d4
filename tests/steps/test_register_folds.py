"""Consumption folded across series as it is made, against the rows of every series aggregated."""

from pathlib import Path

import numpy as np
import pytest
from support.register_town import HOUR, fill

import smartdata_ts as sd
from smartdata_ts._steps import buckets, pipeline
from smartdata_ts._steps.registers import folds
from smartdata_ts._steps.registers.buckets import RegisterBuckets
from smartdata_ts._steps.registers.folds import RegisterFolds


@pytest.fixture
def _alike_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums are rounded once a frame: both ways have the same frames."""
    for step in (RegisterBuckets, RegisterFolds):
        monkeypatch.setattr(step, "frame_scale", 1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("_alike_frames")
def test_the_same_as_of_rows_of_every_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(pipeline, "FRAME_READINGS", int(rng.choice([100, 500, 100_000])))
    monkeypatch.setattr(folds, "_PLACES_SIZE_MAX", int(rng.choice([1_000, 1_000_000])))
    with sd.open(tmp_path / "town.sdts") as store:
        fill(store, rng)
        if seed % 2:
            store.compact()  # blocks then, and no recent writes
        for k in range(12):
            store.describe(f"wm-{k}", tags={"zone": str(rng.choice(["DMA-1", "DMA-2"]))})
        start = np.datetime64(1_700_000_000_000_000 + int(rng.integers(100 * HOUR)), "us")
        end = start + np.timedelta64(int(rng.integers(1, 400)), "h")
        for spans in ({}, {"start": start, "end": end}):
            amounts = store.query(tz="Europe/Oslo", **spans).consumption(unit="L")
            for how in ("sum", "mean", "min", "max", "count"):
                for width, by, names in (("1h", (), "sum"), ("1d", "zone", ("count", "sum"))):
                    query = amounts.resample(width, names).aggregate(how, by=by)
                    found = query.to_arrow()
                    with monkeypatch.context() as patch:
                        patch.setattr(folds, "folds", lambda *_: None)
                        expected = query.to_arrow()
                    assert found.equals(expected)
                    assert found.num_rows > 0


@pytest.mark.parametrize(
    ("names", "empty", "how", "is_folded"),
    [
        ("sum", False, "sum", True),
        (("count", "sum"), False, "mean", True),
        (("sum", "max"), False, "sum", False),
        (("sum", "completeness"), False, "sum", False),
        ("sum", True, "sum", False),
        ("sum", False, "median", False),
    ],
)
def test_series_have_no_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str, empty: bool, how: str, is_folded: bool
) -> None:
    made = []
    monkeypatch.setattr(buckets.Buckets, "reduced", lambda *_: made.append(1))
    with sd.open(tmp_path / "town.sdts") as store:
        store.write({"series": ["a", "a", "b", "b"], "time": [0, HOUR] * 2, "value": [1.0, 3.0, 2.0, 7.0]})
        query = store.query().consumption().resample("1d", names, empty=empty).aggregate(how)
        if not is_folded:
            with pytest.raises(AttributeError, match="slots"):
                query.to_arrow()
            assert made
            return
        assert query.to_arrow()["sum"].to_pylist() == [7.0 if how == "sum" else 3.5]


def test_units_that_differ_are_converted_as_before(tmp_path: Path) -> None:
    with sd.open(tmp_path / "town.sdts") as store:
        store.write({"series": ["a", "a", "b", "b"], "time": [0, HOUR] * 2, "value": [1.0, 3.0, 2.0, 7.0]})
        store.describe("a", unit="m3", quantity="water_volume")
        store.describe("b", unit="L", quantity="water_volume")
        table = store.query().consumption().resample("1d", "sum").aggregate("sum", unit="L").to_arrow()
        assert table["sum"].to_pylist() == [2005.0]
