"""A query split by series or by time: the parts' results together are the whole, or the split is refused."""

import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from support.register_town import fill

import smartdata_ts as sd
from smartdata_ts.errors import UsageError

HOUR = 3_600_000_000
START = 1_700_000_000_000_000
SPANS = (
    {},
    {"start": START + 100 * HOUR},
    {"start": START + 100 * HOUR + 7, "end": START + 700 * HOUR},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sd.Store]:
    """Registers with rollovers, resets and gaps; and gauges that are read now and then."""
    rng = np.random.default_rng(5)
    with sd.open(tmp_path_factory.mktemp("split") / "city.sdts") as opened:
        fill(opened, rng)
        for key in ("t-1", "t-2"):
            times = START + np.sort(rng.choice(900 * 60, 600, replace=False)) * 60_000_000
            opened.describe(key, kind="gauge", tags={"zone": "north"})
            values = rng.integers(-80, 300, 600) / 8
            opened.write({"series": [key] * 600, "time": times, "value": values})
            if key == "t-1":
                opened.compact()
        yield opened


def rows(*parts: pa.Table) -> list[tuple[object, ...]]:
    """All rows, by series and time; numbers by their bits."""
    found = []
    for part in parts:
        columns = [column.to_pylist() for column in part.columns]
        found += [
            tuple(v.hex() if isinstance(v, float) else v for v in row) for row in zip(*columns, strict=True)
        ]
    return sorted(found, key=lambda row: (str(row[0]), row[1]))


def by_series(store: sd.Store, span: dict[str, object]) -> list[sd.Query]:
    query = store.query(tz="Europe/Oslo", **span)  # type: ignore[arg-type]
    gauges = store.query(["t-1", "t-2"], **span)  # type: ignore[arg-type]
    registers = store.query([key for key in keys_of(store) if key.startswith("wm")], **span)  # type: ignore[arg-type]
    return [
        query,
        query.last(),
        query.resample("1d", ["sum", "completeness", "estimated_share", "p95"]),
        gauges.fill("linear").resample("1h", "mean"),
        gauges.rolling("5h", ["mean", "median"]),
        gauges.difference(),
        gauges.hold("6h"),
        registers.consumption(),
        registers.consumption().resample("1d", ["sum", "completeness"]),
        registers.resample("1d", "last").join_asof(store.query("t-1"), "2d"),
    ]


def keys_of(store: sd.Store) -> list[str]:
    return [str(key) for key in store.series()["series"].to_pylist()]


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_some_series_at_a_time_are_all_of_them_in_turn(store: sd.Store, span: dict[str, object]) -> None:
    for query, count in zip(by_series(store, span), itertools.cycle((1, 3, 1000)), strict=False):
        parts = query.split_by_series(count, keys_of(store))
        whole = query.to_arrow()
        assert len(parts) <= count
        assert rows(*(part.to_arrow() for part in parts)) == rows(whole)
        assert [row[0] for part in parts for row in rows(part.to_arrow())] == [row[0] for row in rows(whole)]


def test_parts_of_series_name_each_once_and_no_others(store: sd.Store) -> None:
    assert [part.series for part in store.query(["b", "a", "b", "c"]).split_by_series(2)] == [
        ("a",),
        ("b", "c"),
    ]
    assert [part.series for part in store.query([]).split_by_series(5, ["a"])] == [()]
    assert [part.series for part in store.query("a").split_by_series(5, ["b", "a"])] == [("a",)]
    tagged = store.query(tags={"zone": "north"})
    assert all(part.tags == tagged.tags for part in tagged.split_by_series(3, keys_of(store)))
    with pytest.raises(UsageError, match="takes the keys of the store too"):
        tagged.split_by_series(2)


