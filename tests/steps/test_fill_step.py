"""Gaps of a store's series, filled by a query."""

import math
from pathlib import Path

import numpy as np
import pytest
from support.restored import restore

import smartdata_ts as sd
from smartdata_ts import errors

HOUR = 3_600_000_000


def store_with(folder: Path, key: str, hours: list[int], values: list[float], **facts: str) -> sd.Store:
    store = sd.open(folder / "city.sdts")
    if facts:
        store.describe(key, **facts)  # type: ignore[arg-type]
    store.write({"series": key, "time": [hour * HOUR for hour in hours], "value": values})
    return store


def test_levels_are_filled_between_their_readings(tmp_path: Path) -> None:
    store = store_with(tmp_path, "t", [0, 1, 2, 5, 6, 20], [0.0, 1.0, 2.0, 8.0, 9.0, 9.0])
    table = store.query().fill("linear", limit="5h").to_arrow()
    assert table["value"].to_pylist() == [0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 9.0, 9.0]
    estimate = sd.quality_code("estimated", "linear")
    assert table["quality"].to_pylist() == [0, 0, 0, estimate, estimate, 0, 0, 0]
    assert store.query().to_arrow().num_rows == 6, "the store is as it was"
    assert store.query().fill("previous", limit=None).to_arrow().num_rows == 21


def test_the_chain_goes_by_the_length_of_the_gap(tmp_path: Path) -> None:
    store = store_with(tmp_path, "t", [0, 1, 2, 4, 5, 15], [0.0, 1.0, 2.0, 4.0, 5.0, 15.0])
    chain = [("linear", "2h"), ("previous", "30d")]
    got = store.query().fill(chain).to_arrow()["value"].to_pylist()
    assert got == [0.0, 1.0, 2.0, 3.0, 4.0, *10 * [5.0], 15.0]


@pytest.mark.parametrize("method", ["constant", "previous", "next", "linear", "profile", "conserve"])
def test_amounts_that_are_missing_are_estimated(tmp_path: Path, method: str) -> None:
    hours = [hour for hour in range(24 * 21) if not 200 <= hour < 230]
    values = [1.0 + hour % 24 for hour in hours]
    store = store_with(tmp_path, "w", hours, values, kind="interval", interval="1h")
    table = store.query().fill(method, value=0.5).to_arrow()
    assert table["time"].cast("int64").to_pylist() == [hour * HOUR for hour in range(24 * 21)]
    filled = table["value"].to_pylist()[200:230]
    if method == "profile":
        assert filled == pytest.approx([1.0 + hour % 24 for hour in range(200, 230)])
    if method == "conserve":  # nothing is known that could be conserved
        assert filled == 30 * [None]
        assert set(table["quality"].to_pylist()[200:230]) == {sd.quality_code("missing")}
    else:
        assert set(table["quality"].to_pylist()[200:230]) == {sd.quality_code("estimated", method)}
    own = [value for hour, value in enumerate(table["value"].to_pylist()) if not 200 <= hour < 230]
    assert own == values


def test_a_span_sees_what_is_around_it(tmp_path: Path) -> None:
    store = store_with(tmp_path, "t", [0, 1, 2, 9, 10, 11], [0.0, 1.0, 2.0, 9.0, 10.0, 11.0])
    whole = store.query().fill("linear").to_arrow()
    part = store.query(start="1970-01-01T04:00", end="1970-01-01T07:00").fill("linear").to_arrow()
    assert part["value"].to_pylist() == [4.0, 5.0, 6.0]
    assert part.equals(whole.slice(4, 3))


def test_a_grid_has_the_line_between_readings_that_jitter(tmp_path: Path) -> None:
    store = sd.open(tmp_path / "city.sdts")
    times = [hour * HOUR + 7_000_000 for hour in range(6) if hour != 3]
    qualities = [0, 0, 2, 0, 0]
    store.write(
        {"series": "t", "time": times, "value": [t / HOUR for t in times], "quality": qualities},
        quality="quality",
    )
    table = store.query().fill("linear", every="1h").to_arrow()
    assert table["value"].to_pylist() == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0])
    assert table["quality"].to_pylist() == [0, 2, 65, 65, 0]


