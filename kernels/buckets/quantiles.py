"""Quantiles and histograms of buckets of values.

Bucket b's values stand at bounds[b] to bounds[b + 1]. NaN is no value.
"""

import numpy as np

from ..arrays import Float64Array, Int64Array
from ..compiler.jit import inner, kernel
from ..numbers.search import are_bounds
from ..numbers.sorting import sort_values
from ..status import MALFORMED


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
