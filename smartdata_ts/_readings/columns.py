"""Columns of readings, and the airlock to the kernels that sort, fold and match them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array, UInt8Array
from smartdata_ts.kernels.rows import readings as kernel_readings

_GROUP_COUNT_LOG2 = 7
_RUN_ROWS_MIN = 8  # consecutive rows of a slot; shorter runs are spread in two passes


@dataclass(frozen=True)
class Readings:
    """Equally long columns; `series` is an id or a slot, as their maker says."""

    series: Int32Array
    times: Int64Array  # us UTC
    values: Float64Array
    qualities: UInt8Array

    def __len__(self) -> int:
        return int(self.times.size)

    def select(self, index: slice | npt.NDArray[np.bool_ | np.int64]) -> "Readings":
        """The readings at an index, in its order."""
        return Readings(self.series[index], self.times[index], self.values[index], self.qualities[index])


def series_starts(series: Int32Array) -> Int64Array:
    """Where each run of one series begins, shape (runs,); `sorted_starts` is faster for long runs."""
    # NumPy searches booleans of a byte each many times faster than differences.
    changes = np.flatnonzero(series[1:] != series[:-1]) + 1
    return np.concatenate([np.zeros(min(series.size, 1), np.int64), changes])


def sorted_starts(series: Int32Array) -> Int64Array:
    """Where each series of sorted readings begins, which takes steps by series, not by reading."""
    starts = np.empty(kernel_readings.find_runs(series, np.empty(0, np.int64)), np.int64)
    kernel_readings.find_runs(series, starts)
    return starts


def time_span(readings: Readings) -> tuple[int, int]:
    """The first and the last time of readings that are sorted; there is at least one."""
    starts = sorted_starts(readings.series)
    ends = np.append(starts[1:], len(readings))
    return int(readings.times[starts].min()), int(readings.times[ends - 1].max())


def concatenate(parts: list[Readings], room: Readings | None = None) -> Readings:
    """Join the readings of all parts in their order; a single part that is not empty gives its own arrays.

    Several are copied into `room`, which is as long, where it is given.
    """
    parts = [part for part in parts if len(part)]
    if len(parts) == 1:
        return parts[0]
    joined = room_for(sum(map(len, parts))) if room is None else room
    if parts:
        np.concatenate([part.series for part in parts], out=joined.series)
        np.concatenate([part.times for part in parts], out=joined.times)
        np.concatenate([part.values for part in parts], out=joined.values)
        np.concatenate([part.qualities for part in parts], out=joined.qualities)
    return joined


def room_for(count: int) -> Readings:
    """So many readings of whatever content."""
    return Readings(
        np.empty(count, np.int32), np.empty(count, np.int64), np.empty(count), np.empty(count, np.uint8)
    )


@dataclass(frozen=True)
class Folded:
    """Readings sorted by series and time, each (series, time) once, and what that folded away."""

    readings: Readings
    duplicate_count: int
    replaced_count: int
    kept_count: int  # rows that gave way to what stood


_LATER_WINS = np.ones(65_536, np.uint8)


def fold(parts: list[Readings], wins: UInt8Array = _LATER_WINS) -> Folded:
    """Sort by series and time; of a repeated (series, time) the later row, of a later part, stays.

    It does so where wins[256 * old quality + new quality] is not 0. Where it sorts, it empties the list: the
    parts' memory is free then before that of the result is taken.
    """
    if _are_sorted(parts):
        return Folded(concatenate(parts), 0, 0, 0)
    if (appended := _appended(parts)) is not None:
        return Folded(appended, 0, 0, 0)
    slot_count = max(int(part.series.max(initial=0)) for part in parts) + 1
    slot_counts = np.zeros(slot_count, np.int64)
    for part in parts:
        counted = kernel_readings.count_slots(part.series, slot_counts)
        assert counted == len(part), "a series number is negative"
    starts = np.concatenate([[0], np.cumsum(slot_counts)])
    times, values, qualities = _scatter(parts, starts)
    largest = int(slot_counts.max())
    kernel_readings.sort_slots(
        starts,
        times,
        values,
        qualities,
        np.empty(2 * largest, np.int64),
        np.empty(largest, np.int64),
        np.empty(largest, np.float64),
        np.empty(largest, np.uint8),
    )
    counts = np.zeros(3, np.int64)
    kept = kernel_readings.fold_repeats(starts, times, values, qualities, wins, counts)
    series = np.repeat(np.arange(slot_count, dtype=np.int32), np.diff(starts))
    folded = Readings(series, times[:kept], values[:kept], qualities[:kept])
    return Folded(folded, int(counts[0]), int(counts[1]), int(counts[2]))


def _are_sorted(parts: list[Readings]) -> bool:
    previous: Readings | None = None
    for part in parts:
        if len(part) == 0:
            continue
        if previous is not None:
            before, after = previous.select(slice(-1, None)), part.select(slice(0, 1))
            if (before.series[0], before.times[0]) >= (after.series[0], after.times[0]):
                return False
        if not kernel_readings.are_sorted(part.series, part.times):
            return False
        previous = part
    return True


def _appended(parts: list[Readings]) -> Readings | None:
    """All rows, sorted; None but where each slot's come in long runs, and in order of time.

    Chunks that follow each other in time have such runs.
    """
    parts = sorted((part for part in parts if len(part)), key=lambda part: int(part.times[0]))
    runs = [series_starts(part.series) for part in parts]
    row_count = sum(map(len, parts))
    if sum(map(len, runs)) * _RUN_ROWS_MIN > row_count:
        return None
    slots = np.concatenate([part.series[firsts] for part, firsts in zip(parts, runs, strict=True)])
    sizes = [np.diff(firsts, append=len(part)) for part, firsts in zip(parts, runs, strict=True)]
    assert slots.min() >= 0, "a series number is negative"
    counts = np.zeros(int(slots.max()) + 1, np.int64)
    np.add.at(counts, slots, np.concatenate(sizes))
    starts = np.cumsum(counts) - counts
    places = np.concatenate([starts, starts])
    columns = np.empty(row_count, np.int64), np.empty(row_count), np.empty(row_count, np.uint8)
    for part in parts:
        rows = (part.series, part.times, part.values, part.qualities)
        appended = kernel_readings.append_to_slots(*rows, places, *columns)
        assert appended >= 0, "there is room for the rows of all parts"
        if appended < len(part):
            return None
    return Readings(np.repeat(np.arange(counts.size, dtype=np.int32), counts), *columns)


def _scatter(parts: list[Readings], starts: Int64Array) -> tuple[Int64Array, Float64Array, UInt8Array]:
    """The columns with each slot's rows at its place in `starts`, in order of arrival."""
    row_count, slot_count = int(starts[-1]), starts.size - 1
    shift = max(0, (slot_count - 1).bit_length() - _GROUP_COUNT_LOG2)
    cursors = starts[: -1 : 1 << shift].copy()
    records = np.empty(3 * row_count, np.int64)
    for part in parts:
        kernel_readings.scatter_to_groups(
            part.series, part.times, part.values, part.qualities, shift, cursors, records
        )
        del part
    parts.clear()
    times = np.empty(row_count, np.int64)
    values = np.empty(row_count, np.float64)
    qualities = np.empty(row_count, np.uint8)
    kernel_readings.scatter_to_slots(records, starts[:-1].copy(), times, values, qualities)
    return times, values, qualities


