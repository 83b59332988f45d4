"""Aggregates as users name them: built in, quantiles, histograms, and functions of their own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from smartdata_ts._arguments import text, texts
from smartdata_ts._steps.across import probability_of
from smartdata_ts._steps.bucket_values import (
    OF_AMOUNTS,
    OF_READINGS,
    BucketValues,
    Function,
    Histogram,
    Measure,
    Quantile,
)
from smartdata_ts._steps.buckets import AGGREGATES, OF_LEVELS, Buckets
from smartdata_ts._time.calendar import Calendar, Edges
from smartdata_ts.errors import UsageError
from smartdata_ts.kernels.compiler.user_functions import loop_over_buckets

from .grammar import Rows

# The argument of `resample`: a name, some names, or the meaning of each column.
Aggregates = str | Sequence[str] | Mapping[str, str | Sequence[float] | Callable[..., Any]]


def bucket_step(
    rows: Rows,
    calendar: Calendar | Edges,
    aggregates: Aggregates,
    empty: bool,
) -> Buckets | BucketValues:
    """The step that makes these aggregates of the rows before it."""
    if rows is Rows.LEVELS:
        names = tuple(parse_aggregates(aggregates, OF_LEVELS))
        if not set(names) <= set(OF_LEVELS):
            raise UsageError(f"of what hold() gives, aggregates are {', '.join(OF_LEVELS)}")
        return Buckets(calendar, names, empty, of_levels=True)
    of_amounts = rows is Rows.AMOUNTS
    columns = parse_aggregates(aggregates, OF_AMOUNTS if of_amounts else OF_READINGS)
    if of_amounts and set(columns) <= set(AGGREGATES) and all(name == what for name, what in columns.items()):
        return Buckets(calendar, tuple(columns), empty)
    if any((name == "expected_count") != (what == "expected_count") for name, what in columns.items()):
        raise UsageError("expected_count goes under its own name, and nothing else does")
    return BucketValues(calendar, tuple(columns.items()), empty, of_amounts)


def parse_aggregates(given: Aggregates, known: tuple[str, ...]) -> dict[str, str | Measure]:
    """Each column's name, and what it is: the name of a known aggregate, or a measure of values."""
    if not isinstance(given, Mapping):
        names = texts(f"aggregates must be among {', '.join(known)}", given)
        if len(set(names)) < len(names):
            raise UsageError(f"an aggregate is named twice: {', '.join(names)}")
        given = dict(zip(names, names, strict=True))
    if not given:
        raise UsageError(f"aggregates must be among {', '.join(known)}, not none")
    for name in given:
        text("the name of a column", name)
    taken = [name for name in given if name in ("series", "time")]
    if taken:
        raise UsageError(f"an aggregate cannot be called {taken[0]!r}: there is such a column")
    return {name: _parse(name, what, known) for name, what in given.items()}


def _parse(name: str, what: object, known: tuple[str, ...]) -> str | Measure:
    if isinstance(what, str):
        if what in known:
            return what
        probability = probability_of(what)
        if probability is None:
            raise UsageError(
                f"aggregates must be among {', '.join(known)}, median, p5 and other percentiles, not {what!r}"
            )
        return Quantile(probability)
    if callable(what):
        try:
            loop_over_buckets(what)
        except (TypeError, ValueError) as problem:
            raise UsageError(
                f"aggregate {name!r}: Numba cannot compile the function: {problem}. It takes a bucket's "
                "values (or values and times) as an array, which it must not change, and returns a number"
            ) from problem
        return Function(what)
    return Histogram(_edges(name, what))


def _edges(name: str, what: object) -> tuple[float, ...]:
    try:
        edges = np.asarray(what, np.float64)
    except (TypeError, ValueError, OverflowError) as problem:
        raise UsageError(
            f"aggregate {name!r} must be a name, a function or the edges of a histogram, not {what!r}"
        ) from problem
    if edges.ndim != 1 or edges.size == 0 or not np.all(np.diff(edges) > 0):
        raise UsageError(f"aggregate {name!r}: the edges of a histogram must increase")
    return tuple(edges.tolist())
