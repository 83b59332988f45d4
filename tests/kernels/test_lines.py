"""Lines are the times that decoding gives, steps the mantissas; what is neither is told, never misread."""

from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.encoded_blocks import (
    BLOCK_SIZE_MAX,
    INT64_MAX,
    INT64_MIN,
    IS_PYTHON,
    Blocks,
    encode,
    examples,
    increasing_times,
    sizes,
)
from support.integer_columns import header, varint, zigzag
from support.prefix_payloads import counts_from, model_of, payload, tables_of, token_counts, unzigzag

from smartdata_ts.kernels.arrays import Int64Array, UInt8Array, UInt32Array
from smartdata_ts.kernels.codec.blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    TIMES_END,
    TIMES_OFFSET,
    VALUES_END,
    VALUES_OFFSET,
)
from smartdata_ts.kernels.codec.integers import CARRY_FLAG, ENTROPY, LINEAR, PREFIX, RAW, read_integers
from smartdata_ts.kernels.codec.lines import (
    LINE_FIELDS,
    LINE_FIRST,
    TOKENS_SLACK,
    last_time,
    least_token,
    open_steps,
    read_lines,
    sums_of,
)
from smartdata_ts.kernels.compiler.jit import kernel
from smartdata_ts.kernels.status import MALFORMED

GUARD = 8
LINE = LINEAR | CARRY_FLAG
STEP_END = 2**49
NO_TABLES = np.empty(0, np.uint32)


@kernel
def read(data: UInt8Array, end: int, values: Int64Array, tables: UInt32Array) -> int:
    return read_integers(data, 0, end, tables, values)


@kernel
def fill_lines(data: UInt8Array, descriptor: Int64Array, lines: Int64Array, told: Int64Array) -> int:
    told[0], told[1] = read_lines(data, descriptor, lines)
    return told[0]


@kernel
def last(lines: Int64Array, step: int, count: int) -> int:
    return last_time(lines, step, count)


@kernel
def fill_steps(
    data: UInt8Array, descriptor: Int64Array, tables: UInt32Array, tokens: UInt8Array, told: Int64Array
) -> int:
    told[0], told[1], told[2], told[3] = open_steps(data, descriptor, tables, tokens)
    return told[0]


@kernel
def sums(tokens: UInt8Array, first: int, count: int, told: Int64Array) -> int:
    told[0], told[1] = sums_of(tokens, first, count)
    return 0


@kernel
def least(tokens: UInt8Array) -> int:
    return least_token(tokens)


# -- lines


