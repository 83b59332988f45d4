"""The face of a rule: a frozen dataclass whose fields are its options, in a file of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from smartdata_ts._arguments import number, shown
from smartdata_ts._detect.findings import Finding
from smartdata_ts._detect.rows import Rows
from smartdata_ts._time.calendar import Calendar
from smartdata_ts.errors import UsageError


@dataclass(frozen=True)
class Rule:
    """Looks for one kind of fault in some series' rows.

    A rule gives what it finds in all the rows that there are; what lies outside of the span that was asked
    for is left out by who asked. Texts are templates over a finding's evidence, by language and wording.
    """

    name: ClassVar[str]
    needs: ClassVar[str]  # amounts, gauges, or all
    severity: ClassVar[str]
    look_back_days: ClassVar[int]
    source: ClassVar[str]
    texts: ClassVar[Mapping[str, Mapping[str, str]]]

    def find(self, rows: Rows) -> Iterator[Finding]:
        """Yield the findings, series by series, in the order of time."""
        raise NotImplementedError

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The options, with their defaults."""
        return {field.name: field.default for field in fields(cls)}

    @classmethod
    def with_options(cls, options: Mapping[str, Any]) -> "Rule":
        """The rule with some options of its own; UsageError where it has none such, or they do not fit."""
        known = cls.defaults()
        unknown = [name for name in options if name not in known]
        if unknown:
            there = ", ".join(known) or "none"
            raise UsageError(f"rule {cls.name!r} has no option {shown(unknown[0])}; its options are: {there}")
        return cls(**{name: cls._option(name, value, known[name]) for name, value in options.items()})

    @classmethod
    def _option(cls, name: str, value: Any, default: Any) -> Any:
        where = f"option {name!r} of rule {cls.name!r}"
        if isinstance(default, str):
            width_us(where, value)
            return value
        if isinstance(default, float):
            return number(where, value, 0.0)
        return rate_text(where, value)


def width_us(where: str, text: object) -> int:
    """A fixed width such as "24h" in us."""
    width = Calendar.parse(text).fixed_width_us if isinstance(text, str) else None
    if width is None:
        raise UsageError(f"{where} is a fixed width such as '24h', not {shown(text)}")
    return width


def rate_text(where: str, value: Any) -> str | None:
    """A rate such as "40 L/h", as it is; None says nothing."""
    if value is not None:
        rate_of(where, value)
    return value  # type: ignore[no-any-return]


def rate_of(where: str, text: object) -> tuple[float, str]:
    """The number of a rate and the unit of its amount: of "40 L/h" 40 and L."""
    parts = text.strip().removesuffix("/h").split() if isinstance(text, str) else []
    if len(parts) != 2 or not str(text).strip().endswith("/h"):
        raise UsageError(f"{where} is an amount an hour such as '40 L/h', not {shown(text)}")
    try:
        amount = float(parts[0])
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise UsageError(f"{where} is an amount an hour such as '40 L/h', not {shown(text)}")
    return amount, parts[1]
