"""pandas: a frame in memory, only over the first batches, as it holds 20 bytes a reading."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from benchmarks.datasets import stream, write_parquet

from ._face import Peer

ROWS_MAX = 2_500_000


class Candidate(Peer):
    """A frame with a categorical key, read from a part of the data set before the clock starts."""

    package = "pandas"
    part = True

    def load(self, target: Path, source: Path) -> int:
        """Keep whole batches (so whole meters) up to ROWS_MAX rows."""
        target.mkdir(exist_ok=True, parents=True)
        kept, rows = [], 0
        for batch in stream(source):
            if kept and rows + batch.num_rows > ROWS_MAX:
                break
            kept.append(batch)
            rows += batch.num_rows
        return write_parquet(target / "readings.parquet", kept)

    def open(self, target: Path) -> None:
        """Read the part."""
        self.frame = pd.read_parquet(target / "readings.parquet")
        self.frame["series"] = self.frame["series"].cat.remove_unused_categories()

    def daily(self, zone: str) -> pa.Table:
        """Floor to days (local days by way of the wall clock), then group."""
        time = self.frame["time"]
        if zone == "UTC":
            day = time.dt.floor("D").rename("day")
        else:
            day = time.dt.tz_convert(zone).dt.normalize().rename("day")
        groups = self.frame.groupby(["series", day], observed=True, sort=False)["value"]
        answer = groups.agg(["count", "min", "max", "mean", "first", "last"]).reset_index()
        return pa.Table.from_pandas(answer.rename(columns={"day": "time"}), preserve_index=False)

    def last(self) -> pa.Table:
        """Take the last row of each key."""
        answer = self.frame.groupby("series", observed=True, sort=False)[["time", "value"]].last()
        return pa.Table.from_pandas(answer.reset_index(), preserve_index=False)

    def year(self, key: str) -> pa.Table:
        """Filter by key."""
        wanted = self.frame[self.frame["series"] == key]
        return pa.Table.from_pandas(wanted[["time", "value"]], preserve_index=False)
