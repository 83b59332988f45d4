"""What a write folds by itself: few chunks, the same readings, bounded work, and never a failed write."""

import numpy as np
import pytest

import smartdata_ts as sd
from smartdata_ts._upkeep import compact
from smartdata_ts._write import writer
from smartdata_ts.errors import CorruptChunkError, StoreError

HOUR = 3_600_000_000
METERS = 20


@pytest.fixture(autouse=True)
def small_head(monkeypatch):
    """Every write makes a chunk."""
    monkeypatch.setattr(writer, "HEAD_READINGS_MAX", 0)


def write_days(store, days):
    for day in days:
        hours = (day * 24 + np.arange(24)) * HOUR
        keys = np.repeat([f"m{k:02}" for k in range(METERS)], 24)
        times = np.tile(hours, METERS)
        store.write({"series": keys, "time": times, "value": times / HOUR + 0.5})


def test_daily_writes_leave_few_chunks_and_the_same_readings(tmp_path):
    with sd.open(tmp_path / "folded") as folded, sd.open(tmp_path / "plain", auto_compact=False) as plain:
        for store in (folded, plain):
            write_days(store, range(200))
        assert plain.info().chunks == 200
        assert folded.info().chunks < 24
        assert folded.query().to_arrow() == plain.query().to_arrow()
        assert folded.verify(deep=True).problems == []
        assert len(list((tmp_path / "folded" / "chunks").iterdir())) == folded.info().chunks
        # A reading is written again only into a chunk of at least twice as many readings.
        written = 200 * METERS * 24 * np.log2(200)
        assert sum(n for n in sizes_of_folds(tmp_path / "third")) < written


def sizes_of_folds(path):
    """The readings of every fold of the same days."""
    found = []
    newest = compact._newest

    def watched(rows):
        chosen = newest(rows)
        found.append(sum(row.reading_count for row in chosen))
        return chosen

    with pytest.MonkeyPatch.context() as patch, sd.open(path) as store:
        patch.setattr(compact, "_newest", watched)
        write_days(store, range(200))
    return found


def test_corrections_keep_their_order_and_their_history(tmp_path):
    with sd.open(tmp_path / "s") as store:
        for value in range(20):
            store.write({"series": "a", "time": [0, HOUR * (value + 1)], "value": [value, value]})
        assert store.query().to_arrow()["value"].to_pylist() == [19, *range(20)]
        firsts = [
            store.query("a", end="1970-01-01T00:30", as_of=c) for c in range(1, store.info().commit + 1)
        ]
        seen = [query.to_arrow()["value"][0].as_py() for query in firsts]
        assert seen == sorted(seen)
        assert set(seen) == set(range(20))


def test_late_readings_of_other_years_are_folded_among_themselves(tmp_path):
    year = 365 * 24 * HOUR
    with sd.open(tmp_path / "s") as store:
        for k in range(30):
            store.write({"series": "a", "time": [k * HOUR, year + (48 + k) * HOUR], "value": [k, k]})
        assert store.info().chunks < 20
        assert store.query().to_arrow().num_rows == 60


def test_no_more_is_folded_at_once_than_is_bearable(tmp_path, monkeypatch):
    monkeypatch.setattr(compact, "NEWEST_READINGS_MAX", 30 * METERS * 24)
    sizes = sizes_of_folds(tmp_path / "s")
    assert 0 < max(sizes) <= 30 * METERS * 24


@pytest.mark.parametrize("error", [StoreError("no space"), CorruptChunkError("rot")])
def test_what_fails_is_left_for_the_next_write(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    with sd.open(tmp_path / "s") as store:
        write_days(store, range(7))
        with monkeypatch.context() as patch:
            patch.setattr(compact, "_fold", fail)
            write_days(store, range(7, 12))
        assert store.info().chunks == 12
        assert len(list((tmp_path / "s" / "chunks").iterdir())) == 12
        write_days(store, [12])
        assert store.info().chunks == 1
        assert store.query().to_arrow().num_rows == 13 * METERS * 24


def test_another_writer_is_not_waited_for(tmp_path):
    with sd.open(tmp_path / "s") as store, sd.open(tmp_path / "s", timeout_s=0.0) as other:
        write_days(store, range(7))
        catalog = other.writing_catalog()
        tidy = compact.compact_newest
        with pytest.MonkeyPatch.context() as patch:
            # The other takes the lock between the write and what it would fold.
            def busy(*arguments):
                with catalog.transaction():
                    return tidy(*arguments)

            patch.setattr("smartdata_ts._upkeep.compact.compact_newest", busy)
            store._access.tidy = busy
            write_days(store, [7])
        assert store.info().chunks == 8
