"""Import from the command line: every row accounted for, whatever the file."""

import csv
import gzip
import io
import json
import os
from pathlib import Path

import click
import pytest
from support.command_line import run, run_child

import smartdata_ts as sd
from smartdata_ts.cli.import_ import _in_flags, import_
from smartdata_ts.errors import DataError
from smartdata_ts.formats import import_file

GOOD = (
    "meter;time;m3\nwm-17;2025-10-26T00:00Z;41,2\nwm-17;2025-10-26T01:00Z;41,3\nwm-18;2025-10-26T00:00Z;7\n"
)
MESSY = """\
meter;time;m3
wm-17;26.10.2025 00:00;41,200
wm-17;26.10.2025 00:00;41,200
wm-17;26.10.2025 01:00;41,250
wm-17;26.10.2025 01:00;41,300
wm-17;26.10.2025 02:00;ERROR
wm-17;30.03.2025 02:30;40,000
wm-17;30.02.2025 02:30;40,000
;26.10.2025 05:00;1,000
wm-17;26.10.2025 06:00
wm-18;26.10.2025 02:15;1,000
"""


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.csv"
    path.write_text(GOOD)
    return path


@pytest.fixture
def messy(tmp_path):
    path = tmp_path / "messy.csv"
    path.write_text(MESSY)
    return path


def readings(path):
    with sd.open(path, mode="r") as store:
        return [
            (row["series"], row["time"].isoformat(), row["value"])
            for row in store.query().to_arrow().to_pylist()
        ]


def summary(done):
    (row,) = [json.loads(line) for line in done.out.splitlines()]
    assert row["rows"] == sum(row[name] for name in ("stored", "duplicates", "replaced", "rejected", "empty"))
    return row


def test_a_file_whose_rows_are_all_taken(tmp_path, good):
    done = run("import", tmp_path / "s.sdts", good, "--report", "jsonl")
    assert (done.status, done.err) == (0, "")
    row = summary(done)
    assert (row["rows"], row["stored"], row["series_created"], row["commit"]) == (3, 3, 2, 1)
    assert row["rejected_file"] is None
    assert not (tmp_path / "good.csv.rejected.csv").exists()
    assert readings(tmp_path / "s.sdts") == [
        ("wm-17", "2025-10-26T00:00:00+00:00", 41.2),
        ("wm-17", "2025-10-26T01:00:00+00:00", 41.3),
        ("wm-18", "2025-10-26T00:00:00+00:00", 7.0),
    ]


def test_the_same_file_twice_stores_nothing_new(tmp_path, good):
    run("import", tmp_path / "s.sdts", good)
    before = readings(tmp_path / "s.sdts")
    done = run("import", tmp_path / "s.sdts", good, "--report", "jsonl")
    row = summary(done)
    assert (done.status, row["stored"], row["duplicates"], row["commit"]) == (0, 0, 3, None)
    assert readings(tmp_path / "s.sdts") == before


def test_rejected_rows_stand_beside_the_file_with_line_and_reason(tmp_path, messy):
    done = run("import", tmp_path / "s.sdts", messy, "--tz", "Europe/Oslo", "--report", "jsonl")
    assert (done.status, done.err) == (3, "")
    row = summary(done)
    counts = {
        name: row[name] for name in ("rows", "stored", "duplicates", "replaced", "rejected", "ambiguous")
    }
    assert counts == {
        "rows": 10, "stored": 3, "duplicates": 1, "replaced": 1, "rejected": 5, "ambiguous": 1,
    }  # fmt: skip
    assert row["rejected_file"] == str(messy) + ".rejected.csv"
    with Path(row["rejected_file"]).open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["line", "reason", "row"],
            ["6", "unreadable number", "wm-17;26.10.2025 02:00;ERROR"],
            ["7", "local time skipped by the change to summer time", "wm-17;30.03.2025 02:30;40,000"],
            ["8", "impossible time", "wm-17;30.02.2025 02:30;40,000"],
            ["9", "empty series key", ";26.10.2025 05:00;1,000"],
            ["10", "too few fields", "wm-17;26.10.2025 06:00"],
        ]


def test_what_an_earlier_import_rejected_does_not_stay(tmp_path, messy):
    run("import", tmp_path / "s.sdts", messy, "--tz", "Europe/Oslo")
    rejected = tmp_path / "messy.csv.rejected.csv"
    assert rejected.exists()
    messy.write_text(GOOD)
    assert run("import", tmp_path / "s.sdts", messy, "--tz", "Europe/Oslo").status == 0
    assert not rejected.exists()
    rejected.write_text("mine\n")
    assert run("import", tmp_path / "s.sdts", messy).status == 0
    assert rejected.read_text() == "mine\n"


