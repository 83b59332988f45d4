"""The table of rules: the one list that names them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from smartdata_ts._arguments import items, shown
from smartdata_ts._detect.backflow import Backflow
from smartdata_ts._detect.burst import Burst
from smartdata_ts._detect.dead import Dead
from smartdata_ts._detect.impossible import Impossible
from smartdata_ts._detect.leak import Leak
from smartdata_ts._detect.rule import Rule
from smartdata_ts._detect.silent import Silent
from smartdata_ts._detect.spike import Spike
from smartdata_ts._detect.stuck import Stuck
from smartdata_ts.errors import UsageError

Rules = str | Sequence[str | tuple[str, Mapping[str, object]]] | None

RULES: dict[str, type[Rule]] = {
    rule.name: rule for rule in (Leak, Burst, Backflow, Dead, Stuck, Spike, Impossible, Silent)
}


def rules() -> pa.Table:
    """The rules that look for faults: one row each, in the order in which they are tried.

    Columns: name, needs (amounts, gauges or all), severity (note, warning or alarm), look_back_days (how much
    before the span a rule reads), options (a map of names to defaults, as text), and source.

    >>> import smartdata_ts as sd
    >>> sd.rules()["name"].to_pylist()[0]
    'leak'
    """
    found = list(RULES.values())
    options = [[(name, str(value)) for name, value in rule.defaults().items()] for rule in found]
    return pa.table(
        {
            "name": [rule.name for rule in found],
            "needs": [rule.needs for rule in found],
            "severity": [rule.severity for rule in found],
            "look_back_days": pa.array([rule.look_back_days for rule in found], pa.int64()),
            "options": pa.array(options, pa.map_(pa.string(), pa.string())),
            "source": [rule.source for rule in found],
        }
    )


def rules_of(given: object, has_amounts: bool) -> tuple[Rule, ...]:
    """The rules that are meant: names, or pairs of a name and options; None: all that fit.

    Raises UsageError where a rule is not there, is named twice, or needs other rows than there are.
    """
    if given is None:
        return tuple(rule() for rule in RULES.values() if _fits(rule, has_amounts))
    listed = [given] if isinstance(given, str) else items(given)
    if not listed:
        raise UsageError(f"rules must be names of rules, or None for all that fit, not {shown(given)}")
    chosen = tuple(_rule(one) for one in listed)
    for k, rule in enumerate(chosen):
        if any(rule.name == other.name for other in chosen[:k]):
            raise UsageError(f"rule {rule.name!r} is named twice")
        if not _fits(type(rule), has_amounts):
            raise UsageError(
                f"rule {rule.name!r} needs amounts: query.consumption().detect(...)"
                if rule.needs == "amounts"
                else f"rule {rule.name!r} needs readings of gauges: query.detect(...) without consumption()"
            )
    return chosen


def _fits(rule: type[Rule], has_amounts: bool) -> bool:
    return rule.needs == "all" or (rule.needs == "amounts") == has_amounts


def _rule(given: object) -> Rule:
    pair = [given, {}] if isinstance(given, str) else items(given) or []
    if len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], Mapping):
        raise UsageError(
            f"a rule is a name, or a pair such as ('leak', {{'for_': '48h'}}), not {shown(given)}"
        )
    name: str = pair[0]
    options: dict[Any, Any] = dict(pair[1])
    if name not in RULES:
        raise UsageError(f"there is no rule {shown(name)}; there are {', '.join(RULES)}")
    if not all(isinstance(option, str) for option in options):
        raise UsageError(f"options of rule {name!r} have names, which {shown(options)} do not")
    return RULES[name].with_options(options)