def linear(start: int, step: int, unit: int, gaps=(), widths=None, carry=True) -> bytes:
    """A LINEAR column; each gap is the count of readings skipped, and a residual."""
    content = header(LINEAR | CARRY_FLAG * carry, start, step, unit) + varint(len(gaps))
    if not gaps:
        return content
    fields = [(skipped, zigzag(residual)) for skipped, residual in gaps]
    if widths is None:
        widths = [max(field[k] for field in fields).bit_length() for k in (0, 1)]
    stream, at = 0, 0
    for field in fields:
        for number, width in zip(field, widths, strict=True):
            stream |= number % (1 << width) << at
            at += width
    return content + bytes(widths) + stream.to_bytes(-(-at // 8), "little")


def decoded_times(content: bytes, count: int) -> list[int] | None:
    values = np.empty(count, np.int64)
    data = np.frombuffer(content + b"\xff" * 8, np.uint8)
    return None if read(data, len(content), values, NO_TABLES) == MALFORMED else values.tolist()


def lines_of(content: bytes, count: int, room: int = 40):
    """Return (step, [(first, time)]) with the line of no readings; `room` is for lines, and none behind."""
    data = np.frombuffer(content + b"\xff" * 8, np.uint8)
    descriptor = np.zeros(DESCRIPTOR_FIELDS, np.int64)
    descriptor[[COUNT, TIMES_END]] = count, len(content)
    whole, told = np.full(room * LINE_FIELDS + 2 * GUARD, -77, np.int64), np.empty(2, np.int64)
    line_count = fill_lines(data, descriptor, whole[GUARD : GUARD + room * LINE_FIELDS], told)
    assert np.all(whole[:GUARD] == -77)
    assert np.all(whole[GUARD + room * LINE_FIELDS :] == -77)
    if line_count == 0:
        return 0, []
    return int(told[1]), whole[GUARD:].reshape(-1, LINE_FIELDS)[: line_count + 1].tolist()


def expanded(step: int, lines: list[list[int]]) -> list[int]:
    """The times of lines, the last of which tells but where the others end."""
    times = []
    for (first, time), (end, _) in pairwise(lines):
        assert first < end
        times += [time + step * k for k in range(end - first)]
    return times


def numbers_of(content: bytes) -> list[int]:
    """The varints behind the head, as far as there are: start, step, unit, gap count."""
    numbers, number, shift = [], 0, 0
    for byte in content[1:]:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(number % 2**64)
            number, shift = 0, 0
    return numbers[:4]


def are_lines(content: bytes, times: list[int] | None, room: int) -> bool:
    """Whether a column's times are lines at all, and fit."""
    if times is None or content[0] != LINE:
        return False
    _, step, _, gap_count = numbers_of(content)
    increase = all(before < after for before, after in pairwise(times))
    return increase and 0 < unzigzag(step) < STEP_END and gap_count + 2 <= room


def assert_lines(content: bytes, count: int, room: int = 40) -> None:
    step, lines = lines_of(content, count, room)
    times = decoded_times(content, count)
    if not lines:
        # A gap as long as half of all time may be none.
        jumps = [after - before for before, after in pairwise(times or [])]
        assert not are_lines(content, times, room) or max(jumps) > INT64_MAX
        return
    assert are_lines(content, times, room)
    assert expanded(step, lines) == times
    assert lines[-1][LINE_FIRST] == count
    assert last(np.array(lines[:-1], np.int64).reshape(-1), step, count) == times[-1]


@examples(200)
@given(st.data(), sizes)
def test_lines_are_the_times_that_were_written(data, size):
    times = data.draw(increasing_times(size))
    content = encode(times, np.zeros(size)).payload(0, 0)
    if content[0] in (LINE, LINEAR, RAW):
        assert_lines(content, size, room=size + 2)
    else:
        assert lines_of(content, size, room=size + 2) == (0, [])


def test_a_line_goes_on_behind_each_gap():
    content = linear(90, 10, 5, [(2, 4), (0, 2), (3, 40)])
    step, lines = lines_of(content, 8)
    assert (step, lines[:-1]) == (10, [[0, 100], [2, 140], [3, 160], [7, 400]])
    assert expanded(step, lines) == [100, 110, 140, 160, 170, 180, 190, 400]
    assert_lines(content, 8)


def test_a_gap_before_the_first_reading_moves_the_line():
    content = linear(0, 10, 1, [(0, 5), (3, 1)])
    assert expanded(*lines_of(content, 6)) == [15, 25, 35, 45, 56, 66]
    assert len(lines_of(content, 6)[1]) == 3
    assert_lines(content, 6)


def test_gaps_of_nothing_and_steps_back_within_a_step_are_lines():
    assert_lines(linear(0, 10, 1, [(1, 0), (1, -9), (0, -3)]), 9)
    assert lines_of(linear(0, 10, 1, [(1, -10)]), 9) == (0, [])


wide = st.one_of(
    st.integers(INT64_MIN, INT64_MAX),
    st.sampled_from([INT64_MIN, INT64_MAX, 0, -1, 2**49, 2**49 - 1, 2**62]),
    st.integers(-50, 50),
)
steps = st.one_of(
    st.integers(1, 1000), st.sampled_from([-1, 0, STEP_END - 1, STEP_END, INT64_MAX, INT64_MIN]), wide
)
gap_lists = st.lists(st.tuples(st.integers(0, 12), wide), max_size=9)


def unwrapped(start: int, step: int, unit: int, gaps: list[tuple[int, int]], count: int) -> list[int]:
    """The times of a LINEAR column, of whatever size they are."""
    steps, at = [step] * count, 0
    for skipped, residual in gaps:
        at += skipped
        if at < count:
            steps[at] = step + unit * residual
        at += 1
    return list(accumulate(steps, initial=start))[1:]


@examples(400)
@given(wide, steps, st.sampled_from([0, 1, 7, 2**32]), gap_lists, st.integers(1, 80))
@example(INT64_MAX - 30, 10, 1, [], 3)
@example(INT64_MIN, STEP_END - 1, 1, [], 80)
@example(0, STEP_END, 1, [], 3)
@example(0, 10, 1, [(0, 1)] * 9, 9)
@example(0, 10, 1, [(0, 1)] * 9, 8)
def test_lines_are_told_where_times_are_lines_and_nowhere_else(start, step, unit, gaps, count):
    for widths in (None, (64, 64)):
        content = linear(start, step, unit, gaps, widths)
        # What wraps is tested below.
        if all(INT64_MIN <= time <= INT64_MAX for time in unwrapped(start, step, unit, gaps, count)):
            assert_lines(content, count)
        lines_of(content, count)
    assert lines_of(linear(start, step, unit, gaps, carry=False), count) == (0, [])


@pytest.mark.parametrize(
    ("start", "step", "unit", "gaps", "count"),
    [
        (INT64_MAX - 30, 10, 1, [], 4),  # within the only line
        (INT64_MAX - 30, 10, 1, [(1, 2)], 4),  # within the last line
        (INT64_MAX - 30, 10, 1, [(3, 5)], 5),  # within the first
        (INT64_MAX - 60, 10, 1, [(2, INT64_MAX - 10)], 6),  # over a gap
        (INT64_MAX - 60, 10, 2**62, [(2, 1)], 6),
        (INT64_MAX - 4, 10, 1, [(1, -20)], 3),  # before the first reading, and back
        (INT64_MAX - STEP_END, STEP_END - 1, 1, [], 300),
    ],
)
def test_times_that_wrap_have_no_lines(start, step, unit, gaps, count):
    assert not are_lines(
        linear(start, step, unit, gaps), decoded_times(linear(start, step, unit, gaps), count), 40
    )
    assert lines_of(linear(start, step, unit, gaps), count) == (0, [])


@examples(200)
@given(
    st.integers(0, 2000),
    st.integers(1, 300),
    st.sampled_from([1, 7, 2**63, 2**64 - 1]),
    st.lists(st.tuples(st.integers(0, 12), st.integers(-3, 90)), max_size=3),
    st.integers(1, 30),
)
def test_times_near_the_last_one_have_lines_only_where_they_do_not_wrap(before, step, unit, gaps, count):
    assert_lines(linear(INT64_MAX - before, step, unit, gaps), count)


@pytest.mark.parametrize("gap_count", [0, 1, 2, 5, 30])
def test_lines_that_have_no_room_are_none(gap_count):
    content = linear(0, 10, 1, [(1, 3)] * gap_count)
    count = 2 * gap_count + 1
    for room in range(gap_count + 5):
        assert bool(lines_of(content, count, room)[1]) == (room >= gap_count + 2)
        assert_lines(content, count, room)


def test_the_longest_blocks_have_lines():
    count = BLOCK_SIZE_MAX
    for start in (INT64_MIN, -(2**61), INT64_MAX - (count + 1) * (STEP_END - 1)):
        assert_lines(linear(start, STEP_END - 1, 1, [(count // 2, 1)]), count)


@pytest.mark.parametrize(
    "head", [LINEAR, ENTROPY, ENTROPY | CARRY_FLAG, RAW, PREFIX | CARRY_FLAG, 32 | LINE, 128]
)
def test_other_codecs_have_no_lines(head):
    content = bytes([head]) + linear(0, 10, 1, [(1, 3)])[1:] + bytes(80)
    assert lines_of(content, 6) == (0, [])


@pytest.mark.parametrize("gaps", [[], [(0, 5)], [(3, 100), (9, 2), (0, 70)], [(1, 2**40)] * 7])
def test_lines_that_are_cut_short_are_none(gaps):
    content = linear(10**15, 3_600_000_000, 1, gaps)
    for cut in range(len(content)):
        assert lines_of(content[:cut], 40) == (0, [])
    assert_lines(content, 40)
    assert lines_of(content, 40) != (0, [])


@pytest.mark.parametrize("widths", [(65, 3), (3, 65), (255, 0), (0, 128), (64, 64)])
def test_fields_wider_than_a_word_have_no_lines(widths):
    content = linear(1000, 60, 3, [(3, 100), (9, 2)], widths)
    assert_lines(content, 30)
    assert (lines_of(content, 30) == (0, [])) == (max(widths) > 64)


def test_every_flipped_bit_is_other_lines_or_none():
    content = linear(1000, 60, 3, [(3, 100), (9, 2), (0, 70)])
    for at in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        assert_lines(bytes(flipped), 30, room=12)


@examples(300)
@given(st.binary(max_size=60), st.integers(1, 12), st.integers(0, 6))
def test_random_bytes_are_lines_or_none(content, count, room):
    for known in (bytes([LINE]), header(LINE, 5, 60, 1), header(LINE, 5, 60, 1) + b"\x02\x02\x09"):
        assert_lines(known + content, count, room)


@pytest.mark.parametrize(
    "bounds", [(-1, 5), (5, 5), (6, 5), (0, 10**6), (0, 13), (0, INT64_MAX), (INT64_MIN, 4)]
)
def test_bounds_outside_of_the_data_have_no_lines_and_no_steps(bounds):
    descriptor = np.zeros(DESCRIPTOR_FIELDS, np.int64)
    descriptor[COUNT] = 3
    descriptor[[TIMES_OFFSET, TIMES_END]] = bounds
    descriptor[[VALUES_OFFSET, VALUES_END]] = bounds
    data = np.zeros(20, np.uint8)
    data[::5] = LINE
    assert fill_lines(data, descriptor, np.empty(20, np.int64), np.empty(2, np.int64)) == 0
    data[::5] = 1
    assert fill_steps(data, descriptor, NO_TABLES, np.empty(3, np.uint8), np.empty(4, np.int64)) == -1


# -- steps


def steps_of(content: bytes, tables: np.ndarray, count: int):
    """Return (exponent, start, base, unit) and the tokens."""
    data = np.frombuffer(content + b"\xff" * 8, np.uint8)
    descriptor = np.zeros(DESCRIPTOR_FIELDS, np.int64)
    descriptor[[COUNT, VALUES_END]] = count, len(content)
    whole, told = np.full(count + 2 * GUARD, 77, np.uint8), np.empty(4, np.int64)
    fill_steps(data, descriptor, tables, whole[GUARD:-GUARD], told)
    assert np.all(whole[:GUARD] == 77)
    assert np.all(whole[-GUARD:] == 77)
    return told.tolist(), whole[GUARD:-GUARD].astype(np.int64)


def mantissas_of(steps: list[int], tokens: np.ndarray) -> np.ndarray:
    _, start, base, unit = steps
    return start + np.cumsum(base + unit * tokens)


def values_of(blocks: Blocks, block: int) -> bytes:
    return blocks.payload(block, 1)


@examples(100)
@given(
    st.integers(0, 2**32),
    st.integers(0, 12),
    st.sampled_from([1, 2, 1000]),
    st.integers(-(10**9), 10**9),
    st.integers(0, 40) | st.just(10**5),
)
@example(5, 3, 1, 10**6, 0)
def test_steps_are_those_of_the_mantissas(seed, places, unit, start, least_step):
    size = 300
    rng = np.random.default_rng(seed)
    mantissas = start + np.cumsum(least_step + unit * rng.poisson(20, size))
    blocks = encode(np.arange(size), mantissas / 10.0**places)
    content = values_of(blocks, 0)
    steps, tokens = steps_of(content, blocks.tables, size)
    if content[3] != PREFIX | CARRY_FLAG:  # an entropy code is shorter
        assert steps == [-1, 0, 0, 0]
        return
    assert 0 <= steps[0] <= places
    found = mantissas_of(steps, tokens)
    assert np.array_equal(found * 10 ** (places - steps[0]), mantissas)
    assert np.array_equal(found / 10.0 ** steps[0], blocks.decode()[3])


def poisson(size: int = 300) -> np.ndarray:
    return np.cumsum(np.random.default_rng(5).poisson(6, size)).astype(np.float64)


def with_one(values: np.ndarray, at: int, value: float) -> np.ndarray:
    values[at:] = values[at:] + value if np.isfinite(value) else values[at:]
    values[at] = values[at] if np.isfinite(value) else value
    return values


def skewed() -> np.ndarray:
    rng = np.random.default_rng(6)
    return np.cumsum(np.where(rng.random(900) < 0.85, 1, rng.integers(0, 99, 900))).astype(np.float64)


# What each column of values begins with, as far as it is told by that.
OTHERS = {
    "odd values": (with_one(poisson(), 7, np.nan), [1, 0, 1]),
    "-0.0": (np.concatenate([[-0.0], poisson()]), [1, 0, 1]),
    "escapes": (with_one(poisson(), 7, 1000), [1, 0, 0, PREFIX | CARRY_FLAG]),
    "split": (np.random.default_rng(7).normal(20, 1e-3, 300), [2]),
    "entropy": (skewed(), [1, 0, 0, ENTROPY | CARRY_FLAG]),
    "linear": (np.arange(300) * 1.0, [1, 0, 0, LINEAR | CARRY_FLAG]),
    "constant": (np.full(300, 4.5), [1, 1, 0]),
    "no carry": (np.random.default_rng(8).integers(-50, 50, 600) * 1.0, [1, 0, 0, PREFIX]),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_values_have_no_steps(kind):
    values, head = OTHERS[kind]
    blocks = encode(np.arange(values.size), values)
    content = values_of(blocks, 0)
    assert list(content[: len(head)]) == head
    assert steps_of(content, blocks.tables, values.size)[0] == [-1, 0, 0, 0]


def test_plain_doubles_have_no_steps():
    for double in (1.0, 1e-300, 20.25):
        content = bytes([3]) + np.full(30, double).tobytes()
        assert steps_of(content, NO_TABLES, 30)[0] == [-1, 0, 0, 0]


def prefixed(residuals: list[int], exponent: int = 2) -> tuple[bytes, np.ndarray]:
    """A column of values and its tables."""
    model = model_of(token_counts(residuals))
    return bytes([1, exponent, 0]) + payload(residuals, [model], 0, (True, 1000, 7, 3)), tables_of(model)


def test_a_column_that_is_cut_short_has_no_steps():
    residuals = np.random.default_rng(3).poisson(6, 50).tolist()
    content, tables = prefixed(residuals)
    for cut in range(len(content)):
        assert steps_of(content[:cut], tables, 50)[0] == [-1, 0, 0, 0]
    steps, tokens = steps_of(content, tables, 50)
    assert steps == [2, 1000, 7 - 3 * 64, 3]
    assert np.array_equal(tokens - 64, residuals)


@pytest.mark.parametrize("odd_count", [1, 2, 127, 128, 255])
def test_odd_values_have_no_steps_whatever_follows(odd_count):
    content, tables = prefixed([1, 2, 3, 4, 5, 5, 5])
    assert steps_of(content[:2] + bytes([odd_count]) + content[3:], tables, 7)[0] == [-1, 0, 0, 0]


@pytest.mark.parametrize("size", [*range(1, 20), 61, 64, BLOCK_SIZE_MAX])
def test_blocks_of_any_size_have_steps(size):
    residuals = np.random.default_rng(size).poisson(9, size)
    content, tables = prefixed(residuals.tolist())
    steps, tokens = steps_of(content, tables, size)
    assert np.array_equal(mantissas_of(steps, tokens), 1000 + np.cumsum(7 + 3 * residuals))


@pytest.mark.parametrize("exponent", [0, 15, 16, 17, 255])
def test_an_exponent_above_fifteen_has_no_steps(exponent):
    content, tables = prefixed([1, 2, 3, 4, 5, 5, 5], exponent)
    assert steps_of(content, tables, 7)[0][0] == (exponent if exponent <= 15 else -1)


def test_a_column_whose_model_is_missing_or_no_prefix_code_has_no_steps():
    content, tables = prefixed([1, 2, 3, 4, 5, 5, 5])
    assert steps_of(content, tables, 7)[0][0] == 2
    assert steps_of(content, tables[:-1], 7)[0][0] == -1
    assert steps_of(content, NO_TABLES, 7)[0][0] == -1
    entropy = counts_from({64: 1024, 65: 1000, 66: 24}).astype(np.uint16)
    assert steps_of(content, tables_of(entropy), 7)[0][0] == -1


def test_escapes_have_no_steps_wherever_they_are():
    for at in range(9):
        residuals = [1, 2, 3, 1, 2, 3, 1, 2, 3]
        residuals[at] = 191
        content, tables = prefixed(residuals)
        assert steps_of(content, tables, 9)[0][0] == -1


@examples(200)
@given(st.data(), st.sampled_from([1, 5, 16, 70]))
def test_rotten_columns_never_raise(data, size):
    content, tables = prefixed(np.random.default_rng(size).poisson(6, size).tolist())
    at = data.draw(st.integers(0, len(content)))
    rotten = content[:at] + data.draw(st.binary(max_size=12)) + content[at + data.draw(st.integers(0, 3)) :]
    assert -1 <= steps_of(rotten, tables, size)[0][0] <= 15


# -- tokens


def sums_from(tokens: np.ndarray, first: int, count: int) -> list[int]:
    """As the kernel gives them; what stands behind all tokens is no part of them."""
    told = np.empty(2, np.int64)
    sums(np.concatenate([tokens, np.full(TOKENS_SLACK, 255, np.uint8)]), first, count, told)
    return told.tolist()


def naive_sums(tokens: np.ndarray, first: int, count: int) -> list[int]:
    up_to_each = np.cumsum(tokens[first : first + count].astype(object))
    return [up_to_each[-1], up_to_each.sum()]


@pytest.mark.parametrize("law", ["random", "least", "greatest"])
def test_tokens_are_summed_up_from_any_one_on(law):
    rng = np.random.default_rng(2)
    low, high = {"random": (0, 256), "least": (0, 2), "greatest": (255, 256)}[law]
    tokens = rng.integers(low, high, 60).astype(np.uint8)
    for count in range(1, 41):
        for first in range(0, 61 - count, 3 if IS_PYTHON else 1):
            assert sums_from(tokens, first, count) == naive_sums(tokens, first, count)


@pytest.mark.parametrize("count", [41, 255, 256, 257, 300, 1000, 4095, 4096, 8191, 8192])
def test_many_tokens_do_not_overflow(count):
    tokens = np.full(count + 3, 255, np.uint8)
    for first in range(4):
        assert sums_from(tokens, first, count) == [255 * count, 255 * count * (count + 1) // 2]
    random = np.random.default_rng(count).integers(0, 256, count + 3).astype(np.uint8)
    assert sums_from(random, 3, count) == naive_sums(random, 3, count)


@examples(100)
@given(st.binary(min_size=1, max_size=60), st.data())
def test_sums_and_the_least_are_those_of_plain_python(content, data):
    tokens = np.frombuffer(content, np.uint8)
    first = data.draw(st.integers(0, tokens.size - 1))
    count = data.draw(st.integers(1, tokens.size - first))
    assert sums_from(tokens, first, count) == naive_sums(tokens, first, count)
    assert least(tokens[first : first + count].copy()) == min(content[first : first + count])


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 500])
@pytest.mark.parametrize("lowest", [0, 1, 127, 128, 254, 255])
def test_the_least_token_is_found_at_any_place(size, lowest):
    for at in {0, size // 2, size - 1}:
        tokens = np.full(size, 255, np.uint8)
        tokens[at] = lowest
        assert least(tokens) == lowest


def test_the_last_time_is_that_of_the_last_reading():
    assert last(np.array([0, 100]), 10, 1) == 100
    assert last(np.array([0, 100]), 10, 5) == 140
    assert last(np.array([0, 100, 3, 500]), 10, 5) == 510
    assert last(np.array([0, INT64_MIN, 3, INT64_MAX - 9]), 9, 5) == INT64_MAX
