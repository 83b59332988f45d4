"""Many series together, from the command line: as the library has it."""

import csv
import io

import numpy as np
import pytest
from support.command_line import run

import smartdata_ts as sd
from smartdata_ts._time.instant import parse_instant

HOUR = 3_600_000_000
OSLO = "Europe/Oslo"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """An inlet and four meters of two zones, hourly over the spring change of 2025."""
    path = tmp_path_factory.mktemp("across") / "city.sdts"
    times = parse_instant("2025-03-28", OSLO) + np.arange(24 * 4) * HOUR
    with sd.open(path) as store:
        for k, key in enumerate(("inlet", "wm-1", "wm-2", "wm-3", "wm-4")):
            unit = "m3" if key == "inlet" else "L"
            store.describe(key, unit=unit, kind="register", tags={"zone": f"DMA-{k % 2}"})
            store.write(
                {"series": key, "time": times, "value": np.arange(times.size) * (0.5 if k == 0 else 90.0 + k)}
            )
    return path


def rows(*arguments):
    done = run(*arguments)
    assert (done.status, done.err) == (0, "")
    return list(csv.DictReader(io.StringIO(done.out)))


def test_buckets_across_series(path):
    options = [
        "-e",
        "1d",
        "-a",
        "first,count,completeness",
        "--tz",
        OSLO,
        "-t",
        "zone=DMA-0",
        "-t",
        "zone=DMA-1",
    ]
    found = rows("resample", path, *options, "--across", "max", "--by", "zone", "--unit", "L")
    assert [(row["zone"], row["time"], row["first"], row["count"]) for row in found[1:3]] == [
        ("DMA-0", "2025-03-29T00:00:00+01:00", "12000", "72"),
        ("DMA-0", "2025-03-30T00:00:00+01:00", "24000", "69"),
    ]
    assert {row["completeness"] for row in found} == {"1", str(1 / 24)}
    strict = rows("resample", path, *options, "--across", "max", "--min-completeness", "0.5", "--unit", "L")
    assert strict[-1]["first"] == ""


def test_edges_and_wide(path, tmp_path):
    edges = ["--edges", "2025-03-28,2025-03-30", "--edges", "2025-03-31"]
    found = rows("resample", path, *edges, "-a", "count", "-s", "wm-1", "-s", "wm-2", "--tz", OSLO, "--wide")
    assert found == [
        {"time": "2025-03-28T00:00:00+01:00", "wm-1": "48", "wm-2": "48"},
        {"time": "2025-03-30T00:00:00+01:00", "wm-1": "23", "wm-2": "23"},
    ]
    file = tmp_path / "wide.csv"
    assert run("export", path, file, *edges, "-a", "count", "--tz", OSLO, "--wide").status == 0
    assert file.read_text().splitlines()[0] == "time,inlet,wm-1,wm-2,wm-3,wm-4"


def test_amounts_in_a_unit(path):
    options = ["--consumption", "--tz", OSLO, "--end", "2025-03-31"]
    found = rows("resample", path, *options, "--unit", "m3", "-e", "1mo", "-a", "sum", "--across", "sum")
    assert [float(row["sum"]) for row in found] == [pytest.approx(71 * (0.5 + 0.091 + 0.092 + 0.093 + 0.094))]
    each = rows("read", path, *options, "--unit", "m3", "-s", "wm-1", "-n", "1")
    assert float(each[0]["value"]) == pytest.approx(0.091)


def test_the_balance_of_a_zone(path):
    sides = ["--inlet", "inlet", "--member", "wm-1", "--member", "wm-2", "--outlet", "wm-3"]
    found = rows(
        "balance", path, *sides, "--tz", OSLO, "--unit", "m3", "--end", "2025-03-31", "--night", "03:00-05:00"
    )
    with sd.open(path, "r") as store:
        expected = store.zone_balance(
            "inlet", ["wm-1", "wm-2"], end="2025-03-31", tz=OSLO, outlet="wm-3", unit="m3",
            night=("03:00", "05:00"),
        ).to_pylist()  # fmt: skip
    assert len(found) == len(expected) == 3
    for row, wanted in zip(found, expected, strict=True):
        assert row.pop("time").endswith("T00:00:00+01:00")
        assert row.pop("unit") == "m3"
        assert {name: float(text) for name, text in row.items()} == {name: wanted[name] for name in row}
    assert [float(row["inflow"]) for row in found] == pytest.approx([(0.5 - 0.093) * h for h in (24, 24, 23)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resample", "-e", "1d", "--by", "zone"], "need --across"),
        (["resample", "-e", "1d", "--unit", "m3"], "needs --consumption or --across"),
        (["read", "--unit", "m3"], "needs --consumption"),
        (["resample", "-e", "1d", "--across", "average"], "how must be one of"),
        (["resample", "--edges", "2025-01-01"], "two or more"),
        (["resample"], "--every 1d, or --edges"),
        (["balance", "--inlet", "inlet"], "--member KEY, or --member-tag"),
        (["balance", "--member", "wm-1"], "--inlet KEY"),
        (["balance", "--inlet", "a", "--inlet-tag", "b=c", "--member", "wm-1"], "say one of them"),
        (["balance", "--inlet", "inlet", "--member", "wm-1", "--night", "02:00"], "not of the form"),
        (["balance", "--inlet", "inlet", "--member", "wm-1", "--night", "2-4"], "two local times"),
    ],
)
def test_what_cannot_be_meant_is_refused(path, arguments, message):
    done = run(arguments[0], path, *arguments[1:])
    assert done.status in (1, 2)
    assert message in " ".join(done.err.split())
