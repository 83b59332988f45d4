"""One block of an int64 column: planned, then written in one of four ways, each self-describing.

    byte 0          codec; bit 4 set where values sum up (carry)
    LINEAR  0       varints zigzag(start), zigzag(step), unit, exception count; then, where there are
                    exceptions: position width, residual width (a byte each) and a bit stream of
                    (residuals skipped, zigzag(residual)), all other residuals being 0
    ENTROPY 1       varints zigzag(start), zigzag(step), unit; model number (a byte); four states of
                    two bytes; the bit stream of entropy.py
    RAW     2       eight bytes a value
    PREFIX  3       varints zigzag(start), zigzag(step), unit; model number (a byte); varints of the sizes
                    of four streams and of the count of escapes; the bits of one (a byte); the streams of
                    prefix.py; the escapes' bit stream

    value[i] = (carry ? value[i-1] : 0) + step + unit * residual[i],  value[-1] = start

A regular meter's times are LINEAR with its gaps as exceptions: no bytes a reading, no decoding. All
arithmetic wraps at 64 bits, on both sides alike.
"""

from typing import NamedTuple

import numpy as np

from ..compiler.jit import inner
from ..numbers.bits import (
    append_bits,
    bit_length,
    flush_bits,
    load_word,
    read_bits,
    read_varint,
    store_word,
    unzigzag,
    write_varint,
    zigzag,
)
from ..status import MALFORMED
from .entropy import DIRECT_MAX, DIRECT_MIN, RESIDUAL_MAX, decode_residuals, encode_residuals
from .models import TABLE_SIZE, state_table, window_table
from .prefix import ESCAPE_BITS_MAX, Escapes, decode_tokens, encode_tokens, sum_escaped_tokens, sum_tokens

LINEAR = 0
ENTROPY = 1
RAW = 2
PREFIX = 3
CARRY_FLAG = 16

# A plan of one block of one column: int64 fields.
PLAN_FORM = 0  # how the values become integers: see floats.py; 0 for integer columns
PLAN_EXPONENT = 1
PLAN_CODEC = 2
PLAN_CARRY = 3
PLAN_START = 4
PLAN_STEP = 5
PLAN_UNIT = 6
PLAN_EXCEPTION_COUNT = 7
PLAN_POSITION_WIDTH = 8
PLAN_RESIDUAL_WIDTH = 9
PLAN_SCORE = 10  # the sum of the residuals' bit lengths, for grouping blocks by likeness
PLAN_ODD_COUNT = 11  # doubles kept apart; see floats.py
PLAN_MODEL = 12
PLAN_SIZE = 13  # bytes written
PLAN_ESCAPE_WIDTH = 14  # of a prefix code
PLAN_TOKENS = 15  # where its tokens are listed, and how many; see tokens.py
PLAN_TOKENS_END = 16
PLAN_FIELD_COUNT = 17


class Line(NamedTuple):
    """How residuals become values: value[i] = (value[i - 1] & carry) + step + unit * residual[i]."""

    carry: int  # -1 where values sum up, else 0
    start: int  # value[-1]
    step: int
    unit: int


class Noted(NamedTuple):
    """Counts over a block's residuals, from the first up to one of them."""

    score: int  # the sum of their bit lengths
    skipped_max: int  # most residuals of 0 before one that is not
    behind_last: int  # index after the last one that is not 0
    code_max: int  # their greatest zigzag code, a uint64


_SAMPLE_COUNT = 512
DOUBLE_BITS = 53


@inner
def plan_of(plans, block):
    """The plan of one block, out of the plans of all."""
    return plans[block * PLAN_FIELD_COUNT : (block + 1) * PLAN_FIELD_COUNT]


@inner
def plan_integers(source, may_be_plain, residuals, plan):
    """Fill `residuals` and the plan of one block of int64 `source`; it has at least one value.

    Values are summed up from their steps, unless `may_be_plain` and a sample is shorter without.
    """
    carry = np.int64(-1)
    step, unit = _fit(source, carry)
    if may_be_plain:
        sample = source[: min(source.size, _SAMPLE_COUNT)]
        plain_step, plain_unit = _fit(sample, np.int64(0))
        sample_step, sample_unit = _fit(sample, carry)
        if _score(sample, np.int64(0), plain_step, plain_unit) < _score(
            sample, carry, sample_step, sample_unit
        ):
            carry = np.int64(0)
            step, unit = _fit(source, carry)
    plan[PLAN_CARRY] = carry
    plan[PLAN_START] = source[0] - step if carry != 0 else np.int64(0)
    plan[PLAN_STEP] = step
    plan[PLAN_UNIT] = unit
    _fill_residuals(source, residuals, plan)