def by_time(store: sd.Store, span: dict[str, object]) -> list[sd.Query]:
    query = store.query(tz="Europe/Oslo", **span)  # type: ignore[arg-type]
    gauges = store.query(["t-1", "t-2"], tz="Europe/Oslo", **span)  # type: ignore[arg-type]
    edges = [np.datetime64(START + k * HOUR, "us") for k in (50, 130, 131, 400, 650)]
    every = ["count", "sum", "min", "max", "mean", "first", "last", "estimated_share"]
    found = [
        query,
        store.query(quality="measured", as_of=3, **span),  # type: ignore[arg-type]
        *(
            query.resample(width, every, offset=offset)
            for width, offset in (("1h", None), ("1d", "6h"), ("1mo", None))
        ),
        query.resample(edges=edges, aggregates=every),
        query.resample("1d", {"p95": "p95", "h": [0.0, 10.0], "f": lambda values: values.max()}),
        gauges.hold("9h").resample("1d", ["time_mean", "completeness", "estimated_share"]),
        gauges.hold().resample("1h", ["time_mean"]),
        gauges.rolling("7h", ["count", "sum", "mean", "min", "max", "median"], centered=True),
        gauges.difference(),
        gauges.rate("1h").resample("1d", ["mean", "p5"]),
        gauges.difference().difference().rolling("7h", "sum"),
        gauges.resample("1d", ["sum", "max"]).aggregate("sum", by="zone"),
        gauges.resample("1d", "mean").aggregate("median"),
        query.join_asof(store.query("t-1"), "2h", "nearest"),
    ]
    if len(span) == 2:
        found.append(query.resample("1d", ["count", "sum"], empty=True))
    return found


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_parts_of_time_are_the_whole(store: sd.Store, span: dict[str, object]) -> None:
    cuts = [np.datetime64(START + k * HOUR // 3, "us") for k in (1, 301, 800, 1234, 1234, 1235, 2099, 10**7)]
    for query in by_time(store, span):
        parts = query.split_by_time(cuts)
        assert len(parts) > 1
        assert rows(*(part.to_arrow() for part in parts)) == rows(query.to_arrow()), query


@pytest.mark.parametrize("span", SPANS, ids=str)
def test_what_cannot_be_split_is_said(store: sd.Store, span: dict[str, object]) -> None:
    query, at = store.query("t-1", **span), [START + 200 * HOUR]  # type: ignore[arg-type]
    for wrong, message in (
        (query.last(), "over all of time"),
        (query.consumption(), "consumption.. looks a day"),
        (query.consumption().resample("1d", "sum"), "consumption.. looks a day"),
        (query.hold(), "in both parts"),
        (query.fill("linear"), "usual over all the span"),
        (query.resample("1d", ["sum", "completeness"]), "completeness is made with a step that is usual"),
        (query.difference().resample("1d", "expected_count"), "expected_count is made with"),
        (query.hold().resample("1d", "completeness").join_asof(store.query("t-2").last()), None),
    ):
        if message is None:
            assert wrong.split_by_time(at)
            continue
        with pytest.raises(UsageError, match=f"cannot be split so: .*{message}"):
            wrong.split_by_time(at)
    with pytest.raises(UsageError, match="one row of many series"):
        query.resample("1d", "sum").aggregate("sum").split_by_series(2, ["t-1"])
    if len(span) < 2:
        for split in (lambda whole: whole.split_by_series(2), lambda whole: whole.split_by_time(at)):
            with pytest.raises(UsageError, match="without a start and an end"):
                split(query.resample("1d", "sum", empty=True))


def test_a_bucket_after_a_step_that_reaches_out_of_the_span_stays_in_it(store: sd.Store) -> None:
    start = np.datetime64(START + 500 * HOUR, "us")
    for step in (
        lambda query: query.difference(),
        lambda query: query.fill("linear"),
        lambda query: query.rate(),
    ):
        rows_within = step(store.query("t-1", start=start)).to_arrow()
        buckets = step(store.query("t-1", start=start)).resample("1d", ["count", "sum"]).to_arrow()
        assert sum(buckets["count"].to_pylist()) == rows_within.num_rows


def test_deviations_of_parts_of_time_are_the_same_but_for_the_last_place(store: sd.Store) -> None:
    gauges = store.query("t-1")
    for query in (gauges.resample("1d", "std"), gauges.rolling("7h", "std")):
        parts = query.split_by_time([START + 300 * HOUR, START + 700 * HOUR])
        found = np.concatenate([part.to_arrow()["std"].to_numpy() for part in parts])
        assert np.allclose(found, query.to_arrow()["std"].to_numpy(), rtol=1e-14, atol=0, equal_nan=True)


def test_a_histogram_of_no_readings_is_no_row(store: sd.Store) -> None:
    day = store.query("t-1", start="1999-01-01", end="1999-01-02")
    assert day.resample("1d", {"h": [0.0, 10.0]}).to_arrow().num_rows == 0
    within = store.query("t-1", start=START + 7, end=START + 8)
    assert within.resample("1d", {"h": [0.0, 10.0]}).to_arrow().num_rows == 0
