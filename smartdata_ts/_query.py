"""A query is a small immutable description; nothing is read until it is asked for its result.

Queries can be printed, pickled (with the path of their store) and refined: every method that narrows
or adds a step returns a new one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from smartdata_ts._calendar import Calendar
from smartdata_ts._catalog import Catalog
from smartdata_ts._plan import TIME_MAX, TIME_MIN, Plan, make_plan
from smartdata_ts._scan import READINGS_SCHEMA, reading_batches
from smartdata_ts._snapshot import Snapshot
from smartdata_ts._steps.last import last_batch
from smartdata_ts._steps.resample import AGGREGATES, resample_batches, resample_schema
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
    step: Resample | Last | None = None
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

        Raises UsageError for an unknown aggregate or width, UnknownTimeZoneError for an unknown zone.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [1.5, 2.0]})
        >>> store.query().resample("1d", ["count", "sum"], tz="Europe/Oslo").to_arrow()["sum"].to_pylist()
        [3.5]
        """
        self._need_no_step("resample")
        names = (aggregates,) if isinstance(aggregates, str) else tuple(aggregates)
        unknown = [name for name in names if name not in AGGREGATES]
        if unknown or not names:
            known = ", ".join(AGGREGATES)
            raise UsageError(f"aggregates must be among {known}, not {unknown or 'none'}")
        if len(set(names)) < len(names):
            raise UsageError(f"an aggregate is named twice: {', '.join(names)}")
        return replace(self, step=Resample(Calendar.parse(every, tz, offset), names, empty))

    def last(self) -> "Query":
        """The newest reading of each series, within the query's span.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [1.5, 2.0]})
        >>> store.query().last().to_arrow()["value"].to_pylist()
        [2.0]
        """
        self._need_no_step("last")
        return replace(self, step=Last())

    def _need_no_step(self, name: str) -> None:
        if self.step is not None:
            raise UsageError(f"{name}() follows a selection, not another step")

    @property
    def schema(self) -> pa.Schema:
        """The schema of the result."""
        if isinstance(self.step, Resample):
            return resample_schema(self.step.aggregates)
        return READINGS_SCHEMA

    def to_batches(self) -> pa.RecordBatchReader:
        """The result, batch by batch, in bounded memory; a stable view of the store as of this call.

        Raises UnknownSeriesError where a key is named that the store does not hold.
        """
        plan = self._plan()
        if isinstance(self.step, Resample):
            step = self.step
            batches = resample_batches(plan, step.calendar, step.aggregates, step.empty)
        elif isinstance(self.step, Last):
            batches = iter([last_batch(plan)])
        else:
            batches = reading_batches(plan)
        return pa.RecordBatchReader.from_batches(self.schema, batches)

    def _plan(self) -> Plan:
        while True:
            catalog, snapshot = self.store.pin(self.as_of)
            last = catalog.last_commit()
            try:
                return self._plan_on(catalog, snapshot)
            except CorruptChunkError:
                # A chunk that a compaction has removed since is no corruption; the newer commit is whole.
                if catalog.last_commit() == last == (last if self.as_of else snapshot.commit):
                    raise

    def _plan_on(self, catalog: Catalog, snapshot: Snapshot) -> Plan:
        ids, keys = selected(catalog, self.series, dict(self.tags))
        time_min = TIME_MIN if self.start_us is None else self.start_us
        time_max = TIME_MAX if self.end_us is None else self.end_us - 1
        return make_plan(snapshot, ids, keys, time_min, time_max, self.qualities)

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
