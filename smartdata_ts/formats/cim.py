"""Documents of positions, XML or JSON: CIM (IEC 62325: ENTSO-E, DataHub, eloverblik) and ebIX (DataHub).

- A series is its metering point. Type E17 is use (direction Out), E18 production (In).
- A point's time is its period's start and its position, counted from 1, in lengths of the resolution:
  elapsed ones, or days and months on the clocks of tz=, else of Europe/Copenhagen. What does
  not fit is rejected.
- Under curve type A03 a value holds until the next position, and the last one to the period's end; under
  A01, and where none is named, a position that is left out is a gap.
- A04, E01 or none is measured; A03, 56, A06 and D01 are estimated (A06 and D01 by the vendor); 36 is edited;
  A05 is suspect; A02, and QuantityMissing, are empty.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element
from zoneinfo import ZoneInfo

from smartdata_ts._meter.quality import quality_code

from ._documents.document_reader import DocumentReader
from ._documents.instants import duration_of, instant_of, place_after
from ._documents.json_items import json_items
from ._documents.xml_items import local_name, xml_items
from ._head import Head
from ._options import ReadOptions
from ._reader import Reader, SeriesFacts
from ._rejects import RejectSink
from ._source import Source

_ITEMS = ("TimeSeries", "Series", "PayloadEnergyTimeSeries")
_UNITS = {
    "KWH": "kW.h", "MWH": "MW.h", "WH": "W.h", "KWT": "kW", "MAW": "MW", "MTQ": "m3", "K3": "kvar.h",
    "KVR": "kvar",    "GJ": "GJ", "TNE": "t",
}  # fmt: skip
_VENDOR = quality_code("estimated", "vendor")
_QUALITIES = {
    "": 0, "A04": 0, "E01": 0, "A01": 0, "A03": quality_code("estimated"), "56": quality_code("estimated"),
    "A06": _VENDOR, "D01": _VENDOR, "36": quality_code("edited"), "A05": quality_code("suspect"), "A02": 0,
}  # fmt: skip
_DIRECTIONS = {"E17": "Out", "E18": "In"}
_POSITIONS_MAX = 1_000_000


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read a document of positions."""
    return _CimReader(source, options, sink)


