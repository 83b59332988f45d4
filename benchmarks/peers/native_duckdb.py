"""DuckDB's own table: keys as an ENUM, times as UTC TIMESTAMP (without the zone: it is faster).

The table keeps the order of insertion, so zone maps prune the point query. `arg_min` and
`arg_max` by time give first and last: DuckDB's `first` depends on the order in which threads meet.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.datasets import stream
from benchmarks.w1 import SCHEMA

from ._face import THREADS, Peer

DAILY = """
SELECT series, {start} AS time, count(*) AS count, min(value) AS min, max(value) AS max,
       avg(value) AS mean, arg_min(value, time) AS first, arg_max(value, time) AS last
FROM (SELECT series, time, value, {day} AS day FROM readings) GROUP BY series, day
"""
# `lag` over the table's own order (by series, then time) streams: 0.15 s on 1,000 meters, where
# PARTITION BY series ORDER BY time, which sorts anew, takes 0.38 s (runs in alternation).
HOURLY = """
SELECT date_trunc('hour', time) AS time, sum(used) AS value FROM (
  SELECT time, CASE WHEN series = lag(series) OVER () THEN value - lag(value) OVER () END AS used
  FROM readings)
WHERE used IS NOT NULL GROUP BY 1
"""
# The last reading of a month less the first: what is used between two months is lost.
MONTHLY = """
SELECT series, date_trunc('month', (time AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Oslo') AS time,
       arg_max(value, time) - arg_min(value, time) AS value
FROM readings GROUP BY 1, 2
"""
LAST = """
SELECT series, max(time) AS time, arg_max(value, time) AS value FROM readings GROUP BY series
"""


def daily_sql(zone: str) -> str:
    """Return the query for the days of `zone`, a group key first and its UTC instant after."""
    if zone == "UTC":
        return DAILY.format(day="time::DATE", start="day::TIMESTAMP")
    return DAILY.format(
        day=f"((time AT TIME ZONE 'UTC') AT TIME ZONE '{zone}')::DATE",
        start=f"(day::TIMESTAMP AT TIME ZONE '{zone}') AT TIME ZONE 'UTC'",
    )


class Candidate(Peer):
    """A database file with one table."""

    package = "duckdb"

    def _connect(self, target: Path) -> None:
        target.mkdir(exist_ok=True, parents=True)
        self.database = duckdb.connect(target / "readings.duckdb")
        self.database.execute(f"SET threads = {THREADS}")

    def _create(self, target: Path, keys: list[str]) -> None:
        self._connect(target)
        names = ", ".join(f"'{key}'" for key in keys)
        self.database.execute(f"CREATE TYPE key AS ENUM ({names})")
        self.database.execute("CREATE TABLE readings (series key, time TIMESTAMP, value DOUBLE)")

    def load(self, target: Path, source: Path) -> int:
        """Insert from a stream of batches."""
        keys = next(stream(source))["series"].dictionary.to_pylist()
        self._create(target, keys)
        reader = pa.RecordBatchReader.from_batches(SCHEMA, stream(source))
        self.database.register("incoming", reader)
        self.database.execute("SET TimeZone = 'UTC'")
        self.database.execute("INSERT INTO readings SELECT series, time, value FROM incoming")
        return self._finish()

    def _finish(self) -> int:
        self.database.execute("CHECKPOINT")
        rows: int = self.database.execute("SELECT count(*) FROM readings").fetchall()[0][0]
        self.close()
        return rows

    load_ordered = load

    def load_csv(self, target: Path, source: Path) -> int:
        """Import with the column types given, keys as text: they are not known beforehand."""
        self._connect(target)
        self.database.execute("CREATE TABLE readings (series TEXT, time TIMESTAMP, value DOUBLE)")
        columns = "{'series': 'TEXT', 'time': 'TIMESTAMP', 'value': 'DOUBLE'}"
        self.database.execute(
            f"INSERT INTO readings SELECT * FROM read_csv('{source}', header = true, "
            f"delim = ',', columns = {columns})"
        )
        return self._finish()

    def open(self, target: Path) -> None:
        """Connect."""
        self._connect(target)

    def close(self) -> None:
        """Disconnect."""
        self.database.close()

    def _table(self, sql: str, parameters: list[str] | None = None) -> pa.Table:
        # `sql`, not `execute`: the latter copies the rows once more, as DuckDB itself warns.
        return self.database.sql(sql, params=parameters).to_arrow_table()

    def daily(self, zone: str) -> pa.Table:
        """Group by key and date."""
        return self._table(daily_sql(zone))

    def last(self) -> pa.Table:
        """Group by key."""
        return self._table(LAST)

    def year(self, key: str) -> pa.Table:
        """Filter by key."""
        return self._table("SELECT time, value FROM readings WHERE series = ? ORDER BY time", [key])

    def hourly(self) -> pa.Table:
        """Take differences of neighbours, then group by hour."""
        return self._table(HOURLY)

    def monthly(self) -> pa.Table:
        """Group by key and local month."""
        return self._table(MONTHLY)

    def write_one(self, key: str, time_us: int, value: float) -> None:
        """Insert one row in its own transaction; the write-ahead log is synced at commit."""
        self.database.execute("INSERT INTO readings VALUES (?, make_timestamp(?), ?)", [key, time_us, value])
