"""Quantiles, histograms and users' functions of buckets, against plain Python over the readings."""

import math
from collections import defaultdict
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from support.restored import restore

import smartdata_ts as sd
from smartdata_ts._steps import pipeline
from smartdata_ts.errors import UsageError
from smartdata_ts.kernels.compiler.user_functions import loop_over_buckets

HOUR = 3_600_000_000
OSLO = ZoneInfo("Europe/Oslo")
START = int(datetime(2024, 10, 20, tzinfo=UTC).timestamp() * 1e6)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Seven series of a fortnight over the end of summer time, of decimals, with gaps and NaN."""
    random = np.random.default_rng(5)
    with sd.open(tmp_path_factory.mktemp("values") / "s") as store:
        for k in range(7):
            times = np.sort(random.choice(14 * 24 * 4, 700, replace=False)) * (HOUR // 4) + START
            values = random.integers(-500, 5_000, 700) / 100
            values[random.random(700) < 0.05] = math.nan
            restore(store, {"series": f"s{k}", "time": times, "value": values})
            restore(store, {"series": f"s{k}", "time": times[::9], "value": values[::9] + 0.25})
        yield store


def days_of(store, start=None, end=None):
    """The values, and their times, of each series' local days, by (series, day)."""
    found = defaultdict(lambda: ([], []))
    for row in store.query(start=start, end=end, tz="Europe/Oslo").to_arrow().to_pylist():
        if row["value"] == row["value"]:
            values, times = found[row["series"], row["time"].astimezone(OSLO).date()]
            values.append(row["value"])
            times.append(int(row["time"].timestamp() * 1e6))
    return found


def midpoint(values, share):
    """Between the two nearest, as NumPy's default."""
    ordered = sorted(values)
    low = int(share * (len(ordered) - 1))
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (share * (len(ordered) - 1) - low) * (ordered[high] - ordered[low])


def span_hours(values, times):
    return (times[-1] - times[0]) / 3.6e9 + 0 * values[0]


@pytest.mark.parametrize("frame_readings", [pipeline.FRAME_READINGS, 1_000])
def test_every_measure_of_local_days(store, monkeypatch, frame_readings):
    monkeypatch.setattr(pipeline, "FRAME_READINGS", frame_readings)
    query = store.query(tz="Europe/Oslo").resample(
        "1d",
        {
            "median": "median",
            "high": "p95",
            "levels": [0.0, 10.0, 20.0],
            "p2p": lambda v: v.max() - v.min(),
            "hours": span_hours,
            "count": "count",
            "total": "sum",
        },
    )
    rows = query.to_arrow().to_pylist()
    expected = days_of(store)
    assert [(row["series"], row["time"].astimezone(OSLO).date()) for row in rows] == sorted(expected)
    for row in rows:
        values, times = expected[row["series"], row["time"].astimezone(OSLO).date()]
        assert row["median"] == pytest.approx(midpoint(values, 0.5), rel=1e-12)
        assert row["high"] == pytest.approx(midpoint(values, 0.95), rel=1e-12)
        places = [sum(edge <= value for edge in (0.0, 10.0, 20.0)) for value in values]
        assert row["levels"] == [places.count(k) for k in range(4)]
        assert row["p2p"] == max(values) - min(values)
        assert row["hours"] == (times[-1] - times[0]) / 3.6e9
        assert row["count"] == len(values)
        assert row["total"] == pytest.approx(math.fsum(values), rel=1e-15)


def test_built_in_aggregates_are_what_they_are_alone(store):
    names = ["count", "sum", "min", "max", "mean", "first", "last", "std"]
    alone = store.query(tz="Europe/Oslo").resample("6h", names).to_arrow()
    beside = store.query(tz="Europe/Oslo").resample("6h", [*names, "median"]).to_arrow()
    assert beside.drop_columns("median") == alone
    renamed = store.query(tz="Europe/Oslo").resample("6h", {f"my {name}": name for name in names}).to_arrow()
    assert renamed.rename_columns(alone.column_names) == alone


def test_a_span_cuts_its_first_and_last_bucket(store):
    span = {"start": "2024-10-23T07:30", "end": "2024-10-27T02:30"}
    rows = store.query(**span, tz="Europe/Oslo").resample("1d", "median").to_arrow().to_pylist()
    expected = days_of(store, **span)
    assert [row["median"] for row in rows] == pytest.approx(
        [midpoint(expected[place][0], 0.5) for place in sorted(expected)]
    )


def test_empty_buckets_are_given_where_asked_for(store):
    query = store.query("s3", start="2024-10-10", end="2024-11-10")
    rows = query.resample("1d", {"n": "count", "m": "median", "h": [0.0], "f": np.mean}, empty=True)
    found = rows.to_arrow().to_pylist()
    assert len(found) == 31
    assert found[0] == {
        "series": "s3",
        "time": datetime(2024, 10, 10, tzinfo=UTC),
        "n": 0,
        "m": None,
        "h": [0, 0],
        "f": None,
    }
    assert sum(row["n"] for row in found) == query.resample("1y", "count").to_arrow()["count"][0].as_py()


