"""Polars over the same Parquet file, lazily; its thread count is set in the environment.

The file is sorted, so `first` and `last` within a group, whose order Polars keeps, are by time.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa

from benchmarks.datasets import stream, write_parquet

from ._face import Peer


class Candidate(Peer):
    """A lazy scan of one file."""

    package = "polars"

    def load(self, target: Path, source: Path) -> int:
        """Write the file with pyarrow, which lets the encodings be chosen."""
        target.mkdir(exist_ok=True, parents=True)
        return write_parquet(target / "readings.parquet", stream(source))

    def open(self, target: Path) -> None:
        """Scan: nothing is read yet."""
        self.readings = pl.scan_parquet(target / "readings.parquet")

    def _answer(self, query: pl.LazyFrame) -> pa.Table:
        return query.collect(engine="streaming").to_arrow()

    def daily(self, zone: str) -> pa.Table:
        """Truncate to days, then group."""
        time = pl.col("time") if zone == "UTC" else pl.col("time").dt.convert_time_zone(zone)
        value = pl.col("value")
        aggregates = [
            pl.len().alias("count"),
            value.min().alias("min"),
            value.max().alias("max"),
            value.mean().alias("mean"),
            value.first().alias("first"),
            value.last().alias("last"),
        ]
        return self._answer(
            self.readings.group_by("series", time.dt.truncate("1d").alias("day"))
            .agg(aggregates)
            .rename({"day": "time"})
        )

    def last(self) -> pa.Table:
        """Take the last row of each key."""
        return self._answer(
            self.readings.group_by("series").agg(pl.col("time").last(), pl.col("value").last())
        )

    def year(self, key: str) -> pa.Table:
        """Filter by key; row group statistics prune."""
        wanted = self.readings.filter(pl.col("series").cast(pl.String) == key)
        return self._answer(wanted.select("time", "value"))

    def monthly(self) -> pa.Table:
        """The last reading of a local month less the first."""
        local = pl.col("time").dt.convert_time_zone("Europe/Oslo").dt.truncate("1mo").alias("month")
        used = (pl.col("value").last() - pl.col("value").first()).alias("value")
        return self._answer(self.readings.group_by("series", local).agg(used).rename({"month": "time"}))

    def hourly(self) -> pa.Table:
        """Take differences of neighbours within a key, which the file's order makes possible."""
        same = pl.col("series") == pl.col("series").shift()
        used = pl.when(same).then(pl.col("value").diff()).alias("value")
        steps = self.readings.select(pl.col("time").dt.truncate("1h"), used).drop_nulls()
        return self._answer(steps.group_by("time").agg(pl.col("value").sum()))
