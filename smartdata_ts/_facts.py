"""What may be said of a series: its key, facts and tags, checked before the catalog takes them.

Every function raises DataError, which says where, what was wrong, and what is right.
"""

from collections.abc import Iterator, Mapping
from numbers import Integral

import pyarrow as pa

from smartdata_ts._calendar import Calendar
from smartdata_ts.errors import DataError

KINDS = ("register", "interval", "gauge")


def described_rows(table: object) -> Iterator[tuple[str, dict[str, object], dict[str, str]]]:
    """(key, facts, tags) of each row of a table that describes series."""
    names = ("quantity", "unit", "kind", "interval", "decimals", "register_digits")
    if not hasattr(table, "__arrow_c_stream__"):
        raise DataError(f"describe takes a series key or a table, not a {type(table).__name__}")
    for row in pa.table(table).to_pylist():
        key = row.pop("series", None)
        facts = {name: row.pop(name, None) for name in names}
        yield key, facts, {name: str(value) for name, value in row.items() if value is not None}


def checked_key(key: object) -> str:
    """The key, if it can be one."""
    if not _is_text(key) or not key:
        raise DataError(f"a series key must be a text that is not empty, not {key!r}")
    return str(key)


def _is_text(value: object) -> bool:
    """Whether it is text that UTF-8 and SQLite's JSON can hold."""
    return isinstance(value, str) and "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


def checked_tags(where: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags, if they can be some; `where` begins the message."""
    for name, value in tags.items():
        if not _is_text(name) or not _is_text(value):
            raise DataError(f"{where}: a tag's name and value must be texts, not {name!r} and {value!r}")
    return dict(tags)


def checked_facts(where: str, facts: Mapping[str, object]) -> dict[str, object]:
    """Check what is said of a series; leaves out what is not."""
    kind = facts.get("kind")
    if kind is not None and kind not in KINDS:
        raise DataError(f"{where}: kind must be one of {', '.join(KINDS)}, not {kind!r}")
    given = {name: value for name, value in facts.items() if value is not None}
    for name, value in given.items():
        if name in ("decimals", "register_digits"):
            if not isinstance(value, Integral):
                raise DataError(f"{where}: {name} must be a whole number, not {value!r}")
            given[name] = int(value)
        elif not _is_text(value):
            raise DataError(f"{where}: {name} must be a text, not {value!r}")
    if "interval" in given:
        width = Calendar.parse(str(given.pop("interval"))).fixed_width_us
        if width is None:
            raise DataError(f"{where}: interval must be a fixed width such as '15min' or '1h'")
        given["interval_us"] = width
    return given
