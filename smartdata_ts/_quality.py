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
from typing import Any

import numpy as np
import numpy.typing as npt

from smartdata_ts.errors import UsageError
from smartdata_ts.kernels._jit import UInt8Array

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

_OWN_RANK = 3
_STATUS_RANKS = np.array([5, 3, 4, 6, 2, 1, 0, 0] + 8 * [_OWN_RANK], np.uint8)
RANKS: UInt8Array = _STATUS_RANKS[np.arange(256) & 15]

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
    """What a code says, such as "measured" or "estimated (linear)"; the user's own by their numbers.

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


def qualities_of(quality: str | int | Iterable[str | int]) -> tuple[int, ...]:
    """The codes that are meant: a status, of any method, by its name, or a code by its number."""
    given = [quality] if isinstance(quality, str | int) else list(quality)
    wanted: set[int] = set()
    for item in given:
        if isinstance(item, str):
            wanted |= {quality_code(item) | method << 4 for method in range(16)}
        elif isinstance(item, int) and 0 <= item <= 255:
            wanted.add(item)
        else:
            raise UsageError(f"a quality is a name such as 'measured', or a code 0 to 255, not {item!r}")
    return tuple(sorted(wanted))


def winners(on_conflict: str) -> UInt8Array:
    """At 256 * old + new: whether a reading of quality `new` takes the place of one of quality `old`."""
    if on_conflict not in ON_CONFLICT:
        raise UsageError(f"on_conflict must be one of {', '.join(ON_CONFLICT)}, not {on_conflict!r}")
    if on_conflict == "replace":
        wins: npt.NDArray[Any] = np.ones((256, 256))
    elif on_conflict == "better":
        wins = RANKS[np.newaxis, :] >= RANKS[:, np.newaxis]
    else:
        wins = np.zeros((256, 256))
    return wins.astype(np.uint8).reshape(-1)
