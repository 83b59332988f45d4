"""Decimal to double: m * 10**e rounded to the nearest double, ties to even.

The algorithm of D. Lemire, Number Parsing at a Gigabyte per Second (Software: Practice and
Experience 51, 2021), with the bounds of N. Mushtak and D. Lemire, Fast Number Parsing Without
Fallback (2022), by which 128 bits of the power always suffice for a mantissa below 2**64.

`powers` holds, for each exponent from EXPONENT_MIN to EXPONENT_MAX, the 128 highest bits of
5**exponent, high word first: cut off, but for exponents from -27 to -1 rounded up.
"""

import numpy as np

from ..compiler.jit import inner

EXPONENT_MIN = -342
EXPONENT_MAX = 308
INFINITY_BITS = np.uint64(0x7FF << 52)

_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)


def power_words() -> list[int]:
    """The words of `powers`, in order."""
    words = []
    for exponent in range(EXPONENT_MIN, EXPONENT_MAX + 1):
        power = 5 ** abs(exponent)
        if exponent >= 0:
            bits = power << 128 >> power.bit_length()
        elif exponent >= -27:
            bits = (1 << (power.bit_length() + 127)) // power + 1
        else:
            bits = (1 << (2 * power.bit_length() + 128)) // power + 1
            bits >>= bits.bit_length() - 128
        words += [bits >> 64, bits & (2**64 - 1)]
    return words


@inner
def _multiply(a, b):
    """High and low word of the product of two words."""
    a_low = a & _LOW_HALF
    a_high = a >> _HALF
    b_low = b & _LOW_HALF
    b_high = b >> _HALF
    middle = a_high * b_low + ((a_low * b_low) >> _HALF)
    other = a_low * b_high + (middle & _LOW_HALF)
    return a_high * b_high + (middle >> _HALF) + (other >> _HALF), a * b


@inner
def _leading_zeros(word):
    zeros = 0
    for step in (32, 16, 8, 4, 2, 1):
        if word >> np.uint64(64 - step) == _ZERO:
            word = word << np.uint64(step)
            zeros += step
    return zeros


@inner
def double_bits(mantissa, exponent, powers):
    """The bits of mantissa * 10**exponent as a double; `mantissa` is a uint64 that is not 0."""
    if exponent < EXPONENT_MIN:
        return _ZERO
    if exponent > EXPONENT_MAX:
        return INFINITY_BITS
    zeros = _leading_zeros(mantissa)
    mantissa = mantissa << np.uint64(zeros)
    place = 2 * (exponent - EXPONENT_MIN)
    high, low = _multiply(mantissa, powers[place])
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):
        more, _ = _multiply(mantissa, powers[place + 1])
        low = low + more
        if low < more:
            high = high + _ONE
    upper = high >> np.uint64(63)
    shift = upper + np.uint64(9)
    fraction = high >> shift  # 54 bits: one more than a double has
    power = ((217706 * exponent) >> 16) + 63 + np.int64(upper) - zeros + 1023
    if power <= 0:
        if power <= -63:
            return _ZERO
        fraction = fraction >> np.uint64(1 - power)
        # A subnormal, or the smallest normal that it is rounded to.
        return (fraction + (fraction & _ONE)) >> _ONE
    # A tie only arises from few digits and a small exponent; then the low bit must not round up.
    if low <= _ONE and -4 <= exponent <= 23 and fraction & np.uint64(3) == _ONE:
        if fraction << shift == high:
            fraction = fraction & ~_ONE
    fraction = (fraction + (fraction & _ONE)) >> _ONE
    if fraction >= np.uint64(1) << np.uint64(53):
        fraction = np.uint64(1) << np.uint64(52)
        power += 1
    if power >= 2047:
        return INFINITY_BITS
    return (np.uint64(power) << np.uint64(52)) | (fraction & ~(_ONE << np.uint64(52)))
