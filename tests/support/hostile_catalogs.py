"""A program that puts into a store's catalog what no store has: `python hostile_catalogs.py STORE EVERY`.

Each column of each table in turn is set to values of other types and sizes, with right checksums, as who
means harm would; of these harms every EVERY-th is done. Every question and every change must end in an
answer or a SmartDataError, in ten seconds and another gigabyte of memory. Prints a line for each that does
not.
"""

import resource
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

import smartdata_ts as sd
from smartdata_ts._storage.catalog.commits import _CHUNK_COLUMNS, _digest
from smartdata_ts.errors import SmartDataError

MEMORY_MAX = 1 << 30
HANG_S = 10
HOUR = 3_600_000_000
VALUES: list[object] = [None, "", "text", "../../x", b"bytes\0", -1, 0, 2**31, 2**62, -(2**63), 1e308, "\0"]
TEXTS = [
    "[]",
    "{}",
    "null",
    "[1]",
    "[[]]",
    '[{"x": 1}]',
    '[{"keep": {"raw": 1}}]',
    "[" * 100_000,
    "9" * 10_000,
]
CHECKED = {
    "chunk": _CHUNK_COLUMNS,
    "commits": ("id", "time_us", "note", "reading_count"),
}

QUESTIONS: dict[str, Callable[[sd.Store], object]] = {
    "read": lambda store: store.query().to_arrow(),
    "skip": lambda store: store.query(on_corrupt="skip").losses(),
    "tag": lambda store: store.query(tags={"zone": "north"}).to_arrow(),
    "daily": lambda store: store.query().resample("1d", ["count", "completeness"]).to_arrow(),
    "consumption": lambda store: store.query().consumption().to_arrow(),
    "fill": lambda store: store.query().fill("linear").to_arrow(),
    "zones": lambda store: store.query().resample("1d", "sum").aggregate("sum", by="zone").to_arrow(),
    "last": lambda store: store.query().last().to_arrow(),
    "past": lambda store: store.query(as_of=2).to_arrow(),
    "series": lambda store: store.series(),
    "exchanges": lambda store: store.exchanges(),
    "commits": lambda store: store.commits(),
    "changes": lambda store: list(store.changes(since=1)),
    "snapshots": lambda store: store.snapshots(),
    "retention": lambda store: store.retention(),
    "verify": lambda store: store.verify(deep=True),
    "info": lambda store: store.info(),
}
CHANGES: dict[str, Callable[[sd.Store], object]] = {
    "write": lambda store: store.write({"series": ["wm-1", "new"], "time": [HOUR, 0], "value": [1.0, 2.0]}),
    "describe": lambda store: store.describe("wm-1", unit="m3"),
    "delete": lambda store: store.delete("wm-1", end="1970-01-02"),
    "compact": lambda store: store.compact(),
    "erase": lambda store: store.erase("wm-2"),
}


def make(path: Path) -> None:
    """A store with something in every table but `erasure`."""
    times = np.arange(130) * HOUR
    with sd.open(path) as store:
        store.describe(
            "wm-1", quantity="water", unit="L", kind="register", interval="1h", tags={"zone": "north"}
        )
        store.describe("wm-1", decimals=1, register_digits=5, multiplier=1.0)
        for key in ("wm-1", "wm-2"):
            store.write({"series": key, "time": times, "value": times / HOUR})
        store.compact()
        store.write({"series": "wm-1", "time": times[:20], "value": times[:20] / 7})
        store.compact()
        store.delete("wm-2", start="1970-01-05")
        store.exchange("wm-1", "1970-01-02", final=30.0)
        store.snapshot("then")
        store.set_retention([{"keep": {"raw": "30y"}}])
        store.write({"series": "wm-1", "time": [200 * HOUR], "value": [300.0]})


def harms(path: Path) -> Iterator[tuple[str, str, object]]:
    """Table, column and value of each harm."""
    with closing(sqlite3.connect(path / "catalog.sqlite")) as catalog:
        names = [
            "store",
            "series",
            "tag",
            "exchange",
            "commits",
            "chunk",
            "head",
            "deletion",
            "snapshot",
            "erasure",
        ]
        for table in names:
            for _, column, *_ in catalog.execute(f"PRAGMA table_info({table})").fetchall():
                for value in VALUES:
                    yield table, column, value
        for (name,) in catalog.execute("SELECT name FROM store").fetchall():
            for value in (*VALUES, *TEXTS):
                yield f"store where name = '{name}'", "value", value


def put(path: Path, table: str, column: str, value: object) -> bool:
    """Do a harm; whether SQLite takes it."""
    with closing(sqlite3.connect(path / "catalog.sqlite")) as catalog:
        catalog.execute("PRAGMA ignore_check_constraints = ON")
        try:
            if table == "erasure":
                catalog.execute("INSERT INTO erasure VALUES (?)", (value,))
            else:
                name, _, which = table.partition(" where ")
                where = f"WHERE {which}" if which else ""
                catalog.execute(f"UPDATE OR FAIL {name} SET {column} = ? {where}", (value,))
            for name in CHECKED.get(table, ()) and [table]:
                columns = CHECKED[name]
                for row in catalog.execute(f"SELECT rowid, {', '.join(columns)} FROM {name}").fetchall():
                    if column != "checksum" and not any(isinstance(cell, bytes) for cell in row):
                        sql = f"UPDATE {name} SET checksum = ? WHERE rowid = ?"
                        catalog.execute(sql, (_digest(row[1:]), row[0]))
        except (sqlite3.Error, OverflowError):
            pass  # at the second row, perhaps: a key is there once
        catalog.commit()
        return catalog.total_changes > 0


def ends_of(path: Path, mode: str, asked: dict[str, Callable[[sd.Store], object]]) -> Iterator[str]:
    """What ended otherwise than it may."""
    try:
        store = sd.open(path, mode)
    except SmartDataError:
        return
    except Exception as problem:
        yield f"open {mode}: {problem!r}"
        return
    with store:
        for name, ask in asked.items():
            signal.alarm(HANG_S)
            try:
                ask(store)
            except SmartDataError:
                pass
            except Exception as problem:
                yield f"{name}: {problem!r}"
            signal.alarm(0)


def main(base: Path, every: int) -> int:
    make(base)
    for mode, asked in (("r", QUESTIONS), ("a", CHANGES)):  # loads all that is needed
        shutil.copytree(base, base.with_name(f"copy-{mode}"))
        assert not list(ends_of(base.with_name(f"copy-{mode}"), mode, asked))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_MAX,) * 2)
    done = 0
    for table, column, value in list(harms(base))[::every]:
        with tempfile.TemporaryDirectory(dir=base.parent) as folder:
            path = Path(folder) / "city.sdts"
            shutil.copytree(base, path)
            if not put(path, table, column, value):
                continue
            done += 1
            sys.stdout.write(f"{table}.{column} = {value!r}")
            sys.stdout.flush()
            for mode, asked in (("r", QUESTIONS), ("a", CHANGES)):
                for end in ends_of(path, mode, asked):
                    sys.stdout.write(f" wrong: {end}")
            sys.stdout.write("\n")
    return 0 if done > 300 // every else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
