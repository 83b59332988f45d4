"""Differences of decimals are the decimal ones; all others those of doubles."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.encoded_blocks import examples

from smartdata_ts.kernels.arrays import Float64Array, Int64Array
from smartdata_ts.kernels.compiler.jit import kernel
from smartdata_ts.kernels.numbers.differences import decimals_of, difference_beyond, difference_of

EXPONENTS = range(16)
MANTISSA_MAX = 2**49
# So large a modulus, in the last digit of both readings, adds to their difference without rounding.
MODULUS_MAX = 2**51


@kernel
def differences(olds: Float64Array, news: Float64Array, guesses: Int64Array, found: Float64Array) -> int:
    """What each pair differs by; its exponent takes the place of the guess."""
    for k in range(olds.size):
        found[k], guesses[k] = difference_of(olds[k], news[k], guesses[k])
    return olds.size


@kernel
def differences_beyond(
    olds: Float64Array, news: Float64Array, moduli: Float64Array, guesses: Int64Array, found: Float64Array
) -> int:
    for k in range(olds.size):
        found[k], guesses[k] = difference_beyond(olds[k], news[k], moduli[k], guesses[k])
    return olds.size


@kernel
def decimals(values: Float64Array, mantissas: Int64Array) -> int:
    return decimals_of(values, mantissas)


# -- what is documented, in plain Python


def mantissa_of(value: float, exponent: int) -> int | None:
    """The integer of few enough digits that is `value` at an exponent, where there is one."""
    if not math.isfinite(value):
        return None
    exact = Fraction(value) * 10**exponent
    for mantissa in (math.floor(exact), math.ceil(exact)):
        if abs(mantissa) < MANTISSA_MAX and mantissa / 10**exponent == value:
            return mantissa
    return None


def common_exponents(*values: float) -> list[int]:
    """Those at which all values are decimals."""
    return [e for e in EXPONENTS if all(mantissa_of(value, e) is not None for value in values)]


def naive_difference(old: float, new: float, modulus: int = 0) -> float:
    exponents = common_exponents(old, new)
    # The fewer digits there are, the larger a modulus may be.
    if not exponents or modulus * 10 ** exponents[0] > MODULUS_MAX:
        return new - old + modulus if modulus else new - old
    exponent = exponents[0]
    exact = mantissa_of(new, exponent) - mantissa_of(old, exponent) + modulus * 10**exponent
    return float(Fraction(exact, 10**exponent))


def is_same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def found_differences(old: float, new: float) -> tuple[list[float], list[int]]:
    """The difference with each guess, and the exponents that it was taken at."""
    count = len(EXPONENTS)
    guesses, found = np.arange(count), np.full(count, 77.0)
    assert differences(np.full(count, old), np.full(count, new), guesses, found) == count
    return found.tolist(), guesses.tolist()


def found_beyond(old: float, new: float, modulus: float) -> tuple[list[float], list[int]]:
    count = len(EXPONENTS)
    guesses, found = np.arange(count), np.full(count, 77.0)
    moduli = np.full(count, modulus)
    assert differences_beyond(np.full(count, old), np.full(count, new), moduli, guesses, found) == count
    return found.tolist(), guesses.tolist()


def assert_difference(old: float, new: float) -> None:
    found, exponents = found_differences(old, new)
    expected = naive_difference(old, new)
    for guess, (difference, exponent) in enumerate(zip(found, exponents, strict=True)):
        assert is_same(difference, expected), (guess, difference, expected)
        common = common_exponents(old, new)
        assert exponent in common if common else exponent == guess


# -- differences

digits = st.integers(-(10**7), 10**7) | st.integers(1 - MANTISSA_MAX, MANTISSA_MAX - 1)
decimal_doubles = st.builds(lambda mantissa, exponent: mantissa / 10**exponent, digits, st.integers(0, 15))
any_doubles = st.one_of(
    decimal_doubles,
    st.floats(),
    st.floats(-1e6, 1e6),
    st.integers(-(2**54), 2**54).map(float),
    st.sampled_from([-0.0, math.inf, -math.inf, math.nan, 5e-324, 1.0 / 3.0, float(MANTISSA_MAX), 2.0**53]),
)


@st.composite
def decimal_pairs(draw) -> tuple[float, float]:
    """Two decimals of like digits, mostly near each other."""
    exponent = draw(st.integers(0, 15))
    old = draw(digits)
    new = draw(st.one_of(digits, st.integers(old - 1000, old + 1000)))
    return old / 10**exponent, new / 10 ** min(exponent + draw(st.sampled_from([0, 0, 0, 1, 3])), 15)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1234.567, 1234.576, 0.009),
        (1234.576, 1234.567, -0.009),
        (0.1, 0.3, 0.2),
        (0.3, 0.1, -0.2),
        (4807.9125, 4807.925, 0.0125),
        (-0.7, 0.1, 0.8),
        (5.0, 5.0, 0.0),
        (0.0, -0.0, 0.0),
        (99_999_999.999, 100_000_000.001, 0.002),
        (562_949_953_421_311.0, -562_949_953_421_311.0, -1_125_899_906_842_622.0),
        (56_294_995_342_131.1, 56_294_995_342_131.0, -0.1),
        (1e-15, 3e-15, 2e-15),
    ],
)
def test_differences_of_decimals_are_decimal(old, new, expected):
    found, _ = found_differences(old, new)
    assert found == [expected] * len(EXPONENTS)


def test_what_is_no_decimal_differs_as_doubles_do():
    third, tall = 1 / 3, float(MANTISSA_MAX)
    for old, new in [(third, 0.1), (0.1, third), (tall, 0.1), (0.1, tall + 1), (0.1, 56_294_995_342_131.2)]:
        found, exponents = found_differences(old, new)
        assert found == [new - old] * len(EXPONENTS)
        assert exponents == list(EXPONENTS)


def test_what_is_not_finite_differs_as_doubles_do():
    for old, new in [
        (math.nan, 1.0),
        (1.0, math.nan),
        (math.inf, 0.1),
        (0.1, -math.inf),
        (math.inf, math.inf),
    ]:
        assert_difference(old, new)


@examples(500)
@given(decimal_pairs())
@example((0.1, 0.30000000000000004))
@example((0.5, 1e15))
def test_differences_are_those_of_fractions(pair):
    assert_difference(*pair)


@examples(500)
@given(any_doubles, any_doubles)
def test_differences_do_not_depend_on_the_guess(old, new):
    assert_difference(old, new)


# -- beyond a modulus


@pytest.mark.parametrize(
    ("old", "new", "modulus", "expected"),
    [
        (999.9, 0.2, 1000.0, 0.3),
        (99_999.987, 0.004, 100_000.0, 0.017),
        (9_999_999.999, 0.0, 10_000_000.0, 0.001),
        (95.0, 4.0, 100.0, 9.0),
    ],
)
def test_differences_beyond_a_modulus_are_decimal(old, new, modulus, expected):
    found, _ = found_beyond(old, new, modulus)
    assert found == [expected] * len(EXPONENTS)


@st.composite
def rollovers(draw) -> tuple[float, float, float]:
    """Readings in the last tenth of a register and in the first one, and its modulus."""
    exponent, width = draw(st.integers(0, 6)), draw(st.integers(1, 9))
    end = 10 ** (width + exponent)
    old, new = draw(st.integers(end - end // 10, end - 1)), draw(st.integers(0, end // 10 - 1))
    return old / 10**exponent, new / 10**exponent, 10.0**width


@examples(500)
@given(rollovers())
def test_differences_beyond_a_modulus_are_those_of_fractions(rollover):
    old, new, modulus = rollover
    found, exponents = found_beyond(old, new, modulus)
    assert found == [naive_difference(old, new, int(modulus))] * len(EXPONENTS)
    assert set(exponents) <= set(common_exponents(old, new) or EXPONENTS)


@examples(300)
@given(any_doubles, any_doubles, st.sampled_from([10.0, 1e6, 1e9]))
@example(0.0301, 3.5256, 100.0)
def test_any_readings_may_be_told_to_be_beyond_a_modulus(old, new, modulus):
    found, exponents = found_beyond(old, new, modulus)
    common = common_exponents(old, new)
    for guess, (difference, exponent) in enumerate(zip(found, exponents, strict=True)):
        if guess in common and modulus * 10**guess > MODULUS_MAX:
            # Readings far below the modulus, at more digits than they need, leave too few for it.
            assert (difference, exponent) == (new - old + modulus, guess)
        else:
            assert is_same(difference, naive_difference(old, new, int(modulus)))


# -- whole columns


def found_decimals(values) -> tuple[int, list[int]]:
    source = np.array(values, np.float64)
    mantissas = np.full(source.size + 2, 77, np.int64)
    exponent = decimals(source, mantissas[1:-1])
    assert mantissas[[0, -1]].tolist() == [77, 77]
    return exponent, mantissas[1:-1].tolist()


def assert_decimals(values) -> None:
    exponent, mantissas = found_decimals(values)
    exponents = common_exponents(*values)
    assert exponent == (exponents[0] if exponents else -1)
    if exponent >= 0:
        assert mantissas == [mantissa_of(value, exponent) for value in values]


@examples(300)
@given(st.lists(digits, min_size=1, max_size=40), st.integers(0, 15))
def test_decimals_are_told_with_their_mantissas(mantissas, exponent):
    assert_decimals([mantissa / 10**exponent for mantissa in mantissas])


@examples(300)
@given(st.lists(decimal_doubles, min_size=1, max_size=20))
def test_decimals_of_several_exponents_have_a_common_one_or_none(values):
    assert_decimals(values)


@examples(300)
@given(st.lists(st.integers(0, 10**6).map(lambda m: m / 1000), max_size=30), any_doubles, st.data())
def test_a_single_value_may_make_a_column_none_of_decimals(values, odd, data):
    at = data.draw(st.integers(0, len(values)))
    assert_decimals([*values[:at], odd, *values[at:]])


@pytest.mark.parametrize("at", [0, 3, 7, 8, 9, 29])
@pytest.mark.parametrize(
    "odd",
    [
        1 / 3,
        math.nan,
        math.inf,
        -math.inf,
        2.0**49,
        2.0**53,
        1e300,
        5e-324,
        0.123456,
        1e-15,
        562_949_953_421.311,
    ],
)
def test_a_value_is_seen_at_any_place(at, odd):
    values = [k / 10 for k in range(30)]
    values[at] = odd
    assert_decimals(values)


def test_a_column_of_nothing_is_one_of_decimals():
    assert found_decimals([]) == (0, [])