class _CimReader(DocumentReader):
    description = "CIM or ebIX: series by metering point; starts of intervals"

    def __init__(self, source: Source, options: ReadOptions, sink: RejectSink | None) -> None:
        super().__init__(source, options, sink)
        self._zone = ZoneInfo(options.tz or "Europe/Copenhagen")
        self._is_json = bool(Head(source.head).keys)

    def fill(self) -> Iterator[None]:
        """Series by series."""
        items = (
            json_items(self.source, _ITEMS) if self._is_json else map(_tree, xml_items(self.source, _ITEMS))
        )
        for ordinal, series in enumerate(items, 1):
            if isinstance(series, dict):
                self._read(series, f"series {ordinal}")
            else:
                self.reject_row(f"series {ordinal}", "no object")
            yield

    def _read(self, series: dict[str, Any], place: str) -> None:
        key = _text(series, "marketEvaluationPoint.mRID", "MarketEvaluationPoint.mRID.name")
        key = key or _text(
            series, "MeteringPointDomainLocation.Identification", "registeredResource.mRID", "mRID"
        )
        name = _text(
            series, "quantity_Measure_Unit.name", "measurement_Unit.name", "quantity_Measurement_Unit.name"
        ) or _text(series, "IncludedProductCharacteristic.UnitType", "measureUnit.name")
        unit = _UNITS.get(name.upper())
        if not key or (name and unit is None):
            self.reject_row(place, f"unit {name[:20]!r} is not known" if key else "no metering point", key)
            return
        kind = _text(
            series,
            "marketEvaluationPoint.type",
            "DetailMeasurementMeteringPointCharacteristic.TypeOfMeteringPoint",
        )
        periods = _several(series, "Period") or [series]
        for number, period in enumerate(periods, 1):
            tags = {"gsrn": key, "direction": _DIRECTIONS.get(kind, "")}
            tags = {tag: text for tag, text in tags.items() if text}
            holds = _text(series, "curveType") == "A03"
            self._read_period(key, unit, tags, holds, period, f"{place}, period {number}")

    def _read_period(
        self,
        key: str,
        unit: str | None,
        tags: dict[str, str],
        holds: bool,
        period: dict[str, Any],
        place: str,
    ) -> None:
        points = _several(period, "Point") or _several(period, "IntervalEnergyObservation")
        span = "ObservationTimeSeriesPeriod"
        resolution = duration_of(_text(period, "resolution", f"{span}.ResolutionDuration"))
        start = instant_of(_text(period, "timeInterval.start", f"{span}.Start"), self._zone)
        end = instant_of(_text(period, "timeInterval.end", f"{span}.End"), self._zone)
        if resolution is None or start is None or end is None or end <= start:
            self.reject_row(place, "no period, or no resolution that is known", key, max(1, len(points)))
            return
        quantity = "water" if unit == "m3" else "electricity"
        code = self.code_of(key, SeriesFacts(quantity, unit, "interval", resolution.interval, tags))
        taken: list[tuple[int, float | None, int]] = []
        for ordinal, point in enumerate(points, 1):
            reason, position = self._take(point, taken)
            time = place_after(start, resolution, position, self._zone) if reason is None else None
            if reason is None and (time is None or time > end):
                taken.pop()
                reason = "a position after the period's end"
            if reason is not None:
                self.reject_row(f"{place}, point {ordinal}", reason, str(point))
        if holds:
            taken = self._held(taken, start, end, resolution)
        for position, value, quality in taken:
            time = place_after(start, resolution, position - 1, self._zone)
            assert time is not None, "the end of it has its place"
            self.codes.append(code)
            self.times.append(time)
            self.values.append(value)
            self.qualities.append(quality)
            self.origins.append(f"{place}, position {position}")

    def _take(self, point: Any, taken: list[tuple[int, float | None, int]]) -> tuple[str | None, int]:
        """Add a point to those taken; or give the reason why not."""
        position = _text(point, "position", "Position")
        amount = _text(point, "quantity", "out_Quantity.quantity", "EnergyQuantity", "inQuantity")
        quality = _text(point, "quality", "out_Quantity.quality", "QuantityQuality")
        if not (position.isascii() and position.isdecimal() and 1 <= int(position[:8]) <= _POSITIONS_MAX):
            return "no position", 0
        if quality not in _QUALITIES:
            return f"quality {quality[:10]!r} is not known", 0
        is_missing = quality == "A02" or _text(point, "QuantityMissing").lower() == "true"
        try:
            value = None if is_missing or not amount else float(amount)
        except ValueError:
            return "unreadable number", 0
        taken.append((int(position), value, _QUALITIES[quality]))
        return None, int(position)

    def _held(
        self, taken: list[tuple[int, float | None, int]], start: int, end: int, resolution: Any
    ) -> list[tuple[int, float | None, int]]:
        """Every value repeated up to the next position, and the last one to the end."""
        taken = sorted(taken, key=lambda point: point[0])
        found: list[tuple[int, float | None, int]] = []
        for place, (position, value, quality) in enumerate(taken):
            stop = taken[place + 1][0] if place + 1 < len(taken) else position + _POSITIONS_MAX
            for each in range(position, stop):
                time = place_after(start, resolution, each, self._zone)
                if time is None or time > end or len(found) > _POSITIONS_MAX:
                    break
                found.append((each, value, quality))
        return found


def _tree(element: Element) -> dict[str, Any]:
    """An element as the objects that JSON has: texts, objects, and lists where a name comes again."""
    found: dict[str, Any] = {}
    for part in element:
        name = local_name(part)
        value: Any = _tree(part) if len(part) else (part.text or "").strip()
        if name in found:
            if not isinstance(found[name], list):
                found[name] = [found[name]]
            found[name].append(value)
        else:
            found[name] = value
    return found


def _several(item: dict[str, Any], name: str) -> Sequence[Any]:
    found = item.get(name, [])
    return found if isinstance(found, list) else [found]


def _text(item: Any, *paths: str) -> str:
    """The text at the first of some paths that leads to one; {"value": ...} is its value."""
    for path in paths:
        found = _at(item, path)
        if isinstance(found, dict):
            found = found.get("value", found.get("name"))
        if isinstance(found, str | int | float) and found != "":
            return str(found)
    return ""


def _at(item: Any, path: str) -> Any:
    """What a path leads to, where a name may itself hold dots, as eloverblik's do."""
    if isinstance(item, dict):
        if path in item:
            return item[path]
        for name, part in item.items():
            if path.startswith(name + "."):
                return _at(part, path[len(name) + 1 :])
    return None
