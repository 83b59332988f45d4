"""Consumption by buckets, aggregated across series: folded by group as it is made, without a row a series.

Rows of a series each, were they written, read, numbered and folded, would take longer than to make them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from smartdata_ts._read.series_blocks import SeriesBlocks
from smartdata_ts._steps.across import Groups
from smartdata_ts._steps.buckets import clipped
from smartdata_ts._steps.folding import Part, columns_of
from smartdata_ts._steps.frame import Context, Frame
from smartdata_ts._steps.pipeline import to_batch
from smartdata_ts._steps.registers.buckets import Feed, RegisterBuckets
from smartdata_ts._steps.step import FrameStep
from smartdata_ts.kernels.buckets import groups as kernel_groups
from smartdata_ts.kernels.registers import blocks as registers_blocks
from smartdata_ts.kernels.registers import reduce as registers_reduce
from smartdata_ts.kernels.registers import target as registers_target

_FOLDED = {"sum", "count"}
_PLACES_SIZE_MAX = 3 << 18  # words: what the processor's caches keep


@dataclass(frozen=True)
class RegisterFolds(FrameStep):
    """RegisterBuckets, and then Groups.part_of; a slot is a group's number."""

    registers: RegisterBuckets
    groups: Groups
    needs_neighbours = True
    minds_span = True
    takes_blocks = True
    frame_scale = 48  # few rows are made of a frame's readings
    takes_chunks = True

    def run(self, frame: Frame, context: Context) -> Frame:
        """One row a group and bucket that an amount reaches into."""
        part = None
        if self.registers.suits(frame, context):
            span, fold = self.registers.opened(frame, context, registers_reduce.fold_registers)
            part = self._folded(frame.first, frame.end, span, [(0, frame.end - frame.first, fold)], context)
        if part is None:
            buckets = self.registers.run(frame, context)
            part = self.groups.part_of(to_batch(buckets, context.keys, self.groups.source))
        return _frame_of(part, frame.first, frame.end)

    def run_blocks(self, first: int, end: int, blocks: SeriesBlocks, context: Context) -> Frame | None:
        """The same of blocks; None where the kernel cannot do it."""
        if not self.registers.suits_blocks(first, end, context):
            return None
        span = self.registers.span_of_blocks(first, end, blocks, context)
        part = self._folded(first, end, span, self._opened(first, blocks, context), context)
        return None if part is None else _frame_of(part, first, end)

    def _opened(self, first: int, blocks: SeriesBlocks, context: Context) -> Iterator[tuple[int, int, Feed]]:
        """Ranges of slots, and what gives their blocks to the kernel until the next range is asked for."""
        kernel = registers_blocks.fold_register_blocks
        for slot, part in blocks.by_chunk():
            end = slot + part.slot_count
            yield slot, end, self.registers.opened_blocks(first + slot, first + end, part, context, kernel)

    def _folded(
        self,
        first: int,
        end: int,
        span: tuple[int, int],
        folds: Iterable[tuple[int, int, Feed]],
        context: Context,
    ) -> Part | None:
        """The same by the kernel; None where it would need too much room."""
        edges = self.registers.buckets.edges(span, context)
        groups, numbers = np.unique(self.groups.groups[first:end], return_inverse=True)
        hows = self.groups.hows
        cell_size = len(hows) * kernel_groups.FOLDED_FIELDS
        shape = (groups.size, 1 + cell_size + registers_target.STEP_FIELDS, edges.size - 1)
        size = int(np.prod(shape))
        if not 0 < size <= _PLACES_SIZE_MAX:
            return None
        column_of = {name: column for column, name in enumerate(hows)}
        of_sum, of_count = column_of.get("sum", -1), column_of.get("count", -1)
        places = context.room("places", size)
        places[:] = 0.0
        clipped_edges = clipped(edges, context)
        for low, high, fold in folds:
            groups_of = numbers[low:high].astype(np.int64)
            sink = registers_target.GroupSink(groups_of, places, hows["sum"], of_sum, of_count)
            count = fold(slice(0, high - low), clipped_edges, sink)
            assert count >= 0, "a frame's columns do not fit each other"
        table = places.reshape(shape)
        of_group, buckets = np.nonzero(table[:, 0])
        cells = table[of_group, 1 : 1 + cell_size, buckets].reshape(
            -1, len(hows), kernel_groups.FOLDED_FIELDS
        )
        columns = columns_of({name: cells[:, k] for k, name in enumerate(hows)}, ["sum"])
        return Part(groups[of_group], edges[buckets], columns)


def _frame_of(part: Part, first: int, end: int) -> Frame:
    nothing = np.broadcast_to(np.zeros(1), part.times.size)
    rows = (part.groups, part.times, None, nothing, nothing.astype(np.uint8))
    return Frame(first, end, *rows, part.columns)


def part_of(frame: Frame) -> Part:
    """The rows of groups' buckets."""
    return Part(frame.slots, frame.starts, frame.columns)


def folds(steps: tuple[FrameStep, ...], groups: Groups) -> RegisterFolds | None:
    """The step that does these steps and then the aggregate across series, where one can."""
    match steps:
        case (RegisterBuckets(buckets=buckets) as registers,) if not buckets.empty:
            wanted = set(buckets.aggregates)
            is_plain = groups.conversions is None and groups.probability is None
            if is_plain and {"sum"} <= wanted <= _FOLDED:
                return RegisterFolds(registers, groups)
    return None
