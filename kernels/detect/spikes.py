"""Levels that leave their neighbours for a moment and come back (Hampel's identifier over seven readings)."""

import numpy as np

from smartdata_ts.kernels.arrays import Float64Array, Int64Array, UInt8Array
from smartdata_ts.kernels.compiler.jit import inner, kernel
from smartdata_ts.kernels.numbers.search import are_bounds
from smartdata_ts.kernels.numbers.sorting import sort_values
from smartdata_ts.kernels.status import MALFORMED

WINDOW = 7
_HALF = WINDOW // 2


@kernel
def hampel(
    bounds: Int64Array,
    values: Float64Array,
    floors: Float64Array,
    window: Float64Array,
    medians: Float64Array,
    spreads: Float64Array,
    is_whole: UInt8Array,
) -> int:
    """Fill the median and the spread of the window around each value; return their count, or MALFORMED.

    A spread is 1.4826 times the median of the distances from the window's median, and no less than the slot's
    floor. `is_whole` is 0 where the window is not of seven finite values. `window` is room for seven numbers.
    """
    size = values.size
    if not are_bounds(bounds, size) or floors.size != bounds.size - 1 or window.size != WINDOW:
        return MALFORMED
    if medians.size != size or spreads.size != size or is_whole.size != size:
        return MALFORMED
    for s in range(floors.size):
        for i in range(bounds[s], bounds[s + 1]):
            medians[i], spreads[i], is_whole[i] = np.nan, np.nan, 0
            if i - _HALF < bounds[s] or i + _HALF >= bounds[s + 1]:
                continue
            if not _fill(window, values, i - _HALF, 0.0):
                continue
            sort_values(window)
            median = window[_HALF]
            _distances(window, values, i - _HALF, median)
            sort_values(window)
            medians[i], is_whole[i] = median, 1
            spreads[i] = max(1.4826 * window[_HALF], floors[s])
    return size


@inner
def _fill(window, values, first, offset):
    """Copy a window; whether all of it is finite."""
    for k in range(WINDOW):
        window[k] = values[first + k] - offset
        if not np.isfinite(window[k]):
            return False
    return True


@inner
def _distances(window, values, first, median):
    """How far each value of a window is from its median."""
    for k in range(WINDOW):
        window[k] = abs(values[first + k] - median)