def test_rejected_rows_go_where_they_are_told(tmp_path, messy):
    where = tmp_path / "elsewhere.csv"
    assert run("import", tmp_path / "s.sdts", messy, "--tz", "Europe/Oslo", "--rejected", where).status == 3
    assert len(where.read_text().splitlines()) == 6
    nowhere = tmp_path / "missing" / "x.csv"
    done = run("import", tmp_path / "t.sdts", messy, "--tz", "Europe/Oslo", "--rejected", nowhere)
    assert done.status == 1
    assert "name another file with --rejected" in done.err
    assert readings(tmp_path / "t.sdts") == []


def test_the_summary_of_many_files_has_a_row_each(tmp_path, good, messy):
    done = run("import", tmp_path / "s.sdts", good, messy, "--tz", "Europe/Oslo")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert done.status == 3
    assert [row["file"] for row in rows] == [str(good), str(messy)]
    assert [row["commit"] for row in rows] == ["1", "2"]


def test_the_summary_for_people(tmp_path, messy):
    out = run("import", tmp_path / "s.sdts", messy, "--tz", "Europe/Oslo", "--report", "table").out
    for text in ("rows", "10", "2 new series", "1  unreadable number", "rejected", "ambiguous", "autumn"):
        assert text in out


def test_facts_and_tags_are_said_of_the_file_s_series(tmp_path, good):
    path = tmp_path / "s.sdts"
    with sd.open(path) as store:
        store.write({"series": "other", "time": [0], "value": [1]})
    facts = [
        "--quantity",
        "water",
        "--unit",
        "m3",
        "--kind",
        "register",
        "--interval",
        "1h",
        "-t",
        "zone=Harbour",
    ]
    assert run("import", path, good, *facts).status == 0
    rows = list(csv.DictReader(io.StringIO(run("series", path).out)))
    assert [row["series"] for row in rows] == ["other", "wm-17", "wm-18"]
    assert set(rows[0].values()) == {"other", ""}
    assert rows[1] == {
        "series": "wm-17", "quantity": "water", "unit": "m3", "kind": "register", "decimals": "",
        "register_digits": "", "multiplier": "", "interval": "1h", "zone": "Harbour",
    }  # fmt: skip


def test_every_option_reaches_the_reader(tmp_path):
    path = tmp_path / "odd.txt"
    text = "junk\nWann|Wert|Güte|Zähler\n26.10.25 01.00|1'000,5|ok|a\n26.10.25 02.00|'7,5'|est|a\n"
    path.write_bytes(text.replace("1'000", "1.000").encode("cp1252"))
    layout = ("--skip-rows", 1, "--delimiter", "|", "--quote", "'", "--decimal", ",", "--thousands", ".")
    layout += ("--encoding", "cp1252", "--header", "--long", "--format", "csv")
    columns = ("--time", "Wann", "--value", "Wert", "--series", "Zähler", "--quality", "Güte")
    codes = ("--quality-code", "ok=0", "--quality-code", "est=8")
    times = ("--time-format", "%d.%m.%y %H.%M", "--tz", "+01:00", "--stamp", "end", "--interval", "1h")
    done = run("import", tmp_path / "s.sdts", path, *layout, *columns, *codes, *times, "--note", "by hand")
    assert (done.status, done.err) == (0, "")
    with sd.open(tmp_path / "s.sdts", mode="r") as store:
        rows = store.query("a").to_arrow().to_pylist()
    assert [(row["time"].hour, row["value"], row["quality"]) for row in rows] == [
        (23, 1000.5, 0),
        (0, 7.5, 8),
    ]


def test_a_wide_file_counts_cells(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("time,wm-1,wm-2,wm-3\n2025-10-26T00:00Z,1,,3\n2025-10-26T01:00Z,1,2,x\n")
    done = run("import", tmp_path / "s.sdts", path, "--wide", "--report", "jsonl")
    row = summary(done)
    assert (done.status, row["rows"], row["stored"], row["empty"], row["rejected"]) == (3, 6, 4, 1, 1)


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "csv", "csv.gz"])
def test_out_and_in_again_is_the_same(tmp_path, good, suffix):
    first, second, file = tmp_path / "s.sdts", tmp_path / "t.sdts", tmp_path / f"out.{suffix}"
    run("import", first, good)
    assert run("export", first, file).status == 0
    assert run("import", second, file).status == 0
    assert readings(first) == readings(second)


def test_standard_input(tmp_path):
    done = run_child("import", tmp_path / "s.sdts", "-", input=MESSY, cwd=tmp_path)
    assert (done.status, done.out) == (1, "")
    assert "--tz" in done.err
    done = run_child("import", tmp_path / "s.sdts", "-", "--tz", "Europe/Oslo", input=MESSY, cwd=tmp_path)
    assert (done.status, done.err) == (3, "")
    assert len((tmp_path / "stdin.rejected.csv").read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        (b"", ""),
        (bytes(range(256)) * 40, ""),
        (b"only one column\n1\n2\n", ""),
        (b"meter;time;m3\nwm-17;26.10.2025 00:00;41,2\n", "--tz"),
        ("folder", "name the files in it"),
    ],
)
def test_a_wrong_file_is_one_line_and_leaves_no_store(tmp_path, content, message):
    path = tmp_path / "wrong.csv"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    done = run("import", tmp_path / "s.sdts", path)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"smartdata-ts: error: {path}")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "s.sdts").exists()


