"""The number kernel against Python's float(), bit for bit."""

import re
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smartdata_ts.formats._columns.number_column import NumberColumn
from smartdata_ts.kernels.text import status as text_status


def parse(texts: list[str], decimal: str = ".", thousands: str | None = None, encoding: str = "utf-8"):
    raw = [text.encode(encoding) for text in texts]
    stops = np.cumsum([0, *map(len, raw)])
    spans = np.column_stack([stops[:-1], stops[1:]]).astype(np.int32).ravel()
    buffer = np.frombuffer(b"".join(raw), np.uint8)
    values = np.zeros(len(raw))
    statuses = np.zeros(len(raw), np.uint8)
    NumberColumn(decimal, thousands, encoding).parse(buffer, spans, values, statuses)
    return values.tolist(), statuses.tolist()


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


digits = st.text("0123456789", max_size=25)
decimals = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}{whole}{fraction}{exponent}",
    st.sampled_from(["", "-", "+"]),
    st.text("0123456789", min_size=1, max_size=25),
    st.one_of(st.just(""), digits.map(lambda text: "." + text)),
    st.one_of(st.just(""), st.integers(-400, 400).map(lambda power: f"e{power}")),
)


@settings(deadline=None)
@given(st.lists(st.one_of(decimals, st.floats(allow_nan=False).map(repr)), min_size=1))
@example(["5e-324", "2.2250738585072011e-308", "1.7976931348623157e308", "1e308", "-0", "-0.0"])
@example(["9007199254740993", "9007199254740993.00000000000000001", "1e23", "8.5e22", "0e999"])
@example(["0.051015686789760366", "123456789012345678", "1234567890123456789", "0.1", "4.35"])
@example(["233860e-332", "4503599627370497.5", "4503599627370496.5", "22517998136852485e-1"])
@example([".5", "5.", "00012.5", "1E5", "1e+05", "1" * 400])
def test_numbers_are_rounded_as_python_does(texts):
    values, statuses = parse(texts)
    for text, value, status in zip(texts, values, statuses, strict=True):
        expected = float(text)
        if np.isinf(expected) and "inf" not in text:
            assert status == text_status.NUMBER_OUT_OF_RANGE
        else:
            assert status == text_status.OK
            assert bits(value) == bits(expected), text


@settings(deadline=None)
@given(st.text("0123456789.,eE+-naifNty /_x", max_size=12))
def test_what_python_cannot_read_is_no_number(text):
    text = text.strip()
    _, (status,) = parse([text])
    if text.lower() in ("", "nan", "na", "n/a", "-"):
        assert status == text_status.EMPTY_VALUE
        return
    grammar = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(?i:inf|infinity)"
    is_number = re.fullmatch(grammar, text) is not None
    assert (status in (text_status.OK, text_status.NUMBER_OUT_OF_RANGE)) == is_number


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "encoding", "expected"),
    [
        ("1234,5", ",", None, "utf-8", 1234.5),
        ("1 234 567,5", ",", " ", "utf-8", 1234567.5),
        ("1\xa0234,5", ",", " ", "utf-8", 1234.5),
        ("1\xa0234,5", ",", "\xa0", "cp1252", 1234.5),
        ("1\u202f234,5", ",", " ", "utf-8", 1234.5),
        ("1\u2009234,5", ",", " ", "utf-8", 1234.5),
        ("-1.234.567,25", ",", ".", "utf-8", -1234567.25),
        ("1,234.5", ".", ",", "utf-8", 1234.5),
        ("1'234.5", ".", "'", "utf-8", 1234.5),
        ("1\u2019234.5", ".", "'", "utf-8", 1234.5),
        ("1\u2019234.5", ".", "'", "cp1252", 1234.5),
        ("1234.5", ".", ",", "utf-8", 1234.5),
        ("123 456 789 012 345 678 901,5", ",", " ", "utf-8", 123456789012345678901.5),
        ("-inf", ".", None, "utf-8", -np.inf),
        ("+Infinity", ".", None, "utf-8", np.inf),
    ],
)
def test_marks_of_decimals_and_thousands(text, decimal, thousands, encoding, expected):
    (value,), (status,) = parse([text], decimal, thousands, encoding)
    assert (status, value) == (text_status.OK, expected)


@pytest.mark.parametrize(
    "text",
    ["1 23", "12 34", " 123", "1234 567", "1 234 56", "1  234", "1 234 ", "1 234567", "1,5 000", " "],
)
def test_thousands_stand_in_groups_of_three(text):
    _, (status,) = parse([text], ",", " ")
    assert status == text_status.UNREADABLE_NUMBER


@pytest.mark.parametrize("text", ["", "NaN", "nan", "NA", "n/a", "#N/A", "null", "NULL", "None", "-"])
def test_words_for_nothing_are_empty_values(text):
    assert parse([text])[1] == [text_status.EMPTY_VALUE]


@pytest.mark.parametrize(
    "text", ["1_000", "0x10", "1e", "1e+", "--1", "+-1", "1.2.3", "\x00", "1\x00", "\u0661"]
)
def test_what_float_or_an_eye_may_take_is_refused(text):
    assert parse([text])[1] == [text_status.UNREADABLE_NUMBER]


def test_spans_outside_the_buffer_are_refused():
    buffer, values = np.zeros(4, np.uint8), np.zeros(3)
    spans = np.array([-1, 2, 0, 5, 3, 2], np.int32)
    statuses = np.zeros(3, np.uint8)
    NumberColumn(".", None, "utf-8").parse(buffer, spans, values, statuses)
    assert set(statuses.tolist()) == {text_status.UNREADABLE_NUMBER}


@settings(deadline=None)
@given(st.integers(1, 10**18 - 1), st.integers(-345, 310))
def test_mantissas_and_powers_of_ten_over_the_whole_range(mantissa, exponent):
    text = f"{mantissa}e{exponent}"
    (value,), (status,) = parse([text])
    if np.isinf(float(text)):
        assert status == text_status.NUMBER_OUT_OF_RANGE
    else:
        assert (status, bits(value)) == (text_status.OK, bits(float(text)))


@settings(deadline=None)
@given(st.integers(1 << 52, (1 << 53) - 1), st.integers(0, 3), st.integers(-1, 1))
def test_ties_and_their_neighbours(mantissa, power, nudge):
    text = f"{(2 * mantissa + 1) * 5**power * 10 + nudge}e-{power + 1}"
    assert bits(parse([text])[0][0]) == bits(float(text))
