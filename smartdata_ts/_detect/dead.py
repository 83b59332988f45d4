"""A meter that counts nothing for longer than it ever did."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartdata_ts._detect.findings import Figure, Finding
from smartdata_ts._detect.rows import DAY_US, KWH, Rows
from smartdata_ts._detect.rule import Rule, width_us
from smartdata_ts._detect.runs import Run, limits_of, runs

_NOTHING = -1e-300  # -rate is above it where the rate is nothing or less
_YEAR_US = 365 * DAY_US
_STAND_STILL = ("cabin", "holiday", "garden")  # uses that may stand still for months
_TIMES_LONGEST = 3


@dataclass(frozen=True)
class Dead(Rule):
    """A run without any use, after use, and three times as long as any in the year before."""

    name: ClassVar[str] = "dead"
    needs: ClassVar[str] = "amounts"
    severity: ClassVar[str] = "warning"
    look_back_days: ClassVar[int] = 400
    source: ClassVar[str] = "Zenner EDC: no progress for four weeks; Diehl IZAR: several weeks"
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "en": {
            "dead": "Nothing was counted for {days} days, since {start}. The limit is {limit} days: the "
            "longest standstill of the year before was {longest} days."
        },
        "nb": {
            "dead": "Ingenting er talt på {days} døgn, siden {start}. Grensen er {limit} døgn: den lengste "
            "stillstanden året før var {longest} døgn."
        },
    }

    for_: str = "28d"
    for_energy: str = "3d"  # electricity and heat by energy, where something always runs

    def find(self, rows: Rows) -> Iterator[Finding]:
        """Standstills, but for series whose tag `use` says that they may."""
        above = np.full(rows.slot_count, _NOTHING)
        for slot in range(rows.slot_count):
            if (rows.tag("use", slot) or "").lower() in _STAND_STILL:
                above[slot] = np.nan
        before: list[Run] = []
        for run in runs(rows, limits_of(rows, above, DAY_US, 1), -1.0):
            before = [
                other for other in before if other.slot == run.slot and other.end > run.start - _YEAR_US
            ]
            finding = self._judged(run, before, rows)
            before.append(run)
            if finding is not None:
                yield finding

    def _judged(self, run: Run, before: list[Run], rows: Rows) -> Finding | None:
        """A finding, where the run is longer than it may be; None also where nothing was used before it."""
        slot = run.slot
        if run.start <= rows.frame.starts[rows.bounds[slot]]:
            return None
        is_energy = not np.isnan(rows.scale(slot, KWH))
        least_us = width_us("for_", self.for_energy if is_energy else self.for_)
        longest_us = max((other.end - other.start for other in before), default=0)
        limit_us = max(least_us, _TIMES_LONGEST * longest_us)
        length_us = run.end - run.start
        if length_us < limit_us:
            return None
        figures = (
            Figure("days", length_us / DAY_US),
            Figure("limit", limit_us / DAY_US),
            Figure("longest", longest_us / DAY_US),
        )
        return Finding(
            *(slot, self.name, self.severity, "dead"),
            start=run.start,
            end=None if run.is_open else run.end,
            found=run.start + limit_us,
            score=length_us / limit_us,
            measured=run.measured,
            value=length_us / DAY_US,
            limit=limit_us / DAY_US,
            unit="d",
            evidence=figures,
            usual=longest_us / DAY_US,
            history_days=rows.history_days(slot, run.start),
        )
