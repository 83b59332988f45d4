"""Registers whose every interval is a bucket, straight from their blocks' tokens to the sums of groups.

Most meters that are asked for by their own interval are such: their times are lines on the buckets' edges,
with the buckets' width as their step, and their values never fall. An interval's amount is then a token, and
a group's sums are exact integers: decimals at one exponent, divided once. The result is within an ulp of the
other ways, which round and add one amount after another. The steps from one block to the next are rounded
too.

A place's STEP_SUM is the sum of such amounts in a bucket. STEP_BEGINS is by how many more meters than in the
bucket before there are amounts, amounts over gaps too, which are shared out by time as ever.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Int64Array, UInt8Array
from ..buckets.groups import FOLD_SUM, FOLDED_COUNT, FOLDED_FIELDS, FOLDED_LOST
from ..buckets.growth import grows
from ..buckets.intervals import share_in
from ..codec.blocks import COUNT, QUALITIES_END, QUALITIES_OFFSET, descriptor_of, tables_of
from ..codec.lines import (
    LINE_FIELDS,
    LINE_FIRST,
    LINE_TIME,
    TOKENS_SLACK,
    last_time,
    no_steps,
    open_steps,
    read_lines,
)
from ..compiler.jit import inner
from ..numbers.decimals import INTEGER_POWERS, POWERS_OF_TEN
from ..numbers.sums import two_sum
from .target import STEP_BEGINS, STEP_FIELDS, STEP_SUM, place_of

# The facts of a meter's block, kept while its lines and tokens wait to be folded.
_COUNT, _TOKENS, _LINES, _LINE_COUNT, _RISE, _BASE, _UNIT = range(7)
_FIELDS = 7

_EDGE_MAX = 1 << 61  # so that no difference of times wraps
_STEP_MAX = 2.0**40  # of mantissas: the steps of all meters of a frame sum up within an int64

NO_LINES = -1


class Span(NamedTuple):
    """The times of the readings that are taken, the first and the last, us."""

    time_min: int
    time_max: int


class Grid(NamedTuple):
    """Buckets that are all as wide."""

    edges: Int64Array  # us, a bucket count and one
    width: int  # us; 0 where they are not, or lines cannot be folded into them


class OpenMeter(NamedTuple):
    """The scratch that open_meter fills for fold_meter."""

    facts: Int64Array  # of each block, _FIELDS of them
    tokens: UInt8Array  # of all blocks
    lines: Int64Array  # of all blocks


@inner
def grid_of(edges, target):
    """Return the buckets as lines are folded into them."""
    return Grid(edges, width_of(edges, target.is_folding and target.how == FOLD_SUM))


@inner
def width_of(edges, are_summed):
    """How wide all buckets are where lines can be folded into them, else 0."""
    if not are_summed:
        return np.int64(0)
    if edges[0] < -_EDGE_MAX or edges[edges.size - 1] > _EDGE_MAX:
        return np.int64(0)
    width = edges[1] - edges[0]
    odd_count = 0
    for k in range(1, edges.size):
        odd_count += edges[k] - edges[k - 1] != width
    return width if odd_count == 0 else np.int64(0)


@inner
def _opened(scratch):
    room = scratch.size // 8
    return OpenMeter(scratch[:room], scratch[room : 4 * room].view(np.uint8), scratch[4 * room :])


@inner
def open_meter(blocks, first, end, span, grid, exponent_of_sums, scratch):
    """Decode a meter's blocks; return (the exponent of its mantissas, its count of blocks).

    The exponent is NO_LINES where they cannot be folded so; sums of lines so far have an exponent, or -1.
    """
    edges, opened = grid.edges, _opened(scratch)
    facts, tokens, lines = opened.facts, opened.tokens, opened.lines
    none = (np.int64(NO_LINES), 0)
    exponent, value = np.int64(NO_LINES), np.int64(0)
    time_min, time_max = max(span.time_min, edges[0]), min(span.time_max, edges[edges.size - 1])
    token_count, line_size = 0, 0
    if (end - first) * _FIELDS > facts.size:
        return none
    for block in range(first, end):
        count = descriptor_of(blocks, block)[COUNT]
        if not 1 <= count <= tokens.size - token_count - TOKENS_SLACK:
            return none
        line_count, last, steps = _open_block(
            blocks,
            block,
            Span(time_min, time_max),
            grid,
            tokens[token_count : token_count + count],
            lines[line_size:],
        )
        start, base, unit = steps.start, steps.base, steps.unit
        if line_count == 0 or (block > first and steps.exponent != exponent):
            return none
        scale = INTEGER_POWERS[max(exponent_of_sums - steps.exponent, 0)]
        if np.float64(abs(base) + 255 * unit) * np.float64(scale) > _STEP_MAX:
            return none
        # How far the block's start lies above the end of the block before, its first token apart.
        rise = start - value if block > first else np.int64(0)
        if rise + base + unit * np.int64(tokens[token_count]) < 0:
            return none
        if block + 1 < end:
            value = start + count * base + unit * _sum(tokens[token_count : token_count + count])
        exponent, time_min = steps.exponent, last + 1
        fact = (block - first) * _FIELDS
        facts[fact + _COUNT], facts[fact + _TOKENS] = count, token_count
        facts[fact + _LINES], facts[fact + _LINE_COUNT] = line_size, line_count
        facts[fact + _RISE], facts[fact + _BASE], facts[fact + _UNIT] = rise, base, unit
        token_count += count
        line_size += (line_count + 1) * LINE_FIELDS
    return exponent, end - first


@inner
def _open_block(blocks, block, span, grid, tokens, for_lines):
    """Decode a block's lines, their times made numbers of buckets, and tokens.

    Returns the count of lines, 0 where the block cannot be folded so; its last time; and its steps.
    """
    descriptor, width = descriptor_of(blocks, block), grid.width
    count = descriptor[COUNT]
    none = (0, np.int64(0), no_steps())
    if descriptor[QUALITIES_OFFSET] != descriptor[QUALITIES_END]:
        return none
    line_count, step = read_lines(blocks.data, descriptor, for_lines)
    if line_count == 0 or (step != width and count > 1):
        return none
    lines = for_lines[: line_count * LINE_FIELDS]
    begin, last = lines[LINE_TIME], last_time(lines, width, count)
    if begin < span.time_min or last > span.time_max or not _number_lines(lines, grid.edges[0], width):
        return none
    steps = open_steps(blocks.data, descriptor, tables_of(descriptor, blocks.tables), tokens)
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
def fold_meter(slot, block_count, exponent, exponent_of_sums, edges, scratch, target):
    """Fold what open_meter has decoded; return how many buckets of the slot have a part of an amount.

    These follow each other. The mantissas' exponent is no more than that of the sums.
    """
    bucket_count = target.bucket_count
    scale, power = INTEGER_POWERS[exponent_of_sums - exponent], POWERS_OF_TEN[exponent]
    opened = _opened(scratch)
    facts, all_tokens, all_lines = opened.facts, opened.tokens, opened.lines
    sums, begins = _lines_of(slot, target)
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
                _share_out(np.float64(used) / power, slot, bucket, next_bucket, edges, target)
            _add_steps(tokens[i + 1 : end], base * scale, unit * scale, sums[next_bucket:])
            bucket = next_bucket + end - 1 - i
    if bucket > first_bucket:
        begins[first_bucket] += 1
        if bucket < bucket_count:
            begins[bucket] -= 1
    return bucket - first_bucket


@inner
def _lines_of(slot, target):
    """The sums of lines of a slot's group, and by how many more meters have one, by bucket."""
    places, bucket_count = target.places, target.bucket_count
    place, _, _ = place_of(slot, 0, target)
    first = place + (target.place_size - STEP_FIELDS) * bucket_count
    sums = places[first + STEP_SUM * bucket_count : first + (STEP_SUM + 1) * bucket_count]
    begins = places[first + STEP_BEGINS * bucket_count : first + (STEP_BEGINS + 1) * bucket_count]
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
def _share_out(amount, slot, bucket, end_bucket, edges, target):
    """Add the shares of an interval over a gap to the sums of buckets, from one up to another.

    The meter's lines count a row for each, and an interval that begins in the first.
    """
    places, bucket_count = target.places, target.bucket_count
    begin, end = edges[bucket], edges[end_bucket]
    _, of_sum, of_count = place_of(slot, 0, target)
    before = 0.0
    for k in range(bucket, end_bucket):
        share, _, until = share_in(edges[k + 1], begin, end, amount, before)
        if of_sum >= 0:
            total, rounding = two_sum(places[of_sum + k], share)
            places[of_sum + k] = total
            places[of_sum + FOLDED_LOST * bucket_count + k] += rounding
        if of_count >= 0 and k > bucket:
            places[of_count + k] -= 1
        before = until


