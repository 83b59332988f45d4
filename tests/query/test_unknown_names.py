"""Names that nothing has: of tags, of zones; each is an error with what there is, and never no rows."""

import math
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import UTC
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from support.command_line import run

import smartdata_ts as sd
from smartdata_ts.errors import UnknownTimeZoneError, UsageError
from smartdata_ts.formats import import_file

HOUR = 3_600_000_000
DAY = 24 * HOUR
OSLO = "Europe/Oslo"
WRONG_ZONES = [None, "", "Europe/Olso", 5, [], b"UTC", float("nan"), {}]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sd.Store]:
    with sd.open(tmp_path / "s") as opened:
        for key, zone in (("in", "border"), ("a", "north"), ("b", "south")):
            opened.describe(key, unit="m3", kind="register", tags={"zone": zone, "use": "home"})
        opened.describe("plain", unit="m3", kind="register")
        for key in ("in", "a", "b", "plain"):
            hours = [k * HOUR for k in range(25)]
            opened.write({"series": key, "time": hours, "value": [float(k) for k in range(25)]})
        yield opened


def days(query: sd.Query) -> sd.Query:
    return query.consumption().resample("1d", "sum")


# Every way to name a tag.
BY_TAG: dict[str, Callable[[sd.Store, str, str], Any]] = {
    "query": lambda store, name, value: store.query(tags={name: value}).to_arrow(),
    "query of several": lambda store, name, value: store.query(
        tags={name: [value, "north"], "use": "home"}
    ).to_arrow(),
    "query of keys": lambda store, name, value: store.query(["a", "b"], tags={name: value}).to_arrow(),
    "query of the past": lambda store, name, value: store.query(tags={name: value}, as_of=3).to_arrow(),
    "last": lambda store, name, value: store.query(tags={name: value}).last().to_arrow(),
    "buckets": lambda store, name, value: store.query(tags={name: value}).resample("1d", "max").to_arrow(),
    "wide": lambda store, name, value: store.query(tags={name: value}).to_arrow(wide=True),
    "batches": lambda store, name, value: store.query(tags={name: value}).to_batches().read_all(),
    "losses": lambda store, name, value: store.query(tags={name: value}).losses(),
    "skip": lambda store, name, value: store.query(tags={name: value}, on_corrupt="skip").to_arrow(),
    "infer_exchanges": lambda store, name, value: store.infer_exchanges(tags={name: value}),
    "inlet": lambda store, name, value: store.zone_balance({name: value}, "b"),
    "members": lambda store, name, value: store.zone_balance("in", {name: value}),
    "outlet": lambda store, name, value: store.zone_balance("in", "b", outlet={name: value}),
    "tags_by_key": lambda store, name, value: store.query(tags={name: value}).tags_by_key("zone"),
}
BY_NAME: dict[str, Callable[[sd.Store, str], Any]] = {
    "aggregate": lambda store, name: days(store.query()).aggregate("sum", by=name).to_arrow(),
    "aggregate of several": lambda store, name: (
        days(store.query()).aggregate("sum", by=["use", name]).to_arrow()
    ),
    "aggregate of none": lambda store, name: days(store.query([])).aggregate("sum", by=name).to_arrow(),
    "aggregate of plain readings": lambda store, name: (
        store.query().resample("1d", "max").aggregate("max", by=name).to_arrow()
    ),
    "join": lambda store, name: store.query(["a"]).join_asof(store.query(["b"]), by=name).to_arrow(),
    "tags_by_key": lambda store, name: store.query().tags_by_key(name),
}


@pytest.mark.parametrize("way", BY_TAG)
def test_a_tag_that_no_series_has_is_an_error_with_those_there_are(store: sd.Store, way: str) -> None:
    for _ in range(2):  # what is remembered of a selection is no other answer
        with pytest.raises(UsageError, match=r"'zoen' \(did you mean 'zone'\?\); there are use, zone"):
            BY_TAG[way](store, "zoen", "north")


@pytest.mark.parametrize("way", BY_TAG)
def test_a_value_that_no_series_has_gives_no_rows(store: sd.Store, way: str) -> None:
    BY_TAG[way](store, "zone", "nowhere")
    assert store.query(tags={"zone": "nowhere"}).to_arrow().num_rows == 0


@pytest.mark.parametrize("way", BY_NAME)
def test_a_tag_to_group_by_is_known(store: sd.Store, way: str) -> None:
    for _ in range(2):
        with pytest.raises(UsageError, match=r"'zoen' \(did you mean 'zone'\?\); there are use, zone"):
            BY_NAME[way](store, "zoen")
    BY_NAME[way](store, "zone")


def test_a_tag_that_others_have_groups_those_without_it(store: sd.Store) -> None:
    found = days(store.query("plain")).aggregate("sum", by="zone").to_arrow()
    assert found["zone"].to_pylist() == [None] * found.num_rows
    assert store.query("plain").tags_by_key("zone") == {"plain": None}


