"""Differences of decimals, which are decimal: 1234.576 - 1234.567 is 0.009, as no difference of doubles is.

Both readings are m / 10^e with one e, and so is their difference; the result is the double nearest to it. So
few digits are allowed (EXACT_MANTISSA_MAX) that it makes no difference which of several exponents is taken.
Readings that are no such decimals have the difference of their doubles.
"""

import numpy as np

from ..compiler.jit import inner
from .decimals import EXACT_MANTISSA_MAX, POWERS_OF_TEN, exponent_of, scaled

_MANTISSA_MAX = np.float64(EXACT_MANTISSA_MAX)
_TOTAL_MAX = 4.0 * _MANTISSA_MAX  # so large a sum of integers is exact in a double


@inner
def difference_of(old, new, guess):
    """Return (new - old, the exponent that it was taken at or, where there is none, the guess)."""
    exponent = _common_exponent(old, new, guess)
    if exponent < 0:
        return new - old, guess
    power = POWERS_OF_TEN[exponent]
    return (np.rint(new * power) - np.rint(old * power)) / power, exponent


@inner
def difference_beyond(old, new, modulus, guess):
    """The same of a register that went through `modulus`, an integer, in between."""
    exponent = _common_exponent(old, new, guess)
    if exponent < 0 or modulus * POWERS_OF_TEN[exponent] > _TOTAL_MAX:
        return new - old + modulus, guess
    power = POWERS_OF_TEN[exponent]
    return (np.rint(new * power) - np.rint(old * power) + modulus * power) / power, exponent


@inner
def _common_exponent(old, new, guess):
    """An exponent at which both are decimals; -1 where there is none."""
    if _is_decimal(old, guess) and _is_decimal(new, guess):
        return guess
    exponent = exponent_of(old, 0)
    if exponent >= 0:
        exponent = exponent_of(new, exponent)
    if exponent >= 0 and _is_decimal(old, exponent) and _is_decimal(new, exponent):
        return exponent
    return -1


@inner
def _is_decimal(value, exponent):
    """Whether a value is a decimal of few enough digits at an exponent."""
    return abs(scaled(value, POWERS_OF_TEN[exponent])) < _MANTISSA_MAX  # NaN is not


@inner
def decimals_of(values, mantissas):
    """Fill `mantissas`; return the exponent at which all values are decimals, or -1 where there is none."""
    exponent = 0
    for k in range(min(values.size, 8)):  # a few mostly tell
        if not _is_decimal(values[k], exponent):
            exponent = exponent_of(values[k], exponent)
            if exponent < 0:
                return -1
    while True:
        power = POWERS_OF_TEN[exponent]
        odd_count = 0
        for k in range(values.size):
            mantissa = np.rint(values[k] * power)
            is_whole = abs(mantissa) < _MANTISSA_MAX and mantissa / power == values[k]
            odd_count += not is_whole
            mantissas[k] = np.int64(mantissa if is_whole else 0.0)
        if odd_count == 0:
            return exponent
        finer = _finer(values, exponent)
        if finer <= exponent:
            return -1
        exponent = finer


@inner
def _finer(values, exponent):
    """The exponent that all values have from one on, or -1."""
    for k in range(values.size):
        exponent = exponent_of(values[k], exponent)
        if exponent < 0:
            return -1
    return exponent
