"""Columns of readings: sorted by series and time, repeats folded, matched against what is known.

A series is given by a slot, a small int; readings of slot s stand at starts[s] to starts[s + 1].
Among readings of one slot and one time, the later in order of arrival wins, unless a table of qualities
says otherwise.
"""

import numpy as np

from ..arrays import Float64Array, Int32Array, Int64Array, UInt8Array
from ..compiler.jit import inner, kernel
from ..status import MALFORMED

NEVER = np.iinfo(np.int64).min

_ROWS_AT_ONCE = 1024


@kernel
def are_sorted(slots: Int32Array, times: Int64Array) -> int:
    """Return 1 where (slot, time) strictly increases from row to row, else 0."""
    for first in range(0, slots.size - 1, _ROWS_AT_ONCE):
        end = min(first + _ROWS_AT_ONCE, slots.size - 1)
        if _count_falls(slots[first : end + 1], times[first : end + 1]) > 0:
            return 0
    return 1


@inner
def _count_falls(slots, times):
    # Without a way out, which would keep LLVM from comparing several rows at once.
    slots_before, slots_after = slots[: slots.size - 1], slots[1:]
    before, after = times[: slots.size - 1], times[1:]
    falls = 0
    for i in range(slots_before.size):
        is_same = slots_after[i] == slots_before[i]
        falls += (slots_after[i] < slots_before[i]) | (is_same & (after[i] <= before[i]))
    return falls


@kernel
def count_slots(slots: Int32Array, counts: Int64Array) -> int:
    """Add each slot's rows to `counts`; returns the row count, or -1 where a slot is out of range."""
    for i in range(slots.size):
        if not 0 <= slots[i] < counts.size:
            return -1
        counts[slots[i]] += 1
    return slots.size


@kernel
def append_to_slots(
    slots: Int32Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    places: Int64Array,
    slot_times: Int64Array,
    slot_values: Float64Array,
    slot_qualities: UInt8Array,
) -> int:
    """Append each row to its slot, for as long as its time is later; return how many it has appended.

    `places`: where each slot's rows begin, then where its next one goes to. Returns MALFORMED where a slot,
    or a place, is out of range.
    """
    slot_count = places.size // 2
    bits, slot_bits = values.view(np.int64), slot_values.view(np.int64)
    if min(times.size, values.size, qualities.size) < slots.size or slot_values.size < slot_times.size:
        return MALFORMED
    i = 0
    while i < slots.size:
        slot = np.int64(slots[i])
        if not 0 <= slot < slot_count:
            return MALFORMED
        at = places[slot_count + slot]
        end = i
        while end < slots.size and slots[end] == slot:
            end += 1
        if not 0 <= places[slot] <= at <= min(slot_times.size, slot_qualities.size) - (end - i):
            return MALFORMED
        if at > places[slot] and times[i] <= slot_times[at - 1]:
            return i
        if not _strictly_increases(times[i:end]):
            return i
        for k in range(end - i):
            slot_times[at + k] = times[i + k]
            slot_bits[at + k] = bits[i + k]
            slot_qualities[at + k] = qualities[i + k]
        places[slot_count + slot] = at + end - i
        i = end
    return slots.size


@kernel
def scatter_to_groups(
    slots: Int32Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    shift: int,
    cursors: Int64Array,
    records: Int64Array,
) -> int:
    """Move each row to the next place of its group of 2^shift slots, as a record of three words.

    The first of two passes: ten thousand slots are ten thousand places to write to, which no cache
    holds. A group's rows lie together afterwards, and fit one. Returns the row count.
    """
    bits = values.view(np.int64)
    for i in range(slots.size):
        slot = np.int64(slots[i])
        at = cursors[slot >> shift]
        cursors[slot >> shift] = at + 1
        records[3 * at] = times[i]
        records[3 * at + 1] = bits[i]
        records[3 * at + 2] = (slot << 8) | np.int64(qualities[i])
    return slots.size


