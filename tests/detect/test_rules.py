"""The rules beside leaks: each finds its fault, tells its figures, and leaves alone what looks like it."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest

import smartdata_ts as sd

HOUR = 3_600_000_000
DAY = 24 * HOUR
START = int(datetime(2025, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture
def store(tmp_path):
    with sd.open(tmp_path / "city.sdts") as opened:
        yield opened


def amounts(store, key, hours, step=HOUR, unit="L", quantity="water", tags=None):
    store.describe(key, kind="register", unit=unit, quantity=quantity, tags=tags or {})
    times = START + np.arange(len(hours) + 1) * step
    counted = np.cumsum([500_000.0, *hours])  # of which falls up to 2,500 are backflow, not resets
    store.write({"series": key, "time": times, "value": counted})


def gauge(store, key, values, times=None, unit="Cel"):
    store.describe(key, kind="gauge", unit=unit)
    times = START + np.arange(len(values)) * HOUR if times is None else times
    store.write({"series": key, "time": times, "value": np.array(values, np.float64)})


def found(store, rule, of_amounts=True, **asked):
    query = store.query(tz="Europe/Oslo", **asked)
    rows = (query.consumption() if of_amounts else query).detect([rule]).to_arrow().to_pylist()
    for row in rows:
        said = {f"{figure['value']:.3g}" for figure in row["evidence"]}
        said |= {f"{figure['value']:.0f}" for figure in row["evidence"]}
        text = re.sub(r"\w+day \d+ \w+ \d{4} \d\d:\d\d|56 days|48 h", "", row["text"])
        assert set(re.findall(r"\d+(?:\.\d+)?(?:e[+-]\d+)?", text)) <= {
            number.lstrip("-") for number in said
        }, row["text"]
    return rows


def hour_of(row, name="start"):
    return (row[name].timestamp() * 1_000_000 - START) / HOUR


# -- burst


def test_a_burst_is_a_share_of_the_permanent_flow_for_half_an_hour(store):
    quarter = [5.0] * 20 + [200.0, 180.0] + [5.0] * 20  # 720 L/h for half an hour; 20 % of 2.5 m3/h are 500
    amounts(store, "wm-1", quarter, HOUR // 4, tags={"q3": "2.5"})
    amounts(store, "flats", quarter, HOUR // 4, tags={"q3": "2.5", "dwellings": "12"})
    amounts(store, "unknown", quarter, HOUR // 4)
    amounts(store, "short", [5.0] * 20 + [300.0] + [5.0] * 20, HOUR // 4, tags={"q3": "2.5"})
    (row,) = found(store, "burst")
    assert (row["series"], hour_of(row), hour_of(row, "end")) == ("wm-1", 5, 5.5)
    assert (row["value"], row["limit"], row["unit"]) == (720.0, 500.0, "L/h")


# -- backflow


def test_a_register_that_goes_back_a_little_is_a_warning_and_much_an_alarm(store):
    amounts(store, "little", [10, 20, -3, 10, 1, -2, 10])
    amounts(store, "much", [10, 1, -150, 10])
    little, much = found(store, "backflow")
    assert (little["severity"], little["value"], hour_of(little), hour_of(little, "end")) == (
        "warning",
        5,
        2,
        6,
    )
    assert (much["severity"], much["value"], much["limit"]) == ("alarm", 150, 100)


def test_a_meter_mounted_backwards_is_told(store):
    amounts(store, "wm-1", [10, 10, *[-4, 0] * 40])
    (row,) = found(store, "backflow")
    assert "mounted backwards" in row["text"]
    assert (row["value"], row["end"]) == (160, None) or hour_of(row, "end") == 81


def test_power_that_is_fed_in_is_no_backflow(store):
    store.describe("pv", kind="interval", unit="kWh", interval="1h", quantity="electricity")
    store.write({"series": "pv", "time": START + np.arange(50) * HOUR, "value": np.tile([1.0, -2.0], 25)})
    assert found(store, "backflow") == []


# -- dead


def test_a_meter_that_stops_for_longer_than_it_ever_did_is_dead(store):
    use = np.tile([5.0, 0.0], 24 * 10)
    amounts(store, "wm-1", [*use, *[0.0] * (24 * 30)])
    amounts(store, "cabin", [*use, *[0.0] * (24 * 30)], tags={"use": "cabin"})
    amounts(store, "away", [*use, *[0.0] * (24 * 14), *use])
    amounts(store, "often", [*use, *[0.0] * (24 * 12), *use, *[0.0] * (24 * 30)])
    amounts(store, "never used", [0.0] * (24 * 60))
    (row,) = found(store, "dead")
    assert (row["series"], hour_of(row), row["end"]) == ("wm-1", 479, None)
    assert hour_of(row, "found") == 479 + 28 * 24
    assert row["value"] == pytest.approx((24 * 30 + 1) / 24)


def test_electricity_is_dead_after_three_days(store):
    use = np.tile([1.0, 2.0], 24 * 5)
    amounts(store, "el-1", [*use, *[0.0] * (24 * 4)], unit="kWh", quantity="electricity")
    amounts(store, "wm-1", [*use, *[0.0] * (24 * 4)])
    assert [row["series"] for row in found(store, "dead")] == ["el-1"]


# -- silent


@pytest.mark.parametrize("of_amounts", [True, False])
def test_a_silence_that_ended_has_an_end_and_one_that_goes_on_has_none(store, of_amounts):
    early, late = np.arange(100), np.arange(160, 400)
    for key, hours in (("a", np.append(early, late)), ("b", np.arange(300))):
        store.describe(key, kind="register" if of_amounts else "gauge", unit="L" if of_amounts else "Cel")
        store.write({"series": key, "time": START + hours * HOUR, "value": hours.astype(float)})
    ended, open_one = found(store, "silent", of_amounts)
    assert (ended["series"], hour_of(ended), hour_of(ended, "end")) == ("a", 99, 160)
    assert hour_of(ended, "found") == 99 + 24
    assert (open_one["series"], hour_of(open_one), open_one["end"]) == ("b", 299, None)
    assert open_one["value"] == 100


def test_a_series_that_is_heard_now_and_then_is_not_silent(store):
    often = np.cumsum(np.tile([1, 1, 1, 40], 30))
    gauge(store, "a", np.arange(often.size), START + often * HOUR)
    rows = found(store, "silent", of_amounts=False)
    assert [hour_of(row) for row in rows] == [3]  # until it is known to


# -- stuck


def test_a_gauge_that_stands_still_is_stuck_and_one_that_often_does_is_not(store):
    moving = np.arange(200) % 7 + 0.5
    gauge(store, "a", [*moving, *[3.25] * 12, *moving])
    gauge(store, "b", [*moving, *[1.0] * 6, *moving, *[3.25] * 12, *moving])
    gauge(store, "few", [1, 2, 3, 3, 4], START + np.array([0, 10, 20, 60, 70]) * HOUR)
    (row,) = found(store, "stuck", of_amounts=False)
    assert (row["series"], hour_of(row), hour_of(row, "end"), row["value"]) == ("a", 200, 212, 11)
    assert "stood at 3.25 Cel for 11 hours" in row["text"]


# -- spike


def test_a_spike_comes_back_and_a_step_is_none(store):
    noise = np.random.default_rng(4).integers(-5, 6, 200) / 10 + 8
    spiked, stepped = noise.copy(), noise.copy()
    spiked[100:102] = 40.0
    stepped[100:] += 40
    gauge(store, "spiked", spiked)
    gauge(store, "stepped", stepped)
    (row,) = found(store, "spike", of_amounts=False)
    assert (row["series"], hour_of(row), hour_of(row, "end"), row["value"]) == ("spiked", 100, 102, 40)
    assert row["usual"] == np.median(spiked[98:105])
    assert hour_of(row, "found") == 104
    assert found(store, ("spike", {"above": 1000.0}), of_amounts=False) == []


# -- impossible


def test_what_cannot_be_is_told_with_what_can(store):
    gauge(store, "t", [8.0, 9.0, -999.0, -999.0, 9.0, 400.0])
    gauge(store, "level", [50.0, 100.0, 0.0], unit="%")
    gauge(store, "counts", [1e9, -5.0], unit="m")
    (row,) = found(store, "impossible", of_amounts=False)
    assert (row["series"], hour_of(row), row["end"]) == ("t", 2, None)
    assert row["text"].startswith("3 readings")
    assert "-999 Cel, where -60 Cel to 150 Cel can be" in row["text"]


def test_a_pipe_and_a_fuse_let_so_much_pass(store):
    amounts(store, "wm", [3000.0, 3200.0, 5.0], tags={"q3": "2.5"})
    amounts(store, "el", [10.0, 40.0, 20.0], unit="kWh", quantity="electricity", tags={"fuse": "63"})
    amounts(store, "any", [1e6, 1e6])
    electric, water = found(store, "impossible")
    assert (electric["series"], electric["value"]) == ("el", 40.0)
    assert electric["limit"] == pytest.approx(63 * 230 * 3**0.5 / 1000)
    assert (water["series"], water["limit"], water["value"]) == ("wm", 3125.0, 3200.0)


# -- all of them


def test_all_rules_run_where_none_is_named_and_every_text_has_two_languages(store):
    amounts(store, "wm-1", [*[20.0] * 100, -500.0, *[0.0] * 50], tags={"q3": "2.5"})
    names = set(store.query().consumption().detect().to_arrow()["rule"].to_pylist())
    assert names == {"leak", "backflow"}
    english = store.query().consumption().detect().to_arrow()["text"].to_pylist()
    norwegian = store.query().consumption().detect(lang="nb").to_arrow()["text"].to_pylist()
    assert len(english) == len(norwegian)
    assert not set(english) & set(norwegian)


def test_a_span_gives_the_findings_of_the_whole_that_go_on_in_it(store):
    use = np.tile([5.0, 0.0], 24 * 10)
    amounts(store, "wm-1", [*use, *[0.0] * (24 * 30), *use, -40.0, *[9.0] * 60])
    whole = store.query().consumption().detect().to_arrow().to_pylist()
    assert {row["rule"] for row in whole} == {"dead", "backflow", "leak"}
    for day in range(0, 72, 6):
        at = START + day * DAY
        expected = [row for row in whole if row["end"] is None or row["end"].timestamp() * 1e6 > at]
        assert store.query(start=at).consumption().detect().to_arrow().to_pylist() == expected
