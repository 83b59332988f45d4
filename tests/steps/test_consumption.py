"""Registers to amounts, and amounts to a calendar's buckets, through a store."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.places import ROOT, SHARED_DATA
from support.restored import restore

import smartdata_ts as sd
from benchmarks import daiad
from smartdata_ts._steps import buckets, consumption, pipeline
from smartdata_ts.errors import UsageError

BWDF = SHARED_DATA / "bwdf_water_dma/InflowData.xlsx"
HOUR = 3_600_000_000
DAY = 24 * HOUR


@pytest.fixture
def store(tmp_path: Path) -> sd.Store:
    return sd.open(tmp_path / "city.sdts")


def write(
    store: sd.Store, key: str, times: list[int], values: list[float], qualities: list[int] | None = None
) -> None:
    codes = [0] * len(times) if qualities is None else qualities
    restore(store, {"series": key, "time": times, "value": values, "quality": codes})


def rows(query: sd.Query, *names: str) -> list[tuple[object, ...]]:
    table = query.to_arrow()
    columns = [
        table[name].cast(pa.int64()).to_pylist() if name in ("time", "end") else table[name].to_pylist()
        for name in names
    ]
    return list(zip(*columns, strict=True))


def test_intervals_are_stamped_by_their_start_and_keep_their_length(store: sd.Store) -> None:
    write(store, "a", [0, HOUR, 3 * HOUR], [10.0, 12.0, 17.0])
    got = rows(store.query().consumption(), "time", "end", "value", "event")
    assert got == [(0, HOUR, 2.0, 0), (HOUR, 3 * HOUR, 5.0, 0)]


def test_the_reading_before_the_span_and_the_one_behind_it_count(store: sd.Store) -> None:
    write(store, "a", [0, 10 * HOUR, 20 * HOUR, 30 * HOUR], [0.0, 100.0, 200.0, 300.0])
    query = store.query(
        start=pa.scalar(5 * HOUR, pa.timestamp("us", "UTC")).as_py(),
        end=pa.scalar(25 * HOUR, pa.timestamp("us", "UTC")).as_py(),
    )
    assert [row[0] for row in rows(query.consumption(), "value")] == [100.0, 100.0, 100.0]
    assert rows(query.consumption().resample("1y", "sum"), "sum") == [(200.0,)]


def test_a_neighbour_may_be_far_behind_readings_that_do_not_count(store: sd.Store) -> None:
    times = [0] + [400 * DAY + k * HOUR for k in range(50)] + [800 * DAY]
    write(store, "a", times, [0.0] + [math.nan] * 50 + [800.0])
    store.compact()
    at = pa.scalar(500 * DAY, pa.timestamp("us", "UTC")).as_py()
    until = pa.scalar(501 * DAY, pa.timestamp("us", "UTC")).as_py()
    query = store.query(start=at, end=until).consumption()
    assert rows(query, "time", "end", "value") == [(0, 800 * DAY, 800.0)]
    assert rows(query.resample("1d", ["sum", "completeness"]), "sum", "completeness") == [
        (pytest.approx(1.0, rel=1e-12), 1.0)
    ]


def test_rejected_and_missing_readings_are_no_readings(store: sd.Store) -> None:
    write(store, "a", [0, 1, 2, 3], [0.0, 9.0, 9.0, 3.0], qualities=[0, 6, 7, 1])
    assert rows(store.query().consumption(), "value", "quality") == [(3.0, 1)]


def test_a_reset_is_not_counted_and_lowers_completeness(store: sd.Store) -> None:
    write(store, "a", [0, 6 * HOUR, 12 * HOUR, DAY], [500.0, 510.0, 0.0, 7.0])
    query = store.query().consumption()
    assert rows(query, "value", "quality", "event") == [(10.0, 0, 0), (None, 5, 3), (7.0, 0, 0)]
    got = rows(query.resample("1d", ["sum", "completeness"]), "sum", "completeness")
    assert got == [(17.0, 0.75)]


def test_interval_series_are_taken_as_they_are_and_gauges_refused(store: sd.Store) -> None:
    store.describe("i", kind="interval", interval="1h")
    store.describe("r", kind="register")
    write(store, "i", [0, HOUR], [4.0, 2.0])
    write(store, "r", [0, HOUR], [4.0, 5.0])
    got = rows(store.query().consumption(), "series", "time", "end", "value")
    assert got == [("i", 0, HOUR, 4.0), ("i", HOUR, 2 * HOUR, 2.0), ("r", 0, HOUR, 1.0)]
    assert rows(store.query("i").consumption().resample("30min", "sum"), "sum") == [
        (2.0,),
        (2.0,),
        (1.0,),
        (1.0,),
    ]
    store.describe("g", kind="gauge")
    write(store, "g", [0], [1.0])
    with pytest.raises(UsageError, match="'g' is a gauge"):
        store.query().consumption().to_arrow()


def test_a_flow_lies_on_the_line_between_its_readings(store: sd.Store) -> None:
    minute = HOUR // 60
    random = np.random.default_rng(4)
    times = np.arange(600) * 5 * minute + random.integers(0, minute, 600)
    times = times[(np.arange(600) < 300) | (np.arange(600) > 330)]
    flows = random.random(times.size) * 10
    store.describe("f", kind="gauge", unit="L/s")
    store.describe("p", kind="gauge", unit="kW", multiplier=2.0)
    for key in ("f", "p"):
        write(store, key, times.tolist(), flows.tolist())
    got = rows(store.query("f").consumption(), "time", "end", "value", "quality", "event")
    hours = np.diff(times) / HOUR
    expected = (flows[1:] + flows[:-1]) / 2 * hours * 3600
    assert [row[:2] for row in got] == list(zip(times[:-1].tolist(), times[1:].tolist(), strict=True))
    gap = int(hours.argmax())
    assert got[gap][2:] == (None, 7, 0)
    assert [row[2] for row in got if row[2] is not None] == pytest.approx(np.delete(expected, gap), rel=1e-12)
    energy = rows(store.query("p").consumption("MW.h"), "value")
    assert [e for (e,) in energy if e is not None] == pytest.approx(
        np.delete(expected, gap) / 3.6e6 * 2, rel=1e-12
    )
    # A span has the intervals that reach into it, whole, and the same gaps.
    middle = store.query("f", start=np.datetime64(int(times[299]) + 1, "us")).consumption()
    assert rows(middle, "time", "end", "value", "quality", "event") == got[299:]


def test_means_of_intervals_are_multiplied_by_their_length(store: sd.Store) -> None:
    store.describe("f", kind="interval", unit="L/s", interval="15min")
    store.describe("a", kind="interval", unit="L", interval="15min")
    for key in ("f", "a"):
        write(store, key, [0, HOUR // 4], [2.0, 4.0])
    assert rows(store.query("f").consumption(), "value") == [(1800.0,), (3600.0,)]
    total = store.query().consumption().resample("1h", "sum").aggregate("sum").to_arrow()
    assert total["sum"].to_pylist() == [5406.0]
    assert total.schema.field("sum").metadata == {b"unit": b"L"}
    store.describe("f", unit="Cel")
    assert rows(store.query("f").consumption(), "value") == [(2.0,), (4.0,)]


@pytest.mark.skipif(not BWDF.exists(), reason="../shared/data/bwdf_water_dma is absent")
def test_bwdf_monthly_inflows_are_their_hours(store: sd.Store) -> None:
    pytest.importorskip("openpyxl")
    pd = pytest.importorskip("pandas")
    frame = pd.read_excel(BWDF, engine="openpyxl")
    local = pd.to_datetime(frame.iloc[:, 0], format="%d/%m/%Y %H:%M")
    times = local.dt.tz_localize("Europe/Rome", ambiguous="infer").dt.tz_convert("UTC").dt.as_unit("us")
    keys = [str(name) for name in frame.columns[1:]]
    store.describe(keys, quantity="water", unit="L/s", kind="interval", interval="1h")
    for key in keys:
        known = frame[key].notna()
        store.write(
            {"series": key, "time": times[known].to_numpy(), "value": frame.loc[known, key].to_numpy()}
        )
    names = ["sum", "expected_count", "completeness"]
    months = store.query(tz="Europe/Rome").consumption("m3").resample("1mo", names).to_pandas()
    by_month = frame.groupby(local.dt.to_period("M"))
    for k, key in enumerate(keys):
        own = months[months["series"].astype(str) == key]
        litres, counts = by_month[frame.columns[1 + k]].sum(), by_month[frame.columns[1 + k]].count()
        expected = litres[counts > 0].to_numpy() * 3.6
        assert own["sum"].to_numpy() == pytest.approx(expected, rel=1e-12)
        shares = (counts / by_month.size())[counts > 0].to_numpy()
        assert own["completeness"].to_numpy() == pytest.approx(shares, rel=1e-12)
        assert own["expected_count"].tolist() == by_month.size()[counts > 0].tolist()


def test_an_interval_series_of_unknown_length_is_refused(store: sd.Store) -> None:
    store.describe("i", kind="interval")
    write(store, "i", [0], [4.0])
    with pytest.raises(UsageError, match=r"interval='1h'"):
        store.query().consumption().to_arrow()


def test_shares_of_estimates_and_empty_buckets(store: sd.Store) -> None:
    write(store, "a", [0, 12 * HOUR, DAY, 2 * DAY], [0.0, 1.0, 3.0, 3.0], qualities=[0, 0, 65, 0])
    write(store, "b", [3 * DAY, 4 * DAY], [0.0, 1.0])
    query = store.query().consumption()
    assert rows(query.resample("1d", ["estimated_share", "count"]), "estimated_share", "count") == [
        (0.5, 2),
        (1.0, 1),
        (0.0, 1),
    ]
    full = rows(query.resample("1d", ["sum", "completeness"], empty=True), "series", "sum", "completeness")
    assert full[2] == ("a", None, 0.0)
    assert [row[0] for row in full] == ["a"] * 5 + ["b"] * 5


def test_the_order_of_steps_and_the_aggregates_are_checked(store: sd.Store) -> None:
    query = store.query()
    with pytest.raises(UsageError, match="follows a selection"):
        query.resample("1d", "sum").consumption()
    with pytest.raises(UsageError, match=r"not resample\(\): resample\(\) ends a query"):
        query.consumption().resample("1d", "sum").resample("1mo", "sum")
    with pytest.raises(UsageError, match="completeness"):
        query.consumption().resample("1d", "first")
    assert query.consumption().resample("1d", "sum").to_arrow().num_rows == 0


def test_frames_and_cells_of_any_size_give_the_same(store: sd.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(7)
    for k in range(9):
        times = np.sort(random.choice(90 * 24, 300, replace=False)) * HOUR
        write(store, f"m{k}", times.tolist(), np.cumsum(random.integers(0, 9, 300)).astype(float).tolist())
    query = store.query().consumption().resample("1d", list(buckets.AGGREGATES), tz="Europe/Oslo")
    whole = query.to_arrow()
    monkeypatch.setattr(pipeline, "FRAME_READINGS", 700)
    monkeypatch.setattr(buckets, "_CELLS_MAX", 100)
    assert query.to_arrow().equals(whole)
    assert whole.num_rows > 700


@pytest.mark.slow
@pytest.mark.skipif(not daiad.FILE.exists(), reason="../shared/data/daiad_water_meters is absent")
def test_the_example_of_monthly_volumes_runs() -> None:
    example = ROOT / "examples" / "monthly_volumes.py"
    command = [sys.executable, "-W", "error", str(example), str(daiad.FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "674,019 rows: 674,011 stored" in done.stdout
    assert "2016-03      648.6 m3" in done.stdout
    assert "219ffd09  backflow        125    -172" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not daiad.FILE.exists(), reason="../shared/data/daiad_water_meters is absent")
def test_daiad_monthly_volumes_sum_to_the_registers_differences(store: sd.Store) -> None:
    pytest.importorskip("pandas")
    for batch in daiad.sorted_batches(daiad.FILE):
        store.write(batch)
    amounts = store.query().consumption().to_pandas().astype({"series": str})
    monthly = store.query().consumption().resample("1mo", "sum", tz="Europe/Madrid").to_pandas()
    months = monthly.astype({"series": str}).groupby("series")["sum"].sum()
    readings = store.query().to_pandas().astype({"series": str}).groupby("series")["value"]
    assert len(months) == 92
    assert not (amounts["event"] == consumption.EVENTS.index("reset")).any()
    # Where a meter's last reading is of the replaced register, or a digit fault, this would not hold.
    differences = readings.last() - readings.first()
    assert months.to_numpy() == pytest.approx(differences[months.index].to_numpy(), rel=1e-12, abs=1e-9)

    faults = amounts[amounts["event"] == consumption.EVENTS.index("digit_fault")]
    assert set(faults["series"].str[:8]) == {"1de2cf65", "9348c9bb"}
    assert faults["value"].between(0, 1000).all()  # neither 12,288 nor the 248,000 between two registers
    assert (faults["quality"] == 5).all()
    backflow = amounts[amounts["event"] == consumption.EVENTS.index("backflow")]
    assert (backflow["value"] < 0).all()
    assert backflow["series"].str.startswith("219ffd09").sum() > 100
    assert (amounts.loc[amounts["event"] == 0, "value"] >= 0).all()


@pytest.mark.parametrize("is_compacted", [False, True])
def test_differences_of_decimals_are_decimal(store: sd.Store, is_compacted: bool) -> None:
    registers = [1234.567, 1234.576, 1234.6, 1235.0, 1234.9]  # the last step is backflow
    write(store, "wm-1", [k * HOUR for k in range(5)], registers)
    write(store, "odd", [0, HOUR], [1 / 3, 2 / 3 + 1e-9])
    write(store, "wheel", [0, HOUR], [999.998, 0.003])
    store.describe("wheel", register_digits=3)
    if is_compacted:
        store.compact()
    assert rows(store.query("wm-1").consumption(), "value") == [(0.009,), (0.024,), (0.4,), (-0.1,)]
    assert rows(store.query("wm-1").consumption().resample("1h", "sum"), "sum") == [
        (0.009,),
        (0.024,),
        (0.4,),
        (-0.1,),
    ]
    assert rows(store.query("wheel").consumption(), "value") == [(0.005,)]
    assert rows(store.query("odd").consumption(), "value") == [(2 / 3 + 1e-9 - 1 / 3,)]


def test_hours_of_a_town_sum_up_to_the_last_litre(store: sd.Store) -> None:
    """By the tokens of blocks; of some meters with gaps, others digits, and one that falls."""
    rng = np.random.default_rng(5)
    hours = 1_500
    litres = np.cumsum(rng.poisson(9, (12, hours)), axis=1)
    litres[11, 700:] -= 1
    with store.writer() as writer:
        for k in range(12):
            kept = rng.random(hours) > (0.05 if k % 3 == 0 else 0.0)
            power = 100 if k == 5 else 1000
            writer.write(
                {"series": f"m{k}", "time": np.flatnonzero(kept) * HOUR, "value": litres[k][kept] / power}
            )
    store.compact()
    total = store.query().consumption().resample("1h", ["sum", "count"]).aggregate("sum").to_arrow()
    assert total["series_count"].to_pylist()[10:-10] == [12] * (hours - 21)
    whole = store.query([f"m{k}" for k in range(12) if k % 3]).consumption().resample("1h", "sum")
    steps = np.diff(litres[[k for k in range(12) if k % 3]], axis=1)
    factors = [10 if k == 5 else 1 for k in range(12) if k % 3]
    exact = [int(step @ factors) / 1000 for step in steps.T]
    assert whole.aggregate("sum").to_arrow()["sum"].to_pylist() == pytest.approx(exact, rel=1e-15)
    used = np.asarray(total["sum"]).sum()
    whole_use = sum(int(litres[k, -1] - litres[k, 0]) / (100 if k == 5 else 1000) for k in range(12))
    assert used == pytest.approx(whole_use, abs=0.3)  # but for what gaps at either end took
