"""A register's readings to intervals with amounts."""

from typing import NamedTuple

import numpy as np

from ..arrays import Float64Array, Int64Array, UInt8Array
from ..buckets.intervals import Intervals
from ..compiler.jit import inner
from ..numbers.decimals import POWERS_OF_TEN
from .events import EVENT_NONE, amount_between, pick_series, quality_between


class RegisterReadings(NamedTuple):
    """The usable readings of one meter, in order of time."""

    times: Int64Array  # us since 1970, UTC
    values: Float64Array  # not looked at where all mantissas grow
    qualities: UInt8Array  # codes
    mantissas: Int64Array  # of the values, where these are decimals at one exponent
    exponent: int  # -1 where there are no mantissas


@inner
def is_growing(values):
    """Whether no value, double or mantissa, is less than the one before."""
    falls = 0
    for k in range(1, values.size):
        falls += not values[k] >= values[k - 1]
    return falls == 0


@inner
def intervals_of(readings, register, wants_codes, scratch):
    """Return the intervals between a meter's readings that count."""
    times, values, qualities = readings.times, readings.values, readings.qualities
    mantissas, exponent = readings.mantissas, readings.exponent
    modulus, multiplier = register.modulus, register.multiplier
    numerator, denominator = register.numerator, register.denominator
    size = times.size
    events = scratch[:size].view(np.uint8)
    grows = is_growing(mantissas) if exponent >= 0 else is_growing(values)
    if not grows:
        times, values, qualities = _picked(times, values, qualities, modulus, events, scratch[size:])
    count = max(times.size - 1, 0)
    amounts = scratch[5 * size : 5 * size + count].view(np.float64)
    if grows and exponent >= 0:
        power = POWERS_OF_TEN[exponent]
        for k in range(count):
            amounts[k] = np.float64(mantissas[k + 1] - mantissas[k]) / power * multiplier
    else:
        guess = max(exponent, 0)
        for k in range(count):
            event = EVENT_NONE if grows else np.int64(events[k + 1])
            amount, guess = amount_between(values[k], values[k + 1], event, modulus, guess)
            amounts[k] = amount * multiplier
    if numerator != denominator:
        for k in range(count):
            amounts[k] = amounts[k] * numerator / denominator
    codes = scratch[6 * size : 7 * size].view(np.uint8)[:count]
    if wants_codes:
        for k in range(count):
            event = EVENT_NONE if grows else np.int64(events[k + 1])
            codes[k] = quality_between(qualities[k], qualities[k + 1], event)
    return Intervals(times[:count], times[times.size - count :], amounts, codes)


@inner
def _picked(times, values, qualities, modulus, events, scratch):
    """Return the readings that count, one after the other; fill `events` with what happened before each."""
    size = times.size
    points = scratch[:size]
    count = pick_series(times, values, 0, size, modulus, points, events, 0)
    picked_times = scratch[size : size + count]
    picked_values = scratch[2 * size : 2 * size + count].view(np.float64)
    picked_qualities = scratch[3 * size : 4 * size].view(np.uint8)[:count]
    for k in range(count):
        picked_times[k] = times[points[k]]
        picked_values[k] = values[points[k]]
        picked_qualities[k] = qualities[points[k]]
    return picked_times, picked_values, picked_qualities
