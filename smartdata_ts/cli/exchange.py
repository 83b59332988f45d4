"""Say which meters took others' places."""

from pathlib import Path
from typing import Any

import click

from ._command import command, option
from ._facts import NUMBERS, fact_options
from ._options import Printing, printing, store_argument, tz_option

_FACTS = ("multiplier", "register_digits")
_NUMBERS = {"final": "float64", "initial": "float64"} | {name: NUMBERS[name] for name in _FACTS}
_EXCHANGE, _MANY = "The exchange", "Many of them"


@command(
    "exchange",
    "smartdata-ts exchange city.sdts wm-0017 --at 2025-03-04T10:30 --final 884.2 --tz Europe/Oslo",
    "smartdata-ts exchange city.sdts --infer > found.csv",
    "smartdata-ts exchange city.sdts --from found.csv",
    "smartdata-ts exchange city.sdts",
)
@store_argument
@click.argument("key", required=False)
@option("--at", metavar="TIME", section=_EXCHANGE, help="When the new meter took over.")
@option("--final", type=float, metavar="X", section=_EXCHANGE, help="What the old register showed then.")
@option(
    "--initial",
    type=float,
    metavar="X",
    section=_EXCHANGE,
    help="What the new register showed then.  [default: 0]",
)
@option("--serial", metavar="TEXT", section=_EXCHANGE, help="The new meter's serial number.")
@fact_options(
    *_FACTS,
    section=_EXCHANGE,
    multiplier="The new meter's multiplier.",
    register_digits="The new register's digits.",
)
@option(
    "--from",
    "source",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    section=_MANY,
    help="A CSV table with the columns series, time, final, and any of the others.",
)
@option("--infer", is_flag=True, section=_MANY, help="Print exchanges that registers suggest; say none.")
@tz_option
@printing
@click.pass_context
def exchange(
    context: click.Context,
    /,
    store: Path,
    key: str | None,
    source: str | None,
    infer: bool,
    tz: str,
    printing: Printing,
    **said: Any,
) -> None:
    """Say that a meter took another's place; without a KEY, list what was said.

    Consumption goes on across it: up to the final reading of the old register, and from the initial
    reading of the new one.
    """
    given = {name: value for name, value in said.items() if value is not None}
    if bool(key) + bool(source) + infer > 1 or (given and not key):
        raise click.UsageError("name a KEY with --at and --final, or --from, or --infer", context)
    if key and not {"at", "final"} <= given.keys():
        raise click.UsageError("say --at and --final", context)
    from smartdata_ts import open as open_store

    with open_store(store, "r") as opened:  # what is not there is not created
        if not key and not source:
            from ._output import show_table

            show_table(opened.infer_exchanges() if infer else opened.exchanges(), printing, tz)
            return
    with open_store(store) as opened:
        if source:
            from ._text_table import text_table

            opened.exchange(text_table(source, _NUMBERS), tz=tz)
        else:
            opened.exchange(key, tz=tz, **given)
