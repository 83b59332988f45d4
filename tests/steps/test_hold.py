"""Means by time: against plain Python over the readings."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from support.restored import restore

import smartdata_ts as sd
from smartdata_ts._steps import pipeline
from smartdata_ts.errors import UsageError

HOUR = 3_600_000_000


def expected_means(times, values, low, high, width, limit):
    """(bucket's start, mean, covered share) by the definition, in microseconds."""
    found = []
    for start in range(low - low % width, high, width):
        total = covered = 0
        for time, value, following in zip(times, values, times[1:], strict=False):
            overlap = min(following, time + limit, start + width, high) - max(time, start, low)
            if overlap > 0:
                total += value * overlap
                covered += overlap
        if covered:
            found.append((start, total / covered, covered / width))
    return found


@pytest.mark.parametrize("limit", [None, "2h"])
@pytest.mark.parametrize("span", [(None, None), (100 * HOUR + 7, 180 * HOUR)])
@pytest.mark.parametrize("frame_readings", [pipeline.FRAME_READINGS, 200])
def test_levels_weigh_as_long_as_they_hold(tmp_path, monkeypatch, limit, span, frame_readings):
    monkeypatch.setattr(pipeline, "FRAME_READINGS", frame_readings)
    random = np.random.default_rng(9)
    with sd.open(tmp_path / "s") as store:
        series = {}
        for k in range(4):
            times = np.sort(random.choice(300 * 60, 250, replace=False)) * (HOUR // 60)
            values = random.normal(10, 4, 250).round(2)
            store.write({"series": f"t{k}", "time": times, "value": values})
            series[f"t{k}"] = times.tolist(), values.tolist()
        bounds = [None if edge is None else np.datetime64(edge, "us") for edge in span]
        query = store.query(start=bounds[0], end=bounds[1]).hold(limit)
        rows = query.resample("1d", ["time_mean", "completeness", "estimated_share"]).to_arrow().to_pylist()
    longest = 2**62 if limit is None else 2 * HOUR
    for key, (times, values) in series.items():
        low, high = span if span[0] is not None else (times[0], times[-1])
        wanted = expected_means(times, values, low, high, 24 * HOUR, longest)
        own = [row for row in rows if row["series"] == key]
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        assert [row["time"] for row in own] == [epoch + timedelta(microseconds=at) for at, *_ in wanted]
        assert [row["time_mean"] for row in own] == pytest.approx([mean for _, mean, _ in wanted], rel=1e-12)
        assert [row["completeness"] for row in own] == pytest.approx([share for *_, share in wanted])
        assert {row["estimated_share"] for row in own} == {0.0}


def test_rows_and_what_cannot_follow(tmp_path):
    store = sd.open(tmp_path / "s")
    data = {"series": "t", "time": [0, HOUR, 4 * HOUR], "value": [1.0, math.nan, 3.0], "quality": [1, 0, 0]}
    restore(store, data)
    held = store.query().hold("3h").to_arrow()
    assert held.column_names == ["series", "time", "end", "value", "quality"]
    assert [(row["value"], row["end"].hour, row["quality"]) for row in held.to_pylist()] == [(1.0, 3, 1)]
    with pytest.raises(UsageError, match="of what hold"):
        store.query().hold().resample("1d", ["time_mean", "median"])
    with pytest.raises(UsageError, match="must be among time_mean"):
        store.query().hold().resample("1d", "sum")
    with pytest.raises(UsageError, match="follows a selection"):
        store.query().consumption().hold()
    with pytest.raises(UsageError):
        store.query().hold().fill("linear")
