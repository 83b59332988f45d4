"""Rules of retention: for how long a series' readings are kept as they came, and coarser ones after that.

A rule says which series it is for (a pattern of keys, a quantity, tags; of several rules the first that
fits counts) and what is kept of them, from fine to coarse: "raw", then widths of buckets, each up to an
age or "forever". Nothing older than the last age is kept.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

import numpy as np

from smartdata_ts._arguments import items, shown, text, text_or_none, texts
from smartdata_ts._time.calendar import Calendar
from smartdata_ts._time.span import TIME_MIN
from smartdata_ts._time.zone import TimeZone, zone_name
from smartdata_ts._write.chunks import year_of, year_start
from smartdata_ts.errors import UsageError
from smartdata_ts.kernels.arrays import Int64Array

RAW = "raw"
FOREVER = "forever"
_FIELDS = {"series", "quantity", "tags", "keep", "tz"}
# Calendars have no edges further away.
_EARLIEST_US = -(2**62) + 800 * 86_400_000_000


@dataclass(frozen=True)
class Rule:
    """One rule; ages as they were written, from fine to coarse."""

    keep: tuple[tuple[str, str], ...]  # resolution, age
    series: str | None = None
    quantity: str | None = None
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tz: str = "UTC"

    def fits(self, key: str, quantity: str | None, tags: Mapping[str, str]) -> bool:
        """Whether the rule is for a series."""
        return (
            (self.series is None or fnmatchcase(key, self.series))
            and (self.quantity is None or self.quantity == quantity)
            and all(tags.get(name) in values for name, values in self.tags)
        )

    def as_mapping(self) -> dict[str, object]:
        """The rule as it may be given to `set_retention`."""
        said = {name: value for name, value in asdict(self).items() if value}
        said["keep"] = dict(self.keep)
        if self.tags:
            said["tags"] = {name: list(values) for name, values in self.tags}
        return said

    @property
    def is_thinning(self) -> bool:
        """Whether coarser readings take the place of others, for which the kind of a series must be known."""
        return len(self.keep) > 1


@dataclass(frozen=True)
class Segment:
    """A span, at most some year, in which one resolution is kept: the edges of its buckets."""

    edges: Int64Array
    keeps: bool  # False: nothing is kept

    @property
    def time_min(self) -> int:
        """The first microsecond."""
        return int(self.edges[0])

    @property
    def time_max(self) -> int:
        """The last microsecond."""
        return int(self.edges[-1]) - 1


def checked_rules(rules: Iterable[object], tz: TimeZone) -> tuple[Rule, ...]:
    """Rules as they were given, checked; UsageError says which is none, and why."""
    zone_name(tz)  # also where no rule needs it
    listed = items(rules)
    if listed is None:
        raise UsageError(f"retention takes a list of rules, not {shown(rules)}")
    return tuple(_checked_rule(f"rule {number}", rule, tz) for number, rule in enumerate(listed, 1))


def _checked_rule(where: str, given: object, tz: TimeZone) -> Rule:
    if not isinstance(given, Mapping) or not set(given) <= _FIELDS or "keep" not in given:
        raise UsageError(
            f"{where}: a rule has keep, and may have series, quantity, tags, tz; not {shown(given)}"
        )
    series, quantity = (text_or_none(f"{where}: {name}", given.get(name)) for name in ("series", "quantity"))
    tags = given.get("tags")
    if not isinstance(tags, Mapping | None):
        raise UsageError(f"{where}: tags are a mapping of names to values, not {shown(tags)}")
    pairs = {
        text(f"{where}: the name of a tag", name): texts(
            f"{where}: tag {name!r} must be a text or a list", values
        )
        for name, values in (tags or {}).items()
    }
    for name, values in pairs.items():
        if not values:
            raise UsageError(
                f"{where}: no value of tag {name!r} is given, so that the rule would fit no series"
            )
    zone = zone_name(given.get("tz", tz))
    return Rule(
        _checked_keep(where, given["keep"], zone), series, quantity, tuple(sorted(pairs.items())), zone
    )


def _checked_keep(where: str, keep: object, tz: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(keep, Mapping) or next(iter(keep), None) != RAW:
        raise UsageError(
            f"{where}: keep says for how long, from fine to coarse, beginning with 'raw', such as"
            f" {{'raw': '2y', '1h': '5y', '1mo': 'forever'}}; not {shown(keep)}"
        )
    levels = tuple(keep.items())
    widths = [0] + [Calendar.parse(resolution, tz).usual_width_us for resolution, _ in levels[1:]]
    ages = [_usual_age(age) for _, age in levels]
    if any(later <= earlier for earlier, later in pairwise(widths)):
        raise UsageError(f"{where}: each bucket must be wider than the one before: {', '.join(keep)}")
    if any(later <= earlier for earlier, later in pairwise(ages)):
        raise UsageError(
            f"{where}: each age must be higher than the one before, and 'forever' the last: {dict(keep)}"
        )
    return levels


def _usual_age(age: object) -> float:
    return float("inf") if age == FOREVER else Calendar.parse(age).usual_width_us  # type: ignore[arg-type]


def segments(rule: Rule, now_us: int, first_us: int) -> list[Segment]:
    """Cut the time from the first reading to now by a rule's ages, the oldest first; raw ages left out."""
    first_us = max(first_us, _EARLIEST_US)
    calendars = [None, *(Calendar.parse(resolution, rule.tz) for resolution, _ in rule.keep[1:])]
    cuts: list[int] = []
    for number, (_, age) in enumerate(rule.keep):
        if age == FOREVER:
            break
        cut = max(_before(now_us, Calendar.parse(age)), _EARLIEST_US)
        # Whole buckets only: of what comes next, or of what goes.
        calendar = (*calendars, None)[number + 1] or calendars[number]
        cuts.append(cut if calendar is None else int(calendar.edges(cut, cut)[0]))
    found: list[Segment] = []
    for number, high in enumerate(cuts):
        low = min(cuts[number + 1], high) if number + 1 < len(cuts) else TIME_MIN
        calendar = (*calendars, None)[number + 1]
        if first_us < high and low < high:
            found[:0] = _cut_at_years(_edges(calendar, max(low, first_us), low, high), calendar is not None)
    return found


