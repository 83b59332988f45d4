"""Aggregates across series: buckets of many series to one a group, with how complete each is."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from smartdata_ts._arrow_arrays import fixed_array
from smartdata_ts._scan import TIME_TYPE
from smartdata_ts._units import Conversion, common_unit, conversion
from smartdata_ts.errors import UnitError
from smartdata_ts.kernels import quantiles
from smartdata_ts.kernels._jit import Float64Array

HOWS = ("sum", "mean", "min", "max", "count", "median")
_COUNTS = ("count", "expected_count")
_SHARES = ("completeness", "estimated_share")
_GROUP = "group of series"  # by its number
_VALID = "valid "  # how many values a mean is of, beside their sum
_DIFFERENCES = ("sum", "std")  # converted without an offset
_LEVELS = re.compile(r"min|max|mean|first|last|median|p\d+(\.\d+)?")
_PERCENTILE = re.compile(r"p(\d{1,2}(\.\d+)?|100)")


def probability_of(how: str) -> float | None:
    """That of "median", or of a percentile such as "p95"; None where it is neither."""
    if how == "median":
        return 0.5
    match = _PERCENTILE.fullmatch(how) if isinstance(how, str) else None
    return float(match[1]) / 100 if match else None


@dataclass(frozen=True)
class Members:
    """The series that are aggregated, by position."""

    groups: np.ndarray  # the number of each one's group
    labels: list[tuple[str | None, ...]]  # the tags of each group, in order, null last
    unit: str | None  # of the result
    conversions: list[Conversion] | None  # None: all are in that unit


@dataclass(frozen=True)
class Across:
    """One row a group and bucket, of the buckets of all series with the same values of some tags."""

    how: str
    by: tuple[str, ...]  # names of tags
    min_completeness: float
    unit: str | None = None  # None: that which most series have

    def schema(self, source: pa.Schema, unit: str | None = None) -> pa.Schema:
        """The tags, the bucket's start, the aggregates, and how many series had a value."""
        tags = [pa.field(name, pa.string()) for name in self.by]
        metadata = None if unit is None or self.how == "count" else {"unit": unit}
        kind = pa.int64() if self.how == "count" else pa.float64()
        kept = [pa.field(name, kind, metadata=metadata) for name in self.values(source)]
        counts = [pa.field(name, pa.int64()) for name in (*_of(source, _COUNTS),)]
        shares = [pa.field(name, pa.float64()) for name in _of(source, _SHARES)]
        count = pa.field("series_count", pa.int64())
        time = pa.field("time", TIME_TYPE, nullable=False)
        return pa.schema([*tags, time, *kept, *counts, *shares, count])

    def values(self, source: pa.Schema) -> list[str]:
        """The columns that are aggregated."""
        return [name for name in source.names[2:] if name not in (*_COUNTS, *_SHARES)]

    def members(
        self,
        keys: list[str],
        tags: dict[str, list[str | None]],
        units: list[str | None],
        quantities: list[str | None],
    ) -> Members:
        """The series, and how their units become one; UnitError where they do not."""
        groups, labels = _grouped(tags, self.by, len(keys))
        if self.how == "count":
            return Members(groups, labels, None, None)
        common = common_unit(keys, units, quantities)
        target = common if self.unit is None else self.unit
        if target is None or set(units) <= {target}:
            return Members(groups, labels, target, None)
        if common is None:
            raise UnitError(f"series {keys[0]!r} has no unit; say it: store.describe({keys[0]!r}, unit=...)")
        known = {unit: conversion(str(unit), target) for unit in set(units)}
        return Members(groups, labels, target, [known[unit] for unit in units])

    def run(
        self, batches: Iterable[pa.RecordBatch], source: pa.Schema, members: Members
    ) -> Iterator[pa.RecordBatch]:
        """Fold batches of buckets."""
        opened = (self._opened(batch, members) for batch in batches)
        folded: pa.Table | None = None
        if (probability := probability_of(self.how)) is not None:
            tables = list(opened)
            folded = self._quantiles(pa.concat_tables(tables), source, probability) if tables else None
        else:
            for table in opened:
                part = self._fold(table, source)
                folded = part if folded is None else self._fold(pa.concat_tables([folded, part]), source)
        if folded is not None:
            yield from self._closed(folded, source, members).combine_chunks().to_batches()

    def _opened(self, batch: pa.RecordBatch, members: Members) -> pa.Table:
        """A batch with the group in the place of the series, and what the folding needs."""
        values = self.values(batch.schema)
        positions = np.asarray(batch.column("series").indices)
        columns = {_GROUP: pa.array(members.groups[positions])} if self.by else {}
        columns["time"] = batch.column("time")
        for name in values:
            column = batch.column(name)
            if members.conversions is not None:
                column = _converted(name, column, positions, members.conversions)
            valid = pc.cast(pc.is_valid(column), pa.int64())
            columns[name] = valid if self.how == "count" else column
            if self.how == "mean":
                columns[_VALID + name] = valid
        columns.update({name: batch.column(name) for name in _of(batch.schema, _COUNTS)})
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
        how = "sum" if self.how in ("mean", "count") else self.how
        return self._folded(table, [(name, how, None) for name in self.values(source)])

    def _quantiles(self, table: pa.Table, source: pa.Schema, probability: float) -> pa.Table:
        """One row a group and bucket, of the values of all."""
        names = self.values(source)
        folded = self._folded(table, [(name, "list", None) for name in names])
        for name in names:
            lists = folded[name].combine_chunks()
            values = _doubles(lists.flatten())
            bounds = np.asarray(lists.offsets).astype(np.int64)
            bounds -= bounds[0]
            results = np.empty(len(lists))
            room = np.empty(int(np.diff(bounds).max(initial=0)))
            status = quantiles.bucket_quantiles(bounds, values, np.array([probability]), room, results)
            assert status == results.size, "bounds are those of the lists"
            folded = folded.set_column(folded.schema.get_field_index(name), name, _nullable(results))
        return folded

    def _folded(self, table: pa.Table, wanted: list[tuple[str, str, object]]) -> pa.Table:
        sums = _of(table.schema, (*_SHARES, "count", "series_count"))
        sums += [name for name in table.schema.names if name.startswith(_VALID)]
        wanted = wanted + [(name, "sum", None) for name in sums]
        if "expected_count" in table.schema.names:  # where one series' is not known, that of all is not
            whole = pc.ScalarAggregateOptions(skip_nulls=False)
            wanted = [*wanted, ("expected_count", "sum", whole)]
        keys = [_GROUP, "time"] if self.by else ["time"]
        folded = table.group_by(keys, use_threads=False).aggregate(wanted)
        names = {f"{name}_{kind}": name for name, kind, _ in wanted}
        folded = folded.rename_columns([names.get(name, name) for name in folded.schema.names])
        return folded.select(table.schema.names)

    def _closed(self, folded: pa.Table, source: pa.Schema, members: Members) -> pa.Table:
        order = [(name, "ascending") for name in (_GROUP, "time") if name in folded.schema.names]
        folded = folded.sort_by(order)
        groups = np.asarray(folded[_GROUP]) if self.by else np.zeros(folded.num_rows, np.int32)
        sizes = np.bincount(members.groups, minlength=1)[groups].astype(np.float64)
        counts = folded["series_count"].to_numpy().astype(np.float64)
        shares = {name: _doubles(folded[name]) for name in _of(folded.schema, _SHARES)}
        complete = shares["completeness"] / sizes if "completeness" in shares else counts / sizes
        if "estimated_share" in shares:
            weight = shares.get("completeness", counts)
            with np.errstate(divide="ignore", invalid="ignore"):
                shares["estimated_share"] = shares["estimated_share"] / weight
        if "completeness" in shares:
            shares["completeness"] = complete
        columns = {name: folded[name] for name in ("time", *_of(folded.schema, _COUNTS))}
        for k, name in enumerate(self.by):
            columns[name] = pa.array([label[k] for label in members.labels], pa.string()).take(
                pa.array(groups)
            )
        for name in self.values(source):
            numbers = _doubles(folded[name])
            if self.how == "mean":
                with np.errstate(divide="ignore", invalid="ignore"):
                    numbers = numbers / _doubles(folded[_VALID + name])
            columns[name] = _nullable(np.where(complete >= self.min_completeness, numbers, np.nan))
        columns.update({name: _nullable(share) for name, share in shares.items()})
        columns["series_count"] = folded["series_count"]
        schema = self.schema(source, members.unit)
        return pa.table([pc.cast(columns[field.name], field.type) for field in schema], schema=schema)


