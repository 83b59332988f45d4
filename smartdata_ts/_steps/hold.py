"""Levels that hold from one reading to the next, for means by time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.quality import usable
from smartdata_ts._steps.frame import END_FIELD, Context, Frame
from smartdata_ts._steps.step import FrameStep
from smartdata_ts._time.calendar import width_text
from smartdata_ts._time.span import TIME_MAX


@dataclass(frozen=True)
class Hold(FrameStep):
    """Each reading until the next, or as long as a limit; the last one of a series has no end."""

    limit_us: int
    method = "hold"
    needs_neighbours = True
    minds_span = True

    def arguments(self) -> dict[str, Any]:
        """The limit as a width."""
        return {"limit": None if self.limit_us == TIME_MAX else width_text(self.limit_us)}

    def schema(self, source: pa.Schema) -> pa.Schema:
        """That of readings, with the interval's end."""
        return source.insert(2, END_FIELD)

    def run(self, frame: Frame, context: Context) -> Frame:
        """One row a reading that another one follows, and that holds within the span."""
        kept = frame.select(np.flatnonzero(usable(frame.values, frame.qualities)))
        followed = np.flatnonzero(kept.slots[1:] == kept.slots[:-1])
        rows, following = kept.select(followed), kept.starts[1:][followed]
        # No sum that could overflow: of two int64 times the difference is exact as uint64.
        lengths = np.minimum((following - rows.starts).view(np.uint64), np.uint64(self.limit_us))
        ends = rows.starts + lengths.view(np.int64)
        inside = (ends > context.time_min) & (rows.starts <= context.time_max)
        held = Frame(rows.first, rows.end, rows.slots, rows.starts, ends, rows.values, rows.qualities)
        return held.select(np.flatnonzero(inside))
