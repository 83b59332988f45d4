"""Registers become amounts over intervals; kernels/registers.py has the rules for where one falls."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from smartdata_ts._scan import TIME_TYPE
from smartdata_ts._steps.frame import SERIES_FIELD, TIME_FIELD, Context, Exchange, Frame, usable
from smartdata_ts._units import conversion
from smartdata_ts.errors import UnitError, UsageError
from smartdata_ts.kernels import registers as kernel_registers
from smartdata_ts.kernels._jit import Float64Array, Int32Array, UInt8Array

EVENTS = ("none", "rollover", "backflow", "reset", "digit_fault")
SCHEMA = pa.schema(
    [
        SERIES_FIELD,
        TIME_FIELD,
        pa.field("end", TIME_TYPE, nullable=False),
        pa.field("value", pa.float64()),
        pa.field("quality", pa.uint8(), nullable=False),
        pa.field("event", pa.uint8(), nullable=False),
    ]
)
_SUSPECT = 5
# The lower of two readings' statuses stands for the interval between them.
_RANKS = np.array([5, 3, 4, 6, 2, 1, 0, 0] + 8 * [3], np.uint8)


@dataclass(frozen=True)
class Consumption:
    """Amounts between consecutive readings of registers; amounts of interval series as they are."""

    unit: str | None = None  # of the amounts; None: each series' own

    @property
    def needs_neighbours(self) -> bool:
        """An interval that crosses the span's edge has a reading on the far side."""
        return True

    @property
    def schema(self) -> pa.Schema:
        """Begin, end, amount (null after a reset), quality, and what happened: a number of EVENTS."""
        return SCHEMA

    def run(self, frame: Frame, context: Context) -> Frame:
        """One row an interval that overlaps the span, whole."""
        amounts = self._amounts(frame, context)
        return amounts if self.unit is None else _converted(amounts, context, self.unit)

    def _amounts(self, frame: Frame, context: Context) -> Frame:
        kept = frame.select(np.flatnonzero(usable(frame.values, frame.qualities)))
        is_interval = _interval_slots(frame, context)
        if not is_interval.any():
            return _within(_differences(kept, context), context)
        if is_interval.all():
            return _within(_intervals(kept, context), context)
        of_interval = is_interval[kept.slots]
        registers = _differences(kept.select(np.flatnonzero(~of_interval)), context)
        intervals = _intervals(kept.select(np.flatnonzero(of_interval)), context)
        return _within(_merged(registers, intervals), context)


def _interval_slots(frame: Frame, context: Context) -> np.ndarray:
    kinds = context.facts.kinds[frame.first : frame.end]
    for slot in np.unique(frame.slots).tolist():
        position = frame.first + slot
        key = context.keys[position].as_py()
        if kinds[slot] == "gauge":
            raise UsageError(
                f"series {key!r} is a gauge, which has no consumption; leave it out of the selection, or"
                " describe it as kind 'register' or 'interval'"
            )
        if kinds[slot] == "interval" and not context.facts.intervals_us[position]:
            raise UsageError(
                f"series {key!r} is of kind 'interval', but how long its intervals are is not known;"
                f" say so: store.describe({key!r}, interval='1h')"
            )
    return np.array([kind == "interval" for kind in kinds], np.bool_)


def _differences(kept: Frame, context: Context) -> Frame:
    """Amounts between consecutive readings of one meter; a slot has a meter more than exchanges."""
    meters = _meters(kept, context)
    rows, moduli = meters.rows, meters.moduli
    points = np.empty(rows.slots.size, np.int64)
    events = np.empty(rows.slots.size, np.uint8)
    count = kernel_registers.pick_readings(rows.bounds(), rows.starts, rows.values, moduli, points, events)
    assert count >= 0, "a frame's columns do not fit each other"
    behind = np.flatnonzero(events[:count] != kernel_registers.EVENT_FIRST)
    new, old, events = points[behind], points[behind - 1], events[behind]
    amounts = rows.values[new] - rows.values[old]
    meter = rows.slots[new]
    rolled = events == kernel_registers.EVENT_ROLLOVER
    amounts[rolled] += moduli[meter[rolled]]
    amounts[events == kernel_registers.EVENT_RESET] = np.nan
    amounts *= meters.multipliers[meter]
    qualities = _worse(rows.qualities[old], rows.qualities[new])
    qualities[events >= kernel_registers.EVENT_BACKFLOW] = _SUSPECT
    columns = (meters.slots[meter], rows.starts[old], rows.starts[new], amounts, qualities)
    return Frame(kept.first, kept.end, *columns, {"event": events})


@dataclass(frozen=True)
class _Meters:
    """Readings by the meter that made them, in the place of their slots."""

    rows: Frame
    slots: Int32Array  # of each meter, as all that follows
    moduli: Float64Array
    multipliers: Float64Array


