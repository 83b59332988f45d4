"""Aggregates that need all values of a bucket at once: quantiles, histograms, functions of users."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._steps import shares
from smartdata_ts._steps.bucketed import Bucketed
from smartdata_ts._steps.buckets import Buckets
from smartdata_ts._steps.frame import SERIES_FIELD, TIME_FIELD, Context, Frame, intervals_of
from smartdata_ts._steps.resample import AGGREGATES
from smartdata_ts._steps.step import FrameStep
from smartdata_ts._time.calendar import Calendar, Edges
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.errors import UsageError
from smartdata_ts.kernels.arrays import Float64Array, Int64Array
from smartdata_ts.kernels.buckets import cells as kernel_cells
from smartdata_ts.kernels.buckets import quantiles, reduce
from smartdata_ts.kernels.buckets.growth import Wanted
from smartdata_ts.kernels.compiler.user_functions import loop_over_buckets

# Aggregates of readings; and of amounts, where some are split at a bucket's edges.
OF_READINGS = (*AGGREGATES, *shares.SHARES)
OF_AMOUNTS = ("count", "min", "max", "mean", "std", "sum", *shares.SHARES)
_SPLIT = ("sum", *shares.SHARES)


@dataclass(frozen=True)
class Quantile:
    """The value below which a share of the values lies."""

    probability: float

    @property
    def argument(self) -> str:
        """The percentile's name, which is read as this very probability."""
        if self.probability == 0.5:
            return "median"
        near = self.probability * 100
        for percent in (near, np.nextafter(near, 0), np.nextafter(near, 100)):
            if percent / 100 == self.probability:
                return "p" + np.format_float_positional(percent, trim="-")
        raise AssertionError("a probability is a percentile")


@dataclass(frozen=True)
class Histogram:
    """How many values lie below the first edge, between edges, and from the last edge on."""

    edges: tuple[float, ...]

    @property
    def argument(self) -> list[float]:
        """The edges."""
        return list(self.edges)


@dataclass(frozen=True)
class Function:
    """A function that a user gave, of the values."""

    function: Callable[..., Any]

    @property
    def argument(self) -> Callable[..., Any]:
        """The function."""
        return self.function


Measure = Quantile | Histogram | Function


@dataclass(frozen=True)
class BucketValues(Bucketed, FrameStep):
    """Aggregates over buckets of the rows that begin in them; NaN is no value."""

    calendar: Calendar | Edges
    columns: tuple[tuple[str, str | Measure], ...]  # name, and what it is
    empty: bool
    of_amounts: bool = False
    minds_span = True

    @property
    def measures(self) -> dict[str, str | Measure]:
        """The columns by name."""
        return dict(self.columns)

    def arguments(self) -> dict[str, Any]:
        """The aggregates as a mapping, unless a list must come to this step."""
        found = super().arguments()
        listed = found["aggregates"]
        if isinstance(listed, list) and all(isinstance(what, str) for _, what in self.columns):
            found["aggregates"] = dict(self.columns)
        return found

    @property
    def of_intervals(self) -> bool:
        """Whether they are amounts."""
        return self.of_amounts

    def schema(self, source: pa.Schema) -> pa.Schema:  # noqa: ARG002, every step has this face
        """Series, bucket start, and a column per aggregate; counts are int64, histograms lists of them."""
        return pa.schema([SERIES_FIELD, TIME_FIELD, *(_field(name, what) for name, what in self.columns)])

    def run(self, frame: Frame, context: Context) -> Frame:
        """One row a bucket that has a value, or a bucket of the span where `empty`."""
        inside = (frame.starts >= context.time_min) & (frame.starts <= context.time_max)
        rows = frame.select(np.flatnonzero(inside & ~np.isnan(frame.values)))
        slots, starts, ends, bounds = self._buckets(rows, context)
        told = {what for _, what in self.columns if isinstance(what, str)}
        split = told.intersection(_SPLIT) if self.of_amounts else set()
        built_in = _built_in(sorted(told.intersection(AGGREGATES) - split), rows, bounds)
        if not self.of_amounts and told.intersection(shares.SHARES):
            built_in |= _shares(rows, context, bounds, slots, ends - starts)
        columns = {
            name: built_in[what] if isinstance(what, str) else _measure(what, rows, bounds)
            for name, what in self.columns
            if what not in split
        }
        nothing = np.zeros(slots.size, np.uint8)
        values = nothing.astype(float)
        own = Frame(frame.first, frame.end, slots, starts, ends, values, nothing, columns)
        return self._beside_split(own, frame, context, sorted(split)) if split else own

    def _beside_split(self, own: Frame, frame: Frame, context: Context, names: list[str]) -> Frame:
        """The buckets with what is split at their edges: all that an amount reaches into."""
        split = Buckets(self.calendar, tuple(names), self.empty).run(frame, context)
        places = _places(own, split)
        columns = {}
        for name, what in self.columns:
            if name not in own.columns:
                columns[name] = split.columns[str(what)]
                continue
            column = own.columns[name]
            empty = np.nan if column.dtype == np.float64 else 0
            columns[name] = np.full((split.slots.size, *column.shape[1:]), empty, column.dtype)
            columns[name][places] = column
        return replace(split, columns=columns)

    def _buckets(
        self, rows: Frame, context: Context
    ) -> tuple[np.ndarray, Int64Array, Int64Array, Int64Array]:
        """Slot, start and end of every bucket to tell of, and its rows: bounds[k] to bounds[k + 1]."""
        slot_bounds = rows.bounds()
        slots, starts, ends, firsts = [], [], [], []
        for slot in range(rows.end - rows.first):
            times = rows.starts[slot_bounds[slot] : slot_bounds[slot + 1]]
            low, high = self._span(times, context)
            if low > high:
                continue
            edges = context.edges(self.calendar, low, high + 1)
            places = np.searchsorted(times, edges)
            wanted = np.flatnonzero(np.diff(places) > 0) if not self.empty else np.arange(edges.size - 1)
            slots.append(np.full(wanted.size, slot, np.int32))
            starts.append(edges[wanted])
            ends.append(edges[wanted + 1])
            firsts.append(places[wanted] + slot_bounds[slot])
        if not slots:
            return np.empty(0, np.int32), *(np.empty(0, np.int64),) * 2, np.zeros(1, np.int64)
        bounds = np.append(np.concatenate(firsts), rows.slots.size).astype(np.int64)
        return np.concatenate(slots), np.concatenate(starts), np.concatenate(ends), bounds

    def _span(self, times: Int64Array, context: Context) -> tuple[int, int]:
        """The first and the last instant whose buckets have a row; low > high: none has."""
        low, high = (int(times[0]), int(times[-1])) if times.size else (TIME_MAX, TIME_MIN)
        if self.empty:
            low = min(low, context.extent[0]) if context.time_min == TIME_MIN else context.time_min
            high = max(high, context.extent[1]) if context.time_max == TIME_MAX else context.time_max
        return low, high


