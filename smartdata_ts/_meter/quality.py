"""Quality codes: one byte a reading, which says how it came to be and which of two readings stands.

The low four bits are a status, the high four the method of an estimate:

| status | name | rank | | method | name |
|---|---|---|---|---|---|
| 0 | measured | 5 | | 0 | (none said) |
| 1 | estimated | 3 | | 1 | constant |
| 2 | final_estimate | 4 | | 2 | previous |
| 3 | edited | 6 | | 3 | next |
| 4 | temporary | 2 | | 4 | linear |
| 5 | suspect | 1 | | 5 | profile |
| 6 | rejected | 0 | | 6 | conserve |
| 7 | missing | 0 | | 7 | vendor |
| 8 to 15 | the user's own | 3 | | 8 | manual |

A reading takes the place of another of its series and time where its rank is not lower: a measured value
that arrives late replaces the estimate, and an estimate that arrives late does not replace it.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from smartdata_ts._arguments import is_whole, items, plain, shown
from smartdata_ts.errors import UsageError
from smartdata_ts.kernels.arrays import Float64Array, UInt8Array
from smartdata_ts.kernels.quality import STATUS_RANKS

STATUSES = (
    "measured",
    "estimated",
    "final_estimate",
    "edited",
    "temporary",
    "suspect",
    "rejected",
    "missing",
)
METHODS = ("", "constant", "previous", "next", "linear", "profile", "conserve", "vendor", "manual")

RANKS: UInt8Array = STATUS_RANKS[np.arange(256) & 15]
IS_READING = RANKS > 0  # of every code: neither rejected nor missing
_UNUSABLE_BELOW = np.append(0, np.cumsum(~IS_READING))  # how many codes below each are of no reading

_SYSTEMS = ("elhub", "espi", "iec61968")

ON_CONFLICT = ("better", "replace", "keep", "error")


def quality_code(status: str, method: str = "") -> int:
    """The code of a status and, of an estimate, its method; UsageError where there is none of the name.

    >>> import smartdata_ts as sd
    >>> sd.quality_code("measured"), sd.quality_code("estimated", "linear")
    (0, 65)
    """
    if status not in STATUSES:
        raise UsageError(f"{status!r} is no quality; they are {', '.join(STATUSES)}")
    if method not in METHODS:
        raise UsageError(f"{method!r} is no method of estimation; they are {', '.join(METHODS[1:])}")
    return STATUSES.index(status) | METHODS.index(method) << 4


def quality_name(code: int) -> str:
    """Name a code, such as "measured" or "estimated (linear)"; the user's own by their numbers.

    >>> import smartdata_ts as sd
    >>> sd.quality_name(65), sd.quality_name(0), sd.quality_name(9)
    ('estimated (linear)', 'measured', 'own 9')
    """
    if not 0 <= code <= 255:
        raise UsageError(f"a quality code is 0 to 255, not {code!r}")
    status, method = code & 15, code >> 4
    name = STATUSES[status] if status < len(STATUSES) else f"own {status}"
    if method:
        return f"{name} ({METHODS[method] if method < len(METHODS) else method})"
    return name


def _elhub() -> dict[str, str]:
    """Elhub's standard for validation, estimation and editing, 4.1, whose words are Norwegian.

    Its messages say "Metered", "Temporary", or "Estimated" with the code 56 or 81 (Elhub's note on the
    mapping of volume and quality between EIM and BIM).
    """
    words = {
        "Målt": "measured",
        "Estimert": "estimated",
        "Endelig estimert": "final_estimate",
        "Midlertidig": "temporary",
        "Avvist": "rejected",
        "Manglende verdi": "missing",
    }
    codes = {"Metered": "measured", "56": "estimated", "81": "final_estimate", "Temporary": "temporary"}
    return {**words, **codes}


def _espi() -> dict[str, str]:
    """QualityOfReading of NAESB REQ.21 (ESPI, "Green Button"), espi.xsd 4.0.

    Left out, for they do not say how a reading came to be: 11 derived, 12 projected, 13 mixed,
    15 normalised for weather, 16 other.
    """
    measured = dict.fromkeys(("0", "14", "17", "18", "19"), "measured")  # valid, raw, validated, ...
    return {**measured, "7": "edited", "8": "estimated profile", "9": "estimated linear", "10": "suspect"}


def _iec61968() -> dict[str, str]:
    """ReadingQualityType codes of IEC 61968-9, annex D: system.category.index.

    Systems are 1 end device, 2 metering system, 3 meter data management. Categories are 0 valid,
    5 reasonability (256 outside of the expected range, 258 suspect, 259 known missing), 6 failed validation,
    7 edited (0 generic, 1 added, 3 rejected), 8 estimated. Other indices of 6 and 8 are vendors' own.
    Held against what vendors publish: Aclara's I-210+c user's guide, table 5.4, and Elster's Connexo.
    """
    codes = {"0.0": "measured", "7.0": "edited", "7.1": "edited", "7.3": "rejected", "8.0": "estimated"}
    codes.update({"5.258": "suspect", "5.256": "suspect", "5.259": "missing"})
    codes.update({f"6.{index}": "suspect" for index in (0, 1, 2, 3, 4, 5, 6, 9)})
    return {f"{system}.{code}": name for code, name in codes.items() for system in (3, 2, 1)}


def quality_codes(system: str) -> dict[str, int]:
    """Return what the quality codes of "elhub", "espi" or "iec61968" mean here, as an import takes them.

    Codes that say nothing of how a reading came to be are left out. Raises UsageError for another system.

    >>> import smartdata_ts as sd
    >>> codes = sd.quality_codes("espi")
    >>> codes["0"], sd.quality_name(codes["9"]), sd.quality_name(sd.quality_codes("elhub")["81"])
    (0, 'estimated (linear)', 'final_estimate')
    """
    tables = dict(zip(_SYSTEMS, (_elhub, _espi, _iec61968), strict=True))
    if system not in tables:
        raise UsageError(f"there are quality codes of {', '.join(_SYSTEMS)}, not of {system!r}")
    return {text: quality_code(*meaning.split()) for text, meaning in tables[system]().items()}


def quality_text(code: int, system: str) -> str | None:
    """Return a system's code for a quality, or its nearest one; None where it has none of the kind.

    A method that the system does not know is passed over; a final estimate is an estimate where the system
    does not tell them apart.

    >>> import smartdata_ts as sd
    >>> sd.quality_text(65, "espi"), sd.quality_text(2, "iec61968"), sd.quality_text(6, "espi")
    ('9', '3.8.0', None)
    """
    texts: dict[int, str] = {}
    for text, meant in quality_codes(system).items():
        texts.setdefault(meant, text)  # the first of those that mean the same
    status, method = code & 15, code >> 4
    statuses = (status, quality_code("estimated")) if status == quality_code("final_estimate") else (status,)
    for near in statuses:
        for found in (near | method << 4, near):
            if found in texts:
                return texts[found]
    if quality_code("estimated") in statuses:  # a machine's value, by history as good as always
        return texts.get(quality_code("estimated", "profile"))
    return None


def qualities_of(quality: str | int | Iterable[str | int]) -> tuple[int, ...]:
    """The codes that are meant: a status, of any method, by its name, or a code by its number."""
    given = items(quality)
    wanted: set[int] = set()
    for item in [plain(quality)] if given is None else given:
        if isinstance(item, str):
            wanted |= {quality_code(item) | method << 4 for method in range(16)}
        elif is_whole(item) and 0 <= item <= 255:
            wanted.add(int(item))
        else:
            raise UsageError(f"a quality is a name such as 'measured', or a code 0 to 255, not {shown(item)}")
    return tuple(sorted(wanted))


def winners(on_conflict: str) -> UInt8Array:
    """At 256 * old + new: whether a reading of quality `new` takes the place of one of quality `old`."""
    if not isinstance(on_conflict, str) or on_conflict not in ON_CONFLICT:
        raise UsageError(f"on_conflict must be one of {', '.join(ON_CONFLICT)}, not {shown(on_conflict)}")
    return _winners(on_conflict)


@cache  # a table of 64 kB takes longer to make than a small write
def _winners(on_conflict: str) -> UInt8Array:
    if on_conflict == "replace":
        wins: npt.NDArray[Any] = np.ones((256, 256))
    elif on_conflict == "better":
        wins = RANKS[np.newaxis, :] >= RANKS[:, np.newaxis]
    else:
        wins = np.zeros((256, 256))
    table = wins.astype(np.uint8).reshape(-1)
    table.flags.writeable = False
    return table


def are_readings(lowest: UInt8Array, highest: UInt8Array) -> npt.NDArray[np.bool_]:
    """Return, for each range of codes, whether all are of readings."""
    alike: npt.NDArray[np.bool_] = _UNUSABLE_BELOW[lowest] == _UNUSABLE_BELOW[highest.astype(np.int64) + 1]
    return alike


def worse_of(left: UInt8Array, right: UInt8Array) -> UInt8Array:
    """Return, of each two quality codes, the one of the lower rank."""
    return np.where(RANKS[left] < RANKS[right], left, right)


def usable(values: Float64Array, qualities: UInt8Array) -> np.ndarray:
    """Which readings count as readings: finite, and neither rejected nor missing."""
    rows: np.ndarray = np.isfinite(values)
    return rows & IS_READING[qualities] if qualities.any() else rows  # mostly all are measured
