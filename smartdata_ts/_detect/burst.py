"""Much water for half an hour: more than a share of what the meter is built for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartdata_ts._detect.findings import Figure, Finding
from smartdata_ts._detect.leak import is_water
from smartdata_ts._detect.rows import HOUR_US, LITRE, Rows
from smartdata_ts._detect.rule import Rule, width_us
from smartdata_ts._detect.runs import limits_of, runs

_DWELLINGS_MANY = 5  # whose taps together come to what is a burst in one


@dataclass(frozen=True)
class Burst(Rule):
    """A run of rows above a share of Q3; only of meters whose tag q3 (m3/h) says what that is."""

    name: ClassVar[str] = "burst"
    needs: ClassVar[str] = "amounts"
    severity: ClassVar[str] = "alarm"
    look_back_days: ClassVar[int] = 57
    source: ClassVar[str] = (
        "Kamstrup flowIQ 3100 (5, 10 or 20 % of Q3 for 30 min), Zenner EDC (30 % of Q3 for 30 min)"
    )
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "en": {
            "burst": "At least {rate} an hour for {minutes} minutes, from {start}: more than {share} % of "
            "the meter's permanent flow, which is {q3} an hour. The limit is {limit} an hour."
        },
        "nb": {
            "burst": "Minst {rate} i timen i {minutes} minutter, fra {start}: mer enn {share} % av målerens "
            "permanente vannmengde, som er {q3} i timen. Grensen er {limit} i timen."
        },
    }

    share: float = 0.2  # of Q3
    share_of_many: float = 0.3  # where a meter has five dwellings and more
    for_: str = "30min"

    def find(self, rows: Rows) -> Iterator[Finding]:
        """The bursts of meters of water whose Q3 is known."""
        shares, q3 = np.full(rows.slot_count, self.share), np.full(rows.slot_count, np.nan)
        for slot in range(rows.slot_count):
            if is_water(rows, slot):
                q3[slot] = rows.number_tag("q3", slot) * 1000 / rows.scale(slot, LITRE)
            if rows.number_tag("dwellings", slot) >= _DWELLINGS_MANY:
                shares[slot] = self.share_of_many
        for_us = width_us("for_", self.for_)
        for run in runs(rows, limits_of(rows, shares * q3, for_us, 1)):
            slot, unit = run.slot, rows.unit_of(run.slot)
            limit = float(shares[slot] * q3[slot])
            figures = (
                Figure("rate", run.rate, unit),
                Figure("minutes", (run.end - run.start) * 60 / HOUR_US),
                Figure("share", 100 * float(shares[slot])),
                Figure("q3", float(q3[slot]), unit),
                Figure("limit", limit, unit),
            )
            yield Finding(
                *(slot, self.name, self.severity, "burst"),
                start=run.start,
                end=None if run.is_open else run.end,
                found=run.found,
                score=run.rate / limit,
                measured=run.measured,
                value=run.rate,
                limit=limit,
                unit=f"{unit}/h",
                evidence=figures,
                amount=run.amount * rows.scale(slot, LITRE),
                history_days=rows.history_days(slot, run.start),
            )
