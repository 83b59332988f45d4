"""How finely each series tells its values: the smallest step that it shows."""

import numpy as np

from smartdata_ts.kernels.arrays import Float64Array, Int64Array
from smartdata_ts.kernels.compiler.jit import kernel
from smartdata_ts.kernels.numbers.search import are_bounds
from smartdata_ts.kernels.status import MALFORMED

# Sums and differences of doubles leave remainders of this share of the largest value, which are no step.
_ROUNDING = 1e-9


@kernel
def finest_steps(bounds: Int64Array, values: Float64Array, of_differences: bool, finest: Float64Array) -> int:
    """Fill `finest`, 0 where a series shows no step; return its size, or MALFORMED.

    Amounts are steps of their register already; of levels a step is the difference of two in a row.
    """
    if not are_bounds(bounds, values.size) or finest.size != bounds.size - 1:
        return MALFORMED
    for s in range(finest.size):
        largest = 0.0
        for i in range(bounds[s], bounds[s + 1]):
            if np.isfinite(values[i]):
                largest = max(largest, abs(values[i]))
        least, before = np.inf, np.nan
        for i in range(bounds[s], bounds[s + 1]):
            if not np.isfinite(values[i]):
                continue
            step = abs(values[i] - before) if of_differences else abs(values[i])
            before = values[i]
            if step > _ROUNDING * largest and step < least:
                least = step
        finest[s] = least if np.isfinite(least) else 0.0
    return finest.size
