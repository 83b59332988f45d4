"""Random lives of a store against a plain dict of readings: (series, time) -> (value's bits, quality)."""

import math
import os
import shutil
import struct
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support import whole_package  # noqa: F401

import smartdata_ts as sd
from smartdata_ts._read import scan
from smartdata_ts._read import threads as threads_module
from smartdata_ts._steps import resample
from smartdata_ts._time.calendar import Calendar
from smartdata_ts._write import chunks as chunks_module
from smartdata_ts._write import writer as writer_module
from smartdata_ts._write.chunks import year_of

EXAMPLES = 300 if os.environ.get("HYPOTHESIS_PROFILE") == "random" else 60
HOUR = 3_600_000_000
YEAR = 365 * 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEYS = ["wm-1", "wm-2", "Ødegård", "a", "~"]
AGGREGATES = ["count", "sum", "min", "max", "mean", "first", "last", "std"]

Row = tuple[str, int, float, int]  # series, time, value, quality
Model = dict[tuple[str, int], tuple[int, int]]


def bits(value: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", value))[0])


def double(pattern: int) -> float:
    return float(struct.unpack("<d", struct.pack("<q", pattern))[0])


def instant(time: int) -> datetime:
    return EPOCH + timedelta(microseconds=time)


def table(rows: list[Row]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    kinds = [pa.string(), pa.timestamp("us", "UTC"), pa.float64(), pa.uint8()]
    names = ["series", "time", "value", "quality"]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    return pa.table(arrays, names=names)


def rows_of(result: pa.Table) -> list[tuple[str, int, int, int]]:
    return list(
        zip(
            result["series"].to_pylist(),
            result["time"].cast(pa.int64()).to_pylist(),
            np.asarray(result["value"]).view(np.int64).tolist(),
            result["quality"].to_pylist(),
            strict=True,
        )
    )


times = st.builds(
    lambda year, hour, extra: year * YEAR + hour * HOUR + extra,
    st.integers(-1, 2),
    st.integers(0, 60),
    st.sampled_from([0, 0, 0, 1, 17 * 60_000_000]),
)
values = st.one_of(
    st.integers(0, 2000).map(lambda n: n / 10),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1e15, -1.25]),
    st.sampled_from([double(0x7FF8_0000_0000_1234), double(0x7FF0_0000_0000_0001)]),
)
rows = st.tuples(st.sampled_from(KEYS), times, values, st.sampled_from([0, 0, 0, 1, 7, 255]))


