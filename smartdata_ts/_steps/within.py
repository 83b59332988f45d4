"""The end of a query whose steps read more than its span: their neighbours go again."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._steps.frame import Context, Frame, Step
from smartdata_ts._time.span import TIME_MAX, TIME_MIN


@dataclass(frozen=True)
class Within:
    """Leaves the rows in [time_min, time_max], of intervals all that overlap it; `schema` stays as it is."""

    time_min: int
    time_max: int
    schema: pa.Schema
    needs_neighbours = False

    def run(self, frame: Frame, context: Context) -> Frame:  # noqa: ARG002, every step has this face
        """The frame without what stands outside."""
        if (self.time_min, self.time_max) == (TIME_MIN, TIME_MAX):
            return frame
        if frame.ends is None or "end" not in self.schema.names:
            wanted = frame.starts >= self.time_min
        else:
            wanted = frame.ends > self.time_min
        wanted &= frame.starts <= self.time_max
        return frame if wanted.all() else frame.select(np.flatnonzero(wanted))


def widened(span: tuple[int, int], steps: tuple[Step, ...]) -> tuple[int, int]:
    """The span that must be read for the steps to know all that they ask for."""
    low, high = span
    for step in steps:
        before, after = getattr(step, "reach_us", (0, 0))
        low = TIME_MIN if before is None else max(low - before, TIME_MIN)
        high = TIME_MAX if after is None else min(high + after, TIME_MAX)
    return low, high
