"""What names no series removes nothing; all of a store is said in so many words."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from support.command_line import run

import smartdata_ts as sd
from smartdata_ts.errors import UnknownSeriesError, UsageError

NOTHING: dict[str, Any] = {
    "None": None,
    "empty list": [],
    "empty tuple": (),
    "empty set": set(),
    "empty text": "",
    "list of an empty text": [""],
    "an empty text among keys": ["a", ""],
    "list of None": [None],
    "a missing key among keys": ["a", None],
    "empty array": np.array([]),
    "empty array of texts": np.array([], "U4"),
    "empty Arrow array": pa.array([], pa.string()),
    "null of Arrow": pa.scalar(None, pa.string()),
    "empty column of pandas": pd.Series([], dtype=str),
    "a missing key of pandas": pd.Series(["a", None]),
    "pandas NA": pd.NA,
    "NaN": float("nan"),
    "empty mapping": {},
    "tags": {"zone": "north"},
    "bytes": b"a",
    "number": 7,
    "flag": True,
    "frame": pd.DataFrame({"a": [1.0]}),
    "array of no dimension": np.array("a"),
}
KEYS = {
    "text": "a",
    "list": ["a"],
    "tuple": ("a",),
    "the same twice": ["a", "a"],
    "set": {"a"},
    "keys of a mapping": {"a": 1}.keys(),
    "NumPy text": np.str_("a"),
    "array": np.array(["a"]),
    "Arrow text": pa.scalar("a"),
    "Arrow array": pa.array(["a"]),
    "Arrow dictionary": pa.array(["a"]).dictionary_encode(),
    "Arrow column": pa.table({"k": ["a"]})["k"],
    "pandas": pd.Series(["a"]),
    "pandas category": pd.Series(["a"], dtype="category"),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sd.Store]:
    with sd.open(tmp_path / "s") as opened:
        for key in ("a", "b"):
            opened.describe(key, unit="m3", kind="register", tags={"zone": "north"})
            opened.write({"series": key, "time": [0, 3_600_000_000], "value": [1.0, 2.0]})
        yield opened


def counts(store: sd.Store) -> dict[str, int]:
    keys = store.query().to_arrow()["series"].to_pylist()
    return {key: keys.count(key) for key in sorted(set(keys))}


@pytest.mark.parametrize("method", ["delete", "erase"])
@pytest.mark.parametrize("name", NOTHING)
def test_what_names_no_series_removes_nothing(store: sd.Store, method: str, name: str) -> None:
    with pytest.raises(UsageError, match="key"):
        getattr(store, method)(NOTHING[name])
    assert counts(store) == {"a": 2, "b": 2}
    assert store.info().commit == 2


@pytest.mark.parametrize("method", ["delete", "erase"])
def test_an_empty_generator_removes_nothing(store: sd.Store, method: str) -> None:
    with pytest.raises(UsageError, match="names none"):
        getattr(store, method)(key for key in ("a", "b") if key > "c")
    assert counts(store) == {"a": 2, "b": 2}


@pytest.mark.parametrize("method", ["delete", "erase"])
def test_no_argument_at_all_removes_nothing_and_tells_of_everything(store: sd.Store, method: str) -> None:
    with pytest.raises(UsageError, match="everything=True"):
        getattr(store, method)()
    assert counts(store) == {"a": 2, "b": 2}


@pytest.mark.parametrize("method", ["delete", "erase"])
@pytest.mark.parametrize("key", ["a\0", "a\0x"])
def test_a_key_is_not_cut_where_a_nul_stands_in_it(store: sd.Store, method: str, key: str) -> None:
    with pytest.raises(UsageError, match="a key or a list of keys"):
        getattr(store, method)(key)
    with pytest.raises(UsageError):
        store.query(key)
    assert counts(store) == {"a": 2, "b": 2}


@pytest.mark.parametrize("method", ["delete", "erase"])
@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_any_library_name_their_series(store: sd.Store, method: str, kind: str) -> None:
    assert store.query(KEYS[kind]).to_arrow().num_rows == 2
    assert getattr(store, method)(KEYS[kind]).readings == 2
    assert counts(store) == {"b": 2}


@pytest.mark.parametrize("method", ["delete", "erase"])
def test_everything_is_said_in_words(store: sd.Store, method: str) -> None:
    for wrong in ("True", "", None, [], [1], 2, 0.0):
        with pytest.raises(UsageError, match="everything must be True or False"):
            getattr(store, method)(everything=wrong)
    with pytest.raises(UsageError, match="not both"):
        getattr(store, method)("a", everything=True)
    with pytest.raises(UsageError, match="everything=True"):
        getattr(store, method)(everything=False)
    assert counts(store) == {"a": 2, "b": 2}
    assert getattr(store, method)(everything=True).readings == 4
    assert counts(store) == {}
    assert store.info().series == (2 if method == "delete" else 0)
    assert getattr(store, method)(everything=True).readings == 0


def test_everything_of_a_span_is_deleted(store: sd.Store) -> None:
    assert store.delete(everything=True, end="1970-01-01T00:30").readings == 2
    assert store.query().to_arrow()["value"].to_pylist() == [2.0, 2.0]


def test_a_deletion_of_an_empty_or_backward_span_deletes_nothing(store: sd.Store) -> None:
    assert store.delete("a", start=0, end=0).readings == 0
    assert store.delete("a", end=-(2**63)).readings == 0
    with pytest.raises(UsageError, match="ends before it starts"):
        store.delete("a", start="1970-01-02", end="1970-01-01")
    with pytest.raises(UsageError, match="in seconds"):
        store.delete("a", start=1_717_200_000)
    assert counts(store) == {"a": 2, "b": 2}


def test_a_query_of_no_keys_has_no_rows_and_none_is_all(store: sd.Store) -> None:
    for nothing in ([], (), np.array([], "U1"), pa.array([], pa.string())):
        assert store.query(nothing).to_arrow().num_rows == 0
    assert store.query(None).to_arrow().num_rows == 4
    with pytest.raises(UnknownSeriesError):
        store.query("").to_arrow()
    for wrong in ([None], float("nan"), {"zone": "north"}, pd.NA, pd.DataFrame({"a": [1.0]})):
        with pytest.raises(UsageError, match="a key or a list of keys"):
            store.query(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", ["inlet", "members", "outlet"])
@pytest.mark.parametrize("nothing", [[], (), "", [""], {}, {"zone": []}, [None], float("nan")])
def test_a_side_of_a_balance_names_something(store: sd.Store, side: str, nothing: Any) -> None:
    store.write({"series": "c", "time": [0], "value": [1.0]})
    sides = {"inlet": "a", "members": "b", "outlet": "c", side: nothing}
    with pytest.raises(UsageError):
        store.zone_balance(**sides)


@pytest.mark.parametrize("side", ["inlet", "members"])
def test_a_balance_needs_an_inlet_and_members(store: sd.Store, side: str) -> None:
    with pytest.raises(UsageError, match=f"keys or tags of its {side}; None names none"):
        store.zone_balance(**{"inlet": "a", "members": "b", side: None})  # type: ignore[arg-type]
    assert store.zone_balance("a", "b", outlet=None).num_rows == 1


@pytest.mark.parametrize(
    "selection",
    [
        *({"series": ""}, {"quantity": ""}, {"series": ["a"]}, {"series": 5}, {"tags": {"zone": []}}),
        *(
            {"tags": {"": "x"}},
            {"tags": {"zone": None}},
            {"tags": {"zone": 5}},
            {"tags": ["zone"]},
            {"tags": ""},
        ),
    ],
)
def test_a_rule_of_retention_that_names_nothing_is_none(store: sd.Store, selection: dict[str, Any]) -> None:
    before = [{"keep": {"raw": "forever"}}]
    store.set_retention(before)
    with pytest.raises(UsageError, match="rule 1"):
        store.set_retention([{**selection, "keep": {"raw": "1d"}}])
    assert json.dumps(store.retention()[0]["keep"]) == '{"raw": "forever"}'


@pytest.mark.parametrize("name", ["", None, [], 5, float("nan"), b"x", "a\0b"])
def test_a_snapshot_has_a_name(store: sd.Store, name: Any) -> None:
    store.snapshot("kept")
    for call in (store.snapshot, store.release):
        with pytest.raises(UsageError, match="the name of a snapshot"):
            call(name)
    assert store.snapshots()["name"].to_pylist() == ["kept"]


@pytest.mark.parametrize("note", [5, 1.5, [], {}, b"x", float("nan"), object(), "a\0b", "\ud800"])
def test_a_note_that_is_no_text_leaves_the_store_readable(store: sd.Store, tmp_path: Path, note: Any) -> None:
    row = {"series": "a", "time": [5], "value": [1.0]}
    for call in (
        lambda: store.write(row, note=note),
        lambda: store.delete("a", note=note),
        lambda: store.snapshot("s", note=note),
    ):
        with pytest.raises(UsageError, match="note must be a text"):
            call()
    with sd.open(tmp_path / "s", mode="r") as again:
        assert again.commits().num_rows == 2
        assert counts(again) == {"a": 2, "b": 2}


@pytest.mark.parametrize("command", ["delete", "erase"])
def test_the_command_line_names_series_or_everything(store: sd.Store, tmp_path: Path, command: str) -> None:
    sure = ["--yes"] if command == "erase" else []
    for wrong in ([], [""], ["a", ""], ["a", "--everything"], ["", "--everything"]):
        failed = run(command, tmp_path / "s", *wrong, *sure)
        assert (failed.status, failed.err.count("\n")) == (2, 1), failed
        assert counts(store) == {"a": 2, "b": 2}
    assert run(command, tmp_path / "s", "a", *sure).status == 0
    assert counts(store) == {"b": 2}
    assert run(command, tmp_path / "s", "--everything", *sure).status == 0
    assert counts(store) == {}
