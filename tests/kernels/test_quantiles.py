"""Quantiles and histograms of buckets against NumPy's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartdata_ts.kernels.buckets.quantiles import bucket_histograms, bucket_quantiles

numbers = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6), st.just(math.nan))
buckets = st.lists(st.lists(numbers, max_size=50), max_size=5)


def bounds_of(many: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    bounds = np.cumsum([0, *map(len, many)]).astype(np.int64)
    return bounds, np.array([value for one in many for value in one], np.float64)


@given(many=buckets, probabilities=st.lists(st.floats(0, 1), max_size=3))
def test_quantiles_are_those_of_numpy(many: list[list[float]], probabilities: list[float]) -> None:
    bounds, values = bounds_of(many)
    wanted = np.array(probabilities, np.float64)
    results = np.empty(len(many) * wanted.size)
    assert bucket_quantiles(bounds, values, wanted, np.empty(values.size), results) == len(many)
    expected: list[float] = []
    for one in many:
        known = [value for value in one if not math.isnan(value)]
        expected += np.quantile(known, wanted).tolist() if known else [math.nan] * wanted.size
    assert results.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-9, nan_ok=True)


@given(many=buckets, edges=st.lists(st.integers(-3, 3).map(float), unique=True).map(sorted))
def test_a_histogram_counts_every_value_once(many: list[list[float]], edges: list[float]) -> None:
    bounds, values = bounds_of(many)
    counts = np.full(len(many) * (len(edges) + 1), -1)
    assert bucket_histograms(bounds, values, np.array(edges, np.float64), counts) == len(many)
    for b, one in enumerate(many):
        got = counts[b * (len(edges) + 1) : (b + 1) * (len(edges) + 1)].tolist()
        lows, highs = [-math.inf, *edges], [*edges, math.inf]
        spans = zip(lows, highs, strict=True)
        assert got == [sum(low <= value < high for value in one) for low, high in spans]


def test_long_buckets_are_sorted_too() -> None:
    values = np.random.default_rng(3).normal(size=5_000)
    results = np.empty(1)
    bounds = np.array([0, values.size])
    assert bucket_quantiles(bounds, values, np.array([0.95]), np.empty(values.size), results) == 1
    assert results[0] == pytest.approx(np.quantile(values, 0.95), rel=1e-12)


def test_infinite_and_huge_values_have_quantiles() -> None:
    values = np.array([math.inf, -1e308, 1e308, math.inf])
    results = np.empty(2)
    bounds = np.array([0, 4])
    bucket_quantiles(bounds, values, np.array([1 / 6, 1.0]), np.empty(4), results)
    assert results[0] == pytest.approx(0.0, abs=1e294)
    assert results[1] == math.inf


@pytest.mark.parametrize("bounds", [[], [0, 4], [-1, 3], [2, 1, 3]])
def test_bounds_that_do_not_fit_are_refused(bounds: list[int]) -> None:
    bound, values = np.array(bounds, np.int64), np.zeros(3)
    assert bucket_quantiles(bound, values, np.array([0.5]), np.empty(9), np.empty(9)) == -1
    assert bucket_histograms(bound, values, np.array([0.5]), np.empty(9, np.int64)) == -1


def test_arguments_that_do_not_fit_are_refused() -> None:
    bounds, values = np.array([0, 3]), np.zeros(3)
    for probability in (-0.1, 1.1, math.nan):
        assert bucket_quantiles(bounds, values, np.array([probability]), np.empty(3), np.empty(1)) == -1
    assert bucket_quantiles(bounds, values, np.array([0.5]), np.empty(2), np.empty(1)) == -1
    assert bucket_quantiles(bounds, values, np.array([0.5]), np.empty(3), np.empty(0)) == -1
    for edges in ([1.0, 1.0], [1.0, 0.0], [0.0, math.nan]):
        assert bucket_histograms(bounds, values, np.array(edges), np.empty(3, np.int64)) == -1
    assert bucket_histograms(bounds, values, np.array([0.5]), np.empty(1, np.int64)) == -1
