"""Rows of many series to places, a group's bucket each, and their values folded there.

Places count from 0 in order of appearance, by an open-addressing hash table in the caller's arrays:
`table` holds places, or -1; its size is a power of two and at most half of it is used. The series of a
group mostly have the same buckets. So a row's place is mostly the one after the last row's: no hashing.
"""

import numpy as np

from ..arrays import Float64Array, Int32Array, Int64Array
from ..compiler.jit import inner, kernel
from ..numbers.sums import two_sum
from ..status import MALFORMED

# Words of the state.
PLACE_COUNT = 0
NEXT_ROW = 1
STATE_FIELDS = 2

# How values are folded.
FOLD_SUM = 0
FOLD_SUM_OF_ALL = 1  # NaN where any is
FOLD_MIN = 2
FOLD_MAX = 3

FOLDED_VALUE = 0
FOLDED_LOST = 1  # what rounding took from a sum
FOLDED_COUNT = 2  # of values that are not NaN
FOLDED_FIELDS = 3


@kernel
def number_places(
    groups: Int32Array,
    times: Int64Array,
    table: Int64Array,
    place_groups: Int32Array,
    place_times: Int64Array,
    state: Int64Array,
    numbers: Int64Array,
) -> int:
    """Number the places of rows, from row state[NEXT_ROW] on; return how many rows have one then.

    It stops short of the last row where the table is half full, or there is no room for another place.
    `place_groups` and `place_times` are each place's group and time.
    """
    size = times.size
    if groups.size != size or numbers.size != size or place_times.size != place_groups.size:
        return MALFORMED
    if not 0 <= state[PLACE_COUNT] <= place_groups.size or not 0 <= state[NEXT_ROW] <= size:
        return MALFORMED
    if table.size == 0 or table.size & (table.size - 1) != 0:
        return MALFORMED
    count = state[PLACE_COUNT]
    guess = np.int64(0)
    for row in range(state[NEXT_ROW], size):
        group, time = groups[row], times[row]
        place = guess
        if guess >= count or place_times[guess] != time or place_groups[guess] != group:
            slot = _slot_of(group, time, table, place_groups, place_times)
            place = table[slot] if slot >= 0 else np.int64(-1)
            if place < 0:
                if slot < 0 or 2 * (count + 1) > table.size or count == place_groups.size:
                    state[PLACE_COUNT], state[NEXT_ROW] = count, row
                    return row
                place = count
                table[slot] = place
                place_groups[place], place_times[place] = group, time
                count += 1
        numbers[row] = place
        guess = place + 1
    state[PLACE_COUNT], state[NEXT_ROW] = count, size
    return size


@inner
def _slot_of(group, time, table, place_groups, place_times):
    """The slot that has a place, or the free one where it belongs; -1 in a table that is full, or broken."""
    mask = np.uint64(table.size - 1)
    # Multiplied by 2^64 over the golden ratio (Knuth, TAOCP volume 3, 6.4), the high half folded in.
    code = (np.uint64(time) ^ (np.uint64(group) << np.uint64(40))) * np.uint64(11400714819323198485)
    slot = np.int64((code ^ (code >> np.uint64(32))) & mask)
    for _ in range(table.size):
        place = table[slot]
        if place < 0:
            return slot
        if place >= place_times.size:
            return -1
        if place_times[place] == time and place_groups[place] == group:
            return slot
        slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
    return -1


@kernel
def fold_values(numbers: Int64Array, values: Float64Array, how: int, cells: Float64Array) -> int:
    """Fold values into the cells (places x FOLDED_FIELDS, zeroed before the first) of their places.

    NaN is no value, but for FOLD_SUM_OF_ALL. Returns the row count, or MALFORMED.
    """
    if values.size != numbers.size:
        return MALFORMED
    for row in range(numbers.size):
        value, cell = values[row], numbers[row] * FOLDED_FIELDS
        if not 0 <= cell <= cells.size - FOLDED_FIELDS:
            return MALFORMED
        fold_value(value, how, cells, cell, 1)
    return numbers.size


@inner
def fold_value(value, how, cells, cell, stride):
    """Fold a value into the cell that begins there, and whose fields are `stride` words apart."""
    if np.isnan(value) and how != FOLD_SUM_OF_ALL:
        return
    counted, lost = cell + FOLDED_COUNT * stride, cell + FOLDED_LOST * stride
    count = cells[counted]
    cells[counted] = count + 1
    before = cells[cell]
    if how == FOLD_MIN:
        cells[cell] = value if count == 0 or value < before else before
    elif how == FOLD_MAX:
        cells[cell] = value if count == 0 or value > before else before
    else:
        cells[cell], rounding = two_sum(before, value)
        cells[lost] += rounding


@inner
def add_run(values, cells, cell, stride):
    """Sum values, none NaN, each into the next cell from `cell` on; cells are a word apart."""
    end = cell + values.size
    totals = cells[cell:end]
    losts = cells[cell + FOLDED_LOST * stride : end + FOLDED_LOST * stride]
    counts = cells[cell + FOLDED_COUNT * stride : end + FOLDED_COUNT * stride]
    for k in range(values.size):
        totals[k], rounding = two_sum(totals[k], values[k])
        losts[k] += rounding
        counts[k] += 1
