"""The facts of each meter that a kernel is given, and the scratch that it needs."""

from typing import NamedTuple

from ..arrays import Float64Array, Int64Array
from ..compiler.jit import inner

# Words of scratch for each reading of the largest meter.
SCRATCH_FIELDS = 8


class Meters(NamedTuple):
    """The meters of a call. Meters of one slot follow each other, in time too."""

    slots: Int64Array  # of each meter, ascending
    moduli: Float64Array  # at which each register rolls over, 10^digits; 0 where it is not known
    multipliers: Float64Array  # by which a step of each register becomes an amount
    numerators: Float64Array  # by which amounts are multiplied to have the unit that is wanted,
    denominators: Float64Array  # and then divided


class Register(NamedTuple):
    """One of the meters."""

    modulus: float  # 0 where it is not known
    multiplier: float
    numerator: float
    denominator: float


@inner
def register_of(meters, m):
    """Return the register of meter m."""
    return Register(meters.moduli[m], meters.multipliers[m], meters.numerators[m], meters.denominators[m])


@inner
def are_meters(meters, meter_count):
    """Return whether there are so many, each described whole."""
    return (
        meters.slots.size == meter_count
        and meters.moduli.size == meter_count
        and meters.multipliers.size == meter_count
        and meters.numerators.size == meter_count
        and meters.denominators.size == meter_count
    )