def _meters(kept: Frame, context: Context) -> _Meters:
    """Split every slot at its exchanges, of which each ends a meter and begins another."""
    facts = context.facts
    slots, moduli, multipliers = [], [], []
    exchanges: list[tuple[int, Exchange]] = []
    for slot, position in enumerate(range(kept.first, kept.end)):
        digits, multiplier = facts.register_digits[position], facts.multipliers[position]
        for exchange in (None, *facts.exchanges.get(position, ())):
            if exchange is not None:
                exchanges.append((slot, exchange))
                digits = digits if exchange.register_digits is None else exchange.register_digits
                multiplier = multiplier if exchange.multiplier is None else exchange.multiplier
            slots.append(slot)
            moduli.append(10.0**digits if digits else 0.0)
            multipliers.append(1.0 if multiplier is None else multiplier)
    rows = _at_exchanges(kept, exchanges) if exchanges else kept
    meters = replace(rows, first=0, end=len(slots))
    return _Meters(meters, np.array(slots, np.int32), np.array(moduli), np.array(multipliers))


def _at_exchanges(kept: Frame, exchanges: list[tuple[int, Exchange]]) -> Frame:
    """The rows with the two readings of every exchange among them; their slots count meters.

    What a series has at that very instant is one of the two, which the exchange tells better.
    """
    bounds = kept.bounds()
    befores, behinds = np.empty((2, len(exchanges)), np.int64)
    for k, (slot, exchange) in enumerate(exchanges):
        times = kept.starts[bounds[slot] : bounds[slot + 1]]
        befores[k] = bounds[slot] + np.searchsorted(times, exchange.time)
        behinds[k] = bounds[slot] + np.searchsorted(times, exchange.time, "right")
    told = np.repeat(np.arange(len(exchanges)), 2)
    places = befores[told]
    slots = np.array([exchanges[k][0] for k in told.tolist()], np.int32)
    times = np.array([exchanges[k][1].time for k in told.tolist()])
    registers = np.array([register for _, e in exchanges for register in (e.final, e.initial)])
    is_initial = np.zeros(told.size, np.bool_)
    is_initial[1::2] = True
    is_replaced = np.zeros(kept.slots.size, np.bool_)
    for before, behind in zip(befores.tolist(), behinds.tolist(), strict=True):
        is_replaced[before:behind] = True
    left = ~np.insert(is_replaced, places, values=False)
    all_slots = np.insert(kept.slots, places, slots)
    meters = all_slots + np.cumsum(np.insert(np.zeros(kept.slots.size, np.int32), places, is_initial))
    return Frame(
        kept.first,
        kept.end,
        meters[left].astype(np.int32),
        np.insert(kept.starts, places, times)[left],
        None,
        np.insert(kept.values, places, registers)[left],
        np.insert(kept.qualities, places, np.uint8(0))[left],
    )


def _worse(old: UInt8Array, new: UInt8Array) -> UInt8Array:
    return np.where(_RANKS[old & 15] < _RANKS[new & 15], old, new).astype(np.uint8)


def _intervals(kept: Frame, context: Context) -> Frame:
    lengths = np.array(context.facts.intervals_us[kept.first : kept.end], np.float64)
    ends = kept.starts + lengths[kept.slots].astype(np.int64)
    events = np.zeros(kept.slots.size, np.uint8)
    said = context.facts.multipliers[kept.first : kept.end]
    multipliers = np.array([1.0 if multiplier is None else multiplier for multiplier in said])
    rows = (kept.slots, kept.starts, ends, kept.values * multipliers[kept.slots], kept.qualities)
    return Frame(kept.first, kept.end, *rows, {"event": events})


def _converted(frame: Frame, context: Context, target: str) -> Frame:
    """The amounts in another unit; an amount is a difference, in which offsets have no part."""
    values = np.array(frame.values)
    for position in range(frame.first, frame.end):
        unit = context.facts.units[position]
        if unit == target:
            continue
        key = context.keys[position].as_py()
        if unit is None:
            raise UnitError(f"series {key!r} has no unit; say it: store.describe({key!r}, unit=...)")
        try:
            known = conversion(unit, target)
        except UnitError as problem:
            raise UnitError(f"series {key!r}: {problem}") from problem
        first, end = np.searchsorted(frame.slots, (position - frame.first, position - frame.first + 1))
        values[first:end] = known.apply(values[first:end], of_differences=True)
    return replace(frame, values=values)


def _merged(one: Frame, other: Frame) -> Frame:
    assert one.ends is not None
    assert other.ends is not None
    both = Frame(
        one.first,
        one.end,
        np.concatenate([one.slots, other.slots]),
        np.concatenate([one.starts, other.starts]),
        np.concatenate([one.ends, other.ends]),
        np.concatenate([one.values, other.values]),
        np.concatenate([one.qualities, other.qualities]),
        {"event": np.concatenate([one.columns["event"], other.columns["event"]])},
    )
    return both.select(np.argsort(both.slots, kind="stable"))  # a slot is of one kind


def _within(frame: Frame, context: Context) -> Frame:
    assert frame.ends is not None
    inside = (frame.ends > context.time_min) & (frame.starts <= context.time_max)
    return frame if inside.all() else frame.select(np.flatnonzero(inside))
