"""What people's tables become: every input type, every reason for rejection, every useless table refused."""

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smartdata_ts as sd
from smartdata_ts._write.ingest import REASONS, ColumnNames, read_rows
from smartdata_ts.errors import DataError

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
duckdb = pytest.importorskip("duckdb")

NAMES = ColumnNames()
T0 = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
T0_US = 1_729_989_000_000_000
EXPECTED = [("a", T0_US, 1.5), ("b", T0_US + 1_000_000, -2.0), ("a", T0_US + 2_000_000, 3.25)]
KEYS = ["a", "b", "a"]
TIMES = [T0, T0 + timedelta(seconds=1), T0 + timedelta(seconds=2)]
TIMES_US = [time for _, time, _ in EXPECTED]
VALUES = [1.5, -2.0, 3.25]


def read(
    data: object, names: ColumnNames = NAMES
) -> tuple[list[tuple[str, int, float]], list[tuple[int, str]]]:
    """The readings taken, and row and reason of the rejected."""
    taken: list[tuple[str, int, float]] = []
    rejected: list[tuple[int, str]] = []
    before = 0
    for rows in read_rows(data, names):
        keys = rows.keys if isinstance(rows.keys, list) else rows.keys.to_pylist()
        readings = rows.readings
        assert readings.series.dtype == np.int32
        assert readings.times.dtype == np.int64
        assert readings.values.dtype == np.float64
        assert readings.qualities.dtype == np.uint8
        assert len(readings) + rows.rejected_rows.size + rows.empty_count == rows.row_count
        series = [keys[code] for code in readings.series.tolist()]
        taken += zip(series, readings.times.tolist(), readings.values.tolist(), strict=True)
        reasons = [REASONS[code] for code in rows.rejected_reasons.tolist()]
        rejected += zip((rows.rejected_rows + before).tolist(), reasons, strict=True)
        before += rows.row_count
    return taken, rejected


def arrow(series: pa.Array, time: pa.Array, value: pa.Array) -> pa.Table:
    return pa.table({"series": series, "time": time, "value": value})


def plain_arrow() -> pa.Table:
    return arrow(pa.array(KEYS), pa.array(TIMES, pa.timestamp("us", "UTC")), pa.array(VALUES))


def duckdb_relation() -> object:
    readings = plain_arrow()  # noqa: F841  read by name
    return duckdb.sql("select * from readings")


def pandas_frame(unit: str, tz: str | None) -> pd.DataFrame:
    times = pd.Series(pd.to_datetime(TIMES, utc=True)).dt.as_unit(unit)
    times = times.dt.tz_localize(None) if tz is None else times.dt.tz_convert(tz)
    return pd.DataFrame({"series": KEYS, "time": times, "value": VALUES})


INPUTS: dict[str, Callable[[], object]] = {
    "arrow table": plain_arrow,
    "arrow batch": lambda: plain_arrow().to_batches()[0],
    "arrow reader": lambda: plain_arrow().to_reader(max_chunksize=2),
    "polars frame": lambda: pl.DataFrame(plain_arrow()),
    "polars categorical": lambda: pl.DataFrame(plain_arrow()).with_columns(
        pl.col("series").cast(pl.Categorical)
    ),
    "pandas ns": lambda: pandas_frame("ns", "Europe/Oslo"),
    "pandas us": lambda: pandas_frame("us", "UTC"),
    "pandas naive": lambda: pandas_frame("ms", None),
    "pandas categorical": lambda: pandas_frame("s", None).astype({"series": "category"}),
    "duckdb relation": duckdb_relation,
    "lists": lambda: {"series": KEYS, "time": TIMES_US, "value": VALUES},
    "tuples": lambda: {"series": tuple(KEYS), "time": tuple(TIMES_US), "value": tuple(VALUES)},
    "datetimes": lambda: {"series": KEYS, "time": TIMES, "value": VALUES},
    "datetimes of another zone": lambda: {
        "series": KEYS,
        "time": [time.astimezone(timezone(timedelta(hours=-5))) for time in TIMES],
        "value": VALUES,
    },
    "numpy": lambda: {"series": np.array(KEYS), "time": np.array(TIMES_US), "value": np.array(VALUES)},
    "numpy datetimes": lambda: {
        "series": np.array(KEYS, object),
        "time": np.array(TIMES_US, "M8[us]").astype("M8[s]"),
        "value": np.array(VALUES, np.float32),
    },
    "strided numpy": lambda: {
        "series": KEYS,
        "time": np.repeat(np.array(TIMES_US), 2)[::2],
        "value": np.repeat(np.array(VALUES), 2)[::2],
    },
    "pandas series": lambda: {"series": pd.Series(KEYS), "time": TIMES_US, "value": pd.Series(VALUES)},
    "polars series": lambda: {"series": pl.Series(KEYS), "time": TIMES_US, "value": pl.Series(VALUES)},
}


