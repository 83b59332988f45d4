"""What goes from one step of a query to the next, and the face that every such step has.

A step is a small frozen dataclass in a file of its own. `Query.steps` is a tuple of them, and a method of
`Query` adds one: it checks that the step may follow the last one, and raises UsageError if not. To run a
query whose steps are all of this face, `frame_batches` reads some whole series at a time into a `Frame`
with one row a reading, gives it to each step in turn, on two threads; `to_batch` makes a batch of the
last step's frame by the names in its `schema`:

    series      keys[first + slots]         time        starts          end         ends
    value       values, null where NaN      quality     qualities       all else    columns[name], NaN null

What a step must hold to: it never changes the arrays that it is given; its rows are sorted by slot, then
start; its result does not depend on which other series share the frame; and whatever it leaves out
because a span was asked for is what lies outside of [context.time_min, context.time_max].

Where the first step `needs_neighbours`, every series has the last usable reading before the span (of a
finite value, and neither rejected nor missing) and the first one behind it in its frame, and often more
of them; otherwise frames hold the span alone. A `BlockStep` that is the first is offered whole series'
blocks, to decode them as it goes. A step over all series cannot have this face: it consumes
what `frame_batches` yields.
"""

import threading
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.facts import Facts
from smartdata_ts._read.series_blocks import SeriesBlocks
from smartdata_ts._readings.columns import bounds_of
from smartdata_ts._readings.schema import READINGS_SCHEMA
from smartdata_ts._time.calendar import Calendar, Edges, are_edges_of
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array, UInt8Array

SERIES_FIELD, TIME_FIELD = READINGS_SCHEMA.field("series"), READINGS_SCHEMA.field("time")


@dataclass(frozen=True)
class Frame:
    """Some whole series' rows on their way through a query: sorted by slot, then start."""

    first: int  # position (in the selection) of slot 0
    end: int  # behind the last position
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
    """What a step may know of the query that it is part of."""

    keys: pa.StringArray  # by position
    facts: Facts
    time_min: int  # of the span that was asked for, inclusive; TIME_MIN: all
    time_max: int  # inclusive; TIME_MAX: all
    extent: tuple[int, int]  # first and last time within the span that any series has; first > last: none
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


class Step(Protocol):
    """One step of a query: from frame to frame, each series alone."""

    @property
    def needs_neighbours(self) -> bool:
        """Whether it wants the readings next to the span; only asked of the first step."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of a result that ends with this step."""

    def run(self, frame: Frame, context: Context) -> Frame:
        """What the step makes of some series' rows; raises UsageError where a series cannot be had so."""


@runtime_checkable
class BlockStep(Step, Protocol):
    """A step that can take some series' blocks as well as their readings, and needs neighbours."""

    def run_blocks(self, first: int, end: int, blocks: SeriesBlocks, context: Context) -> Frame | None:
        """What `run` makes of the readings of these series, all of them; None where it cannot."""


def intervals_of(frame: Frame, context: Context) -> Int64Array:
    """How long each series' intervals are said to be, 0 where nothing is."""
    told = context.facts.intervals_us[frame.first : frame.end]
    return np.array([interval or 0 for interval in told], np.int64)
