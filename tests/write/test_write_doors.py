"""What a write takes, and what it says: results written back, rows without a value, local times, oddities."""

import datetime
import itertools
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.restored import restore

import smartdata_ts as sd
from smartdata_ts.errors import ConflictError, DataError, SmartDataError, UsageError
from smartdata_ts.formats import import_file

HOUR = 3_600_000_000
DAY = 24 * HOUR
T2024 = 1_704_067_200_000_000
OSLO = ZoneInfo("Europe/Oslo")


@pytest.fixture
def store(tmp_path: Path) -> sd.Store:
    return sd.open(tmp_path / "city.sdts")


@pytest.fixture
def other(tmp_path: Path) -> sd.Store:
    return sd.open(tmp_path / "other.sdts")


def rows_of(store: sd.Store) -> list[dict[str, object]]:
    return store.query().to_arrow().to_pylist()  # type: ignore[no-any-return]


# -- quality


RESULTS: dict[str, Callable[[sd.Query], object]] = {
    "query": lambda query: query,
    "arrow": lambda query: query.to_arrow(),
    "batches": lambda query: query.to_batches(),
    "pandas": lambda query: query.to_pandas(),
    "polars": lambda query: query.to_polars(),
    "mapping": lambda query: query.to_arrow().to_pydict(),
    "dictionary codes": lambda query: query.to_arrow().set_column(
        3, "quality", query.to_arrow()["quality"].dictionary_encode()
    ),
}


@pytest.mark.parametrize("form", RESULTS.values(), ids=RESULTS)
@pytest.mark.parametrize("how", ["write", "writer"])
def test_a_result_written_to_another_store_keeps_its_qualities(
    store: sd.Store, other: sd.Store, form: Callable[[sd.Query], object], how: str
) -> None:
    quality = [0, 65, 1, 6, 7]
    store.write({"series": "a", "time": np.arange(5) * HOUR, "value": np.arange(5.0), "quality": quality})
    assert [row["quality"] for row in rows_of(store)] == quality
    result = form(store.query())
    if how == "write":
        other.write(result)
    else:
        with other.writer() as writer:
            writer.write(result)
    assert rows_of(other) == rows_of(store)


@pytest.mark.parametrize("form", RESULTS.values(), ids=RESULTS)
def test_what_fill_estimates_never_replaces_what_was_measured(
    store: sd.Store, form: Callable[[sd.Query], object]
) -> None:
    hours = [0, 1, 5, 6]
    store.write({"series": "t", "time": [h * HOUR for h in hours], "value": [float(h) for h in hours]})
    filled = form(store.query().fill("linear", every="1h"))
    store.write({"series": "t", "time": [3 * HOUR], "value": [99.0]})  # measured meanwhile
    report = store.write(filled)
    assert (report.replaced, report.stored) == (0, 2)
    rows = [(row["value"], row["quality"]) for row in rows_of(store)]
    assert (rows[3], [quality for _, quality in rows]) == ((99.0, 0), [0, 0, 65, 0, 65, 0, 0])


def test_quality_false_says_that_no_column_holds_codes(store: sd.Store) -> None:
    rows = {"series": "a", "time": [0], "value": [1.0], "quality": ["good"]}
    for data in (rows, pa.table({**rows, "series": ["a"]}), pd.DataFrame(rows)):
        with pytest.raises(DataError, match=r"'quality' is .*string, not a quality code.*quality=False"):
            store.write(data)
    assert store.write(rows, quality=False).stored == 1
    assert store.write({**rows, "quality": [9]}, quality=False, on_conflict="error").duplicates == 1
    with pytest.raises(ConflictError):
        store.write({**rows, "quality": [9]}, on_conflict="error")
    named = {**rows, "code": [7], "value": [2.0]}
    assert store.write(named, quality="code", on_conflict="replace").replaced == 1
    for wrong in (True, 3, b"quality"):
        with pytest.raises(UsageError, match="quality must be the name of a column, or False"):
            store.write(rows, quality=wrong)  # type: ignore[arg-type]


