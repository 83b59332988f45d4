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
_CELLS_MAX = 1_048_576


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
        if slot_count > 1 and slot_count * (edges.size - 1) > _CELLS_MAX:
            middle = slot_count // 2
            return _joined(
                self.run(_slots(frame, 0, middle), context),
                self.run(_slots(frame, middle, slot_count), context),
            )
        cells = np.zeros((slot_count * (edges.size - 1), kernel_registers.CELL_FIELDS))
        if cells.size:
            _reduce(frame, _clipped(edges, context), cells)
        steps = np.zeros(slot_count, np.int64)
        if "expected_count" in self.aggregates:
            steps = _steps(frame, context)
        return self._emitted(frame, edges, cells, steps)

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

    def _emitted(self, frame: Frame, edges: Int64Array, cells: Float64Array, steps: Int64Array) -> Frame:
        rows = np.arange(len(cells))
        if not self.empty:
            rows = np.flatnonzero(cells[:, kernel_registers.CELL_COVERED] > 0)
        bucket_count = max(edges.size - 1, 1)
        starts, ends = edges[rows % bucket_count], edges[np.minimum(rows % bucket_count + 1, edges.size - 1)]
        columns = _columns(cells[rows], (ends - starts).astype(np.float64))
        columns["expected_count"] = shares.expected_counts(ends - starts, steps[rows // bucket_count])
        sums, estimated = columns["sum"], columns["estimated_share"]
        return Frame(
            frame.first,
            frame.end,
            (rows // bucket_count).astype(np.int32),
            starts,
            ends,
            sums,
            (estimated > 0).astype(np.uint8),
            {name: columns[name] for name in self.aggregates},
        )


def _columns(cells: Float64Array, widths: Float64Array) -> dict[str, np.ndarray]:
    """Every aggregate of some cells; NaN where there is none."""
    count, covered = cells[:, kernel_registers.CELL_COUNT], cells[:, kernel_registers.CELL_COVERED]
    nothing = np.where(covered > 0, 0.0, np.nan)
    no_begin = np.where(count > 0, 0.0, np.nan)
    return {
        "sum": cells[:, kernel_registers.CELL_SUM] + cells[:, kernel_registers.CELL_LOST] + nothing,
        "count": count.astype(np.int64),
        "min": cells[:, kernel_registers.CELL_MIN] + no_begin,
        "max": cells[:, kernel_registers.CELL_MAX] + no_begin,
        "completeness": covered / widths,
        "estimated_share": cells[:, kernel_registers.CELL_ESTIMATED] / np.maximum(covered, 1) + nothing,
    }


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
    """The rows of some slots, numbered anew."""
    first, end = np.searchsorted(frame.slots, (low, high))
    rows = frame.select(np.arange(first, end))
    slots = rows.slots - np.int32(low)
    columns = (slots, rows.starts, rows.ends, rows.values, rows.qualities, rows.columns)
    return Frame(frame.first + low, frame.first + high, *columns)


def _joined(one: Frame, other: Frame) -> Frame:
    """The rows of two frames that are next to each other."""
    assert one.ends is not None
    assert other.ends is not None
    return Frame(
        one.first,
        other.end,
        np.concatenate([one.slots, other.slots + np.int32(other.first - one.first)]),
        np.concatenate([one.starts, other.starts]),
        np.concatenate([one.ends, other.ends]),
        np.concatenate([one.values, other.values]),
        np.concatenate([one.qualities, other.qualities]),
        {name: np.concatenate([one.columns[name], other.columns[name]]) for name in one.columns},
    )
