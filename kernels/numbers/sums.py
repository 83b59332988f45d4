"""Sums that know what rounding took from them."""

from ..compiler.jit import inner


@inner
def two_sum(a, b):
    """Return (a + b rounded, the rounding error); Knuth, TAOCP volume 2, 4.2.2, theorem B."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)
