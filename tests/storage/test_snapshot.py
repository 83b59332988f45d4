"""Snapshots: what is packed comes back; blocks are found; files are shared and let go of."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smartdata_ts as sd
from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage.snapshot import HEAD_TYPE, pack_head, unpack_head
from smartdata_ts._write import writer

HOUR = 3_600_000_000
I64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.lists(st.tuples(st.integers(0, 2**31 - 1), I64, I64, st.integers(0, 255)))))
@settings(deadline=None)
def test_a_head_comes_back_in_the_order_of_writing(parts: list[list[tuple[int, int, int, int]]]) -> None:
    blobs = []
    for part in parts:
        series, times, bits, qualities = np.array(part, np.int64).reshape(-1, 4).T.copy()
        values = bits.view(np.float64)
        readings = Readings(series.astype(np.int32), times, values, qualities.astype(np.uint8))
        blobs.append(pack_head(Versions(readings, times[::-1].copy())))
    assert all(len(blob) == 29 * len(part) for blob, part in zip(blobs, parts, strict=True))
    versions = unpack_head(tuple(blobs))
    head = versions.readings
    assert versions.commits.tolist() == [row[1] for part in parts for row in part[::-1]]
    found = zip(
        head.series.tolist(),
        head.times.tolist(),
        head.values.view(np.int64).tolist(),
        head.qualities.tolist(),
        strict=True,
    )
    assert list(found) == [row for part in parts for row in part]
    assert all(column.flags["C_CONTIGUOUS"] for column in (head.series, head.times, head.values))
    assert HEAD_TYPE.itemsize == 29


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sd.Store:
    monkeypatch.setattr(writer, "HEAD_READINGS_MAX", 10)
    store = sd.open(tmp_path / "s")
    for first in (0, 5_000, 20_000):
        times = (first + np.arange(3_000)) * HOUR
        keys = np.repeat([f"s{k}" for k in range(4)], 3_000)
        store.write({"series": keys, "time": np.tile(times, 4), "value": np.zeros(12_000)})
    store.write({"series": "s3", "time": [HOUR // 2], "value": [1.0]})
    return store


def test_only_blocks_of_the_series_and_the_span_are_found(store: sd.Store) -> None:
    _, snapshot = store.pin()
    ids = np.array([3, 1], np.int64)
    parts = snapshot.blocks(ids, 6_000 * HOUR, 6_001 * HOUR)
    for part in parts:
        assert set(part.chunk.series[part.rows].tolist()) == {1, 3}
        assert np.array_equal(ids[part.positions], part.chunk.series[part.rows])
        assert (part.chunk.time_max[part.rows] >= 6_000 * HOUR).all()
        assert (part.chunk.time_min[part.rows] <= 6_001 * HOUR).all()
    assert sum(part.rows.size for part in parts) == 2
    assert snapshot.blocks(np.empty(0, np.int64), 0, 2**62) == []
    assert snapshot.blocks(np.array([99], np.int64), 0, 2**62) == []
    assert snapshot.blocks(ids, 10_000 * HOUR, 11_000 * HOUR) == []
    store.close()


def test_watermarks_are_the_newest_time_of_each_series(store: sd.Store) -> None:
    store.write({"series": "s1", "time": [2**50], "value": [1.0]})
    catalog, snapshot = store.pin()
    newest = snapshot.watermarks(catalog.series_id_max())
    assert newest.tolist() == [np.iinfo(np.int64).min, 22_999 * HOUR, 2**50, 22_999 * HOUR, 22_999 * HOUR]
    store.close()


def test_a_snapshot_is_kept_until_there_is_a_commit(store: sd.Store) -> None:
    _, first = store.pin()
    assert store.pin()[1] is first
    store.write({"series": "s0", "time": [5], "value": [1.0]})
    _, second = store.pin()
    assert second.commit == first.commit + 1
    assert second.reading_count == first.reading_count + 1
    assert len(first.head) + 1 == len(second.head)
    store.close()
