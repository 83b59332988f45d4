"""A level that leaves its neighbours for up to three readings and comes back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartdata_ts._detect.findings import Figure, Finding
from smartdata_ts._detect.rows import Rows
from smartdata_ts._detect.rule import Rule
from smartdata_ts._detect.spells import end_of, spells
from smartdata_ts.kernels.arrays import Float64Array
from smartdata_ts.kernels.detect.spikes import WINDOW, hampel

_FLOOR_SHARE = 0.01  # of the range between the quartiles


@dataclass(frozen=True)
class Spike(Rule):
    """A reading far from the median of the seven around it, as measured by how far they are from it."""

    name: ClassVar[str] = "spike"
    needs: ClassVar[str] = "gauges"
    severity: ClassVar[str] = "note"
    look_back_days: ClassVar[int] = 57
    source: ClassVar[str] = "Hampel's identifier; QARTOD spike test (ioos_qc); HadISD: at most three readings"
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "en": {
            "spike": "The value went to {value} at {start}, where it was {median} around; that is {times} "
            "times the usual distance from it. The limit is {limit} times."
        },
        "nb": {
            "spike": "Verdien gikk til {value} {start}, der den ellers var {median}; det er {times} ganger "
            "vanlig avstand. Grensen er {limit} ganger."
        },
    }

    above: float = 6.0  # spreads

    def find(self, rows: Rows) -> Iterator[Finding]:
        """Spikes of gauges, those that follow each other as one."""
        values, starts = rows.frame.values, rows.frame.starts
        if not values.size:
            return
        medians, spreads = np.empty(values.size), np.empty(values.size)
        is_whole = np.empty(values.size, np.uint8)
        floors = self._floors(rows)
        status = hampel(rows.bounds, values, floors, np.empty(WINDOW), medians, spreads, is_whole)
        assert status == values.size, "the frame's columns fit each other"
        distances = np.where(is_whole > 0, np.abs(values - medians), np.nan)
        usual = self._usual_distances(rows, distances)[rows.frame.slots]
        with np.errstate(invalid="ignore", divide="ignore"):
            spreads = np.maximum(spreads, usual)
            times = np.nan_to_num(distances / spreads, nan=0.0)
        wanted = np.flatnonzero(times > self.above)
        step_us = int(rows.steps_us.max(initial=0))
        for slot, own in spells(rows, wanted, 3 * step_us // 2):
            if rows.fact("kinds", slot) not in (None, "gauge"):
                continue
            top = int(own[np.argmax(times[own])])
            unit, last = rows.unit_of(slot), int(own[-1])
            figures = (
                Figure("value", float(values[top]), unit),
                Figure("median", float(medians[top]), unit),
                Figure("times", float(times[top])),
                Figure("limit", self.above),
            )
            yield Finding(
                *(slot, self.name, self.severity, "spike"),
                start=int(starts[own[0]]),
                end=end_of(rows, last),
                # The window must be whole before anybody can tell.
                found=int(starts[min(last + WINDOW // 2, values.size - 1)]),
                score=float(times[top]) / self.above,
                measured=1.0,
                value=float(values[top]),
                limit=self.above * float(spreads[top]),
                unit=unit,
                evidence=figures,
                usual=float(medians[top]),
                history_days=rows.history_days(slot, int(starts[own[0]])),
            )

    def _usual_distances(self, rows: Rows, distances: Float64Array) -> Float64Array:
        """The usual distance from the medians around, by slot: seven readings alone tell it badly."""
        usual = np.zeros(rows.slot_count)
        for slot in range(rows.slot_count):
            own = distances[rows.bounds[slot] : rows.bounds[slot + 1]]
            own = own[np.isfinite(own)]
            if own.size:
                usual[slot] = 1.4826 * float(np.median(own))
        return usual

    def _floors(self, rows: Rows) -> Float64Array:
        """The least spread of each slot: a step of the gauge, or a share of its quartiles' distance."""
        floors = rows.finest.copy()
        for slot in range(rows.slot_count):
            own = rows.frame.values[rows.bounds[slot] : rows.bounds[slot + 1]]
            own = own[np.isfinite(own)]
            if own.size:
                low, high = np.percentile(own, (25, 75))
                floors[slot] = max(floors[slot], _FLOOR_SHARE * float(high - low))
        return floors
