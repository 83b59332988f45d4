"""Gaps filled so that volumes add up; kernels/gaps/cut.py says what a gap is.

A series of kind interval has amounts: the method gives the missing time amounts of its own. All other series
have levels, which are read between the two readings around a gap. Readings that are NaN, rejected or missing
do not count, and are filled too. New rows are estimated, and their quality says so and how; where a method
has nothing to go by, the row is there, with null and the quality missing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.quality import IS_READING, METHODS
from smartdata_ts._readings.arrow import result_room
from smartdata_ts._readings.schema import READINGS_SCHEMA
from smartdata_ts._steps.frame import END_FIELD, Context, Frame, intervals_of
from smartdata_ts._steps.shares import following, usual_lengths, usual_spacings
from smartdata_ts._steps.step import FrameStep
from smartdata_ts._time.calendar import Calendar, width_text
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts._time.zone import load_zone, transitions
from smartdata_ts.errors import UsageError
from smartdata_ts.kernels import status as kernels_status
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array
from smartdata_ts.kernels.gaps import cut as gaps_cut
from smartdata_ts.kernels.gaps import fills, levels, profiles

FILLS = ("none", *METHODS[1:7])
FILLED_SCHEMA = READINGS_SCHEMA.set(2, READINGS_SCHEMA.field("value").with_nullable(True))
HISTORY_US = 8 * 7 * 86_400_000_000

_PIECES_MAX = 8_388_608
_NO_EXTENT = gaps_cut.Extent(TIME_MIN, TIME_MAX)


@dataclass(frozen=True)
class Fill(FrameStep):
    """Rules are pairs of a method and the longest gap it is for, in microseconds; the first that fits."""

    rules: tuple[tuple[str, int], ...]
    grid: Calendar | None
    tz: str
    constant: float
    has_ends: bool = False  # whether it follows consumption()
    method = "fill"

    def arguments(self) -> dict[str, Any]:
        """The chain of methods and limits, one pair each."""
        rules = [[name, None if limit == TIME_MAX else width_text(limit)] for name, limit in self.rules]
        every = None if self.grid is None else self.grid.every
        value = None if str(self.constant) == "0.0" else self.constant
        if value is None and any(name == "constant" for name, _ in self.rules):
            value = 0.0  # it must be said
        return {"method": rules, "every": every, "tz": self.tz, "value": value}

    def tie_of_times(self, is_open: bool) -> str | None:
        """Gaps are gaps of the usual step."""
        del is_open
        return "fill() is made with a step that is usual over all the span"

    @property
    def reach_us(self) -> tuple[int | None, int | None]:
        """The longest gap, for the readings around it, and eight weeks for a usual week."""
        limit = max((limit for _, limit in self.rules), default=0)
        if limit >= TIME_MAX // 4:
            return None, None
        return limit + (HISTORY_US if self._has_profile else 0), limit

    def schema(self, source: pa.Schema) -> pa.Schema:  # noqa: ARG002, every step has this face
        """That of readings, null where a method had nothing to go by."""
        return FILLED_SCHEMA.insert(2, END_FIELD) if self.has_ends else FILLED_SCHEMA

    @property
    def _has_profile(self) -> bool:
        return any(method == "profile" for method, _ in self.rules)

    def _rule_array(self) -> Int64Array:
        pairs = [(FILLS.index(method), limit) for method, limit in self.rules]
        return np.array(pairs, np.int64).reshape(-1)

    def run(self, frame: Frame, context: Context) -> Frame:
        """The frame with its gaps filled."""
        kinds = {context.facts.kinds[position] for position in range(frame.first, frame.end)}
        if frame.ends is None and kinds == {"interval"}:
            frame = _with_ends(frame, context)
        elif "interval" in kinds and frame.ends is None:
            raise UsageError(
                "fill() takes amounts or levels; series of kind interval are mixed with others here"
            )
        if frame.ends is not None:
            return self._fill_amounts(frame, frame.ends, context)
        if "register" in kinds and self._has_profile:
            raise UsageError("a register has no usual week, its use has; fill a register with 'linear'")
        return self._fill_levels(frame, context)

    def _fill_amounts(self, frame: Frame, ends: Int64Array, context: Context) -> Frame:
        told = intervals_of(frame, context)
        values = frame.values
        if frame.qualities.any():  # mostly all are measured
            values = np.where(IS_READING[frame.qualities], values, np.nan)
        bounds = frame.bounds()
        steps = usual_lengths(bounds, frame.starts, ends)
        steps = np.where(told > 0, told, steps)
        if self.grid is not None and self.grid.fixed_width_us:
            steps[:] = self.grid.fixed_width_us
        rules = self._rule_array()
        pieces = _cut(bounds, frame.starts, ends, values, steps, rules, context)
        filled = np.empty(pieces.size // gaps_cut.PIECE_FIELDS)
        _check(fills.shape_amounts(frame.slots, frame.starts, ends, values, pieces, self.constant, filled))
        if self._has_profile:
            zone = _zone(self.tz, frame.starts)
            weeks = _weeks(bounds, frame.starts, ends, values, steps, zone, context)
            _check(profiles.shape_profiles(frame.slots, pieces, weeks, zone, filled))
        _check(fills.settle_amounts(values, pieces, filled))
        return _framed(frame, pieces, filled)

    def _fill_levels(self, frame: Frame, context: Context) -> Frame:
        frame = _with_levels(frame)
        bounds, times = frame.bounds(), frame.starts
        steps = usual_spacings(bounds, times)
        arguments = (steps, self._rule_array())
        if self.grid is None or times.size == 0:
            cut = partial(levels.cut_levels, bounds, times, *arguments)
        else:
            edges = context.edges(self.grid, int(times.min()), int(times.max()) + 1)
            cut = partial(levels.cut_grid, bounds, times, edges, *arguments)
        places, instants, slots = _places(times.size, cut, context)
        filled, codes = result_room(places.size, np.float64), result_room(places.size, np.uint8)
        rows = (times, frame.values, frame.qualities)
        _check(levels.fill_levels(places, instants, *rows, self.constant, filled, codes))
        if self._has_profile:
            zone, ends = _zone(self.tz, times), following(bounds, times)
            weeks = _weeks(bounds, times, ends, frame.values, steps, zone, context, of_levels=True)
            _check(levels.bend_levels(places, instants, slots, times, weeks, zone, filled))
        return Frame(frame.first, frame.end, slots, instants, None, filled, codes)


def _with_levels(frame: Frame) -> Frame:
    """The frame without rows that are no readings."""
    bad = np.isnan(frame.values)
    if frame.qualities.any():  # mostly all are measured
        bad |= ~IS_READING[frame.qualities]
    return frame.select(np.flatnonzero(~bad)) if bad.any() else frame


def _places(
    row_count: int, cut: Callable[[Int64Array, Int64Array, Int32Array], int], context: Context
) -> tuple[Int64Array, Int64Array, Int32Array]:
    """Places, as kernels/gaps/levels.py has them; there is room enough at once where gaps are few."""
    room = row_count + row_count // 8 + 64
    while True:
        places = context.room("places", room).view(np.int64)
        instants, slots = result_room(room, np.int64), result_room(room, np.int32)
        count = _check(cut(places, instants, slots))
        if count <= room:
            return places[:count], instants[:count], slots[:count]
        room = count


def _with_ends(frame: Frame, context: Context) -> Frame:
    """Amounts with their intervals: as long as the series says, or else as its most usual step."""
    told = intervals_of(frame, context)
    bounds = frame.bounds()
    usual = told if told.all() else usual_spacings(bounds, frame.starts)
    return replace(frame, ends=frame.starts + np.where(told > 0, told, usual)[frame.slots])


def _cut(
    bounds: Int64Array,
    starts: Int64Array,
    ends: Int64Array,
    values: Float64Array,
    steps: Int64Array,
    rules: Int64Array,
    context: Context,
) -> Int64Array:
    """The pieces, for which there is room enough at once where gaps are few."""
    arguments = (bounds, starts, ends, values, steps, rules, _NO_EXTENT)
    pieces = context.room("pieces", (starts.size + starts.size // 8 + 64) * gaps_cut.PIECE_FIELDS).view(
        np.int64
    )
    count = _check(gaps_cut.cut_gaps(*arguments, pieces))
    if count * gaps_cut.PIECE_FIELDS > pieces.size:
        pieces = context.room("pieces", count * gaps_cut.PIECE_FIELDS).view(np.int64)
        gaps_cut.cut_gaps(*arguments, pieces)
    return pieces[: count * gaps_cut.PIECE_FIELDS]


def _check(count: int) -> int:
    """The count; where it is none, what was asked for is too much."""
    assert count != kernels_status.MALFORMED, "the frame's columns fit each other"
    return _room(count) if count >= 0 else _room(TIME_MAX)


def _room(count: int) -> int:
    if count > _PIECES_MAX:
        raise UsageError(
            f"filling would make more than {_PIECES_MAX:,} rows of one series; give a shorter limit, or look"
            " for a reading with a wrong time"
        )
    return count


def _zone(tz: str, times: Int64Array) -> Int64Array:
    low, high = (int(times.min()), int(times.max())) if times.size else (0, 0)
    at, offsets = transitions(load_zone(tz), low, high + 1)
    return np.concatenate([[at.size], at, offsets]).astype(np.int64)


def _weeks(
    bounds: Int64Array,
    starts: Int64Array,
    ends: Int64Array,
    values: Float64Array,
    steps: Int64Array,
    zone: Int64Array,
    context: Context,
    of_levels: bool = False,
) -> Float64Array:
    """Each series' usual week, of rows that are no longer than one and a half of its steps."""
    weeks = np.empty((bounds.size - 1) * profiles.WEEK_HOURS)
    amounts = context.room("amounts", starts.size)
    room = _check(profiles.regular_amounts(bounds, starts, ends, values, steps, of_levels, amounts))
    cells = context.room("cells", room + profiles.WEEK_HOURS + 1).view(np.int64)
    rates = context.room("rates", 2 * room)
    _check(profiles.weekly_profiles(bounds, starts, ends, amounts, zone, cells, rates, weeks))
    return weeks


def _framed(frame: Frame, pieces: Int64Array, filled: Float64Array) -> Frame:
    """The pieces as rows."""
    count = filled.size
    instants, slots = np.empty(2 * count, np.int64), np.empty(count, np.int32)
    qualities = np.empty(count, np.uint8)
    rows = (frame.slots, frame.values, frame.qualities)
    _check(fills.rows_of_pieces(pieces, *rows, filled, instants, slots, qualities))
    return Frame(frame.first, frame.end, slots, instants[:count], instants[count:], filled, qualities)
