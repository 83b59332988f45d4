"""Rows of series beside the rows of others that are nearest in time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smartdata_ts._readings.columns import series_starts
from smartdata_ts._steps.step import Known, WholeStep
from smartdata_ts._time.calendar import width_text
from smartdata_ts._time.span import TIME_MAX
from smartdata_ts.errors import UsageError
from smartdata_ts.kernels.arrays import Int64Array
from smartdata_ts.kernels.rows import asof

DIRECTIONS = {"backward": asof.BACKWARD, "forward": asof.FORWARD, "nearest": asof.NEAREST}
PREFIX = "other_"


class Other(Protocol):
    """A query, as far as a join needs it."""

    @property
    def schema(self) -> pa.Schema:
        """That of its result."""

    def to_arrow(self) -> pa.Table:
        """Its rows, sorted by series and time."""

    def tags_by_key(self, name: str) -> dict[str, str | None]:
        """A tag of every series that it selects."""


@dataclass(frozen=True)
class Join(WholeStep):
    """To every row the nearest one of another query."""

    other: Any  # an Other; a query cannot be named here
    direction: str
    tolerance_us: int
    by: str | None  # the tag that two series must share; None: the other query has one series
    method = "join_asof"
    needs_facts = False

    def arguments(self) -> dict[str, Any]:
        """The other query as it is, and the rules."""
        tolerance = None if self.tolerance_us == TIME_MAX else width_text(self.tolerance_us)
        return {"other": self.other, "tolerance": tolerance, "direction": self.direction, "by": self.by}

    @property
    def tags(self) -> tuple[str, ...]:
        """The tag that two series share."""
        return () if self.by is None else (self.by,)

    @property
    def others(self) -> list[pa.Field]:
        """The columns of the other query that are taken over."""
        schema: pa.Schema = self.other.schema
        return [field for field in schema if field.name != "series" or self.by is not None]

    def schema(self, source: pa.Schema) -> pa.Schema:
        """The rows' own columns, then the other's; null where there is no row near enough."""
        others = [field.with_name(PREFIX + field.name).with_nullable(True) for field in self.others]
        return pa.schema([*source, *others])

    def opened(self, source: pa.Schema, known: Known) -> "Joined":
        """The join, with the tag of each series."""
        nothing: list[str | None] = [None] * len(known.keys)
        tags = nothing if self.by is None else known.tags[self.by]
        return Joined(self, self.schema(source), tags)


@dataclass(frozen=True)
class Joined:
    """The join of certain series."""

    join: Join
    schema: pa.Schema
    tags: list[str | None]  # the value of `by`, by position

    def part_of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch as it is."""
        return batch

    def run(self, parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Join batches, one by one; the other query's rows are held in memory."""
        other = self.join.other.to_arrow().combine_chunks().unify_dictionaries()
        times = _times(other)
        firsts, ends = self._ranges(other)
        for batch in parts:
            positions = np.asarray(batch.column("series").indices)
            starts = series_starts(positions)
            bounds = np.append(starts, positions.size).astype(np.int64)
            own = positions[starts]
            matches = np.empty(positions.size, np.int64)
            ranges, rule = (firsts[own], ends[own]), (self.join.tolerance_us, DIRECTIONS[self.join.direction])
            status = asof.match_asof(bounds, _times(batch), *ranges, times, *rule, matches)
            assert status == positions.size, "the columns fit each other"
            index = pa.array(matches, mask=matches == asof.NO_MATCH)
            found = [other[field.name].combine_chunks().take(index) for field in self.join.others]
            yield pa.record_batch([*batch.columns, *found], schema=self.schema)

    def _ranges(self, other: pa.Table) -> tuple[Int64Array, Int64Array]:
        """The rows of the other query that each position is matched with."""
        rows = _rows_by_key(other)
        if self.join.by is None:
            if len(rows) > 1:
                several = ", ".join(map(repr, list(rows)[:3]))
                raise UsageError(
                    f"join_asof() needs one series to join with, not {len(rows)} ({several}); select one, or"
                    " say by which tag they belong together: join_asof(..., by='zone')"
                )
            ranges = [next(iter(rows.values()), (0, 0))] * len(self.tags)
        else:
            by_value = self._by_value(rows, self.join.by)
            ranges = [(0, 0) if value is None else by_value.get(value, (0, 0)) for value in self.tags]
        columns = np.array(ranges, np.int64).reshape(-1, 2)
        return columns[:, 0].copy(), columns[:, 1].copy()

    def _by_value(self, rows: dict[str, tuple[int, int]], by: str) -> dict[str | None, tuple[int, int]]:
        found: dict[str | None, str] = {}
        tags = self.join.other.tags_by_key(by)
        for key in rows:
            value = tags.get(key)
            if value in found and value is not None:
                raise UsageError(
                    f"join_asof() by {by!r}: both {found[value]!r} and {key!r} have the value {value!r};"
                    " select one of them"
                )
            found[value] = key
        return {value: rows[key] for value, key in found.items()}


def _rows_by_key(table: pa.Table) -> dict[str, tuple[int, int]]:
    """First row and end of each series that has rows."""
    if table.num_rows == 0:
        return {}
    column = table["series"].combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    positions = np.asarray(column.indices)
    starts = series_starts(positions)
    ends = np.append(starts[1:], positions.size)
    keys = column.dictionary.take(pa.array(positions[starts])).to_pylist()
    return {key: (int(a), int(b)) for key, a, b in zip(keys, starts, ends, strict=True)}


def _times(rows: pa.Table | pa.RecordBatch) -> Int64Array:
    column = rows["time"] if isinstance(rows, pa.Table) else rows.column("time")
    return np.ascontiguousarray(pc.cast(column, pa.int64())).astype(np.int64)
