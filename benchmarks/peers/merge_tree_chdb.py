"""chDB (ClickHouse in the process): MergeTree by (series, time), DoubleDelta and Delta under ZSTD(3).

Delta on the bits of the values was the smallest of those tried: 1.24 B a value on W1 (200 meters),
where ZSTD alone gives 2.73, FPC 3.31 and Gorilla 4.83; the real set has 0.80 to 1.05 B.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from chdb.session import Session

from ._face import THREADS, Peer

CREATE = """
CREATE TABLE {table} (
  series LowCardinality(String) CODEC(ZSTD(3)),
  time DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(3)),
  value Float64 CODEC({codec}, ZSTD(3))
) ENGINE = MergeTree ORDER BY (series, time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
DAILY = """
SELECT series, {start} AS time, count() AS count, min(value) AS min, max(value) AS max,
       avg(value) AS mean, argMin(value, r.time) AS first, argMax(value, r.time) AS last
FROM readings AS r GROUP BY series, toStartOfDay(r.time, '{zone}') AS day
"""
HOURLY = """
SELECT toDateTime64(hour, 6, 'UTC') AS time, sum(used) AS value FROM (
  SELECT toStartOfHour(r.time) AS hour, value - lagInFrame(toNullable(value)) OVER
    (PARTITION BY series ORDER BY r.time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS used
  FROM readings AS r)
WHERE used IS NOT NULL GROUP BY hour
"""
LAST = "SELECT series, max(r.time) AS time, argMax(value, r.time) AS value FROM readings AS r GROUP BY 1"

ACTIVE_BYTES = "SELECT sum(bytes_on_disk) FROM system.parts WHERE table = 'readings' AND active"


class Candidate(Peer):
    """A table in a folder, without a server."""

    package = "chdb"
    codec = "Delta"

    def open(self, target: Path) -> None:
        """Connect."""
        target.mkdir(exist_ok=True, parents=True)
        self.session = Session(str(target))
        self.session.query(f"SET max_threads = {THREADS}, max_insert_threads = {THREADS}")
        self.session.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
        self.session.query("USE bench")

    def close(self) -> None:
        """Disconnect."""
        self.session.close()

    def _fill(self, target: Path, source: str) -> int:
        self.open(target)
        self.session.query(CREATE.format(table="readings", codec=self.codec))
        self.session.query(f"INSERT INTO readings SELECT series, time, value FROM {source}")
        rows = int(str(self.session.query("SELECT count() FROM readings")))
        self.close()
        return rows

    def load(self, target: Path, source: Path) -> int:
        """Insert from the Arrow stream's file, which chDB reads by itself."""
        return self._fill(target, f"file('{source}', 'ArrowStream')")

    load_ordered = load

    def compact(self, target: Path) -> None:
        """Merge all parts into one."""
        self.open(target)
        self.session.query("OPTIMIZE TABLE readings FINAL")
        self.close()

    def size(self, target: Path) -> int:
        """Return the bytes of active parts; merged ones stay on disk for some minutes more."""
        self.open(target)
        answer = self.session.query(ACTIVE_BYTES)
        self.close()
        return int(str(answer))

    def load_csv(self, target: Path, source: Path) -> int:
        """Import with the column types given."""
        columns = "series String, time DateTime64(6, ''UTC''), value Float64".replace("''", "\\'")
        return self._fill(target, f"file('{source}', 'CSVWithNames', '{columns}')")

    def _table(self, sql: str) -> pa.Table:
        return self.session.query(sql, "ArrowTable")

    def daily(self, zone: str) -> pa.Table:
        """Group by key and day."""
        return self._table(DAILY.format(start="toDateTime64(day, 6, 'UTC')", zone=zone))

    def last(self) -> pa.Table:
        """Group by key."""
        return self._table(LAST)

    def year(self, key: str) -> pa.Table:
        """Filter by key, which the primary index finds."""
        return self._table(f"SELECT time, value FROM readings WHERE series = '{key}' ORDER BY time")

    def hourly(self) -> pa.Table:
        """Take differences by a window function, then group by hour."""
        return self._table(HOURLY)

    def write_one(self, key: str, time_us: int, value: float) -> None:
        """Insert one row as a part of its own, synced."""
        self.session.query(
            "INSERT INTO readings SETTINGS async_insert = 0 VALUES "
            f"('{key}', fromUnixTimestamp64Micro({time_us}), {value!r})"
        )
