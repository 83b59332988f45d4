"""Doubles as decimals: mantissas that are integers, and powers of ten."""

import numpy as np

from ..compiler.jit import inner

EXPONENT_MAX = 15
MANTISSA_MAX = 9007199254740992.0  # 2^53: every integer up to here is a double

POWERS_OF_TEN = np.array([10.0**k for k in range(EXPONENT_MAX + 1)])

# So large mantissas have no digit more than a double tells, and a block's of them sum up within an int64.
EXACT_MANTISSA_MAX = np.int64(1) << np.int64(49)
# Two totals below this add up within an int64.
TOTAL_MAX = np.int64(1) << np.int64(62)
INTEGER_POWERS = np.array([10**k for k in range(EXPONENT_MAX + 1)])


@inner
def scaled(value, power):
    """The integer m with m / power == value, as a float; NaN where there is none."""
    mantissa = np.rint(value * power)
    if abs(mantissa) <= MANTISSA_MAX and mantissa / power == value:
        return mantissa
    return np.nan


@inner
def exponent_of(value, least):
    """The least exponent >= `least` at which `value` is a decimal, or -1."""
    for exponent in range(least, EXPONENT_MAX + 1):
        if not np.isnan(scaled(value, POWERS_OF_TEN[exponent])):
            return exponent
    return -1


@inner
def unscale(integers, exponent, values):
    """values = integers / 10^exponent, correctly rounded."""
    power = POWERS_OF_TEN[exponent]
    for i in range(values.size):
        values[i] = np.float64(integers[i]) / power


@inner
def can_rescale(total, digits):
    """Whether a sum of decimals with so many more digits is still within TOTAL_MAX."""
    limit = TOTAL_MAX // INTEGER_POWERS[digits]
    return -limit < total < limit