def test_written_back_the_estimates_keep_their_quality(tmp_path: Path) -> None:
    store = store_with(tmp_path, "t", [0, 1, 2, 5, 6], [0.0, 1.0, 2.0, 8.0, 9.0])
    filled = store.query().fill("linear").to_arrow()
    store.write(filled, quality="quality")
    assert store.query().to_arrow().to_pydict() == filled.to_pydict()
    store.write({"series": "t", "time": [3 * HOUR], "value": [3.5]})  # measured after all
    assert store.query(quality="measured").to_arrow().num_rows == 6


def test_readings_that_are_none_are_filled(tmp_path: Path) -> None:
    store = sd.open(tmp_path / "city.sdts")
    hours = [hour * HOUR for hour in range(6)]
    values, qualities = [0.0, 1.0, math.nan, 99.0, 4.0, 5.0], [0, 0, 0, sd.quality_code("rejected"), 0, 0]
    restore(store, {"series": "t", "time": hours, "value": values, "quality": qualities})
    assert store.query().fill("linear").to_arrow()["value"].to_pylist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_many_series_are_filled_as_each_alone(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    store = sd.open(tmp_path / "city.sdts")
    random = np.random.default_rng(5)
    for key in ("a", "b", "c"):
        hours = np.flatnonzero(random.random(300) < 0.8)
        store.write({"series": key, "time": hours * HOUR, "value": random.normal(size=hours.size)})
    whole = store.query().fill("profile").to_pandas()
    for key in ("a", "b", "c"):
        alone = store.query(key).fill("profile").to_pandas()
        assert whole[whole.series == key][["time", "value", "quality"]].to_numpy().tolist() == (
            alone[["time", "value", "quality"]].to_numpy().tolist()
        )


def test_what_cannot_be_filled_is_told(tmp_path: Path) -> None:
    store = store_with(tmp_path, "r", [0, 1, 2], [0.0, 1.0, 2.0], kind="register")
    store.describe("w", kind="interval", interval="1h")
    store.write({"series": "w", "time": [0, HOUR], "value": [1.0, 1.0]})
    query = store.query()
    for wrong in ("spline", [("linear", "2h"), ("magic", "3h")]):
        with pytest.raises(errors.UsageError, match="methods to fill gaps are none, constant"):
            query.fill(wrong)  # type: ignore[arg-type]
    with pytest.raises(errors.UsageError, match="takes the value"):
        query.fill("constant")
    with pytest.raises(errors.UsageError, match="not of one length"):
        query.fill("linear", limit="1mo")
    with pytest.raises(errors.UnknownTimeZoneError):
        query.fill("linear", tz="Europe/Olso")
    with pytest.raises(errors.UsageError, match="mixed"):
        query.fill("linear").to_arrow()
    with pytest.raises(errors.UsageError, match="no usual week"):
        store.query("r").fill("profile").to_arrow()
    store.write({"series": "r", "time": [2**60], "value": [1.0]})
    with pytest.raises(errors.UsageError, match="more than 8,388,608 rows"):
        store.query("r").fill("linear", limit=None).to_arrow()


@pytest.mark.parametrize("method", ["none", "constant", "previous", "next", "linear", "profile", "conserve"])
def test_filled_consumption_sums_to_the_difference_of_the_register(tmp_path: Path, method: str) -> None:
    random = np.random.default_rng(2)
    hours = [hour for hour in range(24 * 60) if not 300 <= hour < 420 and random.random() < 0.9]
    register = np.cumsum(random.gamma(1.0, 3.0, 24 * 60))[hours]
    store = store_with(tmp_path, "r", hours, register.tolist(), kind="register")
    query = store.query().consumption().fill(method, limit=None, tz="Europe/Oslo", value=1.0)
    table = query.to_arrow()
    assert table.column_names == ["series", "time", "end", "value", "quality"]
    whole = register[-1] - register[0]
    assert math.fsum(table["value"].to_pylist()) == pytest.approx(whole, rel=1e-12)
    months = query.resample("1mo", ["sum", "completeness", "estimated_share"], tz="Europe/Oslo").to_arrow()
    assert math.fsum(months["sum"].to_pylist()) == pytest.approx(whole, rel=1e-12)
    if method != "none":
        assert table["time"].cast("int64").to_pylist() == [k * HOUR for k in range(hours[0], hours[-1])]
        assert (np.array(months["estimated_share"].to_pylist()) > 0.1).any()
    part = store.query(start="1970-01-14", end="1970-01-16").consumption().fill(method, limit=None, value=1.0)
    assert part.to_arrow()["time"].cast("int64").to_numpy().min() <= 13 * 24 * HOUR
