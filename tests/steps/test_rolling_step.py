"""Rolling windows, differences and rates of a store's series."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts import errors

HOUR = 3_600_000_000


@pytest.fixture
def store(tmp_path: Path) -> sd.Store:
    store = sd.open(tmp_path / "city.sdts")
    random = np.random.default_rng(1)
    for key in ("a", "b"):
        hours = np.flatnonzero(random.random(400) < 0.9)
        store.write({"series": key, "time": hours * HOUR, "value": random.normal(size=hours.size)})
    return store


def test_windows_are_those_of_pandas(store: sd.Store) -> None:
    pytest.importorskip("pandas")
    names = ["sum", "mean", "min", "max", "std", "median"]
    got = store.query().rolling("24h", names, min_count=3).to_pandas()
    readings = store.query().to_pandas()
    for key in ("a", "b"):
        values = readings[readings.series == key].set_index("time").value
        for name in names:
            expected = getattr(values.rolling("24h", min_periods=3), name)().to_numpy()
            column = got[got.series == key][name].to_numpy()
            assert column == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), name


def test_a_span_has_the_windows_of_the_whole(store: sd.Store) -> None:
    pytest.importorskip("pandas")
    for centered in (False, True):
        whole = store.query("a").rolling("24h", ["count", "sum"], centered).to_pandas()
        part = store.query("a", start="1970-01-04", end="1970-01-06").rolling(
            "24h", ["count", "sum"], centered
        )
        wanted = (whole.time >= "1970-01-04") & (whole.time < "1970-01-06")
        assert (
            part.to_pandas()
            .drop(columns="series")
            .equals(whole[wanted].drop(columns="series").reset_index(drop=True))
        )


def test_differences_and_rates(store: sd.Store) -> None:
    pytest.importorskip("pandas")
    readings = store.query("a").to_pandas()
    change = readings.value.diff().to_numpy()[1:]
    hours = readings.time.diff().dt.total_seconds().to_numpy()[1:] / 3_600
    assert store.query("a").difference().to_pandas().value.to_list() == change.tolist()
    assert store.query("a").rate("1d").to_pandas().value.to_numpy() == pytest.approx(change / hours * 24)
    assert store.query().difference().to_arrow().num_rows == store.query().to_arrow().num_rows - 2
    later = store.query("a", start="1970-01-04").difference().to_pandas()
    assert len(later) == (readings.time >= "1970-01-04").sum()


def test_a_difference_is_as_good_as_the_worse_reading(tmp_path: Path) -> None:
    store = sd.open(tmp_path / "other.sdts")
    hours = [hour * HOUR for hour in range(4)]
    store.write(
        {"series": "r", "time": hours, "value": [0.0, 1.0, 3.0, 6.0], "quality": [0, 65, 0, 0]},
        quality="quality",
    )
    table = store.query().difference().to_arrow()
    assert table["value"].to_pylist() == [1.0, 2.0, 3.0]
    assert table["quality"].to_pylist() == [65, 65, 0]


def test_steps_follow_each_other(store: sd.Store) -> None:
    query = store.query("a").fill("linear").rate("1h").rolling("3h", "max")
    assert query.to_arrow().column_names == ["series", "time", "max"]
    assert query.schema == query.to_arrow().schema
    assert pickle.loads(pickle.dumps(query)).to_arrow().equals(query.to_arrow())


def test_what_cannot_be_a_window_is_told(store: sd.Store) -> None:
    query = store.query()
    with pytest.raises(errors.UsageError, match="aggregates must be some of count, sum"):
        query.rolling("1h", "mode")
    with pytest.raises(errors.UsageError, match="at least 1"):
        query.rolling("1h", min_count=0)
    with pytest.raises(errors.UsageError, match="not of one length"):
        query.rolling("1mo")
    with pytest.raises(errors.UsageError, match="ends a query"):
        query.rolling("1h").fill("linear")
    with pytest.raises(errors.UsageError, match="ends a query"):
        query.resample("1h", "mean").rolling("1h")
    with pytest.raises(errors.UsageError, match="follows a selection"):
        query.difference().last()
