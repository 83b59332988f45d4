"""Amounts over intervals become amounts over a calendar's buckets, split at the edges."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from smartdata_ts._calendar import Calendar, Edges
from smartdata_ts._plan import TIME_MAX, TIME_MIN
from smartdata_ts._steps import shares
from smartdata_ts._steps.frame import SERIES_FIELD, TIME_FIELD, Context, Frame, intervals_of
from smartdata_ts.kernels import registers as kernel_registers
from smartdata_ts.kernels._jit import Float64Array, Int64Array

AGGREGATES = ("sum", "count", "min", "max", "expected_count", "completeness", "estimated_share")
OF_LEVELS = ("time_mean", "completeness", "estimated_share")
_CELLS_MAX = 131_072  # 7 MB of cells; with eight times as many, hourly sums took half as long again
# What each aggregate is made of.
_FIELDS: dict[str, tuple[int, ...]] = {
    "sum": (kernel_registers.EMIT_SUM,),
    "count": (kernel_registers.EMIT_COUNT,),
    "min": (kernel_registers.EMIT_MIN,),
    "max": (kernel_registers.EMIT_MAX,),
    "expected_count": (),
    "time_mean": (kernel_registers.EMIT_SUM, kernel_registers.EMIT_COVERED),
    "completeness": (kernel_registers.EMIT_COVERED,),
    "estimated_share": (kernel_registers.EMIT_ESTIMATED, kernel_registers.EMIT_COVERED),
}


@dataclass(frozen=True)
class Buckets:
    """Aggregates over buckets of what a step before made of the readings."""

    calendar: Calendar | Edges
    aggregates: tuple[str, ...]
    empty: bool
    of_levels: bool = False  # rows are levels over their intervals, not amounts

    @property
    def needs_neighbours(self) -> bool:
        """It is never the first step."""
        return False

    @property
    def schema(self) -> pa.Schema:
        """Series, bucket start, and a column per aggregate; counts are int64, all else double."""
        return pa.schema([SERIES_FIELD, TIME_FIELD, *map(shares.field_of, self.aggregates)])

    def run(self, frame: Frame, context: Context) -> Frame:
        """One row a bucket that an amount reaches into, or a bucket of the span where `empty`."""
        if self.of_levels:
            assert frame.ends is not None
            frame = replace(frame, values=frame.values * (frame.ends - frame.starts))
        low, high = self._span(frame, context)
        edges = self.calendar.edges(low, high) if low < high else np.zeros(1, np.int64)
        slot_count = frame.end - frame.first
        count = max(1, _CELLS_MAX // max(edges.size - 1, 1))
        parts = [
            self._reduced(_slots(frame, first, min(first + count, slot_count)), edges, context)
            for first in range(0, slot_count, count)
        ]
        return parts[0] if len(parts) == 1 else _joined(parts)

    def _reduced(self, frame: Frame, edges: Int64Array, context: Context) -> Frame:
        """The buckets of some slots, which are not so many that their room would matter."""
        assert frame.ends is not None
        bucket_count = edges.size - 1
        room = (frame.end - frame.first) * bucket_count
        fields = list(dict.fromkeys(field for name in self.aggregates for field in _FIELDS[name]))
        control = np.empty(kernel_registers.REDUCE_FIELDS + 2 * room, np.int64)
        control[kernel_registers.KEEP_EMPTY] = self.empty
        control[1 : kernel_registers.REDUCE_FIELDS] = -1
        control[1 + np.array(fields, np.int64)] = np.arange(len(fields))
        cell_size = bucket_count * kernel_registers.CELL_FIELDS
        columns = np.empty(cell_size + len(fields) * room)
        count = 0
        if bucket_count:
            rows = (frame.starts, frame.ends, frame.values, frame.qualities)
            clipped = _clipped(edges, context)
            count = kernel_registers.reduce_intervals(frame.bounds(), *rows, clipped, control, columns)
        assert count >= 0, "a frame's columns do not fit each other"
        slots, buckets = control[kernel_registers.REDUCE_FIELDS :].reshape(2, room)[:, :count]
        told = dict(zip(fields, columns[cell_size:].reshape(len(fields), room)[:, :count], strict=True))
        starts, ends = edges[buckets], edges[buckets + 1]
        steps = _steps(frame, context)[slots] if "expected_count" in self.aggregates else None
        return Frame(
            frame.first,
            frame.end,
            slots.astype(np.int32),
            starts,
            ends,
            np.zeros(count),
            np.zeros(count, np.uint8),
            {name: _column(name, told, ends - starts, steps) for name in self.aggregates},
        )

    def _span(self, frame: Frame, context: Context) -> tuple[int, int]:
        """The instants between which there may be amounts to tell of."""
        assert frame.ends is not None
        low, high = TIME_MAX, TIME_MIN
        if frame.slots.size:
            low, high = int(frame.starts.min()), int(frame.ends.max())
        if self.empty:
            low, high = min(low, context.extent[0]), max(high, context.extent[1] + 1)
            low = low if context.time_min == TIME_MIN else context.time_min
            high = high if context.time_max == TIME_MAX else context.time_max + 1
        return max(low, context.time_min), min(high, _exclusive(context.time_max))


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
        return column / told[kernel_registers.EMIT_COVERED]
    if name == "estimated_share":
        covered = told[kernel_registers.EMIT_COVERED]
        return np.where(covered > 0, column / np.maximum(covered, 1), np.nan)
    return column


def _steps(frame: Frame, context: Context) -> Int64Array:
    """How long each series' intervals are: as it was described, or else mostly."""
    assert frame.ends is not None
    told = intervals_of(frame, context)
    return np.where(told > 0, told, shares.usual_lengths(frame.bounds(), frame.starts, frame.ends))


def _exclusive(time_max: int) -> int:
    return time_max if time_max == TIME_MAX else time_max + 1


def _clipped(edges: Int64Array, context: Context) -> Int64Array:
    """The edges with the first and the last moved to the span: what lies outside was not asked for."""
    clipped = edges.copy()
    clipped[0] = max(int(edges[0]), context.time_min)
    clipped[-1] = min(int(edges[-1]), _exclusive(context.time_max))
    return clipped


def _slots(frame: Frame, low: int, high: int) -> Frame:
    """The rows of some slots, numbered anew; the frame's own memory."""
    if (low, high) == (0, frame.end - frame.first):
        return frame
    first, end = np.searchsorted(frame.slots, (low, high))
    rows = frame.select(slice(int(first), int(end)))
    slots = rows.slots - np.int32(low)
    columns = (slots, rows.starts, rows.ends, rows.values, rows.qualities, rows.columns)
    return Frame(frame.first + low, frame.first + high, *columns)


def _joined(parts: list[Frame]) -> Frame:
    """The rows of frames that are next to each other."""
    first = parts[0].first
    return Frame(
        first,
        parts[-1].end,
        np.concatenate([part.slots + np.int32(part.first - first) for part in parts]),
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.ends for part in parts if part.ends is not None]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.qualities for part in parts]),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns},
    )
