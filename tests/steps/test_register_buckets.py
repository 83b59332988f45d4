"""Registers straight to buckets: through a store, against the two steps that it stands for."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.register_town import HOUR, fill

import smartdata_ts as sd
from smartdata_ts._steps import buckets, pipeline
from smartdata_ts._steps.registers import buckets as buckets_module
from smartdata_ts.errors import CorruptChunkError
from smartdata_ts.kernels.registers import blocks as registers_blocks

AGGREGATES = ("sum", "count", "min", "max", "completeness", "estimated_share")


@pytest.mark.parametrize("seed", range(8))
def test_the_same_as_of_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(pipeline, "FRAME_READINGS", int(rng.choice([100, 100_000])))
    with sd.open(tmp_path / "town.sdts") as store:
        fill(store, rng)
        if seed % 2:
            store.compact()  # blocks then, and no recent writes
        start = np.datetime64(1_700_000_000_000_000 + int(rng.integers(100 * HOUR)), "us")
        end = start + np.timedelta64(int(rng.integers(1, 400)), "h")
        for spans in ({}, {"start": start}, {"end": end}, {"start": start, "end": end}):
            for unit in (None, "m3"):
                amounts = store.query(tz="Europe/Oslo", **spans).consumption(unit=unit)
                for width, empty in (("1h", False), ("1d", True), ("1mo", False)):
                    query = amounts.resample(width, AGGREGATES, empty=empty)
                    found = query.to_arrow()
                    with monkeypatch.context() as patch:
                        patch.setattr(buckets_module, "fused", lambda steps: steps)
                        expected = query.to_arrow()
                    assert found.equals(expected)


def test_registers_make_no_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sd.open(tmp_path / "town.sdts") as store:
        store.write({"series": ["a", "a"], "time": [0, HOUR], "value": [1.0, 3.0]})
        monkeypatch.setattr(buckets.Buckets, "run", None)
        table = store.query().consumption().resample("1d", "sum").to_arrow()
        assert table["sum"].to_pylist() == [2.0]
        assert table.schema.field("time").type == pa.timestamp("us", "UTC")


def town_of_blocks(store: sd.Store) -> sd.Query:
    """Three meters' consumption, all of it compacted."""
    for key in "abc":
        store.write({"series": key, "time": [0, HOUR, 2 * HOUR, 3 * HOUR], "value": [1.0, 3.0, 3.0, 5.0]})
    store.compact()
    return store.query().consumption()


def test_blocks_are_not_turned_into_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sd.open(tmp_path / "town.sdts") as store:
        amounts = town_of_blocks(store)
        monkeypatch.setattr(pipeline, "_read", None)
        assert amounts.resample("1d", "sum").to_arrow()["sum"].to_pylist() == [4.0] * 3
        assert amounts.resample("1d", "sum").aggregate("sum").to_arrow()["sum"].to_pylist() == [12.0]
        within = store.query(start="1969-12-31", end="1970-01-02").consumption()
        assert within.resample("1d", "sum").to_arrow()["sum"].to_pylist() == [4.0] * 3
        part = store.query(start=np.datetime64(30 * 60, "s"), end=np.datetime64(2 * HOUR, "us")).consumption()
        assert part.resample("1d", "sum").to_arrow()["sum"].to_pylist() == [1.0] * 3
        store.exchange("b", at=np.datetime64(HOUR + 1, "us"), final=4.0, initial=3.0)
        assert amounts.resample("1d", "sum").to_arrow()["sum"].to_pylist() == [4.0, 5.0, 4.0]
        # The day after the last reading, of which nothing but the exchange tells.
        store.exchange("c", at="1970-01-02T12:00", final=7.0, initial=0.0)
        table = amounts.resample("1d", "sum").to_arrow()
        assert table["series"].to_pylist() == ["a", "b", "c", "c"]
        assert sum(table["sum"].to_pylist()) == 4.0 + 5.0 + 6.0


@pytest.mark.parametrize("case", ["recent", "unsure", "expected", "quality", "replaced", "flow"])
def test_what_blocks_alone_do_not_tell_becomes_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    with sd.open(tmp_path / "town.sdts") as store:
        amounts = town_of_blocks(store)
        names: tuple[str, ...] = ("sum",)
        if case in ("recent", "replaced"):
            time = 4 * HOUR if case == "recent" else HOUR
            store.write({"series": "a", "time": [time], "value": [5.0 if case == "recent" else 2.0]})
        elif case == "unsure":  # whether the reading behind the span counts
            store.write(
                {"series": "a", "time": [5 * HOUR], "value": [5.0], "quality": [7]}, quality="quality"
            )
            store.compact()
            amounts = store.query(end=np.datetime64(2 * HOUR, "us")).consumption()
        elif case == "expected":
            names = ("sum", "expected_count")
        elif case == "quality":
            store.write(
                {"series": "a", "time": [HOUR * 5], "value": [5.0], "quality": [1]},
                quality="quality",
            )
            amounts = store.query(quality="measured").consumption()
        else:
            store.describe("c", kind="interval", unit="L", interval="1h")
        found = amounts.resample("1d", names).to_arrow()
        assert found.num_rows == 3
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "_read", None)
            with pytest.raises(TypeError, match="not callable"):
                amounts.resample("1d", names).to_arrow()


def test_a_block_that_cannot_be_decoded_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sd.open(tmp_path / "town.sdts") as store:
        buckets_of = town_of_blocks(store).resample("1d", "sum")
        status = registers_blocks.MALFORMED_BLOCK - 1
        monkeypatch.setattr(registers_blocks, "reduce_register_blocks", lambda *_: status)
        with pytest.raises(CorruptChunkError, match=r"payload cannot be decoded"):
            buckets_of.to_arrow()
