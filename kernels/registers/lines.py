"""Registers whose every interval is a bucket, straight from the tokens of their blocks to the sums of groups.

That is what most meters are that are asked for by their own interval: times as lines whose step is the
buckets' width and that lie on their edges, values that never fall. An interval's amount is then a token, and
the sums of a group are integers, exact: its decimals at one exponent, divided once. That is within an ulp
of what the other ways make of the amounts one after another, each rounded. So are, rounded, the steps from
one block to the next.

A place's STEP_SUM is the sum of such amounts in a bucket. STEP_BEGINS is by how many more meters than in the
bucket before there are amounts, those of gaps among them, which are shared out by time as ever.
"""

import numpy as np

from ..buckets.groups import CELL_COUNT, CELL_FIELDS, CELL_LOST, FOLD_SUM
from ..buckets.growth import grows
from ..buckets.intervals import EMIT_COUNT, EMIT_SUM, amount_until
from ..codec.blocks import COUNT, DESCRIPTOR_FIELDS, QUALITIES_END, QUALITIES_OFFSET, tables_of
from ..codec.lines import (
    LINE_FIELDS,
    LINE_FIRST,
    LINE_TIME,
    NO_STEPS,
    TOKENS_SLACK,
    last_time,
    open_steps,
    read_lines,
)
from ..compiler.jit import inner
from ..numbers.decimals import INTEGER_POWERS, POWERS_OF_TEN
from ..numbers.sums import two_sum
from .target import FOLD_HOW, STEP_BEGINS, STEP_FIELDS, STEP_SUM, place_of

# What is kept of a meter's blocks while its lines and tokens wait to be folded.
_COUNT, _TOKENS, _LINES, _LINE_COUNT, _RISE, _BASE, _UNIT = range(7)
_FIELDS = 7

_EDGE_MAX = 1 << 61  # so that no difference of times wraps
_STEP_MAX = 2.0**40  # of mantissas: the steps of all meters of a frame sum up within an int64

NO_LINES = -1


@inner
def width_of(edges, control, is_folding):
    """How wide all buckets are where lines can be folded into them, else 0."""
    if not is_folding or control[FOLD_HOW] != FOLD_SUM:
        return np.int64(0)
    if edges[0] < -_EDGE_MAX or edges[edges.size - 1] > _EDGE_MAX:
        return np.int64(0)
    width = edges[1] - edges[0]
    odd_count = 0
    for k in range(1, edges.size):
        odd_count += edges[k] - edges[k - 1] != width
    return width if odd_count == 0 else np.int64(0)


@inner
def _parts(scratch):
    """What open_meter leaves for fold_meter: facts of each block, all tokens, all lines."""
    room = scratch.size // 8
    return scratch[:room], scratch[room : 4 * room].view(np.uint8), scratch[4 * room :]


@inner
def open_meter(blocks, bounds, taken, frame, exponent_of_sums, scratch):
    """Decode a meter's blocks; return (the exponent of its mantissas, its count of blocks).

    The exponent is NO_LINES where they cannot be folded so. `bounds` are the first block and the end,
    `taken` the times of which readings are taken, `frame` the edges and the buckets' width; sums of lines
    so far have an exponent, or -1.
    """
    first, end = bounds
    edges, width = frame
    facts, tokens, lines = _parts(scratch)
    none = (np.int64(NO_LINES), 0)
    exponent, value = np.int64(NO_LINES), np.int64(0)
    time_min, time_max = max(taken[0], edges[0]), min(taken[1], edges[edges.size - 1])
    token_count, line_size = 0, 0
    if (end - first) * _FIELDS > facts.size:
        return none
    for block in range(first, end):
        _, descriptors, _ = blocks
        count = descriptors[block * DESCRIPTOR_FIELDS + COUNT]
        if not 1 <= count <= tokens.size - token_count - TOKENS_SLACK:
            return none
        room = (tokens[token_count : token_count + count], lines[line_size:])
        span = (time_min, time_max, edges[0], width)
        line_count, last, steps = _open_block(blocks, block, span, room)
        own_exponent, start, base, unit = steps
        if line_count == 0 or (block > first and own_exponent != exponent):
            return none
        scale = INTEGER_POWERS[max(exponent_of_sums - own_exponent, 0)]
        if np.float64(abs(base) + 255 * unit) * np.float64(scale) > _STEP_MAX:
            return none
        # By how much more than its first token tells it begins above the end of the block before.
        rise = start - value if block > first else np.int64(0)
        if rise + base + unit * np.int64(tokens[token_count]) < 0:
            return none
        if block + 1 < end:
            value = start + count * base + unit * _sum(tokens[token_count : token_count + count])
        exponent, time_min = own_exponent, last + 1
        fact = (block - first) * _FIELDS
        facts[fact + _COUNT], facts[fact + _TOKENS] = count, token_count
        facts[fact + _LINES], facts[fact + _LINE_COUNT] = line_size, line_count
        facts[fact + _RISE], facts[fact + _BASE], facts[fact + _UNIT] = rise, base, unit
        token_count += count
        line_size += (line_count + 1) * LINE_FIELDS
    return exponent, end - first


