"""Writers: all or nothing, whatever fails and wherever; bounded buffers; partitions; the head."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import smartdata_ts as sd
from smartdata_ts._storage.catalog import Catalog
from smartdata_ts._write import chunks as chunks_module
from smartdata_ts._write import writer as writer_module
from smartdata_ts.errors import ConflictError, DataError, UsageError

HOUR = 3_600_000_000
YEAR = 8_766 * HOUR


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "HEAD_READINGS_MAX", 1_000)
    monkeypatch.setattr(writer_module, "HEAD_BLOBS_MAX", 10)
    monkeypatch.setattr(chunks_module, "CHUNK_READINGS_MAX", 4_000)
    monkeypatch.setattr(writer_module, "BUFFER_READINGS", 10_000)


def readings(key: str, count: int, first: int = 0) -> dict[str, object]:
    times = np.arange(first, first + count) * HOUR
    return {"series": key, "time": times, "value": times / 10}


def write_and_stop(writer: sd.Writer, data: object) -> None:
    writer.write(data)
    raise KeyboardInterrupt


def write_in_parts(store: sd.Store, part_count: int) -> None:
    with store.writer() as writer:
        for part in range(part_count):
            writer.write(readings("b", 9_000, part * 9_000))


def chunk_files(path: Path) -> list[str]:
    return sorted(entry.name for entry in (path / "chunks").iterdir())


def fail_at(monkeypatch: pytest.MonkeyPatch, place: object, name: str, count: int) -> None:
    """Let the call of this number, and none before it, fail as a full disk does."""
    real: Callable[..., object] = getattr(place, name)
    calls = iter(range(1, 10**6))

    def fails(*arguments: object, **named: object) -> object:
        if next(calls) == count:
            raise OSError(28, "No space left on device")
        return real(*arguments, **named)

    monkeypatch.setattr(place, name, fails)


def test_an_exception_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write(readings("a", 5))
        before = store.info()
        for count in (3, 2_000, 35_000):
            threads = threading.enumerate()
            writer = store.writer()
            with pytest.raises(KeyboardInterrupt), writer:
                write_and_stop(writer, readings("b", count))
            assert threading.enumerate() == threads
            assert chunk_files(tmp_path / "s") == []
            assert store.info() == before
            with pytest.raises(UsageError, match="complete only after"):
                _ = writer.report
        assert store.write(readings("b", 35_000)).stored == 35_000
        assert store.series()["series"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize("call", [1, 2, 3, 7])
def test_a_chunk_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write(readings("a", 900))
        threads = threading.enumerate()
        with monkeypatch.context() as patch:
            fail_at(patch, chunks_module, "encode_chunk", call)
            with pytest.raises(OSError, match="No space left"):
                write_in_parts(store, 4)
        assert threading.enumerate() == threads
        assert chunk_files(tmp_path / "s") == []
        assert store.query().to_arrow().num_rows == 900
        assert store.info().head_readings == 900
        assert store.write(readings("b", 36_000)).stored == 36_000
        assert store.query().to_arrow().num_rows == 36_900


@pytest.mark.parametrize("name", ["add_commit", "add_chunk", "clear_head", "add_series", "commit"])
def test_a_catalog_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write(readings("a", 900))
        with monkeypatch.context() as patch:
            fail_at(patch, Catalog, name, 1)
            with pytest.raises(OSError, match="No space left"):
                store.write(readings("b", 2_000))
        assert chunk_files(tmp_path / "s") == []
        assert store.query().to_arrow().num_rows == 900
        report = store.write(readings("b", 2_000))
        assert (report.stored, report.series_created, report.commit) == (2_000, 1, 2)
        assert store.query().to_arrow().num_rows == 2_900


def test_a_failed_write_does_not_spoil_what_the_handle_knows(tmp_path: Path) -> None:
    """Newest times and ids of series that were rolled back must not be trusted afterwards."""
    with sd.open(tmp_path / "s") as store:
        with pytest.raises(KeyboardInterrupt), store.writer() as writer:
            write_and_stop(writer, {"series": ["x", "a"], "time": [10**15, 10**15], "value": [1.0, 2.0]})
        report = store.write({"series": ["a", "x"], "time": [10**15, 5], "value": [1.0, 2.0]})
        assert (report.stored, report.series_created) == (2, 2)
        assert store.query().to_arrow()["value"].to_pylist() == [1.0, 2.0]


def test_a_reader_sees_none_or_all_of_a_write(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with sd.open(path) as store, sd.open(path, mode="r") as reader:
        store.write(readings("a", 1))
        seen: set[int] = set()
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                seen.add(reader.query().to_arrow().num_rows)

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            with store.writer() as writer:
                for part in range(12):
                    writer.write(readings("b", 5_000, part * 5_000))
            assert reader.query().to_arrow().num_rows == 60_001
        finally:
            done.set()
            watcher.join()
        assert seen <= {1, 60_001}


def test_rows_of_one_writer_replace_each_other_across_spills(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        with store.writer() as writer:
            for round_number in range(3):
                rows = readings("a", 12_000)
                rows["value"] = np.full(12_000, float(round_number))
                writer.write(rows)
        report = writer.report
        assert (report.rows, report.stored, report.replaced) == (36_000, 12_000, 24_000)
        assert set(store.query().to_arrow()["value"].to_pylist()) == {2.0}
        assert store.info().readings == 12_000


def sorted_table(series_count: int, count: int, value: float = 0.0) -> pa.Table:
    keys = [f"k{k:03}" for k in range(series_count)]
    codes = np.repeat(np.arange(series_count, dtype=np.int32), count)
    return pa.table(
        {
            "series": pa.DictionaryArray.from_arrays(codes, keys),
            "time": np.tile(np.arange(count) * HOUR, series_count),
            "value": np.arange(series_count * count) / 10 + value,
        }
    )


@pytest.mark.parametrize("batch_size", [700, 3_999, 4_000, 25_000])
def test_sorted_batches_become_chunks_that_end_with_a_series(tmp_path: Path, batch_size: int) -> None:
    table = sorted_table(50, 500)
    with sd.open(tmp_path / "s") as store:
        threads = threading.enumerate()
        with store.writer() as writer:
            for batch in table.to_batches(max_chunksize=batch_size):
                writer.write(batch)
        assert threading.enumerate() == threads
        assert (writer.report.stored, writer.report.series_created) == (25_000, 50)
        stored = store.query().to_arrow()
        assert stored["value"].to_pylist() == table["value"].to_pylist()
        chunks = store.pin()[0].state().chunks
        assert sorted(chunk.reading_count for chunk in chunks) == [1_000, *[4_000] * 6]
        # The same again, all of which is known; then other values, in place of these.
        assert store.write(table).duplicates == 25_000
        report = store.write(sorted_table(50, 500, value=1.0))
        assert (report.stored, report.replaced) == (0, 25_000)
        assert store.query().to_arrow()["value"].to_pylist()[:2] == [1.0, 1.1]


def test_a_conflict_in_sorted_batches_leaves_nothing(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write(sorted_table(20, 500))
        with pytest.raises(ConflictError, match=r"is 0\.0 "):
            store.write(sorted_table(20, 500, value=1.0), on_conflict="error")
        assert store.write(sorted_table(20, 500)).duplicates == 10_000


@pytest.mark.parametrize("code", [-1, 2, 2**31 - 1])
def test_a_dictionary_index_out_of_range_is_refused(tmp_path: Path, code: int) -> None:
    indices = pa.array(np.array([0, code], np.int32))
    series = pa.DictionaryArray.from_arrays(indices, pa.array(["a", "b"]), safe=False)
    data = pa.table({"series": series, "time": [1, 2], "value": [1.0, 2.0]})
    with sd.open(tmp_path / "s") as store:
        with pytest.raises(DataError, match="not among the 2 of its dictionary"):
            store.write(data)
        assert store.write({"series": ["a", "b"], "time": [1, 2], "value": [1.0, 2.0]}).stored == 2


def test_chunks_are_of_one_utc_year_each(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        times = np.array([-1, 0, 1_704_067_199_999_999, 1_704_067_200_000_000])
        with store.writer() as writer:
            writer.write({"series": "a", "time": times, "value": np.zeros(4)})
            writer.write({"series": "b", "time": np.arange(2_000), "value": np.zeros(2_000)})
        years = [name.split("-")[0] for name in chunk_files(tmp_path / "s")]
        assert years == ["1969", "1970", "2023", "2024"]


def test_small_writes_gather_in_the_head_until_it_is_full(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        for day in range(45):
            store.write(readings("a", 23, day * 23))
            info = store.info()
            assert info.readings == (day + 1) * 23
            assert info.head_readings <= 1_000
            assert (info.head_readings < info.readings) == (info.chunks > 0)
        assert store.info().chunks > 0
        assert store.query().to_arrow().num_rows == 45 * 23
        ((blob_count,),) = store.pin()[0]._rows("SELECT count(*) FROM head")
        assert blob_count <= 10


def test_a_writer_serves_one_block(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        writer = store.writer()
        with pytest.raises(UsageError, match="within its `with` block"):
            writer.write(readings("a", 1))
        with writer:
            writer.write(readings("a", 1))
        with pytest.raises(UsageError, match="within its `with` block"):
            writer.write(readings("a", 1))
        with pytest.raises(UsageError, match="one `with` block"), writer:
            pass
        assert writer.report.stored == 1
        assert store.write(readings("a", 2)).stored == 1


def test_notes_are_kept_with_the_commit(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write(readings("a", 1), note="who and why")
        with store.writer(note="Ødegård's file") as writer:
            writer.write(readings("b", 2_000))
        notes = store.pin()[0]._rows("SELECT note FROM commits ORDER BY id")
        assert notes == [("who and why",), ("Ødegård's file",)]
