"""The values that go from one step of a query to the next, and the rules of steps from frame to frame.

`frame_batches` reads some whole series at a time into a `Frame` with one row a reading, and gives it to each
`FrameStep` in turn, on threads; `to_batch` makes a batch of the last frame by the names in its step's schema:

    series      keys[first + slots]         time        starts          end         ends
    value       values, null where NaN      quality     qualities       all else    columns[name], NaN null

A step never changes the arrays that it is given. Its rows are sorted by slot, then start. Its result does not
depend on the other series in the frame. The rows that it leaves out because of the span lie outside of
[context.time_min, context.time_max].

Where the first step `needs_neighbours`, every series has in its frame the last usable reading before the
span (of a finite value, and neither rejected nor missing) and the first one after it, and often more;
otherwise a frame holds the span, widened by the reach of the steps. A first step that `takes_blocks` is
offered whole series' blocks, to decode them as it goes.
"""

import threading
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.facts import Facts
from smartdata_ts._readings.columns import bounds_of
from smartdata_ts._readings.schema import READINGS_SCHEMA, TIME_TYPE
from smartdata_ts._storage.snapshot import Snapshot
from smartdata_ts._time.calendar import Calendar, Edges, are_edges_of
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array, UInt8Array

SERIES_FIELD, TIME_FIELD = READINGS_SCHEMA.field("series"), READINGS_SCHEMA.field("time")
END_FIELD = pa.field("end", TIME_TYPE, nullable=False)


@dataclass(frozen=True)
class Frame:
    """Some whole series' rows on their way through a query: sorted by slot, then start."""

    first: int  # position (in the selection) of slot 0
    end: int  # after the last position
    slots: Int32Array  # per row
    starts: Int64Array  # us UTC; the instant of a reading, the begin of an interval or a bucket
    ends: Int64Array | None  # us UTC, exclusive: of intervals; None for instants and buckets
    values: Float64Array  # NaN where there is none
    qualities: UInt8Array
    columns: dict[str, np.ndarray] = field(default_factory=dict)  # further ones, by name

    def bounds(self) -> Int64Array:
        """Slot k has the rows bounds[k] to bounds[k + 1]."""
        return bounds_of(self.slots, self.end - self.first)

    def select(self, index: np.ndarray | slice) -> "Frame":
        """The rows at an index, which keeps their order."""
        ends = None if self.ends is None else self.ends[index]
        columns = {name: column[index] for name, column in self.columns.items()}
        rows = (self.slots[index], self.starts[index], ends, self.values[index], self.qualities[index])
        return Frame(self.first, self.end, *rows, columns)


@dataclass(frozen=True)
class Context:
    """The query, as far as its steps may know it."""

    keys: pa.StringArray  # by position
    facts: Facts
    time_min: int  # of the span that was asked for, inclusive; TIME_MIN: all
    time_max: int  # inclusive; TIME_MAX: all
    extent: tuple[int, int]  # first and last time within the span that any series has; first > last: none
    snapshot: Snapshot
    scratch: threading.local = field(default_factory=threading.local)

    def room(self, name: str, size: int) -> Float64Array:
        """Memory of the thread, the same for the same name: what is allocated anew costs page faults."""
        room: Float64Array | None = getattr(self.scratch, name, None)
        if room is None or room.size < size:
            room = np.empty(size)
            setattr(self.scratch, name, room)
        return room[:size]

    def edges(self, calendar: Calendar | Edges, low: int, high: int) -> Int64Array:
        """The edges of the buckets that cover [low, high), not empty; kept, as most frames have the same."""
        kept: tuple[Calendar | Edges, Int64Array] | None = getattr(self.scratch, "edges", None)
        if kept is None or kept[0] is not calendar or not are_edges_of(kept[1], low, high):
            kept = self.scratch.edges = (calendar, calendar.edges(low, high))
        return kept[1]


def intervals_of(frame: Frame, context: Context) -> Int64Array:
    """How long each series' intervals are said to be, 0 where nothing is."""
    told = context.facts.intervals_us[frame.first : frame.end]
    return np.array([interval or 0 for interval in told], np.int64)
