"""Rolling windows against sorted(), fsum() and pandas."""

import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import INT64_MAX, INT64_MIN

from smartdata_ts.kernels.arrays import Float64Array, Int64Array
from smartdata_ts.kernels.windows import rolling

Series = list[tuple[int, float]]

numbers = st.one_of(
    st.integers(-5, 5).map(float), st.just(math.nan), st.floats(-1e9, 1e9), st.sampled_from([1e300, -1e300])
)
series = st.dictionaries(st.one_of(st.integers(0, 40), st.sampled_from([INT64_MIN, INT64_MAX])), numbers).map(
    lambda rows: sorted(rows.items())
)
windows = st.tuples(st.integers(1, 12), st.one_of(st.just(0), st.integers(0, 12)), st.integers(1, 3))


def columns_of(many: list[Series]) -> tuple[Int64Array, Int64Array, Float64Array]:
    bounds = np.cumsum([0, *map(len, many)]).astype(np.int64)
    rows = [row for one in many for row in one]
    return bounds, np.array([t for t, _ in rows], np.int64), np.array([v for _, v in rows], np.float64)


def rolled(name: str, many: list[Series], window: tuple[int, int, int]) -> list[float]:
    bounds, times, values = columns_of(many)
    results = np.empty(times.size)
    three = rolling.Window(*window)
    if name in ("count", "sum", "mean"):
        how = {"count": rolling.COUNT, "sum": rolling.SUM, "mean": rolling.MEAN}[name]
        scratch = np.full(2 * times.size + rolling.SUMS_SCRATCH, math.nan)
        status = rolling.rolling_sums(bounds, times, values, three, how, scratch, results)
    elif name in ("min", "max"):
        how = rolling.MIN if name == "min" else rolling.MAX
        scratch = np.empty(2 * times.size)
        status = rolling.rolling_extremes(bounds, times, values, three, how, scratch, results)
    elif name == "std":
        status = rolling.rolling_deviations(bounds, times, values, three, np.empty(3 * times.size), results)
    else:
        slots = np.repeat(np.arange(len(many)), np.diff(bounds))
        order = np.lexsort((values, slots)).astype(np.int64)
        scratch = np.empty(2 * times.size + 1, np.int64)
        status = rolling.rolling_medians(bounds, times, values, three, order, scratch, results)
    assert status == times.size
    return list(results.tolist())


def naive(
    make: Callable[[list[float]], float], many: list[Series], window: tuple[int, int, int]
) -> list[float]:
    before, after, count_min = window
    results = []
    for one in many:
        for time, _ in one:
            inside = [v for t, v in one if time - before < t <= time + after and not math.isnan(v)]
            results.append(make(inside) if len(inside) >= count_min else math.nan)
    return results


NAIVE: dict[str, Callable[[list[float]], float]] = {
    "count": lambda v: float(len(v)),
    "min": min,
    "max": max,
    "median": lambda v: statistics.median([0.5 * x for x in v]) * 2,
}


@pytest.mark.parametrize("name", NAIVE)
@given(many=st.lists(series, max_size=3), window=windows)
def test_windows_agree_with_plain_python(name: str, many: list[Series], window: tuple[int, int, int]) -> None:
    expected = naive(NAIVE[name], many, window)
    assert rolled(name, many, window) == pytest.approx(expected, rel=1e-15, abs=0, nan_ok=True)


@given(many=st.lists(series, max_size=3), window=windows)
def test_sums_are_those_of_fsum(many: list[Series], window: tuple[int, int, int]) -> None:
    """Also where a value of 1e300 has come and gone, which a running sum never recovers from."""
    expected = naive(math.fsum, many, window)
    sizes = naive(lambda v: math.fsum(map(abs, v)), many, window)
    for got, exact, size in zip(rolled("sum", many, window), expected, sizes, strict=True):
        assert math.isnan(got) == math.isnan(exact)
        assert math.isnan(got) or abs(got - exact) <= math.ulp(exact) + 1e-30 * size
    means = naive(lambda v: math.fsum(v) / len(v), many, window)
    for got, exact, size in zip(rolled("mean", many, window), means, sizes, strict=True):
        assert math.isnan(got) or abs(got - exact) <= 2 * math.ulp(exact) + 1e-30 * size


@given(many=st.lists(series, max_size=3), window=windows)
def test_deviations_are_those_of_the_sample(many: list[Series], window: tuple[int, int, int]) -> None:
    many = [[(t, v) for t, v in one if not abs(v) > 1e9] for one in many]
    before, after, count_min = window
    expected = naive(statistics.stdev, many, (before, after, max(2, count_min)))
    sizes = naive(lambda v: max(map(abs, v)), many, (before, after, max(2, count_min)))
    for got, exact, size in zip(rolled("std", many, window), expected, sizes, strict=True):
        assert math.isnan(got) == math.isnan(exact)
        assert math.isnan(got) or abs(got - exact) <= 1e-12 * exact + 1e-13 * size + 1e-150


def test_a_day_of_hours_is_what_pandas_makes_of_it() -> None:
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(7)
    times = np.cumsum(random.choice([1_800, 3_600, 3_600, 90_000], 2_000)) * 1_000_000
    values = np.where(random.random(2_000) < 0.05, np.nan, random.normal(size=2_000))
    frame = pandas.Series(values, pandas.to_datetime(times, unit="us"))
    one = list(zip(times.tolist(), values.tolist(), strict=True))
    for name in ("sum", "mean", "min", "max", "std", "median"):
        expected = getattr(frame.rolling("24h", min_periods=3), name)().to_list()
        got = rolled(name, [one], (86_400_000_000, 0, 3))
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True), name


