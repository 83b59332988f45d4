"""Windows that move along readings: count, sum, mean, min, max, std and median; differences and rates.

Readings of series s stand at bounds[s] to bounds[s + 1], sorted by time. Reading j is in the window of
reading i where times[i] - before < times[j] <= times[i] + after. NaN is no reading: it is never in a window,
but has a window itself.

Nothing is ever taken out of a sum, so that nothing drifts. A window is a part before `middle`, whose suffix
sums are all known, and a part from `middle` on, which grows. When the first is used up, the second becomes
the first (the queue of two stacks): two additions a reading, whatever the window's length.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int64Array
from ..compiler.jit import inner, kernel
from ..numbers.search import are_bounds
from ..numbers.sums import two_sum
from ..status import MALFORMED


class Window(NamedTuple):
    """Which readings are in the window of one, and how many it needs to have a value."""

    before: int  # us, at least 1
    after: int  # us, at least 0
    count_min: int  # readings, at least 1


COUNT = 0
SUM = 1
MEAN = 2

_ROWS = 256  # summed at once: their parts stay in the nearest cache
SUMS_SCRATCH = 5 * _ROWS

MIN = 0
MAX = 1


@inner
def _is_sound(bounds, times, values, window, results):
    """Whether the columns fit each other and the window is one."""
    if values.size != times.size or results.size != times.size:
        return False
    if window.before < 1 or window.after < 0 or window.count_min < 1:
        return False
    return are_bounds(bounds, times.size)


@inner
def _window_low(times, low, i, before):
    """The first reading in the window of i. Differences are unsigned: two times may lie 2^64 - 1 apart."""
    now = np.uint64(times[i])
    while low < i and now - np.uint64(times[low]) >= np.uint64(before):
        low += 1
    return low


@inner
def _window_high(times, high, i, end, after):
    """The index after the last reading in the window of i."""
    now = np.uint64(times[i])
    while high < end and np.uint64(times[high]) - now <= np.uint64(after):
        high += 1
    return high


@inner
def _at(column, i):
    """column[i], i >= 0. With Numba's test for indices from the end, a row took 8.0 ns in place of 6.3."""
    return column[np.uint64(i)]


@kernel
def rolling_sums(
    bounds: Int64Array,
    times: Int64Array,
    values: Float64Array,
    window: Window,
    how: int,
    scratch: Float64Array,
    results: Float64Array,
) -> int:
    """COUNT, SUM or MEAN of each window; returns the row count, or MALFORMED.

    Sums carry what rounding lost: they are within one unit in the last place of the exact sum, unless
    that is some 10^-30 of its parts. `scratch` holds two doubles a row, and SUMS_SCRATCH.
    """
    if not _is_sound(bounds, times, values, window, results) or not COUNT <= how <= MEAN:
        return MALFORMED
    if scratch.size < 2 * times.size + SUMS_SCRATCH:
        return MALFORMED
    before, after = np.uint64(window.before), np.uint64(window.after)
    parts, suffixes = scratch[:SUMS_SCRATCH], scratch[SUMS_SCRATCH:]
    for s in range(bounds.size - 1):
        end = bounds[s + 1]
        low = middle = high = origin = bounds[s]
        back = lost = 0.0
        count = 0
        for first in range(bounds[s], end, _ROWS):
            behind = min(first + _ROWS, end)
            for i in range(first, behind):
                # As in _window_high and _window_low, in which row i itself bounds both.
                now = np.uint64(_at(times, i))
                while high < end and np.uint64(_at(times, high)) - now <= after:
                    value = _at(values, high)
                    if value == value:
                        back, rounding = two_sum(back, value)
                        lost += rounding
                        count += 1
                    high += 1
                while now - np.uint64(_at(times, low)) >= before:
                    if _at(values, low) == _at(values, low):
                        count -= 1
                    low += 1
                if low >= middle:
                    _sum_suffixes(values, low, high, suffixes)
                    origin = low
                    middle = high
                    back = lost = 0.0
                k = np.uint64(i - first)
                parts[k] = _at(suffixes, 2 * (low - origin))
                parts[k + np.uint64(_ROWS)] = _at(suffixes, 2 * (low - origin) + 1)
                parts[k + np.uint64(2 * _ROWS)] = back
                parts[k + np.uint64(3 * _ROWS)] = lost
                parts[k + np.uint64(4 * _ROWS)] = count
            _add_parts(parts, window.count_min, how, results[first:behind])
    return times.size