@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
def test_every_kind_of_table_gives_the_same_readings(make: Callable[[], object]) -> None:
    assert read(make()) == (EXPECTED, [])


@pytest.mark.parametrize(
    "keys",
    [
        pa.array(KEYS, pa.large_string()),
        pa.array(KEYS, pa.string_view()),
        pa.array([key.encode() for key in KEYS], pa.binary()),
        pa.array(KEYS).dictionary_encode(),
        pa.DictionaryArray.from_arrays(
            pa.array([2, 0, 2], pa.uint8()), pa.array(["b", "z", "a"], pa.large_string())
        ),
        pa.chunked_array([pa.array(["a"]).dictionary_encode(), pa.array(["b", "a"]).dictionary_encode()]),
        pa.chunked_array([pa.array(["a", "b"]), pa.array([], pa.string()), pa.array(["a"])]),
        pa.array(["x", *KEYS, "x"]).dictionary_encode()[1:4],
        pa.RunEndEncodedArray.from_arrays(pa.array([1, 2, 3], pa.int32()), pa.array(KEYS)),
    ],
    ids=lambda keys: str(keys.type)[:40],
)
def test_keys_of_every_arrow_type(keys: pa.Array) -> None:
    table = arrow(keys, pa.array(TIMES_US), pa.array(VALUES))
    assert read(table) == (EXPECTED, [])


def test_whole_numbers_are_keys_too() -> None:
    assert read({"series": [17, 18], "time": [0, 0], "value": [1.0, 2.0]})[0] == [
        ("17", 0, 1.0),
        ("18", 0, 2.0),
    ]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("tz", [None, "UTC", "Europe/Oslo", "+05:45"])
def test_times_of_every_unit_and_zone_are_instants(unit: str, tz: str | None) -> None:
    times = pa.array(TIMES_US, pa.timestamp("us")).cast(pa.timestamp(unit)).cast(pa.int64())
    times = pa.concat_arrays([times, pa.nulls(1, pa.int64())]).view(pa.timestamp(unit, tz))
    table = arrow(pa.array([*KEYS, "a"]), times, pa.array([*VALUES, 0.0]))
    assert read(table) == (EXPECTED, [(3, "null time")])
    assert read(table.slice(1, 2)) == (EXPECTED[1:], [])


def test_dates_are_their_midnight_in_utc() -> None:
    days = [date(2024, 2, 29), None, date(1969, 12, 31)]
    for kind in (pa.date32(), pa.date64()):
        taken, rejected = read(arrow(pa.array(KEYS), pa.array(days, kind), pa.array(VALUES)))
        assert [time for _, time, _ in taken] == [1_709_164_800_000_000, -86_400_000_000]
        assert rejected == [(1, "null time")]


@pytest.mark.parametrize("unit", ["m", "h", "D", "M", "Y"])
def test_numpys_coarse_times(unit: str) -> None:
    times = np.array(["1971-01-01"], f"M8[{unit}]")
    assert read({"series": "a", "time": times, "value": [1.0]})[0] == [("a", 31_536_000_000_000, 1.0)]


