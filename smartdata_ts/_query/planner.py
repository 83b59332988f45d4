"""The plan of a query: what must be read, and on which path its steps run. It is decided here alone."""

from typing import TYPE_CHECKING, NamedTuple, cast

import pyarrow as pa

from smartdata_ts._readings.schema import READINGS_SCHEMA
from smartdata_ts._time.span import TIME_MAX, TIME_MIN

from .description import Description

if TYPE_CHECKING:
    from smartdata_ts._steps.step import FrameStep, PlanStep, Step, Whole, WholeStep

Span = tuple[int, int]  # first and last microsecond


class Work(NamedTuple):
    """The way of a query from blocks to its result."""

    found_in: Span  # blocks are looked for: all of time where neighbours may stand anywhere
    span: Span  # is read, as far as the steps reach
    asked: Span  # is what the steps give rows of: the query's own, or what a last step reaches
    plan_step: "PlanStep | None"  # is the first, and reads the blocks itself
    frame_steps: "tuple[FrameStep, ...]"  # as they run: some become one
    whole_step: "WholeStep | None"  # is the last, over all series
    source: pa.Schema  # of the batches before it
    needs_facts: bool
    tags: tuple[str, ...]  # that the steps ask for


def work_of(query: Description) -> Work:
    """Decide how a query is run."""
    steps, span = query.steps, query.span
    if not steps:
        return Work(span, span, span, None, (), None, READINGS_SCHEMA, False, ())
    whole = cast("WholeStep", steps[-1]) if steps[-1].source == "batches" else None
    before = steps if whole is None else steps[:-1]
    source = READINGS_SCHEMA
    for step in before:
        source = step.schema(source)
    needs_facts = any(step.needs_facts for step in steps)
    tags = () if whole is None else whole.tags
    if not before or before[0].source == "plan":
        first = cast("PlanStep", before[0]) if before else None
        return Work(span, span, span, first, (), whole, source, needs_facts, tags)
    frame_steps = cast("tuple[FrameStep, ...]", before)
    asked = _widened(span, before[-1:]) if frame_steps[-1].widens_span else span
    if before[0].needs_neighbours:
        found_in, wide = (TIME_MIN, TIME_MAX), asked
    else:
        found_in = wide = _widened(span, before)
    frames = _frame_steps(frame_steps, source)
    return Work(found_in, wide, asked, None, frames, whole, source, needs_facts, tags)


def folded(work: Work, whole: "Whole") -> "FrameStep | None":
    """The one step that does all the work where a kernel can, with the groups of the series known."""
    if not work.frame_steps or work.whole_step is None or work.whole_step.method != "aggregate":
        return None
    from smartdata_ts._steps.across import Groups
    from smartdata_ts._steps.registers.folds import folds

    return folds(work.frame_steps, cast("Groups", whole))


def _frame_steps(steps: "tuple[FrameStep, ...]", schema: pa.Schema) -> "tuple[FrameStep, ...]":
    """The steps from frame to frame, as they are run."""
    from smartdata_ts._steps.registers.buckets import fused
    from smartdata_ts._steps.within import Within

    return fused(steps if steps[-1].minds_span else (*steps, Within("end" in schema.names)))


def _widened(span: Span, steps: "tuple[Step, ...]") -> Span:
    """The span that must be read for the steps to know all that they ask for."""
    low, high = span
    for step in steps:
        before, after = step.reach_us
        low = TIME_MIN if before is None else max(low - before, TIME_MIN)
        high = TIME_MAX if after is None else min(high + after, TIME_MAX)
    return low, high
