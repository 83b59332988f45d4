"""Buckets summed across series, by tag, with completeness: against plain Python over the same buckets."""

from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.compute as pc
import pytest

import smartdata_ts as sd
from smartdata_ts._steps import frame
from smartdata_ts.errors import UsageError

HOUR = 3_600_000_000
OSLO = ZoneInfo("Europe/Oslo")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Forty registers of two months, jittered, with gaps; thirty of them in two zones."""
    random = np.random.default_rng(3)
    store = sd.open(tmp_path_factory.mktemp("across") / "city.sdts")
    with store.writer() as writer:
        for k in range(40):
            jittered = np.arange(1_500) * HOUR + random.integers(0, HOUR // 2, 1_500)
            times = jittered[random.random(1_500) < 0.9]
            values = random.integers(0, 30, times.size).cumsum() / 1e3 + 1000
            writer.write({"series": f"m{k:02}", "time": times, "value": values})
    for k in range(30):
        store.describe(f"m{k:02}", kind="register", tags={"zone": f"z{k % 2}"})
    with store:
        yield store


def zone_of(key):
    return f"z{int(key[1:]) % 2}" if int(key[1:]) < 30 else None


@pytest.mark.parametrize("frame_readings", [frame.FRAME_READINGS, 5_000])
def test_sums_by_tag_with_completeness(store, monkeypatch, frame_readings):
    monkeypatch.setattr(frame, "FRAME_READINGS", frame_readings)
    days = store.query().consumption().resample("1d", ["sum", "completeness", "count", "estimated_share"])
    each = days.to_arrow().to_pylist()
    found = days.aggregate("sum", by="zone").to_arrow().to_pylist()
    assert list(found[0]) == ["zone", "time", "sum", "completeness", "estimated_share", "series_count"]
    assert len(found) == 3 * len({row["time"] for row in each})
    for row in found:
        own = [r for r in each if zone_of(r["series"]) == row["zone"] and r["time"] == row["time"]]
        assert row["sum"] == pytest.approx(sum(r["sum"] for r in own), rel=1e-12)
        size = sum(zone_of(f"m{k:02}") == row["zone"] for k in range(40))
        assert row["completeness"] == pytest.approx(sum(r["completeness"] for r in own) / size)
        assert row["series_count"] == len(own)
        assert row["estimated_share"] == 0


def test_less_complete_than_wanted_is_null(store):
    days = store.query().consumption().resample("1d", ["sum", "completeness"])
    strict = days.aggregate("mean", min_completeness=0.999).to_arrow().to_pylist()
    assert strict[0]["sum"] is None
    assert 0 < strict[0]["completeness"] < 0.999
    own = [r["sum"] for r in days.to_arrow().to_pylist() if r["time"] == strict[20]["time"]]
    assert strict[20]["sum"] == pytest.approx(np.mean(own))


def test_extremes_of_plain_buckets(store):
    highest = store.query().resample("1d", ["max"]).aggregate("max").to_arrow()
    assert max(highest["max"].to_pylist()) == pc.max(store.query().to_arrow()["value"]).as_py()
    assert highest["series_count"].to_pylist()[5] == 40


def test_steps_in_an_order_that_means_nothing(store):
    query = store.query()
    for wrong, message in (
        (lambda: query.aggregate("sum"), "follows a resample"),
        (lambda: query.consumption().aggregate("sum"), "follows a resample"),
        (lambda: query.resample("1d", "sum").aggregate("sum").aggregate("sum"), "follows a resample"),
        (lambda: query.resample("1d", "sum").aggregate("sum").last(), "follows a selection"),
        (lambda: query.consumption().resample("1d", "count").aggregate("sum"), "other than count"),
        (lambda: query.resample("1d", "sum").aggregate("average"), "how must be"),
        (lambda: query.resample("1d", "sum").aggregate("sum", by="time"), "by must name tags"),
        (lambda: query.resample("1d", "sum").aggregate("sum", by=["zone", "zone"]), "by must name tags"),
        (lambda: query.resample("1d", "sum").aggregate("sum", min_completeness=2), "from 0 to 1"),
    ):
        with pytest.raises(UsageError, match=message):
            wrong()


def test_nothing_selected_is_nothing_used(store):
    days = store.query([]).consumption().resample("1d", "sum").aggregate("sum", by="zone")
    assert days.to_arrow().num_rows == 0
    assert days.to_arrow().schema == days.schema


def test_buckets_are_in_the_zone_of_the_query(store):
    days = store.query(tz="Europe/Oslo").consumption().resample("1d", "sum").aggregate("sum").to_arrow()
    assert {time.as_py().hour for time in days["time"]} == {23}


def test_the_whole_chain_adds_up(tmp_path):
    """Registers with gaps of up to six days, filled by their usual week, in local months, by zone."""
    random = np.random.default_rng(11)
    store = sd.open(tmp_path / "s")
    start = int(np.datetime64("2024-09-20", "us").astype(np.int64))
    used = {"DMA-7": 0.0, "DMA-8": 0.0}
    for k in range(12):
        zone = "DMA-7" if k % 3 else "DMA-8"
        hours = np.arange(60 * 24)
        register = 500 + np.cumsum(random.random(hours.size) * (hours % 24 > 5))
        gap = random.integers(100, 1200)
        kept = (hours < gap) | (hours > gap + random.integers(2, 144))
        store.write({"series": f"m{k}", "time": start + hours[kept] * HOUR, "value": register[kept]})
        store.describe(f"m{k}", kind="register", unit="m3", tags={"zone": zone})
        used[zone] += register[-1] - register[0]
    query = store.query(tags={"zone": ["DMA-7", "DMA-8"]}, tz="Europe/Oslo")
    months = (
        query.consumption()
        .fill("profile", limit="7d")
        .resample("1mo", ["sum", "completeness", "estimated_share"])
        .aggregate("sum", by="zone")
        .to_arrow()
        .to_pylist()
    )
    assert [row["time"].astimezone(OSLO).month for row in months] == [9, 10, 11] * 2
    for zone, volume in used.items():
        own = [row for row in months if row["zone"] == zone]
        assert sum(row["sum"] for row in own) == pytest.approx(volume, rel=1e-12)
        assert own[1]["completeness"] == pytest.approx(1.0)
        assert any(0 < row["estimated_share"] < 0.2 for row in own)
    # One month asked for alone is that month of the whole.
    october = store.query(tags={"zone": "DMA-7"}, start="2024-10-01", end="2024-11-01", tz="Europe/Oslo")
    sums = october.consumption().resample("1mo", "sum").aggregate("sum", by="zone").to_arrow()
    every = query.consumption().resample("1mo", "sum").aggregate("sum", by="zone").to_arrow()
    assert sums["sum"][0].as_py() == pytest.approx(every["sum"][1].as_py(), rel=1e-12)