def test_codes_that_are_none_are_rejected_also_where_no_column_was_named(store: sd.Store) -> None:
    report = store.write({"series": "a", "time": [0, 1], "value": [1.0, 2.0], "quality": [0, 256]})
    assert report.rejections == {"quality is no code from 0 to 255": 1}


SPANS: dict[str, Callable[[sd.Query], sd.Query]] = {
    "consumption": lambda query: query.consumption(),
    "filled consumption": lambda query: query.consumption().fill("linear"),
    "hold": lambda query: query.hold(),
    "join": lambda query: query.join_asof(query.store.query("b")),
}
TABLES: dict[str, Callable[[sd.Query], object]] = {name: RESULTS[name] for name in list(RESULTS)[:6]}


@pytest.mark.parametrize("step", SPANS.values(), ids=SPANS)
@pytest.mark.parametrize("form", TABLES.values(), ids=TABLES)
def test_what_a_store_cannot_keep_is_refused(
    store: sd.Store, other: sd.Store, step: Callable[[sd.Query], sd.Query], form: Callable[[sd.Query], object]
) -> None:
    for key in "ab":
        store.write({"series": key, "time": np.arange(4) * HOUR, "value": [0.0, 1.0, 2.0, 4.0]})
    result = step(store.query("a"))
    if "end" not in result.schema.names and form is not TABLES["query"]:
        return  # a table of the caller's: its other columns are not ours
    with pytest.raises(DataError, match="a store keeps nothing of the result's"):
        other.write(form(result))
    columns = ["series", "time", "value", "quality"]
    assert other.write(result.to_arrow().select(columns)).stored == result.to_arrow().num_rows


@pytest.mark.parametrize("step", ["resample", "rolling", "aggregate"])
def test_results_without_values_are_refused(store: sd.Store, other: sd.Store, step: str) -> None:
    store.write({"series": "a", "time": np.arange(4) * HOUR, "value": [0.0, 1.0, 2.0, 4.0]})
    query = store.query()
    made = {
        "resample": lambda: query.resample("1h", "mean"),
        "rolling": lambda: query.rolling("2h", "mean"),
        "aggregate": lambda: query.resample("1h", "mean").aggregate("sum"),
    }[step]()
    with pytest.raises(DataError, match="there is no column"):
        other.write(made)
    assert other.write(store.query().last()).stored == 1


def test_a_column_of_values_may_be_called_quality(store: sd.Store) -> None:
    data = {"series": "water", "time": [0], "quality": [8.5]}
    assert store.write(data, value="quality").stored == 1


# -- rows without a value


def empties(kind: str) -> object:
    times = [T2024, T2024 + HOUR, T2024 + 2 * HOUR]
    nan, null = [1.0, float("nan"), 3.0], [1.0, None, 3.0]
    keys = ["a", "a", "a"]
    stamps = pa.array(times, pa.timestamp("us", "UTC"))
    return {
        "list with NaN": {"series": "a", "time": times, "value": nan},
        "list with None": {"series": "a", "time": times, "value": null},
        "short keys": {"series": keys, "time": times, "value": nan},
        "numpy": {"series": "a", "time": np.array(times), "value": np.array(nan)},
        "float32": {"series": "a", "time": np.array(times), "value": np.array(nan, np.float32)},
        "arrow NaN": pa.table({"series": keys, "time": stamps, "value": nan}),
        "arrow null": pa.table({"series": keys, "time": stamps, "value": null}),
        "texts": pa.table({"series": keys, "time": stamps, "value": ["1", "nan", "3"]}),
        "decimals": pa.table({"series": keys, "time": stamps, "value": [Decimal(1), None, Decimal(3)]}),
        "integers": pa.table({"series": keys, "time": stamps, "value": [1, None, 3]}),
        "pandas": pd.DataFrame({"series": keys, "time": pd.to_datetime(times, unit="us"), "value": nan}),
        "pandas Float64": pd.DataFrame(
            {"series": keys, "time": pd.to_datetime(times, unit="us"), "value": pd.array(null, "Float64")}
        ),
        "polars NaN": pl.DataFrame({"series": keys, "time": times, "value": nan}),
        "polars null": pl.DataFrame({"series": keys, "time": times, "value": null}),
    }[kind]