@inner
def _sum_suffixes(values, low, high, suffixes):
    """Sum and lost part of values[j:high] for every j, from j = low on."""
    total = lost = 0.0
    for k in range(high - low - 1, -1, -1):
        value = _at(values, low + k)
        if value == value:
            total, rounding = two_sum(total, value)
            lost += rounding
        suffixes[2 * k] = total
        suffixes[2 * k + 1] = lost


@inner
def _add_parts(parts, count_min, how, results):
    """Fill some rows' `results` from what `parts` holds of them.

    Apart from the loop that finds the parts, so that LLVM adds and divides four rows at once.
    """
    fronts, front_losts = parts[:_ROWS], parts[_ROWS : 2 * _ROWS]
    backs, back_losts = parts[2 * _ROWS : 3 * _ROWS], parts[3 * _ROWS : 4 * _ROWS]
    counts = parts[4 * _ROWS :]
    for k in range(results.size):
        total, rounding = two_sum(fronts[k], backs[k])
        whole = total + (rounding + front_losts[k] + back_losts[k])
        if whole != whole:  # an infinity rounds to nothing that is known
            whole = total
        if how == COUNT:
            whole = counts[k]
        elif how == MEAN:
            whole /= counts[k]
        results[k] = np.nan if counts[k] < count_min else whole


@kernel
def rolling_extremes(
    bounds: Int64Array,
    times: Int64Array,
    values: Float64Array,
    window: Window,
    how: int,
    scratch: Float64Array,
    results: Float64Array,
) -> int:
    """MIN or MAX of each window; returns the row count, or MALFORMED. `scratch` holds two doubles a row."""
    if not _is_sound(bounds, times, values, window, results) or not MIN <= how <= MAX:
        return MALFORMED
    if scratch.size < 2 * times.size:
        return MALFORMED
    sign = 1.0 if how == MIN else -1.0
    for s in range(bounds.size - 1):
        end = bounds[s + 1]
        low = middle = high = bounds[s]
        back = np.inf
        back_count = 0
        for i in range(bounds[s], end):
            high_before = high
            high = _window_high(times, max(high, i + 1), i, end, window.after)
            for j in range(high_before, high):
                if values[j] == values[j]:
                    back = min(back, sign * values[j])
                    back_count += 1
            low = _window_low(times, low, i, window.before)
            if low >= middle:
                least = np.inf
                count = 0.0
                for j in range(high - 1, low - 1, -1):
                    if values[j] == values[j]:
                        least = min(least, sign * values[j])
                        count += 1.0
                    scratch[2 * j] = least
                    scratch[2 * j + 1] = count
                middle = high
                back = np.inf
                back_count = 0
            if back_count + np.int64(scratch[2 * low + 1]) < window.count_min:
                results[i] = np.nan
            else:
                results[i] = sign * min(scratch[2 * low], back)
    return times.size


@inner
def _merge_moments(count, mean, squares, other_count, other_mean, other_squares):
    """Count, mean and squared deviations of two sets (Chan, Golub, LeVeque 1979)."""
    if count == 0.0:
        return other_count, other_mean, other_squares
    if other_count == 0.0:
        return count, mean, squares
    total = count + other_count
    apart = other_mean - mean
    return (
        total,
        mean + apart * (other_count / total),
        squares + other_squares + apart * apart * (count * other_count / total),
    )


@kernel
def rolling_deviations(
    bounds: Int64Array,
    times: Int64Array,
    values: Float64Array,
    window: Window,
    scratch: Float64Array,
    results: Float64Array,
) -> int:
    """Standard deviation of the sample in each window, NaN below two readings; the row count, or MALFORMED.

    One below some 1e-154 is 0, as its square is. `scratch` holds three doubles a row.
    """
    if not _is_sound(bounds, times, values, window, results) or scratch.size < 3 * times.size:
        return MALFORMED
    for s in range(bounds.size - 1):
        end = bounds[s + 1]
        low = middle = high = bounds[s]
        count = mean = squares = 0.0
        for i in range(bounds[s], end):
            high_before = high
            high = _window_high(times, max(high, i + 1), i, end, window.after)
            for j in range(high_before, high):
                if values[j] == values[j]:
                    count, mean, squares = _merge_moments(count, mean, squares, 1.0, values[j], 0.0)
            low = _window_low(times, low, i, window.before)
            if low >= middle:
                count = mean = squares = 0.0
                for j in range(high - 1, low - 1, -1):
                    if values[j] == values[j]:
                        count, mean, squares = _merge_moments(count, mean, squares, 1.0, values[j], 0.0)
                    scratch[3 * j] = count
                    scratch[3 * j + 1] = mean
                    scratch[3 * j + 2] = squares
                middle = high
                count = mean = squares = 0.0
            all_count, _, all_squares = _merge_moments(
                scratch[3 * low], scratch[3 * low + 1], scratch[3 * low + 2], count, mean, squares
            )
            if all_count < max(2.0, np.float64(window.count_min)):
                results[i] = np.nan
            else:
                results[i] = np.sqrt(all_squares / (all_count - 1.0))
    return times.size


