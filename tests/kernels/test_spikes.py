"""Hampel's identifier against medians of plain lists."""

import statistics
from itertools import pairwise

import numpy as np
import pytest

from smartdata_ts.kernels.detect.spikes import WINDOW, hampel
from smartdata_ts.kernels.status import MALFORMED


def run(bounds, values, floors, room=WINDOW, short=0):
    columns = (
        np.full(len(values), -1.0),
        np.full(len(values) - short, -1.0),
        np.full(len(values), 9, np.uint8),
    )
    arrays = np.array(bounds, np.int64), np.array(values, np.float64), np.array(floors, np.float64)
    status = hampel(*arrays, np.empty(room), *columns)
    return status, list(zip(*(column.tolist() for column in columns), strict=False))


def naive(bounds, values, floors):
    found = []
    for (first, end), floor in zip(pairwise(bounds), floors, strict=True):
        for i in range(first, end):
            window = values[max(i - 3, first) : min(i + 4, end)]
            if len(window) < WINDOW or not all(np.isfinite(window)):
                found.append(None)
                continue
            median = statistics.median(window)
            spread = 1.4826 * statistics.median(abs(value - median) for value in window)
            found.append((median, max(spread, floor), 1))
    return found


def test_medians_and_spreads_are_those_of_lists():
    rng = np.random.default_rng(8)
    values = (rng.integers(0, 40, 3_000) / 8).tolist()
    values[::83] = [np.nan] * len(values[::83])
    values[500] = np.inf
    bounds, floors = [0, 0, 5, 12, 1_000, 3_000], [0.1, 0.1, 0.0, 0.5, 1.5]
    status, found = run(bounds, values, floors)
    assert status == len(values)
    assert [None if row[2] == 0 else row for row in found] == naive(bounds, values, floors)


@pytest.mark.parametrize(
    ("bounds", "floors", "room", "short"),
    [
        *(([], [], 7, 0), ([0, 9], [1.0], 7, 0), ([2, 0], [1.0], 7, 0)),
        *(([0, 8], [], 7, 0), ([0, 8], [1.0], 6, 0), ([0, 8], [1.0], 7, 1)),
    ],
)
def test_arrays_that_do_not_fit_are_malformed(bounds, floors, room, short):
    assert run(bounds, [1.0] * 8, floors, room, short)[0] == MALFORMED
