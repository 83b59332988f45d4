"""A query's description: which series, which span, which steps. It knows nothing of its execution."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, Self

import pyarrow as pa

from smartdata_ts._arguments import items, shown, texts, whole_number
from smartdata_ts._readings.schema import READINGS_SCHEMA
from smartdata_ts._time.instant import parse_instant
from smartdata_ts._time.span import TIME_MAX, TIME_MIN
from smartdata_ts.errors import UsageError

from .grammar import STEPS, Rows

if TYPE_CHECKING:
    from smartdata_ts._steps.step import Step
    from smartdata_ts._storage.catalog import Catalog
    from smartdata_ts._storage.snapshot import Snapshot


class Source(Protocol):
    """A store, as far as the execution of a query needs it."""

    def pin(self, as_of: int | None = None) -> "tuple[Catalog, Snapshot]":
        """The catalog, and the readings as of a commit, or of the newest."""


@dataclass(frozen=True)
class Description:
    """Which series, which span, and what to make of their readings."""

    store: Source
    series: tuple[str, ...] | None = None
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    start_us: int | None = None
    end_us: int | None = None  # exclusive
    steps: "tuple[Step, ...]" = ()
    as_of: int | None = None  # a commit; None: the newest
    qualities: tuple[int, ...] | None = None  # codes; None: all
    tz: str = "UTC"  # of buckets, unless they say otherwise
    on_corrupt: str = "raise"  # or "skip"

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last microsecond that was asked for."""
        time_min = TIME_MIN if self.start_us is None else self.start_us
        return time_min, TIME_MAX if self.end_us is None else self.end_us - 1

    @property
    def rows(self) -> Rows:
        """The rows that the steps give."""
        rows = Rows.STORED
        for step in self.steps:
            rows = STEPS[step.method].gives[rows]
        return rows

    @property
    def schema(self) -> pa.Schema:
        """The schema of the result; of units it knows what the steps say."""
        schema = READINGS_SCHEMA
        for step in self.steps:
            schema = step.schema(schema)
        return schema

    def split_by_series(self, part_count: int, keys: Iterable[str] | None = None) -> list[Self]:
        """This query for some of its series at a time: the results of the parts in turn are the whole.

        There are `part_count` parts, or as many as there are series. `keys` are the store's, and may be
        more than the query selects; a query that names its series needs none. A part that is asked
        later sees later commits, unless the query says `as_of`.

        Raises UsageError where a row of the result depends on several series: after aggregate(), and of
        resample(empty=True) over an open span.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": ["a", "b", "c"], "time": [0, 0, 0], "value": [1.5, 2.0, 2.5]})
        >>> parts = store.query().last().split_by_series(2, store.series()["series"])
        >>> [part.to_arrow()["value"].to_pylist() for part in parts]
        [[1.5], [2.0, 2.5]]
        """
        part_count = whole_number("part_count", part_count, 1)
        self._need_no_tie([step.tie_of_series(self._is_open) for step in self.steps])
        given = None if keys is None else texts("keys must be a list of keys", keys)
        named = given if self.series is None else self.series
        if named is None:
            raise UsageError('split_by_series() takes the keys of the store too: store.series()["series"]')
        wanted = sorted(set(named) & set(named if given is None else given))
        count = max(min(part_count, len(wanted)), 1)
        bounds = [len(wanted) * k // count for k in range(count + 1)]
        return [replace(self, series=tuple(wanted[a:b])) for a, b in pairwise(bounds)]

    def split_by_time(self, cuts: Iterable[object]) -> list[Self]:
        """This query cut at instants: all rows of its parts, sorted by series and time, are the whole result.

        `cuts` are times as `Store.query` takes them. Each moves back to where a bucket begins; cuts outside
        the span, and doubles, do not count. Each part reads the neighbours that its steps need. Results are
        the same to the bit, but for "std" and for sums that round, which may differ in the last place. A part
        that is asked later sees later commits, unless the query says `as_of`.

        Raises UsageError where the parts would not be the whole: last() goes over all of time; consumption()
        looks a day around a fall of a register; fill(), expected_count and the completeness of readings are
        made with a step that is usual over all the span; hold() alone has intervals that cross a cut.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 86_400_000_000], "value": [1.5, 2.0]})
        >>> days = store.query().resample("1d", "sum")
        >>> [part.to_arrow()["sum"].to_pylist() for part in days.split_by_time(["1970-01-02T12:00"])]
        [[1.5], [2.0]]
        """
        ties = [step.tie_of_times(self._is_open) for step in self.steps]
        if self.rows is Rows.LEVELS:
            ties.append("an interval that crosses a cut would be in both parts")
        self._need_no_tie(ties)
        low, high = self.span
        listed = items(cuts)
        if listed is None:
            raise UsageError(f"cuts must be a list of times, not {shown(cuts)}")
        edges = [parse_instant(cut, self.tz) for cut in listed]
        for step in self.steps:
            edges = [step.edge_at(edge) for edge in edges]
        inside = sorted({edge for edge in edges if low < edge <= high})
        pairs = zip([self.start_us, *inside], [*inside, self.end_us], strict=True)
        return [replace(self, start_us=start_us, end_us=end_us) for start_us, end_us in pairs]

    @property
    def _is_open(self) -> bool:
        return self.start_us is None or self.end_us is None

    def _need_no_tie(self, ties: Sequence[str | None]) -> None:
        reason = next((tie for tie in ties if tie is not None), None)
        if reason is not None:
            raise UsageError(f"the query cannot be split so: {reason}")
