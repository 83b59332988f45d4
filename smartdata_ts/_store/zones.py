"""Zones: what flows in against what is metered within."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from smartdata_ts._analysis.zone_balance import AGGREGATES, balance, window_of
from smartdata_ts._arguments import shown, text_or_none
from smartdata_ts._query import Query, selected
from smartdata_ts._time.calendar import Calendar
from smartdata_ts._time.zone import TimeZone
from smartdata_ts.errors import UsageError

from .reading import Reading

Selected = str | Iterable[str] | Mapping[str, str | Sequence[str]]


class Zones(Reading):
    """The face for many series together."""

    def zone_balance(
        self,
        inlet: Selected,
        members: Selected,
        start: object = None,
        end: object = None,
        tz: TimeZone = "UTC",
        every: str = "1d",
        night: tuple[str, str] = ("02:00", "04:00"),
        outlet: Selected | None = None,
        offset: str | None = None,
        unit: str | None = None,
        min_completeness: float = 0.0,
    ) -> pa.Table:
        """Balance a zone, day by day: what flowed in, what its meters counted, and what flowed at night.

        `inlet`, `members` and `outlet` (what leaves for other zones, and is taken from the inflow) are keys,
        or tags as `query` takes them; inlets and outlets that carry the members' tags are none of them.
        Registers, amounts and flows (L/s) may be mixed, see `Query.consumption`.
        Columns, in `unit` (by default the one that most of the series have):

        - time, inflow, use (of the members), difference: inflow - use, the water losses and whatever is not
          metered
        - night_flow: of the hours of the `night` (local time, from, to) the least inflow; night_use: what the
          members used in that very hour; net_night_flow: the one less the other; in unit per hour
        - inflow_completeness, use_completeness, night_flow_completeness, night_use_completeness: the share of
          the time (of the night's hours) and of the series for which there are amounts
        - unit

        Volumes that are less complete than `min_completeness` are null, and whatever needs them. Night flows
        need readings at least every hour: rarer readings are spread evenly. The terms come
        from the IWA's water balance (Lambert and Hirner, 2000) and its Water Loss Task Force on night flows.

        >>> import smartdata_ts as sd, tempfile, numpy as np
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> hours = np.arange(25) * 3_600_000_000
        >>> for key, litres in (("inlet", 120.0), ("wm-1", 40.0), ("wm-2", 50.0)):
        ...     store.describe(key, unit="L", kind="register")
        ...     report = store.write({"series": key, "time": hours, "value": np.arange(25) * litres})
        >>> store.zone_balance("inlet", ["wm-1", "wm-2"]).to_pylist()[0]["difference"]
        720.0
        """
        self._check()
        night_us, unit = window_of(night), text_or_none("unit", unit)
        sides = {"inlet": inlet, "members": members} | ({} if outlet is None else {"outlet": outlet})
        queries = [self._of(name, side, start, end, tz) for name, side in sides.items()]
        queries[1] = self._without(queries[1], queries[:1] + queries[2:])
        unit = self._common_unit(queries) if unit is None else unit
        amounts = [query.consumption(unit) for query in queries]
        days_of = [
            query.resample(every, AGGREGATES, tz, offset).aggregate("sum", (), min_completeness)
            for query in amounts
        ]
        return balance(amounts, days_of, Calendar.parse(every, tz, offset), night_us, unit)

    def _of(self, name: str, side: Selected, start: object, end: object, tz: TimeZone) -> Query:
        if isinstance(side, Mapping):
            query = self.query(tags=side, start=start, end=end, tz=tz)
            is_named = bool(query.tags) and all(values for _, values in query.tags)
        else:
            query = self.query(side, start=start, end=end, tz=tz)
            is_named = bool(query.series) and all(query.series or ())
        if not is_named:
            raise UsageError(f"zone_balance() needs keys or tags of its {name}; {shown(side)} names none")
        return query

    def _without(self, members: Query, others: list[Query]) -> Query:
        """The members without those that stand at the zone's border and carry its tag too."""
        keys = self._keys(members)
        border = {key for query in others for key in self._keys(query)}
        both = sorted(border.intersection(keys))
        if both and members.series is not None:
            raise UsageError(
                f"series {both[0]!r} is named as a member, and as an inlet or outlet; say one of it"
            )
        return replace(members, series=tuple(key for key in keys if key not in border)) if both else members

    def _keys(self, query: Query) -> list[str]:
        found: list[str] = selected(self._catalog, query.series, query.tags).keys.to_pylist()
        return found

    def _common_unit(self, queries: list[Query]) -> str | None:
        from smartdata_ts._meter.units import amount_of, common_unit

        keys: list[str] = []
        units: list[str | None] = []
        quantities: list[str | None] = []
        for query in queries:
            chosen = selected(self._catalog, query.series, query.tags)
            keys += chosen.keys.to_pylist()
            facts = self._catalog.facts_of(chosen.ids, ("unit", "kind", "quantity"))
            units += [amount_of(*said)[0] for said in zip(facts["unit"], facts["kind"], strict=True)]
            quantities += facts["quantity"]
        return common_unit(keys, units, quantities)