def test_after_other_steps(store):
    filled = store.query("s1").fill("linear").resample("1d", ["median", "mean"]).to_arrow()
    rows = store.query("s1").fill("linear").to_arrow()
    first = rows.filter(np.asarray(rows["time"].cast("int64")) < START + 24 * HOUR)["value"].drop_null()
    assert filled["median"][0].as_py() == pytest.approx(np.median(first))
    assert filled["mean"][0].as_py() == pytest.approx(np.mean(first))
    rates = store.query("s1").rate().resample("1d", "max").to_arrow()
    assert rates.num_rows == 14
    amounts = store.query("s1").consumption().resample("1d", {"p90": "p90", "n": "count"}).to_arrow()
    intervals = store.query("s1", end="2024-10-21").consumption().to_arrow()["value"].drop_null()
    assert amounts["p90"][0].as_py() == pytest.approx(np.percentile(intervals, 90))
    across = store.query().resample("1d", {"p2p": lambda v: v.max() - v.min()}).aggregate("max")
    assert across.to_arrow().num_rows == 14
    with pytest.raises(UsageError, match="not histograms"):
        store.query().resample("1d", {"h": [0.0]}).aggregate("max")


@pytest.mark.parametrize("frame_readings", [pipeline.FRAME_READINGS, 500])
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("every", ["1d", "5min"])
def test_shares_and_split_sums_beside_measures(store, monkeypatch, frame_readings, empty, every):
    monkeypatch.setattr(pipeline, "FRAME_READINGS", frame_readings)
    query = store.query(start="2024-10-22T05:00", end="2024-10-29T03:10", tz="Europe/Oslo")
    names = ["count", "expected_count", "completeness", "estimated_share"]
    alone = query.resample(every, names, empty=empty).to_arrow()
    beside = query.resample(every, [*names, "median"], empty=empty).to_arrow()
    assert beside.drop_columns("median") == alone
    has_gaps = empty and every == "5min"
    assert set(beside["median"].is_valid().to_pylist()) == ({True, False} if has_gaps else {True})

    amounts = query.consumption()
    names = ["sum", "count", "min", "expected_count", "completeness", "estimated_share"]
    alone = amounts.resample(every, names, empty=empty).to_arrow()
    beside = amounts.resample(
        every, {**dict(zip(names, names, strict=True)), "half": "p50", "h": [0.0]}, empty=empty
    )
    table = beside.to_arrow()
    assert table.drop_columns(["half", "h"]) == alone
    spread = amounts.resample(every, ["sum", "mean", "std", "count"], empty=empty).to_arrow()
    assert spread["sum"].to_pylist() == alone["sum"].to_pylist()
    assert [count > 1 for count in alone["count"].to_pylist()] == spread["std"].is_valid().to_pylist()
    begun = [count > 0 for count in alone["count"].to_pylist()]
    assert table["half"].is_valid().to_pylist() == begun
    assert [sum(counts) for counts in table["h"].to_pylist()] == alone["count"].to_pylist()
    assert not all(begun) if every == "5min" else True


def test_what_is_not_to_be_had_beside_measures(store):
    query = store.query()
    for wrong in ({"n": "expected_count", "m": "median"}, {"expected_count": "count", "m": "median"}):
        with pytest.raises(UsageError, match="under its own name"):
            query.resample("1d", wrong)
    with pytest.raises(UsageError, match="aggregates must be among"):
        query.consumption().resample("1d", ["first", "median"])


def test_functions_that_cannot_be(store):
    query = store.query()
    for function, message in (
        (lambda v: "text" if v.size else "", "Numba cannot compile"),
        (lambda v: undefined + v.size, "Numba cannot compile"),  # noqa: F821
        (lambda v: v.sort(), "Numba cannot compile"),
        (lambda: 1.0, "it takes 0 parameters"),
        (lambda a, b, c: a + b + c, "it takes 3 parameters"),
    ):
        with pytest.raises(UsageError, match=message):
            query.resample("1d", {"f": function})
    with pytest.raises(UsageError, match="the edges of a histogram must increase"):
        query.resample("1d", {"h": [1.0, 1.0]})
    with pytest.raises(UsageError, match="must be a name, a function or the edges"):
        query.resample("1d", {"h": [object()]})
    with pytest.raises(UsageError, match="failed on a bucket's values: division by zero"):
        query.resample("1d", {"f": lambda v: 1.0 / (v.size - v.size)}).to_arrow()


def test_a_function_is_compiled_once_and_runs_in_python_too(monkeypatch):
    def spread(v):
        return v.max() - v.min()

    loop = loop_over_buckets(spread)
    assert loop_over_buckets(spread) is loop
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    plain = loop_over_buckets.__wrapped__(spread)
    bounds, times = np.array([0, 2, 2, 5]), np.arange(5)
    values = np.array([1.0, 4.0, 2.0, 9.0, 2.5])
    values.flags.writeable = times.flags.writeable = False
    for run in (loop, plain):
        results = np.full(3, np.nan)
        run(bounds, times, values, results)
        assert results.tolist()[0] == 3.0
        assert np.isnan(results[1])
        assert results[2] == 7.0
