"""Aggregates across series: buckets of many series to one a group, with how complete each is."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.units import Conversion, common_unit, conversion
from smartdata_ts._readings.arrow import doubles_of, fixed_array, numbers_of, text_array
from smartdata_ts._readings.schema import TIME_TYPE
from smartdata_ts._steps.folding import COUNT_OF, MAX, MIN, SUM, SUM_OF_ALL, Part, Places, concatenated, fold
from smartdata_ts._steps.frame import TIME_FIELD
from smartdata_ts._steps.step import Known, WholeStep
from smartdata_ts.errors import UnitError
from smartdata_ts.kernels.arrays import Float64Array
from smartdata_ts.kernels.buckets import quantiles

HOWS = ("sum", "mean", "min", "max", "count", "median")
_COUNTS = ("count", "expected_count")
_SHARES = ("completeness", "estimated_share")

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
class Across(WholeStep):
    """One row a group and bucket, of the buckets of all series with the same values of some tags."""

    how: str
    by: tuple[str, ...]  # names of tags
    min_completeness: float
    unit: str | None = None  # None: that which most series have
    method = "aggregate"

    def arguments(self) -> dict[str, Any]:
        """The fields, by their own names."""
        return {**vars(self), "by": list(self.by)}

    def tie_of_series(self, is_open: bool) -> str | None:
        """A row is of many series."""
        del is_open
        return "aggregate() makes one row of many series"

    def tie_of_times(self, is_open: bool) -> str | None:
        """Each bucket is folded by itself."""
        del is_open
        return None

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that make a group."""
        return self.by

    def schema(self, source: pa.Schema, unit: str | None = None) -> pa.Schema:
        """The tags, the bucket's start, the aggregates, and how many series had a value."""
        tags = [pa.field(name, pa.string()) for name in self.by]
        metadata = None if unit is None or self.how == "count" else {"unit": unit}
        kind = pa.int64() if self.how == "count" else pa.float64()
        kept = [pa.field(name, kind, metadata=metadata) for name in values_of(source)]
        counts = [pa.field(name, pa.int64()) for name in (*_of(source, _COUNTS),)]
        shares = [pa.field(name, pa.float64()) for name in _of(source, _SHARES)]
        count = pa.field("series_count", pa.int64())
        return pa.schema([*tags, TIME_FIELD, *kept, *counts, *shares, count])

    def opened(self, source: pa.Schema, known: Known) -> "Groups":
        """The groups of the series, and how their units become one; UnitError where they do not."""
        assert known.facts is not None
        groups, labels = _grouped(known.tags, self.by, len(known.keys))
        if self.how == "count":
            return Groups(self, source, groups, labels, None, None)
        units = known.units()
        common = common_unit(known.keys, units, known.facts.quantities)
        target = common if self.unit is None else self.unit
        if target is None or set(units) <= {target}:
            return Groups(self, source, groups, labels, target, None)
        if common is None:
            key = known.keys[0].as_py()
            raise UnitError(f"series {key!r} has no unit; say it: store.describe({key!r}, unit=...)")
        conversions = {unit: conversion(str(unit), target) for unit in set(units)}
        return Groups(self, source, groups, labels, target, [conversions[unit] for unit in units])


