"""A plan cut into slices of about as many readings."""

from collections.abc import Iterator

import numpy as np

from smartdata_ts._read.plan import Plan, Slice


def slices_by_readings(plan: Plan, reading_count_max: int) -> Iterator[Slice]:
    """Ranges of series of some million readings; a longer series is cut in time, at its blocks."""
    before = np.concatenate([[0], np.cumsum(plan.counts)])
    first = 0
    while first < plan.counts.size:
        if plan.counts[first] > reading_count_max:
            yield from _slices_of_long_series(plan, first, reading_count_max)
            first += 1
            continue
        end = int(np.searchsorted(before, before[first] + reading_count_max, "right")) - 1
        yield Slice(first, end, plan.time_min, plan.time_max)
        first = end


def _slices_of_long_series(plan: Plan, position: int, reading_count_max: int) -> Iterator[Slice]:
    whole = Slice(position, position + 1, plan.time_min, plan.time_max)
    found = list(plan.blocks_in(whole))
    if not found:  # all in the head, which is small
        yield whole
        return
    firsts = np.concatenate([chunk.time_min[rows] for chunk, rows, _ in found])
    counts = np.concatenate([chunk.count[rows] for chunk, rows, _ in found])
    order = np.argsort(firsts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    cuts = np.flatnonzero(np.diff(before // reading_count_max)) + 1
    # Where blocks overlap, a cut may fall on one that begins before the span.
    bounds = np.unique(np.maximum(firsts[order][cuts], plan.time_min))
    lows = [plan.time_min, *bounds.tolist()]
    highs = [*(bound - 1 for bound in bounds.tolist()), plan.time_max]
    for low, high in zip(lows, highs, strict=True):
        if low <= high:
            yield Slice(position, position + 1, low, high)