def test_times_that_no_int64_of_microseconds_holds_are_rejected() -> None:
    limits = np.iinfo(np.int64)
    seconds = pa.array([limits.max // 10**6, limits.max // 10**6 + 1, -(limits.max // 10**6) - 1, limits.min])
    taken, rejected = read({"series": "a", "time": seconds.view(pa.timestamp("s")), "value": [1.0] * 4})
    assert [time for _, time, _ in taken] == [limits.max // 10**6 * 10**6]
    assert rejected == [(1, "time out of range"), (2, "time out of range"), (3, "time out of range")]
    unsigned = np.array([2**63 - 1, 2**63], np.uint64)
    taken, rejected = read({"series": "a", "time": unsigned, "value": [1.0, 2.0]})
    assert taken == [("a", 2**63 - 1, 1.0)]
    assert rejected == [(1, "time out of range")]


def test_times_finer_than_a_microsecond_are_rejected_not_cut() -> None:
    times = pa.array([1_000, 1_001, -1, -1_000], pa.int64()).view(pa.timestamp("ns"))
    taken, rejected = read({"series": "a", "time": times, "value": [1.0] * 4})
    assert [time for _, time, _ in taken] == [1, -1]
    assert rejected == [(1, "time finer than a microsecond"), (2, "time finer than a microsecond")]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.5, -2.0, 3.25], pa.float32()),
        pa.array(np.array(VALUES, np.float16)),
        pa.array(list(map(Decimal, ("1.50", "-2.00", "3.25")))),
        pa.array(["1.5", " -2 ", "0.325e1"]),
        pa.array(["1.5", "-2", "3.25"], pa.large_string()),
        pa.array(["1.5", "-2", "3.25"], pa.string_view()),
        pa.array(["1.5", "-2", "3.25"]).dictionary_encode(),
        pa.array(VALUES).dictionary_encode(),
        pa.array([None, *VALUES, None])[1:4],
    ],
    ids=lambda values: str(values.type)[:30],
)
def test_values_of_every_arrow_type(values: pa.Array) -> None:
    assert read(arrow(pa.array(KEYS), pa.array(TIMES_US), values)) == (EXPECTED, [])


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
)
def test_integers_are_values(kind: pa.DataType) -> None:
    taken, rejected = read({"series": "a", "time": [1, 2, 3], "value": pa.array([0, None, 127], kind)})
    assert taken == [("a", 1, 0.0), ("a", 3, 127.0)]
    assert rejected == []


def test_integers_that_no_double_holds_are_rejected() -> None:
    numbers = pa.array([2**53, 2**53 + 1, -(2**53), -(2**53) - 1])
    taken, rejected = read({"series": "a", "time": [1, 2, 3, 4], "value": numbers})
    assert [value for _, _, value in taken] == [2.0**53, -(2.0**53)]
    assert rejected == [(1, "integer that no double holds"), (3, "integer that no double holds")]


@given(
    st.lists(
        st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9),
        min_size=1,
    )
)
@settings(deadline=None)
def test_a_decimal_becomes_the_nearest_double(numbers: list[Decimal]) -> None:
    column = pa.array(numbers, pa.decimal128(20, 6))
    taken, _ = read({"series": "a", "time": list(range(len(numbers))), "value": column})
    assert [value for _, _, value in taken] == [float(number) for number in numbers]


@given(st.lists(st.floats(), min_size=1))
@settings(deadline=None)
def test_a_double_is_taken_to_the_bit_and_so_is_its_text(numbers: list[float]) -> None:
    times = list(range(len(numbers)))
    patterns = [struct.pack("<d", number) for number in numbers]
    missing = [7] * len(numbers)  # so that a NaN is a reading too
    for column in (numbers, np.array(numbers), pa.array(numbers)):
        taken, _ = read({"series": "a", "time": times, "value": column, "quality": missing})
        assert [struct.pack("<d", value) for _, _, value in taken] == patterns
    texts = [repr(number) for number in numbers]
    taken, _ = read({"series": "a", "time": times, "value": texts, "quality": missing})
    assert [repr(value) for _, _, value in taken] == [repr(number) for number in numbers]


def test_texts_that_are_no_numbers_are_rejected() -> None:
    texts = ["1", "", "1,5", "x", None, "0x10", "1_000"]
    taken, rejected = read({"series": "a", "time": list(range(7)), "value": texts})
    assert taken == [("a", 0, 1.0)]
    assert rejected == [(row, "unparsable value") for row in (1, 2, 3, 5, 6)]


