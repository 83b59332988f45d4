"""Whether a column may be guessed to hold series' keys, though its name does not say so.

A wrong key stores wrong readings without a word, so that all of this must hold: the cells are texts, filled,
and more than one; they are neither times, clocks, truth values, qualities nor units; the name does not say
comment or unit; and they tell rows of one time apart, or look like numbers of meters.
"""

import re
from collections.abc import Sequence

from .column_names import NO_KEY_NAMES, QUALITY_NAMES, UNIT_NAMES, plain_name
from .quality_words import is_quality_word

_TRUTH = {"true", "false", "yes", "no", "ja", "nei", "nein", "sí", "si", "oui", "non", "y", "n", "t", "f"}
_UNITS = {
    *(
        "kwh",
        "mwh",
        "wh",
        "gwh",
        "kw",
        "w",
        "mw",
        "m3",
        "m³",
        "mtq",
        "l",
        "ltr",
        "l/h",
        "m3/h",
        "gal",
        "ccf",
        "cf",
    ),
    *("gj", "mj", "kj", "c", "°c", "cel", "bar", "kvarh", "kvar", "kva", "v", "a", "hz"),
}
_CLOCK = re.compile(r"\d{1,2}[:.]\d{2}([:.]\d{2})?( ?- ?\d{1,2}[:.]\d{2}([:.]\d{2})?)?|\d{1,2} ?- ?\d{1,2}")
_ROUNDED = re.compile(r"\d([.,]\d+)?[eE]\+\d+")


def may_be_keys(name: str, cells: Sequence[str], times: Sequence[str]) -> bool:
    """Whether `cells` may be keys, beside the times of the same rows."""
    plain = plain_name(name)
    if plain in QUALITY_NAMES or plain in UNIT_NAMES or plain in NO_KEY_NAMES or not all(cells):
        return False
    distinct = set(cells)
    if len(distinct) < 2 or all(_is_no_key(cell) for cell in distinct):
        return False
    pairs = len(set(zip(cells, times, strict=True)))
    repeated = len(times) - len(set(times))
    if repeated == 0:  # no two rows of one time: the text is needed if it is an identifier
        return all(any(map(str.isdigit, cell)) for cell in distinct)
    return 2 * (len(times) - pairs) < repeated


def rounded_key(cells: Sequence[str]) -> str | None:
    """A key that a spreadsheet has rounded, such as 7,07057E+17, or None."""
    return next((cell for cell in cells if _ROUNDED.fullmatch(cell)), None)


def is_hour(cell: str) -> bool:
    """Whether a cell is a number of an hour, 0 to 25, or two of them: "7", "07", "00-01", "00:00-01:00"."""
    if cell.isascii() and cell.isdecimal():
        return int(cell) <= 25
    return "-" in cell and is_clock_text(cell)


def is_clock_text(cell: str) -> bool:
    """Whether a cell is a time of day, or a range of them."""
    return _CLOCK.fullmatch(cell) is not None


def _is_no_key(cell: str) -> bool:
    folded = cell.casefold()
    return folded in _TRUTH or folded in _UNITS or is_quality_word(cell) or is_clock_text(cell)
