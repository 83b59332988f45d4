"""The days before an instant, against lists of each day's rates."""

import math
import statistics
from itertools import pairwise

import numpy as np
import pytest

from smartdata_ts.kernels.detect.rest import Before, look_before
from smartdata_ts.kernels.detect.runs import AmountRows
from smartdata_ts.kernels.status import MALFORMED

HOUR = 3_600_000_000
DAY = 24 * HOUR


def rows_of(rng, sizes):
    bounds = np.cumsum([0, *sizes]).astype(np.int64)
    lengths = rng.choice([HOUR // 2, HOUR, 2 * HOUR, 9 * HOUR], bounds[-1], p=[0.2, 0.6, 0.1, 0.1])
    ends = np.concatenate([np.cumsum(lengths[a:b]) for a, b in pairwise(bounds)])
    values = rng.integers(0, 9, bounds[-1]).astype(float)
    values[::31] = np.nan
    return AmountRows(bounds, ends - lengths, ends, values, np.zeros(values.size, np.uint8))


def asked(slots, instants, limit):
    count = len(slots)
    whole = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    return Before(np.array(slots), np.array(instants), np.full(count, limit), *whole, np.full(count, -1.0))


def naive(rows, slot, instant, limit, days, row_max):
    rates = {}
    for i in range(rows.bounds[slot], rows.bounds[slot + 1]):
        start, length = int(rows.starts[i]), int(rows.ends[i] - rows.starts[i])
        day = (instant - 1 - start) // DAY
        if start < instant and day < days and length <= row_max and math.isfinite(rows.values[i]):
            rates.setdefault(day, []).append(float(rows.values[i]) * HOUR / length)
    least = [min(own) for own in rates.values()]
    return len(least), sum(rate <= limit for rate in least), statistics.median(least) if least else None


def test_days_before_are_those_of_lists():
    rows = rows_of(np.random.default_rng(6), [0, 700, 3, 1_500])
    instants = [k * 31 * HOUR for k in range(60)] * 4
    slots = [slot for slot in range(4) for _ in range(60)]
    before = asked(slots, instants, 1.0)
    assert look_before(rows, np.full(4, 2 * HOUR), before, np.empty(10)) == 240
    found = zip(before.days.tolist(), before.rest_days.tolist(), before.usual.tolist(), strict=True)
    for slot, instant, (days, rest_days, usual) in zip(slots, instants, found, strict=True):
        expected = naive(rows, slot, instant, 1.0, 10, 2 * HOUR)
        assert (days, rest_days, None if math.isnan(usual) else usual) == expected


@pytest.mark.parametrize("slot", [-1, 1, 2**40])
def test_a_slot_that_is_not_there_is_malformed(slot):
    rows = rows_of(np.random.default_rng(1), [9])
    assert look_before(rows, np.full(1, HOUR), asked([slot], [0], 1.0), np.empty(5)) == MALFORMED


@pytest.mark.parametrize("field", Before._fields)
def test_columns_of_unlike_length_are_malformed(field):
    rows = rows_of(np.random.default_rng(1), [9])
    before = asked([0, 0], [DAY, DAY], 1.0)
    short = before._replace(**{field: getattr(before, field)[:1]})
    assert look_before(rows, np.full(1, HOUR), short, np.empty(5)) == MALFORMED


def test_rows_that_do_not_fit_are_malformed():
    rows = rows_of(np.random.default_rng(1), [9])
    before = asked([0], [DAY], 1.0)
    for spoilt in (rows._replace(ends=rows.ends[:3]), rows._replace(bounds=np.array([0, 12]))):
        assert look_before(spoilt, np.full(1, HOUR), before, np.empty(5)) == MALFORMED
    assert look_before(rows, np.full(2, HOUR), before, np.empty(5)) == MALFORMED
