"""Series side by side: grids, wide tables, and joins by time: against polars and plain Python."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import smartdata_ts as sd
from smartdata_ts._read import scan
from smartdata_ts._read import threads as threads_module
from smartdata_ts._steps import pipeline
from smartdata_ts.errors import UsageError

pl = pytest.importorskip("polars")

HOUR = 3_600_000_000
ZONES = {"f0": "a", "f1": "b", "f2": "a", "f3": None, "ta": "a", "tb": "b"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Four flows every hour or so, in two zones and none; a thermometer in each zone; in small batches."""
    monkeypatch.setattr(scan, "SLICE_READINGS", 500)
    monkeypatch.setattr(threads_module, "_THREADS_FROM_READINGS", 1)
    monkeypatch.setattr(pipeline, "FRAME_READINGS", 500)
    random = np.random.default_rng(8)
    with sd.open(tmp_path / "s") as store:
        for key, zone in ZONES.items():
            count = 700
            times = np.arange(count) * HOUR + random.integers(0, HOUR // 2, count) * (key != "f0")
            kept = random.random(count) < 0.8
            kept[200:230] = key != "f1"
            store.describe(key, kind="gauge", tags={} if zone is None else {"zone": zone})
            store.write(
                {"series": key, "time": times[kept], "value": random.normal(size=kept.sum()).round(3)}
            )
        yield store


def rows_of(query) -> pl.DataFrame:
    return query.to_polars().with_columns(pl.col("series").cast(pl.String))


@pytest.mark.parametrize("direction", ["backward", "forward", "nearest"])
@pytest.mark.parametrize("tolerance", [None, "20min"])
def test_a_join_with_one_series_against_polars(store, direction, tolerance):
    flows, temperature = store.query(["f0", "f1", "f2", "f3"]), store.query("ta")
    found = rows_of(flows.join_asof(temperature, tolerance, direction))
    assert found.columns == [
        "series",
        "time",
        "value",
        "quality",
        "other_time",
        "other_value",
        "other_quality",
    ]
    right = rows_of(temperature).select(
        "time", other_time="time", other_value="value", other_quality="quality"
    )
    expected = (
        rows_of(flows)
        .sort("time", maintain_order=True)
        .join_asof(right, on="time", strategy=direction, tolerance="20m" if tolerance else None)
        .sort("series", "time")
    )
    assert found.equals(expected.select(found.columns), null_equal=True)
    assert found["other_value"].null_count() + (tolerance is None) > 0
    assert found["other_value"].null_count() < len(found)


def test_a_join_by_a_tag_is_one_with_each_of_its_series(store):
    flows = store.query(["f0", "f1", "f2", "f3"])
    found = rows_of(flows.join_asof(store.query(["ta", "tb"]), "1h", by="zone"))
    assert set(found.filter(pl.col("series") == "f3")["other_time"]) == {None}
    for key, other in (("f0", "ta"), ("f1", "tb"), ("f2", "ta")):
        alone = rows_of(store.query(key).join_asof(store.query(other), "1h"))
        own = found.filter(pl.col("series") == key)
        assert own.drop("other_series").equals(alone)
        assert set(own["other_series"].cast(pl.String)) == {other, None}


def test_joins_of_what_steps_made(store):
    days = store.query(["f0", "f1"]).resample("1d", ["mean", "count"])
    cold = store.query("tb").resample("1d", ["min", "completeness"])
    found = days.join_asof(cold, tolerance="1s").to_arrow()
    assert found.schema.names[4:] == ["other_time", "other_min", "other_completeness"]
    assert found["other_time"].to_pylist() == found["time"].to_pylist()
    assert found["other_min"].to_pylist() == cold.to_arrow()["min"].to_pylist() * 2
    assert found.schema == days.join_asof(cold).schema
    rolled = store.query("f0").rolling("3h").join_asof(store.query("ta").difference())
    assert rolled.to_arrow().num_rows == store.query("f0").to_arrow().num_rows


def test_a_join_with_nothing(store):
    for other in (store.query([]), store.query("ta", end="1960-01-01")):
        found = store.query("f0").join_asof(other).to_arrow()
        assert found["other_value"].null_count == found.num_rows > 0
    assert store.query([]).join_asof(store.query("ta")).to_arrow().num_rows == 0


def test_joins_that_mean_nothing_are_refused(store):
    flows, thermometers = store.query(["f0", "f1"]), store.query(["ta", "tb"])
    buckets = flows.resample("1d", "mean")
    for wrong, message in (
        (lambda: flows.join_asof(thermometers).to_arrow(), r"needs one series .* not 2 \('ta', 'tb'\)"),
        (
            lambda: thermometers.join_asof(store.query(["f0", "f2"]), by="zone").to_arrow(),
            "both 'f0' and 'f2'",
        ),
        (lambda: flows.join_asof(thermometers, direction="back"), "direction must be one of"),
        (lambda: flows.join_asof(thermometers, tolerance="1mo"), "not of one length"),
        (lambda: flows.join_asof(thermometers.to_arrow()), "joins with a query of series"),
        (lambda: flows.join_asof(flows.join_asof(flows)), "joins with a query of series"),
        (lambda: buckets.aggregate("mean").join_asof(flows), "takes series"),
        (lambda: flows.join_asof(flows).last(), "ends a query"),
        (lambda: flows.join_asof(flows).resample("1d", "mean"), "ends a query"),
        (lambda: flows.join_asof(flows).rolling("1d"), "ends a query"),
        (lambda: buckets.join_asof(flows).aggregate("mean"), "ends a query"),
    ):
        with pytest.raises(UsageError, match=message):
            wrong()


def test_a_join_can_be_pickled(store):
    query = store.query("f0").join_asof(store.query("ta"), by="zone")
    copy = pickle.loads(pickle.dumps(query))
    assert copy.to_arrow().equals(query.to_arrow())


def test_wide_tables_against_polars(store):
    for query, names in (
        (store.query(), ["value"]),
        (store.query().resample("1d", "mean"), ["mean"]),
        (store.query().resample("1d", ["count", "max", "std"]), ["count", "max", "std"]),
        (store.query().align("1h"), ["value"]),
    ):
        wide = pl.from_arrow(query.to_arrow(wide=True))
        long = rows_of(query)
        assert wide["time"].to_list() == sorted(set(long["time"].to_list()))
        assert wide.columns[1:] == [
            k if len(names) == 1 else f"{k} {n}" for n in names for k in sorted(ZONES)
        ]
        for name in names:
            pivoted = long.pivot("series", index="time", values=name).sort("time")
            for key in ZONES:
                label = key if len(names) == 1 else f"{key} {name}"
                assert wide[label].to_list() == pivoted[key].to_list()


def test_a_wide_table_has_a_column_for_a_series_without_readings(store):
    wide = store.query(["f0", "f1"], start="1970-01-09T10:00", end="1970-01-09T13:00").to_arrow(wide=True)
    assert wide.column_names == ["time", "f0", "f1"]
    assert wide["f1"].null_count == wide.num_rows > 0
    empty = store.query(["f0"], end="1960-01-01").to_arrow(wide=True)
    assert (empty.column_names, empty.num_rows) == (["time", "f0"], 0)
    assert store.query([]).to_arrow(wide=True).column_names == ["time"]


def test_what_has_no_column_a_series_is_refused(store):
    with pytest.raises(UsageError, match="made of series"):
        store.query().resample("1d", "mean").aggregate("mean").to_arrow(wide=True)
    store.write({"series": "time", "time": [0], "value": [1.0]})
    with pytest.raises(UsageError, match="would be called 'time'"):
        store.query().to_arrow(wide=True)


def test_aligned_levels_lie_between_their_readings(store):
    aligned = store.query("f2").align("15min").to_arrow()
    readings = store.query("f2").to_arrow()
    times = np.asarray(readings["time"].cast(pa.int64()))
    values = np.asarray(readings["value"])
    grid = np.asarray(aligned["time"].cast(pa.int64()))
    assert (grid % (HOUR // 4) == 0).all()
    assert np.asarray(aligned["value"]) == pytest.approx(np.interp(grid, times, values))
    gaps = np.diff(times)[np.clip(np.searchsorted(times, grid, "right") - 1, 0, times.size - 2)]
    assert gaps[~np.isin(grid, times)].max() <= 1.5 * np.median(np.diff(times))
    filled = store.query("f2").align("15min", method="linear", limit=None).to_arrow()
    assert filled.num_rows == times[-1] // (HOUR // 4) - -(-times[0] // (HOUR // 4)) + 1
