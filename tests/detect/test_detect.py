"""Findings of queries: the table, leaks, and what every rule must hold to."""

import itertools
import re
from datetime import UTC, datetime

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts.errors import UsageError

HOUR = 3_600_000_000
MONDAY = int(datetime(2025, 11, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000  # 02:00 in Oslo
COLUMNS = (
    "id series rule severity start end found score confidence per_year value usual limit unit amount "
    "evidence text status note commit change tags"
)


@pytest.fixture
def store(tmp_path):
    with sd.open(tmp_path / "city.sdts") as opened:
        yield opened


def home(days, seed=0):
    """Litres of each hour of a household, at rest in the night."""
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days) % 24
    return np.where((hours >= 6) & (hours < 23), rng.integers(0, 30, hours.size), 0).astype(float)


def write(store, key, amounts, start, step=HOUR, quality=0, **facts):
    """A register that counts the amounts, one a step."""
    if facts.pop("describe", True):
        store.describe(key, kind="register", unit="L", quantity="water", **facts)
    times = start + np.arange(len(amounts) + 1) * step
    qualities = np.broadcast_to(np.uint8(quality), times.size)
    store.write({"series": key, "time": times, "value": np.cumsum([1000.0, *amounts]), "quality": qualities})


def leaking(store, key="wm-1", litres=14, hours=63, after=0, **facts):
    """Eight weeks of a household, then hours of a leak from Monday 3 November 02:00 on, then rest again."""
    amounts = np.concatenate([home(56), home(hours // 24 + 1)[:hours] + litres, np.zeros(after)])
    write(store, key, amounts, MONDAY - 56 * 24 * HOUR, **facts)


def findings(store, rules=("leak",), **asked):
    lang = asked.pop("lang", "en")
    return store.query(tz="Europe/Oslo", **asked).consumption().detect(list(rules), lang=lang).to_arrow()


def test_a_leak_is_one_row_with_all_columns(store):
    leaking(store, tags={"zone": "Harbour"})
    table = findings(store)
    assert table.column_names == COLUMNS.split()
    assert table.schema == store.query().consumption().detect().schema
    (row,) = table.to_pylist()
    assert re.fullmatch("f-[0-9a-f]{12}", row["id"])
    named = {
        name: row[name]
        for name in ("series", "rule", "severity", "end", "status", "change", "note", "commit")
    }
    assert named == {
        "series": "wm-1",
        "rule": "leak",
        "severity": "alarm",
        "end": None,
        "status": "open",
        "change": "new",
        "note": None,
        "commit": None,
    }
    assert row["start"] == datetime(2025, 11, 3, 1, tzinfo=UTC)
    assert row["found"] == datetime(2025, 11, 4, 1, tzinfo=UTC)
    assert (row["value"], row["unit"], row["usual"]) == (14.0, "L/h", 0.0)
    assert row["limit"] == pytest.approx(3.8)
    assert row["score"] == pytest.approx(14 / 3.8 * 63 / 24)
    assert row["amount"] == 63 * 14
    assert row["confidence"] == 1.0
    assert row["tags"] == [("zone", "Harbour")]


def test_a_text_says_what_its_evidence_holds_in_the_zone_of_the_query(store):
    leaking(store)
    (row,) = findings(store).to_pylist()
    assert row["text"] == (
        "Water has not stood still for 63 hours, since Monday 3 November 2025 02:00. The least hour of the "
        "last day was 14 L; the limit is 3.8 L an hour. In the 56 days before, 56 had an hour at rest. "
        "About 882 L so far, 336 L a day. The register counts in steps of 1 L."
    )
    (row,) = findings(store, lang="nb").to_pylist()
    assert "63 timer, siden mandag 3. november 2025 02:00" in row["text"]
    assert "grensen er 3,8 L i timen" in row["text"]


def test_figures_of_a_leak_are_those_of_a_query(store):
    leaking(store)
    (row,) = findings(store).to_pylist()
    figures = {figure["name"]: figure["value"] for figure in row["evidence"]}
    amounts = store.query().consumption().to_arrow().to_pandas()
    during = amounts[amounts["time"] >= row["start"]]
    before = amounts[amounts["time"] < row["start"]]
    hours = (during["end"].max() - row["start"]).total_seconds() / 3600
    rate = during["value"].tail(24).min()
    least = before.groupby((before["time"] - row["start"]).dt.days)["value"].min()
    assert figures["hours"] == hours
    assert figures["rate"] == rate
    assert figures["volume"] == during["value"].clip(upper=rate).sum()
    assert figures["daily"] == 24 * rate
    assert (figures["days"], figures["rest_days"]) == (len(least), (least <= figures["limit"]).sum())
    assert figures["step"] == amounts["value"][amounts["value"] > 0].min()


def test_a_finding_keeps_its_id_as_it_grows_and_closes_when_it_ends(store):
    leaking(store, "wm-1", hours=30)
    first = findings(store).to_pylist()[0]
    end = MONDAY + 30 * HOUR
    register = store.query("wm-1").last().to_arrow()["value"].to_pylist()[0]
    later = register + np.cumsum([14.0] * 30 + [0.0] * 3)
    store.write({"series": "wm-1", "time": end + np.arange(1, 34) * HOUR, "value": later})
    second = findings(store).to_pylist()[0]
    assert (first["id"], first["status"]) == (second["id"], "open")
    assert (second["status"], second["end"]) == ("closed", datetime(2025, 11, 5, 13, tzinfo=UTC))


def test_a_span_gives_what_goes_on_in_it_with_the_same_figures_as_all(store):
    leaking(store, after=48)
    whole = findings(store)
    assert findings(store, start=MONDAY + 40 * HOUR).equals(whole)
    assert findings(store, start=MONDAY + 70 * HOUR).num_rows == 0
    assert findings(store, end=MONDAY + 20 * HOUR).num_rows == 0


def test_estimates_neither_open_nor_close_a_leak(store):
    amounts = np.concatenate([home(20), home(3) + 14])
    write(store, "wm-1", amounts, MONDAY - 20 * 24 * HOUR)
    write(store, "wm-2", amounts, MONDAY - 20 * 24 * HOUR, quality=sd.quality_code("estimated"))
    # the reading at hour 30 says again what was read at hour 29: an hour of nothing, but an estimate
    register = 1000 + amounts[: 20 * 24 + 29].sum()
    estimate = {"series": "wm-1", "time": [MONDAY + 30 * HOUR], "value": [register], "quality": [1]}
    store.write(estimate, on_conflict="replace")
    (row,) = findings(store).to_pylist()
    assert (row["series"], row["start"]) == ("wm-1", datetime(2025, 11, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize("day", ["2025-03-30", "2025-10-26"])
def test_a_leak_over_a_day_of_23_or_25_hours_lasts_as_many_hours_as_passed(store, day):
    start = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * 1_000_000 - 6 * HOUR
    write(store, "wm-1", np.concatenate([home(10), home(2) + 14, [0, 0]]), start - 240 * HOUR)
    (row,) = findings(store).to_pylist()
    assert (row["end"] - row["start"]).total_seconds() == 48 * 3600
    assert {figure["name"]: figure["value"] for figure in row["evidence"]}["hours"] == 48


@pytest.mark.parametrize(("step", "unit"), [(HOUR // 4, 1), (HOUR // 2, 3), (HOUR, 1)])
def test_quarter_hours_and_coarse_registers_find_it_too(store, step, unit):
    steps = HOUR // step
    litres = np.repeat(np.concatenate([home(30), home(3) + 12]) / steps, steps)
    counted = np.diff(np.floor(np.cumsum([0, *litres]) / unit) * unit)
    write(store, "wm-1", counted, MONDAY - 30 * 24 * HOUR, step)
    found = findings(store).to_pylist()
    assert [row["severity"] for row in found] == ["alarm"]
    assert abs((row := found[0])["start"].timestamp() * 1e6 - MONDAY) <= 2 * HOUR, row["start"]


@pytest.mark.parametrize(("step", "unit"), [(6 * HOUR, 1), (HOUR, 100)])
def test_what_cannot_be_told_is_said(store, step, unit):
    write(store, "wm-1", np.tile([0.0, 3.0 * unit, unit], 40), MONDAY, step)
    (row,) = findings(store).to_pylist()
    assert (row["severity"], row["rule"]) == ("note", "leak")
    assert "too coarse to tell a leak" in row["text"]


def test_the_limit_is_that_of_the_meter_or_of_the_option(store):
    leaking(store, "wm-1")
    leaking(store, "wm-2", tags={"q3": "4"})
    assert findings(store)["series"].to_pylist() == ["wm-1"]
    assert findings(store, [("leak", {"above": "40 L/h"})]).num_rows == 0
    assert findings(store, [("leak", {"above": "0.001 m3/h"})])["series"].to_pylist() == ["wm-1", "wm-2"]
    assert findings(store, [("leak", {"for_": "72h"})]).num_rows == 0


def test_findings_do_not_depend_on_company_or_on_the_order_of_writes(store):
    for k in range(5):
        leaking(store, f"wm-{k}", litres=5 + k)
    together = findings(store)
    alone = [findings(store, series=f"wm-{k}") for k in range(5)]
    assert together.to_pylist() == list(itertools.chain(*(table.to_pylist() for table in alone)))
    assert together.num_rows == 5


def test_nothing_to_find_is_a_table_without_rows(store):
    assert findings(store).num_rows == 0
    write(store, "wm-1", home(30), MONDAY)
    write(store, "wm-2", [], MONDAY)
    assert findings(store).num_rows == 0
    assert store.query(start=MONDAY - HOUR, end=MONDAY).consumption().detect().to_arrow().num_rows == 0


def test_only_water_leaks(store):
    leaking(store)
    store.describe("wm-1", unit="m3", quantity="gas")
    assert findings(store).num_rows == 0


@pytest.mark.parametrize(
    "rules",
    [
        *(
            [],
            "leek",
            ["leak", "leak"],
            [("leak",)],
            [("leak", {"fro": "1h"})],
            [("leak", {1: 2})],
            5,
            [None],
        ),
        *([("leak", {"for_": value})] for value in (5, "1mo", "x", None)),
        *([("leak", {"above": value})] for value in (5, "40", "40 L", "x L/h", "-1 L/h", "nan L/h", "")),
    ],
)
def test_rules_that_are_none_are_refused(store, rules):
    with pytest.raises(UsageError):
        store.query().consumption().detect(rules)


def test_detect_ends_a_query(store):
    leaking(store)
    found = store.query().consumption().detect()
    for further in (
        lambda: found.resample("1d", "sum"),
        found.detect,
        lambda: found.aggregate("sum"),
        lambda: found.join_asof(store.query()),
        lambda: store.query().join_asof(found),
        lambda: store.query().resample("1d", "sum").detect(),
        lambda: found.to_arrow(wide=True),
        lambda: store.query().detect(["leak"]),
        lambda: store.query().consumption().detect(lang="sv"),
        lambda: store.query().consumption().detect(now="never"),
    ):
        with pytest.raises(UsageError):
            further()


def test_the_table_of_rules_tells_their_options():
    table = sd.rules().to_pylist()
    leak = next(row for row in table if row["name"] == "leak")
    assert leak["needs"] == "amounts"
    assert dict(leak["options"])["for_"] == "24h"
    assert all(row["source"] and row["severity"] in ("note", "warning", "alarm") for row in table)
    assert all(0 <= row["look_back_days"] <= 400 for row in table)
