"""A series that no longer reports."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartdata_ts._detect.findings import Figure, Finding
from smartdata_ts._detect.rows import DAY_US, HISTORY_DAYS, HOUR_US, Rows
from smartdata_ts._detect.rule import Rule, width_us

_STEPS = 3
_TIMES_USUAL = 2.0
_PERCENTILE = 99


@dataclass(frozen=True)
class Silent(Rule):
    """A time without readings that is longer than three steps, a day, and twice the series' own long gaps."""

    name: ClassVar[str] = "silent"
    needs: ClassVar[str] = "all"
    severity: ClassVar[str] = "warning"
    look_back_days: ClassVar[int] = 57
    source: ClassVar[str] = "QARTOD gap test (ioos_qc); the 99th percentile of the series' own gaps is ours"
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "en": {
            "silent": "Nothing was heard for {hours} hours, since {start}. A reading is due every {step} "
            "hours; the limit is {limit} hours."
        },
        "nb": {
            "silent": "Ingenting er mottatt på {hours} timer, siden {start}. En avlesning ventes hver "
            "{step}. time; grensen er {limit} timer."
        },
    }

    for_: str = "24h"

    def find(self, rows: Rows) -> Iterator[Finding]:
        """Gaps that ended, and silences up to the time of the data."""
        for_us = width_us("for_", self.for_)
        for slot in range(rows.slot_count):
            own = slice(int(rows.bounds[slot]), int(rows.bounds[slot + 1]))
            times = rows.frame.starts[own]
            if rows.frame.ends is not None:
                # Each row begins where the one before ends, unless there is a gap.
                times = np.append(times, rows.frame.ends[own][-1:])
            if times.size:
                yield from self._silences(slot, times, for_us, rows)

    def _silences(self, slot: int, times: np.ndarray, for_us: int, rows: Rows) -> Iterator[Finding]:
        step_us = int(rows.steps_us[slot])
        least_us = max(_STEPS * step_us, for_us)
        now = max(rows.now, int(times[-1]))
        gaps = np.diff(np.append(times, now))
        for k in np.flatnonzero(gaps > least_us).tolist():
            low = int(np.searchsorted(times, times[k] - HISTORY_DAYS * DAY_US))
            usual = float(np.percentile(gaps[low:k], _PERCENTILE)) if k > low else 0.0
            limit_us = max(least_us, int(_TIMES_USUAL * usual))
            if gaps[k] <= limit_us:
                continue
            start = int(times[k])
            figures = (
                Figure("hours", int(gaps[k]) / HOUR_US),
                Figure("step", step_us / HOUR_US),
                Figure("limit", limit_us / HOUR_US),
            )
            yield Finding(
                *(slot, self.name, self.severity, "silent"),
                start=start,
                end=None if k == gaps.size - 1 else int(times[k + 1]),
                found=start + limit_us,
                score=int(gaps[k]) / limit_us,
                measured=1.0,
                value=int(gaps[k]) / HOUR_US,
                limit=limit_us / HOUR_US,
                unit="h",
                evidence=figures,
                usual=usual / HOUR_US,
                history_days=rows.history_days(slot, start),
            )
