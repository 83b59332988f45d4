"""BWDF: hourly inflow of ten Italian districts, with repeated hours and gaps of up to 1,076 hours."""

import csv
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.places import ROOT, SHARED_DATA

import smartdata_ts as sd
from smartdata_ts.formats import import_file

openpyxl = pytest.importorskip("openpyxl")

DATA = SHARED_DATA / "bwdf_water_dma"
BOOK = DATA / "InflowData.xlsx"
ITALY = ZoneInfo("Europe/Rome")
START, END = datetime(2020, 12, 31, 23, tzinfo=UTC), datetime(2023, 3, 31, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
CHAIN = [("linear", "2h"), ("profile", "60d")]
DISTRICTS = [f"dma-{k}" for k in range(1, 11)]
ESTIMATED_LINEAR, ESTIMATED_PROFILE = 65, 81

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data/bwdf_water_dma is absent"),
]


@pytest.fixture(scope="module")
def cells() -> list[tuple[Any, ...]]:
    """The sheet's rows: wall time, then ten flows in L/s, or "NaN"."""
    book = openpyxl.load_workbook(BOOK, read_only=True)
    rows = list(book.active.iter_rows(values_only=True))[1:]
    book.close()
    return rows


@pytest.fixture(scope="module")
def flows(cells: list[tuple[Any, ...]]) -> dict[str, dict[datetime, float]]:
    """Each district's flows: the rows are the hours from the first, one by one, whatever the clock says."""
    found: dict[str, dict[datetime, float]] = {key: {} for key in DISTRICTS}
    for row, (wall, *values) in enumerate(cells):
        time = START + row * HOUR
        assert f"{time.astimezone(ITALY):%d/%m/%Y %H:%M}" == wall
        for key, value in zip(DISTRICTS, values, strict=True):
            if value != "NaN":
                found[key][time] = float(value)
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[Any, ...]]) -> Iterator[sd.Store]:
    folder = tmp_path_factory.mktemp("bwdf")
    with (folder / "inflow.csv").open("w", newline="") as lines:
        csv.writer(lines, delimiter=";").writerows([["time", *DISTRICTS], *cells])
    facts = {"tz": "Europe/Rome", "kind": "interval", "interval": "1h", "unit": "L/s"}
    with sd.open(folder / "city") as store:
        report = import_file(store, folder / "inflow.csv", **facts)
        assert (report.rows, report.empty, report.rejected, report.ambiguous) == (196_790, 10_171, 0, 0)
        yield store


def known(readings: dict[datetime, float], start: datetime, end: datetime) -> float:
    """The litres of the hours of [start, end) that were measured."""
    return math.fsum(flow * 3600 for time, flow in readings.items() if start <= time < end)


def test_both_repeated_hours_are_there_and_none_is_made_up(
    store: sd.Store, flows: dict[str, dict[datetime, float]]
) -> None:
    read = store.query().to_arrow().to_pylist()
    found: dict[str, dict[datetime, float]] = {key: {} for key in DISTRICTS}
    for row in read:
        found[row["series"]][row["time"]] = row["value"]
    assert found == flows
    october = datetime(2021, 10, 31, 0, tzinfo=UTC)
    assert {october, october + HOUR} <= found["dma-1"].keys()
    query = store.query("dma-1", tz="Europe/Rome").consumption()
    days = query.resample("1d", ["count", "expected_count"]).to_arrow().to_pylist()
    expected = {f"{row['time'].astimezone(ITALY):%Y-%m-%d}": row["expected_count"] for row in days}
    assert [expected[day] for day in ("2021-03-28", "2021-10-31", "2022-10-30")] == [23, 25, 25]
    counts = Counter(f"{time.astimezone(ITALY):%Y-%m-%d}" for time in flows["dma-1"])
    assert {f"{row['time'].astimezone(ITALY):%Y-%m-%d}": row["count"] for row in days} == counts


