"""Options that bring many series together, and what they come to."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa

from ._command import option
from ._options import Function

if TYPE_CHECKING:
    from smartdata_ts import Query

_ACROSS = "Across series"


@dataclass(frozen=True)
class Across:
    """How buckets are aggregated across series; `how` is None where they are not."""

    how: str | None
    by: tuple[str, ...]
    min_completeness: float
    wide: bool

    def batches(self, query: "Query", unit: str | None) -> pa.RecordBatchReader:
        """The result of the query with this step, if there is one; in a unit."""
        if self.how is not None:
            query = query.aggregate(self.how, self.by, self.min_completeness, unit)
        elif unit is not None:
            raise click.UsageError("--unit needs --consumption or --across")
        return query.to_arrow(wide=True).to_reader() if self.wide else query.to_batches()


def across(function: Function) -> Function:
    """Add the options; the function gets them as `across`."""

    @functools.wraps(function)
    def call(
        how: str | None, by: tuple[str, ...], min_completeness: float, wide: bool, **options: Any
    ) -> Any:
        if how is None and (by or min_completeness):
            raise click.UsageError("--by and --min-completeness need --across, such as --across sum")
        return function(across=Across(how, by, min_completeness, wide), **options)

    decorated: Function = call
    for add in (
        option("--wide", is_flag=True, section=_ACROSS, help="A row a time, and a column a series."),
        option(
            "--min-completeness",
            type=click.FloatRange(0, 1),
            default=0.0,
            metavar="SHARE",
            section=_ACROSS,
            help="Leave what is less complete empty.  [default: 0]",
        ),
        option(
            "--by",
            multiple=True,
            metavar="NAME",
            section=_ACROSS,
            help="One row for each value of this tag, not one for all. Repeatable.",
        ),
        option(
            "--across",
            "how",
            metavar="HOW",
            section=_ACROSS,
            help="Aggregate all series' buckets: sum, mean, min, max, count, median, p95.",
        ),
    ):
        decorated = add(decorated)
    return decorated
