"""Short arrays sorted, in memory that the caller has."""

import numpy as np

from ..compiler.jit import inner

_FEW = 128  # beyond, comparing each with each takes longer than Shell's sort


@inner
def sort_values(values):
    """Sort in place: Shell's sort, with Knuth's gaps. NaN must not be among the values."""
    gap = 1
    while gap < values.size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, values.size):
            value = values[i]
            j = i
            while j >= gap and values[j - gap] > value:
                values[j] = values[j - gap]
                j -= gap
            values[j] = value
        gap //= 3


@inner
def sort_into(values, ordered):
    """Sort into `ordered`, of the same size; NaN must not be among the values.

    Up to 128 values: write each to the place numbered by how many values are less (rank sort: LLVM compares
    several at once, and no branch depends on them). Equal values write one place; the others copy it.
    """
    is_ordered = True
    for k in range(values.size):
        ordered[k] = values[k]
        is_ordered &= k == 0 or values[k - 1] <= values[k]
    if is_ordered:
        return
    if values.size > _FEW:
        sort_values(ordered)
        return
    for k in range(values.size):
        ordered[k] = np.nan
    for i in range(values.size):
        less_count = 0
        for k in range(values.size):
            less_count += values[k] < values[i]
        ordered[less_count] = values[i]
    for i in range(1, values.size):
        if ordered[i] != ordered[i]:
            ordered[i] = ordered[i - 1]