def drop_known(readings: Readings, known: Readings, wins: UInt8Array = _LATER_WINS) -> Folded:
    """Leave out of `readings` what `known` holds already, or holds better; both are sorted and folded."""
    matches = np.empty(len(readings), np.int64)
    kernel_readings.match_times(known.series, known.times, readings.series, readings.times, matches)
    matched = np.flatnonzero(matches >= 0)
    at = matches[matched]
    same = (known.values.view(np.int64)[at] == readings.values.view(np.int64)[matched]) & (
        known.qualities[at] == readings.qualities[matched]
    )
    replaces = ~same & (wins[256 * known.qualities[at].astype(np.int64) + readings.qualities[matched]] != 0)
    dropped = np.zeros(len(readings), np.bool_)
    dropped[matched[~replaces]] = True
    duplicate_count, replaced_count = int(same.sum()), int(replaces.sum())
    kept = readings.select(~dropped) if replaced_count < at.size else readings
    return Folded(kept, duplicate_count, replaced_count, at.size - duplicate_count - replaced_count)


def first_conflict(parts: list[Readings]) -> tuple[Readings, int] | None:
    """Find the first two rows of one series and time that do not agree: sorted rows, the second's index."""
    rows = concatenate(parts)
    rows = rows.select(np.lexsort((rows.times, rows.series)))
    bits = rows.values.view(np.int64)
    conflicts = (
        (rows.series[1:] == rows.series[:-1])
        & (rows.times[1:] == rows.times[:-1])
        & ((bits[1:] != bits[:-1]) | (rows.qualities[1:] != rows.qualities[:-1]))
    )
    found = np.flatnonzero(conflicts)
    return (rows, int(found[0]) + 1) if found.size else None


def bounds_of(slots: Int32Array, count: int) -> Int64Array:
    """Slot k of sorted slots has the rows bounds[k] to bounds[k + 1]."""
    # Numbers of another type would have all slots converted to it.
    return np.searchsorted(slots, np.arange(count + 1, dtype=slots.dtype)).astype(np.int64)
