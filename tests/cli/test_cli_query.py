"""Asking from the command line: read, resample, last, series, describe, info, export."""

import csv
import io
import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.command_line import run

import smartdata_ts as sd
from smartdata_ts._meter.descriptions import KINDS
from smartdata_ts._storage.catalog import INTEGER_FACTS, REAL_FACTS, SERIES_FACTS
from smartdata_ts.cli import _facts

OSLO = ZoneInfo("Europe/Oslo")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three meters, hourly over the autumn change of 2025; wm-3 has no tags."""
    path = tmp_path_factory.mktemp("store") / "city.sdts"
    start = datetime(2025, 10, 24, 22, tzinfo=ZoneInfo("UTC"))
    with sd.open(path) as opened:
        for number in (1, 2, 3):
            times = [start + timedelta(hours=hour) for hour in range(73)]
            values = [number * 1000 + hour / 4 for hour in range(73)]
            opened.write({"series": f"wm-{number}", "time": times, "value": values})
        opened.describe(
            "wm-1", unit="m3", kind="register", interval="1h", tags={"zone": "Harbour", "type": "home"}
        )
        opened.describe(
            "wm-2", unit="m3", kind="register", interval="1h", tags={"zone": "Hillside", "type": "home"}
        )
    return path


def rows(*arguments):
    done = run(*arguments)
    assert (done.status, done.err) == (0, "")
    return list(csv.DictReader(io.StringIO(done.out)))


def test_days_are_those_of_the_wall(store):
    days = rows(
        "resample", store, "-s", "wm-1", "-e", "1d", "-a", "count,first", "-a", "last", "--tz", "Europe/Oslo"
    )
    assert days == [
        {
            "series": "wm-1",
            "time": "2025-10-25T00:00:00+02:00",
            "count": "24",
            "first": "1000",
            "last": "1005.75",
        },
        {
            "series": "wm-1",
            "time": "2025-10-26T00:00:00+02:00",
            "count": "25",
            "first": "1006",
            "last": "1012",
        },
        {
            "series": "wm-1",
            "time": "2025-10-27T00:00:00+01:00",
            "count": "24",
            "first": "1012.25",
            "last": "1018",
        },
    ]


def test_a_gas_day_and_empty_buckets(store):
    (first, *_) = rows(
        "resample", store, "-s", "wm-1", "-e", "1d", "--offset", "6h", "-a", "count", "--tz", "Europe/Oslo"
    )
    assert (first["time"], first["count"]) == ("2025-10-24T06:00:00+02:00", "6")
    arguments = ("resample", store, "-s", "wm-1", "-e", "15min", "-a", "count", "--end", "2025-10-25")
    assert [row["count"] for row in rows(*arguments)] == ["1", "1"]
    assert [row["count"] for row in rows(*arguments, "--empty")][:5] == ["1", "0", "0", "0", "1"]


def test_a_span_is_half_open_and_on_the_wall(store):
    arguments = ("read", store, "-s", "wm-2", "--start", "2025-10-26T02:00", "--end", "2025-10-26T04:00")
    times = [row["time"] for row in rows(*arguments, "--tz", "Europe/Oslo")]
    assert times == ["2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00", "2025-10-26T03:00:00+01:00"]


def test_tags_narrow_and_their_values_widen(store):
    def keys(*tags):
        return [row["series"] for row in rows("last", store, *(text for tag in tags for text in ("-t", tag)))]

    assert keys("zone=Harbour") == ["wm-1"]
    assert keys("zone=Harbour", "zone=Hillside") == ["wm-1", "wm-2"]
    assert keys("zone=Harbour", "type=shop") == []
    assert [row["series"] for row in rows("series", store, "-t", "type=home")] == ["wm-1", "wm-2"]
    assert [row["series"] for row in rows("series", store, "-s", "wm-3")] == ["wm-3"]


def test_last_of_a_span(store):
    (row,) = rows("last", store, "-s", "wm-3", "--end", "2025-10-25T02:00", "--tz", "Europe/Oslo")
    assert (row["time"], row["value"]) == ("2025-10-25T01:00:00+02:00", "3000.25")
    (row,) = rows("last", store, "-s", "wm-3")
    assert (row["time"], row["value"]) == ("2025-10-27T22:00:00Z", "3018")


def test_info_agrees_with_the_store(store):
    (row,) = rows("info", store)
    with sd.open(store, mode="r") as opened:
        info = opened.info()
    assert (int(row["readings"]), int(row["series"]), int(row["bytes"])) == (219, 3, info.bytes)
    assert (row["first"], row["last"]) == ("2025-10-24T22:00:00Z", "2025-10-27T22:00:00Z")
    assert "219" in run("info", store, "--format", "table").out


def test_info_of_an_empty_store(tmp_path):
    sd.open(tmp_path / "s.sdts").close()
    (row,) = rows("info", tmp_path / "s.sdts")
    assert (row["readings"], row["first"], row["bytes_per_reading"]) == ("0", "", "")
    assert run("info", tmp_path / "s.sdts", "--format", "table").status == 0
    assert "nothing found" in run("read", tmp_path / "s.sdts", "--format", "table").out
    assert run("read", tmp_path / "s.sdts").out == "series,time,value,quality\n"
    assert run("read", tmp_path / "s.sdts", "--format", "jsonl").out == ""
    assert run("series", tmp_path / "s.sdts").out.startswith("series,quantity,unit,kind,")


def test_a_limit_holds_everywhere(store):
    assert len(rows("read", store, "--limit", "5")) == 5
    assert len(run("read", store, "--limit", "5", "--format", "jsonl").out.splitlines()) == 5
    assert len(rows("read", store, "--limit", "0")) == 219


def test_series_and_describe_are_inverse(store, tmp_path):
    table, copy = tmp_path / "series.csv", tmp_path / "copy.sdts"
    table.write_text(run("series", store).out)
    assert run("describe", copy, "--from", table).status == 0
    assert rows("series", copy) == rows("series", store)


def test_describe_keeps_what_is_not_named(tmp_path):
    path = tmp_path / "s.sdts"
    facts = ("--quantity", "heat", "--decimals", "3", "--register-digits", "5")
    assert run("describe", path, "a", "b", *facts, "-t", "zone=x").status == 0
    assert run("describe", path, "a", "--unit", "kW.h", "-t", "floor=2").status == 0
    first, second = rows("series", path)
    assert (first["quantity"], first["unit"], first["zone"], first["floor"]) == ("heat", "kW.h", "x", "2")
    assert (second["unit"], second["decimals"], second["register_digits"], second["floor"]) == (
        "",
        "3",
        "5",
        "",
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow"])
def test_an_export_of_aggregates(store, tmp_path, suffix):
    file = tmp_path / f"days.{suffix}"
    done = run("export", store, file, "-e", "1d", "-a", "count", "--tz", "Europe/Oslo", "-t", "type=home")
    assert done == (0, "", "")
    if suffix == "csv":
        counts = [int(row["count"]) for row in csv.DictReader(file.read_text().splitlines())]
    else:
        table = pq.read_table(file) if suffix == "parquet" else pa.ipc.open_file(file).read_all()
        counts = table["count"].to_pylist()
    assert counts == [24, 25, 24] * 2


def test_an_export_guards_spreadsheets_unless_told_not_to(tmp_path):
    path = tmp_path / "s.sdts"
    with sd.open(path) as opened:
        opened.write({"series": "=cmd|' /C calc'!A0", "time": [0], "value": [-1.5]})
    assert "\n'=cmd|' /C calc'!A0,1970-01-01T00:00:00Z,-1.5,0\n" in run("export", path, "-").out
    assert "\n=cmd|' /C calc'!A0;1970" in run("export", path, "-", "--no-guard", "--delimiter", ";").out


def test_json_lines_agree_with_csv(store):
    arguments = ("resample", store, "-e", "1d", "--tz", "Europe/Oslo")
    texts = [
        {name: value if isinstance(value, str) else f"{value:g}" for name, value in json.loads(line).items()}
        for line in run(*arguments, "--format", "jsonl").out.splitlines()
    ]
    numbers = [
        {name: text if name in ("series", "time") else f"{float(text):g}" for name, text in row.items()}
        for row in rows(*arguments)
    ]
    assert texts == numbers


def test_exchanges_are_said_inferred_and_listed(tmp_path):
    path = tmp_path / "city.sdts"
    hours = [hour * 3_600_000_000 for hour in range(4)]
    with sd.open(path) as opened:
        for key in ("wm-1", "wm-2"):
            opened.write({"series": key, "time": hours, "value": [879.0, 880.0, 1.5, 2.0]})
    assert rows("exchange", path) == []
    assert (
        run(
            "exchange", path, "wm-1", "--at", "1970-01-01T02:10", "--final", 881, "--tz", "Europe/Oslo"
        ).status
        == 0
    )
    found = run("exchange", path, "--infer")
    assert [row["series"] for row in csv.DictReader(io.StringIO(found.out))] == ["wm-2"]
    (tmp_path / "found.csv").write_text(found.out)
    assert run("exchange", path, "--from", tmp_path / "found.csv").status == 0
    said = rows("exchange", path, "--tz", "Europe/Oslo")
    assert [(row["series"], row["time"], row["final"], row["initial"]) for row in said] == [
        ("wm-1", "1970-01-01T02:10:00+01:00", "881", "0"),
        ("wm-2", "1970-01-01T02:30:00+01:00", "880", "0"),
    ]
    for wrong in (["wm-1"], ["--final", "3"], ["wm-1", "--infer"], ["wm-1", "--at", "2024-01-01"]):
        done = run("exchange", path, *wrong)
        assert (done.status, done.out) == (2, "")
    assert run("exchange", tmp_path / "none.sdts").status == 1
    assert not (tmp_path / "none.sdts").exists()


def test_steps_from_registers_to_months(store):
    """The command line gives what the same chain in Python gives."""
    span = ("--start", "2025-10-25", "--end", "2025-10-28", "--tz", "Europe/Oslo")
    days = rows("resample", store, "--consumption", "--every", "1d", *span)
    assert [(row["series"], row["sum"], row["completeness"]) for row in days][:2] == [
        ("wm-1", "6", "1"),
        ("wm-1", "6.25", "1"),
    ]
    chain = ("--consumption", "--fill", "linear:2h,profile:30d", "--every", "1d")
    across = rows("resample", store, *chain, "--across", "sum", "--by", "zone", "-t", "type=home", *span)
    assert [(row["zone"], row["sum"]) for row in across if row["time"].startswith("2025-10-26")] == [
        ("Harbour", "6.25"),
        ("Hillside", "6.25"),
    ]
    intervals = rows("read", store, "-s", "wm-1", "--consumption", *span)
    assert (intervals[0]["value"], intervals[0]["event"]) == ("0.25", "0")
    rolled = rows("resample", store, "-s", "wm-1", "--rolling", "2h", "-a", "max,count", *span)
    assert rolled[1]["count"] == "2"
    rates = rows("read", store, "-s", "wm-1", "--rate", "1d", *span)
    assert {row["value"] for row in rates[1:]} == {"6"}
    assert (
        rows("resample", store, "-s", "wm-1", "-e", "1d", "-a", "median,p95", *span)[0]["median"]
        == "1002.875"
    )


def test_steps_that_do_not_go_together(store):
    for wrong, message in (
        (["resample", store], "say how wide buckets are"),
        (["resample", store, "--rolling", "2h", "--every", "1d"], "--rolling has no buckets"),
        (["read", store, "--difference", "--rate", "1h"], "not both"),
        (["read", store, "--fill", "magic"], "methods to fill gaps are"),
        (["resample", store, "--consumption", "--every", "1d", "-a", "first"], "aggregates must be among"),
    ):
        done = run(*wrong)
        assert (done.status, done.out) == (2, "")
        assert message in done.err


def test_tags_that_are_named_like_facts_are_listed_and_taken_back(tmp_path):
    facts = ["series", "quantity", "unit", "kind", "interval", "interval_us", "decimals"]
    facts += ["register_digits", "multiplier"]
    names = [*facts, "tags", "zone", "tag:unit", "tag:tag:unit", "tag:zone", "tag:"]
    tags = {name: f"{name} said" for name in names}
    with sd.open(tmp_path / "s.sdts") as opened:
        opened.describe("wm-1", unit="m3", kind="register", interval="1h", decimals=3, tags=tags)
        opened.describe("wm-2", tags={"unit": "pieces"})
        opened.describe("wm-3", unit="L")
    table = tmp_path / "series.csv"
    table.write_text(run("series", tmp_path / "s.sdts").out)
    assert run("describe", tmp_path / "t.sdts", "--from", table).status == 0
    with sd.open(tmp_path / "s.sdts", "r") as source, sd.open(tmp_path / "t.sdts", "r") as copy:
        assert copy.series().equals(source.series())
        assert dict(copy.series()["tags"].to_pylist()[0]) == tags


def test_facts_are_described_once_for_all_commands():
    assert tuple(_facts._OPTIONS) == tuple(name.removesuffix("_us") for name in SERIES_FACTS)
    assert tuple(_facts._OPTIONS["kind"]["type"].choices) == KINDS
    numbers = {name for name in (*INTEGER_FACTS, *REAL_FACTS) if name != "interval_us"}
    assert set(_facts.NUMBERS) == numbers
