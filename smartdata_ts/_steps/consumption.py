"""Registers, and flows, become amounts over intervals.

kernels/registers/events.py has the rules for where a register falls. A flow (a gauge of L/s, of kW) is on
the line between two of its readings; between two that are more than 1.5 usual steps apart it is not known.
A mean of intervals (kind interval, L/s) is multiplied by their length.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.facts import Exchange, Facts, modulus_of
from smartdata_ts._meter.quality import usable, worse_of
from smartdata_ts._meter.units import Conversion, amount_of, conversion
from smartdata_ts._readings.columns import bounds_of
from smartdata_ts._steps.frame import END_FIELD, SERIES_FIELD, TIME_FIELD, Context, Frame, intervals_of
from smartdata_ts._steps.shares import usual_lengths
from smartdata_ts._steps.step import FrameStep
from smartdata_ts.errors import UnitError, UsageError
from smartdata_ts.kernels.arrays import Float64Array, Int32Array
from smartdata_ts.kernels.codec.blocks import ReadingColumns
from smartdata_ts.kernels.registers import events as kernel_events

EVENTS = ("none", "rollover", "backflow", "reset", "digit_fault")
SCHEMA = pa.schema(
    [
        SERIES_FIELD,
        TIME_FIELD,
        END_FIELD,
        pa.field("value", pa.float64()),
        pa.field("quality", pa.uint8(), nullable=False),
        pa.field("event", pa.uint8(), nullable=False),
    ]
)
HOUR_US = 3_600_000_000
_MISSING = 7


@dataclass(frozen=True)
class Consumption(FrameStep):
    """Amounts between consecutive readings of registers and flows; amounts of intervals as they are."""

    unit: str | None = None  # of the amounts; None: each series' own

    method = "consumption"
    needs_neighbours = True  # an interval that crosses the span's edge has a reading on the far side
    minds_span = True

    def arguments(self) -> dict[str, Any]:
        """The unit."""
        return {"unit": self.unit}

    def tie_of_times(self, is_open: bool) -> str | None:
        """A fall of a register may be a digit fault, and a flow's gap is one of its usual step."""
        del is_open
        return "consumption() looks a day around a fall of a register; split it by series"

    def units(self, facts: Facts) -> list[str | None]:
        """The unit of the amounts."""
        return facts.amount_units if self.unit is None else [self.unit] * len(facts.units)

    def schema(self, source: pa.Schema) -> pa.Schema:  # noqa: ARG002, every step has this face
        """Begin, end, amount (null after a reset), quality, and what happened: a number of EVENTS."""
        return SCHEMA

    def run(self, frame: Frame, context: Context) -> Frame:
        """One row an interval that overlaps the span, whole."""
        amounts = self._amounts(frame, context)
        return amounts if self.unit is None else _converted(amounts, context, self.unit)

    def _amounts(self, frame: Frame, context: Context) -> Frame:
        good = usable(frame.values, frame.qualities)
        kept = frame if good.all() else frame.select(np.flatnonzero(good))
        kinds = kinds_of(frame, context)
        parts = []
        for kind, make in (("register", _differences), ("interval", _intervals), ("gauge", _integrals)):
            own = kinds == kind
            if own.all() and own.size:
                parts = [make(kept, context)]
            elif own.any():
                parts.append(make(kept.select(np.flatnonzero(own[kept.slots])), context))
        return _within(_merged(parts) if parts else _differences(kept, context), context)


