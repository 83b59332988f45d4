"""Aggregates against DuckDB and pandas, and the paths that only sliced or tangled readings take."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from support.restored import restore

import smartdata_ts as sd
from smartdata_ts._read import scan
from smartdata_ts._read import threads as threads_module
from smartdata_ts._read.plan import Plan, Slice
from smartdata_ts._readings.columns import Readings
from smartdata_ts._steps import last as last_step
from smartdata_ts._steps import resample
from smartdata_ts._write import writer
from smartdata_ts.errors import CorruptChunkError, UsageError

pd = pytest.importorskip("pandas")
duckdb = pytest.importorskip("duckdb")

HOUR = 3_600_000_000
AGGREGATES = ["count", "sum", "min", "max", "mean", "first", "last", "std"]
SERIES_COUNT = 12


def random_readings(seed: int) -> pd.DataFrame:
    """Some series over three years: jittered, gapped, of decimals, of noise, with a NaN here and there."""
    random = np.random.default_rng(seed)
    parts = []
    for k in range(SERIES_COUNT):
        count = int(random.integers(1, 9_000))
        step = int(random.choice([HOUR // 4, HOUR, 3 * HOUR]))
        times = 1_577_836_800_000_000 + np.sort(random.choice(3 * 8_760 * 4, count, replace=False)) * step
        if k % 3 == 0:
            times = np.unique(times + random.integers(0, 10**9, count))
        values = (
            random.integers(0, 10**5, times.size) / 10 if k % 2 else random.normal(size=times.size) * 10.0**k
        )
        values[random.random(times.size) < 0.01] = np.nan
        parts.append(pd.DataFrame({"series": f"wm-{k:02}", "time": times, "value": values}))
    return pd.concat(parts, ignore_index=True)


def write(store: sd.Store, frame: pd.DataFrame, how: str) -> None:
    """Write the same readings whole, in time order and in pieces, or shuffled with corrections."""
    if how == "sorted":
        pieces = [frame]
    elif how == "pieces":
        by_time = frame.sort_values("time", kind="stable")
        pieces = [by_time.iloc[first : first + 9_000] for first in range(0, len(frame), 9_000)]
    else:
        shuffled = frame.sample(frac=1, random_state=1)
        wrong = shuffled.iloc[::3].assign(value=-1.0)
        pieces = [wrong, *(shuffled.iloc[first::4] for first in range(4))]
    for piece in pieces:
        restore(store, {name: piece[name].to_numpy() for name in piece})


@pytest.fixture(scope="module", params=["sorted", "pieces", "late"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, pd.DataFrame]:
    """The readings in a store with many chunks, and in a frame."""
    path, frame = tmp_path_factory.mktemp("written") / "s", random_readings(7)
    with pytest.MonkeyPatch.context() as patches, sd.open(path) as store:
        patches.setattr(writer, "HEAD_READINGS_MAX", 2_000)
        write(store, frame, request.param)
    return path, frame


@pytest.fixture
def loaded(
    written: tuple[Path, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[sd.Store, pd.DataFrame]]:
    """A copy of the store, read in small slices on threads; and the frame."""
    monkeypatch.setattr(scan, "SLICE_READINGS", 4_096)
    monkeypatch.setattr(resample, "_SLICE_CELLS", 5_000)
    monkeypatch.setattr(resample, "_BATCH_CELLS", 20_000)
    monkeypatch.setattr(threads_module, "_THREADS_FROM_READINGS", 1)
    path, frame = written
    with sd.open(shutil.copytree(path, tmp_path / "s")) as store:
        yield store, frame


def oracle(frame: pd.DataFrame, bucket: pd.Series) -> pd.DataFrame:
    """DuckDB's aggregates, over readings that are not NaN."""
    readings = frame.assign(bucket=bucket)[frame["value"].notna()]  # noqa: F841  read by name
    with duckdb.connect() as connection:
        return connection.sql(
            "select series, bucket as time, count(*) as count, fsum(value) as sum, min(value) as min,"
            " max(value) as max, fsum(value) / count(*) as mean, arg_min(value, time) as first,"
            " arg_max(value, time) as last, stddev_samp(value) as std"
            " from readings group by all order by all"
        ).df()


