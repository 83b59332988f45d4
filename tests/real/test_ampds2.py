"""AMPds2: two years of one-minute registers of a house in Canada; the water meter was refined on the way."""

import csv
import gzip
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.places import ROOT, SHARED_DATA

import smartdata_ts as sd
from smartdata_ts.formats import import_file

DATA = SHARED_DATA / "ampds2"
WATER, GAS = DATA / "Water_WHW.csv.gz", DATA / "NaturalGas_FRG.csv.gz"
HERE = ZoneInfo("America/Vancouver")
START, END = datetime(2012, 4, 1, 7, tzinfo=UTC), datetime(2014, 4, 1, 6, 59, tzinfo=UTC)
REFINED = datetime(2012, 7, 15, 0, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data/ampds2 is absent"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sd.Store]:
    with sd.open(tmp_path_factory.mktemp("ampds2") / "house") as store:
        for key, path, unit in (("water", WATER, "L"), ("gas", GAS, "dm3")):
            report = import_file(store, path, series_key=key, value="counter", kind="register", unit=unit)
            assert (report.rows, report.stored, report.rejected) == (1_051_200, 1_051_200, 0)
        yield store


@pytest.fixture(scope="module")
def registers() -> dict[str, list[float]]:
    """What each meter stood at, minute by minute, by the standard library alone."""
    found = {}
    for key, path in (("water", WATER), ("gas", GAS)):
        with gzip.open(path, "rt") as lines:
            found[key] = [float(row["counter"]) for row in csv.DictReader(lines)]
    return found


def register_at(register: list[float], time: datetime) -> float:
    """The reading of that minute; the last one from the end on."""
    return register[min((time - START) // MINUTE, len(register) - 1)]


@pytest.mark.parametrize(("width", "bucket_count"), [("1d", 730), ("1mo", 24), ("1y", 3)])
def test_use_in_local_buckets_is_what_the_register_moved(
    store: sd.Store, registers: dict[str, list[float]], width: str, bucket_count: int
) -> None:
    query = store.query(tz="America/Vancouver").consumption()
    buckets = query.resample(width, ["sum", "completeness"]).to_arrow().to_pylist()
    for key, register in registers.items():
        own = [row for row in buckets if row["series"] == key]
        assert len(own) == bucket_count
        ends = [row["time"] for row in own[1:]] + [END]
        before = START
        for row, end in zip(own, ends, strict=True):
            moved = register_at(register, end) - register_at(register, before)
            assert row["sum"] == pytest.approx(moved, rel=1e-12, abs=1e-12 * register[-1])
            before = end
            if width != "1y" and end != END:
                assert row["completeness"] == 1
        total = sum(row["sum"] for row in own)
        assert total == pytest.approx(register[-1] - register[0], rel=1e-12)


def test_a_local_day_has_its_own_length(store: sd.Store) -> None:
    query = store.query("water", tz="America/Vancouver", start="2012-11-03", end="2012-11-06")
    days = query.consumption().resample("1d", ["count", "expected_count"]).to_arrow().to_pylist()
    assert [row["time"].astimezone(HERE).day for row in days] == [3, 4, 5]
    assert [row["count"] for row in days] == [1440, 1500, 1440]
    assert [row["expected_count"] for row in days] == [1440, 1500, 1440]


def smallest_step(steps):  # type: ignore[no-untyped-def]
    """The least that a register moved by, when it moved."""
    least = 1e300
    for step in steps:
        if 1e-6 < step < least:
            least = step
    return least


def test_a_finer_register_is_seen_and_does_no_harm(
    store: sd.Store, registers: dict[str, list[float]]
) -> None:
    query = store.query("water", tz="America/Vancouver", start="2012-07-08", end="2012-07-22").consumption()
    days = query.resample("1d", {"step": smallest_step}).to_arrow().to_pylist()
    steps = [round(row["step"], 3) for row in days]
    assert (
        steps == [3.785] * 6 + [0.053] + [0.5] * 7
    )  # one pulse a gallon; the day of the change; half a litre
    changes = [row for row in query.to_arrow().to_pylist() if round(row["value"], 3) == 0.053]
    assert [row["end"] for row in changes] == [REFINED]
    events = store.query().consumption().to_arrow()["event"]
    assert events.value_counts().to_pylist() == [{"values": 0, "counts": 2 * (1_051_200 - 1)}]
    around = store.query("water", start=REFINED - MINUTE, end=REFINED + MINUTE).consumption().to_arrow()
    register = registers["water"]
    moved = register_at(register, REFINED + MINUTE) - register_at(register, REFINED - MINUTE)
    assert sum(around["value"].to_pylist()) == pytest.approx(moved, rel=1e-9)


@pytest.mark.parametrize("method", ["linear", "profile", "conserve", "previous"])
def test_a_week_that_is_lost_is_filled_to_the_litre(
    tmp_path: Path, store: sd.Store, registers: dict[str, list[float]], method: str
) -> None:
    lost = datetime(2013, 2, 9, 13, 30, tzinfo=UTC), datetime(2013, 2, 16, 4, 17, tzinfo=UTC)
    quarters = (
        store.query("water", start="2012-10-01", end="2013-04-01").fill("none", every="15min").to_arrow()
    )
    times = quarters["time"].to_pylist()
    kept = quarters.filter([not lost[0] <= time < lost[1] for time in times])
    with sd.open(tmp_path / "holed") as holed:
        holed.describe("water", kind="register", unit="L")
        holed.write(kept)
        filled = holed.query(tz="America/Vancouver").consumption().fill(method, limit="30d")
        rows = filled.to_arrow().to_pylist()
        months = filled.resample("1mo", ["sum", "completeness", "estimated_share"]).to_arrow().to_pylist()
    assert len(rows) == len(times) - 1
    estimated = [row for row in rows if row["quality"] & 15 == 1]
    register = registers["water"]
    moved = register_at(register, estimated[-1]["end"]) - register_at(register, estimated[0]["time"])
    assert sum(row["value"] for row in estimated) == pytest.approx(moved, rel=1e-12)
    february = next(row for row in months if row["time"] == datetime(2013, 2, 1, 8, tzinfo=UTC))
    edges = datetime(2013, 2, 1, 8, tzinfo=UTC), datetime(2013, 3, 1, 8, tzinfo=UTC)
    assert february["sum"] == pytest.approx(
        register_at(register, edges[1]) - register_at(register, edges[0]), rel=1e-12
    )
    assert february["completeness"] == 1
    assert february["estimated_share"] == pytest.approx(len(estimated) / (28 * 96), rel=1e-12)


def test_the_example_runs() -> None:
    example = ROOT / "examples" / "register_resolution.py"
    command = [sys.executable, "-W", "error", str(example), str(WATER)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1,051,200 readings" in done.stdout
    assert "2012-07  20,793.7       0.053" in done.stdout
    assert "2013-12  20,688.5       0.500" in done.stdout
    assert "548,882.0 L by month, 548,882.0 L by the register" in done.stdout
