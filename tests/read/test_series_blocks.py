"""Whole series as blocks: of several chunks and of recent writes, in order, or merged where they must be."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.plans import plan_of
from support.restored import restore

import smartdata_ts as sd
from smartdata_ts._read import scan
from smartdata_ts._read import series_blocks as series_blocks_module
from smartdata_ts._read.plan import Slice
from smartdata_ts.errors import CorruptChunkError
from smartdata_ts.kernels.codec import blocks as kernel_blocks

HOUR = 3_600_000_000
YEAR = 8766 * HOUR


def fill(store: sd.Store, rng: np.random.Generator, in_order: bool) -> None:
    """Readings of several years, each of which is a chunk's, and a few that are recent."""
    for year in rng.permutation(4).tolist() if not in_order else range(4):
        for key in rng.permutation(list("abcde"))[: int(rng.integers(1, 6))].tolist():
            count = int(rng.integers(1, 300))
            times = year * YEAR + rng.choice(YEAR // HOUR, count, replace=False) * HOUR
            values = rng.integers(0, 900, count) / rng.choice([1, 10, 7])
            qualities = rng.choice([0, 1, 7], count)
            store.write(
                {"series": key, "time": times, "value": values, "quality": qualities}, quality="quality"
            )
        store.compact()
    first = 4 if in_order else 0
    for key in "ace":
        times = (first + rng.random(2)) * YEAR
        restore(store, {"series": key, "time": times.astype(np.int64), "value": [np.nan, 1.5]})


def rows_of(table: pa.Table) -> list[list[object]]:
    """All columns, of values the bits: NaN is not equal to itself."""
    bits = table["value"].to_numpy().view(np.int64).tolist()
    return [bits, *(table[name].to_pylist() for name in ("series", "time", "quality"))]


@pytest.mark.parametrize("seed", range(12))
def test_readings_are_those_of_chunks_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(scan, "SLICE_READINGS", int(rng.choice([50, 400, 100_000])))
    made = []
    load = series_blocks_module.SeriesBlocks.load
    monkeypatch.setattr(
        series_blocks_module.SeriesBlocks, "load", lambda self: made.append(self) or load(self)
    )
    with sd.open(tmp_path / "city.sdts") as store:
        fill(store, rng, in_order=seed % 3 != 0)
        bounds = np.sort(rng.integers(-HOUR, 5 * YEAR, 2)).astype("datetime64[us]")
        for span in ({}, {"start": bounds[0]}, {"start": bounds[0], "end": bounds[1]}):
            for quality in (None, "measured"):
                query = store.query(quality=quality, **span)
                found = query.to_arrow()
                with monkeypatch.context() as patch:
                    patch.setattr(scan, "series_blocks", lambda *_: None)
                    assert rows_of(query.to_arrow()) == rows_of(found)
    assert made


@pytest.fixture
def years(tmp_path: Path):
    """Two series' readings in two chunks, and one's recent one."""
    with sd.open(tmp_path / "city.sdts") as store:
        for year in range(2):
            for key in "ab":
                times = [year * YEAR + hour * HOUR for hour in range(40)]
                store.write({"series": key, "time": times, "value": [float(hour) for hour in range(40)]})
            store.compact()
        store.write({"series": "b", "time": [3 * YEAR], "value": [7.0]})
        yield store


def test_the_block_that_cannot_be_decoded_is_named(years: sd.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for block, told in enumerate(["'a', 1970-", "'a', 1970-12-31|'a', 1971-", "'b', 1970-", "'b', 197"]):
        monkeypatch.setattr(kernel_blocks, "read_blocks", lambda *_, block=block: -1 - block)
        with pytest.raises(CorruptChunkError, match=f"series ({told}).*its payload cannot be decoded"):
            years.query().to_arrow()
    monkeypatch.setattr(kernel_blocks, "read_blocks", lambda *_: -1 - 4)
    with pytest.raises(AssertionError, match="just encoded"):
        years.query().to_arrow()


def test_many_recent_readings_are_merged_not_encoded(
    years: sd.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_blocks_module.SeriesBlocks, "load", None)
    with pytest.raises(TypeError, match="not callable"):
        years.query().to_arrow()
    years.write({"series": "b", "time": [3 * YEAR + k for k in range(1, 11)], "value": [8.0] * 10})
    assert years.query().to_arrow().num_rows == 171


def test_a_span_is_that_of_all_blocks_and_of_what_is_recent(years: sd.Store) -> None:
    found = []
    series_blocks = series_blocks_module.series_blocks

    def kept(plan, part: Slice):
        found.append(series_blocks(plan, part))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "series_blocks", kept)
        years.query().to_arrow()
        years.query("a").to_arrow()
        years.query(start=np.datetime64(4 * YEAR, "us")).to_arrow()
    both, one, none = found
    assert both.span == (0, 3 * YEAR)
    assert one.span == (0, YEAR + 39 * HOUR)
    assert (both.piece_count, one.piece_count, none.piece_count) == (3, 2, 0)
    assert (both.reading_count, one.reading_count, none.reading_count) == (161, 80, 0)


@pytest.mark.parametrize("chunk_readings", [70, 300])
@pytest.mark.parametrize("has_recent", [False, True])
def test_parts_of_a_chunk_each_hold_all_of_their_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_readings: int, has_recent: bool
) -> None:
    monkeypatch.setattr("smartdata_ts._write.chunks.CHUNK_READINGS_MAX", chunk_readings)
    monkeypatch.setattr("smartdata_ts._write.writer.HEAD_READINGS_MAX", 10)
    with sd.open(tmp_path / "city.sdts", auto_compact=False) as store:
        with store.writer() as writer:
            for k in range(20):
                times = np.arange(50 + 2 * k) * HOUR
                writer.write({"series": [f"m{k:02}"] * times.size, "time": times, "value": times / HOUR})
        if has_recent:
            store.write({"series": ["m03", "m17"], "time": [900 * HOUR] * 2, "value": [1.0, 2.0]})
        plan = plan_of(store)
        whole = series_blocks_module.series_blocks(plan, Slice(3, 18, -(2**63), 2**63 - 1))
        parts = list(whole.by_chunk())
        assert len(parts) > 3
        ends = [first + part.slot_count for first, part in parts]
        assert [first for first, _ in parts] == [0, *ends[:-1]]
        assert ends[-1] == whole.slot_count == 15
        assert sum(part.reading_count for _, part in parts) == whole.reading_count
        expected = whole.load().counts.tolist()
        assert [count for _, part in parts for count in part.load().counts.tolist()] == expected
        assert expected == [56 + 2 * k + (has_recent and k in (0, 14)) for k in range(15)]


def test_chunks_that_share_many_series_are_one_part(tmp_path: Path) -> None:
    with sd.open(tmp_path / "city.sdts", auto_compact=False) as store:
        fill(store, np.random.default_rng(1), in_order=True)
        plan = plan_of(store)
        whole = series_blocks_module.series_blocks(plan, Slice(0, plan.ids.size, -(2**63), 2**63 - 1))
        assert len(whole.chunks) > 1
        assert [first for first, _ in whole.by_chunk()] == [0]
