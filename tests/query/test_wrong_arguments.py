"""Every parameter of every public method is given what it cannot want.

A call gives a result or one of our own errors, never one of Python's, NumPy's, Arrow's or SQLite's; and
whatever it was given, no reading goes that it was not for.
"""

import contextlib
import inspect
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import smartdata_ts as sd
from smartdata_ts.errors import SmartDataError

HOUR = 3_600_000_000
START = 1_717_200_000_000_000  # 2024-06-01
ODD: dict[str, Any] = {
    "None": None,
    "empty text": "",
    "blank": " ",
    "NUL": "wm-1\0x",
    "half a character": "\ud800",
    "a zone misspelt": "Europe/Olso",
    "digits": "5",
    "long": "x" * 300,
    "bytes": b"wm-1",
    "empty list": [],
    "empty tuple": (),
    "empty mapping": {},
    "empty array": np.array([]),
    "array of no dimension": np.array("wm-1"),
    "array of two": np.array([["wm-1"]]),
    "empty generator": (),  # made anew for each call
    "list of an empty text": [""],
    "list of None": [None],
    "list of lists": [[]],
    "mapping": {"wm-1": "wm-1"},
    "mapping of None": {None: None},
    "object": object(),
    "type": int,
    "function": len,
    "NaN": float("nan"),
    "NumPy NaN": np.float64("nan"),
    "pandas NA": pd.NA,
    "pandas NaT": pd.NaT,
    "NumPy NaT": np.datetime64("NaT", "us"),
    "Arrow null": pa.scalar(None, pa.int64()),
    "infinity": float("inf"),
    "minus one": -1,
    "half": 0.5,
    "seconds": 1_717_200_000,
    "nanoseconds": START * 1_000,
    "huge": 10**40,
    "minus huge": -(10**40),
    "true": True,
    "complex": 1j,
    "frame": pd.DataFrame({"wm-1": [1.0]}),
}
# What a call needs besides the odd value, by method; a method that needs something and is not here fails.
NEEDED: dict[str, dict[str, Any]] = {
    "aggregate": {"how": "sum"},
    "align": {"every": "1h"},
    "backup": {"target": "backup"},
    "changes": {"since": 0},
    "delete": {"series": "wm-1"},
    "describe": {"series": "wm-1"},
    "erase": {"series": "wm-1"},
    "exchange": {"series": "wm-1", "at": "2024-06-01T01:30", "final": 3.0},
    "fill": {"method": "linear"},
    "keep_history": {"horizon": "forever"},
    "open": {"path": "store"},
    "release": {"name": "kept"},
    "resample": {"every": "1h", "aggregates": "sum"},
    "rolling": {"width": "2h"},
    "set_retention": {"rules": []},
    "snapshot": {"name": "new"},
    "split_by_series": {"part_count": 2},
    "tags_by_key": {"name": "zone"},
    "write": {"data": {"series": ["wm-1"], "time": [START + 10 * HOUR], "value": [9.0]}},
    "zone_balance": {"inlet": "wm-1", "members": ["wm-2"]},
}
# Steps that must stand before a step.
BEFORE: dict[str, Callable[[Any], Any]] = {"aggregate": lambda query: query.resample("1h", ["sum", "count"])}
# Of these the queries of a store make use, not its users.
INTERNAL = ("pin", "writing_catalog")
# What may take from "wm-1", which alone is named; nothing takes from "wm-2".
REMOVES = ("delete", "erase", "write")


