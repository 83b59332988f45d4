"""Elhub, the Norwegian data hub: XML messages of metering values, and JSON of its Energy Data API.

- XML: NotifyValidatedDataForBillingEnergy and CollectedData (schema 2.3), bare or in a SOAP envelope. A
  series is a metering point and a direction: "707057500000000017/Out" is what was taken from the grid,
  "/In" what was fed in.
- An observation's time is the period's start and its Sequence, counted from 1 (from 0 where a 0 occurs), in
  lengths of ResolutionDuration: elapsed ones, or days and months on the clocks of Europe/Oslo. Observations
  that do not fit into the period are rejected.
- Metered is measured; Estimated is estimated by the vendor, or final where its Quality is 81; Temporary is
  temporary; Calculated is estimated by the vendor. A profiled observation is one amount over the period;
  MeterReadingStart and MeterReadingEnd are readings of a register, in a series "/register" of its own.
- Of two messages about one time the one with the newer InsertDateTime (or RegistrationDateTime) stands,
  whatever their order; observations of the older are rejected.
- JSON: `meteringValuesHour`, with startTime, direction, quantityKwh and resolution.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

from smartdata_ts._meter.quality import quality_code

from ._documents.document_reader import DocumentReader
from ._documents.instants import Duration, duration_of, instant_of, place_after
from ._documents.json_items import json_items
from ._documents.xml_items import child, child_text, local_name, xml_items
from ._head import Head
from ._options import ReadOptions
from ._reader import Reader, SeriesFacts
from ._rejects import RejectSink
from ._source import Source

_ZONE = ZoneInfo("Europe/Oslo")
_UNITS = {"kwh": "kW.h", "kvarh": "kvar.h", "mwh": "MW.h", "wh": "W.h"}
_VENDOR = quality_code("estimated", "vendor")
_QUALITIES = {
    "Metered": 0,
    "Estimated": _VENDOR,
    "Temporary": quality_code("temporary"),
    "Calculated": _VENDOR,
    "Stipulated": _VENDOR,
    "MeterIndex": 0,
}
_CODED = {
    "56": _VENDOR,
    "81": quality_code("final_estimate", "vendor"),
    "21": quality_code("temporary"),
    "127": 0,
    "58": quality_code("rejected"),
}


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read a message of Elhub."""
    kind = _JsonReader if Head(source.head).keys else _XmlReader
    return kind(source, options, sink)


