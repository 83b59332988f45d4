"""Print what flows into a zone against what is metered within."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ._command import command, option
from ._options import Function, Printing, printing, store_argument, tags_of, tz_option

_ZONE, _DAYS = "The zone", "Days"


def _night(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, str]:
    begin, dash, end = text.partition("-")
    if not dash:
        raise click.BadParameter(f"{text!r} is not of the form 02:00-04:00", context, parameter)
    return begin, end


def _side(name: str, what: str) -> Callable[[Function], Function]:
    """Two options for the series of one side of the balance: by key, and by tag."""

    def add(function: Function) -> Function:
        keys = option(f"--{name}", multiple=True, metavar="KEY", section=_ZONE, help=f"{what}. Repeatable.")
        tags = option(
            f"--{name}-tag",
            multiple=True,
            metavar="NAME=VALUE",
            callback=tags_of,
            section=_ZONE,
            help="Likewise, by their tags. Repeatable.",
        )
        return keys(tags(function))

    return add


@command(
    "balance",
    "smartdata-ts balance city.sdts --inlet in-7 --member-tag zone=DMA-7 --unit m3 --tz Europe/Oslo",
    "smartdata-ts balance city.sdts --inlet-tag inlet=DMA-7 --member-tag zone=DMA-7 --every 1mo",
)
@store_argument
@_side("inlet", "A meter of what flows into the zone")
@_side("member", "A meter of what is used within")
@_side("outlet", "A meter of what leaves for other zones")
@option("--start", metavar="TIME", section=_DAYS, help="From here: 2025-10-26 or 2025-10-26T02:30.")
@option("--end", metavar="TIME", section=_DAYS, help="Up to, but not including, this time.")
@tz_option
@option("-e", "--every", default="1d", metavar="WIDTH", section=_DAYS, help="A row for each.  [default: 1d]")
@option("--offset", metavar="WIDTH", section=_DAYS, help="Move the edges: 6h is the gas day.")
@option(
    "--night",
    default="02:00-04:00",
    metavar="FROM-TO",
    callback=_night,
    section=_DAYS,
    help="The hours of the night flow.  [default: 02:00-04:00]",
)
@option("--unit", metavar="UCUM", section=_DAYS, help="Unit of all: m3, kWh.  [default: that of most series]")
@option(
    "--min-completeness",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    section=_DAYS,
    help="Leave volumes that are less complete empty.  [default: 0]",
)
@printing
def balance(store: Path, tz: str, printing: Printing, **options: Any) -> None:
    """Print what flows into a zone against what is metered within.

    A row a day: inflow, use, their difference, and the night flow with the use in that very hour; how
    complete each is; the unit. Registers are taken as what they counted.
    """
    from smartdata_ts import open as open_store

    from ._output import show_table

    sides = {name: _chosen(name, options) for name in ("inlet", "member", "outlet")}
    for name in ("inlet", "member"):
        if sides[name] is None:
            raise click.UsageError(f"name the meters: --{name} KEY, or --{name}-tag NAME=VALUE")
    with open_store(store, "r") as opened:
        table = opened.zone_balance(sides["inlet"], sides["member"], outlet=sides["outlet"], tz=tz, **options)
        show_table(table, printing, tz)


def _chosen(name: str, options: dict[str, Any]) -> Any:
    """One side's keys or tags, taken from the options; None where there are none."""
    keys, tags = options.pop(name), options.pop(f"{name}_tag")
    if keys and tags:
        raise click.UsageError(f"--{name} and --{name}-tag: say one of them")
    return list(keys) or tags or None
