"""A query is a small immutable description; nothing is read until it is asked for its result.

Queries can be printed, pickled (with the path of their store) and refined: every method that narrows
or adds a step returns a new one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from smartdata_ts._calendar import Calendar
from smartdata_ts._catalog import SERIES_FACTS, Catalog
from smartdata_ts._plan import TIME_MAX, TIME_MIN, Plan, make_plan
from smartdata_ts._scan import READINGS_SCHEMA, reading_batches
from smartdata_ts._snapshot import Snapshot
from smartdata_ts._steps import buckets
from smartdata_ts._steps.consumption import Consumption
from smartdata_ts._steps.fill import FILLS, Fill
from smartdata_ts._steps.fill import TIME_MAX as NO_LIMIT
from smartdata_ts._steps.frame import Facts, Step, frame_batches
from smartdata_ts._steps.last import last_batch
from smartdata_ts._steps.resample import AGGREGATES, resample_batches, resample_schema
from smartdata_ts._steps.rolling import ROLLING, Difference, Rolling
from smartdata_ts._steps.within import Within, widened
from smartdata_ts.errors import CorruptChunkError, MissingDependencyError, UnknownSeriesError, UsageError
from smartdata_ts.kernels._jit import Int64Array

if TYPE_CHECKING:
    import pandas
    import polars


class Source(Protocol):
    """What a query needs of a store."""

    def pin(self, as_of: int | None = None) -> tuple[Catalog, Snapshot]:
        """The catalog, and the readings as of a commit, or of the newest."""


@dataclass(frozen=True)
class Resample:
    """Aggregates over buckets of a calendar."""

    calendar: Calendar
    aggregates: tuple[str, ...]
    empty: bool


@dataclass(frozen=True)
class Last:
    """The newest reading of each series."""


@dataclass(frozen=True)
class Query:
    """Which series, which span, and what to make of their readings; `Store.query` makes one.

    Results are Arrow tables sorted by series and time. A query can be given to whatever reads Arrow:
    `polars.DataFrame(query)`, `duckdb.sql("select * from query")`.
    """

    store: Source
    series: tuple[str, ...] | None = None
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    start_us: int | None = None
    end_us: int | None = None  # exclusive
    steps: tuple[Resample | Last | Step, ...] = ()
    as_of: int | None = None  # a commit; None: the newest
    qualities: tuple[int, ...] | None = None  # codes; None: all

    def resample(
        self,
        every: str,
        aggregates: str | Sequence[str],
        tz: str = "UTC",
        offset: str | None = None,
        empty: bool = False,
    ) -> "Query":
        """Aggregate each series over buckets of time.

        `every` is a width such as "15min", "1h", "1d", "1w", "1mo", "1q", "1y", in the wall time of the
        IANA zone `tz`; `offset` moves the edges ("1d" with "6h" is the gas day). `aggregates` are any of
        count, sum, min, max, mean, first, last, std (of the sample). NaN readings are skipped; sums are
        within one unit in the last place of the exact sum. Columns: series, time (the bucket's start),
        then one per aggregate: count int64, all else double, null where it has no value. Buckets without
        readings are left out, or given with count 0 where `empty`.

        After `consumption`, aggregates are any of sum (amounts are split at a bucket's edges in proportion
        to time), count, min, max (of the intervals that begin in it), completeness (the share of the
        bucket's time for which there is an amount) and estimated_share (of that time).

        Raises UsageError for an unknown aggregate or width, UnknownTimeZoneError for an unknown zone.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [1.5, 2.0]})
        >>> store.query().resample("1d", ["count", "sum"], tz="Europe/Oslo").to_arrow()["sum"].to_pylist()
        [3.5]
        """
        names = (aggregates,) if isinstance(aggregates, str) else tuple(aggregates)
        if self.steps:
            self._need_rows_of_series("resample")
        known_names = buckets.AGGREGATES if self.steps else AGGREGATES
        unknown = [name for name in names if name not in known_names]
        if unknown or not names:
            known = ", ".join(known_names)
            raise UsageError(f"aggregates must be among {known}, not {unknown or 'none'}")
        if len(set(names)) < len(names):
            raise UsageError(f"an aggregate is named twice: {', '.join(names)}")
        calendar = Calendar.parse(every, tz, offset)
        step = buckets.Buckets if self.steps else Resample
        return replace(self, steps=(*self.steps, step(calendar, names, empty)))

    def last(self) -> "Query":
        """The newest reading of each series, within the query's span.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [1.5, 2.0]})
        >>> store.query().last().to_arrow()["value"].to_pylist()
        [2.0]
        """
        self._need_no_step("last")
        return replace(self, steps=(Last(),))

    def consumption(self) -> "Query":
        """What registers counted between consecutive readings, stamped by the interval's start.

        The intervals that overlap the query's span, whole. Series of kind "register", or none, are
        differenced; those of kind "interval" are taken as they are; a "gauge" is refused. Readings that
        are not finite, or rejected or missing, are no readings. Columns: series, time, end, value (null
        after a reset), quality (that of the lower-ranked reading; suspect where the register fell) and
        event: 0 none, 1 rollover, 2 backflow, 3 reset, 4 digit fault. docs/meters.md has the rules.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.describe("wm-17", kind="register", register_digits=8)
        >>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [99999678, 123]})
        >>> store.query().consumption().to_arrow()["value"].to_pylist()
        [445.0]
        """
        self._need_no_step("consumption")
        return replace(self, steps=(Consumption(),))

    def fill(
        self,
        method: str | Sequence[tuple[str, str]],
        limit: str | None = "7d",
        every: str | None = None,
        tz: str = "UTC",
        value: float | None = None,
    ) -> "Query":
        """Fill the gaps of each series; docs/meters.md has the rules.

        A gap is more than 1.5 times the usual step. `method` is one of none, constant (which takes `value`),
        previous, next, linear, profile (the series' own usual week, in the local hours of the zone `tz`) and
        conserve; or a chain of (method, limit), of which the first whose limit the gap does not pass is
        taken: [("linear", "2h"), ("profile", "30d")]. Gaps longer than `limit` stay; None: all are filled.
        Amounts (series of kind interval) that are known as one long interval are split, and add up.
        With `every`, levels are given on that grid of the wall clock instead. What was made has the quality
        "estimated" and its method; the store is not changed: `store.write` of the result does that.

        Raises UsageError for an unknown method, a limit that is no fixed width, or kinds that do not mix.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> hours = [k * 3_600_000_000 for k in (0, 1, 2, 5, 6)]
        >>> report = store.write({"series": "t-1", "time": hours, "value": [1.0, 2.0, 3.0, 6.0, 7.0]})
        >>> store.query().fill("linear").to_arrow()["value"].to_pylist()
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
        """
        rules = [(method, limit)] if isinstance(method, str) else list(method)
        unknown = [name for name, _ in rules if name not in FILLS]
        if unknown:
            raise UsageError(f"methods to fill gaps are {', '.join(FILLS)}, not {unknown[0]!r}")
        if value is None and any(name == "constant" for name, _ in rules):
            raise UsageError("fill('constant') takes the value to fill with: fill('constant', value=0.0)")
        limits = tuple((name, _width(text) if text is not None else NO_LIMIT) for name, text in rules)
        grid = None if every is None else Calendar.parse(every, tz)
        Calendar.parse("1h", tz)  # so that an unknown zone is told of here
        of_amounts = bool(self.steps) and isinstance(self.steps[0], Consumption)
        return self._then(Fill(limits, grid, tz, 0.0 if value is None else float(value), of_amounts))

    def rolling(
        self, width: str, aggregates: str | Sequence[str] = "mean", centered: bool = False, min_count: int = 1
    ) -> "Query":
        """Aggregate, at every reading, the readings of the time up to it.

        The window is (time - width, time], or where `centered` (time - width / 2, time + width / 2].
        `aggregates` are any of count, sum, mean, min, max, std (of the sample), median, one column each,
        null where the window has fewer than `min_count` readings. NaN is no reading. Sums do not drift:
        they are those of the exact sum to the last place, however long the series.

        Raises UsageError for an unknown aggregate or a width that is not fixed.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> hours = [k * 3_600_000_000 for k in range(4)]
        >>> report = store.write({"series": "t-1", "time": hours, "value": [1.0, 2.0, 3.0, 6.0]})
        >>> store.query().rolling("2h", "mean").to_arrow()["mean"].to_pylist()
        [1.0, 1.5, 2.5, 4.5]
        """
        names = (aggregates,) if isinstance(aggregates, str) else tuple(aggregates)
        unknown = [name for name in names if name not in ROLLING]
        if unknown or not names or len(set(names)) < len(names):
            raise UsageError(f"aggregates must be some of {', '.join(ROLLING)}, not {unknown or names}")
        if min_count < 1:
            raise UsageError(f"min_count must be at least 1, not {min_count}")
        whole = _width(width)
        after = whole // 2 if centered else 0
        return self._then(Rolling(whole - after, after, names, min_count))

    def difference(self) -> "Query":
        """Each reading less the one before it, at its time; its quality is the worse of both.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [1.5, 2.0]})
        >>> store.query().difference().to_arrow()["value"].to_pylist()
        [0.5]
        """
        return self._then(Difference())

    def rate(self, per: str = "1h") -> "Query":
        """The change since the reading before, per so much time.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 1_800_000_000], "value": [1.5, 2.0]})
        >>> store.query().rate(per="1h").to_arrow()["value"].to_pylist()
        [1.0]
        """
        return self._then(Difference(_width(per)))

    def _then(self, step: Step) -> "Query":
        """This query with a step of readings behind the others."""
        if self.steps and not isinstance(self.steps[-1], Fill | Difference | Consumption):
            raise UsageError("resample(), last() and rolling() end a query: no other step can follow")
        return replace(self, steps=(*self.steps, step))

    def _need_no_step(self, name: str) -> None:
        if self.steps:
            raise UsageError(f"{name}() follows a selection, not another step")

    def _need_rows_of_series(self, name: str) -> None:
        last = self.steps[-1]
        if not isinstance(self.steps[0], Consumption) or not isinstance(last, Consumption | Fill):
            raise UsageError(f"{name}() follows a selection, consumption() or its fill(), not resample() or last()")

    @property
    def schema(self) -> pa.Schema:
        """The schema of the result."""
        if not self.steps or isinstance(self.steps[-1], Last):
            return READINGS_SCHEMA
        last = self.steps[-1]
        return resample_schema(last.aggregates) if isinstance(last, Resample) else last.schema

    def to_batches(self) -> pa.RecordBatchReader:
        """The result, batch by batch, in bounded memory; a stable view of the store as of this call.

        Raises UnknownSeriesError where a key is named that the store does not hold.
        """
        plan, facts = self._plan()
        if not self.steps:
            batches = reading_batches(plan)
        elif isinstance(step := self.steps[0], Resample):
            batches = resample_batches(plan, step.calendar, step.aggregates, step.empty)
        elif isinstance(step, Last):
            batches = iter([last_batch(plan)])
        else:
            assert facts is not None
            steps = self._frame_steps
            if not isinstance(steps[-1], Consumption | buckets.Buckets):
                steps = (*steps, Within(*self._span, self.schema))
            batches = frame_batches(plan, self._wide_span, steps, facts)
        return pa.RecordBatchReader.from_batches(self.schema, batches)

    @property
    def _span(self) -> tuple[int, int]:
        """The first and the last microsecond that was asked for."""
        time_min = TIME_MIN if self.start_us is None else self.start_us
        return time_min, TIME_MAX if self.end_us is None else self.end_us - 1

    @property
    def _wide_span(self) -> tuple[int, int]:
        """What must be read: consumption() sees to its own neighbours, other steps reach out of the span."""
        steps = self._frame_steps
        return self._span if steps and isinstance(steps[0], Consumption) else widened(self._span, steps)

    @property
    def _frame_steps(self) -> tuple[Step, ...]:
        """The steps, where they go from frame to frame; else none."""
        return tuple(step for step in self.steps if not isinstance(step, Resample | Last))

    def _plan(self) -> tuple[Plan, Facts | None]:
        while True:
            catalog, snapshot = self.store.pin(self.as_of)
            last = catalog.last_commit()
            try:
                return self._plan_on(catalog, snapshot)
            except CorruptChunkError:
                # A chunk that a compaction has removed since is no corruption; the newer commit is whole.
                if catalog.last_commit() == last == (last if self.as_of else snapshot.commit):
                    raise

    def _plan_on(self, catalog: Catalog, snapshot: Snapshot) -> tuple[Plan, Facts | None]:
        ids, keys = selected(catalog, self.series, dict(self.tags))
        steps = self._frame_steps
        span = (TIME_MIN, TIME_MAX) if steps and steps[0].needs_neighbours else self._wide_span
        plan = make_plan(snapshot, ids, keys, *span, self.qualities)
        return plan, _facts(catalog, ids) if steps else None

    def to_arrow(self) -> pa.Table:
        """The whole result as an Arrow table."""
        return self.to_batches().read_all()

    def to_pandas(self) -> "pandas.DataFrame":
        """The whole result as a pandas frame; MissingDependencyError where pandas is not installed."""
        try:
            import pandas  # noqa: F401
        except ImportError as problem:
            raise MissingDependencyError("to_pandas needs pandas: pip install pandas") from problem
        return self.to_arrow().to_pandas()

    def to_polars(self) -> "polars.DataFrame":
        """The whole result as a polars frame; MissingDependencyError where polars is not installed."""
        try:
            import polars
        except ImportError as problem:
            raise MissingDependencyError("to_polars needs polars: pip install polars") from problem
        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The result as an Arrow C stream, for whatever reads Arrow."""
        return self.to_batches().__arrow_c_stream__(requested_schema)


