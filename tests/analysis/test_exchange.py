"""Meters that took another's place: the volume is that of all of them, whatever each was like."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smartdata_ts as sd
from smartdata_ts.errors import DataError, UnknownSeriesError

HOUR = 3_600_000_000


def test_an_exchange_conserves_the_volume(tmp_path):
    store = sd.open(tmp_path / "s")
    store.write({"series": "a", "time": [0, HOUR, 3 * HOUR], "value": [880.0, 881.0, 2.0]})
    assert store.query().consumption().to_arrow()["value"].to_pylist() == [1.0, None]
    store.exchange("a", "1970-01-01T02:00", final=883.5, initial=1.5, serial="K-1", multiplier=10)
    found = store.query().consumption().to_arrow()
    assert found["value"].to_pylist() == [1.0, 2.5, 5.0]
    assert [end.as_py().hour for end in found["end"]] == [1, 2, 3]
    assert store.exchanges().select(["series", "final", "initial", "serial"]).to_pylist() == [
        {"series": "a", "final": 883.5, "initial": 1.5, "serial": "K-1"}
    ]
    store.exchange("a", "1970-01-01T02:00", final=884.0)
    assert store.query().consumption().to_arrow()["value"].to_pylist() == [1.0, 3.0, 2.0]


def test_what_was_read_at_the_exchange_is_told_by_the_exchange(tmp_path):
    store = sd.open(tmp_path / "s")
    store.write({"series": "a", "time": [0, HOUR, 2 * HOUR], "value": [880.0, 0.0, 2.0]})
    store.exchange("a", datetime.datetime(1970, 1, 1, 1), final=881.0)
    assert store.query().consumption().to_arrow()["value"].to_pylist() == [1.0, 2.0]


def test_the_digits_and_the_multiplier_are_those_of_the_meter_in_place(tmp_path):
    store = sd.open(tmp_path / "s")
    store.describe("a", kind="register", register_digits=4, multiplier=2.0)
    values = [9_999.0, 1.0, 95.0, 3.0, 5.0]
    store.write({"series": "a", "time": np.array([0, 1, 3, 4, 5]) * HOUR, "value": values})
    store.exchange("a", "1970-01-01T02:00", final=2.0, initial=90.0, register_digits=2, multiplier=0.5)
    found = store.query().consumption().to_arrow()
    assert found["value"].to_pylist() == [4.0, 2.0, 2.5, 4.0, 1.0]
    assert found["event"].to_pylist() == [1, 0, 0, 1, 0]
    assert store.series()["multiplier"].to_pylist() == [2.0]


def test_amounts_of_intervals_are_multiplied_too(tmp_path):
    store = sd.open(tmp_path / "s")
    store.describe("pulses", kind="interval", interval="1h", multiplier=0.01)
    store.write({"series": "pulses", "time": [0, HOUR], "value": [100.0, 250.0]})
    assert store.query().consumption().to_arrow()["value"].to_pylist() == [1.0, 2.5]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.integers(0, 50), min_size=2, max_size=30),
    swaps=st.lists(st.floats(0.01, 0.99), max_size=3, unique=True),
    span=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_buckets_are_those_of_a_meter_that_was_never_exchanged(tmp_path_factory, steps, swaps, span):
    """One register, cut into several at instants between readings, gives the same amounts to 1 in 10^12."""
    store = sd.open(tmp_path_factory.mktemp("swaps") / "s")
    times = (np.arange(len(steps)) * HOUR * 0.7).astype(np.int64)
    whole = 1000.0 + np.cumsum(steps).astype(float)
    last = float(times[-1])
    cuts = sorted({int(last * swap) for swap in swaps} - set(times.tolist()))
    # At a cut the old register is where the straight line between its readings is, the new one at 7.
    at_cuts = np.interp(cuts, times, whole)
    meter = np.searchsorted(np.array(cuts, np.int64), times)
    bases = np.concatenate([[0.0], at_cuts - 7.0])
    store.write({"series": "whole", "time": times, "value": whole})
    store.write({"series": "parts", "time": times, "value": whole - bases[meter]})
    for k, cut in enumerate(cuts):
        at = np.datetime64(cut, "us")
        store.exchange("parts", at, final=at_cuts[k] - bases[k], initial=7.0)
    low, high = sorted(int(last * edge) for edge in span)
    for start, end in ((None, None), (low, high + 1)):
        edges = (
            {} if start is None else {"start": np.datetime64(start, "us"), "end": np.datetime64(end, "us")}
        )
        found = store.query(**edges).consumption().resample("30min", ["sum", "completeness"]).to_arrow()
        rows = found.to_pylist()
        one, other = ([row for row in rows if row["series"] == key] for key in ("whole", "parts"))
        assert [row["time"] for row in one] == [row["time"] for row in other]
        assert [row["sum"] for row in other] == pytest.approx([row["sum"] for row in one], rel=1e-9, abs=1e-9)
        assert [row["completeness"] for row in other] == pytest.approx([row["completeness"] for row in one])
    store.close()


def test_exchanges_in_bulk_and_back(tmp_path):
    store = sd.open(tmp_path / "s")
    store.describe(["a", "b"], kind="register")
    table = pa.table(
        {
            "series": ["a", "b", "a"],
            "time": ["2024-06-01T12:00", "2024-06-02", "2025-06-01"],
            "final": [1.5, 2, 3],
            "serial": ["K-1", None, "K-2"],
            "register_digits": [6, None, None],
        }
    )
    store.exchange(table, tz="Europe/Oslo")
    said = store.exchanges()
    assert said["series"].to_pylist() == ["a", "a", "b"]
    assert said["time"][0].as_py().isoformat() == "2024-06-01T10:00:00+00:00"
    assert said["initial"].to_pylist() == [0.0, 0.0, 0.0]
    store.exchange(said)
    assert store.exchanges() == said
    with pytest.raises(DataError, match="row 2: final must be a number, not None"):
        store.exchange(table.set_column(2, "final", pa.array([1.0, None, 2.0])))
    with pytest.raises(DataError, match="exchange of 'a' has no time"):
        store.exchange(table.drop_columns("time"))
    with pytest.raises(DataError, match="takes a series key or a table, not a int"):
        store.exchange(17)
    assert store.exchanges() == said


def test_exchanges_are_inferred_where_registers_reset(tmp_path):
    store = sd.open(tmp_path / "s")
    hours = np.arange(6) * HOUR
    store.describe("new", kind="register", multiplier=1000.0)
    store.write({"series": "new", "time": hours, "value": [500.0, 501.0, 502.0, 4.0, 5.0, 6.0]})
    store.write({"series": "used", "time": hours, "value": [500.0, 501.0, 502.0, 90.0, 91.0, 92.0]})
    store.write({"series": "sound", "time": hours, "value": [500.0, 501.0, 502.0, 503.0, 504.0, 505.0]})
    found = store.infer_exchanges()
    assert found.select(["series", "final", "initial", "last_value", "first_value"]).to_pylist() == [
        {"series": "new", "final": 502.0, "initial": 0.0, "last_value": 502.0, "first_value": 4.0},
        {"series": "used", "final": 502.0, "initial": 90.0, "last_value": 502.0, "first_value": 90.0},
    ]
    assert [time.as_py().minute for time in found["time"]] == [30, 30]
    assert store.infer_exchanges("sound").num_rows == 0
    store.exchange(found)
    assert store.infer_exchanges().num_rows == 0
    sums = store.query().consumption().resample("1d", "sum").to_arrow()
    assert sums["sum"].to_pylist() == [8000.0, 5.0, 4.0]


def test_what_cannot_be_an_exchange_is_told(tmp_path):
    store = sd.open(tmp_path / "s")
    store.describe("a", kind="register")
    with pytest.raises(DataError, match="final must be a number, not 'x'"):
        store.exchange("a", "2024-01-01", final="x")
    with pytest.raises(DataError, match="final must be a number, not nan"):
        store.exchange("a", "2024-01-01", final=float("nan"))
    with pytest.raises(DataError, match="register_digits must be a whole number"):
        store.exchange("a", "2024-01-01", final=1.0, register_digits=2.5)
    with pytest.raises(UnknownSeriesError, match="no series 'b'"):
        store.exchange("b", "2024-01-01", final=1.0)
    assert store.exchanges().num_rows == 0