def test_gaps_are_filled_by_their_length_and_measured_volumes_stay(
    store: sd.Store, flows: dict[str, dict[datetime, float]]
) -> None:
    rows = store.query(tz="Europe/Rome").consumption().fill(CHAIN).to_arrow().to_pylist()
    lengths = []
    for key, readings in flows.items():
        own = {row["time"]: row for row in rows if row["series"] == key}
        times = sorted(readings)
        assert sorted(own) == [times[0] + k * HOUR for k in range((times[-1] - times[0]) // HOUR + 1)]
        measured = [own[time] for time in times]
        assert {row["quality"] for row in measured} == {0}
        assert [row["value"] for row in measured] == pytest.approx(
            [3600 * readings[time] for time in times], rel=1e-15
        )
        for before, after in pairwise(times):
            hours = (after - before) // HOUR - 1
            made = [own[before + (k + 1) * HOUR] for k in range(hours)]
            expected = ESTIMATED_LINEAR if hours <= 2 else ESTIMATED_PROFILE
            assert all(row["quality"] == expected and 0 < row["value"] < math.inf for row in made)
            lengths.append(hours)
    assert max(lengths) == 626


def test_years_of_measured_and_estimated_hours_add_up(
    store: sd.Store, flows: dict[str, dict[datetime, float]]
) -> None:
    filled = store.query(tz="Europe/Rome").consumption().fill(CHAIN)
    hours = filled.to_arrow().to_pylist()
    names = ["sum", "completeness", "estimated_share"]
    years = filled.resample("1y", names).to_arrow().to_pylist()
    for row in years:
        end = datetime(row["time"].astimezone(ITALY).year + 1, 1, 1, tzinfo=ITALY)
        inside = [h for h in hours if h["series"] == row["series"] and row["time"] <= h["time"] < end]
        made = math.fsum(h["value"] for h in inside if h["quality"])
        assert row["sum"] == pytest.approx(known(flows[row["series"]], row["time"], end) + made, rel=1e-12)
        assert row["completeness"] == pytest.approx(len(inside) / ((end - row["time"]) // HOUR), rel=1e-12)
        share = sum(h["quality"] > 0 for h in inside) / len(inside)
        assert row["estimated_share"] == pytest.approx(share, rel=1e-12)


def test_the_longest_gap_is_as_the_usual_week(
    store: sd.Store, flows: dict[str, dict[datetime, float]], tmp_path: Path
) -> None:
    """It stands before the district's first reading: one that says "missing" tells that it is a gap."""
    readings = flows["dma-6"]
    with sd.open(tmp_path / "district") as district:
        district.describe("dma-6", kind="interval", interval="1h", unit="L/s")
        district.write(store.query("dma-6"))
        missing = sd.quality_code("missing")
        district.write({"series": "dma-6", "time": [START], "value": [math.nan], "quality": [missing]})
        query = district.query("dma-6", tz="Europe/Rome")
        rows = query.fill("profile", limit="60d").to_arrow().to_pylist()
        short = query.fill("profile", limit="30d").to_arrow().to_pylist()
    first = min(readings)
    made = [row for row in rows if row["time"] < first]
    assert len(made) == 1076
    assert {row["quality"] for row in made} == {ESTIMATED_PROFILE}
    by_hour: dict[tuple[int, int], set[float]] = {}
    for row in made:
        wall = row["time"].astimezone(ITALY)
        by_hour.setdefault((wall.weekday(), wall.hour), set()).add(round(row["value"], 9))
    assert len(by_hour) == 168
    assert {len(values) for values in by_hour.values()} == {1}
    flows_by_hour: dict[tuple[int, int], list[float]] = {}
    for time, flow in readings.items():
        wall = time.astimezone(ITALY)
        flows_by_hour.setdefault((wall.weekday(), wall.hour), []).append(flow)
    for hour_of_week, (value,) in by_hour.items():
        own = sorted(flows_by_hour[hour_of_week])
        cut = (len(own) + 1) // 4
        middle = own[cut : len(own) - cut]
        assert value == pytest.approx(math.fsum(middle) / len(middle), rel=1e-9)
    assert not any(row["value"] for row in short if row["time"] < first)


def test_the_example_runs() -> None:
    example = ROOT / "examples" / "fill_gaps.py"
    command = [sys.executable, "-W", "error", str(example), str(BOOK)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "196,790 cells: 186,619 stored, 10,171 empty" in done.stdout
    assert "dma-7" in done.stdout
