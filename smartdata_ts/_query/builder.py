"""The steps of a query: each method returns a new query with one more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from smartdata_ts._arguments import flag, items, number, shown, text_or_none, texts, whole_number
from smartdata_ts._time.calendar import Calendar, Edges
from smartdata_ts._time.instant import parse_instant
from smartdata_ts._time.span import TIME_MAX as NO_LIMIT
from smartdata_ts._time.zone import TimeZone, zone_name
from smartdata_ts.errors import UsageError

from .description import Description
from .grammar import Rows, rows_after
from .selection import as_tag_names

# A step's modules are imported where it is asked for: a process that asks one question loads one.
if TYPE_CHECKING:
    from smartdata_ts._detect.table import Rules
    from smartdata_ts._steps.step import Step

    from .aggregates import Aggregates


class Builder(Description):
    """The steps of a query: they turn the readings that it selects into its result."""

    def resample(
        self,
        every: str | None = None,
        aggregates: "Aggregates" = (),
        tz: TimeZone | None = None,
        offset: str | None = None,
        empty: bool = False,
        edges: Iterable[object] | None = None,
    ) -> Self:
        """Aggregate each series over buckets of time.

        `every` is a width such as "15min", "1h", "1d", "1w", "1mo", "1q", "1y", in the wall time of the
        zone `tz`, by default the query's; `offset` moves the edges: "1d" with "6h" is the gas day, "1y"
        with "8mo" the hydrological year from 1 September. `edges`, in the place of `every`, are two or more
        times as `Store.query` takes them; the span is narrowed to them.
        `aggregates` are any of count, sum, min, max, mean, first, last, std (of the sample), expected_count
        (the bucket's true length over the series' interval, or else its usual step), completeness (count
        over that, at most 1), estimated_share (of the count). NaN readings are skipped; sums are within one
        unit in the last place of the exact sum. Columns: series, time (the bucket's start), then one per
        aggregate: counts int64, all else double, null where it has no value. Buckets without readings are
        left out, or given with count 0 where `empty`.

        After `consumption`, aggregates are any of sum (amounts are split at a bucket's edges in proportion
        to time), count, min, max, mean, std (of the intervals that begin in it), expected_count,
        completeness (the share of the bucket's time for which there is an amount) and estimated_share (of
        that time).

        Also "median" and percentiles ("p95"), of the values, or of the intervals that begin in a bucket.
        A mapping names the columns itself; each is an aggregate, or the edges of a histogram (a column of
        lists: how many values lie below the first edge, from edge to edge, and from the last one on), or a
        function of the values, or of the values and their times (int64 us UTC), that Numba can compile.

        Raises UsageError for an unknown aggregate or width, UnknownTimeZoneError for an unknown zone.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [1.5, 2.0]})
        >>> store.query().resample("1d", ["count", "sum"], tz="Europe/Oslo").to_arrow()["sum"].to_pylist()
        [3.5]
        >>> spread = store.query().resample("1d", {"p2p": lambda v: v.max() - v.min()})
        >>> spread.to_arrow()["p2p"].to_pylist()
        [0.5]
        """
        rows = self._rows_before("resample")
        zone = self.tz if tz is None else zone_name(tz)
        empty = flag("empty", empty)
        if edges is None:
            if every is None:
                raise UsageError("resample() takes a width such as '1d', or edges=[...]")
            return self._then(_bucket_step(rows, Calendar.parse(every, zone, offset), aggregates, empty))
        if every is not None or offset is not None:
            raise UsageError("resample() takes edges, or a width and its offset, not both")
        calendar = Edges.parse(edges, zone)
        low, high = calendar.instants_us[0], calendar.instants_us[-1]
        start_us = low if self.start_us is None else min(max(low, self.start_us), high)
        end_us = high if self.end_us is None else max(min(high, self.end_us), low)
        step = _bucket_step(rows, calendar, aggregates, empty)
        return replace(self, start_us=start_us, end_us=end_us, steps=(*self.steps, step))

    def last(self) -> Self:
        """The newest reading of each series, within the query's span.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [1.5, 2.0]})
        >>> store.query().last().to_arrow()["value"].to_pylist()
        [2.0]
        """
        from smartdata_ts._steps.last import Last

        return self._then(Last())

    def consumption(self, unit: str | None = None) -> Self:
        """Amounts that registers counted between consecutive readings, stamped by the interval's start.

        The intervals that overlap the query's span, whole. Series of kind "register", or none, are
        differenced; amounts (kind "interval") are taken as they are. Flows (L/s) and powers (kW) amount to
        volumes and energies: an interval's mean times its length, and a gauge's line between two readings,
        null where these are more than 1.5 usual steps apart; other gauges are refused. Readings that
        are not finite, or rejected or missing, do not count. Columns: series, time, end, value (null
        after a reset), quality (that of the lower-ranked reading; suspect where the register fell) and
        event: 0 none, 1 rollover, 2 backflow, 3 reset, 4 digit fault. docs/meters.md has the rules.
        `unit` asks for amounts in that unit, whatever the series' own; UnitError where it cannot be had.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.describe("wm-17", kind="register", register_digits=8)
        >>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [99999678, 123]})
        >>> store.query().consumption().to_arrow()["value"].to_pylist()
        [445.0]
        """
        from smartdata_ts._steps.consumption import Consumption

        return self._then(Consumption(text_or_none("unit", unit)))

    def hold(self, limit: str | None = None) -> Self:
        """Each reading for the time until the next one, at most `limit`: levels, for means by time.

        Columns: series, time, end, value, quality. A `resample` after it gives time_mean, in which each
        level weighs as long as it held within the bucket, completeness (the share of the bucket's time for
        which there is a level) and estimated_share (of that time). The last reading of a series has no
        next one, and does not count; readings that are not finite, or rejected or missing, are none.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> hours = [k * 3_600_000_000 for k in (0, 18, 24)]
        >>> report = store.write({"series": "t-1", "time": hours, "value": [8.0, 4.0, 0.0]})
        >>> store.query().hold().resample("1d", "time_mean").to_arrow()["time_mean"].to_pylist()
        [7.0]
        """
        from smartdata_ts._steps.hold import Hold

        return self._then(Hold(NO_LIMIT if limit is None else _width(limit)))

    def fill(
        self,
        method: str | Sequence[tuple[str, str]],
        limit: str | None = "7d",
        every: str | None = None,
        tz: TimeZone | None = None,
        value: float | None = None,
    ) -> Self:
        """Fill the gaps of each series; docs/meters.md has the rules.

        A gap is more than 1.5 times the usual step. `method` is one of none, constant (which takes `value`),
        previous, next, linear, profile (the series' own usual week, in the local hours of the zone `tz`, by
        default the query's) and conserve; or a chain of (method, limit): the first whose limit the gap
        does not pass is taken: [("linear", "2h"), ("profile", "30d")]. Gaps longer than `limit` stay;
        None: all are filled.
        Amounts (series of kind interval) that are known as one long interval are split, and add up.
        With `every`, levels are given on that grid of the wall clock instead. New readings have the quality
        "estimated" and their method; the store is not changed: `store.write` of the result does that.

        Raises UsageError for an unknown method, a limit that is no fixed width, or kinds that do not mix.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> hours = [k * 3_600_000_000 for k in (0, 1, 2, 5, 6)]
        >>> report = store.write({"series": "t-1", "time": hours, "value": [1.0, 2.0, 3.0, 6.0, 7.0]})
        >>> store.query().fill("linear").to_arrow()["value"].to_pylist()
        [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
        """
        from smartdata_ts._steps.fill import FILLS, Fill

        rules = [(method, limit)] if isinstance(method, str) else _fill_rules(method)
        unknown = [name for name, _ in rules if name not in FILLS]
        if unknown:
            raise UsageError(f"methods to fill gaps are {', '.join(FILLS)}, not {shown(unknown[0])}")
        if value is None and any(name == "constant" for name, _ in rules):
            raise UsageError("fill('constant') takes the value to fill with: fill('constant', value=0.0)")
        limits = tuple((name, _width(text) if text is not None else NO_LIMIT) for name, text in rules)
        zone = self.tz if tz is None else zone_name(tz)
        grid = None if every is None else Calendar.parse(every, zone)
        constant = 0.0 if value is None else number("value", value)
        return self._then(Fill(limits, grid, zone, constant, self.rows is Rows.AMOUNTS))

    def align(
        self, every: str, tz: TimeZone | None = None, method: str = "none", limit: str | None = "7d"
    ) -> Self:
        """The levels of every series at the same instants: a grid of the wall clock, for wide tables.

        Between two readings a level is on the line between them. Gaps (more than 1.5 times the usual step)
        have none, unless a `method` of `fill` is given for those up to `limit`. Amounts are brought to one
        grid by `consumption().resample(...)`.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> minutes = [0, 60, 120], [10, 70, 130]
        >>> for key, times in zip(("flow", "temperature"), minutes, strict=True):
        ...     rows = {"series": key, "time": [60_000_000 * t for t in times], "value": [0.0, 6.0, 12.0]}
        ...     report = store.write(rows)
        >>> store.query().align("30min").to_arrow(wide=True)["flow"].to_pylist()
        [0.0, 3.0, 6.0, 9.0, 12.0]
        """
        return self.fill(method, limit, every, tz)

    def rolling(
        self, width: str, aggregates: str | Sequence[str] = "mean", centered: bool = False, min_count: int = 1
    ) -> Self:
        """Aggregate, at every reading, the readings of the time up to it.

        The window is (time - width, time], or where `centered` (time - width / 2, time + width / 2].
        `aggregates` are any of count, sum, mean, min, max, std (of the sample), median, one column each,
        null where the window has fewer than `min_count` readings. NaN is no reading. Sums do not drift:
        they are the exact sum to the last place, however long the series.

        Raises UsageError for an unknown aggregate or a width that is not fixed.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> hours = [k * 3_600_000_000 for k in range(4)]
        >>> report = store.write({"series": "t-1", "time": hours, "value": [1.0, 2.0, 3.0, 6.0]})
        >>> store.query().rolling("2h", "mean").to_arrow()["mean"].to_pylist()
        [1.0, 1.5, 2.5, 4.5]
        """
        from smartdata_ts._steps.rolling import ROLLING, Rolling

        names = texts(f"aggregates must be some of {', '.join(ROLLING)}", aggregates)
        unknown = [name for name in names if name not in ROLLING]
        if unknown or not names or len(set(names)) < len(names):
            raise UsageError(
                f"aggregates must be some of {', '.join(ROLLING)}, not {shown(unknown or names)}"
            )
        whole = _width(width)
        after = whole // 2 if flag("centered", centered) else 0
        return self._then(Rolling(whole - after, after, names, whole_number("min_count", min_count, 1)))

    def difference(self) -> Self:
        """Each reading less the one before it, at its time; its quality is the worse of both.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [1.5, 2.0]})
        >>> store.query().difference().to_arrow()["value"].to_pylist()
        [0.5]
        """
        from smartdata_ts._steps.rolling import Difference

        return self._then(Difference())

    def rate(self, per: str = "1h") -> Self:
        """The change since the reading before, per so much time.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0, 1_800_000_000], "value": [1.5, 2.0]})
        >>> store.query().rate(per="1h").to_arrow()["value"].to_pylist()
        [1.0]
        """
        from smartdata_ts._steps.rolling import Difference

        return self._then(Difference(_width(per)))

    def detect(self, rules: "Rules" = None, lang: str = "en", now: object = None) -> Self:
        """Find faults of each series by rules: one row a finding, in the order of series and start.

        `rules` are names, or pairs of a name and options such as ("leak", {"for_": "48h"}); None is every
        rule that fits: of amounts after `consumption`, of gauges else. `sd.rules()` lists them. A rule reads
        as much before the query's span as it needs. Texts are in English or Norwegian (`lang` "en" or "nb"),
        their dates in the query's zone. `now` is a time as `Store.query` takes it, by default that of the
        newest reading of the store. docs/detection.md has the columns and the rules.

        Raises UsageError for an unknown rule or option, or one that needs other rows than there are.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.describe("wm-17", kind="register", unit="L", quantity="water")
        >>> hours = [k * 3_600_000_000 for k in range(48)]
        >>> report = store.write({"series": "wm-17", "time": hours, "value": [14.0 * k for k in range(48)]})
        >>> found = store.query().consumption().detect(["leak"]).to_arrow()
        >>> found["rule"].to_pylist(), found["value"].to_pylist()
        (['leak'], [14.0])
        """
        from smartdata_ts._detect.step import Detect
        from smartdata_ts._detect.table import rules_of
        from smartdata_ts._detect.texts import LANGUAGES

        if not isinstance(lang, str) or lang not in LANGUAGES:
            raise UsageError(f"lang must be one of {', '.join(LANGUAGES)}, not {shown(lang)}")
        has_amounts = self.rows is Rows.AMOUNTS
        unit = self.steps[0].arguments()["unit"] if has_amounts else None
        now_us = None if now is None else parse_instant(now, self.tz)
        chosen = rules_of(rules, has_amounts)
        return self._then(Detect(chosen, self.tz, lang, now_us, unit))

    def aggregate(
        self,
        how: str,
        by: str | Sequence[str] = (),
        min_completeness: float = 0.0,
        unit: str | None = None,
    ) -> Self:
        """Aggregate buckets across series: one row for each value of the tags `by`, and each bucket.

        `how` is sum, mean, min, max, count, median, or a percentile such as p95; it follows a resample.
        Columns: the tags (null for series without), time, the aggregates, count and expected_count (summed),
        completeness (that of all the group's series, one without a bucket counting as 0), estimated_share,
        and series_count, how many had a value. Where the group is less complete than `min_completeness`,
        from 0 to 1, its aggregates are null. Percentiles hold all buckets of all series in memory.

        Series in different units of one quantity are converted to `unit`, or to the one that most of them
        have; the metadata of the aggregates' fields say which. Raises UnitError where they do not mix.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> rows = {"series": ["a", "b", "a", "b"], "time": [0, 0, 3600_000_000, 3600_000_000]}
        >>> report = store.write({**rows, "value": [1.0, 5.0, 2.0, 5.5]})
        >>> hours = store.query().consumption().resample("1h", "sum")
        >>> hours.aggregate("sum").to_arrow()["sum"].to_pylist()
        [1.5]
        """
        from smartdata_ts._steps.across import HOWS, Across, probability_of, values_of

        tags = as_tag_names(by)
        if not isinstance(how, str) or (how not in HOWS and probability_of(how) is None):
            raise UsageError(
                f"how must be one of {', '.join(HOWS)}, or a percentile such as p95, not {shown(how)}"
            )
        share = number("min_completeness", min_completeness, 0, 1)
        self._rows_before("aggregate")
        clash = [name for name in tags if name in (*self.schema.names, "series_count")]
        if clash or len(set(tags)) < len(tags):
            raise UsageError(f"by must name tags, each once and none like a column, not {', '.join(tags)}")
        if any(pa.types.is_fixed_size_list(field.type) for field in self.schema):
            raise UsageError("aggregate() folds numbers, not histograms")
        across = Across(how, tags, share, text_or_none("unit", unit))
        if not values_of(self.schema):
            raise UsageError("aggregate() needs an aggregate other than count and shares, such as sum")
        return self._then(across)

    def join_asof(
        self,
        other: "Builder",
        tolerance: str | None = None,
        direction: str = "backward",
        by: str | None = None,
    ) -> Self:
        """To every row the one of another query that is nearest in time, such as the temperature of a flow.

        `direction` is "backward" (the last at or before the row's time), "forward" or "nearest" (where two
        are as near, the earlier), no farther off than `tolerance`, such as "1h". `other` has one series; or
        many, and `by` names the tag that tells which of them belongs to each. Its columns follow, "other_"
        before their names, null where there is none; its rows are held in memory.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "flow", "time": [10, 20, 30], "value": [1.0, 2.0, 3.0]})
        >>> report = store.write({"series": "t", "time": [15, 29], "value": [7.5, 8.0]})
        >>> store.query("flow").join_asof(store.query("t")).to_arrow()["other_value"].to_pylist()
        [None, 7.5, 8.0]
        """
        from smartdata_ts._steps.join import DIRECTIONS, Join

        if not isinstance(direction, str) or direction not in DIRECTIONS:
            raise UsageError(f"direction must be one of {', '.join(DIRECTIONS)}, not {shown(direction)}")
        self._rows_before("join_asof")
        if not isinstance(other, Builder) or other.rows in (Rows.GROUPS, Rows.JOINED, Rows.FINDINGS):
            raise UsageError("join_asof() joins with a query of series: store.query(...)")
        tolerance_us = NO_LIMIT if tolerance is None else _width(tolerance)
        return self._then(Join(other, direction, tolerance_us, text_or_none("by", by)))

    def _rows_before(self, method: str) -> Rows:
        """The rows that a step would take; UsageError where it takes none of the kind."""
        rows = self.rows
        rows_after(method, rows, self.steps[-1].method if self.steps else None)
        return rows

    def _then(self, step: "Step") -> Self:
        """This query with one more step; UsageError where it cannot follow."""
        self._rows_before(step.method)
        return replace(self, steps=(*self.steps, step))


def _bucket_step(rows: Rows, calendar: Calendar | Edges, aggregates: "Aggregates", empty: bool) -> "Step":
    """The step that makes these aggregates of the rows before it."""
    if rows is Rows.STORED and (names := _plain_names(aggregates)):
        from smartdata_ts._steps.resample import Resample

        return Resample(calendar, names, empty)
    from .aggregates import bucket_step

    return bucket_step(rows, calendar, aggregates, empty)


def _plain_names(aggregates: "Aggregates") -> tuple[str, ...]:
    """Names that a resample of plain readings knows, each once; none where there is anything else to it."""
    from smartdata_ts._steps.resample import AGGREGATES
    from smartdata_ts._steps.shares import SHARES

    if isinstance(aggregates, Mapping):
        return ()
    names = texts(f"aggregates must be among {', '.join(AGGREGATES)}", aggregates)
    is_plain = len(set(names)) == len(names) and set(names) <= {*AGGREGATES, *SHARES}
    return names if is_plain else ()


def _fill_rules(chain: object) -> list[tuple[str, str | None]]:
    """The pairs of a method and the longest gap that it is for."""
    rules = items(chain)
    if not rules or not all(isinstance(rule, tuple | list) and len(rule) == 2 for rule in rules):
        raise UsageError(
            "fill() takes a method, or a list of (method, limit), such as [('linear', '2h'), "
            f"('profile', '30d')], not {shown(chain)}"
        )
    if not all(isinstance(name, str) for name, _ in rules):
        raise UsageError(f"a method to fill gaps is a name, in each of {shown(chain)}")
    return [(name, limit) for name, limit in rules]


def _width(text: str) -> int:
    """A fixed width in microseconds."""
    width = Calendar.parse(text).fixed_width_us
    if width is None:
        raise UsageError(f"{shown(text)} is not of one length; give it in us to w, such as '30d'")
    return width