EMPTIES = (
    "list with NaN",
    "list with None",
    "short keys",
    "numpy",
    "float32",
    "arrow NaN",
    "arrow null",
    "texts",
    "decimals",
    "integers",
    "pandas",
    "pandas Float64",
    "polars NaN",
    "polars null",
)


@pytest.mark.parametrize("kind", EMPTIES)
def test_a_row_without_a_value_is_empty_whatever_the_door(store: sd.Store, kind: str) -> None:
    store.write({"series": "a", "time": [T2024 + HOUR], "value": [2.0]})
    report = store.write(empties(kind))
    counts = (report.rows, report.stored, report.empty, report.rejected, report.replaced)
    assert counts == (3, 2, 1, 0, 0)
    assert [row["value"] for row in rows_of(store)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "wide.csv", "wide.parquet"])
@pytest.mark.parametrize("is_null", [True, False])
def test_files_have_the_same_rule(store: sd.Store, tmp_path: Path, suffix: str, is_null: bool) -> None:
    value = None if is_null else float("nan")
    times = pa.array([T2024, T2024 + HOUR, T2024 + 2 * HOUR], pa.timestamp("us", "UTC"))
    if "wide" in suffix:
        table = pa.table({"time": times, "a": [1.0, value, 3.0], "b": [1.0, 2.0, 3.0]})
    else:
        table = pa.table({"series": ["a"] * 3, "time": times, "value": [1.0, value, 3.0]})
    path = tmp_path / f"in.{suffix}"
    sd.formats.write(path, table.to_reader())
    report = import_file(store, path)
    assert (report.empty, report.rejected, report.rejected_file) == (1, 0, None)
    assert report.rows == report.stored + report.empty == table.num_rows * ("wide" in suffix) + 3
    assert [row["value"] for row in rows_of(store) if row["series"] == "a"] == [1.0, 3.0]


@pytest.mark.parametrize("suffix", [None, "csv", "parquet", "arrow"])
def test_what_is_said_to_be_missing_is_stored_by_every_door(
    store: sd.Store, tmp_path: Path, suffix: str | None
) -> None:
    times = pa.array(np.arange(6) * HOUR + T2024, pa.timestamp("us", "UTC"))
    quality = pa.array([7, 6, 0, 7 | 16, 5, 1], pa.uint8())
    values = [None, float("nan"), None, None, float("nan"), None]
    table = pa.table({"series": ["a"] * 6, "time": times, "value": values, "quality": quality})
    if suffix is None:
        report = store.write(table)
    else:
        sd.formats.write(tmp_path / f"in.{suffix}", table.to_reader())
        report = import_file(store, tmp_path / f"in.{suffix}")
    assert (report.rows, report.stored, report.empty, report.rejected) == (6, 3, 3, 0)
    assert [row["quality"] for row in rows_of(store)] == [7, 6, 23]
    assert all(np.isnan(row["value"]) for row in rows_of(store))


def test_a_nan_of_an_earlier_release_is_salvaged_as_it_was(store: sd.Store, tmp_path: Path) -> None:
    restore(store, {"series": "a", "time": [1, 2], "value": [np.nan, 1.0]})
    store.close()
    sd.salvage(tmp_path / "city.sdts", tmp_path / "saved.sdts")
    with sd.open(tmp_path / "saved.sdts") as saved:
        assert saved.info().readings == 2


# -- rejected rows


def _write_parts(store: sd.Store, parts: list[dict[str, object]]) -> None:
    with store.writer(on_reject="raise") as writer:
        for part in parts:
            writer.write(part)


