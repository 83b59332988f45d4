"""Units, by their UCUM codes (case-sensitive; ucum.org), and how one becomes another of its dimension.

A value v of a unit is v * factor + offset of its dimension's base: m3, J, W, K, Pa, m3/s, s, m, kg, 1, V, A.
Factors are exact fractions. `kWh` and its like, which UCUM writes `kW.h`, are taken too. Other codes of UCUM
can be said of a series, and only become themselves; what is no code is understood or refused when it is said.
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from smartdata_ts.errors import DataError, UnitError
from smartdata_ts.kernels.arrays import Float64Array

from . import ucum

if TYPE_CHECKING:
    import pyarrow as pa

_HOUR = 3_600
_DAY = 24 * _HOUR
_FACTORS: dict[str, dict[str, Fraction | int | str]] = {
    "volume": {
        "m3": 1, "kL": 1, "ML": 1_000,
        "hL": "1/10", "L": "1/1000", "l": "1/1000", "dm3": "1/1000", "dL": "1/10000",
        "cL": "1/100000", "mL": "1/1000000", "ml": "1/1000000", "cm3": "1/1000000",
        "[gal_us]": "0.003785411784", "[gal_br]": "0.00454609", "[cft_i]": "0.028316846592",
    },
    "energy": {
        "J": 1, "kJ": 10**3, "MJ": 10**6, "GJ": 10**9, "TJ": 10**12,
        **{f"{prefix}{hours}": 10**power * _HOUR for hours in ("W.h", "Wh")
           for prefix, power in (("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12))},
    },
    "power": {"mW": "1/1000", "W": 1, "kW": 10**3, "MW": 10**6, "GW": 10**9},
    "temperature": {"K": 1, "Cel": 1, "[degF]": "5/9"},
    "pressure": {
        "Pa": 1, "hPa": 100, "kPa": 10**3, "MPa": 10**6, "mbar": 100, "bar": 10**5,
        "m[H2O]": "9806.65", "atm": 101_325,
    },
    "flow": {
        f"{volume}/{time}": Fraction(litres, 1_000 * seconds)
        for volume, litres in (("m3", 1_000), ("L", 1), ("l", 1))
        for time, seconds in (("s", 1), ("min", 60), ("h", _HOUR), ("d", _DAY))
    },
    "time": {"s": 1, "min": 60, "h": _HOUR, "d": _DAY},
    "length": {"m": 1, "km": 1_000, "dm": "1/10", "cm": "1/100", "mm": "1/1000"},
    "mass": {"kg": 1, "t": 1_000, "g": "1/1000", "mg": "1/1000000"},
    "ratio": {"1": 1, "%": "1/100", "[ppm]": "1/1000000"},
    "voltage": {"V": 1, "mV": "1/1000", "kV": 10**3},
    "current": {"A": 1, "mA": "1/1000", "kA": 10**3},
}  # fmt: skip
_OFFSETS = {"Cel": Fraction("273.15"), "[degF]": Fraction("459.67") * Fraction(5, 9)}


@dataclass(frozen=True)
class Unit:
    """A unit of the table."""

    code: str
    dimension: str
    factor: Fraction
    offset: Fraction = Fraction(0)


UNITS = {
    code: Unit(code, dimension, Fraction(factor), _OFFSETS.get(code, Fraction(0)))
    for dimension, factors in _FACTORS.items()
    for code, factor in factors.items()
}


@dataclass(frozen=True)
class Conversion:
    """A value becomes value * numerator / denominator + offset, rounded after each."""

    numerator: float = 1.0
    denominator: float = 1.0
    offset: float = 0.0

    def apply(self, values: Float64Array, of_differences: bool = False) -> Float64Array:
        """The values in the new unit; of differences between values, an offset has no part in them."""
        scaled = values * self.numerator / self.denominator
        return scaled if of_differences or not self.offset else scaled + self.offset


def conversion(source: str, target: str) -> Conversion:
    """How values of one unit become those of another; UnitError where they cannot."""
    if source == target:
        return Conversion()
    for code in (source, target):
        if code not in UNITS:
            near = difflib.get_close_matches(str(code), UNITS, n=3, cutoff=0.5)
            advice = f"; did you mean {' or '.join(near)}?" if near else "; docs/meters.md lists them"
            raise UnitError(f"{code!r} is no unit that can be converted{advice}")
    old, new = UNITS[source], UNITS[target]
    if old.dimension != new.dimension:
        raise UnitError(
            f"{source} is a unit of {old.dimension}, {target} of {new.dimension}: neither becomes the other"
        )
    ratio = old.factor / new.factor
    offset = (old.offset - new.offset) / new.factor
    return Conversion(float(ratio.numerator), float(ratio.denominator), float(offset))


_MEANT = {"C": ("Cel",), "F": ("[degF]",)}  # UCUM's own C and F are coulomb and farad


def checked_unit(where: str, text: str) -> str:
    """The UCUM code of what people write for a unit: "m³" is m3, "KWH" kWh, "Liter" L.

    Case is set right where that leaves no doubt: "mw" may be MW or mW. Raises DataError, which begins with
    `where` and names the nearest codes, for what is neither a code nor such a text.
    """
    if text in UNITS or ucum.is_code(text):
        return text
    plain = ucum.plain(text)
    if plain in UNITS or ucum.is_code(plain):
        return plain
    folded = [code for code in UNITS if code.casefold() == plain.casefold()]
    is_one = len({UNITS[code].factor for code in folded}) == 1
    # A prefix's case is its meaning: milli or mega.
    if len(plain) > 1 and is_one and (folded[0][0] == plain[0] or not ucum.is_milli_or_mega(folded[0])):
        return folded[0]
    codes = {code.casefold(): code for code in UNITS}
    near = difflib.get_close_matches(plain.casefold(), codes, n=3, cutoff=0.5)
    near_codes = list(dict.fromkeys([*_MEANT.get(plain, ()), *folded, *(codes[each] for each in near)]))[:3]
    advice = f"; did you mean {' or '.join(near_codes)}?" if near_codes else "; docs/meters.md lists them."
    raise DataError(
        f"{where}: {text!r} is no UCUM code of a unit{advice} What has no code stands in braces: '{{NTU}}'"
    )


@overload
def convert(values: float, source: str, target: str) -> float: ...
@overload
def convert(values: Sequence[float] | np.ndarray[Any, Any], source: str, target: str) -> Float64Array: ...


def convert(values: Any, source: str, target: str) -> Any:
    """Values of one unit in another of its dimension, by their UCUM codes: numbers, or arrays of them.

    Raises UnitError where a unit is not known or does not become the other.

    >>> import smartdata_ts as sd
    >>> sd.convert(1500.0, "L", "m3"), sd.convert([0.0, 100.0], "Cel", "[degF]").tolist()
    (1.5, [32.0, 212.0])
    """
    known = conversion(source, target)
    numbers = known.apply(np.asarray(values, np.float64))
    return numbers if np.ndim(values) else float(numbers)


@cache
def amount_of(unit: str | None, kind: str | None) -> tuple[str | None, float]:
    """The unit of the amounts that a series makes over time, and how much of it one unit makes in an hour.

    Flows amount to volumes and powers to energies, where they are means of intervals or states at instants;
    all else is an amount as it is: 0.
    """
    known = UNITS.get(unit) if unit is not None and kind in ("interval", "gauge") else None
    if known is not None and known.dimension == "flow":
        volume, time = known.code.split("/")
        return volume, float(_HOUR / UNITS[time].factor)
    if known is not None and known.dimension == "power" and f"{known.code}.h" in UNITS:
        return f"{known.code}.h", 1.0
    return unit, 0.0


def common_unit(
    keys: "Sequence[str] | pa.StringArray", units: Sequence[str | None], quantities: Sequence[str | None]
) -> str | None:
    """The unit that most of these series have (the first of those that as many have); None: none has one.

    Raises UnitError where they are not of one quantity, or their units do not become one another.
    """
    _check_quantities(keys, quantities)
    counts = Counter(units)
    if len(counts) <= 1:
        return next(iter(counts), None)
    firsts = {unit: _key_at(keys, units.index(unit)) for unit in counts}
    if None in counts:
        named = next(unit for unit in counts if unit is not None)
        raise UnitError(
            f"series {firsts[None]!r} has no unit, and {firsts[named]!r} has {named}; say it:"
            f" store.describe({firsts[None]!r}, unit=...)"
        )
    common = max((unit for unit in counts if unit is not None), key=lambda unit: counts[unit])
    for unit, key in firsts.items():
        try:
            conversion(str(unit), common)
        except UnitError as problem:
            raise UnitError(
                f"series {key!r} is in {unit} and {firsts[common]!r} in {common}, which do not mix: {problem}"
            ) from problem
    return common


def _key_at(keys: "Sequence[str] | pa.StringArray", position: int) -> str:
    key = keys[position]
    return key if isinstance(key, str) else str(key.as_py())


def _check_quantities(keys: "Sequence[str] | pa.StringArray", quantities: Sequence[str | None]) -> None:
    said = [quantity for quantity in dict.fromkeys(quantities) if quantity is not None]
    if len(said) > 1:
        told = ", ".join(f"{each} ({_key_at(keys, quantities.index(each))!r})" for each in said[:3])
        raise UnitError(
            f"the series are of several quantities, which do not mix: {told}; select those of one"
        )
