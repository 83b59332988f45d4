"""Say what series are."""

from pathlib import Path
from typing import Any

import click

from ._command import command, option
from ._options import single_tags_of, store_argument

_NUMBERS = {"decimals": "int64", "register_digits": "int64", "multiplier": "float64"}
FACTS = "What the series are"


@command(
    "describe",
    "smartdata-ts describe city.sdts wm-0017 --unit m3 --kind register --tag zone=Harbour",
    "smartdata-ts describe city.sdts --from meters.csv",
)
@store_argument
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@option("--quantity", metavar="TEXT", section=FACTS, help="What is measured: water, electricity, heat, gas.")
@option("--unit", metavar="UCUM", section=FACTS, help="UCUM code of the unit: m3, L, kW.h, Cel.")
@option(
    "--kind",
    type=click.Choice(["register", "interval", "gauge"]),
    section=FACTS,
    help="A cumulative register, an amount over an interval, or a state at an instant.",
)
@option("--interval", metavar="WIDTH", section=FACTS, help="Nominal spacing of readings: 15min, 1h, 1d.")
@option(
    "--decimals",
    type=click.IntRange(min=0),
    metavar="N",
    section=FACTS,
    help="Decimals that the meter shows.",
)
@option(
    "--register-digits",
    type=click.IntRange(min=1),
    metavar="N",
    section=FACTS,
    help="Digits before the decimal point, after which the register rolls over.",
)
@option(
    "--multiplier",
    type=float,
    metavar="X",
    section=FACTS,
    help="What a unit of the register, or a pulse, is worth in the unit.",
)
@option(
    "-t",
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME=VALUE",
    callback=single_tags_of,
    section=FACTS,
    help="A tag. Repeatable.",
)
@option(
    "--from",
    "source",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="A CSV table: a column series, columns named as the options above, all others tags.",
)
@click.pass_context
def describe(
    context: click.Context, /, store: Path, keys: tuple[str, ...], source: str | None, **facts: Any
) -> None:
    """Say what series are.

    New series are created. Facts that are not named stay as they were.
    """
    if bool(keys) == bool(source):
        raise click.UsageError("name series, or a table with --from", context)
    if source and any(facts.values()):
        raise click.UsageError("--from brings its own facts and tags", context)
    from smartdata_ts import open as open_store

    from ._text_table import text_table

    table = text_table(source, _NUMBERS) if source else None
    with open_store(store) as opened:
        if table is not None:
            opened.describe(table)
        else:
            opened.describe(list(keys), **facts)
