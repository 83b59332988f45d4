"""The demo: a small municipality, its commands, and what it leaves behind."""

import csv

import pytest
from support.command_line import run

import smartdata_ts as sd
from smartdata_ts.cli import _demo_answers, _demo_data


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    done = run("demo", folder, "--meters", "60", "--keep")
    assert (done.status, done.err) == (0, "")
    return folder, done.out


def test_it_imports_what_it_generated(shown):
    folder, out = shown
    with sd.open(folder / "city.sdts", mode="r") as store:
        info = store.info()
    assert info.series == 60
    row_count = (folder / "readings.csv").read_bytes().count(b"\n") - 1
    assert f"rows        {row_count:,}" in out
    assert 0.97 < info.readings / (60 * 8760) < 0.995
    assert f"stored      {info.readings:,}  60 new series" in out
    for text in ("duplicates", "unreadable number", "local time skipped by the change to summer time"):
        assert text in out
    assert (folder / "readings.csv.rejected.csv").is_file()


def test_the_day_of_the_change_has_25_hours(shown):
    folder, out = shown
    line = next(line for line in out.splitlines() if line.split()[:2] == ["wm-0017", "2025-10-26"])
    assert line.split()[4] == "25"
    with sd.open(folder / "city.sdts", mode="r") as store:
        table = store.query("wm-0017").resample("1d", "count", tz="Europe/Oslo").to_arrow()
    assert max(table["count"].to_pylist()) == 25


def test_the_months_add_up_to_what_the_registers_moved_by(shown):
    folder, _ = shown
    with sd.open(folder / "city.sdts", mode="r") as store:
        months = _demo_answers.months_by_zone(store)
        year = store.query().resample("1y", ["first", "last"], tz="Europe/Oslo").to_arrow()
    used = sum(
        last - first for first, last in zip(year["first"].to_pylist(), year["last"].to_pylist(), strict=True)
    )
    assert months["month"].to_pylist()[::11] == ["January", "December"]
    assert sum(months["all"].to_pylist()) == pytest.approx(used, abs=12 * 0.05)
    by_zone = sum(sum(months[zone].to_pylist()) for zone in _demo_data.ZONES)
    assert by_zone == pytest.approx(used, abs=60 * 0.05)


def test_the_zones_are_tags(shown):
    folder, _ = shown
    with (folder / "zones.csv").open(newline="") as file:
        zones = {row["series"]: row["zone"] for row in csv.DictReader(file)}
    done = run("series", folder / "city.sdts")
    assert {row["series"]: row["zone"] for row in csv.DictReader(done.out.splitlines())} == zones


def test_it_can_be_run_again_and_leaves_little(tmp_path):
    folder = tmp_path / "demo"
    assert run("demo", folder, "--meters", "20").status == 0
    assert run("demo", folder, "--meters", "20").status == 0
    assert not (folder / "readings.csv").exists()
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 1_000_000


@pytest.mark.parametrize("name", ["mine.txt", "README.txt"])
def test_it_overwrites_nothing_that_it_did_not_make(tmp_path, name):
    (tmp_path / name).write_text("mine")
    done = run("demo", tmp_path, "--meters", "20")
    assert (done.status, done.out) == (2, "")
    assert (
        done.err
        == f"smartdata-ts: error: {tmp_path}: is there, and was not made by the demo; name another folder\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == [name]
