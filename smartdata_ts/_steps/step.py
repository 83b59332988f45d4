"""The face that every step of a query has.

A step is a small frozen dataclass in a file of its own, which a method of `Query` adds. It is a value: it can
be compared, hashed, pickled and printed, and gives the arguments of its method. The table in
`_query/grammar.py` says which rows it takes and which it gives. Steps run in three ways:

    PlanStep     blocks of a plan to batches            last, resample (of stored readings)
    FrameStep    some whole series' rows to their rows  consumption, hold, fill, rolling, resample, ...
    WholeStep    batches of all series to batches       aggregate, join_asof
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from smartdata_ts._meter.facts import Facts
    from smartdata_ts._read.plan import Plan
    from smartdata_ts._read.series_blocks import SeriesBlocks
    from smartdata_ts._read.threads import Result
    from smartdata_ts._steps.frame import Context, Frame


class Step:
    """The questions of the planner and of a description; most answers are the same for most steps."""

    method: str  # of Query, which adds the step
    source: ClassVar[str]  # what `run` takes: PLAN, FRAMES or BATCHES

    def arguments(self) -> dict[str, Any]:
        """The arguments of the method, as values of JSON; a function that a user gave stays one."""
        raise NotImplementedError

    def schema(self, source: pa.Schema) -> pa.Schema:
        """The columns of a result that ends with this step, after rows of the columns `source`."""
        raise NotImplementedError

    def edge_at(self, time_us: int) -> int:
        """The last instant up to this one at which time can be cut: where a bucket begins, or any."""
        return time_us

    def tie_of_series(self, is_open: bool) -> str | None:
        """Why the result of some series depends on others; None: it does not. `is_open`: the span is."""
        del is_open
        return None

    def tie_of_times(self, is_open: bool) -> str | None:
        """Why the result of a part of time depends on the rest; None: it does not, but for its neighbours."""
        return self.tie_of_series(is_open)

    @property
    def needs_facts(self) -> bool:
        """Whether it asks what the catalog says of the series."""
        return True

    @property
    def needs_neighbours(self) -> bool:
        """Whether it wants the readings next to the span; only asked of the first step."""
        return False

    @property
    def needs_tags(self) -> bool:
        """Whether the facts must hold all tags of the series."""
        return False

    @property
    def reach_us(self) -> tuple[int | None, int | None]:
        """How far before and after the span it needs readings; None: all of them."""
        return 0, 0

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the tags that it asks for."""
        return ()

    def units(self, facts: "Facts") -> list[str | None]:
        """The unit of each series' rows, where this step is the first."""
        return facts.units


class PlanStep(Step):
    """A step that reads a plan's blocks itself; it is the first."""

    source = "plan"

    def run(
        self, plan: "Plan", facts: "Facts | None", finish: "Callable[[pa.RecordBatch], Result]"
    ) -> "Iterator[Result]":
        """The batches of the result, in order and in bounded memory; threads `finish` them."""
        raise NotImplementedError


class FrameStep(Step):
    """A step from frame to frame, each series alone; `_steps/frame.py` has the rules."""

    source = "frames"
    minds_span: ClassVar[bool] = False  # gives rows of the context's span only
    widens_span: ClassVar[bool] = False  # wants the steps before it to give rows of all that it reaches
    makes_batches: ClassVar[bool] = False  # offers `batch`; it is the last
    takes_blocks: ClassVar[bool] = False  # offers `run_blocks`, and needs neighbours
    takes_chunks: ClassVar[bool] = False  # a frame may go over several chunks

    @property
    def frame_scale(self) -> int:
        """How many times more readings a frame may have where this step is the first."""
        return 1

    def run(self, frame: "Frame", context: "Context") -> "Frame":
        """Make rows of some series' rows; UsageError where a series does not allow it."""
        raise NotImplementedError

    def batch(self, frame: "Frame", keys: pa.StringArray, facts: "Facts") -> pa.RecordBatch:
        """Make a batch of a frame that `run` made."""
        raise NotImplementedError

    def run_blocks(self, first: int, end: int, blocks: "SeriesBlocks", context: "Context") -> "Frame | None":
        """Do the same from all blocks of these series; None where it cannot."""
        raise NotImplementedError


class WholeStep(Step):
    """A step over the batches of all series; it is the last."""

    source = "batches"

    def opened(self, source: pa.Schema, known: "Known") -> "Whole":
        """The step with the series of one execution; `source` are the columns of its batches."""
        raise NotImplementedError


class Whole(Protocol):
    """A step over all series, ready to run."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of the result."""

    def part_of(self, batch: pa.RecordBatch) -> Any:
        """A batch as `run` takes it; called on threads."""

    def run(self, parts: Iterable[Any]) -> Iterator[pa.RecordBatch]:
        """The result, made of the parts in their order."""


@dataclass(frozen=True)
class Known:
    """The catalog's answers on the selected series, by position, as far as the steps ask."""

    keys: pa.StringArray
    facts: "Facts | None"
    tags: dict[str, list[str | None]]
    first: Step | None  # of the query

    def units(self) -> list[str | None]:
        """The unit of each series' rows."""
        assert self.facts is not None
        return self.facts.units if self.first is None else self.first.units(self.facts)