@kernel
def rolling_medians(
    bounds: Int64Array,
    times: Int64Array,
    values: Float64Array,
    window: Window,
    order: Int64Array,
    scratch: Int64Array,
    results: Float64Array,
) -> int:
    """The median of each window, of an even count the mean of the middle two; the row count, or MALFORMED.

    `order` holds the rows by series, then value, NaN last. A window is a Fenwick tree that counts ranks,
    so that a reading costs the logarithm of its series' length. `scratch` holds two integers a row, and one.
    """
    if not _is_sound(bounds, times, values, window, results):
        return MALFORMED
    if order.size != times.size or scratch.size < 2 * times.size + 1:
        return MALFORMED
    ranks = scratch[: times.size]
    if not _rank_rows(bounds, order, ranks):
        return MALFORMED
    for s in range(bounds.size - 1):
        first, end = bounds[s], bounds[s + 1]
        tree = scratch[times.size : times.size + end - first + 1]
        tree[:] = 0
        low = high = first
        count = 0
        for i in range(first, end):
            high_before = high
            high = _window_high(times, max(high, i + 1), i, end, window.after)
            for j in range(high_before, high):
                count += _add_rank(tree, ranks[j], 1) if values[j] == values[j] else 0
            low_before = low
            low = _window_low(times, low, i, window.before)
            for j in range(low_before, low):
                count -= _add_rank(tree, ranks[j], -1) if values[j] == values[j] else 0
            if count < window.count_min:
                results[i] = np.nan
            else:
                upper = values[order[first + _find_rank(tree, count // 2)]]
                lower = values[order[first + _find_rank(tree, (count - 1) // 2)]]
                # Halved first, so that two large values do not overflow.
                results[i] = upper if upper == lower else 0.5 * lower + 0.5 * upper
    return times.size


@inner
def _rank_rows(bounds, order, ranks):
    """Fill each row's rank within its series; False where `order` is no order of every series' own rows."""
    ranks[:] = -1
    for s in range(bounds.size - 1):
        for k in range(bounds[s], bounds[s + 1]):
            if not bounds[s] <= order[k] < bounds[s + 1] or ranks[order[k]] >= 0:
                return False
            ranks[order[k]] = k - bounds[s]
    return True


@inner
def _add_rank(tree, rank, change):
    at = rank + 1
    while at < tree.size:
        tree[at] += change
        at += at & -at
    return 1


@inner
def _find_rank(tree, k):
    """The rank of the k-th smallest, from 0, of what is in the tree."""
    step = 1
    while 2 * step < tree.size:
        step *= 2
    at = 0
    while step > 0:
        if at + step < tree.size and tree[at + step] <= k:
            at += step
            k -= tree[at]
        step //= 2
    return at


@kernel
def differences(
    bounds: Int64Array, times: Int64Array, values: Float64Array, per: int, results: Float64Array
) -> int:
    """Each reading less the one before it, where `per` is 0, or that as a rate per `per` of time.

    NaN is no reading; a series' first has no result. Returns the row count, or MALFORMED.
    """
    if values.size != times.size or results.size != times.size or per < 0:
        return MALFORMED
    if not are_bounds(bounds, times.size):
        return MALFORMED
    for s in range(bounds.size - 1):
        before = -1
        for i in range(bounds[s], bounds[s + 1]):
            results[i] = np.nan
            if values[i] != values[i]:
                continue
            if before >= 0:
                results[i] = values[i] - values[before]
                if per > 0:
                    results[i] *= per / np.float64(np.uint64(times[i]) - np.uint64(times[before]))
            before = i
    return times.size
