"""Some series' rows as rules see them: made once for all rules, whatever each of them asks for."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from smartdata_ts._meter.units import UNITS
from smartdata_ts._steps.frame import Context, Frame, intervals_of
from smartdata_ts._steps.shares import usual_lengths, usual_spacings
from smartdata_ts._time.calendar import Calendar
from smartdata_ts.kernels.arrays import Float64Array, Int64Array
from smartdata_ts.kernels.detect.resolution import finest_steps
from smartdata_ts.kernels.detect.runs import AmountRows

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
LITRE, KWH = 1e-3, 3.6e6  # of the bases m3 and J
HISTORY_DAYS = 56


@dataclass(frozen=True)
class Rows:
    """A frame of amounts, or of readings, with what rules ask of it."""

    frame: Frame
    context: Context
    tz: str
    now: int  # us UTC: the time of the data
    unit: str | None  # of the amounts, where one was asked for

    @property
    def has_amounts(self) -> bool:
        """Whether rows are amounts over intervals, and not readings at instants."""
        return self.frame.ends is not None

    @property
    def slot_count(self) -> int:
        """How many series there are, with rows or without."""
        return self.frame.end - self.frame.first

    @cached_property
    def bounds(self) -> Int64Array:
        """Slot s has the rows bounds[s] to bounds[s + 1]."""
        return self.frame.bounds()

    @cached_property
    def amounts(self) -> AmountRows:
        """The rows as kernels take them."""
        frame = self.frame
        assert frame.ends is not None
        return AmountRows(self.bounds, frame.starts, frame.ends, frame.values, frame.qualities)

    @cached_property
    def steps_us(self) -> Int64Array:
        """The usual step of each slot, as described or as seen; 0 where nothing tells."""
        frame = self.frame
        told = intervals_of(frame, self.context)
        if frame.ends is None:
            seen = usual_spacings(self.bounds, frame.starts)
        else:
            seen = usual_lengths(self.bounds, frame.starts, frame.ends)
        return np.where(told > 0, told, seen)

    @cached_property
    def finest(self) -> Float64Array:
        """The smallest step of each slot's values; 0 where there is none."""
        finest = np.empty(self.slot_count)
        status = finest_steps(self.bounds, self.frame.values, not self.has_amounts, finest)
        assert status == finest.size, "the frame's columns fit each other"
        return finest

    def fact(self, name: str, slot: int) -> str | None:
        """A fact of the catalog, such as a kind."""
        value: str | None = getattr(self.context.facts, name)[self.frame.first + slot]
        return value

    def unit_of(self, slot: int) -> str | None:
        """The unit of a slot's values."""
        if not self.has_amounts:
            return self.fact("units", slot)
        return self.unit if self.unit is not None else self.fact("amount_units", slot)

    def scale(self, slot: int, base: float) -> float:
        """How many of `base` (LITRE, KWH) one of a slot's unit is; NaN where it is none of its dimension."""
        known = UNITS.get(self.unit_of(slot) or "")
        if known is None or known.dimension != ("volume" if base == LITRE else "energy"):
            return np.nan
        return float(known.factor) / base

    def tag(self, name: str, slot: int) -> str | None:
        """A tag of a slot."""
        values = self.context.facts.tags.get(name)
        return None if values is None else values[self.frame.first + slot]

    def number_tag(self, name: str, slot: int) -> float:
        """A tag that is a number, such as q3; NaN where there is none, or it is not a positive number."""
        try:
            number = float((self.tag(name, slot) or "nan").replace(",", "."))
        except ValueError:
            return np.nan
        return number if 0 < number < np.inf else np.nan

    @cached_property
    def day_edges(self) -> Int64Array:
        """The local days that cover all rows."""
        frame = self.frame
        if not frame.starts.size:
            return np.empty(0, np.int64)
        lasts = frame.starts if frame.ends is None else frame.ends
        return Calendar.parse("1d", self.tz).edges(int(frame.starts.min()), int(lasts.max()) + 1)

    def rows_of(self, slot: int, low: int, high: int) -> slice:
        """The rows of a slot that begin in [low, high)."""
        first, end = self.bounds[slot], self.bounds[slot + 1]
        begin, stop = np.searchsorted(self.frame.starts[first:end], (low, high))
        return slice(int(first + begin), int(first + stop))

    def history_days(self, slot: int, start: int) -> float:
        """How many of the days that are looked back on a slot has, before an instant."""
        first = self.bounds[slot]
        if first == self.bounds[slot + 1]:
            return 0.0
        return min(max((start - int(self.frame.starts[first])) / DAY_US, 0.0), float(HISTORY_DAYS))