@kernel
def scatter_to_slots(
    records: Int64Array,
    cursors: Int64Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
) -> int:
    """Move each record to its slot's next place; rows of one slot keep their order. Returns the row count."""
    bits = values.view(np.int64)
    for i in range(records.size // 3):
        slot = records[3 * i + 2] >> 8
        at = cursors[slot]
        cursors[slot] = at + 1
        times[at] = records[3 * i]
        bits[at] = records[3 * i + 1]
        qualities[at] = records[3 * i + 2] & 255
    return records.size // 3


@kernel
def sort_slots(
    starts: Int64Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    orders: Int64Array,
    spare_times: Int64Array,
    spare_values: Float64Array,
    spare_qualities: UInt8Array,
) -> int:
    """Sort each slot's rows by time, stably, in place; returns how many slots were out of order.

    `orders` is scratch of twice the largest slot's size, the spares of its size.
    """
    sorted_count = 0
    for s in range(starts.size - 1):
        first = starts[s]
        count = starts[s + 1] - first
        if _increases(times[first : first + count]):
            continue
        sorted_count += 1
        order = _merge_sort(times[first : first + count], orders[:count], orders[count : 2 * count])
        for i in range(count):
            spare_times[i] = times[first + order[i]]
            spare_values[i] = values[first + order[i]]
            spare_qualities[i] = qualities[first + order[i]]
        for i in range(count):
            times[first + i] = spare_times[i]
            values[first + i] = spare_values[i]
            qualities[first + i] = spare_qualities[i]
    return sorted_count


@inner
def _strictly_increases(times):
    falls = 0  # all are looked at, several at once
    for i in range(1, times.size):
        falls += times[i] <= times[i - 1]
    return falls == 0


@inner
def _increases(times):
    for i in range(1, times.size):
        if times[i] < times[i - 1]:
            return False
    return True


@inner
def _merge_sort(keys, source, target):
    """Return whichever of the two holds the stable order of `keys` at the end."""
    for i in range(keys.size):
        source[i] = i
    width = 1
    while width < keys.size:
        for first in range(0, keys.size, 2 * width):
            middle = min(first + width, keys.size)
            end = min(first + 2 * width, keys.size)
            a = first
            b = middle
            for k in range(first, end):
                if a < middle and (b == end or keys[source[a]] <= keys[source[b]]):
                    target[k] = source[a]
                    a += 1
                else:
                    target[k] = source[b]
                    b += 1
        source, target = target, source
        width *= 2
    return source


@kernel
def fold_repeats(
    starts: Int64Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
    wins: UInt8Array,
    counts: Int64Array,
) -> int:
    """Keep one of each run of equal times, moving rows and `starts` up; returns the rows left.

    A row takes the place of the one before it where wins[256 * old quality + new quality] is not 0.
    counts[0] grows by the rows that repeated the value and quality before them, counts[1] by those
    that were replaced, counts[2] by those that gave way. Returns -1 where `wins` is too short.
    """
    if wins.size < 65_536:
        return -1
    bits = values.view(np.int64)
    filled = 0
    first = starts[0]
    for s in range(starts.size - 1):
        end = starts[s + 1]
        begin = filled
        for i in range(first, end):
            if filled > begin and times[i] == times[filled - 1]:
                if bits[i] == bits[filled - 1] and qualities[i] == qualities[filled - 1]:
                    counts[0] += 1
                    continue
                if wins[256 * np.int64(qualities[filled - 1]) + np.int64(qualities[i])] == 0:
                    counts[2] += 1
                    continue
                counts[1] += 1
                filled -= 1
            times[filled] = times[i]
            bits[filled] = bits[i]
            qualities[filled] = qualities[i]
            filled += 1
        first = end
        starts[s + 1] = filled
    return filled


@kernel
def match_times(
    known_slots: Int32Array,
    known_times: Int64Array,
    slots: Int32Array,
    times: Int64Array,
    matches: Int64Array,
) -> int:
    """For each row the index of the known row of its slot and time, or -1; returns the match count.

    Both sides are sorted by slot and time.
    """
    found = 0
    k = 0
    for i in range(slots.size):
        while k < known_slots.size and (
            known_slots[k] < slots[i] or (known_slots[k] == slots[i] and known_times[k] < times[i])
        ):
            k += 1
        matches[i] = -1
        if k < known_slots.size and known_slots[k] == slots[i] and known_times[k] == times[i]:
            matches[i] = k
            found += 1
    return found


@kernel
def rank_rows(
    known_slots: Int32Array,
    known_times: Int64Array,
    slots: Int32Array,
    times: Int64Array,
    ranks: Int64Array,
) -> int:
    """Count for each row the known rows up to its slot and time; return how many rows are known.

    Both sides are sorted by slot and time, the known rows without repeats.
    """
    found = 0
    k = 0
    for i in range(slots.size):
        # Steps that double and then halve: the known rows between two rows are few or many.
        step = 1
        while k + step <= known_slots.size and not _is_behind(
            known_slots, known_times, k + step - 1, slots[i], times[i]
        ):
            k += step
            step *= 2
        while step > 0:
            if k + step <= known_slots.size and not _is_behind(
                known_slots, known_times, k + step - 1, slots[i], times[i]
            ):
                k += step
            step //= 2
        ranks[i] = k
        if k > 0 and known_slots[k - 1] == slots[i] and known_times[k - 1] == times[i]:
            found += 1
    return found


@inner
def _is_behind(slots, times, row, slot, time):
    return slots[row] > slot or (slots[row] == slot and times[row] > time)


@kernel
def keep_marked(
    marks: Int64Array,
    slots: Int32Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array,
) -> int:
    """Move the rows whose mark is not negative to the front, marks too; returns how many these are."""
    bits = values.view(np.int64)
    filled = 0
    for i in range(slots.size):
        if marks[i] < 0:
            continue
        if filled < i:
            marks[filled] = marks[i]
            slots[filled] = slots[i]
            times[filled] = times[i]
            bits[filled] = bits[i]
            qualities[filled] = qualities[i]
        filled += 1
    return filled


@kernel
def mark_stale(slots: Int32Array, times: Int64Array, newest: Int64Array, stale: UInt8Array) -> int:
    """Mark the rows that are not newer than `newest` of their slot was, and raise it to their newest.

    Rows are sorted by slot and time. Returns how many rows are stale.
    """
    count = 0
    first = 0
    while first < slots.size:
        end = _run_end(slots, first)
        before = newest[slots[first]]
        fresh = first
        while fresh < end and times[fresh] <= before:
            fresh += 1
        stale[first:fresh] = 1
        stale[fresh:end] = 0
        count += fresh - first
        newest[slots[first]] = max(before, times[end - 1])
        first = end
    return count


@kernel
def count_far(slots: Int32Array, times: Int64Array, newest: Int64Array, far_us: int, span: Int64Array) -> int:
    """Count the slots whose rows reach `far_us` or more away from `newest`, or have no newest time yet.

    Rows are sorted by slot and time; NEVER is the newest time of a slot without one. `span` is widened to
    the first and last time of all rows. Steps go by slot, not by row.
    """
    count = 0
    first = 0
    while first < slots.size:
        end = _run_end(slots, first)
        before, low, high = newest[slots[first]], times[first], times[end - 1]
        span[0] = min(span[0], low)
        span[1] = max(span[1], high)
        # As doubles, which no difference of two int64 overflows.
        below, above = np.float64(before) - np.float64(low), np.float64(high) - np.float64(before)
        if before == NEVER or below >= far_us or above >= far_us:
            count += 1
        first = end
    return count


@kernel
def find_runs(slots: Int32Array, starts: Int64Array) -> int:
    """Note where each slot's rows begin, as far as there is room; returns how many slots there are.

    Rows are sorted by slot.
    """
    count = 0
    first = 0
    while first < slots.size:
        if count < starts.size:
            starts[count] = first
        count += 1
        first = _run_end(slots, first)
    return count


@inner
def _run_end(slots, first):
    """The end of the run of one slot that begins at `first`, by steps that double and then halve."""
    end = first + 1
    step = 1
    while step <= slots.size - end and slots[end + step - 1] == slots[first]:
        end += step
        step *= 2
    while step > 0:
        if step <= slots.size - end and slots[end + step - 1] == slots[first]:
            end += step
        step //= 2
    return end


@kernel
def number_rows(codes: Int32Array, numbers: Int32Array, ids: Int32Array) -> int:
    """Fill `ids` with the number of each row's code; returns for how many rows it is not positive.

    A number that is asked for, and not positive, becomes -1. Returns MALFORMED where a code is out of range.
    """
    if ids.size < codes.size:
        return MALFORMED
    unknown = 0
    last_code, number = np.int64(-1), np.int32(0)
    for i in range(codes.size):
        code = np.int64(codes[i])
        if code != last_code or i == 0:  # codes come in runs, mostly
            if not 0 <= code < numbers.size:
                return MALFORMED
            if numbers[code] <= 0:
                numbers[code] = -1
            last_code, number = code, numbers[code]
        unknown += number < 0
        ids[i] = number
    return unknown
