"""Reading: queries, and what is known of series."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

import pyarrow as pa

from smartdata_ts._arguments import shown, text_or_none
from smartdata_ts._meter.descriptions import exchange_table, series_table, tag_table
from smartdata_ts._meter.quality import qualities_of
from smartdata_ts._query import Query, as_keys, as_tags, selected
from smartdata_ts._read.history import commit_of
from smartdata_ts._storage.catalog import FILE_NAME
from smartdata_ts._store.info import Info, info_of
from smartdata_ts._time.instant import parse_span
from smartdata_ts._time.zone import TimeZone, zone_name
from smartdata_ts.errors import CorruptCatalogError, UsageError

from .handle import Handle


class Reading(Handle):
    """The face that reads a store."""

    def query(
        self,
        series: str | Iterable[str] | None = None,
        tags: Mapping[str, str | Sequence[str]] | None = None,
        start: object = None,
        end: object = None,
        tz: TimeZone = "UTC",
        as_of: object = None,
        quality: str | int | Sequence[str | int] | None = None,
        on_corrupt: str = "raise",
    ) -> Query:
        """Describe a query; nothing is read yet.

        `series` is a key or many, and None all; `tags` maps a name to a value, or to many values, one of
        them to match; both narrow. An empty list selects nothing, nor does a value that no series has;
        for a tag's name that none has, the result raises UsageError, unless the store has no series at all.
        The span is [start, end): texts ("2024-10-27", "2024-10-27T02:30+02:00"), dates, datetimes,
        np.datetime64, or whole numbers, which are microseconds UTC, as `info` has them; what has no offset
        is local time in `tz`, an IANA name or a ZoneInfo. `as_of` asks for the readings as they
        were known then: a commit's number, the name of a snapshot, or an instant (without offset: UTC).
        Raises HistoryError where history does not reach so far back. `quality` leaves only readings that
        are so: names ("measured", "edited"), whatever the method, or codes. Damaged blocks raise
        CorruptChunkError; with `on_corrupt="skip"` they are left out, which takes about twice as long; a
        DamageWarning, the result's schema and `Query.losses` name them.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.query("wm-17", end="1970-01-02").to_arrow().num_rows
        1
        """
        self._check()
        if not isinstance(on_corrupt, str) or on_corrupt not in ("raise", "skip"):
            raise UsageError(f"on_corrupt must be 'raise' or 'skip', not {shown(on_corrupt)}")
        return Query(
            self,
            as_keys(series),
            as_tags(tags),
            *parse_span(start, end, tz),
            as_of=None if as_of is None else commit_of(self._catalog, as_of),
            qualities=None if quality is None else qualities_of(quality),
            tz=zone_name(tz),
            on_corrupt=on_corrupt,
        )

    def series(
        self,
        tags: Mapping[str, str | Sequence[str]] | None = None,
        pattern: str | None = None,
    ) -> pa.Table:
        """Every series with its facts and tags, sorted by key; or those of some tags, or of a pattern.

        `tags` narrow as in `query`. `pattern` is for keys, in which * stands for any text, ? for a character
        and [ab] for one of some; case counts. Columns: series, quantity, unit, kind, interval_us, decimals,
        register_digits, multiplier, tags (a map). Raises UsageError for a tag's name that no series has.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.describe(["wm-17", "wm-18"], unit="m3")
        >>> store.describe("t-1", unit="Cel", tags={"zone": "DMA-7"})
        >>> store.series(pattern="wm-*")["series"].to_pylist()
        ['wm-17', 'wm-18']
        >>> store.series(tags={"zone": "DMA-7"})["unit"].to_pylist()
        ['Cel']
        """
        self._check()
        wanted, pattern = as_tags(tags), text_or_none("pattern", pattern)
        keys = set(selected(self._catalog, None, wanted).keys.to_pylist()) if wanted else None
        try:
            rows = self._catalog.series_rows()
            if keys is not None:
                rows = [row for row in rows if row[1] in keys]
            if pattern is not None:
                rows = [row for row in rows if fnmatchcase(row[1], pattern)]
            return series_table(rows)
        except (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError) as problem:
            raise CorruptCatalogError(
                f"{self._directory / FILE_NAME}: what it says of series is damaged: {problem}. Restore "
                "the store from a backup, or salvage it."
            ) from problem

    def tags(self) -> pa.Table:
        """Every value of every tag, by name and value, and how many series have it.

        Columns: name, value, series (int64, a count).

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.describe(["wm-17", "wm-18"], tags={"zone": "DMA-7"})
        >>> store.tags().to_pylist()
        [{'name': 'zone', 'value': 'DMA-7', 'series': 2}]
        """
        self._check()
        return tag_table(self._catalog.tag_counts())

    def exchanges(self) -> pa.Table:
        """All exchanges of meters, by series and time.

        Columns: series, time, final, initial, serial, multiplier, register_digits.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.exchange("wm-17", "2024-06-01", final=880.5)
        >>> store.exchanges()["final"].to_pylist()
        [880.5]
        """
        self._check()
        return exchange_table(self._catalog.exchange_rows())

    def infer_exchanges(
        self,
        series: str | Iterable[str] | None = None,
        tags: Mapping[str, str | Sequence[str]] | None = None,
    ) -> pa.Table:
        """Where registers fell so that only another meter can tell: exchanges to look at, and then to say.

        One row a reset of `consumption`, by series and time: series, time (the middle between the readings
        before and after), final and initial as they would be said, and what they are drawn from: last_time,
        last_value, first_time, first_value. `initial` is 0 where the new register reads no more than ten
        times what the series usually uses in so much time, so that all it reads was used; else it is what
        it reads, so that nothing was. Nothing is changed: `store.exchange(table)` does that.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> hours = [k * 3_600_000_000 for k in range(4)]
        >>> report = store.write({"series": "wm-17", "time": hours, "value": [879.0, 880.0, 1.5, 2.0]})
        >>> store.exchange(store.infer_exchanges())
        >>> store.query().consumption().to_arrow()["value"].to_pylist()
        [1.0, 0.0, 1.5, 0.5]
        """
        from smartdata_ts._analysis.exchanges import infer_exchanges

        return infer_exchanges(self.query(series, tags))

    def info(self) -> Info:
        """Count series, readings and bytes; cheap, whatever the store's size.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.info().readings
        1
        """
        return info_of(self._directory, *self.pin())
