"""smartdata_ts itself, through its public API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

import smartdata_ts as sd
from benchmarks.datasets import stream
from smartdata_ts.formats import import_file

from ._face import NotOffered, Peer

AGGREGATES = ["count", "min", "max", "mean", "first", "last"]


class Candidate(Peer):
    """A store of default settings."""

    package = "smartdata_ts"

    def version(self) -> str:
        """Return the version."""
        return str(sd.__version__)

    def load(self, target: Path, source: Path) -> int:
        """Write batch by batch in one commit."""
        with sd.open(target) as store, store.writer() as writer:
            for batch in stream(source):
                writer.write(batch)
        return int(writer.report.stored)

    load_ordered = load

    def compact(self, target: Path) -> None:
        """Compact, where the engine has such a step."""
        with sd.open(target) as store:
            if not hasattr(store, "compact"):
                raise NotOffered("no compaction")
            store.compact()

    def load_csv(self, target: Path, source: Path) -> int:
        """Import as the command line does."""
        with sd.open(target) as store:
            return import_file(store, source).stored

    def open(self, target: Path) -> None:
        """Open the store for reading and for single writes."""
        self.store = sd.open(target)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def daily(self, zone: str) -> pa.Table:
        """Resample by days."""
        return self.store.query().resample("1d", AGGREGATES, tz=zone).to_arrow()

    def last(self) -> pa.Table:
        """Ask for the newest reading of each series."""
        return self.store.query().last().to_arrow()

    def year(self, key: str) -> pa.Table:
        """Read one series."""
        return self.store.query(key).to_arrow()

    def hourly(self) -> pa.Table:
        """Sum consumption over all series."""
        hours = self.store.query().consumption().resample("1h", "sum").aggregate("sum")
        return hours.to_arrow().rename_columns({"sum": "value"})

    def monthly(self) -> pa.Table:
        """Resample consumption by local months, registers interpolated at their edges."""
        return self.store.query(tz="Europe/Oslo").consumption().resample("1mo", "sum").to_arrow()

    def streamed(self, task: str) -> Iterator[pa.RecordBatch]:
        """Fill, or roll."""
        query = self.store.query(tz="Europe/Oslo")
        wanted = {
            "fill_linear": lambda: query.fill("linear", limit=None, every="1h"),
            "fill_profile": lambda: query.fill("profile", limit=None),
            "rolling": lambda: query.rolling("24h", "mean"),
        }
        yield from wanted[task]().to_batches()

    def write_one(self, key: str, time_us: int, value: float) -> None:
        """Write one reading as an application would."""
        self.store.write({"series": key, "time": [time_us], "value": [value]})
