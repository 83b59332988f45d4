"""Queries as JSON: {"version": 1, "select": {...}, "steps": [[name, {arguments}], ...]}.

A text is read by calls of `Store.query` and of the methods of `Query`: names, defaults and errors are theirs.
`docs/query.schema.json` is made from their signatures.
"""

import inspect
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from smartdata_ts._arguments import shown
from smartdata_ts._meter.quality import STATUSES
from smartdata_ts._steps.step import Step
from smartdata_ts._time.instant import instant_text
from smartdata_ts.errors import UsageError

from .builder import Builder
from .grammar import STEPS

VERSION = 1
METHODS = (*STEPS, "align")  # which is a fill() by another name
_KEYS = ("version", "select", "steps")


def text_of(query: Builder) -> str:
    """The query as JSON, on one line; UsageError where it has what JSON cannot say."""
    try:
        return json.dumps(_object_of(query), ensure_ascii=False, allow_nan=False)
    except ValueError as problem:
        raise UsageError(
            f"a number of the query is not finite, and JSON has finite numbers only: {problem}"
        ) from None


def _object_of(query: Builder) -> dict[str, Any]:
    select = {
        "series": None if query.series is None else list(query.series),
        "tags": {name: list(values) for name, values in query.tags} or None,
        "start": None if query.start_us is None else instant_text(query.start_us),
        "end": None if query.end_us is None else instant_text(query.end_us),
        "tz": query.tz,
        "as_of": query.as_of,
        "quality": None if query.qualities is None else _quality_names(query.qualities),
        "on_corrupt": query.on_corrupt,
    }
    plain = {"tz": "UTC", "on_corrupt": "raise"}
    kept = {name: value for name, value in select.items() if value != plain.get(name)}
    return {"version": VERSION, "select": kept, "steps": [_step_of(query, step) for step in query.steps]}


def _step_of(query: Builder, step: Step) -> list[Any]:
    """The name of a step's method, and the arguments that are not its defaults."""
    parameters = inspect.signature(getattr(type(query), step.method)).parameters
    found = {}
    for name, value in step.arguments().items():
        if isinstance(value, Builder):
            found[name] = _object_of(value)
        elif name == "tz" and value == query.tz:
            continue
        elif value != parameters[name].default:
            found[name] = value
    measures = found.get("aggregates")
    for name, what in measures.items() if isinstance(measures, dict) else ():
        if callable(what):
            raise UsageError(
                f"aggregate {name!r} is a function, which JSON cannot say; functions stay in the program that"
                " asks. Leave it out, or pickle the query"
            )
    return [step.method, found]


def _quality_names(codes: tuple[int, ...]) -> list[str | int]:
    """Statuses by name where all their methods are meant, and other codes as they are."""
    whole = [k for k in range(len(STATUSES)) if {k | method << 4 for method in range(16)} <= set(codes)]
    return [*(STATUSES[k] for k in whole), *(code for code in codes if code & 15 not in whole)]


def query_of(store: Any, given: Any) -> Any:
    """The query that a text describes; UsageError where it describes none."""
    if not isinstance(given, str):
        raise UsageError(f"a query's text must be a text, not {shown(given)}")
    ask = getattr(store, "query", None)
    if not callable(ask):
        raise UsageError(f"a query is asked of a store, not of {shown(store)}")
    try:
        parsed = json.loads(
            given, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole
        )
        return _query_of(ask, parsed)
    except RecursionError:
        raise UsageError("the query's text is nested too deeply") from None
    except json.JSONDecodeError as problem:
        raise UsageError(f"the query's text is no JSON: {problem}") from None


def _query_of(ask: Callable[..., Any], parsed: Any) -> Any:
    said = _object("a query", parsed, _KEYS)
    version = said.get("version", VERSION)
    if type(version) is not int or version != VERSION:
        raise UsageError(
            f"version {shown(version)} of a query's text is not known; this release reads {VERSION}"
        )
    query = _called("select", ask, said.get("select", {}))
    steps = said.get("steps", [])
    if not isinstance(steps, list):
        raise UsageError(f"steps must be a list of [name, {{arguments}}], not {shown(steps)}")
    for step in steps:
        if not isinstance(step, list) or len(step) != 2 or not isinstance(step[0], str):
            raise UsageError(f"a step must be [name, {{arguments}}], not {shown(step)}")
        name, arguments = step
        if name not in METHODS:
            raise UsageError(f"unknown step {shown(name)}; there are {', '.join(METHODS)}")
        if name == "join_asof" and isinstance(arguments, dict) and "other" in arguments:
            arguments = {**arguments, "other": _query_of(ask, arguments["other"])}
        query = _called(name, getattr(query, name), arguments)
    return query


def _called(name: str, method: Callable[..., Any], arguments: Any) -> Any:
    """The method's answer; UsageError where it has no parameters of these names, or lacks some."""
    parameters = inspect.signature(method).parameters
    given = _object(name, arguments, tuple(parameters))
    lacking = [key for key, known in parameters.items() if known.default is known.empty and key not in given]
    if lacking:
        raise UsageError(f"{name} needs {', '.join(lacking)}")
    return method(**given)


def _object(name: str, given: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        raise UsageError(f"{name} must be an object, not {shown(given)}")
    unknown = [key for key in given if key not in known]
    if unknown:
        there = ", ".join(known) or "none"
        raise UsageError(f"{name} has no key {shown(unknown[0])}; there are {there}")
    return given


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"the query's text has the key {shown(twice)} twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise UsageError(f"the query's text has {name}, which is no number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise UsageError(f"the query's text has the number {shown(digits)}, which no double can hold")
    return value


def _whole(digits: str) -> int:
    if len(digits) > 20:  # more than any int64
        raise UsageError(f"the query's text has the number {shown(digits)}, which has more than 64 bits")
    return int(digits)
