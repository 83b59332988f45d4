"""A series' usual week: the rate of each local hour of it, from the series' own history.

Rows cover [starts[i], ends[i]). `zone` is a count of transitions, their instants, and one offset more.
"""

import numpy as np

from ..arrays import Float64Array, Int32Array, Int64Array
from ..compiler.jit import inner, kernel
from ..numbers.search import are_bounds
from ..numbers.sorting import sort_into
from ..status import MALFORMED
from .cut import (
    PIECE_AFTER,
    PIECE_BEFORE,
    PIECE_END,
    PIECE_FIELDS,
    PIECE_METHOD,
    PIECE_START,
    PROFILE,
    TIME_MAX,
    TIME_MIN,
    are_pieces,
    length_of,
)

HOUR_US = 3_600_000_000
WEEK_HOURS = 168
STEP_MAX = 31 * 24 * HOUR_US


@inner
def offset_at(zone, time):
    """The zone's offset from UTC: `zone` is a count of transitions, their instants, and one offset more."""
    return zone[1 + zone[0] + _offset_index(zone, time)]


@inner
def _offset_index(zone, time):
    """How many transitions are over."""
    low, high = np.int64(0), zone[0]
    while low < high:
        middle = (low + high) // 2
        if zone[1 + middle] <= time:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def is_zone(zone):
    """Whether it is a count of transitions, their instants, and one offset more."""
    return zone.size >= 2 and 0 <= zone[0] <= zone.size and zone.size == 2 * zone[0] + 2