@pytest.mark.parametrize("way", [*BY_TAG, *BY_NAME])
def test_an_empty_store_knows_no_wrong_name(tmp_path: Path, way: str) -> None:
    with sd.open(tmp_path / "empty") as store:
        if way in BY_TAG and way not in ("inlet", "members", "outlet", "query of the past"):
            BY_TAG[way](store, "zoen", "north")
        elif way in BY_NAME and way != "join":
            BY_NAME[way](store, "zoen")


def test_series_without_any_tags_say_so(tmp_path: Path) -> None:
    with sd.open(tmp_path / "plain") as store:
        store.write({"series": "a", "time": [0], "value": [1.0]})
        with pytest.raises(UsageError, match="no series of the store has a tag 'zone', nor any other"):
            store.query(tags={"zone": "north"}).to_arrow()


def test_the_name_is_looked_up_when_the_query_is_run(store: sd.Store) -> None:
    query = store.query(tags={"owner": "town"})
    again = pickle.loads(pickle.dumps(query))
    for each in (query, again):
        with pytest.raises(UsageError, match="no series of the store has a tag 'owner'"):
            each.to_arrow()
    store.describe("a", tags={"owner": "town"})
    for each in (query, again):
        assert each.to_arrow().num_rows == 25
    store.erase("a")
    with pytest.raises(UsageError, match="no series of the store has a tag 'owner'"):
        query.to_arrow()


def test_rules_of_retention_may_name_tags_to_come(store: sd.Store) -> None:
    store.set_retention([{"tags": {"owner": "town"}, "keep": {"raw": "1d"}}])
    assert store.apply_retention().readings_removed == 0


# Every way to name a zone.
BY_ZONE: dict[str, Callable[[sd.Store, Any], Any]] = {
    "query": lambda store, tz: store.query(tz=tz),
    "query with an offset": lambda store, tz: store.query(start="1970-01-01T00:00Z", tz=tz),
    "delete": lambda store, tz: store.delete("plain", start=0, end=0, tz=tz),
    "exchange": lambda store, tz: store.exchange("a", "1970-01-01T05:30Z", final=5.5, tz=tz),
    "set_retention": lambda store, tz: store.set_retention([], tz),
    "a rule of retention": lambda store, tz: store.set_retention([{"tz": tz, "keep": {"raw": "9y"}}]),
    "apply_retention": lambda store, tz: store.apply_retention(dry_run=True, tz=tz),
    "zone_balance": lambda store, tz: store.zone_balance("in", "b", tz=tz),
}
BY_ZONE_OR_THE_QUERYS: dict[str, Callable[[sd.Store, Any], sd.Query]] = {
    "resample": lambda store, tz: store.query().resample("1d", "sum", tz=tz),
    "edges": lambda store, tz: store.query().resample(
        edges=["1970-01-01T00:00Z", "1970-01-02T00:00Z"], aggregates="sum", tz=tz
    ),
    "fill": lambda store, tz: store.query().fill("linear", tz=tz),
    "align": lambda store, tz: store.query().align("1h", tz=tz),
}


@pytest.mark.parametrize("tz", WRONG_ZONES, ids=repr)
@pytest.mark.parametrize("way", BY_ZONE)
def test_a_zone_is_checked_where_it_is_given(store: sd.Store, way: str, tz: object) -> None:
    message = "did you mean Europe/Oslo" if tz == "Europe/Olso" else "an IANA name"
    with pytest.raises(UnknownTimeZoneError, match=message):
        BY_ZONE[way](store, tz)


@pytest.mark.parametrize("tz", WRONG_ZONES[1:], ids=repr)
@pytest.mark.parametrize("way", BY_ZONE_OR_THE_QUERYS)
def test_a_zone_of_a_step_is_checked_where_it_is_given(store: sd.Store, way: str, tz: object) -> None:
    with pytest.raises(UnknownTimeZoneError):
        BY_ZONE_OR_THE_QUERYS[way](store, tz)


@pytest.mark.parametrize("way", [*BY_ZONE, *BY_ZONE_OR_THE_QUERYS])
def test_a_zone_may_be_an_object(store: sd.Store, way: str) -> None:
    call = {**BY_ZONE, **BY_ZONE_OR_THE_QUERYS}[way]
    if isinstance(named := call(store, OSLO), sd.Query):
        assert call(store, ZoneInfo(OSLO)) == named
        assert call(store, UTC) == call(store, "UTC")
        assert call(store, ZoneInfo(OSLO)).to_arrow() == named.to_arrow()
        assert pickle.loads(pickle.dumps(call(store, ZoneInfo(OSLO)))).tz == named.tz
    else:
        call(store, ZoneInfo(OSLO))
        call(store, UTC)


def test_the_zone_of_rules_is_kept_by_its_name(store: sd.Store) -> None:
    store.set_retention([{"keep": {"raw": "9y", "1d": "forever"}}], ZoneInfo(OSLO))
    assert store.retention()[0]["tz"] == OSLO


