"""Units: against exact fractions, and figures that anyone can look up."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smartdata_ts as sd
from smartdata_ts._meter.units import UNITS, common_unit, conversion
from smartdata_ts.errors import UnitError


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (1.0, "m3", "L", 1000.0),
        (445.0, "L", "m3", 0.445),
        (250.0, "mL", "L", 0.25),
        (1.0, "dm3", "L", 1.0),
        (1.0, "kWh", "MJ", 3.6),
        (1.0, "kW.h", "kWh", 1.0),
        (1.0, "GWh", "GJ", 3600.0),
        (1.0, "MWh", "kWh", 1000.0),
        (2500.0, "W", "kW", 2.5),
        (20.0, "Cel", "K", 293.15),
        (-40.0, "[degF]", "Cel", -40.0),
        (212.0, "[degF]", "Cel", 100.0),
        (50.0, "%", "1", 0.5),
        (1.5, "bar", "kPa", 150.0),
        (1013.25, "mbar", "Pa", 101325.0),
        (10.0, "m[H2O]", "bar", 0.980665),
        (1.0, "L/s", "m3/h", 3.6),
        (36.0, "L/h", "L/s", 0.01),
        (24.0, "m3/d", "m3/h", 1.0),
        (1.0, "[gal_us]", "L", 3.785411784),
        (1.0, "[cft_i]", "L", 28.316846592),
    ],
)
def test_known_figures(value, source, target, expected):
    assert sd.convert(value, source, target) == pytest.approx(expected, rel=1e-15)


@settings(deadline=None)
@given(st.sampled_from(sorted(UNITS)), st.data(), st.floats(-1e12, 1e12))
def test_any_two_units_of_a_dimension_are_as_exact_fractions_have_it(source, data, value):
    old = UNITS[source]
    target = data.draw(st.sampled_from([code for code in UNITS if UNITS[code].dimension == old.dimension]))
    new = UNITS[target]
    exact = (Fraction(value) * old.factor + old.offset - new.offset) / new.factor
    size = abs(float(Fraction(value) * old.factor / new.factor)) + abs(float(old.offset - new.offset))
    assert sd.convert(value, source, target) == pytest.approx(float(exact), rel=4e-16, abs=4e-16 * size)


def test_whole_factors_round_once():
    values = np.arange(1, 5000) / 7
    assert (sd.convert(values, "L", "m3") == values / 1000).all()
    assert (sd.convert(values, "m3", "L") == values * 1000).all()
    assert sd.convert([], "m3", "L").tolist() == []


def test_what_does_not_become_another_unit():
    with pytest.raises(UnitError, match="m3 is a unit of volume, kWh of energy"):
        sd.convert(1.0, "m3", "kWh")
    with pytest.raises(UnitError, match=r"'M3' is no unit.* did you mean m3"):
        sd.convert(1.0, "M3", "L")
    assert sd.convert(2.0, "furlong", "furlong") == 2.0
    assert conversion("Cel", "K").apply(np.array([3.0]), of_differences=True).tolist() == [3.0]


def test_the_common_unit():
    keys = ["a", "b", "c", "d"]
    water = ["water"] * 4
    assert common_unit([], [], []) is None
    assert common_unit(keys, [None] * 4, [None] * 4) is None
    assert common_unit(keys, ["furlong"] * 4, water) == "furlong"
    assert common_unit(keys, ["L", "m3", "m3", "L"], ["water", None, "water", "water"]) == "L"
    assert common_unit(keys, ["L", "m3", "m3", "m3"], water) == "m3"
    for units, quantities, message in (
        (["L", "m3", "kWh", "L"], water, "series 'c' is in kWh and 'a' in L"),
        (["L", "L", "furlong", "L"], water, "series 'c' is in furlong and 'a' in L"),
        (["L", "L", None, "L"], water, "series 'c' has no unit, and 'a' has L"),
        (["L"] * 4, ["water", "gas", None, "water"], r"water \('a'\), gas \('b'\)"),
    ):
        with pytest.raises(UnitError, match=message):
            common_unit(keys, units, quantities)
