"""What may be said of a series: its key, facts and tags, checked before the catalog takes them.

Every function raises DataError, which says where, what was wrong, and what is right.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._arrow_arrays import fixed_array, text_array
from smartdata_ts._calendar import Calendar
from smartdata_ts._catalog import INTEGER_FACTS, REAL_FACTS, SERIES_FACTS
from smartdata_ts._instant import parse_instant
from smartdata_ts.errors import DataError

_DIGITS_MAX = 300  # of a double
KINDS = ("register", "interval", "gauge")


def described_rows(table: object) -> Iterator[tuple[str, dict[str, object], dict[str, str]]]:
    """(key, facts, tags) of each row of a table that describes series."""
    names = ("quantity", "unit", "kind", "interval", "decimals", "register_digits", "multiplier")
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
            if not 0 <= int(value) <= _DIGITS_MAX:
                raise DataError(f"{where}: {name} must be 0 to {_DIGITS_MAX}, not {value!r}")
            given[name] = int(value)
        elif name == "multiplier":
            given[name] = checked_number(f"{where}: multiplier", value)
        elif not _is_text(value):
            raise DataError(f"{where}: {name} must be a text, not {value!r}")
    if "interval" in given:
        width = Calendar.parse(str(given.pop("interval"))).fixed_width_us
        if width is None:
            raise DataError(f"{where}: interval must be a fixed width such as '15min' or '1h'")
        given["interval_us"] = width
    return given


def checked_number(where: str, value: object) -> float:
    """The finite number, if it is one; `where` begins the message."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise DataError(f"{where} must be a number, not {value!r}")
    return float(value)


def exchange_rows(table: object, tz: str) -> Iterator[tuple[object, ...]]:
    """What the catalog keeps of each row of a table of exchanges."""
    if not hasattr(table, "__arrow_c_stream__"):
        raise DataError(f"exchange takes a series key or a table, not a {type(table).__name__}")
    for number, row in enumerate(pa.table(table).to_pylist(), 1):
        yield checked_exchange(f"row {number}", row, tz)


def checked_exchange(where: str, given: Mapping[str, object], tz: str) -> tuple[object, ...]:
    """(key, time in us UTC, final, initial, serial, multiplier, digits) of an exchange."""
    key = checked_key(given.get("series"))
    if given.get("time") is None:
        raise DataError(f"{where}: an exchange of {key!r} has no time")
    time = parse_instant(given["time"], tz)
    final = checked_number(f"{where}: final", given.get("final"))
    told = given.get("initial")
    initial = 0.0 if told is None else checked_number(f"{where}: initial", told)
    facts = checked_facts(where, {name: given.get(name) for name in ("multiplier", "register_digits")})
    serial = given.get("serial")
    if serial is not None:
        checked_tags(where, {"serial": str(serial)})
    return (key, time, final, initial, serial, facts.get("multiplier"), facts.get("register_digits"))


def series_table(rows: list[tuple]) -> pa.Table:  # type: ignore[type-arg]
    """Series with their facts and tags, of the catalog's rows."""
    _, keys, *facts, tags = zip(*rows, strict=True) if rows else [()] * (len(SERIES_FACTS) + 3)
    columns = {"series": text_array(keys)}
    for name, values in zip(SERIES_FACTS, facts, strict=True):
        kind = pa.int64() if name in INTEGER_FACTS else pa.float64() if name in REAL_FACTS else pa.string()
        columns[name] = _array(values, kind)
    pairs = [list(json.loads(text).items()) for text in tags]
    ends = np.cumsum([0, *map(len, pairs)], dtype=np.int32)
    names, texts = (text_array([pair[k] for own in pairs for pair in own]) for k in (0, 1))
    columns["tags"] = pa.MapArray.from_arrays(fixed_array(ends), names, texts)
    return pa.table(columns)


def exchange_table(rows: list[tuple]) -> pa.Table:  # type: ignore[type-arg]
    """Exchanges of meters, of the catalog's rows."""
    _, *columns = zip(*rows, strict=True) if rows else [()] * 8
    kinds = {
        "series": pa.string(),
        "time": pa.timestamp("us", tz="UTC"),
        "final": pa.float64(),
        "initial": pa.float64(),
        "serial": pa.string(),
        "multiplier": pa.float64(),
        "register_digits": pa.int64(),
    }
    return pa.table({name: _array(c, kind) for (name, kind), c in zip(kinds.items(), columns, strict=True)})


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Texts or numbers, of which None is null."""
    if kind == pa.string():
        return text_array(values)
    nulls = np.array([value is None for value in values], np.bool_)
    numbers = [0 if value is None else value for value in values]
    found = np.array(numbers, np.float64 if kind == pa.float64() else np.int64)
    return fixed_array(found, kind, nulls if nulls.any() else None)