@inner
def settle_lines(exponent, target):
    """Fold the sums of lines, decimals at an exponent, into the cells of their places; zero them."""
    places, bucket_count, place_size = target.places, target.bucket_count, target.place_size
    of_sum, of_count = target.sum_column, target.count_column
    power = POWERS_OF_TEN[exponent]
    for first in range(0, places.size - place_size * bucket_count + 1, place_size * bucket_count):
        line_first = first + (place_size - STEP_FIELDS) * bucket_count
        sums = places[line_first + STEP_SUM * bucket_count :].view(np.int64)
        begins = places[line_first + STEP_BEGINS * bucket_count :].view(np.int64)
        meter_count = np.int64(0)
        for k in range(bucket_count):
            meter_count += begins[k]
            begins[k] = 0
            if meter_count == 0:
                continue
            places[first + k] += meter_count
            if of_sum >= 0:
                cell = first + (1 + of_sum * FOLDED_FIELDS) * bucket_count + k
                total, rounding = two_sum(places[cell], np.float64(sums[k]) / power)
                places[cell] = total
                places[cell + FOLDED_LOST * bucket_count] += rounding
                places[cell + FOLDED_COUNT * bucket_count] += meter_count
            if of_count >= 0:
                cell = first + (1 + of_count * FOLDED_FIELDS) * bucket_count + k
                places[cell] += meter_count
                places[cell + FOLDED_COUNT * bucket_count] += meter_count
            sums[k] = 0