def check(result: pa.Table, expected: pd.DataFrame) -> None:
    assert result["series"].cast(pa.string()).equals(pa.chunked_array([expected["series"]], pa.string()))
    assert np.array_equal(result["time"].cast(pa.int64()), expected["time"])
    for name in ("count", "min", "max", "first", "last"):
        assert np.array_equal(result[name], expected[name]), name
    scale = np.maximum(expected["max"].abs(), expected["min"].abs()).to_numpy()
    for name, slack in (("sum", 1e-12), ("mean", 1e-14), ("std", 1e-9)):
        mine = result[name].to_pandas().to_numpy()
        theirs = expected[name].to_numpy()
        assert np.array_equal(np.isnan(mine), np.isnan(theirs)), name
        assert np.nanmax(np.abs(mine - theirs) / scale, initial=0) <= slack, name


@pytest.mark.parametrize(
    ("every", "width"), [("15min", HOUR // 4), ("1h", HOUR), ("1d", 24 * HOUR), ("36h", 36 * HOUR)]
)
def test_fixed_buckets_agree_with_duckdb(
    loaded: tuple[sd.Store, pd.DataFrame], every: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if width < HOUR:  # so many buckets that small slices read the same readings hundreds of times
        monkeypatch.setattr(resample, "_SLICE_CELLS", 40_000)
    store, frame = loaded
    origin = 946_857_600_000_000 % width  # a Monday, 3 January 2000
    bucket = (frame["time"] - origin) // width * width + origin
    check(store.query().resample(every, AGGREGATES).to_arrow(), oracle(frame, bucket))


@pytest.mark.parametrize("tz", ["Europe/Oslo", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"])
@pytest.mark.parametrize(
    ("every", "rule"), [("1d", "D"), ("1w", "W"), ("1mo", "M"), ("1q", "Q"), ("1y", "Y")]
)
def test_local_calendars_agree_with_pandas_periods(
    loaded: tuple[sd.Store, pd.DataFrame], every: str, rule: str, tz: str
) -> None:
    store, frame = loaded
    zone = ZoneInfo(tz)  # by its name older releases of pandas know no summer after 2037
    wall = pd.to_datetime(frame["time"], unit="us", utc=True).dt.tz_convert(zone).dt.tz_localize(None)
    starts = wall.dt.to_period(rule).dt.start_time.dt.tz_localize(zone).dt.tz_convert("UTC")
    bucket = starts.dt.as_unit("us").astype("int64")
    check(store.query().resample(every, AGGREGATES, tz=tz).to_arrow(), oracle(frame, bucket))


def test_a_span_cuts_buckets(loaded: tuple[sd.Store, pd.DataFrame]) -> None:
    store, frame = loaded
    start, end = "2020-03-01T06:30", "2020-09-09T09:09"
    inside = frame[
        (frame["time"] >= pd.Timestamp(start).value // 1000)
        & (frame["time"] < pd.Timestamp(end).value // 1000)
    ]
    day = 24 * HOUR
    result = store.query(start=start, end=end).resample("1d", AGGREGATES).to_arrow()
    check(result, oracle(inside, inside["time"] // day * day))


def test_empty_buckets_are_given_where_asked_for(loaded: tuple[sd.Store, pd.DataFrame]) -> None:
    store, _ = loaded
    query = store.query(["wm-00", "wm-01"], start="2019-12-30", end="2020-01-05")
    full = query.resample("1d", ["count", "sum"], empty=True).to_arrow()
    days = [pd.Timestamp("2019-12-30", tz="UTC") + pd.Timedelta(days=k) for k in range(6)]
    assert full["time"].to_pylist() == days * 2
    bare = query.resample("1d", ["count", "sum"]).to_arrow().to_pylist()
    assert [row for row in full.to_pylist() if row["count"]] == bare
    assert all(row["sum"] is None for row in full.to_pylist() if not row["count"])


def test_readings_and_last_agree_with_the_frame(loaded: tuple[sd.Store, pd.DataFrame]) -> None:
    store, frame = loaded
    result = store.query().to_arrow()
    assert result["time"].cast(pa.int64()).to_pylist() == frame["time"].tolist()
    mine, theirs = np.asarray(result["value"]).view(np.int64), frame["value"].to_numpy().view(np.int64)
    assert np.array_equal(mine, theirs)
    for end in (None, "2020-06-01", "2020-01-01T12:00"):
        before = frame if end is None else frame[frame["time"] < pd.Timestamp(end).value // 1000]
        newest = before.groupby("series").tail(1)
        last = store.query(end=end).last().to_arrow()
        assert last["series"].to_pylist() == newest["series"].tolist()
        assert last["time"].cast(pa.int64()).to_pylist() == newest["time"].tolist()


def test_last_before_an_end_decodes_only_what_may_hold_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    read = last_step.read_slice

    def counted(plan: Plan, part: Slice) -> Readings:
        decoded.append(int(plan.counts.sum()))
        return read(plan, part)

    monkeypatch.setattr(last_step, "read_slice", counted)
    count = 60_000
    times = np.arange(count, dtype=np.int64) * HOUR
    with sd.open(tmp_path / "s") as store:
        store.write({"series": "a", "time": times, "value": np.arange(count) / 8})
        store.compact()
        for k in (count - 5, count // 2, 3, 1):
            found = store.query(end=np.datetime64(int(times[k]), "us")).last().to_arrow().to_pylist()
            assert [row["value"] for row in found] == [(k - 1) / 8]
    assert max(decoded) < count // 5


def test_infinities_and_overflow_follow_ieee(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        rows = {"p": [np.inf, 1.0], "q": [np.inf, -np.inf], "r": [1e308, 1e308], "n": [np.nan, np.nan]}
        for key, values in rows.items():
            restore(store, {"series": key, "time": [1, 2], "value": values})
        result = store.query().resample("1d", ["count", "sum", "min", "max"]).to_arrow().to_pylist()
        found = {row["series"]: (row["count"], row["min"], row["max"]) for row in result}
        assert found == {"p": (2, 1.0, np.inf), "q": (2, -np.inf, np.inf), "r": (2, 1e308, 1e308)}
        sums = {row["series"]: row["sum"] for row in result}
        assert (sums["p"], sums["r"]) == (np.inf, np.inf)
        assert sums["q"] is None


def test_a_meter_with_a_wrong_clock_costs_little(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write({"series": [f"m{k}" for k in range(50)], "time": list(range(50)), "value": [1.0] * 50})
        store.write({"series": ["m7", "m7"], "time": [-(2**55), 2**55], "value": [1.0, 1.0]})
        result = store.query().resample("1d", "count").to_arrow()
        assert result.num_rows == 52
        assert sum(result["count"].to_pylist()) == 52


def test_times_beyond_any_calendar_are_an_error_not_a_wrong_bucket(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write({"series": "a", "time": [2**63 - 1], "value": [1.0]})
        with pytest.raises(UsageError, match="nanoseconds"):
            store.query().resample("1d", "count").to_arrow()
        assert store.query(end="2024-01-01").resample("1d", "count").to_arrow().num_rows == 0


@pytest.mark.parametrize("threads_from", [1, 10**9])
def test_a_damaged_block_is_found_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads_from: int
) -> None:
    monkeypatch.setattr(writer, "HEAD_READINGS_MAX", 0)
    monkeypatch.setattr(threads_module, "_THREADS_FROM_READINGS", threads_from)
    monkeypatch.setattr(scan, "SLICE_READINGS", 1_000)
    random = np.random.default_rng(1)
    with sd.open(tmp_path / "s") as store:
        for key in ("a", "b"):
            store.write({"series": key, "time": np.arange(1_000) * HOUR, "value": random.normal(size=1_000)})
        paths = (tmp_path / "s" / "chunks").iterdir()
        (path,) = (path for path in paths if pa.ipc.open_file(path).read_all()["key"][0].as_py() == "a")
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    data[at : at + 8] = bytes(byte ^ 0xFF for byte in data[at : at + 8])
    path.write_bytes(data)
    with sd.open(tmp_path / "s") as store:
        for query in (store.query(), store.query("a"), store.query().resample("1d", "sum")):
            with pytest.raises(CorruptChunkError, match=path.name):
                query.to_arrow()
        assert store.query("b").to_arrow().num_rows == 1_000
