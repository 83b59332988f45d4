"""Options that make something of readings before they are aggregated, and what they come to."""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ._command import option
from ._options import Function

if TYPE_CHECKING:
    from smartdata_ts import Query

_STEPS = "What to make of them"


@dataclass(frozen=True)
class Steps:
    """The steps over the readings, in the order of the fields."""

    consumption: bool
    unit: str | None  # of the amounts, or of what is aggregated across series
    fill: tuple[tuple[str, str | None], ...]  # methods and their limits
    difference: bool
    rate: str | None  # per so much time

    @property
    def usual_aggregates(self) -> tuple[str, ...]:
        """Return the aggregates of a bucket where none are named."""
        if self.consumption:
            return ("sum", "completeness", "estimated_share")
        return ("count", "min", "mean", "max")

    @property
    def unit_across(self) -> str | None:
        """Return the unit for an aggregate across series; amounts have theirs already."""
        return None if self.consumption else self.unit

    def apply(self, query: "Query") -> "Query":
        """The query with these steps."""
        if self.consumption:
            query = query.consumption(self.unit)
        if self.fill:
            query = query.fill([(method, limit or "7d") for method, limit in self.fill])
        if self.difference:
            query = query.difference()
        return query if self.rate is None else query.rate(self.rate)


def steps(function: Function) -> Function:
    """Add the options; the function gets them as `steps`."""

    @functools.wraps(function)
    def call(
        consumption: bool,
        unit: str | None,
        fill: tuple[str, ...],
        difference: bool,
        rate: str | None,
        **options: Any,
    ) -> Any:
        if difference and rate:
            raise click.UsageError("--difference or --rate, not both")
        rules = tuple(_rule(text.strip()) for chain in fill for text in chain.split(","))
        return function(steps=Steps(consumption, unit, rules, difference, rate), **options)

    decorated: Function = call
    for add in (
        option("--rate", metavar="WIDTH", section=_STEPS, help="Changes since the reading before, per 1h."),
        option("--difference", is_flag=True, section=_STEPS, help="Changes since the reading before."),
        option(
            "--fill",
            multiple=True,
            metavar="METHOD[:LIMIT]",
            section=_STEPS,
            help="Fill gaps up to LIMIT, 7d unless said: previous, next, linear, profile, conserve."
            " Several make a chain: linear:2h,profile:30d.",
        ),
        option(
            "--unit",
            metavar="UCUM",
            section=_STEPS,
            help="Unit of --consumption, or of what is aggregated across series: m3, kW.h.",
        ),
        option(
            "--consumption",
            is_flag=True,
            section=_STEPS,
            help="What registers counted between readings, split at the edges of buckets.",
        ),
    ):
        decorated = add(decorated)
    return decorated


def _rule(text: str) -> tuple[str, str | None]:
    method, _, limit = text.partition(":")
    return method, limit or None
