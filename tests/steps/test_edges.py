"""Buckets of given edges, and of calendars with an offset, on readings and amounts: against plain Python."""

import itertools
from datetime import date, datetime

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts._steps import resample
from smartdata_ts._time.instant import parse_instant
from smartdata_ts.errors import UsageError

HOUR = 3_600_000_000
OSLO = "Europe/Oslo"
EDGES = ["2024-03-01", date(2024, 3, 31), "2024-04-01T12:30", np.datetime64("2024-10-26"), "2024-10-28"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Hourly registers of a year from 1 January 2024, Oslo, one of which has gaps."""
    random = np.random.default_rng(5)
    begin = parse_instant("2024-01-01", OSLO)
    store = sd.open(tmp_path_factory.mktemp("edges") / "city.sdts")
    times = begin + np.arange(8_785) * HOUR
    for k in range(5):
        kept = random.random(times.size) < (0.7 if k == 3 else 1.0)
        kept[[0, -1]] = True
        store.write({"series": f"m{k}", "time": times[kept], "value": (times[kept] - begin) / HOUR * (k + 1)})
    with store:
        yield store


def rows_of(store):
    rows = store.query().to_arrow().to_pylist()
    return [(row["series"], round(row["time"].timestamp() * 1e6), row["value"]) for row in rows]


@pytest.mark.parametrize("slice_cells", [resample._SLICE_CELLS, 3])
@pytest.mark.parametrize("start", [None, "2024-03-31T05:00"])
def test_readings_within_given_edges(store, monkeypatch, slice_cells, start):
    monkeypatch.setattr(resample, "_SLICE_CELLS", slice_cells)
    query = store.query(start=start, tz=OSLO).resample(edges=EDGES, aggregates=["count", "last"])
    edges = [parse_instant(edge, OSLO) for edge in EDGES]
    first = parse_instant(start, OSLO) if start else edges[0]
    expected = []
    for key in ("m0", "m1", "m2", "m3", "m4"):
        own = [(time, value) for series, time, value in rows_of(store) if series == key and time >= first]
        for low, high in itertools.pairwise(edges):
            inside = [value for time, value in own if low <= time < high]
            if inside:
                expected.append((key, low, len(inside), inside[-1]))
    found = [
        (row["series"], round(row["time"].timestamp() * 1e6), row["count"], row["last"])
        for row in query.to_arrow().to_pylist()
    ]
    assert found == expected


def test_amounts_between_given_edges_are_those_of_the_interpolated_register(store):
    rows = store.query(tz=OSLO).consumption().resample(edges=EDGES, aggregates="sum").to_arrow().to_pylist()
    edges = [parse_instant(edge, OSLO) for edge in EDGES]
    for k in range(5):
        own = [row["sum"] for row in rows if row["series"] == f"m{k}"]
        assert own == pytest.approx([length / HOUR * (k + 1) for length in np.diff(edges)], rel=1e-12)


def test_empty_buckets_of_given_edges_are_all_of_them(store):
    edges = ["2023-01-01", "2023-07-01", "2024-01-01", "2025-01-01", "2026-01-01"]
    query = store.query("m0", tz=OSLO)
    readings = query.resample(edges=edges, aggregates="count", empty=True).to_arrow()
    assert readings["count"].to_pylist() == [0, 0, 8_784, 1]
    amounts = query.consumption().resample(edges=edges, aggregates="sum", empty=True).to_arrow()
    assert amounts["sum"].to_pylist() == [None, None, pytest.approx(8_784), None]


def test_edges_that_nothing_reaches(store):
    query = store.query(tz=OSLO, start="2024-05-01", end="2024-06-01")
    for edges in (["2001-01-01", "2002-01-01"], ["2024-01-01", "2024-02-01"], ["2031-01-01", "2032-01-01"]):
        assert query.resample(edges=edges, aggregates="count").to_arrow().num_rows == 0
        assert query.consumption().resample(edges=edges, aggregates="sum").to_arrow().num_rows == 0


@pytest.mark.parametrize(
    ("every", "offset", "start", "hours"),
    [
        ("1d", None, "2024-10-27", 25),
        ("1d", None, "2024-03-31", 23),
        ("1mo", None, "2024-10-01", 745),
        ("1d", "6h", "2024-10-26T06:00", 25),
        ("1d", "6h", "2024-10-27T06:00", 24),
        ("1mo", "14d", "2024-10-15", 31 * 24 + 1),
    ],
)
def test_hours_of_local_buckets(store, every, offset, start, hours):
    query = store.query("m0", tz=OSLO)
    at = datetime.fromtimestamp(parse_instant(start, OSLO) / 1e6).astimezone()
    counts = query.resample(every, "count", offset=offset).to_arrow().to_pylist()
    assert [row["count"] for row in counts if row["time"] == at] == [hours]
    sums = query.consumption().resample(every, "sum", offset=offset).to_arrow().to_pylist()
    assert [row["sum"] for row in sums if row["time"] == at] == [pytest.approx(hours, rel=1e-12)]


def test_the_hydrological_year_of_norway(store):
    years = store.query("m0", tz=OSLO).resample("1y", "count", offset="8mo").to_arrow()
    assert [str(time.as_py().date()) for time in years["time"]] == ["2023-08-31", "2024-08-31"]  # 22:00 UTC
    assert years["count"].to_pylist() == [244 * 24 - 1, 8_785 - 244 * 24 + 1]


def test_edges_and_widths_exclude_each_other(store):
    query = store.query()
    for wrong in ({"every": "1d", "edges": EDGES}, {"offset": "1h", "edges": EDGES}, {}):
        with pytest.raises(UsageError, match=r"resample\(\) takes"):
            query.resample(aggregates="count", **wrong)