@inner
def hour_of_week(local):
    """0 is Monday from midnight to one."""
    return (local // HOUR_US + 72) % WEEK_HOURS  # 1970 began on a Thursday


@inner
def _hour_end(local, at, end):
    """Where the local hour of `at` is over, at most `end`."""
    left = HOUR_US - local % HOUR_US
    return end if np.uint64(end) - np.uint64(at) <= np.uint64(left) else at + left


@kernel
def regular_amounts(
    bounds: Int64Array,
    starts: Int64Array,
    ends: Int64Array,
    values: Float64Array,
    steps: Int64Array,
    of_levels: bool,
    amounts: Float64Array,
) -> int:
    """The values of rows of at most one and a half of their series' steps, NaN of others; MALFORMED, or room.

    Levels are multiplied by the length of their row. Room is how many hours the rows of one series may touch.
    """
    if not are_bounds(bounds, starts.size) or min(ends.size, values.size, amounts.size) < starts.size:
        return MALFORMED
    if steps.size < bounds.size - 1:
        return MALFORMED
    most = np.int64(0)
    for s in range(bounds.size - 1):
        hours = np.int64(0)
        for i in range(bounds[s], bounds[s + 1]):
            length = length_of(starts[i], ends[i]) if ends[i] > starts[i] else np.int64(0)
            is_regular = length <= STEP_MAX and 2 * length <= 3 * min(steps[s], STEP_MAX)
            if 0 < length <= STEP_MAX:
                hours += length // HOUR_US + 2
            amount = values[i] * length if of_levels else values[i]
            amounts[i] = amount if is_regular else np.nan
        most = max(most, hours)
    return int(most)


@kernel
def weekly_profiles(
    bounds: Int64Array,
    starts: Int64Array,
    ends: Int64Array,
    values: Float64Array,
    zone: Int64Array,
    cells: Int64Array,
    rates: Float64Array,
    profiles: Float64Array,
) -> int:
    """Each series' usual rate (amount per us) in each local hour of the week; the series count, or MALFORMED.

    An hour's rate is the rate of all its rows; it counts where they cover half of it. The usual rate of n
    hours of the same place in the week is their mean without the (n + 1) // 4 lowest and as many highest:
    halfway from the mean, which one fault spoils, to the median, which is 0 where a tap is mostly shut. An
    hour without any history is as the same hour of the other days, or else as all hours.

    `profiles` holds 168 doubles a series, NaN without any history; `rates` two doubles for each hour that
    the rows of the largest series may touch, `cells` one integer and 169. Rows of more than a month have
    no hours.
    """
    if not are_bounds(bounds, starts.size) or ends.size != starts.size or values.size != starts.size:
        return MALFORMED
    if not is_zone(zone) or profiles.size < (bounds.size - 1) * WEEK_HOURS:
        return MALFORMED
    for s in range(bounds.size - 1):
        profile = profiles[s * WEEK_HOURS : (s + 1) * WEEK_HOURS]
        first, end = bounds[s], bounds[s + 1]
        count = _hours_of(starts[first:end], ends[first:end], values[first:end], zone, cells, rates)
        if count < 0 or rates.size < 2 * count or cells.size < count + WEEK_HOURS + 1:
            return MALFORMED
        group_ends = cells[count : count + WEEK_HOURS + 1]
        _usual_hours(cells[:count], rates[:count], rates[count : 2 * count], group_ends, profile)
        _complete(profile)
    return bounds.size - 1


@inner
def _hours_of(starts, ends, values, zone, cells, rates):
    """Write hour of the week and rate of every hour that rows cover half of; the count, or MALFORMED."""
    count = 0
    cell, cell_end, amount, covered = np.int64(-1), np.int64(0), 0.0, np.int64(0)
    hour, hour_end, change = np.int64(0), np.int64(0), np.int64(TIME_MIN)
    reached = np.int64(TIME_MIN)
    for i in range(starts.size):
        if not np.isfinite(values[i]) or ends[i] <= starts[i]:
            continue
        length = length_of(starts[i], ends[i])
        if length > STEP_MAX:
            continue
        at = starts[i]
        if at < reached:  # rows that overlap
            change = np.int64(TIME_MIN)
        while at < ends[i]:
            hour, hour_end, change = _hour_at(zone, at, hour, hour_end, change)
            until = min(hour_end, ends[i])
            if hour != cell or at >= cell_end:
                if 2 * covered >= HOUR_US:
                    if count >= min(cells.size, rates.size):
                        return MALFORMED
                    cells[count] = cell
                    rates[count] = amount / covered
                    count += 1
                cell, cell_end, amount, covered = hour, hour_end, 0.0, np.int64(0)
            share = 1.0 if until - at == length else np.float64(until - at) / length
            amount += values[i] * share
            covered += until - at
            at = until
        reached = at
    if 2 * covered >= HOUR_US:
        if count >= min(cells.size, rates.size):
            return MALFORMED
        cells[count] = cell
        rates[count] = amount / covered
        count += 1
    return count


@inner
def _hour_at(zone, time, hour, hour_end, change):
    """The local hour of the week, its end, and the zone's next change of offset, given a time before's three.

    Mostly it is the same hour or the next one, which takes no look at the zone.
    """
    if time < change and time < hour_end:
        return hour, hour_end, change
    if time < change and length_of(hour_end, time) < HOUR_US and hour_end <= TIME_MAX - HOUR_US:
        return (hour + 1 if hour + 1 < WEEK_HOURS else np.int64(0)), hour_end + HOUR_US, change
    at = _offset_index(zone, time)
    local = time + zone[1 + zone[0] + at]
    next_change = zone[1 + at] if at < zone[0] else np.int64(TIME_MAX)
    return hour_of_week(local), _hour_end(local, time, TIME_MAX), next_change


@inner
def _usual_hours(cells, rates, grouped, ends, profile):
    """The middle half's mean of each cell's rates, which are used up; NaN where it has none."""
    ends[:] = 0
    for k in range(cells.size):
        ends[cells[k] + 1] += 1
    for c in range(WEEK_HOURS):
        ends[c + 1] += ends[c]
    for k in range(cells.size):
        grouped[ends[cells[k]]] = rates[k]
        ends[cells[k]] += 1
    low = 0
    for c in range(WEEK_HOURS):
        ordered = rates[low : ends[c]]
        sort_into(grouped[low : ends[c]], ordered)
        low = ends[c]
        cut = (ordered.size + 1) // 4
        total = 0.0
        for k in range(cut, ordered.size - cut):
            total += ordered[k]
        profile[c] = total / (ordered.size - 2 * cut) if ordered.size else np.nan


@inner
def _complete(profile):
    """Give hours that never were what the same hour has on other days, or else all hours."""
    total = 0.0
    known = 0
    for c in range(WEEK_HOURS):
        if profile[c] == profile[c]:
            total += profile[c]
            known += 1
    if known == WEEK_HOURS or known == 0:
        return
    for hour in range(24):
        day_total = 0.0
        days = 0
        for c in range(hour, WEEK_HOURS, 24):
            if profile[c] == profile[c]:
                day_total += profile[c]
                days += 1
        usual = day_total / days if days else total / known
        for c in range(hour, WEEK_HOURS, 24):
            if profile[c] != profile[c]:
                profile[c] = usual


@kernel
def shape_profiles(
    slots: Int32Array, pieces: Int64Array, profiles: Float64Array, zone: Int64Array, filled: Float64Array
) -> int:
    """Give each PROFILE piece its value by its series' usual week; return the piece count, or MALFORMED."""
    if not is_zone(zone) or not are_pieces(pieces, slots.size):
        return MALFORMED
    if filled.size < pieces.size // PIECE_FIELDS:
        return MALFORMED
    for k in range(pieces.size // PIECE_FIELDS):
        at = k * PIECE_FIELDS
        if pieces[at + PIECE_METHOD] != PROFILE:
            continue
        slot = np.int64(slots[max(pieces[at + PIECE_BEFORE], pieces[at + PIECE_AFTER])])
        if not 0 <= slot < profiles.size // WEEK_HOURS:
            return MALFORMED
        time, end = pieces[at + PIECE_START], pieces[at + PIECE_END]
        amount = 0.0 if length_of(time, end) <= STEP_MAX else np.nan
        while time < end and amount == amount:
            local = time + offset_at(zone, time)
            until = _hour_end(local, time, end)
            amount += profiles[slot * WEEK_HOURS + hour_of_week(local)] * (until - time)
            time = until
        filled[k] = amount
    return pieces.size // PIECE_FIELDS
