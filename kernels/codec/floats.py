"""One block of a float64 column, as integers wherever that is exact.

    byte 0          form
    DECIMAL 1       exponent e (a byte); varint exception count; per exception varint (values skipped)
                    and the double's eight bytes; then an integer column of m, where value = m / 10^e.
                    Division by a power of ten up to 10^22 is exact to the last bit, so a meter's
                    decimal number comes back as the very double it was.
    SPLIT   2       trailing zero bits z, low width w (a byte each); a bit stream of the w bits above
                    the z lowest; then an integer column of the 16 (or fewer) highest bits
    PLAIN   3       eight bytes a value

After Afroozeh, Kuffo and Boncz, "ALP: Adaptive Lossless floating-Point Compression" (SIGMOD 2024),
with a division in place of ALP's product of two factors, and no rounding of what does not fit.
"""

import numpy as np

from ..compiler.jit import inner
from ..numbers.bits import (
    append_bits,
    flush_bits,
    load_word,
    low_bits,
    read_bits,
    read_varint,
    store_word,
    write_varint,
)
from ..numbers.decimals import EXPONENT_MAX, MANTISSA_MAX, POWERS_OF_TEN, exponent_of, scaled, unscale
from ..status import MALFORMED
from .integers import (
    PLAN_CODEC,
    PLAN_EXPONENT,
    PLAN_FORM,
    PLAN_ODD_COUNT,
    RAW,
    plan_integers,
    read_integers,
    write_integers,
)

INTEGER = 0
DECIMAL = 1
SPLIT = 2
PLAIN = 3

PLAIN_VALUES = EXPONENT_MAX + 1
NEGATIVE_ZERO_BITS = np.int64(-(2**63))
HIGH_WIDTH = 16
_SAMPLE_COUNT = 64


