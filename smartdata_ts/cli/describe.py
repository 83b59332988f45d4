"""Say what series are."""

from pathlib import Path
from typing import Any

import click

from ._command import command, option
from ._facts import NUMBERS, fact_options, set_tag_option, with_tags_apart
from ._options import store_argument


@command(
    "describe",
    "smartdata-ts describe city.sdts wm-0017 --unit m3 --kind register --tag zone=Harbour",
    "smartdata-ts describe city.sdts --from meters.csv",
)
@store_argument
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@fact_options("quantity", "unit", "kind", "interval", "decimals", "register_digits", "multiplier")
@set_tag_option
@option(
    "--from",
    "source",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="A CSV table: a column series, columns named as the options above, all others tags. A tag that is"
    " named like one of these has the column tag:NAME.",
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

    table = with_tags_apart(text_table(source, NUMBERS)) if source else None
    with open_store(store) as opened:
        if table is not None:
            opened.describe(table)
        else:
            opened.describe(list(keys), **facts)
