"""How complete buckets are and how much of them is estimated, however they are stored: by plain Python."""

import itertools
import math
import statistics

import numpy as np
import pytest
from support.restored import restore

import smartdata_ts as sd
from smartdata_ts._read import threads as threads_module
from smartdata_ts._steps import pipeline, resample
from smartdata_ts._time.calendar import Calendar
from smartdata_ts._time.instant import parse_instant

HOUR = 3_600_000_000
OSLO = "Europe/Oslo"
SHARES = ["count", "expected_count", "completeness", "estimated_share"]
ESTIMATED = (1, 2, 4)
SAID = {"m1": "15min", "m4": "2h"}


def some_readings():
    """Six series with gaps, jitter, NaN and qualities; the last one reads once."""
    random = np.random.default_rng(11)
    begin = parse_instant("2024-10-01", OSLO)
    rows = []
    for k in range(6):
        count = 1 if k == 5 else 2_500
        step = HOUR // 4 if k % 2 else HOUR
        times = begin + np.sort(random.choice(int(1.3 * count) + 1, count, replace=False)) * step
        if k == 2:
            times = times + random.integers(0, HOUR // 50, count)
        values = np.where(random.random(count) < 0.02, np.nan, np.arange(count) / 8.0)
        qualities = random.choice(256, count) if k % 3 == 0 else np.zeros(count, np.int64)
        if k == 4:
            qualities[:] = 65
        rows += [
            (f"m{k}", *row) for row in zip(times.tolist(), values.tolist(), qualities.tolist(), strict=True)
        ]
    return rows


def write(store, rows, how):
    pieces = [rows]
    if how == "late":
        shuffled = [rows[k] for k in np.random.default_rng(1).permutation(len(rows))]
        wrong = [(key, time, -1.0, 6) for key, time, _, _ in shuffled[::3]]
        pieces = [wrong, *(shuffled[first::4] for first in range(4))]
    for piece in pieces:
        names = ("series", "time", "value", "quality")
        columns = dict(zip(names, map(list, zip(*piece, strict=True)), strict=True))
        columns["time"] = np.array(columns["time"])
        restore(store, columns, on_conflict="replace")


@pytest.fixture(params=["blocks", "late"])
def store(request, tmp_path, monkeypatch):
    monkeypatch.setattr(threads_module, "_THREADS_FROM_READINGS", 1)
    monkeypatch.setattr(resample, "_SLICE_CELLS", 100)
    monkeypatch.setattr(pipeline, "FRAME_READINGS", 3_000)
    with sd.open(tmp_path / "s") as store:
        for key, interval in SAID.items():
            store.describe(key, interval=interval)
        write(store, some_readings(), request.param)
        if request.param == "blocks":
            store.compact()
        yield store


def expected_rows(rows, edges, steps):
    for (key, bucket), group in itertools.groupby(
        rows, key=lambda row: (row[0], int(np.searchsorted(edges, row[1], "right")) - 1)
    ):
        own = [row for row in group if not math.isnan(row[2])]
        if own:
            length = int(edges[bucket + 1] - edges[bucket])
            expected = max(1, int(length / steps[key] + 0.5)) if steps[key] else None
            share = min(1.0, len(own) / expected) if expected else None
            estimates = sum(row[3] & 15 in ESTIMATED for row in own)
            yield key, int(edges[bucket]), len(own), expected, share, estimates / len(own)


def usual_steps(rows):
    steps = {key: Calendar.parse(text).fixed_width_us for key, text in SAID.items()}
    for key, group in itertools.groupby(rows, key=lambda row: row[0]):
        times = [row[1] for row in group if not math.isnan(row[2])]
        lengths = [b - a for a, b in itertools.pairwise(times)]
        steps.setdefault(key, statistics.median_low(lengths) if lengths else 0)
    return steps


def found_rows(query):
    for row in query.to_arrow().to_pylist():
        yield row["series"], round(row["time"].timestamp() * 1e6), *(row[name] for name in SHARES)


@pytest.mark.parametrize(
    ("every", "offset", "start"),
    [("1h", None, None), ("1d", None, None), ("1d", "6h", "2024-10-20T13:00"), ("1mo", None, None)],
)
def test_readings_against_plain_python(store, every, offset, start):
    query = store.query(start=start, tz=OSLO).resample(every, SHARES, offset=offset)
    low = parse_instant(start, OSLO) if start else 0
    rows = [row for row in sorted(some_readings(), key=lambda row: row[:2]) if row[1] >= low]
    low = min(row[1] for row in rows)
    edges = Calendar.parse(every, OSLO, offset).edges(low, max(row[1] for row in rows) + 1)
    assert list(found_rows(query)) == list(expected_rows(rows, edges, usual_steps(rows)))


def test_each_share_alone_and_of_some_qualities(store):
    whole = store.query(quality=["measured", 65]).resample("1d", ["mean", *SHARES]).to_arrow()
    for name in ("mean", *SHARES):
        alone = store.query(quality=["measured", 65]).resample("1d", [name]).to_arrow()
        assert alone[name].to_pylist() == whole[name].to_pylist()
        assert alone.schema.names == ["series", "time", name]
    assert set(whole["estimated_share"].to_pylist()) > {0.0, 1.0}


def test_empty_buckets_are_not_complete(store):
    query = store.query(["m4", "m5"], start="2024-09-20", end="2024-10-02", tz=OSLO)
    rows = list(found_rows(query.resample("1d", SHARES, empty=True)))
    assert [row[2:] for row in rows[:11]] == [(0, 12, 0.0, None)] * 11
    assert rows[-1][2:] == (1, None, None, 0.0)


@pytest.mark.parametrize(
    ("every", "offset", "start", "expected"),
    [
        ("1d", None, "2024-10-27", 25),
        ("1d", None, "2025-03-30", 23),
        ("1mo", None, "2024-10-01", 745),
        ("1d", "6h", "2024-10-26T06:00", 25),
        ("15min", None, "2024-10-27", 1),
    ],
)
@pytest.mark.parametrize("is_said", [True, False])
@pytest.mark.parametrize("of_amounts", [True, False])
def test_expected_hours_of_local_buckets(tmp_path, every, offset, start, expected, is_said, of_amounts):
    begin = parse_instant("2024-09-01", OSLO)
    times = begin + np.arange(24 * 300) * HOUR
    with sd.open(tmp_path / "s") as store:
        store.describe("m", interval="1h" if is_said else None)
        store.write({"series": "m", "time": times, "value": np.arange(times.size)})
        query = store.query(tz=OSLO)
        query = query.consumption() if of_amounts else query
        rows = query.resample(every, ["expected_count", "completeness"], offset=offset).to_arrow().to_pylist()
        at = parse_instant(start, OSLO)
        own = [row for row in rows if round(row["time"].timestamp() * 1e6) == at]
        assert [(row["expected_count"], row["completeness"]) for row in own] == [(expected, 1.0)]