def kinds_of(frame: Frame, context: Context) -> np.ndarray:
    """The kind of each slot; one without a kind is a register."""
    facts = context.facts
    kinds = np.array([kind or "register" for kind in facts.kinds[frame.first : frame.end]], np.str_)
    for slot in np.flatnonzero(np.diff(frame.bounds())).tolist():
        position = frame.first + slot
        key, unit = context.keys[position].as_py(), facts.units[position]
        if kinds[slot] == "gauge" and not amount_of(unit, "gauge")[1]:
            raise UsageError(
                f"series {key!r} is a gauge, and {unit or 'without a unit'}: it has no consumption, as flows"
                " (L/s) and powers (kW) have; leave it out of the selection, or describe it otherwise"
            )
        if kinds[slot] == "interval" and not facts.intervals_us[position]:
            raise UsageError(
                f"series {key!r} is of kind 'interval', but how long its intervals are is not known;"
                f" say so: store.describe({key!r}, interval='1h')"
            )
    return kinds


def _differences(kept: Frame, context: Context) -> Frame:
    """Amounts between consecutive readings of one meter; a slot has a meter more than exchanges."""
    meters = meters_of(kept, context)
    rows, size = meters.rows, meters.rows.slots.size
    points = np.empty(size, np.int64)
    events = np.empty(size, np.uint8)
    bounds = rows.bounds()
    count = kernel_events.pick_readings(bounds, rows.starts, rows.values, meters.moduli, points, events)
    assert count >= 0, "a frame's columns do not fit each other"
    found = kernel_events.MeterIntervals(
        np.empty(count, np.int32),
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        np.empty(count),
        np.empty(count, np.uint8),
        np.empty(count, np.uint8),
    )
    readings = ReadingColumns(rows.starts, rows.values, rows.qualities)
    facts = (meters.moduli, meters.multipliers)
    made = kernel_events.intervals_between(points[:count], events, rows.slots, readings, *facts, found)
    assert made >= 0, "points are of these rows"
    slots, starts, ends = found.slots[:made], found.starts[:made], found.ends[:made]
    if meters.slots.size > kept.end - kept.first:
        slots = meters.slots[slots]
    rows_of = (slots, starts, ends, found.amounts[:made], found.qualities[:made])
    return Frame(kept.first, kept.end, *rows_of, {"event": found.events[:made]})


@dataclass(frozen=True)
class Meters:
    """Readings by the meter that made them, in the place of their slots."""

    rows: Frame
    slots: Int32Array  # of each meter, as all that follows
    moduli: Float64Array
    multipliers: Float64Array


def meters_of(kept: Frame, context: Context) -> Meters:
    """Split every slot at its exchanges: each ends a meter and begins another."""
    slots, moduli, multipliers, exchanges = meter_facts(kept.first, kept.end, context)
    rows = _at_exchanges(kept, exchanges) if exchanges else kept
    return Meters(replace(rows, first=0, end=slots.size), slots, moduli, multipliers)


def meter_facts(
    first: int, end: int, context: Context
) -> tuple[Int32Array, Float64Array, Float64Array, list[tuple[int, Exchange]]]:
    """The slots of all meters, their moduli and multipliers; and the exchanges between them, by slot."""
    facts = context.facts
    if not facts.exchanges:
        return np.arange(end - first, dtype=np.int32), facts.moduli[first:end], facts.factors[first:end], []
    slots, moduli, multipliers = [], [], []
    exchanges: list[tuple[int, Exchange]] = []
    for slot, position in enumerate(range(first, end)):
        digits, multiplier = facts.register_digits[position], facts.multipliers[position]
        for exchange in (None, *facts.exchanges.get(position, ())):
            if exchange is not None:
                exchanges.append((slot, exchange))
                digits = digits if exchange.register_digits is None else exchange.register_digits
                multiplier = multiplier if exchange.multiplier is None else exchange.multiplier
            slots.append(slot)
            moduli.append(modulus_of(digits))
            multipliers.append(1.0 if multiplier is None else multiplier)
    return np.array(slots, np.int32), np.array(moduli), np.array(multipliers), exchanges


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