@inner
def _term(value, previous, carry):
    """The term that a value's residual has to explain: the step from its neighbour, or the value.

    Unsigned, since LLVM takes for granted that a difference of signed numbers does not wrap.
    """
    return np.int64(np.uint64(value) - np.uint64(previous & carry))


@inner
def _rest(value, previous, carry, step):
    return np.int64(np.uint64(_term(value, previous, carry)) - np.uint64(step))


@inner
def _fit(source, carry):
    """Return (step, unit): the term that most residuals are taken from, and the gcd of what is left."""
    first = 1 if carry != 0 else 0
    count = source.size - first
    if count <= 0:
        return np.int64(0), np.int64(1)
    # A term is a difference of two columns, so that LLVM makes several at once.
    columns = (source[first:], source[:count])
    candidate, agreeing = _most_common(columns, carry)
    step = candidate if agreeing * 4 >= count else _center(columns, carry)
    unit = _unit(columns, carry, step) if agreeing < count else np.int64(1)
    return step, unit


@inner
def _most_common(columns, carry):
    """Return (term, its count): the term that more than half of all are, if there is one."""
    ahead, behind = columns
    middle = ahead.size >> 1
    guess = _term(ahead[middle], behind[middle], carry)
    agreeing = _count_terms(columns, carry, guess)
    if 2 * agreeing > ahead.size:
        return guess, agreeing
    candidate = _elected(columns, carry)
    return candidate, agreeing if candidate == guess else _count_terms(columns, carry, candidate)


@inner
def _elected(columns, carry):
    """The term that Boyer and Moore's vote elects: the majority, if there is one.

    Votes are cast in pairs, by which the winner's lead is even: without one, a pair of two minds elects the
    first of it and leaves no lead. So one pass waits half as often for what came before.
    """
    ahead, behind = columns
    candidate = _term(ahead[0], behind[0], carry)
    lead = 0
    for pair in range(ahead.size >> 1):
        term = _term(ahead[2 * pair], behind[2 * pair], carry)
        other = _term(ahead[2 * pair + 1], behind[2 * pair + 1], carry)
        candidate = term if lead == 0 else candidate
        lead += np.int64(term == candidate) + np.int64(other == candidate) - 1
    last = ahead.size - 1
    if lead == 0 and last & 1 == 0:
        candidate = _term(ahead[last], behind[last], carry)
    return candidate


@inner
def _count_terms(columns, carry, wanted):
    ahead, behind = columns
    count = 0
    for i in range(ahead.size):
        count += _term(ahead[i], behind[i], carry) == wanted
    return count


@inner
def _center(columns, carry):
    """The term nearest to the mean where that is far from zero; near it, zero keeps its meaning "no use"."""
    ahead, behind = columns
    mean = _mean(columns, carry)
    if DIRECT_MIN / 2 <= mean <= DIRECT_MAX / 2:
        return np.int64(0)
    nearest = np.int64(0)
    distance_min = np.inf
    for i in range(ahead.size):
        term = _term(ahead[i], behind[i], carry)
        distance = abs(np.float64(term) - mean)
        if distance < distance_min:
            distance_min = distance
            nearest = term
    return nearest


@inner
def _mean(columns, carry):
    """The sum of all terms as doubles, one after the other, by their count."""
    ahead, behind = columns
    total = np.int64(0)
    magnitudes = np.int64(0)
    for i in range(ahead.size):
        term = _term(ahead[i], behind[i], carry)
        total += term
        magnitudes |= term ^ (term >> np.int64(63))
    # Below 2^53 no sum of doubles is rounded, so that sums of integers, several at once, are the same.
    if bit_length(magnitudes) + bit_length(ahead.size) <= DOUBLE_BITS:
        return np.float64(total) / ahead.size
    rounded = 0.0
    for i in range(ahead.size):
        rounded += np.float64(_term(ahead[i], behind[i], carry))
    return rounded / ahead.size


