"""DuckDB over one Parquet file: DuckDB's queries, Parquet's bytes."""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.datasets import stream, write_parquet

from ._face import THREADS
from .native_duckdb import Candidate as NativeCandidate


class Candidate(NativeCandidate):
    """An in-memory database with a view of the file."""

    def load(self, target: Path, source: Path) -> int:
        """Write the file with pyarrow, which lets the encodings be chosen."""
        target.mkdir(exist_ok=True, parents=True)
        return write_parquet(target / "readings.parquet", stream(source))

    def load_ordered(self, target: Path, source: Path) -> int:
        """Not offered: a file is written once, in order."""
        return super(NativeCandidate, self).load_ordered(target, source)

    def load_csv(self, target: Path, source: Path) -> int:
        """Not offered: the same reader as DuckDB's table."""
        return super(NativeCandidate, self).load_csv(target, source)

    def open(self, target: Path) -> None:
        """Make the view."""
        self.database = duckdb.connect()
        self.database.execute(f"SET threads = {THREADS}; SET TimeZone = 'UTC'")
        self.database.execute(
            "CREATE VIEW readings AS SELECT series, time::TIMESTAMP AS time, value "
            f"FROM read_parquet('{target / 'readings.parquet'}')"
        )

    def write_one(self, key: str, time_us: int, value: float) -> None:
        """Not offered: a Parquet file cannot grow."""
        return super(NativeCandidate, self).write_one(key, time_us, value)
