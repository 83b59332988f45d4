"""Buckets summed across series, by tag, with completeness: against plain Python over the same buckets."""

from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.compute as pc
import pytest

import smartdata_ts as sd
from smartdata_ts._steps import pipeline
from smartdata_ts.errors import UnitError, UsageError

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


@pytest.mark.parametrize("frame_readings", [pipeline.FRAME_READINGS, 5_000])
def test_sums_by_tag_with_completeness(store, monkeypatch, frame_readings):
    monkeypatch.setattr(pipeline, "FRAME_READINGS", frame_readings)
    days = store.query().consumption().resample("1d", ["sum", "completeness", "count", "estimated_share"])
    each = days.to_arrow().to_pylist()
    found = days.aggregate("sum", by="zone").to_arrow().to_pylist()
    shares = ["completeness", "estimated_share", "series_count"]
    assert list(found[0]) == ["zone", "time", "sum", "count", *shares]
    assert len(found) == 3 * len({row["time"] for row in each})
    for row in found:
        own = [r for r in each if zone_of(r["series"]) == row["zone"] and r["time"] == row["time"]]
        assert row["sum"] == pytest.approx(sum(r["sum"] for r in own), rel=1e-12)
        size = sum(zone_of(f"m{k:02}") == row["zone"] for k in range(40))
        assert row["completeness"] == pytest.approx(sum(r["completeness"] for r in own) / size)
        assert row["series_count"] == len(own)
        assert row["count"] == sum(r["count"] for r in own)
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


HOWS = {
    "mean": np.mean,
    "min": np.min,
    "max": np.max,
    "count": len,
    "median": np.median,
    "p95": lambda values: np.percentile(values, 95),
    "p2.5": lambda values: np.percentile(values, 2.5),
}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("by", [(), ("zone",)])
def test_every_way_against_numpy(store, monkeypatch, how, by):
    monkeypatch.setattr(pipeline, "FRAME_READINGS", 5_000)
    names = ["min", "std", "expected_count"]  # where a bucket has one reading, std is null
    buckets = store.query().resample("12h", names)
    groups = {}
    for row in buckets.to_arrow().to_pylist():
        groups.setdefault((*(zone_of(row["series"]) for _ in by), row["time"]), []).append(row)
    found = buckets.aggregate(how, by=by).to_arrow().to_pylist()
    assert len(found) == len(groups)
    for row in found:
        own = groups[(*(row[name] for name in by), row["time"])]
        for name in ("min", "std"):
            values = [r[name] for r in own if r[name] is not None]
            expected = HOWS[how](values) if values or how == "count" else None
            assert row[name] == (pytest.approx(expected, rel=1e-12) if expected is not None else None)
        assert row["expected_count"] == sum(r["expected_count"] for r in own)


def test_percentiles_below_the_threshold_are_null(store):
    days = store.query().consumption().resample("1d", ["sum", "completeness"])
    found = days.aggregate("median", min_completeness=0.999).to_arrow().to_pylist()
    assert found[0]["sum"] is None
    assert found[20]["sum"] > 0
    counts = days.aggregate("count", min_completeness=0.999).to_arrow()
    assert counts["sum"].to_pylist()[0] is None
    assert counts["sum"].to_pylist()[20] == 40


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Two meters in litres, one in cubic metres, one of electricity, two thermometers, one without a unit."""
    store = sd.open(tmp_path_factory.mktemp("mixed") / "city.sdts")
    facts = {"a": ("water", "L"), "b": ("water", "L"), "c": ("water", "m3"), "e": ("electricity", "kWh")}
    facts.update({"n": (None, None), "t": ("temperature", "Cel"), "u": ("temperature", "K")})
    for k, (key, (quantity, unit)) in enumerate(facts.items()):
        store.describe(key, quantity=quantity, unit=unit, kind="gauge" if key in "tu" else "register")
        value = np.arange(25) * (k + 1.0) * (0.001 if unit == "m3" else 1) + (273.15 if unit == "K" else 0)
        store.write({"series": key, "time": np.arange(25) * HOUR, "value": value})
    with store:
        yield store


def test_series_in_several_units_of_one_quantity_are_converted(mixed):
    days = mixed.query(["a", "b", "c"]).consumption().resample("1d", "sum")
    total = days.aggregate("sum").to_arrow()
    assert total["sum"].to_pylist() == [pytest.approx(24 * (1 + 2 + 3), rel=1e-14)]
    assert total.schema.field("sum").metadata == {b"unit": b"L"}
    total = days.aggregate("sum", unit="m3").to_arrow()
    assert total["sum"].to_pylist() == [pytest.approx(0.024 * (1 + 2 + 3), rel=1e-14)]
    assert total.schema.field("sum").metadata == {b"unit": b"m3"}
    amounts = mixed.query(["a", "b", "c"]).consumption(unit="m3").resample("1d", "sum")
    assert amounts.to_arrow()["sum"].to_pylist() == [pytest.approx(0.024 * k, rel=1e-14) for k in (1, 2, 3)]
    assert amounts.aggregate("max").to_arrow()["sum"].to_pylist() == [pytest.approx(0.072, rel=1e-14)]
    assert amounts.aggregate("max").to_arrow().schema.field("sum").metadata == {b"unit": b"m3"}
    assert days.aggregate("count").to_arrow()["sum"].to_pylist() == [3]


def test_levels_are_converted_with_their_offset(mixed):
    days = (
        mixed.query(["t", "u"], end="1970-01-02").resample("1d", ["mean", "std"]).aggregate("max").to_arrow()
    )
    assert days["mean"].to_pylist() == [pytest.approx(max(6, 7) * 11.5)]
    assert days["std"].to_pylist() == [pytest.approx(7 * np.std(np.arange(24), ddof=1))]
    assert days.schema.field("mean").metadata == {b"unit": b"Cel"}


def test_what_does_not_mix_is_refused(mixed):
    for keys, message in (
        (["a", "e"], "several quantities"),
        (["a", "n"], "series 'n' has no unit"),
    ):
        with pytest.raises(UnitError, match=message):
            mixed.query(keys).consumption().resample("1d", "sum").aggregate("sum").to_arrow()
    with pytest.raises(UnitError, match="sums of series in different units of temperature"):
        mixed.query(["t", "u"]).resample("1d", "sum").aggregate("sum").to_arrow()
    for key, unit, message in (("n", "m3", "'n' has no unit"), ("e", "m3", "'e': kWh is a unit of energy")):
        with pytest.raises(UnitError, match=message):
            mixed.query(key).consumption(unit=unit).to_arrow()
    with pytest.raises(UnitError, match="'n' has no unit"):
        mixed.query("n").consumption().resample("1d", "sum").aggregate("sum", unit="m3").to_arrow()
    assert mixed.query("n").consumption().resample("1d", "sum").aggregate("sum").to_arrow().num_rows == 1


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
