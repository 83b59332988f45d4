"""The end of a query whose steps read more than its span: the rows outside of the span go again."""

from dataclasses import dataclass

import numpy as np

from smartdata_ts._steps.frame import Context, Frame
from smartdata_ts._steps.step import FrameStep
from smartdata_ts._time.span import TIME_MAX, TIME_MIN


@dataclass(frozen=True)
class Within(FrameStep):
    """Leaves the rows in the span; of intervals, where the result tells their ends, all that overlap it."""

    has_ends: bool

    def run(self, frame: Frame, context: Context) -> Frame:
        """The frame without the rows outside."""
        if (context.time_min, context.time_max) == (TIME_MIN, TIME_MAX):
            return frame
        if frame.ends is None or not self.has_ends:
            wanted = frame.starts >= context.time_min
        else:
            wanted = frame.ends > context.time_min
        wanted &= frame.starts <= context.time_max
        return frame if wanted.all() else frame.select(np.flatnonzero(wanted))