@dataclass(frozen=True)
class Groups:
    """The aggregate of certain series: their groups, and how their units become one."""

    across: Across
    source: pa.Schema
    groups: np.ndarray  # the number of each position's group
    labels: list[tuple[str | None, ...]]  # the tags of each group, in order, null last
    unit: str | None  # of the result
    conversions: list[Conversion] | None  # None: all are in that unit

    @property
    def schema(self) -> pa.Schema:
        """That of the step, with the unit."""
        return self.across.schema(self.source, self.unit)

    @property
    def values(self) -> list[str]:
        """The columns that are aggregated."""
        return values_of(self.source)

    @property
    def probability(self) -> float | None:
        """Where the aggregate is a quantile, which one."""
        return probability_of(self.across.how)

    @property
    def hows(self) -> dict[str, int]:
        """How each column is folded."""
        hows = dict.fromkeys(self.values, {"min": MIN, "max": MAX}.get(self.across.how, SUM))
        # Where one series' expected count is not known, that of all is not.
        counts = _of(self.source, _COUNTS)
        hows |= {name: SUM_OF_ALL if name == "expected_count" else SUM for name in counts}
        return hows | dict.fromkeys(_of(self.source, _SHARES), SUM)

    def part_of(self, batch: pa.RecordBatch) -> Part:
        """A batch of buckets, folded; for quantiles, which want every value, its rows."""
        rows = self._opened(batch)
        return rows if self.probability is not None else fold([rows], self.hows, self.values)

    def run(self, parts: Iterable[Part]) -> Iterator[pa.RecordBatch]:
        """The result of all parts, in one batch."""
        hows, values = self.hows, self.values
        if self.probability is None:
            folded = fold(parts, hows | {COUNT_OF + name: SUM for name in values})
        else:
            rows = list(parts)
            folded = fold(rows, hows, values)
            if rows:
                self._put_quantiles(concatenated(rows), folded, self.probability)
        if folded.times.size:
            yield self._closed(folded)

    def _opened(self, batch: pa.RecordBatch) -> Part:
        """A batch with the group in the place of the series, and shares that sum up."""
        positions = numbers_of(batch.column("series").indices)
        columns = {name: doubles_of(batch.column(name)) for name in self.hows}
        for name in self.values:
            if self.conversions is not None:
                columns[name] = _converted(name, columns[name], positions, self.conversions)
        if "estimated_share" in columns:
            weight = columns.get("completeness", ~np.isnan(columns[self.values[0]]))
            columns["estimated_share"] = columns["estimated_share"] * weight
        times = numbers_of(batch.column("time").view(pa.int64()))
        return Part(self.groups[positions], times, columns)

    def _put_quantiles(self, rows: Part, folded: Part, probability: float) -> None:
        """Put the quantiles of all values in the place of their sums."""
        places = Places()
        numbers = places.numbers_of(rows.groups, rows.times)
        order = np.argsort(numbers, kind="stable")
        counts = np.bincount(numbers)
        bounds = np.concatenate([[0], np.cumsum(counts)])
        room, results = np.empty(int(counts.max())), np.empty(counts.size)
        for name in self.values:
            values = rows.columns[name][order]
            status = quantiles.bucket_quantiles(bounds, values, np.array([probability]), room, results)
            assert status == results.size, "bounds are those of the places"
            folded.columns[name] = results.copy()

    def _closed(self, folded: Part) -> pa.RecordBatch:
        """One row a group and bucket, in their order."""
        order = np.lexsort((folded.times, folded.groups))
        groups, times = folded.groups[order], folded.times[order]
        columns = {name: column[order] for name, column in folded.columns.items()}
        values = self.values
        sizes = np.bincount(self.groups, minlength=1)[groups].astype(np.float64)
        counts = columns[COUNT_OF + values[0]]
        if "estimated_share" in columns:
            with np.errstate(divide="ignore", invalid="ignore"):
                columns["estimated_share"] = columns["estimated_share"] / columns.get("completeness", counts)
        complete = counts / sizes
        if "completeness" in columns:
            complete = columns["completeness"] = columns["completeness"] / sizes
        for name in values:
            if self.across.how == "mean":
                with np.errstate(divide="ignore", invalid="ignore"):
                    columns[name] = columns[name] / columns[COUNT_OF + name]
            if self.across.how == "count":
                columns[name] = columns[COUNT_OF + name]
            columns[name] = np.where(complete >= self.across.min_completeness, columns[name], np.nan)
        columns["series_count"] = counts
        schema = self.schema
        by = self.across.by
        tags = {name: text_array([label[k] for label in self.labels]) for k, name in enumerate(by)}
        found: list[pa.Array] = []
        for field in schema:
            if field.name in tags:
                found.append(tags[field.name].take(fixed_array(groups)))
            elif field.name == "time":
                found.append(fixed_array(times, TIME_TYPE))
            else:
                found.append(_nullable(columns[field.name], field.type))
        return pa.record_batch(found, schema=schema)


def _grouped(
    tags: dict[str, list[str | None]], by: tuple[str, ...], count: int
) -> tuple[np.ndarray, list[tuple[str | None, ...]]]:
    """The number of each position's group, and the tags of each."""
    own = list(zip(*(tags[name] for name in by), strict=True)) if by else [()] * count
    labels = sorted(set(own), key=lambda values: [(value is None, value or "") for value in values])
    numbers = {label: number for number, label in enumerate(labels)}
    return np.array([numbers[label] for label in own], np.int32), labels


def values_of(source: pa.Schema) -> list[str]:
    """The columns of buckets that are aggregated."""
    return [name for name in source.names[2:] if name not in (*_COUNTS, *_SHARES)]


def _of(schema: pa.Schema, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in schema.names]


def _converted(
    name: str, numbers: Float64Array, positions: np.ndarray, conversions: list[Conversion]
) -> Float64Array:
    """A column of aggregates with every series' own unit turned into that of all."""
    offsets = np.array([known.offset for known in conversions])
    is_level = _LEVELS.fullmatch(name) is not None
    if not is_level and name not in _DIFFERENCES:
        raise UnitError(f"{name} of series in different units cannot be converted; select those of one unit")
    if name == "sum" and offsets.any():
        raise UnitError("sums of series in different units of temperature do not mix; aggregate their mean")
    numerators = np.array([known.numerator for known in conversions])[positions]
    denominators = np.array([known.denominator for known in conversions])[positions]
    scaled: Float64Array = numbers * numerators / denominators
    return scaled + offsets[positions] if is_level else scaled


def _nullable(numbers: Float64Array, kind: pa.DataType) -> pa.Array:
    nulls = np.isnan(numbers)
    if kind == pa.int64():
        numbers = np.where(nulls, 0, numbers).astype(np.int64)
    return fixed_array(numbers, nulls=nulls if nulls.any() else None)