def _grouped(
    tags: dict[str, list[str | None]], by: tuple[str, ...], count: int
) -> tuple[np.ndarray, list[tuple[str | None, ...]]]:
    """The number of each position's group, and the tags of each."""
    own = list(zip(*(tags[name] for name in by), strict=True)) if by else [()] * count
    labels = sorted(set(own), key=lambda values: [(value is None, value or "") for value in values])
    numbers = {label: number for number, label in enumerate(labels)}
    return np.array([numbers[label] for label in own], np.int32), labels


def _of(schema: pa.Schema, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in schema.names]


def _converted(name: str, column: pa.Array, positions: np.ndarray, conversions: list[Conversion]) -> pa.Array:
    """A column of aggregates with every series' own unit turned into that of all."""
    offsets = np.array([known.offset for known in conversions])
    is_level = _LEVELS.fullmatch(name) is not None
    if not is_level and name not in _DIFFERENCES:
        raise UnitError(f"{name} of series in different units cannot be converted; select those of one unit")
    if name == "sum" and offsets.any():
        raise UnitError("sums of series in different units of temperature do not mix; aggregate their mean")
    numerators = np.array([known.numerator for known in conversions])[positions]
    denominators = np.array([known.denominator for known in conversions])[positions]
    numbers = _doubles(column) * numerators / denominators
    return _nullable(numbers + offsets[positions] if is_level else numbers)


def _doubles(column: pa.ChunkedArray | pa.Array) -> Float64Array:
    return np.ascontiguousarray(pc.fill_null(pc.cast(column, pa.float64()), np.nan))


def _nullable(numbers: Float64Array) -> pa.Array:
    return fixed_array(numbers, nulls=np.isnan(numbers))
