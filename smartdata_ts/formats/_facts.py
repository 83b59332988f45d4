"""What a file and its user say of the series in it, said in the import's own commit."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smartdata_ts._meter.units import UNITS, checked_unit
from smartdata_ts.errors import DataError, UnitError

from ._reader import SeriesFacts

if TYPE_CHECKING:
    from smartdata_ts._write.writer import Writer

_NAMES = ("quantity", "unit", "kind", "interval")
_DIRECTION = "direction"


def say_facts(
    writer: "Writer", keys: Sequence[str], read: Mapping[str, SeriesFacts], told: Mapping[str, Any]
) -> None:
    """Say of each key what the user told and what the file says; told facts go before read ones.

    Raises UnitError where the file's unit of a series is not the one that stands, or that was told, and
    DataError where kind or direction are others than those that stand.
    """
    told = {name: value for name, value in told.items() if value}
    if not told and not read:
        return
    standing = writer.facts_of(keys)
    for key in keys:
        facts = read.get(key, SeriesFacts())
        _check_unit(key, facts.unit, told.get("unit"), standing[key].get("unit"))
        for name in ("kind", _DIRECTION):
            was = standing[key].get(name)
            now = facts.tags.get(_DIRECTION) if name == _DIRECTION else told.get(name, facts.kind)
            if was is not None and now is not None and was != now and name not in told:
                raise DataError(
                    f"series {key!r} has {name} {was!r}, and the file says {now!r}; nothing was stored."
                    " Describe the series anew, or import the file into other keys"
                )
        said = {name: told.get(name, getattr(facts, name)) for name in _NAMES}
        if standing[key].get("unit") is not None and "unit" not in told:
            said["unit"] = None  # as it stands, be it in other letters
        writer.describe(key, said, {**facts.tags, **told.get("tags", {})})


def _check_unit(key: str, read: str | None, told: str | None, was: str | None) -> None:
    if read is None:
        return
    unit = checked_unit(f"series {key!r}", read)
    for other, whose in ((told, "unit= says"), (None if told else was, "the store has")):
        if other is not None and not _are_one(unit, checked_unit(f"series {key!r}", other)):
            raise UnitError(
                f"series {key!r} is in {unit} by the file, and {whose} {other}; nothing was stored. Leave"
                " unit= out, or describe the series anew"
            )


def _are_one(unit: str, other: str) -> bool:
    """Whether two codes are the same unit, as L and dm3 are."""
    if unit == other:
        return True
    if unit not in UNITS or other not in UNITS:
        return False
    first, second = UNITS[unit], UNITS[other]
    return (first.dimension, first.factor, first.offset) == (second.dimension, second.factor, second.offset)
