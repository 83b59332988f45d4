"""Registers straight to buckets: consumption and its aggregates in one pass, without intervals between.

One kernel does to each meter's readings what the steps Consumption and Buckets do one after another, in
their order, so that results are the same to the bit; in a quarter of the time, since no interval is
written to memory. Series that are no registers take the two steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.facts import Exchange
from smartdata_ts._meter.quality import usable
from smartdata_ts._read.series_blocks import SeriesBlocks
from smartdata_ts._steps.buckets import Buckets, Reduce
from smartdata_ts._steps.consumption import Consumption, conversions_of, kinds_of, meter_facts, meters_of
from smartdata_ts._steps.frame import Context, Frame, Step
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts._time.zone import DAY_US
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array
from smartdata_ts.kernels.registers import blocks as registers_blocks
from smartdata_ts.kernels.registers import meters as registers_meters
from smartdata_ts.kernels.registers import reduce as registers_reduce

# The span of some series' intervals, and what gives their readings to a kernel.
Opened = tuple[tuple[int, int], Reduce]


@dataclass(frozen=True)
class RegisterBuckets:
    """What Consumption and then Buckets make of the readings."""

    consumption: Consumption
    buckets: Buckets
    needs_neighbours = True

    @property
    def frame_scale(self) -> int:
        """Wide buckets are few rows of many readings."""
        return 16 if self.buckets.calendar.usual_width_us >= DAY_US else 1

    @property
    def schema(self) -> pa.Schema:
        """That of the buckets."""
        return self.buckets.schema

    def run(self, frame: Frame, context: Context) -> Frame:
        """One row a bucket that an amount reaches into, or a bucket of the span where `empty`."""
        if not self.suits(frame, context):
            return self.buckets.run(self.consumption.run(frame, context), context)
        span, reduce = self.opened(frame, context, registers_reduce.reduce_registers)
        return self.buckets.reduced(frame.first, frame.end, span, context, reduce)

    def run_blocks(self, first: int, end: int, blocks: SeriesBlocks, context: Context) -> Frame | None:
        """The same of blocks; None where the series are not all registers."""
        if not self.suits_blocks(first, end, context):
            return None
        span = self.span_of_blocks(first, end, blocks, context)
        reduce = self.opened_blocks(first, end, blocks, context, registers_blocks.reduce_register_blocks)
        return self.buckets.reduced(first, end, span, context, reduce)

    def suits(self, frame: Frame, context: Context) -> bool:
        """Whether the kernels can do it: all series of the frame are registers."""
        return not self._counts and bool((kinds_of(frame, context) == "register").all())

    @property
    def _counts(self) -> bool:
        return "expected_count" in self.buckets.aggregates

    def opened(self, frame: Frame, context: Context, kernel: Callable[..., int]) -> Opened:
        """The span of a frame's intervals, and what gives some slots' readings to the kernel."""
        good = usable(frame.values, frame.qualities)
        meters = meters_of(frame if good.all() else frame.select(np.flatnonzero(good)), context)
        rows, bounds = meters.rows, meters.rows.bounds()
        factors = self._factors(frame.first, frame.end, context)[:, meters.slots]
        facts = np.vstack([meters.slots, meters.moduli, meters.multipliers, factors])
        scratch_size = registers_meters.SCRATCH_FIELDS * int(np.diff(bounds).max(initial=0))
        columns_of = (rows.starts, rows.values, rows.qualities)

        def reduce(slots: slice, edges: Int64Array, control: Int64Array, columns: Float64Array) -> int:
            first, end = np.searchsorted(meters.slots, (slots.start, slots.stop))
            own = _with_scratch(facts[:, first:end], slots.start, scratch_size, context)
            return kernel(bounds[first : end + 1], own, *columns_of, edges, control, columns)

        return _span(rows, bounds), reduce

    def suits_blocks(self, first: int, end: int, context: Context) -> bool:
        """The same of what is said of the series."""
        return not self._counts and set(context.facts.kinds[first:end]) <= {"register", None}

    def span_of_blocks(self, first: int, end: int, blocks: SeriesBlocks, context: Context) -> tuple[int, int]:
        """The span of the readings of some series, usable or not, and of the exchanges."""
        known = context.facts.exchanges
        own = (known[position] for position in known if first <= position < end)
        times = [exchange.time for of_series in own for exchange in of_series]
        low, high = blocks.span
        return min([low, *times]), max([high, *times])

    def opened_blocks(
        self, first: int, end: int, blocks: SeriesBlocks, context: Context, kernel: Callable[..., int]
    ) -> Reduce:
        """What gives some slots' blocks to the kernel, until this thread asks any chunk again."""
        slots_of, moduli, multipliers, exchanges = meter_facts(first, end, context)
        factors = self._factors(first, end, context)[:, slots_of]
        taken = np.repeat(np.array([blocks.taken]).T, slots_of.size, axis=1).view(np.float64)
        facts = np.vstack([slots_of, moduli, multipliers, factors, taken, _told_by(exchanges, slots_of)])
        loaded = blocks.load()
        # An exchange's two readings may come on top.
        scratch_size = registers_blocks.BLOCK_SCRATCH_FIELDS * (int(loaded.counts.max()) + 2)
        payloads = (loaded.data, loaded.descriptors, loaded.tables)
        bounds = np.stack([loaded.bounds[slots_of], loaded.bounds[slots_of + 1]], axis=1)

        def reduce(slots: slice, edges: Int64Array, control: Int64Array, columns: Float64Array) -> int:
            low, high = np.searchsorted(slots_of, (slots.start, slots.stop))
            own = _with_scratch(facts[:, low:high], slots.start, scratch_size, context)
            status = kernel(*payloads, bounds[low:high].ravel(), own, edges, control, columns)
            if status <= registers_blocks.MALFORMED_BLOCK:
                raise loaded.corrupt(registers_blocks.MALFORMED_BLOCK - status)
            return status

        return reduce

    def _factors(self, first: int, end: int, context: Context) -> Float64Array:
        """By what each slot's amounts are multiplied, and then divided, to have the unit that is wanted."""
        if self.consumption.unit is None:
            return np.ones((2, end - first))
        known = conversions_of(first, end, context, self.consumption.unit)
        return np.array([[each.numerator for each in known], [each.denominator for each in known]])


