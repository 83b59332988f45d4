"""How a selection is cut into frames: none has many readings of two chunks where that can be helped."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts._read.plan import Plan
from smartdata_ts._read.planning import make_plan
from smartdata_ts._readings.arrow import text_array
from smartdata_ts._steps import pipeline
from smartdata_ts._time.span import TIME_MAX, TIME_MIN

HOUR = 3_600_000_000


@pytest.fixture(params=[300, 70])
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> sd.Store:
    """Forty series of fifty to ninety readings, in chunks of 300, or of 70, which end within series."""
    monkeypatch.setattr("smartdata_ts._write.chunks.CHUNK_READINGS_MAX", request.param)
    monkeypatch.setattr("smartdata_ts._write.writer.HEAD_READINGS_MAX", 10)
    store = sd.open(tmp_path / "city.sdts", auto_compact=False)
    with store.writer() as writer:
        for k in range(40):
            times = np.arange(50 + k) * HOUR
            writer.write({"series": [f"m{k:02}"] * times.size, "time": times, "value": times / HOUR + k})
    return store


def plan_of(store: sd.Store) -> Plan:
    catalog, snapshot = store.pin()
    ids, keys = catalog.select_series(None, {})
    return make_plan(snapshot, ids, text_array(keys.to_pylist()), TIME_MIN, TIME_MAX)


@pytest.mark.parametrize("reading_count_max", [1, 150, 10_000])
def test_a_frame_of_several_series_is_of_one_chunk(store: sd.Store, reading_count_max: int) -> None:
    plan = plan_of(store)
    assert len(plan.blocks) > 5
    found = list(pipeline.ranges(plan, reading_count_max))
    assert [first for first, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == 40
    for first, end in found:
        assert end - first == 1 or plan.counts[first:end].sum() <= reading_count_max
        chunks = [part for part in plan.blocks if part.positions[0] < end and part.positions[-1] >= first]
        # The first series may have begun in the chunk before.
        assert end - first == 1 or len(chunks) - (chunks[0].positions[-1] == first) == 1
    if reading_count_max == 10_000:
        assert len(found) <= 2 * len(plan.blocks)


@pytest.mark.parametrize("reading_count_max", [1, 500, 1_000, 10_000])
def test_a_frame_may_be_of_as_many_chunks_as_there_is_room_for(
    store: sd.Store, reading_count_max: int
) -> None:
    plan = plan_of(store)
    ends = set(plan.chunk_ends().tolist())
    found = list(pipeline.ranges(plan, reading_count_max, of_chunks=True))
    assert [first for first, _ in found] == [0, *(end for _, end in found[:-1])]
    assert found[-1][1] == 40
    for first, end in found:
        assert end - first == 1 or plan.counts[first:end].sum() <= reading_count_max
        behind = min((cut for cut in ends if cut > first), default=40)
        assert end in ends or plan.counts[first:behind].sum() > reading_count_max
    assert (len(found) == 1) == (reading_count_max == 10_000)


def test_chunks_end_where_series_do_if_these_are_short(store: sd.Store) -> None:
    plan = plan_of(store)
    size_max = max(int(part.chunk.count.sum()) for part in plan.blocks)
    shared = [
        after.positions[0]
        for before, after in pairwise(plan.blocks)
        if before.positions[-1] == after.positions[0]
    ]
    assert len(shared) == (0 if size_max > 70 else 19)  # those that are longer than 70


def test_chunks_that_overlap_are_not_cut_apart(store: sd.Store) -> None:
    store.write({"series": [f"m{k:02}" for k in range(40)], "time": [-HOUR] * 40, "value": [0.5] * 40})
    assert list(pipeline.ranges(plan_of(store), 10_000)) == [(0, 40)]


def test_what_is_in_several_chunks_is_read_as_one(store: sd.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "FRAME_READINGS", 400)
    sums = store.query().consumption().resample("1y", "sum").to_arrow()
    assert sums["series"].to_pylist() == [f"m{k:02}" for k in range(40)]
    assert sums["sum"].to_pylist() == [49.0 + k for k in range(40)]