def _intervals(kept: Frame, context: Context) -> Frame:
    lengths = intervals_of(kept, context)[kept.slots]
    per_hour = _per_hour(kept, context)[kept.slots]
    amounts = np.where(per_hour > 0, kept.values * (lengths / HOUR_US) * per_hour, kept.values)
    amounts *= _multipliers(kept, context)[kept.slots]
    events = np.zeros(kept.slots.size, np.uint8)
    rows = (kept.slots, kept.starts, kept.starts + lengths, amounts, kept.qualities)
    return Frame(kept.first, kept.end, *rows, {"event": events})


def _integrals(kept: Frame, context: Context) -> Frame:
    """Flows between consecutive readings; null where these are too far apart for a line between them."""
    inside = (kept.starts[1:] > context.time_min) & (kept.starts[:-1] <= context.time_max)
    old = np.flatnonzero((kept.slots[1:] == kept.slots[:-1]) & inside)
    new, slots = old + 1, kept.slots[old]
    lengths = kept.starts[new] - kept.starts[old]
    told = intervals_of(kept, context)
    bounds = bounds_of(slots, told.size)
    steps = np.where(told > 0, told, usual_lengths(bounds, kept.starts[old], kept.starts[new]))[slots]
    factors = (_per_hour(kept, context) * _multipliers(kept, context))[slots]
    amounts = (kept.values[old] / 2 + kept.values[new] / 2) * (lengths / HOUR_US) * factors
    qualities = worse_of(kept.qualities[old], kept.qualities[new])
    is_gap = 2 * lengths > 3 * steps
    amounts[is_gap], qualities[is_gap] = np.nan, _MISSING
    rows = (slots, kept.starts[old], kept.starts[new], amounts, qualities)
    return Frame(kept.first, kept.end, *rows, {"event": np.zeros(old.size, np.uint8)})


def _per_hour(frame: Frame, context: Context) -> Float64Array:
    """The amount that one unit of each slot makes in an hour; 0 where it is an amount already."""
    facts = context.facts
    positions = range(frame.first, frame.end)
    return np.array([amount_of(facts.units[k], facts.kinds[k])[1] for k in positions], np.float64)


def _multipliers(frame: Frame, context: Context) -> Float64Array:
    return context.facts.factors[frame.first : frame.end]


def _converted(frame: Frame, context: Context, target: str) -> Frame:
    """The amounts in another unit; an amount is a difference, in which offsets have no part."""
    values = np.array(frame.values)
    for slot, known in enumerate(conversions_of(frame.first, frame.end, context, target)):
        first, end = np.searchsorted(frame.slots, (slot, slot + 1))
        values[first:end] = known.apply(values[first:end], of_differences=True)
    return replace(frame, values=values)


def conversions_of(first: int, end: int, context: Context, target: str) -> list[Conversion]:
    """The conversion of each position's amounts to another unit; UnitError where there is none."""
    found = []
    for position in range(first, end):
        unit, _ = amount_of(context.facts.units[position], context.facts.kinds[position])
        key = context.keys[position].as_py()
        if unit is None:
            raise UnitError(f"series {key!r} has no unit; say it: store.describe({key!r}, unit=...)")
        try:
            found.append(conversion(unit, target))
        except UnitError as problem:
            raise UnitError(f"series {key!r}: {problem}") from problem
    return found


def _merged(parts: list[Frame]) -> Frame:
    """The rows of several frames over the same slots; each frame is of one kind."""
    if len(parts) == 1:
        return parts[0]
    both = Frame(
        parts[0].first,
        parts[0].end,
        np.concatenate([part.slots for part in parts]),
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.ends for part in parts if part.ends is not None]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.qualities for part in parts]),
        {"event": np.concatenate([part.columns["event"] for part in parts])},
    )
    return both.select(np.argsort(both.slots, kind="stable"))


def _within(frame: Frame, context: Context) -> Frame:
    assert frame.ends is not None
    inside = (frame.ends > context.time_min) & (frame.starts <= context.time_max)
    return frame if inside.all() else frame.select(np.flatnonzero(inside))