def _edges(calendar: Calendar | None, start: int, low: int, high: int) -> Int64Array:
    if calendar is None:
        years = [year_start(year) for year in range(year_of(start) + 1, year_of(high) + 1)]
        return np.array([start, *(year for year in years if start < year < high), high], np.int64)
    edges = calendar.edges(start, high)
    edges[0] = max(int(edges[0]), low)
    edges[-1] = high
    return edges


def _cut_at_years(edges: Int64Array, keeps: bool) -> list[Segment]:
    """Edges in parts of about a UTC year, which is what a chunk covers."""
    years = [year_start(year) for year in range(year_of(int(edges[0])) + 1, year_of(int(edges[-1])) + 1)]
    cuts = np.searchsorted(edges, np.array(years, np.int64), "right") - 1
    bounds = np.unique([0, *cuts.tolist(), edges.size - 1])
    return [
        Segment(edges[low : high + 1], keeps)
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]


def _before(now_us: int, age: Calendar) -> int:
    """The instant that was so long ago; of months the same day of the month, or its last."""
    if age.width_us:
        return now_us - age.width_us
    now = np.int64(now_us).view("datetime64[us]")
    month = now.astype("datetime64[M]")
    into = now - month.astype("datetime64[us]")
    then = month - np.timedelta64(age.width_months, "M")
    last = (then + np.timedelta64(1, "M")).astype("datetime64[us]") - np.timedelta64(1, "us")
    return int(min(then.astype("datetime64[us]") + into, last).astype(np.int64))


def rules_as_text(rules: Iterable[Rule]) -> str:
    """The rules as the catalog keeps them."""
    return json.dumps([rule.as_mapping() for rule in rules], ensure_ascii=False, separators=(",", ":"))
