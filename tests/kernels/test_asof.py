"""Nearest rows in time: against plain Python."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smartdata_ts.kernels import status as kernels_status
from smartdata_ts.kernels.rows import asof

INT64 = st.integers(-(2**63), 2**63 - 1)
TIMES = st.lists(st.one_of(st.integers(0, 40), INT64), max_size=20).map(sorted)
SLOTS = st.lists(st.tuples(TIMES, TIMES), max_size=4)


def naive(left, right, first, tolerance, direction):
    matches = []
    for time in left:
        before = [k for k in range(len(right)) if right[k] <= time]
        after = [k for k in range(len(right)) if right[k] >= time]
        candidates = []
        if direction != asof.FORWARD and before:
            candidates.append(before[-1])
        if direction != asof.BACKWARD and after:
            candidates.append(after[0])
        near = [k for k in candidates if abs(right[k] - time) <= tolerance]
        best = min(near, key=lambda k: abs(right[k] - time), default=None)
        matches.append(asof.NO_MATCH if best is None else first + best)
    return matches


def columns_of(slots):
    bounds = np.cumsum([0, *(len(left) for left, _ in slots)]).astype(np.int64)
    ends = np.cumsum([0, *(len(right) for _, right in slots)]).astype(np.int64)
    times = np.array([time for left, _ in slots for time in left], np.int64)
    right_times = np.array([time for _, right in slots for time in right], np.int64)
    return bounds, times, ends[:-1].copy(), ends[1:].copy(), right_times


@settings(deadline=None)
@given(SLOTS, st.one_of(st.integers(0, 10), st.integers(0, 2**63 - 1)), st.sampled_from([0, 1, 2]))
def test_matches_against_plain_python(slots, tolerance, direction):
    bounds, times, firsts, ends, right_times = columns_of(slots)
    matches = np.empty(times.size, np.int64)
    arguments = (bounds, times, firsts, ends, right_times, tolerance, direction, matches)
    assert asof.match_asof(*arguments) == times.size
    expected = []
    for (left, right), first in zip(slots, firsts.tolist(), strict=True):
        expected += naive(left, right, first, tolerance, direction)
    assert matches.tolist() == expected


def test_several_slots_may_share_right_rows():
    one = np.array([0, 2, 3], np.int64)
    zeros, fours = np.zeros(2, np.int64), np.full(2, 4, np.int64)
    matches = np.empty(3, np.int64)
    times, right = np.array([5, 7, 1], np.int64), np.array([0, 5, 6, 9], np.int64)
    assert asof.match_asof(one, times, zeros, fours, right, 2**63 - 1, asof.BACKWARD, matches) == 3
    assert matches.tolist() == [1, 2, 0]


def test_columns_that_do_not_fit_are_refused():
    good = [
        np.array([0, 2], np.int64),
        np.array([1, 2], np.int64),
        np.array([0], np.int64),
        np.array([3], np.int64),
        np.array([1, 2, 3], np.int64),
        5,
        asof.NEAREST,
        np.empty(2, np.int64),
    ]
    assert asof.match_asof(*good) == 2
    for k, wrong in (
        (0, np.array([0, 3], np.int64)),
        (0, np.array([2, 0], np.int64)),
        (0, np.array([0, 1, 2], np.int64)),
        (0, np.empty(0, np.int64)),
        (2, np.array([-1], np.int64)),
        (2, np.array([4], np.int64)),
        (3, np.array([4], np.int64)),
        (3, np.empty(0, np.int64)),
        (5, -1),
        (6, 3),
        (6, -1),
        (7, np.empty(1, np.int64)),
    ):
        arguments = [*good]
        arguments[k] = wrong
        assert asof.match_asof(*arguments) == kernels_status.MALFORMED, (k, wrong)
