"""Facts of series on the command line: their options, their types in a table, and tags of the same names."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ._command import option
from ._options import single_tags_of

if TYPE_CHECKING:
    import pyarrow as pa

FACTS = "What the series are"

# Types of the columns of a CSV table that hold no text.
NUMBERS = {"decimals": "int64", "register_digits": "int64", "multiplier": "float64"}

_OPTIONS: dict[str, dict[str, Any]] = {
    "quantity": {"metavar": "TEXT", "help": "What is measured: water, electricity, heat, gas."},
    "unit": {"metavar": "UCUM", "help": "UCUM code of the unit: m3, L, kW.h, Cel."},
    "kind": {
        "type": click.Choice(["register", "interval", "gauge"]),
        "help": "A cumulative register, an amount over an interval, or a state at an instant.",
    },
    "interval": {"metavar": "WIDTH", "help": "Nominal spacing of readings: 15min, 1h, 1d."},
    "decimals": {"type": click.IntRange(min=0), "metavar": "N", "help": "Decimals that the meter shows."},
    "register_digits": {
        "type": click.IntRange(min=1),
        "metavar": "N",
        "help": "Digits before the decimal point, after which the register rolls over.",
    },
    "multiplier": {
        "type": float,
        "metavar": "X",
        "help": "What a unit of the register, or a pulse, is worth in the unit.",
    },
}

# A table of series has a column a tag. A tag that is named like a fact has the column "tag:unit", and one
# that is named like such a column has another "tag:" before it, so that each column means one thing.
_TAG = "tag:"
_TAKEN = re.compile(f"({_TAG})*({'|'.join(('series', 'interval_us', *_OPTIONS))})")


def fact_options(
    *names: str, section: str = FACTS, **helps: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options of some facts, in this order; `helps` has other words for some of them."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            settings = {**_OPTIONS[name], "help": helps.get(name, _OPTIONS[name]["help"])}
            function = option(f"--{name.replace('_', '-')}", section=section, **settings)(function)
        return function

    return decorate


set_tag_option = option(
    "-t",
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME=VALUE",
    callback=single_tags_of,
    section=FACTS,
    help="A tag. Repeatable.",
)


def tag_column(name: str) -> str:
    """The column of a tag in a table of series."""
    return _TAG + name if _TAKEN.fullmatch(name) else name


def with_tags_apart(table: "pa.Table") -> "pa.Table":
    """The table of series; tags that are named like facts stand in a column `tags` of pairs."""
    import pyarrow as pa

    apart = {
        name: name.removeprefix(_TAG)
        for name in table.column_names
        if name.startswith(_TAG) and _TAKEN.fullmatch(name)
    }
    if not apart:
        return table
    if "tags" in table.column_names:  # a tag of this name
        apart["tags"] = "tags"
    rows = table.select(list(apart)).to_pylist()
    pairs = [
        [{"key": apart[name], "value": value} for name, value in row.items() if value is not None]
        for row in rows
    ]
    kind = pa.list_(pa.struct({"key": pa.string(), "value": pa.string()}))
    return table.drop_columns(list(apart)).append_column("tags", pa.array(pairs, kind))
