"""The life of a store, told by a seed: operations one after the other, and what must be there after each.

Whoever runs a life can be killed, or fail, at any instant; what is found then must be what was there after
the operations that had returned, or after one more, which was on its way.
"""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import smartdata_ts as sd
from smartdata_ts._write import chunks as chunks_module
from smartdata_ts._write import writer as writer_module
from smartdata_ts.errors import UnknownSeriesError

HOUR = 3_600_000_000
YEAR = 8766 * HOUR
KEYS = ["wm-1", "wm-2", "Ødegård", "~"]

Model = dict[tuple[str, int], float]

# So that few readings make chunks, spills, merges of the head and compactions.
SMALL_LIMITS = [
    (writer_module, "HEAD_READINGS_MAX", 100),
    (writer_module, "HEAD_BLOBS_MAX", 4),
    (writer_module, "BUFFER_READINGS", 350),
    (chunks_module, "CHUNK_READINGS_MAX", 120),
]


@contextmanager
def small_limits() -> Iterator[None]:
    """Let few readings do what many do."""
    before = [getattr(module, name) for module, name, _ in SMALL_LIMITS]
    for module, name, value in SMALL_LIMITS:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(SMALL_LIMITS, before, strict=True):
            setattr(module, name, value)


@dataclass(frozen=True)
class Write:
    """One write; `parts` beyond the first go through one writer, batch by batch."""

    parts: tuple[tuple[tuple[str, int, float], ...], ...]
    note: str = "life"

    def run(self, store: sd.Store) -> None:
        with store.writer(note=self.note) as writer:
            for part in self.parts:
                series, time, value = (list(column) for column in zip(*part, strict=True))
                writer.write({"series": series, "time": time, "value": np.array(value)})

    def apply(self, model: Model) -> None:
        model.update({(key, time): value for part in self.parts for key, time, value in part})


@dataclass(frozen=True)
class Compact:
    """A compaction, which changes no answer."""

    def run(self, store: sd.Store) -> None:
        store.compact()

    def apply(self, model: Model) -> None:
        pass


@dataclass(frozen=True)
class Delete:
    """A series loses what it has within a span."""

    key: str
    start: int
    end: int

    def run(self, store: sd.Store) -> None:
        store.delete(self.key, np.datetime64(self.start, "us"), np.datetime64(self.end, "us"))

    def apply(self, model: Model) -> None:
        for key, time in list(model):
            if key == self.key and self.start <= time < self.end:
                del model[key, time]


@dataclass(frozen=True)
class Erase:
    """A series goes without a trace."""

    key: str

    def run(self, store: sd.Store) -> None:
        with suppress(UnknownSeriesError):  # erased by a writer that was killed before it could tell
            store.erase(self.key)

    def apply(self, model: Model) -> None:
        for key, time in list(model):
            if key == self.key:
                del model[key, time]


Operation = Write | Compact | Delete | Erase


def operations(seed: int) -> Iterator[Operation]:
    """An endless life. Each write leaves a value that none before it left."""
    choose = random.Random(seed)
    known: set[str] = set()
    for number in range(10**9):
        operation = _operation(choose, number, sorted(known))
        if isinstance(operation, Write):
            known |= {key for part in operation.parts for key, _, _ in part}
        elif isinstance(operation, Erase):
            known.remove(operation.key)
        yield operation


def _operation(choose: random.Random, number: int, known: list[str]) -> Operation:
    kind, note = choose.random(), f"write {number}"
    if kind < 0.1 and known:
        start = choose.randint(0, 2) * YEAR + choose.randint(0, 500) * HOUR
        return Delete(choose.choice(known), start, start + choose.randint(1, 600) * HOUR)
    if kind < 0.13 and known:
        return Erase(choose.choice(known))
    if kind < 0.25:
        return Compact()
    if kind < 0.4:
        parts = [_run(choose, number, choose.randint(100, 400)) for _ in range(choose.randint(1, 3))]
        return Write((*parts, _scattered(choose, number, 3)), note)
    if kind < 0.55:
        return Write((_run(choose, number, choose.randint(20, 90)),), note)
    return Write((_scattered(choose, number, choose.randint(1, 4)),), note)


def _scattered(choose: random.Random, number: int, count: int) -> tuple[tuple[str, int, float], ...]:
    return tuple(
        (choose.choice(KEYS), choose.randint(0, 3) * YEAR + choose.randint(0, 500) * HOUR, number + k / 8)
        for k in range(count)
    )


def _run(choose: random.Random, number: int, count: int) -> tuple[tuple[str, int, float], ...]:
    key, first = choose.choice(KEYS), choose.randint(0, 2) * YEAR + choose.randint(0, 400) * HOUR
    return tuple((key, first + k * HOUR, number + 1 / 16 + k / 1024) for k in range(count))


class Oracle:
    """What a life must have left behind after each of its operations."""

    def __init__(self, seed: int) -> None:
        self._operations = operations(seed)
        self._done: list[Operation] = []
        self._models: list[Model] = [{}]

    def after(self, count: int) -> Model:
        while len(self._models) <= count:
            model = dict(self._models[-1])
            self._done.append(next(self._operations))
            self._done[-1].apply(model)
            self._models.append(model)
        return self._models[count]

    def check_commits(self, store: sd.Store, count: int) -> None:
        """Each write has made one commit, in their order, and the store as of the last is the present."""
        notes = [note for note in store.commits()["note"].to_pylist() if note and note.startswith("write ")]
        assert notes == [operation.note for operation in self._done[:count] if isinstance(operation, Write)]
        assert store.query(as_of=store.info().commit).to_arrow() == store.query().to_arrow()


def contents(store: sd.Store) -> Model:
    """All readings, as a query gives them; each (series, time) must come once, and in order."""
    table = store.query().to_arrow()
    times = np.asarray(table["time"].cast("int64")).tolist()
    rows = list(zip(table["series"].to_pylist(), times, strict=True))
    assert rows == sorted(set(rows)), "readings come twice, or out of order"
    assert not np.asarray(table["quality"]).any()
    return dict(zip(rows, table["value"].to_pylist(), strict=True))


def check(store: sd.Store, expected: Model) -> None:
    """Hold every way of asking to what must be there."""
    assert contents(store) == expected
    assert store.info().readings == len(expected)
    newest: dict[str, tuple[int, float]] = {}
    for (key, time), value in expected.items():
        newest[key] = max(newest.get(key, (time, value)), (time, value))
    last = store.query().last().to_arrow().to_pydict()
    assert dict(zip(last["series"], last["value"], strict=True)) == {
        key: value for key, (_, value) in newest.items()
    }
    counts = store.query().resample("1y", "count").to_arrow()
    assert sum(counts["count"].to_pylist()) == len(expected)


def named_chunks(directory: Path) -> set[str]:
    """The chunks that the catalog names."""
    connection = sqlite3.connect(directory / "catalog.sqlite")
    try:
        return {name for (name,) in connection.execute("SELECT name FROM chunk")}
    finally:
        connection.close()


def check_no_leaks(store: sd.Store, directory: Path) -> None:
    """After a compaction, the store's files are those that its catalog names, and SQLite's own."""
    store.compact()
    assert {path.name for path in (directory / "chunks").iterdir()} == named_chunks(directory)
    others = {path.name for path in directory.iterdir()} - {"chunks"}
    assert others <= {"catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm", "write.lock"}