def _told_by(exchanges: list[tuple[int, Exchange]], slots_of: Int32Array) -> Float64Array:
    """What kernels are told of the exchange that each meter but a slot's first came with."""
    is_later = np.zeros(slots_of.size, np.bool_)
    is_later[1:] = slots_of[1:] == slots_of[:-1]
    told = np.zeros((3, slots_of.size))
    told[0].view(np.int64)[is_later] = [exchange.time for _, exchange in exchanges]
    told[1, is_later] = [exchange.final for _, exchange in exchanges]
    told[2, is_later] = [exchange.initial for _, exchange in exchanges]
    return told


def _with_scratch(facts: np.ndarray, first_slot: int, scratch_size: int, context: Context) -> Float64Array:
    """What kernels are told of some meters, by slot from the first one on, with their scratch behind it."""
    own = context.room("meters", facts.size + scratch_size)
    own[: facts.size] = facts.ravel()
    own[: facts.shape[1]] -= first_slot
    return own


def fused(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The same steps, of which those that one kernel can do are one."""
    match steps:
        case (Consumption() as consumption, Buckets(of_levels=False) as buckets, *rest):
            return (RegisterBuckets(consumption, buckets), *rest)
    return steps


def _span(rows: Frame, bounds: Int64Array) -> tuple[int, int]:
    """The first begin and the last end of an interval; one reading makes none."""
    firsts, ends = bounds[:-1], bounds[1:]
    has_intervals = ends - firsts > 1
    if not has_intervals.any():
        return TIME_MAX, TIME_MIN
    return int(rows.starts[firsts[has_intervals]].min()), int(rows.starts[ends[has_intervals] - 1].max())
