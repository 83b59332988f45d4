"""The common share of all steps that `Query.resample` adds: a calendar, and aggregates of its buckets."""

from collections.abc import Mapping
from typing import Any

from smartdata_ts._steps.step import Step
from smartdata_ts._time.calendar import Calendar, Edges
from smartdata_ts._time.instant import instant_text


class Bucketed(Step):
    """A step to buckets of time, series by series."""

    method = "resample"
    calendar: Calendar | Edges
    empty: bool

    @property
    def measures(self) -> Mapping[str, Any]:
        """The meaning of each column: the name of an aggregate, or a measure with an `argument`."""
        raise NotImplementedError

    @property
    def of_intervals(self) -> bool:
        """Whether the rows before it are intervals, whose share of a bucket is known by itself."""
        return False

    def arguments(self) -> dict[str, Any]:
        """The calendar in words, and the aggregates by name; a mapping where the names are not theirs."""
        given = {name: getattr(what, "argument", what) for name, what in self.measures.items()}
        is_plain = all(name == what for name, what in given.items())
        found = {"aggregates": list(given) if is_plain else given, "empty": self.empty}
        if isinstance(self.calendar, Edges):
            return found | {"edges": [instant_text(edge) for edge in self.calendar.instants_us]}
        offset = self.calendar.offset
        return found | {"every": self.calendar.every, "tz": self.calendar.tz, "offset": offset}

    def edge_at(self, time_us: int) -> int:
        """Where the bucket of an instant begins; the ends of a list of edges for what lies outside."""
        if isinstance(self.calendar, Edges):
            first, last = self.calendar.instants_us[0], self.calendar.instants_us[-1]
            time_us = min(max(time_us, first), last)
        return int(self.calendar.edges(time_us, time_us)[0])

    def tie_of_series(self, is_open: bool) -> str | None:
        """Empty buckets of an open span reach from the first to the last reading of all series."""
        if not (self.empty and is_open):
            return None
        return "resample(empty=True) without a start and an end goes over the time that any series has"

    def tie_of_times(self, is_open: bool) -> str | None:
        """The count that a series is expected to have is drawn from all the span."""
        drawn = {"expected_count"} if self.of_intervals else {"expected_count", "completeness"}
        found = sorted(drawn & {what for what in self.measures.values() if isinstance(what, str)})
        if found:
            return f"{found[0]} is made with a step that is usual over all the span"
        return self.tie_of_series(is_open)
