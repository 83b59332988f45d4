"""Parquet, Arrow IPC and CSV: what is written is read back; tables of any layout are mapped."""

import datetime as dt
import decimal
import io
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartdata_ts.errors import DataError, DialectError, UnknownTimeZoneError, UsageError
from smartdata_ts.formats import open_reader, write

SUFFIXES = ["csv", "csv.gz", "tsv", "parquet", "arrow"]


def readings_of(keys, times, values, qualities=None) -> pa.Table:
    columns = {
        "series": pa.array(keys, pa.string()).dictionary_encode(),
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "value": pa.array(values, pa.float64()),
    }
    if qualities is not None:
        columns["quality"] = pa.array(qualities, pa.uint8())
    return pa.table(columns)


def read(path, **options):
    with open_reader(path, **options) as reader:
        rows = []
        for batch in reader:
            rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    assert reader.rows == reader.taken + reader.empty + reader.rejected
    return rows, reader


def read_table(path, table: pa.Table, **options):
    pq.write_table(table, path)
    return read(path, **options)


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_back_what_it_was_given(tmp_path, suffix):
    rng = np.random.default_rng(1)
    values = rng.integers(0, 1 << 64, 500, dtype=np.uint64).view(np.float64)
    values = np.where(np.isnan(values), 0.1, values)
    values[:6] = [0.0, -0.0, 5e-324, np.inf, -np.inf, 1.7976931348623157e308]
    keys = [f'målepunkt, {k % 3} "x"' for k in range(500)]
    times = rng.integers(-(10**15), 4 * 10**15, 500)
    table = readings_of(keys, times, values, rng.integers(0, 256, 500))
    path = tmp_path / f"out.{suffix}"
    assert (
        write(path, table.to_reader(max_chunksize=150), **{"delimiter": "\t"} if suffix == "tsv" else {})
        == 500
    )
    rows, reader = read(path)
    assert reader.rejected == 0
    assert [row[0] for row in rows] == keys
    found = readings_of(*zip(*rows, strict=True))
    assert found["time"].cast(pa.int64()).to_pylist() == times.tolist()
    assert found["value"].to_numpy().tobytes() == values.tobytes()
    assert found["quality"] == table["quality"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_file_gets_its_name_only_when_it_is_whole(tmp_path):
    table = readings_of(["a"], [0], [1.0])

    def failing():
        yield table.to_batches()[0]
        raise RuntimeError("cut")

    for suffix in SUFFIXES:
        path = tmp_path / f"out.{suffix}"
        path.write_bytes(b"old")
        with pytest.raises(RuntimeError, match="cut"):
            write(path, pa.RecordBatchReader.from_batches(table.schema, failing()))
        assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == len(SUFFIXES)


def csv_of(table: pa.Table, **options) -> str:
    file = io.BytesIO()
    write(file, table.to_reader(), "csv", **options)
    return file.getvalue().decode()


def test_csv_times_are_iso_in_the_zone_asked_for():
    table = readings_of(["a", "a"], [1729990800_000000, 1729994400_000000], [1.5, -2])
    assert csv_of(table) == ("series,time,value\na,2024-10-27T01:00:00Z,1.5\na,2024-10-27T02:00:00Z,-2\n")
    assert csv_of(table, tz="Europe/Oslo", delimiter=";") == (
        "series;time;value\na;2024-10-27T02:00:00+01:00;1.5\na;2024-10-27T03:00:00+01:00;-2\n"
    )
    table = readings_of(["a"], [1], [0.1])
    assert csv_of(table).endswith("a,1970-01-01T00:00:00.000001Z,0.1\n")
    with pytest.raises(UnknownTimeZoneError, match="'Mars/Base'"):
        csv_of(table, tz="Mars/Base")
    with pytest.raises(UsageError, match="no option 'compression'"):
        csv_of(table, compression="zstd")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_texts_that_a_spreadsheet_would_run_are_guarded(start):
    key = f"{start}cmd|' /C calc'!A0"
    table = readings_of([key], [0], [-1.0])
    guarded = csv_of(table).split("\n", 1)[1]
    assert guarded.lstrip('"').startswith("'" + start)
    assert guarded.rstrip("\n").endswith(",-1")
    assert not csv_of(table, guard=False).split("\n", 1)[1].startswith("'")


def test_csv_of_other_columns():
    table = pa.table({"=name": ["a,b", None], "n": [1, None], "flag": [True, False]})
    assert csv_of(table) == '\'=name,n,flag\n"a,b",1,true\n,,false\n'


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_csv_numbers_read_back_bit_for_bit(values):
    text = csv_of(readings_of(["a"] * len(values), range(len(values)), values))
    rows, _ = read(io.BytesIO(text.encode()))
    assert [struct.pack("<d", row[2]) for row in rows] == [struct.pack("<d", v) for v in values]


def test_columns_are_mapped_by_name_and_kind(tmp_path):
    path = tmp_path / "in.parquet"
    expected = [("7", utc(2024, 1, 1), 1.5), ("7", utc(2024, 1, 1, 1), 2.0)]
    instants = [utc(2024, 1, 1), utc(2024, 1, 1, 1)]
    naive = [instant.replace(tzinfo=None) for instant in instants]
    times = {
        "s": pa.array(instants, pa.timestamp("s", "UTC")),
        "ms": pa.array(instants, pa.timestamp("ms", "Europe/Oslo")),
        "ns": pa.array(instants, pa.timestamp("ns", "UTC")),
        "local": pa.array(naive, pa.timestamp("us")),
        "text": pa.array(["2024-01-01T00:00:00Z", "2024-01-01 01:00"]),
        "epoch": pa.array([1704067200, 1704070800]),
    }
    values = {
        "f": pa.array([1.5, 2.0]),
        "f32": pa.array([1.5, 2.0], pa.float32()),
        "text": pa.array(["1.5", "2"]),
        "decimal": pa.array([decimal.Decimal("1.50"), decimal.Decimal("2.00")]),
    }
    for time in times.values():
        for value in values.values():
            table = pa.table({"Meter ID": pa.array([7, 7]), "Timestamp": time, "Value": value})
            assert read_table(path, table, tz="UTC")[0] == expected


def test_rows_of_tables_that_cannot_be_taken_are_rejected_by_number(tmp_path):
    time = [utc(2024, 1, 1), None, *[utc(2024, 1, 1)] * 5]
    table = pa.table(
        {
            "meter": ["a", "a", None, "", "a", "a", "a"],
            "time": pa.array(time, pa.timestamp("us", "UTC")),
            "value": pa.array([1, 1, 1, 1, None, (1 << 53) + 2, -(1 << 53)]),
            "quality": pa.array([0, 0, 0, 0, 0, 0, 256]),
        }
    )
    rows, reader = read_table(tmp_path / "in.parquet", table, quality="quality")
    assert len(rows) == 1
    assert [(reject.line, reject.reason) for reject in reader.rejects] == [
        (2, "empty time"),
        (3, "empty series key"),
        (4, "empty series key"),
        (6, "number beyond what float64 holds exactly"),
        (7, "unreadable quality"),
    ]


def test_times_finer_or_farther_than_microseconds_are_rejected():
    for kind, count, reason in (
        (pa.timestamp("ns", "UTC"), 1001, "time finer than a microsecond"),
        (pa.timestamp("ms", "UTC"), 1 << 60, "time out of range"),
    ):
        times = pa.array([1_000_000, count], pa.int64()).cast(kind)
        table = pa.table({"series": ["a", "a"], "time": times, "value": [1.0, 2.0]})
        file = io.BytesIO()
        write(file, table.to_reader(), "arrow")
        file.seek(0)
        rows, reader = read(file, format="arrow")
        assert len(rows) == 1
        assert reader.rejections == {reason: 1}


def test_wide_tables(tmp_path):
    table = pa.table(
        {
            "time": pa.array([utc(2024, 1, 1), utc(2024, 1, 1, 1)], pa.timestamp("us", "UTC")),
            "m1": [1.0, None],
            "m2": [3.0, 4.0],
        }
    )
    rows, reader = read_table(tmp_path / "in.parquet", table)
    assert rows == [
        ("m1", utc(2024, 1, 1), 1.0),
        ("m2", utc(2024, 1, 1), 3.0),
        ("m2", utc(2024, 1, 1, 1), 4.0),
    ]
    assert reader.empty == 1


def test_local_times_of_tables_need_a_zone(tmp_path):
    table = pa.table(
        {
            "series": ["a"] * 3,
            "time": pa.array([dt.datetime(2024, 10, 27, h) for h in (1, 2, 3)], pa.timestamp("us")),
            "value": [1.0, 2.0, 3.0],
        }
    )
    with pytest.raises(DialectError, match="pass tz="):
        read_table(tmp_path / "in.parquet", table)
    rows, reader = read_table(tmp_path / "in.parquet", table, tz="Europe/Oslo")
    assert [row[1].hour for row in rows] == [23, 0, 2]
    assert reader.ambiguous == 1


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_what_is_no_such_file_is_a_clear_error(tmp_path, suffix):
    path = tmp_path / f"in.{suffix}"
    for content in (b"", b"PAR1", b"ARROW1 and no more", b"text"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=path.name):
            open_reader(path)


def test_empty_tables(tmp_path):
    for suffix in SUFFIXES:
        path = tmp_path / f"out.{suffix}"
        assert write(path, readings_of([], [], []).to_reader()) == 0
        if suffix not in ("parquet", "arrow"):
            assert read(path)[0] == []
