"""Registers that count backwards: a little, much, or all the time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartdata_ts._detect.findings import Figure, Finding
from smartdata_ts._detect.rows import DAY_US, HOUR_US, LITRE, Rows
from smartdata_ts._detect.rule import Rule, width_us
from smartdata_ts._detect.spells import end_of, is_last, spells

_MINOR_STEPS = 100.0  # of the register
_BACKFLOW = 2  # the event of consumption


@dataclass(frozen=True)
class Backflow(Rule):
    """Rows of less than nothing, a day and less apart; reversed where nothing went forward for long.

    Only of registers: an interval series may be less than nothing where power is fed in.
    """

    name: ClassVar[str] = "backflow"
    needs: ClassVar[str] = "amounts"
    severity: ClassVar[str] = "warning"
    look_back_days: ClassVar[int] = 57
    source: ClassVar[str] = (
        "Neptune E-CODER: minor up to 100 steps of the eighth digit, major above; Zenner EDC: mounted "
        "backwards where it ran so for 48 h"
    )
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "en": {
            "backflow": "The register went back by {back} in {rows} readings, from {start} on. Its step is "
            "{step}; {limit} and more is much.",
            "reversed": "The register only went back for {hours} hours, since {start}, by {back} together: "
            "it may be mounted backwards.",
        },
        "nb": {
            "backflow": "Telleverket gikk {back} tilbake i {rows} avlesninger, fra {start}. Minste trinn er "
            "{step}; {limit} og mer er mye.",
            "reversed": "Telleverket har bare gått bakover i {hours} timer, siden {start}, til sammen "
            "{back}: måleren kan være montert feil vei.",
        },
    }

    reversed_for: str = "48h"

    def find(self, rows: Rows) -> Iterator[Finding]:
        """Spells of backward rows."""
        frame = rows.frame
        events = frame.columns.get("event", np.zeros(frame.slots.size, np.uint8))
        kinds = [rows.fact("kinds", slot) in (None, "register") for slot in range(rows.slot_count)]
        backward = (frame.values < 0) & np.array(kinds, bool)[frame.slots]
        wanted = np.flatnonzero(backward & ((events == _BACKFLOW) | (events == 0)))
        for slot, own in spells(rows, wanted, DAY_US):
            yield self._finding(slot, own, rows)

    def _finding(self, slot: int, own: np.ndarray, rows: Rows) -> Finding:
        first, last = int(own[0]), int(own[-1])
        values, unit, finest = rows.frame.values, rows.unit_of(slot), float(rows.finest[slot])
        start, end = int(rows.frame.starts[first]), end_of(rows, last)
        back, limit = -float(values[own].sum()), _MINOR_STEPS * finest
        between = values[first : last + 1]
        is_reversed = end - start >= width_us("reversed_for", self.reversed_for) and not (between > 0).any()
        figures = (
            Figure("back", back, unit),
            Figure("rows", own.size),
            Figure("step", finest, unit),
            Figure("limit", limit, unit),
            Figure("hours", (end - start) / HOUR_US),
        )
        litres = rows.scale(slot, LITRE)
        return Finding(
            *(slot, self.name),
            severity="alarm" if is_reversed or back > limit else self.severity,
            wording="reversed" if is_reversed else "backflow",
            start=start,
            end=None if is_reversed and is_last(rows, slot, last) else end,
            found=end_of(rows, first),
            score=max(back / limit, 1.0) if limit else 1.0,
            measured=1.0,
            value=back,
            limit=limit,
            unit=unit,
            evidence=figures,
            amount=back if np.isnan(litres) else back * litres,
            history_days=rows.history_days(slot, start),
        )
