"""Registers become amounts over intervals; kernels/registers.py has the rules for where one falls."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._scan import TIME_TYPE
from smartdata_ts._steps.frame import SERIES_FIELD, TIME_FIELD, Context, Frame, usable
from smartdata_ts.errors import UsageError
from smartdata_ts.kernels import registers as kernel_registers
from smartdata_ts.kernels._jit import UInt8Array

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
    digits = context.facts.register_digits[kept.first : kept.end]
    moduli = np.array([10.0**count if count else 0.0 for count in digits])
    points = np.empty(kept.slots.size, np.int64)
    events = np.empty(kept.slots.size, np.uint8)
    count = kernel_registers.pick_readings(kept.bounds(), kept.starts, kept.values, moduli, points, events)
    assert count >= 0, "a frame's columns do not fit each other"
    behind = np.flatnonzero(events[:count] != kernel_registers.EVENT_FIRST)
    new, old, events = points[behind], points[behind - 1], events[behind]
    amounts = kept.values[new] - kept.values[old]
    rolled = events == kernel_registers.EVENT_ROLLOVER
    amounts[rolled] += moduli[kept.slots[new[rolled]]]
    amounts[events == kernel_registers.EVENT_RESET] = np.nan
    qualities = _worse(kept.qualities[old], kept.qualities[new])
    qualities[events >= kernel_registers.EVENT_BACKFLOW] = _SUSPECT
    rows = (kept.slots[new], kept.starts[old], kept.starts[new], amounts, qualities)
    return Frame(kept.first, kept.end, *rows, {"event": events})


def _worse(old: UInt8Array, new: UInt8Array) -> UInt8Array:
    return np.where(_RANKS[old & 15] < _RANKS[new & 15], old, new).astype(np.uint8)


def _intervals(kept: Frame, context: Context) -> Frame:
    lengths = np.array(context.facts.intervals_us[kept.first : kept.end], np.float64)
    ends = kept.starts + lengths[kept.slots].astype(np.int64)
    events = np.zeros(kept.slots.size, np.uint8)
    rows = (kept.slots, kept.starts, ends, kept.values, kept.qualities)
    return Frame(kept.first, kept.end, *rows, {"event": events})


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
