"""Amounts over intervals become amounts over a calendar's buckets, split at the edges."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._calendar import Calendar, Edges
from smartdata_ts._plan import TIME_MAX, TIME_MIN
from smartdata_ts._steps import shares
from smartdata_ts._steps.frame import SERIES_FIELD, TIME_FIELD, Context, Frame, intervals_of
from smartdata_ts.kernels import registers as kernel_registers
from smartdata_ts.kernels._jit import Float64Array, Int64Array

AGGREGATES = ("sum", "count", "min", "max", "expected_count", "completeness", "estimated_share")
_CELLS_MAX = 131_072  # 7 MB of cells; with eight times as many, hourly sums took half as long again


@dataclass(frozen=True)
class Buckets:
    """Aggregates over buckets of what a step before made of the readings."""

    calendar: Calendar | Edges
    aggregates: tuple[str, ...]
    empty: bool

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
        """The buckets of some slots, which are few enough for the cache."""
        slot_count = frame.end - frame.first
        cells = np.zeros((slot_count, edges.size - 1, kernel_registers.CELL_FIELDS))
        if cells.size:
            _reduce(frame, _clipped(edges, context), cells)
        return self._emitted(frame, edges, cells, context)

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

    def _emitted(self, frame: Frame, edges: Int64Array, cells: Float64Array, context: Context) -> Frame:
        wanted = np.ones(cells.shape[:2], np.bool_)
        if not self.empty:
            wanted = cells[:, :, kernel_registers.CELL_COVERED] > 0
        slots, buckets = np.nonzero(wanted)
        widths = np.diff(edges)[buckets]
        rows = _Rows(cells.reshape(-1), (slots * cells.shape[1] + buckets) * kernel_registers.CELL_FIELDS)
        columns = {name: _column(name, rows, widths) for name in self.aggregates if name != "expected_count"}
        if "expected_count" in self.aggregates:
            columns["expected_count"] = shares.expected_counts(widths, _steps(frame, context)[slots])
        starts = edges[buckets]
        sums = columns["sum"] if "sum" in columns else _column("sum", rows, widths)
        estimated = rows.of(kernel_registers.CELL_ESTIMATED) > 0
        return Frame(
            frame.first,
            frame.end,
            slots.astype(np.int32),
            starts,
            starts + widths,
            sums,
            estimated.astype(np.uint8),
            {name: columns[name] for name in self.aggregates},
        )


@dataclass(frozen=True)
class _Rows:
    """Some of the cells, by where each begins."""

    cells: Float64Array
    offsets: Int64Array

    def of(self, field: int) -> Float64Array:
        """A field of each."""
        return self.cells[self.offsets + field]


def _column(name: str, rows: _Rows, widths: Int64Array) -> np.ndarray:
    """One aggregate of some cells; NaN where there is none."""
    if name == "count":
        return rows.of(kernel_registers.CELL_COUNT).astype(np.int64)
    if name in ("min", "max"):
        values = rows.of(kernel_registers.CELL_MIN if name == "min" else kernel_registers.CELL_MAX)
        values[rows.of(kernel_registers.CELL_COUNT) == 0] = np.nan
        return values
    covered = rows.of(kernel_registers.CELL_COVERED)
    if name == "completeness":
        return covered / widths
    if name == "sum":
        values = rows.of(kernel_registers.CELL_SUM) + rows.of(kernel_registers.CELL_LOST)
    else:
        values = rows.of(kernel_registers.CELL_ESTIMATED) / np.maximum(covered, 1)
    values[covered == 0] = np.nan
    return values


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


def _reduce(frame: Frame, edges: Int64Array, cells: Float64Array) -> None:
    assert frame.ends is not None
    estimated = shares.ESTIMATES[frame.qualities].astype(np.uint8)
    columns = (frame.slots, frame.starts, frame.ends, frame.values, estimated)
    status = kernel_registers.split_at_edges(*columns, edges, cells.reshape(-1))
    assert status >= 0, "a frame's columns do not fit each other"


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
