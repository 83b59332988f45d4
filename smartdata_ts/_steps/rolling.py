"""Windows that move along the readings, and what changes from one reading to the next."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.quality import worse_of
from smartdata_ts._readings.arrow import result_room
from smartdata_ts._readings.schema import READINGS_SCHEMA
from smartdata_ts._steps.frame import SERIES_FIELD, TIME_FIELD, Context, Frame
from smartdata_ts._steps.step import FrameStep
from smartdata_ts._time.calendar import width_text
from smartdata_ts.kernels.windows import rolling as kernel_rolling

_SUMS = {"count": kernel_rolling.COUNT, "sum": kernel_rolling.SUM, "mean": kernel_rolling.MEAN}
_EXTREMES = {"min": kernel_rolling.MIN, "max": kernel_rolling.MAX}
ROLLING = (*_SUMS, *_EXTREMES, "std", "median")


@dataclass(frozen=True)
class Rolling(FrameStep):
    """Aggregates of (time - before_us, time + after_us] at every reading; ROLLING has the names."""

    before_us: int
    after_us: int
    aggregates: tuple[str, ...]
    min_count: int
    method = "rolling"

    def arguments(self) -> dict[str, Any]:
        """The whole width, and whether it lies around the reading."""
        width = width_text(self.before_us + self.after_us)
        found = {"width": width, "aggregates": list(self.aggregates), "min_count": self.min_count}
        return found | {"centered": self.after_us > 0}

    @property
    def reach_us(self) -> tuple[int | None, int | None]:
        """As far as the window."""
        return self.before_us, self.after_us

    def schema(self, source: pa.Schema) -> pa.Schema:  # noqa: ARG002, every step has this face
        """A column for each aggregate: doubles, null where there is none."""
        columns = [
            pa.field(name, pa.int64() if name == "count" else pa.float64()) for name in self.aggregates
        ]
        return pa.schema([SERIES_FIELD, TIME_FIELD, *columns])

    def run(self, frame: Frame, context: Context) -> Frame:
        """Add a column for each aggregate."""
        window = kernel_rolling.Window(self.before_us, self.after_us, self.min_count)
        columns = {name: _rolled(name, frame, window, context) for name in self.aggregates}
        return replace(frame, columns={**frame.columns, **columns})


def _rolled(name: str, frame: Frame, window: kernel_rolling.Window, context: Context) -> np.ndarray:
    bounds, times, values = frame.bounds(), frame.starts, frame.values
    results = result_room(times.size, np.float64)
    scratch = context.room("rolling", 3 * times.size + kernel_rolling.SUMS_SCRATCH)
    if name in _SUMS:
        if name == "count":  # none is a count too
            window = window._replace(count_min=1)
        status = kernel_rolling.rolling_sums(bounds, times, values, window, _SUMS[name], scratch, results)
    elif name in _EXTREMES:
        status = kernel_rolling.rolling_extremes(
            bounds, times, values, window, _EXTREMES[name], scratch, results
        )
    elif name == "std":
        status = kernel_rolling.rolling_deviations(bounds, times, values, window, scratch, results)
    else:
        order = np.lexsort((values, frame.slots)).astype(np.int64)
        ranks = scratch.view(np.int64)
        status = kernel_rolling.rolling_medians(bounds, times, values, window, order, ranks, results)
    assert status == times.size, "the frame's columns fit each other"
    return np.nan_to_num(results).astype(np.int64) if name == "count" else results


@dataclass(frozen=True)
class Difference(FrameStep):
    """Each reading less the one before it; as a rate per `per_us` where that is not 0."""

    per_us: int = 0

    @property
    def method(self) -> str:  # type: ignore[override]  # two methods add it
        """The method that adds it."""
        return "rate" if self.per_us else "difference"

    def arguments(self) -> dict[str, Any]:
        """The time that a rate is for."""
        return {"per": width_text(self.per_us)} if self.per_us else {}

    @property
    def reach_us(self) -> tuple[int | None, int | None]:
        """The reading before the span may stand anywhere."""
        return None, 0

    def schema(self, source: pa.Schema) -> pa.Schema:  # noqa: ARG002, every step has this face
        """That of readings."""
        return READINGS_SCHEMA

    def run(self, frame: Frame, context: Context) -> Frame:  # noqa: ARG002, every step has this face
        """A series' first reading, and NaN, have no row; a row's quality is the worse of both readings'."""
        known = frame.select(np.flatnonzero(~np.isnan(frame.values)))
        results = np.empty(known.starts.size)
        status = kernel_rolling.differences(known.bounds(), known.starts, known.values, self.per_us, results)
        assert status == results.size, "the frame's columns fit each other"
        worse = known.qualities.copy()
        worse[1:] = worse_of(known.qualities[:-1], known.qualities[1:])
        is_first = np.diff(known.slots, prepend=-1) != 0
        return replace(known, values=results, qualities=worse).select(np.flatnonzero(~is_first))
