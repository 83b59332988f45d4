"""The face that every peer wears: load a data set into a target, open it, answer five questions.

Answers are Arrow tables, made within the time that is measured. Row order is free.
- daily:  series, time (the day's start, UTC), count, min, max, mean, first, last
- last:   series, time, value
- year:   time, value
- hourly: time (UTC hour), value: the sum over all meters of value minus the meter's previous
  value, counted to the hour in which the later of the two stands
"""

# ruff: noqa: ARG002 - the face names arguments that only subclasses use
from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pyarrow as pa

THREADS = 2


class NotOffered(Exception):  # noqa: N818 - it reads as a word in a table's cell, not as a failure
    """The peer has no such operation; the message is the word for the table's cell."""


class Peer:
    """One engine under test. What a subclass does not override is not offered."""

    name = ""
    package = ""
    part = False  # holds a part of the data set only

    def version(self) -> str:
        """Return the installed version; raise where the package is absent."""
        return metadata.version(self.package)

    def load(self, target: Path, source: Path) -> int:
        """Store an Arrow IPC stream sorted by series and time; return the rows stored."""
        raise NotOffered("no load")

    def load_ordered(self, target: Path, source: Path) -> int:
        """Store an Arrow IPC stream in time order; return the rows stored."""
        raise NotOffered("no load in time order")

    def compact(self, target: Path) -> None:
        """Bring a loaded target into its smallest form."""
        raise NotOffered("no compaction")

    def size(self, target: Path) -> int:
        """Return the bytes allocated under `target`; a sparse file counts by its blocks."""
        return sum(f.stat().st_blocks * 512 for f in target.rglob("*") if f.is_file())

    def load_csv(self, target: Path, source: Path) -> int:
        """Store a CSV of series, ISO time, value; return the rows stored."""
        raise NotOffered("no CSV import")

    def open(self, target: Path) -> None:
        """Make ready for questions."""
        raise NotOffered("size only")

    def close(self) -> None:
        """Let go of what `open` took."""

    def daily(self, zone: str) -> pa.Table:
        """Aggregate every meter by the days of `zone`."""
        raise NotOffered("not offered")

    def last(self) -> pa.Table:
        """Return the last reading of every meter."""
        raise NotOffered("not offered")

    def year(self, key: str) -> pa.Table:
        """Return all readings of one meter in the order of time."""
        raise NotOffered("not offered")

    def hourly(self) -> pa.Table:
        """Return the consumption of all meters, hour by hour."""
        raise NotOffered("not offered")

    def monthly(self) -> pa.Table:
        """Return the consumption of every meter by the months of Europe/Oslo."""
        raise NotOffered("not offered")

    def streamed(self, task: str) -> Iterator[pa.RecordBatch]:
        """Yield what a task of STREAMED makes of every meter, batch by batch."""
        raise NotOffered("not offered")

    def write_one(self, key: str, time_us: int, value: float) -> None:
        """Store one reading in an open target; on disk, past the cache, when it returns."""
        raise NotOffered("no durable single write")