@inner
def _open_block(blocks, block, span, room):
    """Decode a block's lines, their times made numbers of buckets, and tokens.

    Returns the count of lines, 0 where the block cannot be folded so; its last time; and its steps.
    """
    data, descriptors, tables = blocks
    time_min, time_max, first_edge, width = span
    tokens, for_lines = room
    descriptor = descriptors[block * DESCRIPTOR_FIELDS : (block + 1) * DESCRIPTOR_FIELDS]
    count = descriptor[COUNT]
    none = (0, np.int64(0), NO_STEPS)
    if descriptor[QUALITIES_OFFSET] != descriptor[QUALITIES_END]:
        return none
    line_count, step = read_lines(data, descriptor, for_lines)
    if line_count == 0 or (step != width and count > 1):
        return none
    lines = for_lines[: line_count * LINE_FIELDS]
    begin, last = lines[LINE_TIME], last_time(lines, width, count)
    if begin < time_min or last > time_max or not _number_lines(lines, first_edge, width):
        return none
    steps = open_steps(data, descriptor, tables_of(descriptor, tables), tokens)
    return (line_count, last, steps) if grows(steps, tokens) else none


@inner
def _number_lines(lines, first_edge, width):
    """Put the number of its bucket in the place of each line's time; return whether all are on edges."""
    odd_count = 0
    for line in range(LINE_TIME, lines.size, LINE_FIELDS):
        behind = np.uint64(lines[line] - first_edge)
        bucket = behind // np.uint64(width)
        odd_count += bucket * np.uint64(width) != behind
        lines[line] = np.int64(bucket)
    return odd_count == 0


@inner
def _sum(tokens):
    total = np.int64(0)
    for i in range(tokens.size):
        total += tokens[i]
    return total


@inner
def fold_meter(slot, block_count, exponents, frame, scratch, to):
    """Fold what open_meter has decoded; return how many buckets of the slot have a part of an amount.

    These follow each other. `exponents` are that of the mantissas, and that of the sums, which is no less.
    """
    exponent, exponent_of_sums = exponents
    edges, _ = frame
    _, _, bucket_count, _, _ = to
    scale, power = INTEGER_POWERS[exponent_of_sums - exponent], POWERS_OF_TEN[exponent]
    facts, all_tokens, all_lines = _parts(scratch)
    sums, begins = _lines_of(slot, to)
    first_bucket, bucket = -1, 0
    for fact in range(0, block_count * _FIELDS, _FIELDS):
        count, first_token, first_line = facts[fact + _COUNT], facts[fact + _TOKENS], facts[fact + _LINES]
        tokens = all_tokens[first_token : first_token + count]
        lines = all_lines[first_line : first_line + (facts[fact + _LINE_COUNT] + 1) * LINE_FIELDS]
        base, unit = facts[fact + _BASE], facts[fact + _UNIT]
        for line in range(0, lines.size - LINE_FIELDS, LINE_FIELDS):
            i, end = lines[line + LINE_FIRST], lines[line + LINE_FIELDS + LINE_FIRST]
            next_bucket = lines[line + LINE_TIME]
            if first_bucket < 0:
                first_bucket = next_bucket
            else:
                used = base + unit * np.int64(tokens[i]) + (facts[fact + _RISE] if line == 0 else 0)
                _share_out(np.float64(used) / power, slot, bucket, next_bucket, edges, to)
            _add_steps(tokens[i + 1 : end], base * scale, unit * scale, sums[next_bucket:])
            bucket = next_bucket + end - 1 - i
    if bucket > first_bucket:
        begins[first_bucket] += 1
        if bucket < bucket_count:
            begins[bucket] -= 1
    return bucket - first_bucket