@inner
def _unit(columns, carry, step):
    """The greatest common divisor of what is left of all terms without the step."""
    ahead, behind = columns
    unit = np.int64(0)
    for i in range(ahead.size):
        rest = _rest(ahead[i], behind[i], carry, step)
        if rest != 0:
            unit = _common_divisor(unit, rest)
            if unit == 1:
                break
    return max(unit, np.int64(1))


@inner
def _common_divisor(a, b):
    """The greatest common divisor, by Euclid; 1 where the least int64 makes it impossible to tell."""
    a = abs(a)
    b = abs(b)
    if a < 0 or b < 0:
        return np.int64(1)
    while b != 0:
        a, b = b, a % b
    return a


@inner
def _score(source, carry, step, unit):
    score = 0
    for i in range(1, source.size):
        rest = _rest(source[i], source[i - 1], carry, step)
        score += bit_length(abs(rest if unit == 1 else rest // unit))
    return score


@inner
def _fill_residuals(source, residuals, plan):
    unit = plan[PLAN_UNIT]
    exception_count = _subtract_line(source, residuals, plan)
    plan[PLAN_EXCEPTION_COUNT] = exception_count
    noted = Noted(np.int64(0), np.int64(0), np.int64(0), np.uint64(0))
    if has_few_exceptions(residuals, plan):
        i = next_exception(residuals, 0)
        while i < residuals.size:
            noted = _note_exception(residuals, i, unit, noted)
            i = next_exception(residuals, i + 1)
    else:
        for i in range(residuals.size):
            if residuals[i] != 0:
                noted = _note_exception(residuals, i, unit, noted)
    plan[PLAN_SCORE] = noted.score
    plan[PLAN_POSITION_WIDTH] = bit_length(noted.skipped_max)
    plan[PLAN_RESIDUAL_WIDTH] = bit_length(noted.code_max)
    # zigzag(r) <= 2 |r|, so that this holds exactly where |r| <= RESIDUAL_MAX.
    fits = noted.code_max <= np.uint64(2 * RESIDUAL_MAX)
    # LINEAR where no entropy code reaches, in place of eight bytes for all: a meter silent for a year.
    plan[PLAN_CODEC] = ENTROPY if fits else RAW
    if not fits and linear_bits(plan) < 64 * source.size:
        plan[PLAN_CODEC] = LINEAR


@inner
def _note_exception(residuals, i, unit, noted):
    """Divide a residual that is not 0; return what is known then."""
    if unit != 1:
        residuals[i] = residuals[i] // unit
    residual = residuals[i]
    return Noted(
        noted.score + bit_length(abs(residual)),
        max(noted.skipped_max, i - noted.behind_last),
        i + 1,
        max(noted.code_max, zigzag(residual)),
    )


@inner
def _subtract_line(source, residuals, plan):
    """Fill `residuals` with what the plan's line leaves of each value; return how many are not zero."""
    carry = plan[PLAN_CARRY]
    step = plan[PLAN_STEP]
    residuals[0] = _rest(source[0], plan[PLAN_START], carry, step)
    ahead, behind, rests = source[1:], source[: source.size - 1], residuals[1:]
    count = np.int64(residuals[0] != 0)
    for i in range(rests.size):
        rests[i] = _rest(ahead[i], behind[i], carry, step)
        count += rests[i] != 0
    return count


@inner
def has_few_exceptions(residuals, plan):
    """Whether it pays to skip what lies between a block's exceptions."""
    return 8 * plan[PLAN_EXCEPTION_COUNT] <= residuals.size


@inner
def next_exception(residuals, i):
    """The index of the first residual that is not 0, from i on; their count where there is none."""
    # Eight at once: a regular meter's gaps are one step in a hundred.
    while i + 8 <= residuals.size:
        some = np.int64(0)
        for k in range(8):
            some |= residuals[i + k]
        if some != 0:
            break
        i += 8
    while i < residuals.size and residuals[i] == 0:
        i += 1
    return i


@inner
def linear_bits(plan):
    """The cost of a LINEAR block's exceptions, in bits."""
    return plan[PLAN_EXCEPTION_COUNT] * (plan[PLAN_POSITION_WIDTH] + plan[PLAN_RESIDUAL_WIDTH])


@inner
def write_integers(source, residuals, plan, symbols, states, codes, data, offset):
    """Write one block by its plan's codec; return the offset after it."""
    codec = plan[PLAN_CODEC]
    flag = CARRY_FLAG if plan[PLAN_CARRY] != 0 else 0
    data[offset] = codec | flag
    offset += 1
    if codec == RAW:
        for i in range(source.size):
            store_word(data, offset, np.uint64(source[i]))
            offset += 8
        return offset
    offset = write_varint(data, offset, zigzag(plan[PLAN_START]))
    offset = write_varint(data, offset, zigzag(plan[PLAN_STEP]))
    offset = write_varint(data, offset, np.uint64(plan[PLAN_UNIT]))
    if codec == ENTROPY:
        data[offset] = plan[PLAN_MODEL]
        return encode_residuals(residuals, plan[PLAN_MODEL], symbols, states, codes, data, offset + 1)
    if codec == PREFIX:
        data[offset] = plan[PLAN_MODEL]
        width = plan[PLAN_ESCAPE_WIDTH]
        return encode_tokens(residuals, plan[PLAN_MODEL], symbols, width, data, offset + 1)
    offset = write_varint(data, offset, np.uint64(plan[PLAN_EXCEPTION_COUNT]))
    if plan[PLAN_EXCEPTION_COUNT] == 0:
        return offset
    data[offset] = plan[PLAN_POSITION_WIDTH]
    data[offset + 1] = plan[PLAN_RESIDUAL_WIDTH]
    return _write_exceptions(residuals, plan, data, offset + 2)


@inner
def _write_exceptions(residuals, plan, data, offset):
    pending = np.uint64(0)
    pending_count = 0
    behind_last = 0
    i = next_exception(residuals, 0)
    while i < residuals.size:
        skipped = np.uint64(i - behind_last)
        behind_last = i + 1
        offset, pending, pending_count = append_bits(
            data, offset, pending, pending_count, skipped, plan[PLAN_POSITION_WIDTH]
        )
        offset, pending, pending_count = append_bits(
            data, offset, pending, pending_count, zigzag(residuals[i]), plan[PLAN_RESIDUAL_WIDTH]
        )
        i = next_exception(residuals, i + 1)
    return flush_bits(data, offset, pending, pending_count)


@inner
def read_integers(data, offset, end, tables, values):
    """Decode one block into `values`; return the offset after it, or MALFORMED.

    Needs end + 8 <= data.size; every byte is taken for hostile.
    """
    if not 0 <= offset < end or end > data.size - 8:
        return MALFORMED
    head = np.int64(data[offset])
    codec = head & ~CARRY_FLAG
    carry = np.int64(-1) if head & CARRY_FLAG else np.int64(0)
    offset += 1
    if codec == RAW:
        if end - offset < 8 * values.size:
            return MALFORMED
        for i in range(values.size):
            values[i] = np.int64(load_word(data, np.uint64(offset + 8 * i)))
        return offset + 8 * values.size
    start, offset = read_varint(data, offset, end)
    step, offset = read_varint(data, offset, end)
    unit, offset = read_varint(data, offset, end)
    if not 0 <= offset < end:
        return MALFORMED
    if codec == LINEAR:
        return _read_linear(data, offset, end, carry, unzigzag(start), unzigzag(step), np.int64(unit), values)
    model = np.int64(data[offset])
    if (codec != ENTROPY and codec != PREFIX) or (model + 1) * TABLE_SIZE > tables.size:
        return MALFORMED
    if codec == PREFIX:
        line = Line(carry, unzigzag(start), unzigzag(step), np.int64(unit))
        return _read_prefix(data, offset + 1, end, window_table(tables, model), line, values)
    table = state_table(tables, model)
    if carry != 0 and unit == np.uint64(1):
        return decode_residuals(data, offset + 1, end, table, unzigzag(start), unzigzag(step), values)
    behind = decode_residuals(data, offset + 1, end, table, np.int64(0), np.int64(0), values)
    _derive(values, carry, unzigzag(start), unzigzag(step), np.int64(unit))
    return behind


@inner
def _read_prefix(data, offset, end, table, line, values):
    """Decode tokens into the last bytes of `values`, and make the values of them, from the first on."""
    tokens = values.view(np.uint8)[7 * values.size :]
    escapes = open_tokens(data, offset, end, table, tokens)
    if escapes.position < 0:
        return MALFORMED
    if escapes.count == 0:
        sum_tokens(tokens, line.carry, line.start, line.step, line.unit, values)
        return (escapes.position + 7) >> 3
    count = sum_escaped_tokens(tokens, escapes, line.carry, line.start, line.step, line.unit, values)
    if count != escapes.count:
        return MALFORMED
    return (escapes.position + escapes.count * escapes.width + 7) >> 3


@inner
def open_tokens(data, offset, end, table, tokens):
    """Decode the tokens of a block; return its escapes, at position -1 where the block is malformed."""
    malformed = Escapes(data, np.int64(-1), np.int64(0), np.int64(0))
    size_a, offset = read_varint(data, offset, end)
    size_b, offset = read_varint(data, offset, end)
    size_c, offset = read_varint(data, offset, end)
    size_d, offset = read_varint(data, offset, end)
    escape_count, offset = read_varint(data, offset, end)
    if not 0 <= offset < end or table[0] == 0:
        return malformed
    width = np.int64(data[offset])
    offset += 1
    room = np.uint64(end - offset)
    # Each compared for itself, so that no sum of hostile sizes wraps.
    if max(max(size_a, size_b), max(size_c, size_d)) > room or escape_count > np.uint64(tokens.size):
        return malformed
    behind = offset + np.int64(size_a + size_b + size_c + size_d)
    if width > ESCAPE_BITS_MAX or behind + ((np.int64(escape_count) * width + 7) >> 3) > end:
        return malformed
    offset_b = offset + np.int64(size_a)
    offset_c = offset_b + np.int64(size_b)
    decode_tokens(data, (offset, offset_b, offset_c, offset_c + np.int64(size_c)), end, table, tokens)
    return Escapes(data, behind << 3, width, np.int64(escape_count))


@inner
def _derive(values, carry, start, step, unit):
    """Turn running sums of residuals into the values that they stand for, in place."""
    if carry != 0:
        for i in range(values.size):
            values[i] = start + step * np.int64(i + 1) + unit * values[i]
        return
    previous = np.int64(0)
    for i in range(values.size):
        total = values[i]
        values[i] = step + unit * (total - previous)
        previous = total


@inner
def _read_linear(data, offset, end, carry, start, step, unit, values):
    exception_count, offset = read_varint(data, offset, end)
    if offset < 0 or exception_count > np.uint64(values.size):
        return MALFORMED
    remaining = np.int64(exception_count)
    if remaining == 0:
        _fill_line(values, 0, values.size, carry, start, step)
        return offset
    if offset + 2 > end:
        return MALFORMED
    position_width = np.int64(data[offset])
    residual_width = np.int64(data[offset + 1])
    offset += 2
    bit_count = remaining * (position_width + residual_width)
    if max(position_width, residual_width) > 64 or (bit_count + 7) >> 3 > end - offset:
        return MALFORMED
    position = offset << 3
    i = 0
    value = start
    while remaining > 0:
        skipped = read_bits(data, position, position_width)
        residual = unzigzag(read_bits(data, position + position_width, residual_width))
        position += position_width + residual_width
        if skipped >= np.uint64(values.size - i):
            return MALFORMED
        behind = i + np.int64(skipped)
        value = _fill_line(values, i, behind, carry, value, step)
        value = (value & carry) + step + unit * residual
        values[behind] = value
        i = behind + 1
        remaining -= 1
    _fill_line(values, i, values.size, carry, value, step)
    return offset + ((bit_count + 7) >> 3)


@inner
def _fill_line(values, first, end, carry, value, step):
    """Fill values[first:end] with residuals of 0 after `value`; return the last value."""
    # A slice from zero on: LLVM then needs no test for negative indices, and vectorises.
    line = values[first:end]
    if carry == 0:
        line[:] = step
        return step if line.size > 0 else value
    for i in range(line.size):
        line[i] = value + step * np.int64(i + 1)
    return value + step * np.int64(line.size)
