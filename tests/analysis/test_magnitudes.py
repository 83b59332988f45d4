"""Suspected factors of a thousand, told of on import."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.command_line import run

import smartdata_ts as sd
from smartdata_ts.formats import import_file

HOUR = 3_600_000_000
START = 1_700_000_000_000_000
FACTS = {"quantity": "water", "unit": "m3"}


def file_of(folder, values, first_hour=0):
    """A file of hourly series: key -> values."""
    parts = []
    for key, own in values.items():
        times = START + (first_hour + np.arange(len(own))) * HOUR
        columns = {"series": [key] * len(own), "time": pa.array(times, pa.timestamp("us", "UTC"))}
        parts.append(pa.table({**columns, "value": np.asarray(own, float)}))
    path = folder / "readings.parquet"
    pq.write_table(pa.concat_tables(parts), path)
    return path


def register(per_hour, count=240, level=0.0):
    """What a register shows that counts so much an hour, unevenly."""
    return level + per_hour * np.random.default_rng(int(per_hour * 1e4)).random(count).cumsum() * 2


@pytest.fixture
def store(tmp_path):
    with sd.open(tmp_path / "s") as store:
        yield store


@pytest.mark.parametrize(("factor", "words"), [(1000, "some 1000 times"), (0.001, "about a thousandth of")])
@pytest.mark.parametrize("kind", ["register", "interval", "gauge"])
def test_a_series_that_is_no_more_what_it_was(store, tmp_path, kind, factor, words):
    def values(level):
        own = register(0.02, level=level)
        return own if kind == "register" else np.abs(np.sin(own)) + 0.1

    first = import_file(store, file_of(tmp_path, {"a": values(500), "b": values(900)}), kind=kind, **FACTS)
    assert first.notices == ()
    later = {"a": values(510) * factor, "b": values(910)}
    (notice,) = import_file(store, file_of(tmp_path, later, 240), kind=kind, **FACTS).notices
    assert re.fullmatch(
        rf"1 series is {words} what it was before, such as 'a': .*; is the unit still m3\?", notice
    )


def test_corrections_of_the_same_span_are_compared_with_what_stood(store, tmp_path):
    values = np.random.default_rng(1).random(48) + 0.2
    assert import_file(store, file_of(tmp_path, {"a": values}), kind="gauge").notices == ()
    (notice,) = import_file(store, file_of(tmp_path, {"a": values * 1000})).notices
    assert notice.endswith("is the unit still the same?")


def test_new_series_are_compared_with_others_of_their_unit(store, tmp_path):
    peers = {f"p{k}": register(0.01 * (k + 1)) for k in range(4)}
    assert import_file(store, file_of(tmp_path, peers), kind="register", **FACTS).notices == ()
    litres = {f"n{k}": register(20.0 * (k + 1)) for k in range(3)}
    (notice,) = import_file(store, file_of(tmp_path, litres), kind="register", **FACTS).notices
    assert re.fullmatch(
        r"3 series are some 1000 times what 4 others of water in m3 are: .* against .*; is the unit m3\?",
        notice,
    )
    said = {f"l{k}": register(20.0 * (k + 1)) for k in range(3)}
    assert (
        import_file(store, file_of(tmp_path, said), kind="register", quantity="water", unit="L").notices == ()
    )


def test_what_is_not_suspect_is_not_told_of(store, tmp_path):
    values = {"a": register(0.02), "b": register(0.02), "zero": np.zeros(48), "nan": np.full(48, np.nan)}
    import_file(store, file_of(tmp_path, values), kind="register", **FACTS)
    for factor in (1, 3, 100, 1e5):  # growth, a leak, another fault than that of a unit
        later = {"a": register(0.02 * factor, level=100), "zero": np.ones(48), "c": register(20.0)}
        report = import_file(store, file_of(tmp_path, later, 240), kind="register", **FACTS)
        assert [notice for notice in report.notices if "before" in notice] == []
        store.delete(["a", "c"], start=np.datetime64(START + 240 * HOUR, "us"))
    again = import_file(store, file_of(tmp_path, {"b": register(0.02)}))
    assert (again.stored, again.notices) == (0, ())


def test_wrong_times_are_no_span(store, tmp_path):
    table = pa.table(
        {"series": ["a"], "time": pa.array([2**62 + 1], pa.timestamp("us", "UTC")), "value": [1.0]}
    )
    pq.write_table(table, tmp_path / "far.parquet")
    assert import_file(store, tmp_path / "far.parquet", **FACTS).notices == ()


def test_the_command_line_says_so(store, tmp_path):
    import_file(store, file_of(tmp_path, {"a": register(0.02, level=50)}), kind="register", **FACTS)
    path = file_of(tmp_path, {"a": register(20.0, level=5e4)}, 240)
    done = run("import", tmp_path / "s", path, "--report", "table")
    assert "1 series is some 1000 times what it was before" in " ".join(done.out.split())
    store.delete("a", start=np.datetime64(START + 240 * HOUR, "us"))
    assert "1 series is some 1000 times" in run("import", tmp_path / "s", path, "--report", "csv").out