class _XmlReader(DocumentReader):
    """Reads messages of metering values."""

    description = "Elhub XML: series by metering point and direction; starts of intervals"

    def __init__(self, source: Source, options: ReadOptions, sink: RejectSink | None) -> None:
        super().__init__(source, options, sink)
        self._versions: dict[str, list[tuple[int, int, int]]] = {}
        self._ordinal = 0
        self._misfits = 0

    def fill(self) -> Iterator[None]:
        """Message by message."""
        for payload in xml_items(self.source, ("PayloadEnergyTimeSeries",)):
            self._ordinal += 1
            self._read(payload)
            yield
        if self._misfits:
            self.notices.append(
                f"{self._misfits:,} series have more values than their period has room for at the resolution"
                " that they name; the period over the count of values was taken for the step"
            )

    def _read(self, payload: Element) -> None:
        place = f"series {self._ordinal}"
        point = child_text(payload, "MeteringPointUsedDomainLocation", "Identification")
        area = child_text(payload, "MeteringGridAreaUsedDomainLocation", "Identification")
        traits = child(payload, "MPDetailMeasurementMeteringPointCharacteristic")
        direction = "" if traits is None else child_text(traits, "Direction")
        period = child(payload, "ObservationPeriodTimeSeriesPeriod")
        start = None if period is None else instant_of(child_text(period, "Start"), _ZONE)
        end = None if period is None else instant_of(child_text(period, "End"), _ZONE)
        observations = [e for e in payload if local_name(e) in ("Observation", "ProfiledObservation")]
        key = "/".join(part for part in (point or area, direction) if part)
        unit = child_text(payload, "ProductIncludedProductCharacteristics", "UnitType")
        for wrong, reason in (
            (not (point or area), "no metering point"),
            (period is None or start is None or end is None or end <= start, "no period"),
            (unit.lower() not in _UNITS, f"unit {unit[:20]!r} is not known"),
        ):
            if wrong:
                self.reject_row(place, reason, key, max(1, len(observations)))
                return
        assert period is not None
        assert start is not None
        assert end is not None
        tags = {
            "gsrn": point,
            "direction": direction,
            "product": child_text(payload, "ProductIncludedProductCharacteristics", "Identification"),
            "business_type": "" if traits is None else child_text(traits, "BusinessType"),
            "grid_area": area,
            "supplier": child_text(payload, "BalanceSupplierInvolvedEnergyParty", "Identification"),
        }
        facts = SeriesFacts("electricity", _UNITS[unit.lower()], "interval", None, _filled(tags))
        if self._is_older(key, start, end, payload):
            text = "an older version of what the file holds"
            self.reject_row(place, text, key, max(1, len(observations)))
            return
        self._read_registers(key, facts, period, start, end, place)
        if observations and local_name(observations[0]) == "ProfiledObservation":
            code = self.code_of(key, facts)
            for observation in observations:
                self._take(code, start, observation, place)
        elif observations:
            resolution = duration_of(child_text(period, "ResolutionDuration"))
            self._read_observations(key, facts, resolution, start, end, observations, place)

    def _is_older(self, key: str, start: int, end: int, payload: Element) -> bool:
        """Whether a newer message of the file has spoken of any of this period."""
        stamp = child_text(payload, "InsertDateTime") or child_text(payload, "RegistrationDateTime")
        version = instant_of(stamp, _ZONE) or 0
        spans = self._versions.setdefault(key, [])
        older = any(first < end and start < last and version < other for first, last, other in spans)
        if not older:
            spans.append((start, end, version))
        return older

    def _read_registers(
        self, key: str, facts: SeriesFacts, period: Element, start: int, end: int, place: str
    ) -> None:
        """Readings of the meter's register at both ends of the period."""
        said = SeriesFacts(facts.quantity, facts.unit, "register", None, facts.tags)
        for name, time in (("MeterReadingStart", start), ("MeterReadingEnd", end)):
            text = child_text(period, name)
            if text:
                self._add(self.code_of(f"{key}/register", said), time, text, 0, f"{place}, {name}")

    def _read_observations(
        self,
        key: str,
        facts: SeriesFacts,
        resolution: Duration | None,
        start: int,
        end: int,
        observations: list[Element],
        place: str,
    ) -> None:
        numbers = [observation.get("Sequence", "") for observation in observations]
        if resolution is None or not all(n.isascii() and n.isdecimal() and len(n) < 7 for n in numbers):
            reason = "no resolution" if resolution is None else "an observation has no sequence"
            self.reject_row(place, reason, key, len(observations))
            return
        base = 0 if "0" in numbers else 1
        steps = [int(n) - base for n in numbers]
        last = place_after(start, resolution, max(steps) + 1, _ZONE)
        if last is None or last > end:
            step, rest = divmod(end - start, len(steps))
            if rest or sorted(steps) != list(range(len(steps))) or step % 60_000_000:
                self.reject_row(place, "more observations than the period has room for", key, len(steps))
                return
            resolution = Duration(fixed_us=step)
            self._misfits += 1
        said = SeriesFacts(facts.quantity, facts.unit, facts.kind, resolution.interval, facts.tags)
        code = self.code_of(key, said)
        for observation, step in zip(observations, steps, strict=True):
            time = place_after(start, resolution, step, _ZONE)
            assert time is not None, "the last one has its place"
            self._take(code, time, observation, f"{place}, observation {step + base}")

    def _take(self, code: int, time: int, observation: Element, place: str) -> None:
        quantity = next(iter(observation), None)
        name = "" if quantity is None else local_name(quantity)
        if quantity is None or name not in (*_QUALITIES, "Withdrawn"):
            self.reject_row(place, "no quantity that is known", name)
            return
        quality = _CODED.get(quantity.get("Quality", ""), _QUALITIES.get(name, 0))
        text = quantity.text or ""
        if name == "Withdrawn":
            text, quality = "", quality_code("rejected")
        self._add(code, time, text.strip(), quality, place)

    def _add(self, code: int, time: int, text: str, quality: int, place: str) -> None:
        try:
            value = float(text) if text else None
        except ValueError:
            self.reject_row(place, "unreadable number", text)
            return
        self.codes.append(code)
        self.times.append(time)
        self.values.append(value)
        self.qualities.append(quality)
        self.origins.append(place)


class _JsonReader(DocumentReader):
    """Reads answers of the Energy Data API."""

    description = "Elhub Energy Data JSON: series by metering point and direction; starts of intervals"

    def fill(self) -> Iterator[None]:
        """Metering point by metering point."""
        for ordinal, point in enumerate(json_items(self.source, ("data",)), 1):
            attributes: Any = point.get("attributes") if isinstance(point, dict) else None
            values: Any = attributes.get("meteringValuesHour") if isinstance(attributes, dict) else None
            if not isinstance(values, list):
                self.reject_row(f"item {ordinal}", "no metering values", str(point)[:200])
                continue
            name = str(point.get("id") or attributes.get("meteringPointId") or "")
            for number, value in enumerate(values, 1):
                self._take(name, value, f"item {ordinal}, value {number}")
            yield

    def _take(self, name: str, value: Any, place: str) -> None:
        said: Mapping[str, Any] = value if isinstance(value, dict) else {}
        amount = said.get("quantityKwh")
        time = instant_of(str(said.get("startTime")), _ZONE)
        resolution = duration_of(str(said.get("resolution", "PT1H")))
        if time is None or resolution is None or not name:
            reason = (
                "unreadable time" if time is None else "no metering point" if not name else "no resolution"
            )
            self.reject_row(place, reason, str(value))
            return
        if isinstance(amount, bool) or not isinstance(amount, int | float | None):
            self.reject_row(place, "unreadable number", str(value))
            return
        direction = str(said.get("direction") or "")
        tags = _filled({"gsrn": name, "direction": direction})
        facts = SeriesFacts("electricity", "kW.h", "interval", resolution.interval, tags)
        self.codes.append(self.code_of(f"{name}/{direction}" if direction else name, facts))
        self.times.append(time)
        self.values.append(amount)
        self.qualities.append(0)
        self.origins.append(place)


def _filled(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in tags.items() if text}
