"""Quantiles and histograms of buckets of values.

Bucket b's values stand at bounds[b] to bounds[b + 1]. NaN is no value.
"""

import numpy as np

from ..arrays import Float64Array, Int64Array
from ..compiler.jit import inner, kernel
from ..numbers.search import are_bounds
from ..status import MALFORMED

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

    Of few, each goes where as many are less as it tells of: LLVM compares several at once, and no branch
    depends on them. Of equals only the first place is written, the others are as what stands before.
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


@inner
def quantile_of(ordered, probability):
    """Between the two nearest of the sorted values (Hyndman and Fan's type 7; NumPy's "linear")."""
    place = probability * (ordered.size - 1)
    low = min(np.int64(place), ordered.size - 1)
    high = min(low + 1, ordered.size - 1)
    share = place - low
    if share == 0.0 or ordered[low] == ordered[high]:
        return ordered[low]
    # Weighed, and not low + share * (high - low): that overflows where the two are far apart.
    return (1.0 - share) * ordered[low] + share * ordered[high]


@kernel
def bucket_quantiles(
    bounds: Int64Array,
    values: Float64Array,
    probabilities: Float64Array,
    scratch: Float64Array,
    results: Float64Array,
) -> int:
    """Each bucket's quantiles, beside each other; NaN where it has no value. The bucket count, or MALFORMED.

    `scratch` holds the largest bucket's values.
    """
    if not are_bounds(bounds, values.size) or results.size < (bounds.size - 1) * probabilities.size:
        return MALFORMED
    for p in range(probabilities.size):
        if not 0.0 <= probabilities[p] <= 1.0:
            return MALFORMED
    for b in range(bounds.size - 1):
        if scratch.size < bounds[b + 1] - bounds[b]:
            return MALFORMED
        count = 0
        for i in range(bounds[b], bounds[b + 1]):
            if values[i] == values[i]:
                scratch[count] = values[i]
                count += 1
        sort_values(scratch[:count])
        for p in range(probabilities.size):
            at = b * probabilities.size + p
            results[at] = quantile_of(scratch[:count], probabilities[p]) if count else np.nan
    return bounds.size - 1


@kernel
def bucket_histograms(
    bounds: Int64Array, values: Float64Array, edges: Float64Array, counts: Int64Array
) -> int:
    """Count each bucket's values below the first edge, from edge to edge, and from the last edge on.

    `edges` strictly increase; a bucket has edges.size + 1 counts. Returns the bucket count, or MALFORMED.
    """
    width = edges.size + 1
    if not are_bounds(bounds, values.size) or counts.size < (bounds.size - 1) * width:
        return MALFORMED
    for e in range(edges.size - 1):
        if not edges[e] < edges[e + 1]:
            return MALFORMED
    for b in range(bounds.size - 1):
        for e in range(width):
            counts[b * width + e] = 0
        for i in range(bounds[b], bounds[b + 1]):
            if values[i] == values[i]:
                low, high = 0, edges.size
                while low < high:
                    middle = (low + high) // 2
                    if edges[middle] <= values[i]:
                        low = middle + 1
                    else:
                        high = middle
                counts[b * width + low] += 1
    return bounds.size - 1