def summed(values: list[float]) -> tuple[float, float]:
    """A sum from the first to the last, and what rounding lost in it (Knuth)."""
    total = lost = 0.0
    for value in values:
        if value == value:
            before, total = total, total + value
            part = total - before
            lost += (before - (total - part)) + (value - part)
    return total, lost


def naive_sums(one: Series, window: tuple[int, int, int]) -> list[float]:
    """Every sum anew, in two parts: from last to first before `middle`, from first to last behind it."""
    before, after, count_min = window
    middle = 0
    results = []
    for time, _ in one:
        inside = [j for j, (t, _) in enumerate(one) if time - before < t <= time + after]
        if inside[0] >= middle:
            middle = inside[-1] + 1
        front, front_lost = summed([one[j][1] for j in reversed(inside) if j < middle])
        back, back_lost = summed([one[j][1] for j in inside if j >= middle])
        total, rounding = front + back, summed([front, back])[1]
        whole = total + (rounding + front_lost + back_lost)
        known = sum(not math.isnan(one[j][1]) for j in inside)
        results.append(math.nan if known < count_min else total if math.isnan(whole) else whole)
    return results


ODD = [[], [math.nan], [-0.0, math.nan], [math.inf, -math.inf, math.nan], [1e300, -1e300, 1.7e308]]


@pytest.mark.parametrize("seed", range(20))
def test_sums_are_the_same_to_the_bit(seed: int) -> None:
    """Of series longer than the rows that are put together at once, next to each other."""
    random = np.random.default_rng(seed)
    odd = ODD[seed % 5]
    many: list[Series] = []
    for count in (300, 0, 1, 260):
        times = np.cumsum(random.choice([[1, 1, 1, 2], [0, 1, 1, 40]][seed % 2], count))
        values = random.normal(size=count) * 10.0 ** random.integers(-3, 9, count)
        for row in np.flatnonzero(random.random(count) < 0.1) if odd else []:
            values[row] = random.choice(odd)
        many.append(list(zip(times.tolist(), values.tolist(), strict=True)))
    window = (int(random.choice([1, 3, 24, 290])), int(random.choice([0, 0, 7])), int(random.choice([1, 3])))
    expected = np.array([result for one in many for result in naive_sums(one, window)])
    got = np.array(rolled("sum", many, window))
    assert np.isnan(got).tolist() == np.isnan(expected).tolist()
    known = ~np.isnan(got)
    assert got[known].tobytes() == expected[known].tobytes()
    counts, means = np.array(rolled("count", many, window)), np.array(rolled("mean", many, window))
    assert means[known].tobytes() == (expected[known] / counts[known]).tobytes()
    assert np.isnan(means).tolist() == np.isnan(expected).tolist()


def test_infinities_stay_in_their_windows() -> None:
    one = [(0, math.inf), (1, 1.0), (2, -math.inf), (3, 2.0), (4, 3.0)]
    assert rolled("sum", [one], (2, 0, 1)) == pytest.approx([math.inf, math.inf, -math.inf, -math.inf, 5.0])
    assert rolled("sum", [one[:3]], (9, 0, 1))[2] != rolled("sum", [one[:3]], (9, 0, 1))[2]


@pytest.mark.parametrize("name", ["sum", "min", "std", "median"])
def test_what_cannot_be_a_window_is_refused(name: str) -> None:
    one = [(0, 1.0), (1, 2.0)]
    for window in [(0, 0, 1), (1, -1, 1), (1, 0, 0)]:
        with pytest.raises(AssertionError):
            rolled(name, [one], window)


def test_columns_that_do_not_fit_are_refused() -> None:
    times, values, window = np.arange(3), np.zeros(3), rolling.Window(1, 0, 1)
    scratch = np.empty(6 + rolling.SUMS_SCRATCH)
    for bounds in ([0, 4], [-1, 3], [2, 1, 3], []):
        bound = np.array(bounds, np.int64)
        assert rolling.rolling_sums(bound, times, values, window, 0, scratch, np.empty(3)) == -1
        assert rolling.differences(bound, times, values, 0, np.empty(3)) == -1
    bound = np.array([0, 3])
    assert rolling.rolling_sums(bound, times, values, window, 3, scratch, np.empty(3)) == -1
    assert rolling.rolling_sums(bound, times, values, window, 0, scratch[1:], np.empty(3)) == -1
    assert rolling.rolling_sums(bound, times, values, window, 0, scratch, np.empty(2)) == -1
    assert rolling.rolling_extremes(bound, times, values, window, 0, np.empty(5), np.empty(3)) == -1
    assert rolling.rolling_deviations(bound, times, values, window, np.empty(8), np.empty(3)) == -1
    for order in ([0, 1, 1], [0, 1, 3], [0, 1, -1]):
        ranks, results = np.empty(7, np.int64), np.empty(3)
        status = rolling.rolling_medians(bound, times, values, window, np.array(order), ranks, results)
        assert status == -1


@given(many=st.lists(series, max_size=3), per=st.sampled_from([0, 1, 3_600]))
def test_differences_skip_what_is_no_reading(many: list[Series], per: int) -> None:
    bounds, times, values = columns_of(many)
    results = np.empty(times.size)
    assert rolling.differences(bounds, times, values, per, results) == times.size
    expected = []
    for one in many:
        before: tuple[int, float] | None = None
        for time, value in one:
            if before is None or math.isnan(value):
                expected.append(math.nan)
            else:
                apart = value - before[1]
                expected.append(apart * per / (time - before[0]) if per else apart)
            before = before if math.isnan(value) else (time, value)
    assert results.tolist() == pytest.approx(expected, rel=1e-14, abs=0, nan_ok=True)