def test_the_zone_of_a_file_may_be_an_object_and_is_checked(store: sd.Store, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("series,time,value\nnew,2024-06-01T00:00,1.0\nnew,2024-06-01T01:00,2.0\n")
    for tz in ("Europe/Olso", "", 5, [], b"UTC"):
        with pytest.raises(UnknownTimeZoneError):
            import_file(store, path, tz=tz)
    import_file(store, path, tz=ZoneInfo(OSLO))
    assert store.query("new", start="2024-06-01", end="2024-06-01T00:30", tz=OSLO).to_arrow().num_rows == 1


def test_spans_that_end_before_they_start_are_refused(store: sd.Store) -> None:
    with pytest.raises(UsageError, match="start is '2025-02-01' and end is '2025-01-01'"):
        store.query(start="2025-02-01", end="2025-01-01")
    with pytest.raises(UsageError, match="ends before it starts"):
        store.zone_balance("in", "b", start="2025-02-01", end="2025-01-01")
    for query in (store.query(start=DAY, end=DAY), store.query(end=-(2**63)), store.query(end=0)):
        assert query.to_arrow().num_rows == query.last().to_arrow().num_rows == 0
        assert days(query).to_arrow().num_rows == 0


def test_what_info_says_of_times_is_a_span(tmp_path: Path) -> None:
    start = 1_717_200_000_000_000
    with sd.open(tmp_path / "s") as store:
        times = np.arange(5) * HOUR + start
        store.write({"series": "a", "time": times, "value": np.arange(5.0)})
        info = store.info()
        assert info.time_max is not None
        assert store.query(start=info.time_min, end=info.time_max).to_arrow().num_rows == 4
        assert store.query(start=np.int64(start), end=info.time_max + 1).to_arrow().num_rows == 5
        result = store.query().to_arrow()["time"]
        assert store.query(start=result[1], end=result[3]).to_arrow().num_rows == 2
        assert store.query().resample(edges=[start, times[2]], aggregates="count").to_arrow().num_rows == 1
        assert store.delete("a", times[3], info.time_max).readings == 1


@pytest.mark.parametrize(
    "timeout_s", [0, 5, 0.5, np.float32(5), np.int64(5), Fraction(1, 2), math.inf, 10**20]
)
def test_a_timeout_is_any_number_of_seconds(tmp_path: Path, timeout_s: Any) -> None:
    with sd.open(tmp_path / "s", timeout_s=timeout_s) as store:
        store.write({"series": "a", "time": [0], "value": [1.0]})
        thread = threading.Thread(target=store.write, args=({"series": "a", "time": [1], "value": [1.0]},))
        thread.start()
        thread.join()
        assert store.info().readings == 2


@pytest.mark.parametrize(
    "timeout_s", ["5", "", None, -1, -0.5, math.nan, True, [], b"5", 1j, np.timedelta64(5, "s")]
)
def test_a_timeout_that_is_no_number_is_refused(tmp_path: Path, timeout_s: Any) -> None:
    with pytest.raises(UsageError, match="timeout_s must be a number of 0 or more, not"):
        sd.open(tmp_path / "s", timeout_s=timeout_s)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("path", ["", None, 5, b"s", [], "a\0b", object()])
def test_a_path_that_is_none_opens_and_copies_nothing(
    store: sd.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for call in (sd.open, store.backup):
        with pytest.raises(UsageError, match="must be a path"):
            call(path)
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["read", "--tag", "zoen=north"], "did you mean 'zone'"),
        (["last", "--tag", "zoen=north"], "did you mean 'zone'"),
        (["series", "--tag", "zoen=north"], "did you mean 'zone'"),
        (
            ["resample", "--every", "1d", "-a", "max", "--across", "max", "--by", "zoen"],
            "did you mean 'zone'",
        ),
        (["balance", "--inlet", "in", "--member-tag", "zoen=north"], "did you mean 'zone'"),
        (["balance", "--inlet", "", "--member", "a"], "names none"),
        (["read", "--series", ""], "no series ''"),
        (["read", "--start", "2025-02-01", "--end", "2025-01-01"], "ends before it starts"),
        (["read", "--start", "1717200000"], "no ISO 8601 time"),
        (["delete", "a", "--start", "2025-02-01", "--end", "2025-01-01"], "ends before it starts"),
        (["delete", ""], "names none"),
        (["retention", "--rule", "series= raw=30d"], "series must be a text that is not empty"),
        *(
            ([*command, "--tz", "Europe/Olso"], "did you mean Europe/Oslo")
            for command in (
                *(["read"], ["last"], ["info"], ["commits"], ["changes", "--since", "0"], ["exchange"]),
                *(["delete", "a"], ["retention"], ["export", "out.csv"], ["resample", "--every", "1d"]),
                ["balance", "--inlet", "in", "--member", "a"],
            )
        ),
    ],
)
def test_the_command_line_tells_in_a_line(
    store: sd.Store, tmp_path: Path, arguments: list[str], message: str
) -> None:
    command, *rest = arguments
    ended = run(command, tmp_path / "s", *rest)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert message in ended.err
    assert store.info().readings == 100
