"""Water that does not stand still for an hour in a day."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smartdata_ts._detect.findings import Figure, Finding
from smartdata_ts._detect.rows import DAY_US, HISTORY_DAYS, HOUR_US, LITRE, Rows
from smartdata_ts._detect.rule import Rule, rate_of, width_us
from smartdata_ts._detect.runs import Run, limits_of, runs
from smartdata_ts._meter.units import UNITS
from smartdata_ts.kernels.arrays import Float64Array
from smartdata_ts.kernels.detect.rest import Before, look_before

DWELLING_L_H = 3.8  # one US gallon an hour: AquaCUE
_CELL_HOURS_MAX = 2.0  # a register that is coarser than this tells nothing of an hour at rest
_NOT_WATER = ("gas", "heat", "heating", "cooling", "electricity", "steam")


@dataclass(frozen=True)
class Leak(Rule):
    """A run of cells above a limit for a day; kernels/detect/runs.py has what a run is."""

    name: ClassVar[str] = "leak"
    needs: ClassVar[str] = "amounts"
    severity: ClassVar[str] = "alarm"
    look_back_days: ClassVar[int] = 400
    source: ClassVar[str] = (
        "Kamstrup MULTICAL 21 (no hour without flow in 24 h, above 0.5 % of Q3); Badger AquaCUE (1 US gal/h, "
        "estimates neither trigger nor cancel)"
    )
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "en": {
            "leak": "Water has not stood still for {hours} hours, since {start}. The least hour of the last "
            "day was {rate}; the limit is {limit} an hour. In the {days} days before, {rest_days} had an "
            "hour at rest. About {volume} so far, {daily} a day. The register counts in steps of {step}.",
            "coarse": "The register counts in steps of {step}, read every {read_hours} hours: too coarse to "
            "tell a leak of less than {limit} an hour.",
        },
        "nb": {
            "leak": "Vannet har ikke stått stille på {hours} timer, siden {start}. Minste time siste døgn "
            "var {rate}; grensen er {limit} i timen. Av {days} døgn før hadde {rest_days} en time i ro. Om "
            "lag {volume} så langt, {daily} i døgnet. Målerens minste trinn er {step}.",
            "coarse": "Målerens minste trinn er {step}, lest hver {read_hours}. time: for grovt til å se en "
            "lekkasje under {limit} i timen.",
        },
    }

    above: str | None = None
    for_: str = "24h"

    def find(self, rows: Rows) -> Iterator[Finding]:
        """The leaks of meters of water, and where a register is too coarse to tell."""
        above, cells = self._limits(rows)
        too_coarse = cells > _CELL_HOURS_MAX * HOUR_US
        for_us = width_us("for_", self.for_)
        limits = limits_of(rows, above, for_us, HOUR_US, np.where(too_coarse, 0, cells))
        found = list(runs(rows, limits._replace(above=np.where(too_coarse, np.nan, above))))
        before = _before(rows, found, above)
        for k, run in enumerate(found):
            yield self._finding(run, float(above[run.slot]), for_us, rows, before, k)
        for slot in np.flatnonzero(too_coarse & ~np.isnan(above) & (np.diff(rows.bounds) > 0)).tolist():
            yield self._too_coarse(slot, rows)

    def _limits(self, rows: Rows) -> tuple[Float64Array, Float64Array]:
        """The limit of each slot, an amount an hour, NaN where it is no water; and the width of its cells."""
        above, cells = np.full(rows.slot_count, np.nan), np.zeros(rows.slot_count)
        for slot in range(rows.slot_count):
            if not is_water(rows, slot):
                continue
            step_hours = float(rows.steps_us[slot]) / HOUR_US
            limit = self._wanted(rows, slot)
            finest = float(rows.finest[slot])
            if np.isnan(limit):  # no unit: all that the register can tell
                limit = 1.5 * finest / max(step_hours, 1.0) if finest else np.nan
            above[slot] = limit
            # As many hours as it takes for one and a half units of the register to be no more than the limit.
            needed = 1.5 * finest / limit if limit > 0 else 0.0
            # A row of a tenth of a unit too few is the register's, not the tap's.
            cells[slot] = max(needed if needed > 1.05 * step_hours else 0.0, step_hours) * HOUR_US
        return above, cells

    def _wanted(self, rows: Rows, slot: int) -> float:
        """The limit that practice has, an amount of the slot's unit an hour; NaN where it has no unit."""
        litres = rows.scale(slot, LITRE)
        if self.above is not None:
            amount, unit = rate_of("above", self.above)
            known = UNITS.get(unit)
            if known is None or known.dimension != "volume":
                return amount if unit == rows.unit_of(slot) else np.nan
            return amount * float(known.factor) / LITRE / litres
        q3 = rows.number_tag("q3", slot)
        return (DWELLING_L_H if np.isnan(q3) else 0.005 * q3 * 1000) / litres

    def _finding(self, run: Run, limit: float, for_us: int, rows: Rows, before: Before, k: int) -> Finding:
        slot, unit = run.slot, rows.unit_of(run.slot)
        hours = (run.end - run.start) / HOUR_US
        usual = float(before.usual[k])
        figures = (
            Figure("hours", hours),
            Figure("rate", run.rate, unit),
            Figure("limit", limit, unit),
            Figure("days", int(before.days[k])),
            Figure("rest_days", int(before.rest_days[k])),
            Figure("volume", run.amount, unit),
            Figure("daily", 24 * run.rate, unit),
            Figure("step", float(rows.finest[slot]), unit),
        )
        litres = rows.scale(slot, LITRE)
        return Finding(
            *(slot, self.name, self.severity, "leak"),
            start=run.start,
            end=None if run.is_open else run.end,
            found=run.found,
            score=run.rate / limit * min(hours * HOUR_US / for_us, 10.0) if limit else np.inf,
            measured=run.measured,
            value=run.rate,
            limit=limit,
            unit=None if unit is None else f"{unit}/h",
            evidence=figures,
            usual=None if np.isnan(usual) else usual,
            amount=run.amount if np.isnan(litres) else run.amount * litres,
            history_days=rows.history_days(slot, run.start),
        )

    def _too_coarse(self, slot: int, rows: Rows) -> Finding:
        """A note over all that was seen of a register."""
        unit, finest = rows.unit_of(slot), float(rows.finest[slot])
        first, last = rows.bounds[slot], rows.bounds[slot + 1] - 1
        start = int(rows.frame.starts[first])
        read_hours = float(rows.steps_us[slot]) / HOUR_US
        limit = 1.5 * finest / min(max(read_hours, 1.0), _CELL_HOURS_MAX)
        figures = (
            Figure("step", finest, unit),
            Figure("read_hours", read_hours),
            Figure("limit", limit, unit),
        )
        assert rows.frame.ends is not None
        return Finding(
            *(slot, self.name, "note", "coarse"),
            start=start,
            end=None,
            found=int(rows.frame.ends[last]),
            score=1.0,
            measured=1.0,
            value=finest,
            limit=limit,
            unit=unit,
            evidence=figures,
            history_days=(int(rows.frame.ends[last]) - start) / DAY_US,
        )


def is_water(rows: Rows, slot: int) -> bool:
    """Whether a slot counts water, as far as its unit and its quantity say."""
    quantity = (rows.fact("quantities", slot) or "").lower()
    unit = rows.unit_of(slot)
    if any(word in quantity for word in _NOT_WATER):
        return False
    return unit is None or not np.isnan(rows.scale(slot, LITRE))


def _before(rows: Rows, found: list[Run], limits: Float64Array) -> Before:
    """How the meters were at rest in the days before each run."""
    slots = np.array([run.slot for run in found], np.int64)
    starts = np.array([run.start for run in found], np.int64)
    days, rest_days = np.empty(slots.size, np.int64), np.empty(slots.size, np.int64)
    before = Before(slots, starts, limits[slots], days, rest_days, np.empty(slots.size))
    status = look_before(rows.amounts, rows.steps_us * 3 // 2, before, np.empty(HISTORY_DAYS))
    assert status == slots.size, "the frame's columns fit each other"
    return before