def test_a_row_without_a_value_is_rejected_only_where_it_has_no_key_or_time() -> None:
    frame = pd.DataFrame(
        {"series": ["a", "a", None], "time": pd.to_datetime([0, None, 0]), "value": [np.nan, 1.0, 1.0]}
    )
    assert read(frame) == ([], [(1, "null time"), (2, "null series key")])
    nullable = pd.DataFrame({"series": "a", "time": [1, 2], "value": pd.array([7, None], "Int64")})
    assert read(nullable) == ([("a", 1, 7.0)], [])
    nobody = pl.DataFrame({"series": [None, "a"], "time": [1, None], "value": [float("nan")] * 2})
    assert read(nobody) == ([], [(0, "null series key"), (1, "null time")])


def test_nulls_everywhere_and_columns_of_nothing_but_nulls() -> None:
    table = arrow(pa.array([None, "a", "a", "a"]), pa.array([1, None, 3, 4]), pa.array([1.0, 2.0, None, 4.0]))
    assert read(table) == ([("a", 4, 4.0)], [(0, "null series key"), (1, "null time")])
    columns: dict[str, object] = {"series": ["a", "b"], "time": [1, 2], "value": [1.0, 2.0]}
    for missing, reason in (("series", "null series key"), ("time", "null time"), ("value", None)):
        rejected = [] if reason is None else [(0, reason), (1, reason)]
        assert read({**columns, missing: [None, None]}) == ([], rejected)
        assert read(pa.table({**columns, missing: pa.nulls(2)})) == ([], rejected)


def test_a_null_in_a_dictionary_is_a_null_key() -> None:
    keys = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array(["a", None]))
    taken, rejected = read(arrow(keys, pa.array([1, 2, 3, 4]), pa.array([1.0, 2.0, 3.0, 4.0])))
    assert taken == [("a", 1, 1.0), ("a", 4, 4.0)]
    assert rejected == [(1, "null series key"), (2, "null series key")]


@pytest.mark.parametrize("keys", [["", "a\0b", "a"], pa.array(["", "a\0b", "a"]).dictionary_encode()])
def test_keys_that_cannot_be_looked_up_are_rejected(keys: object) -> None:
    taken, rejected = read({"series": keys, "time": [1, 2, 3], "value": [1.0, 2.0, 3.0]})
    assert taken == [("a", 3, 3.0)]
    assert rejected == [(0, "empty series key"), (1, "series key holds a zero byte")]


def test_a_text_stands_for_all_rows() -> None:
    assert read({"series": "wm-17", "time": [1, 2], "value": [1.0, 2.0]})[0] == [
        ("wm-17", 1, 1.0),
        ("wm-17", 2, 2.0),
    ]
    assert read({"series": "Ødegård", "time": [1], "value": [1.0]})[0] == [("Ødegård", 1, 1.0)]


def test_qualities() -> None:
    names = ColumnNames(quality="q")
    columns = {"series": "a", "time": list(range(5)), "value": [1.0] * 5}
    for kind in (pa.int64(), pa.int16()):
        data = {**columns, "q": pa.array([0, 255, None, 256, -1], kind)}
        (rows,) = read_rows(data, names)
        assert rows.readings.qualities.tolist() == [0, 255, 0]
        assert [REASONS[code] for code in rows.rejected_reasons] == ["quality is no code from 0 to 255"] * 2
    (rows,) = read_rows({**columns, "q": pa.array([1, 2, None, 4, 5], pa.uint8()).dictionary_encode()}, names)
    assert rows.readings.qualities.tolist() == [1, 2, 0, 4, 5]
    (rows,) = read_rows({**columns, "q": pa.nulls(5)}, names)
    assert rows.readings.qualities.tolist() == [0] * 5
    with pytest.raises(DataError, match="'q' is double, not a quality code"):
        list(read_rows({**columns, "q": [1.0] * 5}, names))


