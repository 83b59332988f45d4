"""Kinds of values in the catalog's columns. SQLite takes any type in any, and a store may be anyone's."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """Types that a cell may have, the bounds of numbers, and the only values where they are few."""

    types: frozenset[type]
    low: float = float("-inf")
    high: float = float("inf")
    values: frozenset[object] | None = None

    def fits(self, cells: Sequence[object]) -> bool:
        """Whether all cells of a column are of this kind."""
        if not self.types.issuperset(map(type, cells)):
            return False
        if self.values is not None and not self.values.issuperset(cells):
            return False
        if self.low == -self.high:  # none
            return True
        numbers: list[int] = [cell for cell in cells if isinstance(cell, int)]
        return not numbers or (min(numbers) >= self.low and max(numbers) <= self.high)

    def or_null(self) -> "Kind":
        """The same, or nothing."""
        values = None if self.values is None else self.values | {None}
        return Kind(self.types | {type(None)}, self.low, self.high, values)


TEXT = Kind(frozenset({str}))
BYTES = Kind(frozenset({bytes}))
INTEGER = Kind(frozenset({int}))  # SQLite's have 64 bits
REAL = Kind(frozenset({float}))
COUNT = Kind(frozenset({int}), 0, 2**62)
SERIES = Kind(frozenset({int}), 0, 2**31 - 1)
DIGITS = Kind(frozenset({int}), 0, 300)
FLAG = Kind(frozenset({int}), 0, 1)

FACTS = {
    "quantity": TEXT.or_null(),
    "unit": TEXT.or_null(),
    "kind": Kind(frozenset({str}), values=frozenset({"register", "interval", "gauge"})).or_null(),
    "interval_us": COUNT.or_null(),
    "decimals": INTEGER.or_null(),
    "register_digits": DIGITS.or_null(),
    "multiplier": REAL.or_null(),
}
CHUNK = {
    "name": TEXT,
    "series_min": SERIES,
    "series_max": SERIES,
    "time_min": INTEGER,
    "time_max": INTEGER,
    "reading_count": COUNT,
    "size": COUNT,
    "commit_min": COUNT,
    "commit_max": COUNT,
    "is_history": FLAG,
    "commit_id": COUNT,
    "checksum": INTEGER,
}
COMMIT = (COUNT, INTEGER, TEXT.or_null(), COUNT, INTEGER)
DELETION = (COUNT, SERIES, INTEGER, INTEGER)
SNAPSHOT = (TEXT, COUNT, INTEGER, TEXT.or_null())
EXCHANGE = (SERIES, TEXT, INTEGER, REAL, REAL, TEXT.or_null(), REAL.or_null(), DIGITS.or_null())


def all_fit(rows: Sequence[tuple[object, ...]], kinds: Iterable[Kind]) -> bool:
    """Whether every column of the rows, one or more, is of its kind."""
    columns = zip(*rows, strict=True)
    return all(kind.fits(column) for column, kind in zip(columns, kinds, strict=True))
