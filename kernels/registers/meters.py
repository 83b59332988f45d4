"""What a kernel is given of each meter: the fields of a row, and the room that it needs."""

from ..compiler.jit import inner

# What `meters` hold: METER_FIELDS of each meter, then SCRATCH_FIELDS words for each reading of the largest.
METER_SLOT, METER_MODULUS, METER_MULTIPLIER, METER_NUMERATOR, METER_DENOMINATOR = range(5)
METER_FIELDS = 5
SCRATCH_FIELDS = 8


@inner
def factors(meters, m, meter_count):
    """A meter's modulus, its multiplier, and by what its amounts are multiplied and divided."""
    return (
        meters[METER_MODULUS * meter_count + m],
        meters[METER_MULTIPLIER * meter_count + m],
        meters[METER_NUMERATOR * meter_count + m],
        meters[METER_DENOMINATOR * meter_count + m],
    )
