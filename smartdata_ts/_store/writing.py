"""Writing: readings, and what is said of series."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from smartdata_ts._meter.descriptions import (
    checked_exchange,
    checked_facts,
    checked_key,
    checked_tags,
    described_rows,
    exchange_rows,
    key_list,
)
from smartdata_ts._query import selected
from smartdata_ts._time.zone import TimeZone

from .handle import Handle

if TYPE_CHECKING:
    from smartdata_ts._write.writer import Writer, WriteReport


class Writing(Handle):
    """The face that adds to a store."""

    def write(
        self,
        data: object,
        series: str = "series",
        time: str = "time",
        value: str = "value",
        quality: str | Literal[False] | None = None,
        note: str | None = None,
        on_conflict: str = "better",
        on_reject: str = "report",
        tz: TimeZone = "UTC",
    ) -> "WriteReport":
        """Store readings, durably when this returns, all or none of them.

        `data` is anything that can be read as Arrow (pyarrow, polars, DuckDB results, pandas 2.2 and
        later, a query), or a mapping of column names to arrays; a text in place of an array stands for all
        rows. `series`, `time`, `value` and `quality` name its columns: keys; timestamps, or int64
        microseconds UTC; numbers; codes 0 to 255 (0 = measured, and so is null). Without a `quality`, a
        column "quality" holds the codes where there is one; False says that none does, and that all is
        measured. Timestamps without a zone, and dates, are local times of `tz` ("Europe/Oslo", "+01:00"), by
        default UTC: in the hour that autumn repeats the order of a series' rows tells the first pass from
        the second, and where it does not, the first is taken (`report.ambiguous`); times that spring skips
        are rejected. Timestamps with a zone, and integers, ignore it.

        Rows may come in any order. One row stands for a series and time, among those given and stored,
        as `on_conflict` says: "better", the later one unless its quality ranks lower (an estimate does not
        replace what was measured); "replace", the later one; "keep", the earlier one; "error", none:
        ConflictError, and nothing of the write is kept.

        Rows without a value, be it null or NaN, are counted as empty and not stored, unless their quality
        says missing or rejected. Rows that cannot be readings are rejected, counted by reason, and listed in
        the report; with `on_reject="raise"` they end in a DataError, and nothing of the write is kept. The
        report's `notices` tell of times that are decades from all others, as seconds are that are given as
        microseconds. Raises DataError where a column is missing or of a type that cannot serve, or a query's
        result has columns that a store cannot keep; UsageError, ReadOnlyError, StoreBusyError.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> rows = {"meter": ["wm-17", "wm-18", None], "ts": [0, 0, 0], "m3": [1.5, None, 2.5]}
        >>> report = store.write(rows, series="meter", time="ts", value="m3")
        >>> report.stored, report.empty, report.rejections
        (1, 1, {'null series key': 1})
        """
        with self.writer(note, on_conflict, on_reject) as writer:
            writer.write(data, series, time, value, quality, tz)
        return writer.report

    def writer(
        self, note: str | None = None, on_conflict: str = "better", on_reject: str = "report"
    ) -> "Writer":
        """One write of any size in bounded memory: commits at the end of the block, or not at all.

        It holds the store's write lock; other writers wait. `note` says who, why, from which file;
        `on_conflict` which reading stands, and `on_reject` whether rejected rows are an error, which comes at
        the end, as in `write`.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> with store.writer(note="two days") as writer:
        ...     for day in (0, 1):
        ...         writer.write({"series": "wm-17", "time": [day * 86_400_000_000], "value": [day]})
        >>> writer.report.stored
        2
        """
        from smartdata_ts._write.writer import Writer

        return Writer(self._for_writing(), note, on_conflict, on_reject)

    def describe(
        self,
        series: object,
        quantity: str | None = None,
        unit: str | None = None,
        kind: str | None = None,
        interval: str | None = None,
        decimals: int | None = None,
        register_digits: int | None = None,
        multiplier: float | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Say what series are; creates those that are new. Facts that are not named stay as they were.

        `series` is a key, or many (a list, an array, a column) that all get the same. `kind` is
        "register", "interval" or "gauge", `unit` a UCUM code ("m3", "kW.h"; "m³", "KWH" and "Liter" are
        understood, and what is not is refused), `interval` the nominal spacing of readings ("1h"),
        `multiplier` what a unit of the register is worth (pulse value). In bulk: `series` may be a table
        (Arrow, pandas, polars, a mapping of columns) with a column `series`; columns with the names of the
        parameters, and `interval_us`, are facts, a column `tags` of maps, pairs or dictionaries holds tags,
        and each other column is a tag. Null and NaN say nothing. So another store's `series()` can be
        described, be it by way of pandas or polars.

        Raises DataError for what cannot be said; then nothing is said.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.describe("wm-17", quantity="water", unit="L", kind="register", tags={"zone": "DMA-7"})
        >>> store.series()["series"].to_pylist()
        ['wm-17']
        """
        given_keys = key_list(series)
        if given_keys is not None:
            facts = checked_facts(
                "describe",
                {
                    "quantity": quantity,
                    "unit": unit,
                    "kind": kind,
                    "interval": interval,
                    "decimals": decimals,
                    "register_digits": register_digits,
                    "multiplier": multiplier,
                },
            )
            said = checked_tags("describe", {} if tags is None else tags)
            described = [(checked_key(key), facts, said) for key in given_keys]
        else:
            described = [
                (
                    checked_key(key),
                    checked_facts(f"series {key!r}", given),
                    checked_tags(f"series {key!r}", named),
                )
                for key, given, named in described_rows(series)
            ]
        catalog = self._for_writing().catalog
        with catalog.transaction():
            keys = [key for key, _, _ in described]
            ids = catalog.series_ids(keys).tolist()
            catalog.add_series(sorted({key for key, number in zip(keys, ids, strict=True) if not number}))
            for (_, given, named), number in zip(described, catalog.series_ids(keys).tolist(), strict=True):
                catalog.set_facts(number, given, named)

    def exchange(
        self,
        series: object,
        at: object = None,
        final: float | None = None,
        initial: float = 0.0,
        serial: str | None = None,
        multiplier: float | None = None,
        register_digits: int | None = None,
        tz: TimeZone = "UTC",
    ) -> None:
        """Say that a meter took another's place: the final reading of the old, the initial of the new.

        `consumption` conserves the volume across it. The series is the place of use; `serial`, `multiplier`
        and `register_digits` are the new meter's. Said twice of one instant, the later counts. `at` without
        an offset is local time in `tz`. In bulk: `series` may be a table (Arrow, pandas, polars) with the
        columns series, time and final, and any of the others, as `exchanges` and `infer_exchanges` give it.

        Raises DataError for what cannot be an exchange, UnknownSeriesError; then nothing is said.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 7_200_000_000], "value": [880.0, 1.5]})
        >>> store.exchange("wm-17", "1970-01-01T01:00", final=880.5, serial="K-2231")
        >>> store.query().consumption().to_arrow()["value"].to_pylist()
        [0.5, 1.5]
        """
        if isinstance(series, str):
            told = {"time": at, "final": final, "initial": initial, "serial": serial}
            facts = {"multiplier": multiplier, "register_digits": register_digits}
            rows = [checked_exchange("exchange", {"series": series, **told, **facts}, tz)]
        else:
            rows = list(exchange_rows(series, tz))
        catalog = self._for_writing().catalog
        with catalog.transaction():
            keys = [str(row[0]) for row in rows]
            selected(catalog, tuple(keys))  # raises for an unknown one
            for (_, *said), number in zip(rows, catalog.series_ids(keys).tolist(), strict=True):
                catalog.add_exchange(number, *said)
