"""How a meter was at rest in the days before an instant."""

from typing import NamedTuple

import numpy as np

from smartdata_ts.kernels.arrays import Float64Array, Int64Array
from smartdata_ts.kernels.compiler.jit import inner, kernel
from smartdata_ts.kernels.detect.runs import AmountRows
from smartdata_ts.kernels.numbers.search import are_bounds
from smartdata_ts.kernels.numbers.sorting import sort_values
from smartdata_ts.kernels.status import MALFORMED

_HOUR_US = 3_600_000_000.0
_DAY_US = 86_400_000_000


class Before(NamedTuple):
    """Instants to look back from, and what is found there, an item each."""

    slots: Int64Array
    instants: Int64Array  # us UTC
    limits: Float64Array  # an amount an hour; a row of no more is at rest
    days: Int64Array  # filled: how many days before have a row
    rest_days: Int64Array  # filled: how many have a row at rest
    usual: Float64Array  # filled: the median of the days' least rates an hour, NaN where there is none


@kernel
def look_before(rows: AmountRows, row_us_max: Int64Array, before: Before, least: Float64Array) -> int:
    """Fill `before` from as many days as `least` has room for; return how many, or MALFORMED.

    Days are of 24 hours back from the instant, so that none is cut. Rows longer than `row_us_max`, by slot,
    do not count, estimates do.
    """
    size, count = rows.starts.size, before.slots.size
    if rows.ends.size != size or rows.values.size != size or not are_bounds(rows.bounds, size):
        return MALFORMED
    if (
        row_us_max.size != rows.bounds.size - 1
        or before.instants.size != count
        or before.limits.size != count
    ):
        return MALFORMED
    if before.days.size != count or before.rest_days.size != count or before.usual.size != count:
        return MALFORMED
    for k in range(count):
        if not 0 <= before.slots[k] < row_us_max.size:
            return MALFORMED
        days = _least_rates(rows, row_us_max, before.slots[k], before.instants[k], least)
        before.days[k] = days
        before.rest_days[k] = 0
        for d in range(days):
            before.rest_days[k] += least[d] <= before.limits[k]
        before.usual[k] = _median(least[:days])
    return count


@inner
def _least_rates(rows, row_us_max, slot, instant, least):
    """Fill the least rate of each day that has rows, without gaps between them; how many there are."""
    first, days, day_before = rows.bounds[slot], 0, -1
    last = rows.bounds[slot + 1]
    low, high = first, last
    while low < high:  # the first row at the instant or after it
        middle = (low + high) // 2
        if rows.starts[middle] < instant:
            low = middle + 1
        else:
            high = middle
    for i in range(low - 1, first - 1, -1):
        day = (instant - 1 - rows.starts[i]) // _DAY_US
        if day >= least.size:
            break
        length = rows.ends[i] - rows.starts[i]
        if not 0 < length <= row_us_max[slot] or not np.isfinite(rows.values[i]):
            continue
        rate = rows.values[i] * _HOUR_US / length
        if day != day_before:
            least[days] = rate
            days += 1
            day_before = day
        elif rate < least[days - 1]:
            least[days - 1] = rate
    return days


@inner
def _median(values):
    """Return the median, NaN where there are no values; sorts the values."""
    if values.size == 0:
        return np.nan
    sort_values(values)
    half = values.size // 2
    return values[half] if values.size % 2 else (values[half - 1] + values[half]) / 2
