"""Aggregates across series: buckets of many series to one a group, with how complete each is."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smartdata_ts._arrow_arrays import fixed_array
from smartdata_ts._scan import TIME_TYPE
from smartdata_ts.kernels._jit import Float64Array

_SHARES = ("completeness", "estimated_share")
HOWS = ("sum", "mean", "min", "max")


@dataclass(frozen=True)
class Across:
    """One row a group and bucket, of the buckets of all series with the same values of some tags."""

    how: str
    by: tuple[str, ...]  # names of tags
    min_completeness: float

    def schema(self, source: pa.Schema) -> pa.Schema:
        """The tags, the bucket's start, the aggregates, and how many series had a value."""
        tags = [pa.field(name, pa.string()) for name in self.by]
        kept = [pa.field(name, pa.float64()) for name in self.values(source)]
        shares = [pa.field(name, pa.float64()) for name in _SHARES if name in source.names]
        count = pa.field("series_count", pa.int64())
        return pa.schema([*tags, pa.field("time", TIME_TYPE, nullable=False), *kept, *shares, count])

    def values(self, source: pa.Schema) -> list[str]:
        """The columns that are aggregated."""
        return [name for name in source.names[2:] if name != "count" and name not in _SHARES]

    def run(
        self,
        batches: Iterable[pa.RecordBatch],
        source: pa.Schema,
        tags: dict[str, list[str | None]],
        series_count: int,
    ) -> Iterator[pa.RecordBatch]:
        """Fold batches of buckets; `tags` are each position's."""
        groups = pa.table({name: pa.array(tags[name], pa.string()) for name in self.by})
        members: Counter[tuple[str | None, ...]] = Counter({(): series_count})
        if self.by:
            members = Counter(zip(*(tags[name] for name in self.by), strict=True))
        folded: pa.Table | None = None
        for batch in batches:
            part = self._fold(self._opened(batch, groups), source)
            folded = part if folded is None else self._fold(pa.concat_tables([folded, part]), source)
        if folded is not None:
            yield from self._closed(folded, source, members).combine_chunks().to_batches()

    def _opened(self, batch: pa.RecordBatch, groups: pa.Table) -> pa.Table:
        """A batch with the tags in the place of the series, and what the folding needs."""
        values = self.values(batch.schema)
        positions = batch.column("series").indices
        columns = {name: groups[name].take(positions) for name in self.by}
        columns["time"] = batch.column("time")
        columns.update({name: batch.column(name) for name in values})
        columns["series_count"] = pc.cast(pc.is_valid(batch.column(values[0])), pa.int64())
        if "completeness" in batch.schema.names:
            columns["completeness"] = batch.column("completeness")
        if "estimated_share" in batch.schema.names:
            weight = columns.get("completeness", columns["series_count"])
            columns["estimated_share"] = pc.multiply(
                batch.column("estimated_share"), pc.cast(weight, pa.float64())
            )
        return pa.table(columns)

    def _fold(self, table: pa.Table, source: pa.Schema) -> pa.Table:
        values = self.values(source)
        sums = [name for name in (*_SHARES, "series_count") if name in table.schema.names]
        how = "sum" if self.how == "mean" else self.how
        wanted = [(name, how) for name in values] + [(name, "sum") for name in sums]
        folded = table.group_by([*self.by, "time"], use_threads=False).aggregate(wanted)
        names = {f"{name}_{kind}": name for name, kind in wanted}
        return folded.rename_columns([names.get(name, name) for name in folded.schema.names]).select(
            table.schema.names
        )

    def _closed(
        self, folded: pa.Table, source: pa.Schema, members: Counter[tuple[str | None, ...]]
    ) -> pa.Table:
        folded = folded.sort_by([(name, "ascending") for name in (*self.by, "time")])
        keys = zip(*(folded[name].to_pylist() for name in self.by), strict=True) if self.by else None
        sizes = np.array([members[key] for key in keys] if keys else [members[()]] * folded.num_rows, float)
        counts = folded["series_count"].to_numpy().astype(np.float64)
        shares = {name: _doubles(folded[name]) for name in _SHARES if name in folded.schema.names}
        complete = shares["completeness"] / sizes if "completeness" in shares else counts / sizes
        if "estimated_share" in shares:
            weight = shares.get("completeness", counts)
            with np.errstate(divide="ignore", invalid="ignore"):
                shares["estimated_share"] = shares["estimated_share"] / weight
        if "completeness" in shares:
            shares["completeness"] = complete
        columns = {name: folded[name] for name in (*self.by, "time")}
        for name in self.values(source):
            numbers = _doubles(folded[name])
            if self.how == "mean":
                with np.errstate(divide="ignore", invalid="ignore"):
                    numbers = numbers / counts
            columns[name] = _nullable(np.where(complete >= self.min_completeness, numbers, np.nan))
        columns.update({name: _nullable(share) for name, share in shares.items()})
        columns["series_count"] = folded["series_count"]
        schema = self.schema(source)
        return pa.table([columns[name] for name in schema.names], schema=schema)


def _doubles(column: pa.ChunkedArray) -> Float64Array:
    return np.asarray(pc.fill_null(pc.cast(column, pa.float64()), np.nan))


def _nullable(numbers: Float64Array) -> pa.Array:
    return fixed_array(numbers, nulls=np.isnan(numbers))
