"""Amounts over intervals become amounts over a calendar's buckets, split at the edges."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._steps import shares
from smartdata_ts._steps.bucketed import Bucketed
from smartdata_ts._steps.frame import SERIES_FIELD, TIME_FIELD, Context, Frame, intervals_of
from smartdata_ts._steps.step import FrameStep
from smartdata_ts._time.calendar import Calendar, Edges
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array
from smartdata_ts.kernels.buckets import intervals as kernel_intervals

AGGREGATES = ("sum", "count", "min", "max", "expected_count", "completeness", "estimated_share")
OF_LEVELS = ("time_mean", "completeness", "estimated_share")
_CELLS_MAX = 196_608  # of all slots; with eight times as many, hourly sums took half as long again
# Fills rows of some slots, given these, the edges, scratch for cells, and the sink; returns how many.
Reduce = Callable[[slice, Int64Array, Float64Array, kernel_intervals.RowSink], int]
# Slot, bucket start, and the aggregates, of some rows.
_Rows = tuple[Int32Array, Int64Array, dict[str, np.ndarray]]
# The fields that each aggregate is made from.
_FIELDS: dict[str, tuple[int, ...]] = {
    "sum": (kernel_intervals.EMIT_SUM,),
    "count": (kernel_intervals.EMIT_COUNT,),
    "min": (kernel_intervals.EMIT_MIN,),
    "max": (kernel_intervals.EMIT_MAX,),
    "expected_count": (),
    "time_mean": (kernel_intervals.EMIT_SUM, kernel_intervals.EMIT_COVERED),
    "completeness": (kernel_intervals.EMIT_COVERED,),
    "estimated_share": (kernel_intervals.EMIT_ESTIMATED, kernel_intervals.EMIT_COVERED),
}


@dataclass(frozen=True)
class Buckets(Bucketed, FrameStep):
    """Aggregates over buckets of what a step before made of the readings."""

    calendar: Calendar | Edges
    aggregates: tuple[str, ...]
    empty: bool
    of_levels: bool = False  # rows are levels over their intervals, not amounts

    minds_span = True
    of_intervals = True

    @property
    def measures(self) -> dict[str, str]:
        """The aggregates, which are called by their names."""
        return dict(zip(self.aggregates, self.aggregates, strict=True))

    def schema(self, source: pa.Schema) -> pa.Schema:  # noqa: ARG002, every step has this face
        """Series, bucket start, and a column per aggregate; counts are int64, all else double."""
        return pa.schema([SERIES_FIELD, TIME_FIELD, *map(shares.field_of, self.aggregates)])

    def run(self, frame: Frame, context: Context) -> Frame:
        """One row a bucket that an amount reaches into, or a bucket of the span where `empty`."""
        starts, ends, values = frame.starts, frame.ends, frame.values
        assert ends is not None
        if self.of_levels:
            values = values * (ends - starts)
        span = (int(starts.min()), int(ends.max())) if starts.size else (TIME_MAX, TIME_MIN)
        steps = _steps(frame, context) if "expected_count" in self.aggregates else None
        bounds = frame.bounds()
        intervals = kernel_intervals.Intervals(starts, ends, values, frame.qualities)

        def reduce(
            slots: slice, edges: Int64Array, cells: Float64Array, sink: kernel_intervals.RowSink
        ) -> int:
            own = bounds[slots.start : slots.stop + 1]
            return kernel_intervals.reduce_intervals(own, intervals, edges, cells, sink)

        return self.reduced(frame.first, frame.end, span, context, reduce, steps)

    def reduced(
        self,
        first: int,
        end: int,
        span: tuple[int, int],
        context: Context,
        reduce: Reduce,
        steps: Int64Array | None = None,
    ) -> Frame:
        """The buckets of the series from `first` on to `end`, which have amounts within `span` only.

        `steps` are how long the series' intervals are, where it is asked for how many are expected.
        """
        edges = self.edges(span, context)
        count = max(1, _CELLS_MAX // max(edges.size - 1, 1))
        parts = []
        for begin in range(0, end - first, count):
            slots = slice(begin, min(begin + count, end - first))
            parts.append(self._of_slots(slots, edges, context, reduce, steps))
        slots_of, starts, columns = parts[0] if len(parts) == 1 else _joined(parts)
        nothing = np.zeros(1)  # every value and quality, in no memory
        rows = (slots_of, starts, None, np.broadcast_to(nothing, starts.size))
        return Frame(first, end, *rows, np.broadcast_to(nothing.astype(np.uint8), starts.size), columns)

    def _of_slots(
        self, slots: slice, edges: Int64Array, context: Context, reduce: Reduce, steps: Int64Array | None
    ) -> _Rows:
        """The rows of slots that are not too many for their room."""
        bucket_count = edges.size - 1
        room = (slots.stop - slots.start) * bucket_count
        fields = list(dict.fromkeys(field for name in self.aggregates for field in _FIELDS[name]))
        column_of = np.full(kernel_intervals.EMIT_FIELDS, -1)
        column_of[np.array(fields, np.int64)] = np.arange(len(fields))
        own, buckets = context.room("rows", 2 * room).view(np.int64).reshape(2, room)
        columns = context.room("columns", len(fields) * room)
        sink = kernel_intervals.RowSink(own, buckets, columns, column_of, self.empty)
        cells = context.room("cells", bucket_count * kernel_intervals.AMOUNT_FIELDS)
        count = reduce(slots, clipped(edges, context), cells, sink) if bucket_count else 0
        assert count >= 0, "a frame's columns do not fit each other"
        row_slots, buckets = own[:count].astype(np.int32), buckets[:count]
        row_slots += np.int32(slots.start)
        told = dict(zip(fields, columns.reshape(len(fields), room)[:, :count], strict=True))
        widths = np.diff(edges)[buckets] if set(self.aggregates) & set(shares.SHARES) else buckets
        expected = None if steps is None else steps[row_slots]
        aggregates = {name: _column(name, told, widths, expected) for name in self.aggregates}
        return row_slots, edges[buckets], aggregates

    def edges(self, span: tuple[int, int], context: Context) -> Int64Array:
        """The edges of the buckets that may have a row; a single edge where there are none."""
        low, high = span
        if self.empty:
            low, high = min(low, context.extent[0]), max(high, context.extent[1] + 1)
            low = low if context.time_min == TIME_MIN else context.time_min
            high = high if context.time_max == TIME_MAX else context.time_max + 1
        low, high = max(low, context.time_min), min(high, _exclusive(context.time_max))
        return context.edges(self.calendar, low, high) if low < high else np.zeros(1, np.int64)


def clipped(edges: Int64Array, context: Context) -> Int64Array:
    """The edges with the first and the last moved to the span: what lies outside was not asked for."""
    moved = edges.copy()
    moved[0] = max(int(edges[0]), context.time_min)
    moved[-1] = min(int(edges[-1]), _exclusive(context.time_max))
    return moved


def _column(
    name: str, told: dict[int, Float64Array], widths: Int64Array, steps: Int64Array | None
) -> np.ndarray:
    """One aggregate of every row; NaN where there is none."""
    if name == "expected_count":
        assert steps is not None
        return shares.expected_counts(widths, steps)
    column = told[_FIELDS[name][0]]
    if name == "count":
        return column.astype(np.int64)
    if name == "completeness":
        return column / widths
    if name == "time_mean":
        return column / told[kernel_intervals.EMIT_COVERED]
    if name == "estimated_share":
        covered = told[kernel_intervals.EMIT_COVERED]
        return np.where(covered > 0, column / np.maximum(covered, 1), np.nan)
    return column.copy()


def _steps(frame: Frame, context: Context) -> Int64Array:
    """How long each series' intervals are: as it was described, or else mostly."""
    assert frame.ends is not None
    told = intervals_of(frame, context)
    return np.where(told > 0, told, shares.usual_lengths(frame.bounds(), frame.starts, frame.ends))


def _exclusive(time_max: int) -> int:
    return time_max if time_max == TIME_MAX else time_max + 1


def _joined(parts: list[_Rows]) -> _Rows:
    slots, starts, columns = zip(*parts, strict=True)
    names = parts[0][2]
    return (
        np.concatenate(slots),
        np.concatenate(starts),
        {name: np.concatenate([of_part[name] for of_part in columns]) for name in names},
    )
