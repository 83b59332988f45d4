"""The meaning of a unit's text: a code of UCUM (ucum.org), a name that people write for it, or nothing.

The grammar is UCUM's without parentheses: components joined by "." and "/", each an atom with a prefix and an
exponent, a number, or an annotation in braces. The atoms are those that meters and sensors have. Left out
are C, F, G, H, S and T alone, which people write for degrees, hours, seconds and tonnes, and prefixes beyond
tera and pico. Wh, Ah, VA, var and varh are taken though UCUM writes them otherwise, or not at all.
"""

import re
import unicodedata

_PREFIXES = "T|G|M|k|h|da|d|c|m|u|n|p"
_METRIC = (
    r"m\[H2O\]|m\[Hg\]|varh|var|mol|bar|cal|Cel|Ohm|VA|Wh|Ah|Pa|Hz|Bq|Sv|Gy|eV|lm|lx|cd|ar"
    r"|m|g|s|L|l|t|J|W|V|A|K|N|B"
)
_OTHER = (
    r"mS|uS|min|h|d|wk|mo|a|%|deg|atm|\[pH\]|\[ppth\]|\[ppm\]|\[ppb\]|\[degF\]|\[in_i\]|\[ft_i\]|\[yd_i\]|\[mi_i\]"
    r"|\[sft_i\]|\[cft_i\]|\[acr_us\]|\[gal_us\]|\[gal_br\]|\[lb_av\]|\[psi\]|\[Btu\]|\[HP\]|\[kn_i\]|10[*^]"
)
_ANNOTATION = r"\{[!-z|~]*\}"
_ATOM = rf"(?:(?:(?:{_PREFIXES})?(?:{_METRIC})|{_OTHER})(?:[+-]?[1-9]\d?)?|[1-9]\d*)"
_COMPONENT = rf"(?:{_ATOM}(?:{_ANNOTATION})?|{_ANNOTATION})"
_CODE = re.compile(rf"/?{_COMPONENT}(?:[./]{_COMPONENT})*")
_MILLI_OR_MEGA = re.compile(rf"[mM](?:{_METRIC}|S)")
_CODE_WITHOUT = re.compile(rf"{_OTHER}|mol|m\[")

_NAMES = {
    "L": ("liter", "litre", "liters", "litres", "ltr"),
    "m3": ("cubic metre", "cubic meter", "cubic metres", "cubic meters", "kubikkmeter", "cbm", "kbm"),
    "m": ("metre", "meter", "metres", "meters"),
    "Cel": ("\N{DEGREE SIGN}c", "celsius", "degc", "deg c", "degrees celsius"),
    "[degF]": ("\N{DEGREE SIGN}f", "fahrenheit", "degf", "deg f", "degrees fahrenheit"),
    "deg": ("\N{DEGREE SIGN}", "degree", "degrees"),
    "K": ("kelvin",),
    "W": ("watt", "watts"),
    "kW": ("kilowatt", "kilowatts"),
    "kWh": ("kilowatthour", "kilowatt hour", "kilowatthours", "kilowatt hours", "kilowatt-hour"),
    "Pa": ("pascal",),
    "m[H2O]": ("mh2o", "mvs", "mws", "meter vannsøyle"),
    "%": ("percent", "pct", "prosent"),
    "[ppm]": ("ppm",),
    "[ppb]": ("ppb",),
    "[pH]": ("ph",),
    "{NTU}": ("ntu",),
    "{FNU}": ("fnu",),
    "har": ("ha", "hectare", "hectares", "hektar"),
    "t": ("tonne", "tonnes", "tonn"),
    "Ohm": ("\N{GREEK SMALL LETTER OMEGA}",),
    "s": ("sec", "second", "seconds", "sek"),
    "min": ("minute", "minutes", "minutt"),
    "h": ("hr", "hrs", "hour", "hours", "time", "timer"),
    "d": ("day", "days", "døgn"),
}
_CODE_BY_NAME = {name: code for code, names in _NAMES.items() for name in names}
_SPELLINGS = (
    ("**", "^"),
    ("\N{GREEK SMALL LETTER MU}", "u"),
    ("\N{MIDDLE DOT}", "."),
    ("\N{DOT OPERATOR}", "."),
    (" per ", "/"),
)


def is_code(text: str) -> bool:
    """Whether it is a unit's code, as it stands."""
    return _CODE.fullmatch(text) is not None


def is_milli_or_mega(code: str) -> bool:
    """Whether a code begins with one of these prefixes: "mW" does, "m3" and "min" do not."""
    return _MILLI_OR_MEGA.match(code) is not None and _CODE_WITHOUT.match(code) is None


def plain(text: str) -> str:
    """The text with codes for the names in it, and ASCII for signs: "m³/hour" becomes "m3/h"."""
    text = unicodedata.normalize("NFKC", text).strip()
    for old, new in _SPELLINGS:
        text = text.replace(old, new)
    text = re.sub(r"(?<=[A-Za-z\]])\^(?=[+-]?\d)", "", text)
    parts = [part.strip() for part in text.split("/")]
    return "/".join(_CODE_BY_NAME.get(part.casefold(), part) for part in parts)