@inner
def _sampled_exponent(values):
    """The exponent that the sampled decimals need, or -1 where most of the sample are none."""
    stride = max(values.size // _SAMPLE_COUNT, 1)
    exponent = 0
    sampled = 0
    found = 0
    for i in range(0, values.size, stride):
        if np.isnan(values[i]):
            continue
        sampled += 1
        own = exponent_of(values[i], 0)
        if own >= 0:
            found += 1
            exponent = max(exponent, own)
    return exponent if 2 * found >= sampled else -1


@inner
def _is_exception(value, bits, power):
    """Whether a double is no decimal at this power of ten; -0.0 would lose its sign."""
    return np.isnan(scaled(value, power)) or bits == NEGATIVE_ZERO_BITS


@inner
def _scale(values, bits, exponent, mantissas):
    """Fill `mantissas`; an exception repeats its neighbour. Return (exceptions, exponent they want)."""
    power = POWERS_OF_TEN[exponent]
    exceptions = _scale_all(values, bits, power, mantissas)
    wanted = exponent
    if exceptions == 0:
        return 0, wanted
    previous = np.int64(0)
    for i in range(values.size):
        if _is_exception(values[i], bits[i], power):
            wanted = max(wanted, exponent_of(values[i], exponent))
            mantissas[i] = previous
        previous = mantissas[i]
    return exceptions, wanted


@inner
def _scale_all(values, bits, power, mantissas):
    """Fill `mantissas` of all values as if none was an exception, several at once; return how many are."""
    exceptions = 0
    for i in range(values.size):
        mantissa = np.rint(values[i] * power)
        is_small = abs(mantissa) <= MANTISSA_MAX
        # A double that no int64 holds, or NaN, is undefined as an int64.
        mantissas[i] = np.int64(mantissa if is_small else 0.0)
        is_same = (mantissa / power == values[i]) & (bits[i] != NEGATIVE_ZERO_BITS)
        exceptions += not (is_small & is_same)
    return exceptions


@inner
def plan_floats(values, mantissas, residuals, plan):
    """Fill `residuals` and the plan of one block; `mantissas` is scratch of the block's size."""
    bits = values.view(np.int64)
    exponent = _sampled_exponent(values)
    plan[PLAN_FORM] = SPLIT
    plan[PLAN_ODD_COUNT] = 0
    while exponent >= 0:
        exceptions, wanted = _scale(values, bits, exponent, mantissas)
        # A few odd values are cheaper kept apart than a larger exponent for all.
        if 32 * exceptions > values.size and wanted > exponent:
            exponent = wanted
            continue
        if 8 * exceptions <= values.size:
            plan[PLAN_FORM] = DECIMAL
            plan[PLAN_ODD_COUNT] = exceptions
        break
    if plan[PLAN_FORM] == SPLIT:
        exponent = _trailing_zeros(bits)
        shift = np.int64(exponent + _split_width(exponent))
        for i in range(bits.size):
            mantissas[i] = bits[i] >> shift
    plan[PLAN_EXPONENT] = exponent
    plan_integers(mantissas[: values.size], True, residuals, plan)
    if plan[PLAN_CODEC] == RAW:
        plan[PLAN_FORM] = PLAIN


@inner
def _trailing_zeros(bits):
    """The count of low bits that are zero in every value; 48 at most, so that a high part remains."""
    union = np.int64(0)
    for i in range(bits.size):
        union |= bits[i]
    zeros = 0
    while zeros < 64 - HIGH_WIDTH and (union >> np.int64(zeros)) & 1 == 0:
        zeros += 1
    return zeros


@inner
def _split_width(zeros):
    return 64 - HIGH_WIDTH - zeros


@inner
def write_floats(values, residuals, plan, symbols, states, codes, data, offset):
    """Write one block by its plan; return the offset after it."""
    bits = values.view(np.int64)
    form = plan[PLAN_FORM]
    data[offset] = form
    offset += 1
    if form == PLAIN:
        for i in range(bits.size):
            store_word(data, offset, np.uint64(bits[i]))
            offset += 8
        return offset
    data[offset] = plan[PLAN_EXPONENT]
    offset += 1
    if form == DECIMAL:
        offset = _write_odd(values, bits, plan, data, offset)
    else:
        offset = _write_low_bits(bits, plan[PLAN_EXPONENT], data, offset)
    return write_integers(bits, residuals, plan, symbols, states, codes, data, offset)


@inner
def _write_odd(values, bits, plan, data, offset):
    offset = write_varint(data, offset, np.uint64(plan[PLAN_ODD_COUNT]))
    if plan[PLAN_ODD_COUNT] == 0:
        return offset
    power = POWERS_OF_TEN[plan[PLAN_EXPONENT]]
    behind_last = 0
    for i in range(values.size):
        if _is_exception(values[i], bits[i], power):
            offset = write_varint(data, offset, np.uint64(i - behind_last))
            store_word(data, offset, np.uint64(bits[i]))
            offset += 8
            behind_last = i + 1
    return offset


@inner
def _write_low_bits(bits, zeros, data, offset):
    width = _split_width(zeros)
    data[offset] = width
    offset += 1
    pending = np.uint64(0)
    pending_count = 0
    if width > 0:
        for i in range(bits.size):
            low = low_bits(np.uint64(bits[i]) >> np.uint64(zeros), width)
            offset, pending, pending_count = append_bits(data, offset, pending, pending_count, low, width)
    return flush_bits(data, offset, pending, pending_count)


@inner
def read_floats(data, offset, end, tables, integers, values):
    """Decode one block into `values`, `integers` being scratch of its size.

    Returns the exponent where every value is integers[i] / 10^exponent, so that a caller may go on
    in integers (`values` is then not filled), PLAIN_VALUES where `values` are filled, or MALFORMED.
    Needs end + 8 <= data.size; every byte is taken for hostile.
    """
    if not 0 <= offset or end - offset < 2 or end > data.size - 8:
        return MALFORMED
    form = np.int64(data[offset])
    if form == PLAIN:
        return _read_plain(data, offset + 1, end, values)
    parameter = np.int64(data[offset + 1])
    offset += 2
    if form == SPLIT:
        return _read_split(data, offset, end, parameter, tables, integers, values)
    odd_count, behind = read_varint(data, offset, end)
    if form != DECIMAL or parameter > EXPONENT_MAX or behind < 0:
        return MALFORMED
    if odd_count == np.uint64(0):
        status = read_integers(data, behind, end, tables, integers)
        return parameter if status >= 0 else MALFORMED
    first_odd = behind
    behind = _skip_odd(data, behind, end, odd_count, values.size)
    if behind < 0 or read_integers(data, behind, end, tables, integers) < 0:
        return MALFORMED
    unscale(integers, parameter, values)
    _place_odd(data, first_odd, end, odd_count, values)
    return PLAIN_VALUES


@inner
def _read_plain(data, offset, end, values):
    if end - offset < 8 * values.size:
        return MALFORMED
    bits = values.view(np.int64)
    for i in range(bits.size):
        bits[i] = np.int64(load_word(data, np.uint64(offset + 8 * i)))
    return PLAIN_VALUES


@inner
def _skip_odd(data, offset, end, odd_count, value_count):
    """Check the list of odd doubles; return the offset after it, or MALFORMED."""
    if odd_count > np.uint64(value_count):
        return MALFORMED
    i = 0
    for _ in range(np.int64(odd_count)):
        skipped, offset = read_varint(data, offset, end)
        if offset < 0 or end - offset < 8 or skipped >= np.uint64(value_count - i):
            return MALFORMED
        i += np.int64(skipped) + 1
        offset += 8
    return offset


@inner
def _place_odd(data, offset, end, odd_count, values):
    bits = values.view(np.int64)
    i = 0
    for _ in range(np.int64(odd_count)):
        skipped, offset = read_varint(data, offset, end)
        i += np.int64(skipped)
        bits[i] = np.int64(load_word(data, np.uint64(offset)))
        i += 1
        offset += 8


@inner
def _read_split(data, offset, end, zeros, tables, integers, values):
    width = np.int64(data[offset]) if offset < end else np.int64(-1)
    if width < 0 or zeros + width > 63:
        return MALFORMED
    offset += 1
    low_size = (values.size * width + 7) >> 3
    if low_size > end - offset:
        return MALFORMED
    if read_integers(data, offset + low_size, end, tables, integers) < 0:
        return MALFORMED
    bits = values.view(np.int64)
    position = offset << 3
    for i in range(values.size):
        high = np.uint64(integers[i]) << np.uint64(width)
        whole = (high | read_bits(data, position, width)) << np.uint64(zeros)
        bits[i] = np.int64(whole)
        position += width
    return PLAIN_VALUES
