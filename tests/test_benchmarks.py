"""The comparison program: the generator keeps its promises, and every peer gives ours' answers."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import smartdata_ts as sd
from benchmarks import __main__ as program
from benchmarks import answers, chart, daiad, datasets, report, runner, targets, w1
from benchmarks.peers import OURS, PEERS, REFERENCE

METERS, HOURS, CSV_ROWS = 7, 400, 1000
PACKAGES = {
    "smartdata_ts": "smartdata_ts",
    "duckdb": "duckdb",
    "parquet-polars": "polars",
    "parquet-duckdb": "duckdb",
    "chdb": "chdb",
    "arcticdb": "arcticdb",
    "pandas": "pandas",
    "pcodec": "pcodec",
}
FIGURES = {
    OURS: {
        "load": {"seconds": 2.0, "rows": 100_000_000, "bytes": 80_000_000, "peak": 500_000_000},
        "compact": {"seconds": 2.0, "rows": 100_000_000, "bytes": 60_000_000},
        "daily": {"best": 0.1, "median": 0.1, "peak": 300_000_000},
        "writes": {"per_second": 1500.0},
    },
    REFERENCE: {"load": {"rows": 1, "seconds": 1.0}, "daily": {"best": 2.0, "median": 2.0}},
    "disk": {"disk": {"per_second": 2000.0, "source_seconds": 0.5, "load_average": 0.1}},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return datasets.make_w1(tmp_path_factory.mktemp("data"), METERS, HOURS, CSV_ROWS)


@pytest.fixture(scope="module")
def table(data):
    return pa.Table.from_batches(datasets.stream(data.path("sorted.arrow")))


def test_a_meter_reads_the_same_every_time_and_whatever_the_number_of_hours():
    whole = w1.meter_litres(3)
    assert np.array_equal(whole, w1.meter_litres(3))
    assert np.array_equal(whole[:100], w1.meter_litres(3, 100))
    assert not np.array_equal(whole, w1.meter_litres(4))


def test_registers_never_fall_and_one_reading_in_a_hundred_is_missing():
    litres = np.array([w1.meter_litres(meter) for meter in range(20)])
    present = [row[row != w1.MISSING] for row in litres]
    assert all((np.diff(row) >= 0).all() for row in present)
    assert 0.008 < (litres == w1.MISSING).mean() < 0.012


def test_the_sorted_form_is_by_series_and_time_with_the_values_of_the_generator(data, table):
    assert table.schema == w1.SCHEMA
    assert (table.num_rows, data.series) == (data.rows, METERS)
    text = table.set_column(0, "series", table["series"].cast(pa.string()))
    assert text.equals(text.sort_by([("series", "ascending"), ("time", "ascending")]))
    litres = w1.meter_litres(2, HOURS)
    of_meter = table.filter(pa.compute.equal(table["series"], "wm-00002"))
    assert of_meter["value"].to_pylist() == (litres[litres != w1.MISSING] / 1000).tolist()


def test_the_time_ordered_form_holds_the_same_readings_an_hour_a_batch(data, table):
    batches = list(datasets.stream(data.path("ordered.arrow")))
    assert len(batches) == HOURS
    ordered = pa.Table.from_batches(batches)
    times = ordered["time"].cast("int64").to_numpy()
    assert (np.diff(times) >= 0).all()
    assert answers.canonical("last", ordered)["value"].tolist() == table["value"].to_pylist()


def test_parquet_and_csv_hold_the_same_readings(data, table):
    stored = pq.read_table(data.path("readings.parquet"))
    assert stored["value"].equals(table["value"])
    assert stored["time"].equals(table["time"])
    imported = pa_csv.read_csv(data.path("readings.csv"))
    assert imported.num_rows == data.csv_rows == CSV_ROWS
    assert imported["value"].to_pylist() == table["value"].to_pylist()[:CSV_ROWS]
    utc = imported["time"].cast(pa.timestamp("us", tz="UTC"))
    assert utc.to_pylist() == table["time"].to_pylist()[:CSV_ROWS]


def test_a_data_set_is_made_once(data):
    before = data.path("sorted.arrow").stat().st_mtime_ns
    again = datasets.make_w1(Path(data.folder).parent, METERS, HOURS, CSV_ROWS)
    assert again == data
    assert data.path("sorted.arrow").stat().st_mtime_ns == before


def test_spanish_wall_times_become_instants_also_in_the_repeated_hour():
    walls = ["2016-03-27T01:30", "2016-03-27T03:30", "2016-10-30T02:10", "2016-10-30T02:10"]
    walls += ["2016-10-30T03:10"]
    got = daiad.to_utc(np.zeros(5, np.int64), np.array(walls, "M8[us]"))
    want = ["2016-03-27T00:30", "2016-03-27T01:30", "2016-10-30T00:10", "2016-10-30T01:10"]
    assert got.tolist() == np.array([*want, "2016-10-30T02:10"], "M8[us]").tolist()


def test_the_real_set_is_sorted_and_has_one_value_a_series_and_time():
    if not daiad.FILE.exists():
        pytest.skip("../shared/data/daiad_water_meters is absent")
    batch = next(daiad.sorted_batches())
    assert batch.num_rows == 674_009
    series = batch["series"].indices.to_numpy().astype(np.int64)
    time = batch["time"].cast("int64").to_numpy()
    step = np.diff(series)
    assert ((step > 0) | ((step == 0) & (np.diff(time) > 0))).all()


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_stores_every_reading_and_answers_as_plain_python_does(peer, data, tmp_path):
    if importlib.util.find_spec(PACKAGES[peer]) is None:
        pytest.skip(f"{PACKAGES[peer]} is not installed")
    if peer == OURS and not hasattr(sd, "open"):
        pytest.skip("smartdata_ts.open is not there yet")
    tasks = ["load", "compact", "daily", "last", "year"]
    results = runner.run_peers(data, tmp_path, [peer], tasks, lambda _: None)
    assert runner.failures(data, results) == []
    assert results[peer]["load"]["rows"] == data.rows
    if peer == "pcodec":
        return
    folder = tmp_path / Path(data.folder).name
    for question in ("daily", "last", "year"):
        got = answers.load(folder / f"{peer}.{question}.npz")
        assert answers.disagreement(question, oracle(question, data), got) is None


def oracle(question, data):
    """Answer in plain Python, from the generator alone."""
    rows = []
    for meter, key in enumerate(w1.keys(METERS).to_pylist()):
        litres = w1.meter_litres(meter, HOURS)
        hours = np.flatnonzero(litres != w1.MISSING)
        readings = [(w1.START_US + int(h) * w1.HOUR_US, int(litres[h]) / 1000) for h in hours]
        if question == "daily":
            days = sorted({time - time % (24 * w1.HOUR_US) for time, _ in readings})
            for day in days:
                v = [value for time, value in readings if day <= time < day + 24 * w1.HOUR_US]
                rows.append((key, day, len(v), min(v), max(v), sum(v) / len(v), v[0], v[-1]))
        elif question == "last":
            rows.append((key, *readings[-1]))
        elif key == data.year_keys[0]:
            rows += [(key, *reading) for reading in readings]
    names = ["series", "time", *answers.COLUMNS[question]]
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    columns = {name: pa.array(column) for name, column in columns.items()}
    columns["time"] = columns["time"].cast(pa.timestamp("us", tz="UTC"))
    return answers.canonical(question, pa.table(columns))


def daily_answer(**changes):
    columns = {"series": ["a", "b"], "time": pa.array([0, 0], pa.timestamp("us"))}
    columns |= {name: [1.0, 2.0] for name in answers.COLUMNS["daily"]} | changes
    return answers.canonical("daily", pa.table(columns))


@pytest.mark.parametrize("column", answers.COLUMNS["daily"])
def test_one_wrong_value_is_found_in_any_column(column):
    wrong = daily_answer(**{column: [1.0, 3.0]})
    assert column in answers.disagreement("daily", daily_answer(), wrong)


def test_only_the_mean_may_differ_in_its_last_digits():
    near = [1.0, 2.0 + 1e-12]
    assert answers.disagreement("daily", daily_answer(), daily_answer(mean=near)) is None
    assert "first" in answers.disagreement("daily", daily_answer(), daily_answer(first=near))


def test_a_wrong_key_time_or_row_count_is_found():
    expected = daily_answer()
    assert "keys" in answers.disagreement("daily", expected, daily_answer(series=["a", "c"]))
    later = pa.array([0, 1], pa.timestamp("us"))
    assert "time" in answers.disagreement("daily", expected, daily_answer(time=later))
    fewer = {name: array[:1] for name, array in expected.items()}
    assert "rows" in answers.disagreement("daily", expected, fewer)


def test_a_part_is_held_against_its_own_meters_only():
    expected = daily_answer()
    part = {name: array[1:] for name, array in expected.items()} | {"series": np.array([0])}
    assert answers.disagreement("daily", expected, part) is not None
    assert answers.disagreement("daily", expected, part, part=True) is None


def test_zoned_and_naive_times_and_coded_keys_compare_as_equal():
    zoned = pa.array([0, 0], pa.timestamp("us")).cast(pa.timestamp("ms", tz="Europe/Oslo"))
    coded = pa.array(["b", "a"]).dictionary_encode()
    values = {name: [2.0, 1.0] for name in answers.COLUMNS["daily"]}
    other = daily_answer(time=zoned, series=coded, **values)
    assert answers.disagreement("daily", daily_answer(), other) is None


def test_targets_say_must_aim_missed_and_not_yet():
    word = {target.what: target.word(target.got(FIGURES)) for target in targets.TARGETS}
    assert word["on disk, W1"] == "aim"  # 0.60 B after compaction, not 0.80 before it
    assert word["daily aggregates"] == "must"  # 20 times
    assert word["load, sorted by series"] == "aim"
    assert word["durable one-reading writes"] == "must"  # 3,000 at 4,000 syncs a second
    assert word["last reading of every meter"] == "not yet"
    assert targets.TARGETS[0].word(0.9) == "MISSED"


def test_the_page_and_the_chart_name_every_peer_and_every_problem(data):
    page = report.page([(data, FIGURES)], "python -m benchmarks", ["W1: x disagrees"])
    assert "**Not valid:** W1: x disagrees" in page
    assert "0.600 B" in page
    drawing = chart.chart(data, FIGURES)
    assert drawing.startswith("<svg")
    assert OURS in drawing


def test_an_unknown_peer_is_refused_by_name(capsys):
    with pytest.raises(SystemExit):
        program.parse(["--peers", "nosuch"])
    assert "nosuch" in capsys.readouterr().err


@pytest.mark.slow
def test_the_program_runs_from_the_command_line(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--data", str(tmp_path / "data")]
    command += ["--meters", "5", "--hours", "100", "--sets", "W1", "--peers", "duckdb"]
    command += ["--tasks", "load,daily", "--docs", str(tmp_path / "docs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "daily aggregates, UTC" in (tmp_path / "docs/benchmarks.md").read_text()