@inner
def _lines_of(slot, to):
    """The sums of lines of a slot's group, and by how many more meters have one, by bucket."""
    _, columns, bucket_count, place_size, _ = to
    place, _, _ = place_of(slot, 0, to)
    first = place + (place_size - STEP_FIELDS) * bucket_count
    sums = columns[first + STEP_SUM * bucket_count : first + (STEP_SUM + 1) * bucket_count]
    begins = columns[first + STEP_BEGINS * bucket_count : first + (STEP_BEGINS + 1) * bucket_count]
    return sums.view(np.int64), begins.view(np.int64)


@inner
def _add_steps(tokens, base, unit, sums):
    """Add the step of each token to a bucket's sum."""
    own = sums[: tokens.size]
    if unit == 1:
        for k in range(tokens.size):
            own[k] += base + np.int64(tokens[k])
        return
    for k in range(tokens.size):
        own[k] += base + unit * np.int64(tokens[k])


@inner
def _share_out(amount, slot, bucket, end_bucket, edges, to):
    """Add the shares of an interval over a gap to the sums of buckets, from one up to another.

    That each has a row, of which one interval begins in the first, is told with the meter's lines.
    """
    _, columns, bucket_count, _, _ = to
    begin, end = edges[bucket], edges[end_bucket]
    _, of_sum, of_count = place_of(slot, 0, to)
    before = 0.0
    for k in range(bucket, end_bucket):
        until = amount_until(edges[k + 1], begin, end, amount)
        if of_sum >= 0:
            total, rounding = two_sum(columns[of_sum + k], until - before)
            columns[of_sum + k] = total
            columns[of_sum + CELL_LOST * bucket_count + k] += rounding
        if of_count >= 0 and k > bucket:
            columns[of_count + k] -= 1
        before = until


@inner
def settle_lines(exponent, to):
    """Fold the sums of lines, decimals at an exponent, into the cells of their places; zero them."""
    control, columns, bucket_count, place_size, _ = to
    of_sum, of_count = control[1 + EMIT_SUM], control[1 + EMIT_COUNT]
    power = POWERS_OF_TEN[exponent]
    for first in range(0, columns.size - place_size * bucket_count + 1, place_size * bucket_count):
        line_first = first + (place_size - STEP_FIELDS) * bucket_count
        sums = columns[line_first + STEP_SUM * bucket_count :].view(np.int64)
        begins = columns[line_first + STEP_BEGINS * bucket_count :].view(np.int64)
        meter_count = np.int64(0)
        for k in range(bucket_count):
            meter_count += begins[k]
            begins[k] = 0
            if meter_count == 0:
                continue
            columns[first + k] += meter_count
            if of_sum >= 0:
                cell = first + (1 + of_sum * CELL_FIELDS) * bucket_count + k
                total, rounding = two_sum(columns[cell], np.float64(sums[k]) / power)
                columns[cell] = total
                columns[cell + CELL_LOST * bucket_count] += rounding
                columns[cell + CELL_COUNT * bucket_count] += meter_count
            if of_count >= 0:
                cell = first + (1 + of_count * CELL_FIELDS) * bucket_count + k
                columns[cell] += meter_count
                columns[cell + CELL_COUNT * bucket_count] += meter_count
            sums[k] = 0
