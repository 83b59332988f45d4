"""Queries: what they are, whom they feed, and what they refuse."""

import pickle
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import smartdata_ts as sd
from smartdata_ts._read import scan
from smartdata_ts._read import threads as threads_module
from smartdata_ts.errors import UnknownSeriesError, UnknownTimeZoneError, UsageError

HOUR = 3_600_000_000
DAY = 24 * HOUR


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sd.Store]:
    """Three series of a thousand hours, and one late reading in the head."""
    with sd.open(tmp_path / "city.sdts") as store:
        with store.writer() as writer:
            for key in ("b", "a", "c"):
                times = np.arange(70_000) * HOUR
                writer.write({"series": key, "time": times, "value": np.arange(70_000) % 97 / 10})
        store.write({"series": "a", "time": [HOUR // 2], "value": [0.25]})
        store.describe("a", tags={"zone": "north", "use": "home"})
        store.describe("b", tags={"zone": "north"})
        store.describe("c", tags={"zone": "south"})
        yield store


def test_a_query_is_a_value(store: sd.Store) -> None:
    query = store.query(["b", "a"], tags={"zone": "north"}, start="1970-01-02", end="1970-01-03")
    assert query == store.query(
        ("b", "a"), tags={"zone": ["north"]}, start=date(1970, 1, 2), end="1970-01-03"
    )
    assert query != query.last()
    assert hash(query) == hash(store.query(["b", "a"], {"zone": "north"}, "1970-01-02", "1970-01-03"))
    assert "start_us=86400000000" in repr(query)
    with pytest.raises(AttributeError):
        query.start_us = 5  # type: ignore[misc]


def test_the_schema_is_known_before_the_result(store: sd.Store) -> None:
    for query in (
        store.query("a"),
        store.query("a").last(),
        store.query().resample("1d", ["count", "mean"]),
        store.query([]),
        store.query([]).last(),
        store.query([]).resample("1d", "sum"),
    ):
        assert query.to_arrow().schema == query.schema
        assert query.to_batches().schema == query.schema
    assert (
        str(store.query().schema.field("series").type)
        == "dictionary<values=string, indices=int32, ordered=0>"
    )
    assert store.query().resample("1d", ["count", "mean"]).schema.names == ["series", "time", "count", "mean"]


def test_results_are_in_the_order_of_keys_and_times(store: sd.Store) -> None:
    result = store.query(["c", "a", "b"], end="1971-01-01").to_arrow()
    frame = result.to_pandas().astype({"series": str})
    assert frame.equals(frame.sort_values(["series", "time"], ignore_index=True))
    assert frame["series"].unique().tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("step", ["read", "last", "resample"])
def test_an_empty_span_holds_nothing(store: sd.Store, step: str) -> None:
    # Within a block, so that its summary alone does not tell.
    query = store.query(start="1970-06-01T00:30", end="1970-06-01T00:30")
    if step == "last":
        query = query.last()
    if step == "resample":
        query = query.resample("1d", "count")
    assert query.to_arrow().num_rows == 0


def test_the_span_is_half_open(store: sd.Store) -> None:
    result = store.query("b", start="1970-01-02T00:00", end="1970-01-02T02:00").to_arrow()
    assert result["time"].cast(pa.int64()).to_pylist() == [DAY, DAY + HOUR]
    local = store.query("b", start="1970-01-02", end="1970-01-03", tz="Europe/Oslo").to_arrow()
    assert local["time"].cast(pa.int64()).to_pylist()[0] == DAY - HOUR
    exact = store.query(
        "b", start=datetime(1970, 1, 2, 0, 0, 0, 1, UTC), end=np.datetime64("1970-01-02T01:00:00.000001")
    )
    assert exact.to_arrow()["time"].cast(pa.int64()).to_pylist() == [DAY + HOUR]


def test_tags_narrow_and_so_do_keys(store: sd.Store) -> None:
    def keys(query: sd.Query) -> list[str]:
        return [str(key) for key in query.last().to_arrow()["series"].to_pylist()]

    assert keys(store.query(tags={"zone": "north"})) == ["a", "b"]
    assert keys(store.query(tags={"zone": ["north", "south"]})) == ["a", "b", "c"]
    assert keys(store.query(tags={"zone": "north", "use": "home"})) == ["a"]
    assert keys(store.query(["b", "c"], tags={"zone": "north"})) == ["b"]
    assert keys(store.query(tags={"zone": "east"})) == []
    assert keys(store.query(tags={"zone": []})) == []
    assert keys(store.query(["a", "a"])) == ["a"]


def test_an_unknown_key_is_named(store: sd.Store) -> None:
    with pytest.raises(UnknownSeriesError, match=r"'x'.*`store.series\(\)`"):
        store.query(["a", "x"]).to_arrow()
    with pytest.raises(UnknownSeriesError, match="and 2 more"):
        store.query(list("vwxyz")).last().to_arrow()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"series": 5}, "series must be a key or a list of keys, not 5"),
        ({"series": ["a", 5]}, "series must be a key or a list of keys"),
        ({"tags": {"zone": 5}}, "tag 'zone' must be a text or a list of texts, not 5"),
        ({"tags": ["zone"]}, "tags must be a mapping"),
        ({"start": 0.5}, "an instant cannot be read from 0.5"),
        ({"start": "yesterday"}, "no ISO 8601 time"),
    ],
)
def test_selections_that_cannot_be_right(store: sd.Store, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        store.query(**arguments)  # type: ignore[arg-type]


def test_steps_that_cannot_be_right(store: sd.Store) -> None:
    query = store.query()
    for aggregates in ("average", ["sum", "p101"], [], ["sum", "sum"], {"time": "sum"}, {"x": "y"}, "px"):
        with pytest.raises(UsageError, match="aggregate"):
            query.resample("1d", aggregates)
    with pytest.raises(UsageError, match="no bucket width"):
        query.resample("daily", "sum")
    with pytest.raises(UnknownTimeZoneError):
        query.resample("1d", "sum", tz="Oslo")
    with pytest.raises(UsageError, match="last"):
        query.resample("1d", "sum").last()
    with pytest.raises(UsageError, match="resample"):
        query.last().resample("1d", "sum")


def test_whatever_reads_arrow_reads_a_query(store: sd.Store) -> None:
    duckdb = pytest.importorskip("duckdb")
    pl = pytest.importorskip("polars")
    pytest.importorskip("pandas")
    query = store.query(end="1980-01-01")
    expected = query.to_arrow()
    assert pa.table(query).equals(expected)
    assert pa.RecordBatchReader.from_stream(query).read_all().equals(expected)
    frame = pl.DataFrame(query)
    assert frame.equals(query.to_polars())
    assert frame["value"].to_list() == expected["value"].to_pylist()
    assert frame.schema["time"] == pl.Datetime("us", "UTC")
    with duckdb.connect() as connection:
        counted = connection.sql(
            "select series, count(*), sum(value) from query group by all order by all"
        ).fetchall()
    sums = expected.group_by("series").aggregate([("value", "count"), ("value", "sum")]).to_pydict()
    assert [row[:2] for row in counted] == list(zip(sums["series"], sums["value_count"], strict=True))
    assert [row[2] for row in counted] == pytest.approx(sums["value_sum"])
    pandas = query.to_pandas()
    assert pandas["value"].tolist() == expected["value"].to_pylist()
    assert str(pandas["time"].dt.tz) == "UTC"


def test_a_result_can_be_written_to_another_store(store: sd.Store, tmp_path: Path) -> None:
    with sd.open(tmp_path / "copy.sdts") as copy:
        assert copy.write(store.query(), quality="quality").stored == 210_001
        assert copy.query().to_arrow().equals(store.query().to_arrow())
        assert copy.write(store.query(), quality="quality").duplicates == 210_001


def test_a_query_is_pickled_with_the_path_of_its_store(
    store: sd.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = store.query("a", end="1971-01-01").resample("1mo", ["count", "std"], tz="Europe/Oslo")
    packed = pickle.dumps(query)
    monkeypatch.chdir("/")
    again = pickle.loads(packed)
    assert again.to_arrow().equals(query.to_arrow())
    assert "mode 'r'" in repr(again.store)
    again.store.close()


def test_a_relative_path_survives_pickling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with sd.open("here.sdts") as store:
        store.write({"series": "a", "time": [1], "value": [1.0]})
        packed = pickle.dumps(store.query())
        monkeypatch.chdir("/")
        again = pickle.loads(packed)
        assert again.to_arrow().num_rows == store.query().to_arrow().num_rows == 1
        again.store.close()


def test_batches_are_a_stable_view_while_the_store_goes_on(
    store: sd.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "SLICE_READINGS", 65_536)
    before = store.query().to_arrow()
    reader = store.query().to_batches()
    batches = [reader.read_next_batch()]
    store.write({"series": ["a", "new"], "time": [7, 7], "value": [0.0, 0.0]})
    store.write({"series": "c", "time": np.arange(70_000) * HOUR, "value": np.zeros(70_000)})
    batches += list(reader)
    assert pa.Table.from_batches(batches).equals(before)
    assert store.query().to_arrow().num_rows == before.num_rows + 2


def test_a_reader_dropped_half_way_leaves_no_thread(store: sd.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SLICE_READINGS", 65_536)
    monkeypatch.setattr(threads_module, "_THREADS_FROM_READINGS", 1)
    before = threading.enumerate()
    reader = store.query().to_batches()
    reader.read_next_batch()
    del reader
    assert threading.enumerate() == before
    store.query().to_arrow()
    store.query().resample("1d", "sum").to_arrow()
    assert threading.enumerate() == before


def test_pandas_and_polars_frames_of_every_step(store: sd.Store) -> None:
    pd = pytest.importorskip("pandas")
    pl = pytest.importorskip("polars")
    for query in (store.query("a").last(), store.query().resample("1y", "mean")):
        assert isinstance(query.to_pandas(), pd.DataFrame)
        assert query.to_polars().equals(pl.DataFrame(query.to_arrow()))


def test_what_is_said_of_series_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "city.sdts"
    with sd.open(path) as store, sd.open(path, mode="r") as reader:
        store.write({"series": ["a", "a", "b", "b"], "time": [0, HOUR] * 2, "value": [1.0, 3.0, 2.0, 7.0]})
        used = reader.query().consumption().resample("1h", "sum")
        assert used.aggregate("sum").to_arrow()["sum"].to_pylist() == [7.0]
        store.describe("a", multiplier=10.0, tags={"zone": "north"})
        assert used.aggregate("sum").to_arrow()["sum"].to_pylist() == [25.0]
        assert used.aggregate("sum", by="zone").to_arrow()["sum"].to_pylist() == [20.0, 5.0]
        store.describe("b", tags={"zone": "north"})
        assert used.aggregate("sum", by="zone").to_arrow()["sum"].to_pylist() == [25.0]
        store.write({"series": ["c", "c"], "time": [0, HOUR], "value": [0.0, 0.5]})
        assert used.aggregate("sum").to_arrow()["sum"].to_pylist() == [25.5]
        store.write({"series": "c", "time": [HOUR], "value": [0.25]})
        assert used.aggregate("sum").to_arrow()["sum"].to_pylist() == [25.25]
        assert reader.query(tags={"zone": "north"}).last().to_arrow()["value"].to_pylist() == [3.0, 7.0]