def _places(own: Frame, all_buckets: Frame) -> Int64Array:
    """The place of each bucket among all: an amount that begins in a bucket reaches into it too."""
    bounds = all_buckets.bounds()
    places = np.empty(own.slots.size, np.int64)
    for slot, (first, end) in enumerate(zip(own.bounds()[:-1], own.bounds()[1:], strict=True)):
        among = all_buckets.starts[bounds[slot] : bounds[slot + 1]]
        places[first:end] = bounds[slot] + np.searchsorted(among, own.starts[first:end])
    assert (all_buckets.starts[places] == own.starts).all(), "an amount reaches into the bucket it begins in"
    return places


def _shares(
    rows: Frame, context: Context, bounds: Int64Array, slots: np.ndarray, widths: Int64Array
) -> dict[str, np.ndarray]:
    """How complete buckets of readings are, and how much of them is estimated."""
    own = rows.bounds()
    told = intervals_of(rows, context)
    steps = np.where(told > 0, told, shares.usual_spacings(own, rows.starts))
    counts = np.diff(bounds)
    expected = shares.expected_counts(widths, steps[slots])
    before = np.concatenate([[0], np.cumsum(shares.ESTIMATES[rows.qualities])])
    estimates = before[bounds[1:]] - before[bounds[:-1]]
    return {
        "expected_count": expected,
        "completeness": shares.completeness_of(counts, expected),
        "estimated_share": np.where(counts > 0, estimates / np.maximum(counts, 1), np.nan),
    }


def _measure(what: Measure, rows: Frame, bounds: Int64Array) -> np.ndarray:
    count = bounds.size - 1
    if isinstance(what, Histogram):
        counts = np.empty(count * (len(what.edges) + 1), np.int64)
        status = quantiles.bucket_histograms(bounds, rows.values, np.array(what.edges), counts)
        assert status == count, "bounds and rooms are ours"
        return counts.reshape(count, len(what.edges) + 1)
    results = np.full(count, np.nan)
    if isinstance(what, Quantile):
        scratch = np.empty(int(np.diff(bounds).max(initial=0)))
        wanted = np.array([what.probability])
        status = quantiles.bucket_quantiles(bounds, rows.values, wanted, scratch, results)
        assert status == count, "bounds and rooms are ours"
    else:
        _call(what, bounds, rows, results)
    return results


def _call(what: Function, bounds: Int64Array, rows: Frame, results: Float64Array) -> None:
    """Fill in what the function gives for each bucket that has a value."""
    times, values = rows.starts.view(), rows.values.view()
    times.flags.writeable = values.flags.writeable = False
    try:
        loop_over_buckets(what.function)(bounds, times, values, results)
    except (ArithmeticError, ValueError, IndexError) as problem:
        name = getattr(what.function, "__name__", "the function")
        raise UsageError(f"resample: {name} failed on a bucket's values: {problem}") from problem


def _built_in(names: list[str], rows: Frame, bounds: Int64Array) -> dict[str, np.ndarray]:
    """By the kernel that reduces readings on every other path: a bucket is a slot with one cell."""
    count = bounds.size - 1
    if not names or not count:
        return {name: np.empty(0, np.int64 if name == "count" else np.float64) for name in names}
    cells = np.zeros(count * kernel_cells.CELL_FIELDS)
    wanted = Wanted(TIME_MIN, TIME_MAX, squares="std" in names, sums=True)
    # All of time; the last instant of it is no reading's, see Store.query.
    edges = np.array([TIME_MIN, TIME_MAX])
    slots = np.repeat(np.arange(count, dtype=np.int32), np.diff(bounds))
    reduce.reduce_columns(slots, rows.starts, rows.values, edges, wanted, cells)
    columns = np.empty((len(names), count))
    codes = np.array([AGGREGATES[name] for name in names], np.int64)
    rows_of, starts = np.empty(count, np.int32), np.empty(count, np.int64)
    sink = kernel_cells.AggregateSink(rows_of, starts, columns.reshape(-1), codes, 0, keep_empty=True)
    emitted = kernel_cells.emit_cells(cells, edges, sink, 0)
    assert emitted == count, "every cell is wanted"
    found = dict(zip(names, columns, strict=True))
    return {name: row.view(np.int64) if name == "count" else row for name, row in found.items()}


def _field(name: str, what: str | Measure) -> pa.Field:
    if isinstance(what, Histogram):
        return pa.field(name, pa.list_(pa.int64(), len(what.edges) + 1))
    return pa.field(name, shares.field_of(what).type if isinstance(what, str) else pa.float64())