def test_of_many_files_a_missing_one_stops_all_and_a_wrong_one_the_rest(tmp_path, good):
    wrong = tmp_path / "wrong.csv"
    assert run("import", tmp_path / "s.sdts", good, wrong).status == 1
    assert not (tmp_path / "s.sdts").exists()
    wrong.write_bytes(bytes(range(256)) * 40)
    done = run("import", tmp_path / "s.sdts", good, wrong, "--report", "jsonl")
    assert (done.status, summary(done)["stored"]) == (1, 3)
    assert done.err.startswith(f"smartdata-ts: error: {wrong}")
    assert len(readings(tmp_path / "s.sdts")) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path, good):
    good.chmod(0)
    done = run("import", tmp_path / "s.sdts", good)
    assert (done.status, done.err) == (1, f"smartdata-ts: error: {good}: cannot be read: Permission denied\n")


def test_a_file_without_rows_is_no_failure(tmp_path):
    (tmp_path / "night.csv").write_text("meter;time;m3\n")
    done = run("import", tmp_path / "s.sdts", tmp_path / "night.csv", "--report", "jsonl")
    assert (done.status, summary(done)["rows"]) == (0, 0)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.csv.gz", "x.zip"])
def test_a_file_that_is_not_what_its_name_says(tmp_path, name):
    (tmp_path / name).write_bytes(GOOD.encode())
    done = run("import", tmp_path / "s.sdts", tmp_path / name)
    assert done.status == 1
    assert done.err.count("\n") == 1


def test_a_file_that_breaks_off_leaves_the_store_as_it_was(tmp_path):
    path = tmp_path / "broken.csv.gz"
    rows = "".join(f"wm-{k % 9},2025-10-26T00:00:{k % 60:02}Z,{k * 7919 % 1000003}\n" for k in range(300_000))
    packed = gzip.compress(f"meter,time,value\n{rows}".encode(), 1)
    path.write_bytes(packed[: len(packed) * 3 // 4])
    done = run("import", tmp_path / "s.sdts", path)
    assert (done.status, done.out) == (1, "")
    assert "cannot be read to its end" in done.err
    assert readings(tmp_path / "s.sdts") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tz", "Europe/Olso"], "Europe/Oslo"),
        (["--stamp", "end"], "--interval"),
        (["--series", "meter", "--series-key", "x"], "--series-key"),
        (["--kind", "counter"], "register"),
        (["--quality-code", "ok=256"], "0 to 255"),
        (["--tag", "zone=a", "--tag", "zone=b"], "zone"),
        (["--interval", "soon"], "soon"),
        (["--series", "nothing"], "--series"),
    ],
)
def test_a_wrong_option_is_named_as_it_is_typed(tmp_path, good, arguments, message):
    done = run("import", tmp_path / "s.sdts", good, *arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert "=" not in done.err.partition("(")[0].replace("zone=", "").replace("ok=", "")
    assert not (tmp_path / "s.sdts").exists()


def test_one_call_does_the_same_from_python(tmp_path, good):
    seen = []
    with sd.open(tmp_path / "s.sdts") as store:
        report = import_file(
            store, good, tags={"unit": "not the fact"}, progress=lambda *told: seen.append(told)
        )
        assert report.rows == report.stored == 3
        assert seen[-1] == (1.0, 3)
        assert store.series()["tags"].to_pylist() == [[("unit", "not the fact")]] * 2
        with pytest.raises(DataError, match="kind must be one of"):
            import_file(store, good, kind="counter")
        report = import_file(store, io.BytesIO(MESSY.encode()), tz="Europe/Oslo")
        assert (report.rejected, report.rejected_file) == (5, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.csv", "s.sdts"]


OPTIONS = [each for each in import_.params if isinstance(each, click.Option) and each.expose_value]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_a_message_names_each_option_as_it_is_typed(option):
    flag = next(name for name in option.opts if name.startswith("--"))
    if option.secondary_opts:
        assert _in_flags(f"say {option.name}=True or {option.name}=False") == (
            f"say {flag} or {option.secondary_opts[0]}"
        )
    else:
        assert _in_flags(f"pass {option.name}='x', or ({option.name}=)") == f"pass {flag} 'x', or ({flag} )"
    assert _in_flags(f"pass {option.name}= with one") == f"pass {flag} with one"
    assert _in_flags(f"pass {option.name}=") == f"pass {flag}"


def test_a_message_keeps_what_is_no_option():
    assert _in_flags("say quality_codes={'ok': 0}, my_time=1, files=3") == (
        "say --quality-code {'ok': 0}, my_time=1, files=3"
    )
