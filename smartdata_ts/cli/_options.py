"""Options that several commands share, and what they come to."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._command import option

if TYPE_CHECKING:
    from smartdata_ts import Query, Store

Function = Callable[..., Any]

PRINT_FORMATS = ("table", "csv", "jsonl")
_SELECTION, _BUCKETS, _OUTPUT = "Which readings", "Buckets", "Output"

store_argument = click.argument("store", type=click.Path(path_type=Path))


@dataclass(frozen=True)
class Selection:
    """The selection: which series, over which span."""

    series: tuple[str, ...]
    tags: dict[str, list[str]]
    start: str | None
    end: str | None
    tz: str
    as_of: str | None
    on_corrupt: str

    def query(self, store: "Store") -> "Query":
        """The query for these readings."""
        keys, as_of = list(self.series) or None, self.as_of
        commit = int(as_of) if as_of is not None and as_of.isdecimal() else as_of
        span = (self.start, self.end, self.tz)
        return store.query(keys, self.tags or None, *span, as_of=commit, on_corrupt=self.on_corrupt)


@dataclass(frozen=True)
class Buckets:
    """How readings are aggregated; `every` is None where they are not."""

    every: str | None
    aggregates: tuple[str, ...]
    offset: str | None
    empty: bool
    edges: tuple[str, ...] = ()
    rolling: str | None = None

    def apply(self, query: "Query", tz: str, usual: tuple[str, ...]) -> "Query":
        """The query with this step, if there is one; `usual` are the aggregates where none is named."""
        if self.rolling is not None:
            return query.rolling(self.rolling, self.aggregates or "mean")
        if self.every is None and not self.edges:
            return query
        edges = self.edges or None
        return query.resample(self.every, self.aggregates or usual, tz, self.offset, self.empty, edges)


@dataclass(frozen=True)
class Printing:
    """How results are printed; `format` None is a table on a terminal and CSV in a pipe."""

    format: str | None
    limit: int | None


def tags_of(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> dict[str, list[str]]:
    """Turn NAME=VALUE texts into the values by name."""
    tags: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE", context, parameter)
        tags.setdefault(name, []).append(value)
    return tags


def named_series(keys: Sequence[str], everything: bool) -> list[str] | None:
    """The keys that a command which removes was given; None for everything, which is said by its option."""
    if bool(keys) == everything:
        raise click.UsageError("name the series: KEY..., or --everything for all of the store")
    return None if everything else list(keys)


def single_tags_of(
    context: click.Context, parameter: click.Parameter, texts: Sequence[str]
) -> dict[str, str]:
    """Turn NAME=VALUE texts into one value by name."""
    tags = tags_of(context, parameter, texts)
    for name, values in tags.items():
        if len(values) > 1:
            raise click.BadParameter(f"{name!r} is named twice; a tag has one value", context, parameter)
    return {name: values[0] for name, values in tags.items()}


series_option = option(
    "-s", "--series", multiple=True, metavar="KEY", section=_SELECTION, help="Series of this key. Repeatable."
)
tag_option = option(
    "-t",
    "--tag",
    "tags",
    multiple=True,
    metavar="NAME=VALUE",
    callback=tags_of,
    section=_SELECTION,
    help="Series with this tag. Repeatable: one value of each name must match.",
)


def _zone(context: click.Context, parameter: click.Parameter, name: str) -> str:  # noqa: ARG001
    """The zone, if there is one of this name, whether or not any time will be shown in it."""
    if name == "UTC":
        return name
    from smartdata_ts._time.zone import zone_name

    return zone_name(name)


everything_option = option(
    "--everything", is_flag=True, section=_SELECTION, help="Of all series of the store, in the place of KEYs."
)
tz_option = option(
    "--tz",
    default="UTC",
    callback=_zone,
    metavar="ZONE",
    section=_SELECTION,
    help="IANA time zone of --start, --end, of local days, and of the times shown.  [default: UTC]",
)


_SELECTION_OPTIONS = ("series", "tags", "start", "end", "tz", "as_of", "on_corrupt")


def selection(function: Function) -> Function:
    """Add the options that select readings; the function gets them as `selection`."""

    @functools.wraps(function)
    def call(**options: Any) -> Any:
        chosen = Selection(*(options.pop(name) for name in _SELECTION_OPTIONS))
        with _damage_told():
            return function(selection=chosen, **options)

    start = option(
        "--start", metavar="TIME", section=_SELECTION, help="From here: 2025-10-26 or 2025-10-26T02:30."
    )
    end = option("--end", metavar="TIME", section=_SELECTION, help="Up to, but not including, this time.")
    as_of = option(
        "--as-of",
        metavar="COMMIT",
        section=_SELECTION,
        help="As they were known then: a commit's number, a snapshot's name, or a time.",
    )
    on_corrupt = option(
        "--on-corrupt",
        type=click.Choice(["raise", "skip"]),
        default="raise",
        section=_SELECTION,
        help="Whether damage ends the command, or is left out and told of.  [default: raise]",
    )
    return series_option(tag_option(start(end(tz_option(as_of(on_corrupt(call)))))))


@contextlib.contextmanager
def _damage_told() -> Iterator[None]:
    """Say on standard error what queries left out."""
    from smartdata_ts.errors import DamageWarning

    with warnings.catch_warnings():
        show = warnings.showwarning

        def tell(message: Warning | str, *arguments: Any, **named: Any) -> None:
            if isinstance(message, DamageWarning):
                for problem in message.problems:
                    click.echo(f"left out: {problem}", err=True)
            else:
                show(message, *arguments, **named)

        warnings.simplefilter("always", DamageWarning)
        warnings.showwarning = tell
        yield


def buckets(required: bool) -> Callable[[Function], Function]:
    """Add the options of a resample step; the function gets them as `buckets`."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(
            every: str | None,
            aggregates: tuple[str, ...],
            offset: str | None,
            empty: bool,
            edges: tuple[str, ...],
            rolling: str | None,
            **options: Any,
        ) -> Any:
            if required and every is None and not edges and not rolling:
                raise click.UsageError("say how wide buckets are: --every 1d, or --edges, or --rolling")
            if rolling and (every or edges or offset or empty):
                raise click.UsageError("--rolling has no buckets: no --every, --edges, --offset or --empty")
            chosen = Buckets(every, _listed(aggregates), offset, empty, _listed(edges), rolling)
            return function(buckets=chosen, **options)

        decorated: Function = call
        for add in (
            option(
                "--rolling",
                metavar="WIDTH",
                section=_BUCKETS,
                help="At every reading, the time of this width up to it: 24h.",
            ),
            option(
                "--edges",
                multiple=True,
                metavar="TIMES",
                section=_BUCKETS,
                help="Two or more edges in the place of a width: 2025-01-09,2025-04-11,2025-07-08.",
            ),
            option("--empty", is_flag=True, section=_BUCKETS, help="Give buckets without readings too."),
            option(
                "--offset",
                metavar="WIDTH",
                section=_BUCKETS,
                help="Move the edges: --every 1d --offset 6h is the gas day, 1y with 8mo the water year.",
            ),
            option(
                "-a",
                "--aggregate",
                "aggregates",
                multiple=True,
                metavar="NAMES",
                section=_BUCKETS,
                help="Any of count, sum, min, max, mean, first, last, std, median, p95, expected_count,"
                " completeness, estimated_share. Repeatable, or with commas.  [default: count,min,mean,max;"
                " of consumption sum,completeness,estimated_share]",
            ),
            option(
                "-e",
                "--every",
                metavar="WIDTH",
                section=_BUCKETS,
                help="Width of a bucket on the wall of --tz: 15min, 1h, 1d, 1w, 1mo, 1q, 1y.",
            ),
        ):
            decorated = add(decorated)
        return decorated

    return decorate


def _listed(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return what was given several times, or with commas."""
    return tuple(name.strip() for text in texts for name in text.split(","))


def printing(function: Function) -> Function:
    """Add the options of printed results; the function gets them as `printing`."""

    @functools.wraps(function)
    def call(format: str | None, limit: int | None, **options: Any) -> Any:
        return function(printing=Printing(format, limit), **options)

    limit = option(
        "-n",
        "--limit",
        type=click.IntRange(min=0),
        metavar="N",
        section=_OUTPUT,
        help="Print so many rows, 0 for all.  [default: 40 in a table, else all]",
    )
    return print_format_option(limit(call))


print_format_option = option(
    "-f",
    "--format",
    type=click.Choice(PRINT_FORMATS),
    section=_OUTPUT,
    help="How to print.  [default: table on a terminal, csv in a pipe]",
)