def public(kind: type) -> list[Any]:
    """(method, parameter) of every public method."""
    methods = [name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")]
    return [(m, p) for m in methods if m not in INTERNAL for p in parameters(getattr(kind, m))]


def parameters(method: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(method).parameters if name != "self"]


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small store; it is closed, so that a copy of its folder is a store."""
    folder = tmp_path_factory.mktemp("pattern") / "city.sdts"
    with sd.open(folder) as store:
        for key, zone in (("wm-1", "north"), ("wm-2", "south")):
            store.describe(key, quantity="water", unit="m3", kind="register", tags={"zone": zone})
            times = [START + k * HOUR for k in range(6)]
            store.write({"series": key, "time": times, "value": [float(k) for k in range(6)]})
        store.snapshot("kept")
    return folder


@pytest.fixture
def store(pattern: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sd.Store]:
    monkeypatch.chdir(tmp_path)  # a relative path is as good as any other
    shutil.copytree(pattern, tmp_path / "city.sdts")
    with sd.open(tmp_path / "city.sdts") as opened:
        yield opened


def odd_values() -> Iterator[tuple[str, Any]]:
    for name, value in ODD.items():
        yield name, (k for k in ()) if name == "empty generator" else value


def readings(store: sd.Store, key: str) -> list[tuple[Any, ...]]:
    table = store.query().to_arrow()
    rows = table.filter(pc.equal(table["series"].cast(pa.string()), key))
    times = rows["time"].cast(pa.int64()).to_pylist()
    return list(zip(times, rows["value"].to_pylist(), rows["quality"].to_pylist(), strict=True))


def write_again(store: sd.Store, rows: list[tuple[Any, ...]]) -> None:
    """Let "wm-1" have these readings and no others."""
    if "wm-1" in store.series()["series"].to_pylist():
        store.delete("wm-1")
    store.write({"series": "wm-1", "time": [row[0] for row in rows], "value": [row[1] for row in rows]})


def outcome(call: Callable[[], Any]) -> str | None:
    """None where the call gives a result or one of our errors, which says something; else what it raised."""
    try:
        result = call()
        if isinstance(result, sd.Query):
            result.to_arrow()
        if isinstance(result, pa.RecordBatchReader):
            result.read_all()
        if isinstance(result, sd.Writer):
            with result:
                pass
    except SmartDataError as problem:
        message = str(problem)
        return None if 10 < len(message) < 2_000 else f"says {message[:50]!r}, {len(message)} characters"
    except Exception as problem:
        return f"{type(problem).__name__}: {str(problem)[:100]}"
    return None


def is_refused(call: Callable[[], Any]) -> bool:
    try:
        call()
    except SmartDataError:
        return True
    return False


@pytest.mark.filterwarnings("ignore::smartdata_ts.errors.DamageWarning")
@pytest.mark.parametrize(("method", "parameter"), public(sd.Store))
def test_a_store_takes_or_refuses_what_it_is_given(store: sd.Store, method: str, parameter: str) -> None:
    others, own = readings(store, "wm-2"), readings(store, "wm-1")
    faults = []
    for name, odd in odd_values():
        arguments = {**NEEDED.get(method, {}), parameter: odd}
        fault = outcome(lambda: getattr(store, method)(**arguments))  # noqa: B023 - called at once
        if fault is not None:
            faults.append(f"{method}({parameter}={name}): {fault}")
        assert readings(store, "wm-2") == others, f"{method}({parameter}={name}) took what it was not for"
        if method in REMOVES:
            write_again(store, own)
        else:
            assert readings(store, "wm-1") == own, f"{method}({parameter}={name}) removed readings"
        with contextlib.suppress(SmartDataError):
            store.snapshot("kept")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("method", ["delete", "erase"])
@pytest.mark.parametrize("name", [name for name, value in ODD.items() if value is not True])
def test_what_removes_takes_nothing_that_names_no_series(store: sd.Store, method: str, name: str) -> None:
    odd = dict(odd_values())[name]
    assert is_refused(lambda: getattr(store, method)(odd))
    assert is_refused(lambda: getattr(store, method)(everything=odd))
    assert len(readings(store, "wm-1")) == len(readings(store, "wm-2")) == 6


@pytest.mark.filterwarnings("ignore::smartdata_ts.errors.DamageWarning")
@pytest.mark.parametrize(("method", "parameter"), public(sd.Query))
def test_a_query_takes_or_refuses_what_it_is_given(store: sd.Store, method: str, parameter: str) -> None:
    faults = []
    for name, odd in odd_values():
        query = BEFORE.get(method, lambda query: query)(store.query())
        of_store = {"join_asof": {"other": store.query("wm-1")}, "from_json": {"store": store, "text": "{}"}}
        needed = of_store.get(method, NEEDED.get(method, {}))
        arguments = {**needed, parameter: odd}
        fault = outcome(lambda: getattr(query, method)(**arguments))  # noqa: B023 - called at once
        if fault is not None:
            faults.append(f"{method}({parameter}={name}): {fault}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("parameter", parameters(sd.open))
def test_open_takes_or_refuses_what_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameter: str
) -> None:
    monkeypatch.chdir(tmp_path)
    faults = []
    for name, odd in odd_values():
        arguments = {"path": f"store {name}", parameter: odd}
        fault = outcome(lambda: sd.open(**arguments).close())  # type: ignore[arg-type]  # noqa: B023
        if fault is not None:
            faults.append(f"open({parameter}={name}): {fault}")
    assert not faults, "\n".join(faults)
    assert not (tmp_path / "catalog.sqlite").exists(), "an empty path made a store of the folder"
