"""Values that physics, the pipe or the fuse does not allow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import numpy as np

from smartdata_ts._detect.findings import Figure, Finding
from smartdata_ts._detect.leak import is_water
from smartdata_ts._detect.rows import DAY_US, HOUR_US, KWH, LITRE, Rows
from smartdata_ts._detect.rule import Rule
from smartdata_ts._detect.spells import end_of, is_last, spells

_Q4_OF_Q3 = 1.25  # the overload flow of a water meter: ISO 4064-1, 4.1
_VOLTAGE_SHARE = 0.15
_NOMINAL_V = 230.0
_LIMITS = {"Cel": (-60.0, 150.0), "%": (0.0, 100.0)}  # of gauges, by unit


@dataclass(frozen=True)
class Impossible(Rule):
    """Rows outside of what their unit, or the tags q3 (m3/h), fuse (A) and voltage (V), allow."""

    name: ClassVar[str] = "impossible"
    needs: ClassVar[str] = "all"
    severity: ClassVar[str] = "warning"
    look_back_days: ClassVar[int] = 57
    source: ClassVar[str] = (
        "ISO 4064-1 (Q4 = 1.25 Q3); QARTOD gross range test (ioos_qc); EN 50160 for voltages"
    )
    texts: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "en": {
            "gauge": "{rows} readings from {start} on are impossible: {value}, where {low} to {high} can be.",
            "amounts": "{rows} amounts from {start} on are impossible: {value} an hour, where no more than "
            "{high} can pass.",
        },
        "nb": {
            "gauge": "{rows} avlesninger fra {start} er umulige: {value}, der {low} til {high} er mulig.",
            "amounts": "{rows} mengder fra {start} er umulige: {value} i timen, der høyst {high} kan "
            "passere.",
        },
    }

    def find(self, rows: Rows) -> Iterator[Finding]:
        """Spells of impossible rows, a day and less apart."""
        limits = [self._limits(slot, rows) for slot in range(rows.slot_count)]
        if not any(limits):
            return
        lows, highs = np.array([limit or (-np.inf, np.inf) for limit in limits]).T
        values = rows.frame.values
        if rows.frame.ends is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = values * HOUR_US / (rows.frame.ends - rows.frame.starts)
        slots = rows.frame.slots
        wanted = np.flatnonzero(np.isfinite(values) & ((values < lows[slots]) | (values > highs[slots])))
        for slot, own in spells(rows, wanted, DAY_US):
            yield self._finding(slot, own, values, (float(lows[slot]), float(highs[slot])), rows)

    def _limits(self, slot: int, rows: Rows) -> tuple[float, float] | None:
        """The least and the most that a slot's values, or its amounts an hour, can be; None: not known."""
        if not rows.has_amounts:
            if rows.fact("kinds", slot) not in (None, "gauge"):
                return None
            unit, nominal = rows.unit_of(slot), rows.number_tag("voltage", slot)
            if unit == "V" and not np.isnan(nominal):
                return (1 - _VOLTAGE_SHARE) * nominal, (1 + _VOLTAGE_SHARE) * nominal
            return _LIMITS.get(unit or "")
        q3, fuse = rows.number_tag("q3", slot), rows.number_tag("fuse", slot)
        if is_water(rows, slot) and not np.isnan(q3):
            return -np.inf, _Q4_OF_Q3 * q3 * 1000 / rows.scale(slot, LITRE)
        if not np.isnan(fuse):
            nominal = rows.number_tag("voltage", slot)
            volts = _NOMINAL_V if np.isnan(nominal) else nominal
            most = fuse * volts * sqrt(3) / 1000 / rows.scale(slot, KWH)
            return -most, most
        return None

    def _finding(
        self, slot: int, own: np.ndarray, values: np.ndarray, limits: tuple[float, float], rows: Rows
    ) -> Finding:
        low, high = limits
        beyond = np.maximum(low - values[own], values[own] - high)
        worst, unit = float(values[own[np.argmax(beyond)]]), rows.unit_of(slot)
        width = high - low if np.isfinite(low) else high
        last = int(own[-1])
        figures = [Figure("rows", own.size), Figure("value", worst, unit), Figure("high", high, unit)]
        if not rows.has_amounts:
            figures.append(Figure("low", low, unit))
        return Finding(
            *(slot, self.name, self.severity, "amounts" if rows.has_amounts else "gauge"),
            start=int(rows.frame.starts[own[0]]),
            end=None if is_last(rows, slot, last) else end_of(rows, last),
            found=end_of(rows, int(own[0])) if rows.has_amounts else int(rows.frame.starts[own[0]]),
            score=1 + float(beyond.max()) / width,
            measured=1.0,
            value=worst,
            limit=high if worst > high else low,
            unit=f"{unit}/h" if rows.has_amounts else unit,
            evidence=tuple(figures),
            history_days=rows.history_days(slot, int(rows.frame.starts[own[0]])),
        )
