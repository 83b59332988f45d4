"""The balance of a zone: against plain Python over registers interpolated at the hours."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts._time.instant import parse_instant
from smartdata_ts.errors import UnitError, UsageError

HOUR = 3_600_000_000
OSLO = "Europe/Oslo"
BEGIN = parse_instant("2024-10-24", OSLO)


@pytest.fixture(scope="module")
def registers():
    """Key -> (times, litres): inlets and an outlet every ten minutes, meters at odd times; with gaps."""
    random = np.random.default_rng(21)
    found = {}
    for key, step in (("in-1", 6), ("in-2", 6), ("out", 6), *((f"wm-{k}", 2) for k in range(5))):
        count = 24 * 7 * step + 1
        times = BEGIN + np.arange(count) * (HOUR // step)
        if key.startswith("wm"):
            times[1:-1] += random.integers(0, HOUR // 4, count - 2)
        kept = random.random(count) < 0.95
        kept[[0, -1]] = True
        found[key] = (times[kept], random.integers(0, 50, count).cumsum()[kept].astype(float))
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory, registers):
    store = sd.open(tmp_path_factory.mktemp("zone") / "city.sdts")
    for key, (times, litres) in registers.items():
        unit = "m3" if key.startswith("in") else "L"
        store.describe(key, unit=unit, quantity="water", kind="register", tags={"zone": key[:2]})
        store.write({"series": key, "time": times, "value": litres / 1000 if unit == "m3" else litres})
    with store:
        yield store


def litres_in(registers, key, start, end):
    """The register interpolated at both ends, and the share of the time for which it is known."""
    times, litres = registers[key]
    low, high = max(start, int(times[0])), min(end, int(times[-1]))
    if low >= high:
        return 0.0, 0.0
    at = np.interp([low, high], times, litres)
    return float(at[1] - at[0]), (high - low) / (end - start)


def us(local):
    return round(local.replace(tzinfo=ZoneInfo(OSLO)).timestamp() * 1e6)


def night_hours(day):
    """The instants of the hours from 02:00 to 04:00; the clock shows 02:00 twice on 27 October."""
    low, high = us(day + timedelta(hours=2)), us(day + timedelta(hours=4))
    return [(at, at + HOUR) for at in range(low, high, HOUR)]


def test_days_against_plain_python(store, registers):
    rows = store.zone_balance({"zone": "in"}, {"zone": "wm"}, outlet="out", tz=OSLO, unit="m3").to_pylist()
    days = [datetime(2024, 10, 24) + timedelta(days=k) for k in range(7)]  # the last one lacks an hour
    assert [round(row["time"].timestamp() * 1e6) for row in rows] == [us(day) for day in days]
    sides = {"inflow": ["in-1", "in-2"], "outflow": ["out"], "use": [f"wm-{k}" for k in range(5)]}

    def total(side, start, end):
        parts = [litres_in(registers, key, start, end) for key in sides[side]]
        known = any(share for _, share in parts)
        return sum(part for part, _ in parts) / 1000 if known else None, np.mean([s for _, s in parts])

    for day, row in zip(days, rows, strict=True):
        start, end = us(day), us(day + timedelta(days=1))
        inflow, outflow, use = (total(side, start, end) for side in ("inflow", "outflow", "use"))
        assert row["inflow"] == pytest.approx(inflow[0] - outflow[0])
        assert row["use"] == pytest.approx(use[0])
        assert row["difference"] == pytest.approx(inflow[0] - outflow[0] - use[0])
        assert row["inflow_completeness"] == pytest.approx(min(inflow[1], outflow[1]))
        assert row["use_completeness"] == pytest.approx(use[1])
        assert row["unit"] == "m3"
        hours = night_hours(day)
        assert len(hours) == (3 if day == datetime(2024, 10, 27) else 2)
        flows = []
        for low, high in hours:
            inflow, outflow, use = (total(side, low, high)[0] for side in ("inflow", "outflow", "use"))
            if inflow is not None:
                flows.append((inflow - outflow, use))
        if flows:
            assert (row["night_flow"], row["night_use"]) == pytest.approx(min(flows))
            assert row["net_night_flow"] == pytest.approx(min(flows)[0] - min(flows)[1])
            assert row["night_flow_completeness"] == 1
        else:
            assert (row["night_flow"], row["net_night_flow"], row["night_flow_completeness"]) == (
                None,
                None,
                0,
            )


def test_a_month_has_the_least_of_all_its_nights(store):
    days = store.zone_balance(["in-1", "in-2"], {"zone": "wm"}, tz=OSLO).to_pylist()
    (october,) = store.zone_balance(["in-1", "in-2"], {"zone": "wm"}, tz=OSLO, every="1mo").to_pylist()
    assert october["unit"] == "L"  # as most of the series have it
    assert october["night_flow"] == min(day["night_flow"] for day in days)
    assert october["inflow"] == pytest.approx(sum(day["inflow"] for day in days), rel=1e-12)
    assert october["inflow_completeness"] == pytest.approx((7 * 24) / 745)


def test_what_is_less_complete_is_null(store):
    rows = store.zone_balance("in-1", {"zone": "wm"}, tz=OSLO, min_completeness=0.99).to_pylist()
    assert rows[3]["difference"] is not None
    assert (rows[-1]["inflow"], rows[-1]["use"], rows[-1]["difference"]) == (None, None, None)


def test_a_span_a_gas_day_and_a_night_across_midnight(store):
    rows = store.zone_balance(
        "in-1",
        "wm-1",
        "2024-10-25T06:00",
        "2024-10-28T06:00",
        OSLO,
        night=("23:00", "01:00"),
        offset="6h",
        unit="L",
    ).to_pylist()
    assert [row["time"].hour for row in rows] == [4, 4, 5]
    whole = store.query("in-1", start="2024-10-25T23:00", end="2024-10-26T01:00", tz=OSLO).consumption("L")
    hours = whole.resample("1h", "sum").to_arrow()["sum"].to_pylist()
    assert rows[0]["night_flow"] == pytest.approx(min(hours))


def test_a_day_whose_night_is_over_has_no_night_flow(store):
    (row,) = store.zone_balance("in-1", "wm-1", "2024-10-25T05:00", "2024-10-25T12:00", OSLO).to_pylist()
    assert (row["night_flow"], row["net_night_flow"], row["night_flow_completeness"]) == (None, None, 0)
    assert row["inflow_completeness"] == pytest.approx(7 / 24)


def test_nothing_is_nothing(store):
    table = store.zone_balance({"zone": "none"}, {"zone": "none"})
    assert table.num_rows == 0
    assert table.schema == store.zone_balance("in-1", "wm-1").schema
    early = store.zone_balance("in-1", "wm-1", end="2001-01-01")
    assert early.num_rows == 0


def test_an_inlet_may_be_a_flow(tmp_path):
    with sd.open(tmp_path / "s") as store:
        store.describe("flow", kind="gauge", unit="L/s", quantity="water")
        store.describe("meter", kind="register", unit="m3", quantity="water")
        minutes = np.arange(24 * 60 + 1) * (HOUR // 60)
        store.write({"series": "flow", "time": minutes, "value": 2.0 - 1.0 * (minutes // HOUR == 3)})
        store.write({"series": "meter", "time": minutes[::60], "value": np.arange(25) * 3.0})
        (row, *_) = store.zone_balance("flow", "meter", unit="m3").to_pylist()
        assert (row["use"], row["unit"]) == (72, "m3")
        assert row["inflow"] == pytest.approx(23 * 7.2 + 3.6)
        assert (row["night_flow"], row["net_night_flow"]) == (
            pytest.approx(3.6, abs=0.06),
            pytest.approx(0.6, abs=0.06),
        )


def test_inlets_with_the_tags_of_the_zone_are_no_members(tmp_path):
    with sd.open(tmp_path / "s") as store:
        for key, amount in (("in", 10.0), ("out", 2.0), ("a", 3.0), ("b", 4.0)):
            store.describe(key, kind="register", tags={"zone": "z"})
            store.write({"series": key, "time": np.arange(25) * HOUR, "value": np.arange(25) * amount})
        (row, *_) = store.zone_balance("in", {"zone": "z"}, outlet="out").to_pylist()
        assert (row["inflow"], row["use"], row["difference"], row["unit"]) == (192, 168, 24, None)
        with pytest.raises(UsageError, match="'in' is named as a member, and as an inlet"):
            store.zone_balance("in", ["in", "a"])


def test_what_is_no_balance_is_refused(store, tmp_path):
    for night in (("02:00",), ("2", "4"), ("02:00", "02:00"), ("24:00", "02:00"), ("02:00", 4), "ab"):
        with pytest.raises(UsageError, match="night must be two local times"):
            store.zone_balance("in-1", "wm-1", night=night)
    with sd.open(tmp_path / "s") as other:
        other.describe("water", unit="m3")
        other.describe("heat", unit="kWh")
        with pytest.raises(UnitError, match="which do not mix"):
            other.zone_balance("water", "heat")
