"""Descriptions of series: keys, facts and tags, checked before the catalog takes them.

Every function raises DataError, which says where, what was wrong, and what is right.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._arguments import can_be_stored, items
from smartdata_ts._meter.units import checked_unit
from smartdata_ts._readings.arrow import fixed_array, text_array
from smartdata_ts._storage.catalog import INTEGER_FACTS, REAL_FACTS, SERIES_FACTS
from smartdata_ts._time.calendar import Calendar
from smartdata_ts._time.instant import parse_instant
from smartdata_ts._time.zone import TimeZone
from smartdata_ts.errors import DataError

_DIGITS_MAX = 300  # of a double
_WIDTH_MAX = 2**62
KINDS = ("register", "interval", "gauge")


_FACTS = ("quantity", "unit", "kind", "interval", "interval_us", "decimals", "register_digits", "multiplier")
_WHOLE = ("interval_us", "decimals", "register_digits")
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def key_list(series: object) -> list[object] | None:
    """The keys that are given, in whatever holds texts; None where it is a table."""
    if isinstance(series, str):
        return [series]
    is_column = isinstance(series, pa.ChunkedArray) or hasattr(series, "to_list")  # pandas and polars have it
    return None if hasattr(series, "__arrow_c_stream__") and not is_column else items(series)


def described_rows(table: object) -> Iterator[tuple[str, dict[str, object], dict[str, str]]]:
    """(key, facts, tags) of each row of a table that describes series, as `Store.series` gives it or another.

    A column "tags" of maps, of lists of pairs, or of dictionaries holds tags; any column but facts is a tag.
    """
    for row in _table_rows("describe", table):
        key, told = row.pop("series"), row.pop("tags", None)
        facts = {name: _whole(row.pop(name, None), name) for name in _FACTS}
        tags = {name: str(value) for name, value in row.items() if value is not None}
        if isinstance(told, Mapping | list):
            tags = {**_pairs(f"series {key!r}", told), **tags}
        elif told is not None:
            tags["tags"] = str(told)
        yield key, facts, tags


def _table_rows(what: str, table: object) -> Iterator[dict[str, Any]]:
    """The rows of a table with a column "series"; what is null, or pandas' or a float's NaN, is None."""
    if not (isinstance(table, Mapping) or hasattr(table, "__arrow_c_stream__")):
        raise DataError(f"{what} takes a series key or a table, not a {type(table).__name__}")
    try:
        made = pa.table(table)
        made = made.select([n for n, name in enumerate(made.column_names) if not _PANDAS_INDEX.match(name)])
        names = made.column_names
        rows = made.to_pylist() if len(set(names)) == len(names) else []
    except (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError) as problem:
        raise DataError(f"{what}: a {type(table).__name__} that is no table: {problem}") from problem
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise DataError(f"{what}: there is more than one column {twice[0]!r}")
    if "series" not in names:
        raise DataError(f"{what}: there is no column 'series'; the table has {', '.join(map(repr, names))}")
    for row in rows:
        yield {name: None if _is_missing(value) else value for name, value in row.items()}


def _is_missing(value: object) -> bool:
    """Whether it is null, or NaN or NaT, which pandas has for null."""
    is_nan = isinstance(value, float) and math.isnan(value)
    return value is None or is_nan or type(value).__name__ == "NaTType"


def _whole(value: object, name: str) -> object:
    """The fact; pandas makes floats of whole numbers that have nulls beside them."""
    return int(value) if name in _WHOLE and isinstance(value, float) and value.is_integer() else value


def _pairs(where: str, told: Mapping[str, object] | list[Any]) -> dict[str, str]:
    """Tags given as a dictionary, as (name, value) pairs, or as dictionaries with a "key" and a "value"."""
    pairs = told.items() if isinstance(told, Mapping) else [_pair(where, each) for each in told]
    return {name: str(value) for name, value in pairs if not _is_missing(value)}


def _pair(where: str, pair: object) -> tuple[Any, Any]:
    if isinstance(pair, Mapping) and pair.keys() == {"key", "value"}:
        return pair["key"], pair["value"]
    if isinstance(pair, list | tuple) and len(pair) == 2:
        return pair[0], pair[1]
    raise DataError(f"{where}: tags must be pairs of a name and a value, not {pair!r}")


def checked_key(key: object) -> str:
    """The key, if it can be one."""
    if not can_be_stored(key) or not key:
        raise DataError(f"a series key must be a text that is not empty, not {key!r}")
    return str(key)


def checked_tags(where: str, tags: Mapping[str, str]) -> dict[str, str]:
    """The tags, if they can be some; `where` begins the message."""
    if not isinstance(tags, Mapping):
        raise DataError(f"{where}: tags must be a mapping of names to values, not {tags!r}")
    for name, value in tags.items():
        if not can_be_stored(name) or not can_be_stored(value):
            raise DataError(f"{where}: a tag's name and value must be texts, not {name!r} and {value!r}")
    return dict(tags)


def checked_facts(where: str, facts: Mapping[str, object]) -> dict[str, object]:
    """Check what is said of a series; leaves out what is not."""
    kind = facts.get("kind")
    if kind is not None and not (isinstance(kind, str) and kind in KINDS):
        raise DataError(f"{where}: kind must be one of {', '.join(KINDS)}, not {kind!r}")
    given = {name: value for name, value in facts.items() if value is not None}
    for name, value in given.items():
        given[name] = _checked_fact(where, name, value)
    if "interval" in given:
        width = Calendar.parse(str(given.pop("interval"))).fixed_width_us
        if width is None:
            raise DataError(f"{where}: interval must be a fixed width such as '15min' or '1h'")
        if given.get("interval_us", width) != width:
            raise DataError(f"{where}: interval and interval_us say different things: say one of them")
        given["interval_us"] = width
    return given


def _checked_fact(where: str, name: str, value: object) -> object:
    if name == "multiplier":
        return checked_number(f"{where}: multiplier", value)
    if name in _WHOLE:
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise DataError(f"{where}: {name} must be a whole number, not {value!r}")
        low, high = (1, _WIDTH_MAX) if name == "interval_us" else (0, _DIGITS_MAX)
        if not low <= int(value) <= high:
            raise DataError(f"{where}: {name} must be {low} to {high}, not {value!r}")
        return int(value)
    if not can_be_stored(value):
        raise DataError(f"{where}: {name} must be a text, not {value!r}")
    return checked_unit(where, str(value)) if name == "unit" else value


def checked_number(where: str, value: object) -> float:
    """The finite number, if it is one; `where` begins the message."""
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(f"{where} must be a number, not {value!r}")
    return number


def exchange_rows(table: object, tz: TimeZone) -> Iterator[tuple[object, ...]]:
    """Return the catalog's rows for a table of exchanges."""
    for number, row in enumerate(_table_rows("exchange", table), 1):
        digits = _whole(row.get("register_digits"), "register_digits")
        yield checked_exchange(f"row {number}", {**row, "register_digits": digits}, tz)


def checked_exchange(where: str, given: Mapping[str, object], tz: TimeZone) -> tuple[object, ...]:
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
        serial = checked_tags(where, {"serial": str(serial)})["serial"]
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


def tag_table(rows: list[tuple[str, str, int]]) -> pa.Table:
    """Values of tags and how many series have each, of the catalog's rows."""
    names, values, counts = zip(*rows, strict=True) if rows else [()] * 3
    return pa.table(
        {"name": text_array(names), "value": text_array(values), "series": pa.array(counts, pa.int64())}
    )


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
    """Return texts or numbers as Arrow has them; None is null."""
    if kind == pa.string():
        return text_array(values)
    nulls = np.array([value is None for value in values], np.bool_)
    numbers = [0 if value is None else value for value in values]
    found = np.array(numbers, np.float64 if kind == pa.float64() else np.int64)
    return fixed_array(found, kind, nulls if nulls.any() else None)
