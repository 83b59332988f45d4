"""Blocks of readings: lossless to the bit; hostile bytes give a status or wrong values, no more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import (
    BLOCK_SIZE_MAX,
    INT64_MAX,
    INT64_MIN,
    IS_PYTHON,
    assert_round_trip,
    code_columns,
    double_of,
    doubles,
    doubles_as_bits,
    encode,
    examples,
    increasing_times,
    sizes,
)

from smartdata_ts._storage import codec
from smartdata_ts.kernels.codec.blocks import (
    COUNT,
    DESCRIPTOR_FIELDS,
    QUALITIES_END,
    TIMES_END,
    TIMES_OFFSET,
    VALUES_END,
    VALUES_OFFSET,
    EncodedBlocks,
    read_integer_blocks,
    summarize_values,
)
from smartdata_ts.kernels.codec.models import TABLE_SIZE

HOUR = 3_600_000_000


@examples(250)
@given(st.data(), sizes)
def test_a_block_comes_back_bit_for_bit(data, size):
    assert_round_trip(
        data.draw(increasing_times(size)), data.draw(doubles(size)), data.draw(code_columns(size))
    )


@examples(60)
@given(st.data(), st.lists(sizes, min_size=1, max_size=6))
def test_many_blocks_share_models_and_come_back_bit_for_bit(data, block_sizes):
    starts = np.concatenate([[0], np.cumsum(block_sizes)])
    times = np.concatenate([data.draw(increasing_times(size)) for size in block_sizes])
    values = np.concatenate([data.draw(doubles(size)) for size in block_sizes])
    qualities = np.concatenate([data.draw(code_columns(size)) for size in block_sizes])
    assert_round_trip(times, values, qualities, starts)


@examples(150)
@given(st.lists(doubles_as_bits, min_size=1, max_size=40))
def test_any_mixture_of_doubles_comes_back_bit_for_bit(bits):
    values = np.array(bits, np.uint64).view(np.float64)
    assert_round_trip(np.arange(values.size), values)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, BLOCK_SIZE_MAX - 1, BLOCK_SIZE_MAX])
def test_every_size_of_block_comes_back(size):
    rng = np.random.default_rng(size)
    times = np.cumsum(rng.integers(1, 10**7, size))
    assert_round_trip(times, np.cumsum(rng.poisson(2, size)) / 1000, rng.integers(0, 3, size))


@pytest.mark.parametrize("places", range(16))
def test_decimals_of_up_to_fifteen_places_cost_no_more_than_their_integers(places):
    rng = np.random.default_rng(places)
    mantissas = rng.integers(-100, 100, BLOCK_SIZE_MAX)
    blocks = assert_round_trip(np.arange(BLOCK_SIZE_MAX), mantissas / 10.0**places)
    assert len(blocks.payload(0, 1)) <= 1.1 * BLOCK_SIZE_MAX


def test_the_whole_range_of_times_fits_one_block():
    assert_round_trip([INT64_MIN, -1, 0, 1, INT64_MAX], np.zeros(5))
    assert_round_trip([INT64_MIN, INT64_MAX], np.zeros(2))
    assert_round_trip([INT64_MIN], np.zeros(1))


def test_a_regular_meter_costs_no_bytes_a_reading():
    blocks = assert_round_trip(np.arange(BLOCK_SIZE_MAX) * HOUR, np.full(BLOCK_SIZE_MAX, 1.5))
    assert [len(blocks.payload(0, column)) for column in range(3)] == [13, 8, 0]


def test_one_huge_gap_costs_a_few_bytes():
    times = np.arange(BLOCK_SIZE_MAX) * HOUR
    times[100:] += 2**50
    assert len(assert_round_trip(times, np.zeros(times.size)).payload(0, 0)) < 40


def test_decimals_of_fifteen_digits_at_random_cost_less_than_doubles():
    rng = np.random.default_rng(1)
    values = rng.integers(-(2**49), 2**49, BLOCK_SIZE_MAX) / 100
    assert len(assert_round_trip(np.arange(values.size), values).payload(0, 1)) < 7 * values.size


def test_all_nans_and_all_infinities_are_blocks_too():
    for bits in (0x7FF0000000000001, 0x7FF8000000000000, 0x7FF0000000000000, 0x8000000000000000):
        assert_round_trip(np.arange(10), np.full(10, double_of(bits)))


@examples(60)
@given(st.data(), sizes)
def test_a_span_keeps_the_readings_within_its_bounds_both_included(data, size):
    times = data.draw(increasing_times(size))
    bounds = st.one_of(st.sampled_from([INT64_MIN, INT64_MAX, *times[:3].tolist(), *times[-3:].tolist()]))
    low, high = data.draw(bounds), data.draw(bounds)
    kept, slots, decoded, values, _ = encode(times, np.arange(size)).decode(low, high)
    wanted = (times >= low) & (times <= high)
    assert kept == wanted.sum()
    assert np.array_equal(decoded, times[wanted])
    assert np.array_equal(values, np.arange(size)[wanted])
    assert not slots.any()


@examples(60)
@given(st.data(), st.lists(st.integers(1, 12), min_size=1, max_size=5))
def test_summaries_are_the_least_the_greatest_and_the_sum_without_nans(data, block_sizes):
    starts = np.concatenate([[0], np.cumsum(block_sizes)])
    element = st.one_of(st.just(np.nan), st.floats(-1e9, 1e9))
    values = np.array([data.draw(element) for _ in range(starts[-1])])
    summaries = np.empty(3 * len(block_sizes))
    summarize_values(values, starts, summaries)
    for block in range(len(block_sizes)):
        part = values[starts[block] : starts[block + 1]]
        part = part[part == part].tolist()
        expected = [min(part), max(part), sum(part)] if part else [np.nan, np.nan, 0.0]
        assert summaries[3 * block : 3 * block + 3] == pytest.approx(expected, nan_ok=True, rel=1e-12)


# -- hostile bytes


def sample_blocks():
    """Blocks that take every codec and form between them."""
    rng = np.random.default_rng(7)
    size = 24
    regular = np.arange(size) * HOUR
    gaps = regular + np.repeat([0, HOUR, 5 * HOUR], 8)
    jitter = np.cumsum(rng.integers(1, 200, size))
    wild = np.sort(rng.integers(INT64_MIN, INT64_MAX, size))
    register = np.cumsum(rng.poisson(90, size)) / 1000
    odd = register.copy()
    odd[[3, 4, 20]] = np.nan, -0.0, np.inf
    single = rng.normal(20, 5, size).astype(np.float32).astype(np.float64)
    plain = rng.integers(0, 2**64, size, np.uint64).view(np.float64)
    columns = [(regular, register), (gaps, odd), (jitter, single), (wild, plain)]
    qualities = [np.zeros(size), np.repeat([1, 2], 12), rng.integers(0, 9, size), np.full(size, 7)]
    for (times, values), codes in zip(columns, qualities, strict=True):
        yield times, values, codes.astype(np.uint8)


def assert_survives(blocks) -> None:
    """A status, or as many readings as the block has, in order; an exception is a failure."""
    kept, _, times, values, qualities = blocks.decode()
    assert kept in (-1, blocks.reading_count)
    assert times.size == values.size == qualities.size == max(kept, 0)
    assert np.all(times[1:] > times[:-1])


@pytest.mark.parametrize("case", range(4))
def test_every_flipped_bit_is_a_status_or_wrong_values(case):
    blocks = encode(*list(sample_blocks())[case])
    for at in range(blocks.data.size):
        for bit in range(at % 4, 8, 4) if IS_PYTHON else range(8):
            blocks.data[at] ^= 1 << bit
            assert_survives(blocks)
            blocks.data[at] ^= 1 << bit
    assert blocks.decode()[0] == blocks.reading_count


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize("end", [TIMES_END, VALUES_END])
def test_a_payload_cut_short_anywhere_is_malformed(case, end):
    blocks = encode(*list(sample_blocks())[case])
    whole = int(blocks.descriptors[end])
    for cut in range(int(blocks.descriptors[end - 1]), whole):
        blocks.descriptors[end] = cut
        assert blocks.decode()[0] == -1, (cut, whole)


@pytest.mark.parametrize("case", [1, 2, 3])
def test_qualities_cut_short_are_malformed_but_for_none_at_all(case):
    blocks = encode(*list(sample_blocks())[case])
    for cut in range(int(blocks.descriptors[QUALITIES_END - 1]) + 1, int(blocks.descriptors[QUALITIES_END])):
        blocks.descriptors[QUALITIES_END] = cut
        assert blocks.decode()[0] == -1


@pytest.mark.parametrize("field", range(COUNT, DESCRIPTOR_FIELDS))
@pytest.mark.parametrize("hostile", [INT64_MIN, -9, -1, 0, 1, 10**6, 2**31, INT64_MAX - 7, INT64_MAX])
def test_descriptors_that_point_outside_are_malformed_or_read_other_bytes(field, hostile):
    blocks = encode(*next(sample_blocks()))
    blocks.descriptors[field] = hostile
    kept = blocks.decode()[0]
    assert kept in (-1, blocks.reading_count, blocks.descriptors[COUNT])


@examples(400)
@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=20), st.integers(1, 20))
def test_random_bytes_are_a_status_or_wrong_values(times, values, qualities, count):
    blocks = encode(*list(sample_blocks())[2])
    blocks.reading_count = count
    # Heads that lead somewhere, so that not all fail at their first byte.
    times = bytes([len(times) % 3 + 16]) + times
    values = bytes([len(values) % 3 + 1]) + values
    parts = [np.frombuffer(part, np.uint8) for part in (times, values, qualities)]
    blocks.data = np.concatenate([*parts, np.zeros(codec.SLACK_SIZE, np.uint8)])
    stops = np.cumsum([0, *(part.size for part in parts)])
    blocks.descriptors[COUNT] = count
    blocks.descriptors[TIMES_OFFSET : QUALITIES_END + 1] = np.repeat(stops, 2)[1:-1]
    assert_survives(blocks)


@pytest.mark.parametrize("model_count", [0, 1])
def test_a_model_that_the_chunk_lacks_is_malformed(model_count):
    times, values, codes = list(sample_blocks())[2]
    blocks = encode(times, values, codes)
    assert blocks.model_count >= 1
    blocks.tables = blocks.tables[: model_count * TABLE_SIZE]
    for head in (1, 17, 3, 19):
        blocks.data[0] = head
        blocks.data[1:4] = 0
        blocks.data[4] = model_count
        assert blocks.decode()[0] == -1


@examples(100)
@given(st.lists(st.lists(st.integers(INT64_MIN, INT64_MAX) | st.integers(1, 3), min_size=2, max_size=50)))
def test_commits_in_any_order_come_back_and_cut_short_are_malformed(blocks):
    starts = np.concatenate([[0], np.cumsum([len(block) for block in blocks])]).astype(np.int64)
    commits = np.array([commit for block in blocks for commit in block], np.int64)
    times = np.arange(commits.size)
    if not blocks:
        return
    encoded = codec.encode_blocks(times, times * 1.0, np.zeros(times.size, np.uint8), starts, commits)
    tables = codec.decode_tables(encoded.models, encoded.model_count)
    ends = np.cumsum(encoded.commits.sizes)
    data = np.concatenate([encoded.commits.data, np.zeros(8, np.uint8)])
    for k, block in enumerate(blocks):
        if len(set(block)) == 1:
            assert encoded.commits.sizes[k] == 0
            continue
        fields = np.zeros(DESCRIPTOR_FIELDS, np.int64)
        fields[COUNT] = len(block)
        fields[TIMES_OFFSET], fields[TIMES_END] = ends[k] - encoded.commits.sizes[k], ends[k]
        found = np.empty(len(block), np.int64)
        assert read_integer_blocks(EncodedBlocks(data, fields, tables), found) == len(block)
        assert found.tolist() == block
        fields[TIMES_END] -= 1
        assert read_integer_blocks(EncodedBlocks(data, fields, tables), found) == -1
        fields[TIMES_END] += 1
        fields[COUNT] = len(block) + 1
        assert read_integer_blocks(EncodedBlocks(data, fields, tables), found) == -1


def test_times_that_do_not_increase_are_malformed():
    for times in ([5, 5], [5, 4], [1, 2, 3, 3], [INT64_MAX, INT64_MIN]):
        assert encode(times, np.zeros(len(times))).decode()[0] == -1


def test_values_need_no_more_room_than_was_lent():
    rng = np.random.default_rng(3)
    size = BLOCK_SIZE_MAX
    values = rng.integers(-(2**52), 2**52, size) / 10
    values.view(np.uint64)[::8] = rng.integers(0, 2**64, values[::8].size, np.uint64)
    assert_round_trip(np.arange(size), values, rng.integers(0, 256, size))


def test_the_offset_of_values_is_checked_as_that_of_times_is():
    blocks = encode(*next(sample_blocks()))
    for offset in (-1, int(blocks.data.size), INT64_MAX):
        blocks.descriptors[VALUES_OFFSET] = offset
        assert blocks.decode()[0] == -1


@pytest.mark.skipif(IS_PYTHON, reason="a million readings take minutes in plain Python")
def test_a_chunk_of_many_series_is_split_modelled_and_read_back():
    rng = np.random.default_rng(5)
    series_sizes = rng.integers(1, 20_000, 40)
    starts = codec.split_blocks(np.concatenate([[0], np.cumsum(series_sizes)]))
    assert np.diff(starts).min() >= 1
    assert np.diff(starts).max() <= codec.BLOCK_READINGS_MAX
    assert set(np.cumsum(series_sizes)) <= set(starts.tolist())
    times = np.concatenate([np.cumsum(rng.integers(1, 10**6, size)) for size in series_sizes])
    values = np.concatenate([np.cumsum(rng.poisson(k / 4, n)) / 1000 for k, n in enumerate(series_sizes)])
    blocks = assert_round_trip(times, values, None, starts)
    assert blocks.model_count > 1
