"""Searches in ascending arrays, and whether an array is of bounds."""

from ..compiler.jit import inner


@inner
def bucket_at(edges, time, guess):
    """The bucket that holds `time`, which lies within the edges; mostly the next one."""
    if edges[guess] <= time < edges[guess + 1]:
        return guess
    low = guess
    high = edges.size - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if edges[middle] <= time:
            low = middle
        else:
            high = middle
    return low


@inner
def first_at_or_after(times, bound):
    """The index of the first time >= bound in increasing `times`; times.size where there is none."""
    low = 0
    high = times.size
    while low < high:
        middle = (low + high) >> 1
        if times[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def bucket_of(edges, instant, guess):
    """The last edge that is not after an instant, -1 where all are; mostly that of `guess`, or the next."""
    for bucket in range(max(guess, 0), min(guess + 2, edges.size - 1)):
        if edges[bucket] <= instant < edges[bucket + 1]:
            return bucket
    if instant < edges[0]:
        return -1
    if instant >= edges[edges.size - 1]:
        return edges.size - 1
    return bucket_at(edges, instant, 0)


@inner
def are_bounds(bounds, row_count):
    """Whether they are ranges of rows, one after another."""
    if bounds.size == 0 or bounds[0] < 0 or bounds[bounds.size - 1] > row_count:
        return False
    for b in range(bounds.size - 1):
        if bounds[b] > bounds[b + 1]:
            return False
    return True