@st.composite
def runs(draw: st.DrawFn) -> list[Row]:
    """One series' regular readings: enough of them to go to chunks, perhaps in the wrong order."""
    key, first, count = draw(st.sampled_from(KEYS)), draw(times), draw(st.integers(1, 300))
    step = draw(st.sampled_from([HOUR, HOUR // 4, 1, 40 * 24 * HOUR]))
    base, quality = draw(st.integers(0, 50)), draw(st.integers(0, 1))
    made = [(key, first + k * step, (base + k * k % 7) / 10, quality) for k in range(count)]
    return made[::-1] if draw(st.booleans()) else made


Span = tuple[int | None, int | None]


def is_forward(span: Span) -> bool:
    """Whether a span ends where it starts, or later; another is refused, which tests of its own hold."""
    start, end = span
    return start is None or end is None or start <= end


bounds = st.one_of(st.none(), times)
spans = st.tuples(bounds, bounds).map(lambda span: span if is_forward(span) else span[::-1])
RANKS = {0: 5, 1: 3, 7: 0, 255: 3}


def has_reading(row: Row) -> bool:
    """Whether it is stored: a NaN is where it is said to be missing."""
    return not math.isnan(row[2]) or row[3] == 7


def settle(model: Model, place: tuple[str, int], new: tuple[int, int], rule: str) -> str:
    """Let a reading stand in the model if it may; what became of it."""
    old = model.get(place)
    if old is not None and old == new:
        return "duplicates"
    if old is not None and (rule == "keep" or (rule == "better" and RANKS[new[1]] < RANKS[old[1]])):
        return "kept"
    model[place] = new
    return "stored" if old is None else "replaced"


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.model: Model = {}
        self.described: dict[str, str] = {}
        self.known: set[str] = set()
        self.commit = 0
        self.past: dict[int, Model] = {0: {}}
        self.named: dict[str, int] = {}
        self.told_from = 0  # of the commits before, erasures and retention have taken what they showed

    @initialize()
    def open(self) -> None:
        self.store = sd.open(f"{self.folder}/city.sdts")
        self.other = sd.open(f"{self.folder}/city.sdts")

    def teardown(self) -> None:
        self.store.close()
        self.other.close()
        shutil.rmtree(self.folder)

    # -- changes

    def put(
        self, written: Iterable[Row], report: sd.WriteReport, rule: str = "better", exact: bool = True
    ) -> None:
        """Write to the model, and hold the report to what became of each row there."""
        written = list(written)
        before = dict(self.model)
        counts: Counter[str] = Counter()
        buffer: Model = {}
        for key, time, value, quality in filter(has_reading, written):
            counts[settle(buffer, (key, time), (bits(value), quality), rule)] += 1
        for place, new in buffer.items():
            counts[settle(self.model, place, new, rule)] += 1
        assert report.rows == len(written)
        taken = report.stored + report.duplicates + report.replaced + report.kept + report.rejected
        assert report.empty == sum(not has_reading(row) for row in written)
        assert report.rows == taken + report.empty
        assert report.rejected == 0
        assert report.stored == len(self.model) - len(before)
        if exact:
            assert report.duplicates == counts["duplicates"]
            assert report.replaced == counts["replaced"]
            assert report.kept == counts["kept"]
        new_keys = {row[0] for row in written if has_reading(row)} - self.known
        assert report.series_created == len(new_keys)
        self.known |= new_keys
        if report.commit is not None:
            assert report.commit == self.commit + 1
            self.past[report.commit] = dict(self.model)
            self.commit = (
                self.store.info().commit
            )  # a write that made many chunks folds them in a commit more
            assert self.commit - report.commit in (0, 1)

    @rule(written=st.lists(rows, max_size=12), on_conflict=st.sampled_from(["better", "replace", "keep"]))
    def write_few(self, written: list[Row], on_conflict: str) -> None:
        report = self.store.write(table(written), quality="quality", on_conflict=on_conflict)
        self.put(written, report, on_conflict)

    @rule(written=st.lists(rows, max_size=12))
    def write_or_refuse(self, written: list[Row]) -> None:
        model = dict(self.model)
        taken = filter(has_reading, written)
        counts = {settle(model, row[:2], (bits(row[2]), row[3]), "keep") for row in taken}
        if "kept" in counts:
            with pytest.raises(sd.errors.ConflictError, match="Nothing of this write is kept"):
                self.store.write(table(written), quality="quality", on_conflict="error")
        else:
            report = self.store.write(table(written), quality="quality", on_conflict="error")
            self.put(written, report, "keep")

    @rule(row=rows)
    def write_one_plain(self, row: Row) -> None:
        key, time, value, _ = row
        report = self.other.write({"series": key, "time": [time], "value": [value]})
        self.put([(key, time, value, 0)], report)

    @rule(written=runs())
    def write_run(self, written: list[Row]) -> None:
        # The buffer may spill within one table: it is cut at batches only.
        self.put(written, self.store.write(table(written), quality="quality"))

    @rule(parts=st.lists(st.one_of(runs(), st.lists(rows, max_size=20)), min_size=1, max_size=4))
    def write_bulk(self, parts: list[list[Row]]) -> None:
        with self.other.writer(note="bulk") as writer:
            for part in parts:
                writer.write(table(part), quality="quality")
        self.put((row for part in parts for row in part), writer.report, exact=False)

    @rule(part=runs(), more=st.lists(rows, max_size=5))
    def fail_to_write(self, part: list[Row], more: list[Row]) -> None:
        def write_and_fail() -> None:
            with self.store.writer() as writer:
                writer.write(table(part + part), quality="quality")
                writer.write(table(more), quality="quality")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_and_fail()

    @rule(key=st.sampled_from(KEYS), zone=st.sampled_from(["north", "south"]))
    def describe(self, key: str, zone: str) -> None:
        self.store.describe(key, quantity="water", unit="L", tags={"zone": zone})
        self.described[key] = zone
        self.known.add(key)

    @rule()
    def compact(self) -> None:
        orphans = self.orphan_count()
        report = self.other.compact()
        assert report.files_swept == orphans
        info = self.other.info()
        assert info.chunks + info.history_chunks == report.chunks_after
        assert info.commit - self.commit in (0, 1)
        self.commit = info.commit

    @rule(keys=st.sets(st.sampled_from(KEYS), min_size=1), span=spans)
    def delete(self, keys: set[str], span: Span) -> None:
        start, end = span
        ends = [None if time is None else instant(time) for time in (start, end)]
        if not keys <= self.known:
            with pytest.raises(sd.errors.UnknownSeriesError):
                self.store.delete(sorted(keys), *ends)
            return
        gone = self.selected(keys, start, end)
        report = self.store.delete(sorted(keys), *ends)
        assert report.readings == len(gone)
        for key, time, *_ in gone:
            del self.model[key, time]
        assert report.commit == (self.commit + 1 if gone else None)
        self.commit += bool(gone)

    @rule(keys=st.sets(st.sampled_from(KEYS), min_size=1, max_size=2))
    def erase(self, keys: set[str]) -> None:
        if not keys <= self.known:
            return
        report = self.store.erase(sorted(keys))
        assert report.readings == len(self.selected(keys, None, None))
        self.known -= keys
        for key in keys:
            self.described.pop(key, None)
        for model in (self.model, *self.past.values()):
            for place in [place for place in model if place[0] in keys]:
                del model[place]
        self.commit += 1
        assert report.commit == self.commit

    @rule(keep=st.sampled_from(["1d", "100d", "1y"]), now=times, pattern=st.sampled_from(["wm-*", "*"]))
    def remove_what_is_old(self, keep: str, now: int, pattern: str) -> None:
        """What is older is gone; of the past too, but where a named snapshot holds all of it."""
        self.store.set_retention([{"series": pattern, "keep": {"raw": keep}}])
        cut = now - {"1d": 1, "100d": 100, "1y": 365}[keep] * 24 * HOUR
        keys = {key for key in KEYS if pattern == "*" or key.startswith("wm-")}
        gone = self.selected(keys, None, cut)
        report = self.store.apply_retention(now=instant(now))
        assert report.readings_removed == len(gone)
        assert report.series == len({row[0] for row in gone})
        for key, time, *_ in gone:
            del self.model[key, time]
        before, self.commit = self.commit, self.store.info().commit
        assert report.commits == tuple(range(before + 1, self.commit + 1))
        if self.named:  # all is held, and each year went with a commit of its own
            years = sorted({year_of(row[1]) for row in gone})
            assert len(years) == len(report.commits)
            for year, commit in zip(years, report.commits, strict=True):
                left = [row[:2] for row in gone if year_of(row[1]) > year]
                self.past[commit] = self.model | {place: self.past[before][place] for place in left}
        elif report.commits:
            self.told_from = self.commit

    @rule(deep=st.booleans())
    def verify(self, deep: bool) -> None:
        report = self.other.verify(deep)
        assert report.problems == []
        assert report.orphans == self.orphan_count()

    @rule()
    def back_up_and_open_the_copy(self) -> None:
        """Into the same folder each time, so that the next copies what is new."""
        report = self.other.backup(f"{self.folder}/copy.sdts")
        assert report.commit == self.commit
        with sd.open(f"{self.folder}/copy.sdts", mode="r") as copy:
            assert rows_of(copy.query().to_arrow()) == self.selected(set(KEYS), None, None)
            for name, commit in self.named.items():
                assert rows_of(copy.query(as_of=name).to_arrow()) == self.selected(
                    set(KEYS), None, None, commit
                )
            assert copy.verify().problems == []

    @rule(part=runs())
    def crash(self, part: list[Row]) -> None:
        """A writer that dies leaves files at most, which a compaction sweeps, and no lock."""
        dying = sd.open(f"{self.folder}/city.sdts")
        writer = dying.writer()
        writer.__enter__()
        writer.write(table(part), quality="quality")
        writer._spill()
        writer._output.finish()
        dying.writing_catalog().close()  # as the death of its process does
        dying.close()

    def orphan_count(self) -> int:
        catalog = self.store.pin()[0]
        named = {row.name for past in (False, True) for row in catalog.chunk_rows(is_history=past)}
        return len({file.name for file in Path(f"{self.folder}/city.sdts/chunks").iterdir()} - named)

    @rule(horizon=st.sampled_from(["0d", "forever", "1y"]))
    def keep_history(self, horizon: str) -> None:
        self.store.keep_history(horizon)

    @rule(name=st.sampled_from(["bills", "audit"]))
    def name_or_release(self, name: str) -> None:
        if name in self.named:
            self.store.release(name)
            del self.named[name]
        else:
            self.named[name] = self.store.snapshot(name)
            assert self.named[name] == self.commit

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = sd.open(f"{self.folder}/city.sdts")

    @rule()
    def close_all(self) -> None:
        self.store.close()
        self.other.close()
        self.open()

    # -- looks

    def selected(
        self, keys: set[str], start: int | None, end: int | None, commit: int | None = None
    ) -> list[tuple[str, int, int, int]]:
        model = self.model if commit is None else self.past[commit]
        return sorted(
            (key, time, *reading)
            for (key, time), reading in model.items()
            if key in keys and (start is None or time >= start) and (end is None or time < end)
        )

    def query(self, start: int | None, end: int | None, **selection: object) -> sd.Query:
        return self.other.query(
            start=None if start is None else instant(start),
            end=None if end is None else instant(end),
            **selection,  # type: ignore[arg-type]
        )

    @invariant()
    def all_is_there(self) -> None:
        if not hasattr(self, "store"):
            return
        self.past.setdefault(self.commit, dict(self.model))
        expected = self.selected(set(KEYS), None, None)
        assert rows_of(self.store.query().to_arrow()) == expected
        info = self.store.info()
        assert (info.readings, info.series, info.commit) == (len(self.model), len(self.known), self.commit)
        found = [time for _, time in self.model]
        assert (info.time_min, info.time_max) == ((min(found), max(found)) if found else (None, None))

    @rule(
        span=spans,
        back=st.integers(0, 2),
        quality=st.sampled_from(["measured", "estimated", [0, 1], 255, ["suspect"]]),
    )
    def read_quality(self, span: Span, back: int, quality: object) -> None:
        start, end = span
        wanted = {"measured": {0}, "estimated": {1}, "255": {255}, "[0, 1]": {0, 1}}.get(str(quality), set())
        commit = max(self.commit - back, self.store._catalog.history_floor(), self.told_from)
        expected = [row for row in self.selected(set(KEYS), start, end, commit) if row[3] in wanted]
        query = self.query(start, end, quality=quality, as_of=commit if back else None)
        assert rows_of(query.to_arrow()) == expected
        assert rows_of(query.last().to_arrow()) == sorted({row[0]: row for row in expected}.values())
        check_buckets(expected, Calendar.parse("1d"), query.resample("1d", AGGREGATES).to_arrow())

    @rule(span=spans, keys=st.sets(st.sampled_from(KEYS), min_size=1))
    def read_span_of_keys(self, span: Span, keys: set[str]) -> None:
        start, end = span
        if keys <= self.known:
            result = self.query(start, end, series=list(keys)).to_arrow()
            assert rows_of(result) == self.selected(keys, start, end)
        else:
            with pytest.raises(sd.errors.UnknownSeriesError):
                self.query(start, end, series=list(keys)).to_arrow()

    @rule(span=spans, zone=st.sampled_from(["north", "south", "nowhere"]))
    def read_by_tag(self, span: Span, zone: str) -> None:
        start, end = span
        keys = {key for key, tagged in self.described.items() if tagged == zone}
        query = self.query(start, end, tags={"zone": zone})
        if self.store.info().series and not any(self.described.values()):
            with pytest.raises(sd.errors.UsageError, match="has a tag 'zone'"):
                query.to_arrow()
            return
        result = query.to_arrow()
        assert rows_of(result) == self.selected(keys, start, end)

    @rule(span=spans)
    def last(self, span: Span) -> None:
        start, end = span
        newest = {row[0]: row for row in self.selected(set(KEYS), start, end)}
        assert rows_of(self.query(start, end).last().to_arrow()) == sorted(newest.values())

    @rule(span=spans, back=st.integers(0, 12))
    def read_as_of(self, span: Span, back: int) -> None:
        start, end = span
        commit = max(self.commit - back, self.told_from)
        floor = self.store._catalog.history_floor()
        assert all(floor <= held for held in self.named.values())
        if commit < floor:
            with pytest.raises(sd.errors.HistoryError, match="begins with commit"):
                self.query(start, end, as_of=commit)
            return
        query = self.query(start, end, as_of=commit)
        expected = self.selected(set(KEYS), start, end, commit)
        assert rows_of(query.to_arrow()) == expected
        newest = {row[0]: row for row in expected}
        assert rows_of(query.last().to_arrow()) == sorted(newest.values())
        check_buckets(
            expected,
            Calendar.parse("1d", "Europe/Oslo"),
            query.resample("1d", AGGREGATES, "Europe/Oslo").to_arrow(),
        )

    @rule(data=st.data())
    def read_named(self, data: st.DataObject) -> None:
        if self.named:
            name = data.draw(st.sampled_from(sorted(self.named)))
            found = rows_of(self.other.query(as_of=name).to_arrow())
            assert found == self.selected(set(KEYS), None, None, self.named[name])

    @rule(back=st.integers(0, 12), count=st.integers(0, 12))
    def follow_changes(self, back: int, count: int) -> None:
        since = max(self.commit - back, self.store._catalog.history_floor(), self.told_from)
        until = min(since + count, self.commit)
        expected = []
        for commit in range(since + 1, until + 1):
            before, after = self.past[commit - 1], self.past[commit]
            for place in before.keys() | after.keys():
                old, new = before.get(place, (None, None)), after.get(place, (None, None))
                if old != new:
                    expected.append((*place, commit, *old, *new))
        found = self.store.changes(since, until).read_all()
        assert found["commit_time"].null_count == 0
        columns = [found["series"].to_pylist(), found["time"].cast(pa.int64()).to_pylist()]
        columns += [found["commit"].to_pylist()]
        for side in ("old_", ""):
            numbers = found[f"{side}value"].to_pylist()
            columns += [[None if value is None else bits(value) for value in numbers]]
            columns += [found[f"{side}quality"].to_pylist()]
        assert list(zip(*columns, strict=True)) == sorted(expected, key=lambda row: row[:3])

    @rule(
        span=spans,
        every=st.sampled_from(["15min", "1h", "1d", "1w", "1mo", "1y"]),
        tz=st.sampled_from(["UTC", "Europe/Oslo", "Asia/Kathmandu"]),
    )
    def resample(self, span: Span, every: str, tz: str) -> None:
        start, end = span
        found = self.selected(set(KEYS), start, end)
        result = self.query(start, end).resample(every, AGGREGATES, tz=tz).to_arrow()
        check_buckets(found, Calendar.parse(every, tz), result)


def check_buckets(found: list[tuple[str, int, int, int]], calendar: Calendar, result: pa.Table) -> None:
    """Hold aggregates to sums of fsum and to Python's min and max."""
    if not found:
        assert result.num_rows == 0
        return
    edges = calendar.edges(min(row[1] for row in found), max(row[1] for row in found) + 1)
    buckets: dict[tuple[str, int], list[float]] = defaultdict(list)
    for key, time, pattern, _ in found:
        if not math.isnan(double(pattern)):
            start = int(edges[np.searchsorted(edges, time, "right") - 1])
            buckets[key, start].append(double(pattern))
    starts = result["time"].cast(pa.int64()).to_pylist()
    assert list(zip(result["series"].to_pylist(), starts, strict=True)) == sorted(buckets)
    for row, (_, readings) in zip(result.to_pylist(), sorted(buckets.items()), strict=True):
        check_aggregates(readings, row)


def check_aggregates(readings: list[float], row: dict[str, float | None]) -> None:
    assert row["count"] == len(readings)
    assert (row["min"], row["max"]) == (min(readings), max(readings))
    assert row["first"] is not None
    assert bits(row["first"]) == bits(readings[0])
    assert row["last"] is not None
    assert bits(row["last"]) == bits(readings[-1])
    if not all(map(math.isfinite, readings)):
        total = sum(readings)
        assert row["sum"] == row["mean"] == (None if math.isnan(total) else total)
        return
    total = math.fsum(readings)
    slack = math.ulp(total) + len(readings) ** 2 * 2.0**-100 * max(map(abs, readings))
    assert row["sum"] is not None
    assert abs(row["sum"] - total) <= slack
    assert row["mean"] is not None
    assert abs(row["mean"] - total / len(readings)) <= 2 * slack
    if len(readings) == 1:
        assert row["std"] is None
    else:
        mean = total / len(readings)
        expected = math.sqrt(math.fsum((value - mean) ** 2 for value in readings) / (len(readings) - 1))
        assert row["std"] == pytest.approx(expected, rel=1e-9, abs=1e-12 * max(map(abs, readings)))


@pytest.fixture(params=["small limits", "true limits"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few readings make chunks, spills, merges of the head, slices and threads."""
    if request.param == "small limits":
        monkeypatch.setattr(writer_module, "HEAD_READINGS_MAX", 100)
        monkeypatch.setattr(writer_module, "HEAD_BLOBS_MAX", 3)
        monkeypatch.setattr(chunks_module, "CHUNK_READINGS_MAX", 90)
        monkeypatch.setattr(writer_module, "BUFFER_READINGS", 350)
        monkeypatch.setattr(writer_module, "KEPT_KEYS_MAX", 3)
        monkeypatch.setattr(scan, "SLICE_READINGS", 128)  # more than a head holds
        monkeypatch.setattr(resample, "_SLICE_CELLS", 100)
        monkeypatch.setattr(resample, "_BATCH_CELLS", 400)
        monkeypatch.setattr(threads_module, "_THREADS_FROM_READINGS", 250)


@pytest.mark.slow
@pytest.mark.usefixtures("limits")
def test_store_agrees_with_a_dict_of_readings_whatever_happens() -> None:
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
