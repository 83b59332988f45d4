"""The airlock to the block kernels: blocks are cut evenly, models refused; real data costs what it should."""

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import IS_PYTHON, assert_round_trip, encode, examples
from support.places import SHARED_DATA

from smartdata_ts._storage.codec import (
    BLOCK_READINGS_MAX,
    Scratch,
    decode_tables,
    encode_blocks,
    split_blocks,
)
from smartdata_ts.errors import CorruptChunkError
from smartdata_ts.kernels.codec.models import TABLE_SIZE

ALP_FLOATS = SHARED_DATA / "alp_floats"
needs_alp_floats = pytest.mark.skipif(not ALP_FLOATS.is_dir(), reason="the ALP paper's columns are not here")


@examples(200)
@given(st.lists(st.integers(0, 5 * BLOCK_READINGS_MAX), min_size=1, max_size=20))
def test_series_are_cut_into_few_blocks_of_like_size(sizes):
    series_starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    starts = split_blocks(series_starts)
    assert starts.dtype == np.int64
    assert set(series_starts.tolist()) <= set(starts.tolist())
    lengths = np.diff(starts)
    assert lengths.size == sum(-(-size // BLOCK_READINGS_MAX) for size in sizes)
    assert lengths.max(initial=0) <= BLOCK_READINGS_MAX
    for first, end in pairwise(series_starts):
        own = lengths[(starts[:-1] >= first) & (starts[:-1] < end)]
        assert own.size == 0 or own.max() - own.min() <= 1


def test_what_is_no_model_is_refused():
    models = encode(np.cumsum(np.random.default_rng(1).integers(1, 99, 200)), np.zeros(200))
    assert decode_tables(models.models, models.model_count).size == TABLE_SIZE * models.model_count
    for content, count in [
        (models.models, models.model_count + 1),
        (models.models, 0),
        (models.models[:-1], models.model_count),
        (models.models + b"\0", models.model_count),
        (b"", 1),
    ]:
        with pytest.raises(CorruptChunkError):
            decode_tables(content, count)
    assert decode_tables(b"", 0).size == 0


def test_the_same_readings_are_the_same_bytes():
    rng = np.random.default_rng(2)
    times, values = np.cumsum(rng.integers(1, 99, 999)), rng.integers(0, 99, 999) / 10
    first, second = encode(times, values), encode(times, values)
    assert np.array_equal(first.data, second.data)
    assert first.models == second.models


def test_scratch_that_has_been_used_gives_the_same_bytes():
    rng = np.random.default_rng(4)
    scratch = Scratch()
    for count in (5_000, 300, 1, 9_000, 8_999):
        times, values = np.cumsum(rng.integers(1, 999, count)), rng.integers(0, 99, count) / 10
        columns = (times, values, rng.integers(0, 3, count).astype(np.uint8))
        starts, commits = split_blocks(np.array([0, count])), np.sort(rng.integers(1, 9, count))
        fresh, again = (encode_blocks(*columns, starts, commits, kept) for kept in (None, scratch))
        assert fresh.models == again.models
        for name in ("times", "values", "qualities", "commits"):
            assert np.array_equal(getattr(fresh, name).data, getattr(again, name).data)
            assert np.array_equal(getattr(fresh, name).sizes, getattr(again, name).sizes)


def test_room_is_kept_by_name_and_grows():
    scratch = Scratch()
    first = scratch.room("a", 100, np.int64)
    assert np.shares_memory(first, scratch.room("a", 60, np.int64))
    assert np.shares_memory(first, scratch.room("a", 128, np.int64))
    assert not np.shares_memory(first, scratch.room("b", 100, np.int64))
    assert scratch.room("a", 1_000, np.int64).size == 1_000
    assert scratch.room("c", 0, np.int64).size == 0


def test_summaries_hold_the_extremes_of_every_block():
    values = np.array([3.0, 1.0, 2.0, np.nan, 5.0, 4.0])
    starts = np.array([0, 3, 6])
    encoded = encode_blocks(np.arange(6), values, np.zeros(6, np.uint8), starts)
    assert encoded.summaries.tolist() == [[1.0, 3.0, 6.0], [4.0, 5.0, 9.0]]


REAL_COLUMNS = sorted([*ALP_FLOATS.glob("1_rg_data_sample/*.bin.gz"), *ALP_FLOATS.glob("samples/*.csv")])


def read_column(path: Path) -> np.ndarray:
    if path.suffix == ".gz":
        return np.frombuffer(gzip.decompress(path.read_bytes()), "<f8").copy()
    return np.loadtxt(path, np.float64, ndmin=1)


@needs_alp_floats
@pytest.mark.parametrize("path", REAL_COLUMNS, ids=lambda path: path.name)
def test_real_columns_come_back_bit_for_bit(path):
    values = read_column(path)[: 300 if IS_PYTHON else None]
    assert_round_trip(np.arange(values.size), values)


@needs_alp_floats
@pytest.mark.skipif(IS_PYTHON, reason="a hundred thousand readings take minutes in plain Python")
def test_city_temperatures_cost_less_than_the_alp_paper_says():
    values = read_column(ALP_FLOATS / "1_rg_data_sample" / "city_temperature_f_tw.bin.gz")
    starts = split_blocks(np.array([0, values.size]))
    encoded = encode_blocks(np.arange(values.size), values, np.zeros(values.size, np.uint8), starts)
    assert 8 * encoded.values.sizes.sum() / values.size < 10.7
