"""A gauge that says the same for longer than it does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartdata_ts._detect.findings import Figure, Finding
from smartdata_ts._detect.rows import DAY_US, HISTORY_DAYS, HOUR_US, Rows
from smartdata_ts._detect.rule import Rule, width_us

_READINGS_MIN = 6
_TIMES_LONGEST = 3


@dataclass(frozen=True)
class Stuck(Rule):
    """The same value in six readings over six hours, three times as long as in the 56 days before."""

    name: ClassVar[str] = "stuck"
    needs: ClassVar[str] = "gauges"
    severity: ClassVar[str] = "warning"
    look_back_days: ClassVar[int] = 57
    source: ClassVar[str] = (
        "QARTOD flat line, as the range of a window (ioos_qc issue 11); pvanalytics stale_values_diff, "
        "window 6"
    )
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "en": {
            "stuck": "The value has stood at {value} for {hours} hours, since {start}, over {readings} "
            "readings. The limit is {limit} hours: the longest such time in the 56 days before was "
            "{longest} hours."
        },
        "nb": {
            "stuck": "Verdien har stått på {value} i {hours} timer, siden {start}, over {readings} "
            "avlesninger. Grensen er {limit} timer: lengste slike tid de 56 døgnene før var {longest} timer."
        },
    }

    for_: str = "6h"

    def find(self, rows: Rows) -> Iterator[Finding]:
        """Spans of one value, each judged by those before it."""
        for_us = width_us("for_", self.for_)
        values, starts, slots = rows.frame.values, rows.frame.starts, rows.frame.slots
        if not values.size:
            return
        cuts = np.flatnonzero((np.diff(values) != 0) | (np.diff(slots) != 0)) + 1
        firsts, lasts = np.append(0, cuts), np.append(cuts, values.size) - 1
        lengths = starts[lasts] - starts[firsts]
        for k in np.flatnonzero((lengths >= for_us) & (lasts - firsts + 1 >= _READINGS_MIN)).tolist():
            first, last = int(firsts[k]), int(lasts[k])
            slot, start = int(slots[first]), int(starts[first])
            if rows.fact("kinds", slot) not in (None, "gauge") or not np.isfinite(values[first]):
                continue
            low = np.searchsorted(firsts, rows.rows_of(slot, start - HISTORY_DAYS * DAY_US, start).start)
            longest_us = int(lengths[low:k].max(initial=0))
            limit_us = max(for_us, _TIMES_LONGEST * longest_us)
            if lengths[k] < limit_us:
                continue
            unit, length_us = rows.unit_of(slot), int(lengths[k])
            figures = (
                Figure("value", float(values[first]), unit),
                Figure("hours", length_us / HOUR_US),
                Figure("readings", last - first + 1),
                Figure("limit", limit_us / HOUR_US),
                Figure("longest", longest_us / HOUR_US),
            )
            yield Finding(
                *(slot, self.name, self.severity, "stuck"),
                start=start,
                end=None if last == rows.bounds[slot + 1] - 1 else int(starts[last + 1]),
                found=start + limit_us,
                score=length_us / limit_us,
                measured=1.0,
                value=length_us / HOUR_US,
                limit=limit_us / HOUR_US,
                unit="h",
                evidence=figures,
                usual=longest_us / HOUR_US,
                history_days=rows.history_days(slot, start),
            )
