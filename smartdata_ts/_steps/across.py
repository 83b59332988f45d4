"""Aggregates across series: buckets of many series to one a group, with how complete each is."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.units import Conversion, common_unit, conversion
from smartdata_ts._readings.arrow import doubles_of, fixed_array, numbers_of, text_array
from smartdata_ts._readings.schema import TIME_TYPE
from smartdata_ts._steps.folding import COUNT_OF, MAX, MIN, SUM, SUM_OF_ALL, Part, Places, concatenated, fold
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

    def hows(self, source: pa.Schema) -> dict[str, int]:
        """How each column is folded."""
        values = {"min": MIN, "max": MAX}.get(self.how, SUM)
        hows = dict.fromkeys(self.values(source), values)
        # Where one series' expected count is not known, that of all is not.
        hows |= {name: SUM_OF_ALL if name == "expected_count" else SUM for name in _of(source, _COUNTS)}
        return hows | dict.fromkeys(_of(source, _SHARES), SUM)

    def members(
        self,
        keys: pa.StringArray,
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
            key = keys[0].as_py()
            raise UnitError(f"series {key!r} has no unit; say it: store.describe({key!r}, unit=...)")
        known = {unit: conversion(str(unit), target) for unit in set(units)}
        return Members(groups, labels, target, [known[unit] for unit in units])

    def part_of(self, batch: pa.RecordBatch, members: Members) -> Part:
        """What a batch of buckets comes to: folded, but for quantiles, which want every value."""
        rows = self._opened(batch, members)
        if probability_of(self.how) is not None:
            return rows
        return fold([rows], self.hows(batch.schema), self.values(batch.schema))

    def run(self, parts: Iterable[Part], source: pa.Schema, members: Members) -> Iterator[pa.RecordBatch]:
        """What the parts come to, which `part_of` made of batches."""
        hows, values = self.hows(source), self.values(source)
        if (probability := probability_of(self.how)) is None:
            folded = fold(parts, hows | {COUNT_OF + name: SUM for name in values})
        else:
            rows = list(parts)
            folded = fold(rows, hows, values)
            if rows:
                self._put_quantiles(concatenated(rows), folded, source, probability)
        if folded.times.size:
            yield self._closed(folded, source, members)

    def _opened(self, batch: pa.RecordBatch, members: Members) -> Part:
        """A batch with the group in the place of the series, and shares that sum up."""
        positions = numbers_of(batch.column("series").indices)
        columns = {name: doubles_of(batch.column(name)) for name in self.hows(batch.schema)}
        for name in self.values(batch.schema):
            if members.conversions is not None:
                columns[name] = _converted(name, columns[name], positions, members.conversions)
        if "estimated_share" in columns:
            weight = columns.get("completeness", ~np.isnan(columns[self.values(batch.schema)[0]]))
            columns["estimated_share"] = columns["estimated_share"] * weight
        times = numbers_of(batch.column("time").view(pa.int64()))
        return Part(members.groups[positions], times, columns)

    def _put_quantiles(self, rows: Part, folded: Part, source: pa.Schema, probability: float) -> None:
        """Those of all values in the place of their sums."""
        places = Places()
        numbers = places.numbers_of(rows.groups, rows.times)
        order = np.argsort(numbers, kind="stable")
        counts = np.bincount(numbers)
        bounds = np.concatenate([[0], np.cumsum(counts)])
        room, results = np.empty(int(counts.max())), np.empty(counts.size)
        for name in self.values(source):
            values = rows.columns[name][order]
            status = quantiles.bucket_quantiles(bounds, values, np.array([probability]), room, results)
            assert status == results.size, "bounds are those of the places"
            folded.columns[name] = results.copy()

    def _closed(self, folded: Part, source: pa.Schema, members: Members) -> pa.RecordBatch:
        """One row a group and bucket, in their order."""
        order = np.lexsort((folded.times, folded.groups))
        groups, times = folded.groups[order], folded.times[order]
        columns = {name: column[order] for name, column in folded.columns.items()}
        values = self.values(source)
        sizes = np.bincount(members.groups, minlength=1)[groups].astype(np.float64)
        counts = columns[COUNT_OF + values[0]]
        if "estimated_share" in columns:
            with np.errstate(divide="ignore", invalid="ignore"):
                columns["estimated_share"] = columns["estimated_share"] / columns.get("completeness", counts)
        complete = counts / sizes
        if "completeness" in columns:
            complete = columns["completeness"] = columns["completeness"] / sizes
        for name in values:
            if self.how == "mean":
                with np.errstate(divide="ignore", invalid="ignore"):
                    columns[name] = columns[name] / columns[COUNT_OF + name]
            if self.how == "count":
                columns[name] = columns[COUNT_OF + name]
            columns[name] = np.where(complete >= self.min_completeness, columns[name], np.nan)
        columns["series_count"] = counts
        schema = self.schema(source, members.unit)
        tags = {name: text_array([label[k] for label in members.labels]) for k, name in enumerate(self.by)}
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
