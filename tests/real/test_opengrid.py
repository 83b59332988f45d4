"""OpenGrid: minutes and hours of the same Belgian buildings agree after resampling."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT, SHARED_DATA

import smartdata_ts as sd
from smartdata_ts.formats import import_file

DATA = SHARED_DATA / "opengrid_be"
MINUTES, HOURS = DATA / "gas_dec2016_min.csv.gz", DATA / "gas_2016_hour.csv.gz"
BRUSSELS = "Europe/Brussels"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data/opengrid_be is absent")


def test_hours_made_of_minutes_are_the_hours_that_were_given(tmp_path: Path) -> None:
    with sd.open(tmp_path / "minutes") as minutes, sd.open(tmp_path / "hours") as hours:
        import_file(minutes, MINUTES, tz=BRUSSELS)
        import_file(hours, HOURS, tz=BRUSSELS)
        given = {(row["series"], row["time"]): row["value"] for row in hours.query().to_arrow().to_pylist()}
        made = minutes.query(tz=BRUSSELS).resample("1h", ["mean", "count", "completeness"]).to_arrow()
    complete = [row for row in made.to_pylist() if row["completeness"] == 1]
    assert {row["count"] for row in complete} == {60}
    assert len(complete) == 3 * 14 * 24
    assert made.num_rows == len(complete) + 3  # the minute file ends with the first minute of an hour
    for row in complete:
        assert row["mean"] == pytest.approx(given[row["series"], row["time"]], rel=1e-9, abs=1e-6)


def test_days_of_minutes_expect_an_hour_less_in_spring(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        import_file(store, DATA / "water_march2015_min.csv.gz", tz=BRUSSELS)
        names = ["count", "expected_count", "completeness"]
        days = (
            store.query("b285", tz=BRUSSELS, start="2015-03-28").resample("1d", names).to_arrow().to_pylist()
        )
    assert [row["expected_count"] for row in days[:3]] == [1440, 1380, 1440]
    assert days[1]["completeness"] == days[1]["count"] / 1380


def test_the_example_runs() -> None:
    example = ROOT / "examples" / "minutes_and_hours.py"
    command = [sys.executable, "-W", "error", str(example), str(MINUTES), str(HOURS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "60,483 readings every 1min" in done.stdout
    assert "ba14      337       336" in done.stdout
    assert "2016-03           5.03    743    100.0%" in done.stdout
