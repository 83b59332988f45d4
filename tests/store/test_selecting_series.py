"""Series and tags are listed and removed by tags and patterns; a store is opened only where it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import smartdata_ts as sd
from smartdata_ts.errors import StoreNotFoundError, UnknownSeriesError, UsageError

ZONES = {"wm-1": "north", "wm-2": "south", "WM-3": "north", "t-1": "south", "Ødegård*": "south"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sd.Store]:
    with sd.open(tmp_path / "s") as opened:
        for key, zone in ZONES.items():
            opened.describe(key, tags={"zone": zone})
        opened.describe("t-1", tags={"floor": "2"})
        for key in ZONES:
            opened.write({"series": key, "time": [0, 1], "value": [1.0, 2.0]})
        yield opened


def listed(store: sd.Store, **narrowed: object) -> list[str]:
    return store.series(**narrowed)["series"].to_pylist()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        (None, sorted(ZONES)),
        ("*", sorted(ZONES)),
        ("wm-*", ["wm-1", "wm-2"]),
        ("[wW][mM]-?", ["WM-3", "wm-1", "wm-2"]),
        ("Ødegård[*]", ["Ødegård*"]),
        ("wm-1", ["wm-1"]),
        ("wm", []),
    ],
)
def test_a_pattern_narrows_the_series_by_key(store: sd.Store, pattern: str | None, keys: list[str]) -> None:
    assert listed(store, pattern=pattern) == keys


def test_tags_narrow_the_series_and_a_pattern_within_them(store: sd.Store) -> None:
    assert listed(store, tags={"zone": "north"}) == ["WM-3", "wm-1"]
    assert listed(store, tags={"zone": ["north", "south"], "floor": "2"}) == ["t-1"]
    assert listed(store, tags={"zone": "north"}, pattern="w*") == ["wm-1"]
    assert listed(store, tags={"zone": "west"}) == []
    assert listed(store, tags={}) == sorted(ZONES)


@pytest.mark.parametrize(
    ("narrowed", "match"),
    [({"tags": {"zoen": "north"}}, "zoen"), ({"pattern": 3}, "pattern"), ({"tags": "zone"}, "tags must")],
)
def test_what_cannot_narrow_is_named(store: sd.Store, narrowed: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        listed(store, **narrowed)


def test_tags_are_counted_by_value(store: sd.Store) -> None:
    assert [tuple(row.values()) for row in store.tags().to_pylist()] == [
        ("floor", "2", 1),
        ("zone", "north", 2),
        ("zone", "south", 3),
    ]


def test_a_store_without_tags_lists_none(tmp_path: Path) -> None:
    with sd.open(tmp_path / "empty") as empty:
        assert empty.tags().num_rows == 0
        assert empty.tags().schema.names == ["name", "value", "series"]
        assert empty.series(tags={"zone": "north"}).num_rows == 0


@pytest.mark.parametrize("method", ["delete", "erase"])
def test_series_are_removed_by_tags(store: sd.Store, method: str) -> None:
    assert getattr(store, method)(tags={"zone": "north"}).readings == 4
    assert set(store.query().to_arrow()["series"].to_pylist()) == {"wm-2", "t-1", "Ødegård*"}
    assert getattr(store, method)(["t-1", "wm-2"], tags={"zone": "south", "floor": "2"}).readings == 2
    assert set(store.query().to_arrow()["series"].to_pylist()) == {"wm-2", "Ødegård*"}


@pytest.mark.parametrize("method", ["delete", "erase"])
@pytest.mark.parametrize("tags", [{}, {"zone": []}, {"zone": ""}, {"zone": "south", "floor": []}])
def test_tags_that_name_nothing_remove_nothing(store: sd.Store, method: str, tags: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="names none"):
        getattr(store, method)(tags=tags)
    with pytest.raises(UsageError, match="names none"):
        getattr(store, method)([], tags={"zone": "south"})
    with pytest.raises(UsageError, match="not both"):
        getattr(store, method)(tags=tags, everything=True)
    with pytest.raises(UsageError, match="zoen"):
        getattr(store, method)(tags={"zoen": "south"})
    assert store.query().to_arrow().num_rows == 2 * len(ZONES)


@pytest.mark.parametrize("method", ["delete", "erase"])
def test_a_value_that_no_series_has_removes_nothing(store: sd.Store, method: str) -> None:
    assert getattr(store, method)(tags={"zone": "west"}).readings == 0
    assert store.query().to_arrow().num_rows == 2 * len(ZONES)
    with pytest.raises(UnknownSeriesError):
        getattr(store, method)("wm-9")


def test_a_store_that_is_there_is_opened_to_read_and_write(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        sd.open(tmp_path / "s", "r+")
    assert not (tmp_path / "s").exists()
    with pytest.raises(StoreNotFoundError):
        sd.open(tmp_path, "r+")
    sd.open(tmp_path / "s").close()
    with sd.open(tmp_path / "s", "r+") as store:
        assert store.write({"series": "a", "time": [0], "value": [1.0]}).stored == 1
        assert "r+" in repr(store)
    for mode in ("rw", "w", "", None, b"r+"):
        with pytest.raises(UsageError, match="mode must be"):
            sd.open(tmp_path / "s", mode)  # type: ignore[arg-type]