def test_tables_without_rows() -> None:
    assert read(plain_arrow().slice(0, 0)) == ([], [])
    assert read(plain_arrow().schema.empty_table()) == ([], [])
    assert read(pl.DataFrame(plain_arrow()).head(0)) == ([], [])
    assert read(pandas_frame("us", "UTC").head(0)) == ([], [])
    assert read({"series": [], "time": [], "value": []}) == ([], [])
    assert read({"series": "a", "time": np.empty(0, np.int64), "value": np.empty(0)}) == ([], [])


def test_columns_of_other_names_beside_ones_that_do_not_matter() -> None:
    names = ColumnNames("meter", "ts", "m3")
    assert read({"junk": object(), "meter": "a", "ts": [1], "m3": [2.0]}, names)[0] == [("a", 1, 2.0)]
    table = (
        plain_arrow().rename_columns(["meter", "ts", "m3"]).append_column("junk", pa.array([[1], [2], [3]]))
    )
    assert read(table, names) == (EXPECTED, [])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "cannot write a list: give an Arrow table"),
        (None, "cannot write a NoneType"),
        (pa.array([1]), "no table"),
        (pa.chunked_array([[1]]), "no table"),
        ({"series": "a", "time": [1]}, "no column 'value'; the table has 'series', 'time'"),
        ({"series": "a", "time": [1], "value": [1.0, 2.0]}, r"not equally long: \[1, 2\]"),
        ({"series": "a", "time": 1, "value": [1.0]}, "'time' is 1, not an array"),
        ({"series": "a", "time": [1.5], "value": [1.0]}, "'time' is double, not a time"),
        ({"series": "a", "time": ["2024-01-01"], "value": [1.0]}, "'time' is string, not a time"),
        ({"series": "a", "time": [2**70], "value": [1.0]}, "'time' cannot be read as an Arrow array"),
        ({"series": "a", "time": [1], "value": [[1.0]]}, "'value' is list<item: double>, not a number"),
        ({"series": "a", "time": [1], "value": np.ones((1, 2))}, "'value' cannot be read as an Arrow array"),
        ({"series": "a", "time": [1], "value": [object()]}, "'value' cannot be read as an Arrow array"),
        (
            {"series": [[1]], "time": [1], "value": [1.0]},
            "'series' is list<item: int64>, which gives no series keys",
        ),
        (
            {"series": [b"\xff"], "time": [1], "value": [1.0]},
            "'series' is binary, which gives no series keys",
        ),
        ({"series": "\ud800", "time": [1], "value": [1.0]}, "'series' cannot be read as an Arrow array"),
        (
            pa.table([["a"], [1], [1.0], [2.0]], names=["series", "time", "value", "value"]),
            "more than one column 'value'",
        ),
    ],
)
def test_what_cannot_be_readings_is_refused_with_a_reason(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_rows(data, NAMES))


def test_arrays_that_are_filled_anew_between_writes_are_stored_as_they_were(tmp_path: Path) -> None:
    times, values = np.zeros(1000, np.int64), np.zeros(1000)
    floats = np.zeros(1000, np.float32)
    with sd.open(tmp_path / "s") as store:
        with store.writer() as writer:
            for day in range(3):
                times[:], values[:], floats[:] = np.arange(1000) + day * 1000, day, day
                writer.write({"series": "a", "time": times, "value": values})
                writer.write({"series": "b", "time": times, "value": floats})
                writer.write({"series": ["c"] * 1000, "time": times, "value": values})
        result = store.query().to_arrow()
    assert result["value"].to_pylist() == sorted([0.0, 1.0, 2.0] * 1000) * 3
    assert result["time"].cast(pa.int64()).to_pylist() == list(range(3000)) * 3


def test_a_stream_that_fails_half_way_stores_nothing(tmp_path: Path) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from plain_arrow().to_batches()
        raise OSError("the network is down")

    with sd.open(tmp_path / "s") as store:
        reader = pa.RecordBatchReader.from_batches(plain_arrow().schema, batches())
        with pytest.raises(OSError, match="the network is down"):
            store.write(reader)
        assert store.info().readings == store.info().series == 0
        assert store.write(plain_arrow()).stored == 3