def _facts(catalog: Catalog, ids: Int64Array) -> Facts:
    rows = {row[0]: row[2:-1] for row in catalog.series_rows()}
    said = [dict(zip(SERIES_FACTS, rows[series], strict=True)) for series in ids.tolist()]
    return Facts(
        [facts["kind"] for facts in said],
        [facts["interval_us"] for facts in said],
        [facts["register_digits"] for facts in said],
    )


def _width(text: str) -> int:
    """A fixed width in microseconds."""
    width = Calendar.parse(text).fixed_width_us
    if width is None:
        raise UsageError(f"{text!r} is not of one length; give it in us to w, such as '30d'")
    return width


def selected(
    catalog: Catalog, series: tuple[str, ...] | None, tags: Mapping[str, Sequence[str]]
) -> tuple[Int64Array, pa.StringArray]:
    """The ids and keys of a selection, by key; UnknownSeriesError where it names one that is not there."""
    ids, keys = catalog.select_series(series, tags)
    if series is not None and not tags and ids.size < len(set(series)):
        missing = sorted(set(series) - set(keys.to_pylist()))
        raise UnknownSeriesError(
            f"the store has no series {', '.join(map(repr, missing[:3]))}"
            + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            + "; `store.series()` and `smartdata-ts series` list what it has"
        )
    return ids, keys


def as_keys(series: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """One key or many as a tuple; UsageError where they are no texts."""
    return None if series is None else _texts(series, "series must be a key or a list of keys")


def as_tags(
    tags: Mapping[str, str | Sequence[str]] | None,
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Tags with one accepted value or many, as sorted tuples; UsageError where they are no texts."""
    if not isinstance(tags, Mapping | None):
        raise UsageError(f"tags must be a mapping of names to values, not {tags!r}")
    wanted = {
        name: _texts(values, f"tag {name!r} must be a text or a list of texts")
        for name, values in (tags or {}).items()
    }
    return tuple(sorted(wanted.items()))


def _texts(given: str | Sequence[str], rule: str) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    texts = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{rule}, not {given!r}")
    return texts