def test_on_reject_raise_keeps_nothing_and_says_what_was_wrong(store: sd.Store) -> None:
    data = {"series": ["a", None, "a", "", "a", ""], "time": [0, 1, None, 3, 4, 5], "value": [1.0] * 6}
    pattern = "4 of 6 rows .* row 1: null series key; row 2: null time; row 3: empty series key; "
    with pytest.raises(DataError, match=pattern):
        store.write(data, on_reject="raise")
    assert store.info().series == store.info().readings == store.info().commit == 0
    parts = [{"series": "a", "time": times, "value": [1.0, 2.0]} for times in ([0, 1], [2, None])]
    with pytest.raises(DataError, match="row 3: null time"):
        _write_parts(store, parts)
    assert store.info().readings == 0
    assert store.write(data).stored == 2  # the writer serves again
    fine = {"series": "a", "time": [9], "value": [float("nan")]}
    assert store.write(fine, on_reject="raise").empty == 1  # empty is not rejected
    for wrong in ("ignore", None, True, b"raise", ["raise"]):
        with pytest.raises(UsageError, match="on_reject must be 'report' or 'raise'"):
            store.write(data, on_reject=wrong)  # type: ignore[arg-type]


# -- times decades away


def test_times_that_are_seconds_or_milliseconds_are_told_of() -> None:
    for factor, unit in ((10**6, "seconds"), (10**3, "milliseconds")):
        data = {
            "series": f"first {unit}",
            "time": [T2024 // factor, T2024 // factor + 5],
            "value": [1.0, 2.0],
        }
        with _new() as fresh:
            (notice,) = fresh.write(data).notices
            assert f"were they {unit}, taken for microseconds?" in notice
    for key, time, unit in (
        ("a", T2024 // 10**6, "seconds"),
        ("a", T2024 // 10**3, "milliseconds"),
        ("a", T2024 * 1000, "nanoseconds"),
        ("new", T2024 // 10**6, "seconds"),
    ):
        with _new() as fresh:
            good = {"series": "a", "time": [T2024, T2024 + DAY], "value": [1.0, 2.0]}
            assert fresh.write(good).notices == ()
            (notice,) = fresh.write({"series": key, "time": [time], "value": [1.0]}).notices
            assert f"were they {unit}, taken for microseconds?" in notice
            assert f"{key!r}" in notice
            assert fresh.write(good).notices == ()
            assert fresh.info().readings == 3  # never an error


def _new() -> sd.Store:
    import tempfile

    return sd.open(tempfile.mkdtemp() + "/s")


def test_a_time_far_from_all_others_of_the_write_is_told_of(store: sd.Store) -> None:
    times = np.append(T2024 + np.arange(500) * HOUR, [0])
    (notice,) = store.write({"series": "a", "time": times, "value": np.ones(501)}).notices
    assert notice == (
        "1 reading of 1 series, such as 'a', at 1970-01-01T00:00:00.000000Z, decades from all others of "
        "their series: is that right?"
    )
    data = {"series": ["b", "c"], "time": [T2024, T2024 // 1000], "value": [1.0, 1.0]}
    with _new() as fresh:
        (notice,) = fresh.write(data).notices
    assert "'c', at 1970-01-20" in notice or "'b', at 2024" in notice


def test_old_readings_near_each_other_are_not_told_of(store: sd.Store) -> None:
    y1973 = 94_694_400_000_000
    years = [y1973 + k * 365 * DAY for k in range(50)]
    assert store.write({"series": "a", "time": years[:3], "value": [1.0] * 3}).notices == ()
    assert store.write({"series": "a", "time": years, "value": [1.0] * 50}).notices == ()
    assert (
        store.write({"series": "a", "time": [y1973 + 9], "value": [1.0]}).notices == ()
    )  # late, old company
    assert store.write({"series": "new", "time": [y1973], "value": [1.0]}).notices == ()
    limits = np.iinfo(np.int64)
    (one, two) = store.write({"series": "a", "time": [limits.min, limits.max], "value": [1.0, 1.0]}).notices
    assert "is that right?" in one
    assert "is that right?" in two


def test_an_import_tells_of_such_times_too(store: sd.Store, tmp_path: Path) -> None:
    store.write({"series": "a", "time": [T2024], "value": [1.0]})
    path = tmp_path / "in.csv"
    path.write_text("series,time,value\na,1970-01-20T16:00Z,1\na,2024-01-02T00:00Z,1\n")
    (notice,) = import_file(store, path).notices
    assert "milliseconds" in notice


# -- local times


def naive(texts: list[str]) -> list[datetime.datetime]:
    return [datetime.datetime.fromisoformat(text) for text in texts]


NIGHT = ["2024-10-27T01:30", "2024-10-27T02:00", "2024-10-27T02:30"]
NIGHT += ["2024-10-27T02:00", "2024-10-27T02:30", "2024-10-27T03:00"]
NIGHT_UTC = pd.date_range("2024-10-26T23:30", periods=6, freq="30min", tz="UTC").to_list()


@pytest.mark.parametrize("step", [1, 2, 3, 6])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_repeated_hour_is_told_from_the_order_wherever_batches_are_cut(
    store: sd.Store, step: int, unit: str
) -> None:
    time = pa.array(naive(NIGHT)).cast(pa.timestamp(unit))
    table = pa.table({"series": ["a"] * 6, "time": time, "value": np.arange(6.0)})
    report = store.write(table.to_reader(max_chunksize=step), tz="Europe/Oslo")
    assert (report.stored, report.ambiguous, report.rejected) == (6, 0, 0)
    assert [row["time"] for row in rows_of(store)] == NIGHT_UTC
    with _new() as again, again.writer() as writer:
        for first in range(0, 6, step):
            writer.write(table.slice(first, step), tz="Europe/Oslo")
        writer.write({"series": "b", "time": [0], "value": [1.0]})
    assert writer.report.stored == 7


def test_times_that_spring_skips_are_rejected_and_what_cannot_be_told_is_counted(store: sd.Store) -> None:
    texts = ["2024-03-31T01:30", "2024-03-31T02:30", "2024-03-31T03:30", "2024-10-27T02:15"]
    report = store.write(
        {"series": "a", "time": naive(texts), "value": [1.0, 2.0, 3.0, 4.0]}, tz="Europe/Oslo"
    )
    assert report.rejections == {"local time skipped by the change to summer time": 1}
    assert report.rejected_rows is not None
    assert report.rejected_rows["row"].to_pylist() == [1]
    assert (report.rows, report.stored, report.ambiguous) == (4, 3, 1)
    assert [row["time"].hour for row in rows_of(store)] == [0, 1, 0]


def test_a_zone_is_for_local_times_only(store: sd.Store) -> None:
    at = datetime.datetime(2024, 6, 1, 12)
    forms: dict[str, tuple[object, int]] = {
        "naive": ([at], 10),
        "date": ([at.date()], 22),
        "pandas": (pd.Series([at]), 10),
        "zoned": ([at.replace(tzinfo=ZoneInfo("America/New_York"))], 16),
        "integer": ([int(at.replace(tzinfo=datetime.UTC).timestamp()) * 10**6], 12),
        "dictionary": (pa.array([at]).dictionary_encode(), 10),
    }
    for key, (time, hour) in forms.items():
        report = store.write({"series": key, "time": time, "value": [1.0]}, tz="Europe/Oslo")
        assert report.stored == 1
        (row,) = store.query(key).to_arrow().to_pylist()
        assert row["time"].hour == hour, key
    assert store.write({"series": "offset", "time": [at], "value": [1.0]}, tz="+05:30").stored == 1
    assert store.query("offset").to_arrow()["time"].to_pylist()[0].strftime("%H:%M") == "06:30"
    assert store.write({"series": "utc", "time": [at], "value": [1.0]}).stored == 1
    assert store.query("utc").to_arrow()["time"].to_pylist()[0].hour == 12
    with pytest.raises(sd.errors.UnknownTimeZoneError, match="Europe/Oslo"):
        store.write({"series": "a", "time": [0], "value": [1.0]}, tz="Europe/Olso")


def test_local_times_beyond_the_calendar_are_rejected(store: sd.Store) -> None:
    limits = np.iinfo(np.int64)
    time = pa.array([limits.min, 0, limits.max], pa.timestamp("us"))
    report = store.write({"series": "a", "time": time, "value": [1.0] * 3}, tz="Europe/Oslo")
    assert report.rejections == {"time out of range": 2}


def test_a_frame_and_a_text_file_of_the_same_local_times_are_the_same(
    store: sd.Store, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    walls = pd.date_range("2024-10-25", "2024-10-29", freq="15min", tz="Europe/Oslo").tz_localize(None)
    walls = walls.append(pd.date_range("2024-03-30", "2024-04-02", freq="15min"))
    rows = pd.DataFrame({"series": rng.choice(["a", "b"], len(walls)), "time": walls, "value": 1.0})
    rows["value"] = np.arange(len(rows)) / 4
    rows.to_csv(tmp_path / "in.csv", index=False)
    with _new() as imported:
        said = import_file(imported, tmp_path / "in.csv", tz="Europe/Oslo")
        written = store.write(rows, tz="Europe/Oslo")
        counts = ("rows", "stored", "duplicates", "replaced", "rejected", "ambiguous", "rejections")
        assert [getattr(written, name) for name in counts] == [getattr(said, name) for name in counts]
        assert rows_of(store) == rows_of(imported)


# -- keys and other odd things


@pytest.mark.parametrize(
    "keys",
    [
        pd.Series(["a", "b"]),
        pd.Series(["a", "b"], index=[7, 3]),
        pd.Series(["a", "b"], dtype="category"),
        pd.Index(["a", "b"]),
        pd.array(["a", "b"], "string"),
        pl.Series(["a", "b"]),
        pl.Series(["a", "b"], dtype=pl.Categorical),
        np.array(["a", "b"]),
        np.array(["a", "b"], object),
        pa.array(["a", "b"]),
        pa.chunked_array([["a"], ["b"]]),
        pa.chunked_array([["a"], ["b"]]).dictionary_encode(),
        ("a", "b"),
        [b"a", b"b"],
    ],
    ids=lambda keys: type(keys).__module__.split(".")[0] + "." + type(keys).__name__,
)
def test_keys_of_whatever_holds_texts(store: sd.Store, keys: object) -> None:
    assert store.write({"series": keys, "time": [1, 2], "value": [1.0, 2.0]}).stored == 2
    assert [row["series"] for row in rows_of(store)] == ["a", "b"]


BAD_KEYS = ("", "a\0b", "\0", "x" * 1_000_000)


@pytest.mark.parametrize("bad", BAD_KEYS, ids=lambda key: repr(key)[:9])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow"])
def test_a_key_that_cannot_be_one_is_rejected_by_imports(
    store: sd.Store, tmp_path: Path, bad: str, suffix: str
) -> None:
    times = pa.array([T2024, T2024, T2024], pa.timestamp("us", "UTC"))
    table = pa.table({"series": ["a", bad, "b"], "time": times, "value": [1.0, 2.0, 3.0]})
    path = tmp_path / f"in.{suffix}"
    sd.formats.write(path, table.to_reader())
    report = import_file(store, path, unit="m3", tags={"zone": "north"})
    is_long = len(bad) > 10
    assert (report.rows, report.stored, report.rejected) == (3, 2 + is_long, 1 - is_long)
    assert [row["unit"] for row in store.series().to_pylist()] == ["m3"] * (2 + is_long)
    if not is_long:
        reason = "series key holds a zero byte" if bad else "empty series key"
        assert report.rejections == {reason: 1}


def test_a_wide_file_whose_column_is_no_key_is_refused_whole(store: sd.Store, tmp_path: Path) -> None:
    times = pa.array([T2024], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"time": times, "a": [1.0], "b\0c": [2.0]}), tmp_path / "in.parquet")
    (tmp_path / "in.csv").write_text("time,a,b\0c\n2024-01-01T00:00Z,1,2\n")
    for name in ("in.parquet", "in.csv"):
        with pytest.raises(DataError, match="zero byte"):
            import_file(store, tmp_path / name, wide=True)
    with pytest.raises(UsageError, match="series_key"):
        import_file(store, tmp_path / "in.csv", series_key="a\0", value="a")
    assert store.info().series == 0


def test_bytes_that_are_no_text_are_rejected_row_by_row(store: sd.Store) -> None:
    raw = pa.array([b"a", b"\xff\xfe", "Ødegård".encode()], pa.binary())
    damaged = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    for keys in (damaged, damaged.dictionary_encode()):
        report = store.write({"series": keys, "time": [1, 2, 3], "value": [1.0, 2.0, 3.0]})
        assert report.rejections == {"series key is no UTF-8 text": 1}
    assert store.series()["series"].to_pylist() == ["a", "Ødegård"]


class Broken:
    """A table that fails when it is looked at."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise ValueError("no stream today")


def odd_things() -> list[object]:
    lone = "\ud800"
    twice = pd.DataFrame([["a", 1, 2.0, 3.0]], columns=["series", "time", "value", "value"])
    columns: list[object] = [
        "a", lone, "a\0", "", None, 1, 1.5, [], ["a"], [lone], [None], [1], [b"a"], [b"\xff"], [[1]],
        ["a", 1],
        [{}], {"a": 1}, {"a"}, (k for k in "a"), iter(["a"]), range(2), object(), [object()], np.array("a"),
        np.array([["a"]]), np.array([1.5]), np.array([1 + 2j]), np.array(["2024-01-01"], "M8[D]"),
        np.ma.masked_array([1.0], [True]), pd.Series([1]), pd.Series([], dtype=object), pd.Series([pd.NaT]),
        pd.Series([pd.NA]), pd.Series(["a"], dtype="category"), pd.Index(["a"]), pl.Series([1.5]),
        pl.Series([None]), pl.Series([[1]]), pa.array([1]), pa.array([None]), pa.scalar(1),
        pa.table({"a": [1]}),
        pa.chunked_array([], pa.string()), Decimal(1), [Decimal("NaN")], datetime.date(2024, 1, 1),
        [datetime.time(1)], [datetime.timedelta(1)], [datetime.datetime(2024, 1, 1)], [float("inf")],
        [10**400],
        memoryview(b"a"), bytearray(b"a"), b"a", True, [True], Broken(), lambda: None, int,
    ]  # fmt: skip
    good: dict[str, object] = {"series": ["a"], "time": [1], "value": [1.0]}
    tables: list[object] = [
        None, 1, "a", b"a", [], {}, [1], {"series": "a"}, {1: 2}, {None: None}, object(), int,
        Broken(), twice,
        pa.table([["a"], [1], [1.0], [1.0]], names=["series", "time", "value", "series"]), pd.Series([1.0]),
        pd.DataFrame(), pl.DataFrame(), pa.table({}), pa.schema([]), np.zeros(3), np.zeros(2, "i4,i4"),
        [good], iter([good]), (k for k in [good]), pa.array([{"series": "a", "time": 1, "value": 1.0}]),
        pd.DataFrame({0: [1]}), pd.DataFrame({"series": [["a"]], "time": [object()], "value": [{}]}),
        pl.Series([1]), {**good, lone: [1]}, {**good, "quality": [object()]}, {**good, "quality": "good"},
    ]  # fmt: skip
    return [*tables, *({**good, name: column} for name in (*good, "quality") for column in columns)]


def test_odd_things_are_taken_or_refused_with_an_error_of_ours(store: sd.Store) -> None:
    calls: list[Callable[[object], object]] = [
        store.write,
        lambda data: store.write(data, tz="Europe/Oslo", on_reject="raise"),
        store.describe,
        lambda data: store.describe("a", unit=data),  # type: ignore[arg-type]
        lambda data: store.describe("a", kind=data, interval=data),  # type: ignore[arg-type]
        lambda data: store.describe("a", decimals=data),  # type: ignore[arg-type]
        lambda data: store.describe("a", multiplier=data),  # type: ignore[arg-type]
        lambda data: store.describe("a", tags=data),  # type: ignore[arg-type]
        store.exchange,
        lambda data: store.exchange("a", data, final=1.0),
        lambda data: store.exchange("a", "2024-01-01", final=data),  # type: ignore[arg-type]
    ]
    store.describe("a")
    things = odd_things()
    values = [thing["value"] for thing in things if isinstance(thing, dict) and "value" in thing]
    for call, thing in itertools.product(calls, [*things, *values]):
        before = store.info().commit
        try:
            call(thing)
        except SmartDataError:
            assert store.info().commit == before
    assert not store.verify(deep=True).problems
