"""Green Button: ESPI of NAESB (REQ.21), an Atom feed of usage points, reading types and interval blocks.

- Entries belong together by their links, whatever their order; the feed is gone through twice.
- A series is a meter reading: "UsagePoint/1/MeterReading/2". A reading's time is its start, an instant; its
  value is multiplied by ten to the power of powerOfTenMultiplier, and has the unit of its reading type.
- accumulationBehaviour says the kind: 4 interval, 1 and 3 register, 6 and 12 gauge. flowDirection 1 is what
  was delivered (direction Out), 19 what was received (In).
- Qualities are those of `quality_codes("espi")`; none is measured. A block without a reading type is refused.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import NamedTuple
from xml.etree.ElementTree import Element

from smartdata_ts._meter.quality import quality_codes
from smartdata_ts.errors import DataError

from ._documents.document_reader import DocumentReader
from ._documents.instants import Duration
from ._documents.xml_items import child, child_text, children, local_name, xml_items
from ._options import ReadOptions
from ._reader import Reader, SeriesFacts
from ._rejects import RejectSink
from ._source import Source

_QUANTITIES = {"0": "electricity", "1": "gas", "2": "water", "4": "heat"}
_KINDS = {"4": "interval", "1": "register", "3": "register", "6": "gauge", "12": "gauge"}
_DIRECTIONS = {"1": "Out", "19": "In"}
_UNITS: dict[str, tuple[str, int | Decimal]] = {
    "72": ("W.h", 1), "38": ("W", 1), "42": ("m3", 1), "119": ("[cft_i]", 1), "128": ("[gal_us]", 1),
    "130": ("[gal_br]", 1), "134": ("L", 1), "169": ("MJ", Decimal("105.4804")),
    "132": ("kJ", Decimal("1.05505585262")),
    "73": ("var.h", 1), "23": ("Cel", 1), "29": ("V", 1), "5": ("A", 1),
}  # fmt: skip
_POWER_MAX = 30


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read a feed."""
    return _EspiReader(source, options, sink)


class _ReadingType(NamedTuple):
    unit: str | None
    factor: Decimal
    kind: str | None
    direction: str
    length: str


class _EspiReader(DocumentReader):
    description = "Green Button (ESPI): series by meter reading; starts of intervals"

    def __init__(self, source: Source, options: ReadOptions, sink: RejectSink | None) -> None:
        super().__init__(source, options, sink)
        self._qualities = quality_codes("espi")
        self._types: dict[str, _ReadingType] = {}
        self._related: dict[str, list[str]] = {}  # by the meter reading's own link
        self._services: dict[str, str] = {}  # by the usage point's own link
        self._file = source.random_access()
        with_links = Source(self._file)
        try:
            for entry in xml_items(with_links, ("entry",)):
                self._note(entry)
        finally:
            with_links.close()

    def _note(self, entry: Element) -> None:
        own, _, related = _links(entry)
        content = child(entry, "content")
        thing = next(iter(content), None) if content is not None else None
        if thing is None:
            return
        if local_name(thing) == "ReadingType":
            self._types[own] = _reading_type(thing, self.name)
        elif local_name(thing) == "MeterReading":
            self._related[own] = related
        elif local_name(thing) == "UsagePoint":
            self._services[own] = child_text(thing, "ServiceCategory", "kind")

    def fill(self) -> Iterator[None]:
        """Block by block."""
        if hasattr(self._file, "seek"):
            self._file.seek(0)
        again = Source(self._file)
        try:
            for entry in xml_items(again, ("entry",)):
                own, up, _ = _links(entry)
                for block in children(entry, "content"):
                    for thing in children(block, "IntervalBlock"):
                        self._read(thing, up or own)
                yield
        finally:
            again.close()

    def _read(self, block: Element, up: str) -> None:
        reading = up.rpartition("/IntervalBlock")[0] or up
        for own, related in self._related.items():
            if up in related or own == reading:
                reading = own
                break
        kinds = [self._types[link] for link in self._related.get(reading, []) if link in self._types]
        if not kinds and len(self._types) == 1:
            kinds = list(self._types.values())
        if not kinds:
            raise DataError(
                f"{self.name}: no ReadingType says what {_short(reading)} is; ask for the whole feed,"
                " with its ReadingType entries"
            )
        about = kinds[0]
        service = next((kind for own, kind in self._services.items() if reading.startswith(own + "/")), "")
        tags = {"direction": about.direction} if about.direction else {}
        seconds = int(about.length) if about.length.isdecimal() and len(about.length) < 9 else 0
        interval = Duration(fixed_us=seconds * 1_000_000).interval
        facts = SeriesFacts(_QUANTITIES.get(service), about.unit, about.kind, interval, tags)
        code = self.code_of(_short(reading), facts)
        for ordinal, item in enumerate(children(block, "IntervalReading"), 1):
            self._take(item, code, about, f"{_short(reading)}, reading {ordinal}")

    def _take(self, item: Element, code: int, about: _ReadingType, place: str) -> None:
        start, text = child_text(item, "timePeriod", "start"), child_text(item, "value")
        if not (start.lstrip("-").isdecimal() and len(start) < 13):
            self.reject_row(place, "unreadable time", start)
            return
        try:
            value = float(Decimal(text) * about.factor) if text else None
        except (InvalidOperation, ValueError, OverflowError):
            self.reject_row(place, "unreadable number", text)
            return
        quality = child_text(item, "ReadingQuality", "quality")
        self.codes.append(code)
        self.times.append(int(start) * 1_000_000)
        self.values.append(value)
        self.qualities.append(self._qualities.get(quality, 0))
        self.origins.append(place)


def _links(entry: Element) -> tuple[str, str, list[str]]:
    """An entry's own link, the one to what is above it, and those to what belongs to it."""
    own, up, related = "", "", []
    for link in children(entry, "link"):
        href = link.get("href", "").rstrip("/")
        if link.get("rel") == "self":
            own = href
        elif link.get("rel") == "up":
            up = href
        elif link.get("rel") == "related":
            related.append(href)
    return own, up, related


def _short(link: str) -> str:
    """A link from its UsagePoint on."""
    at = link.find("UsagePoint/")
    return (link[at:] if at >= 0 else link.rpartition("://")[2]) or "MeterReading"


def _reading_type(thing: Element, where: str) -> _ReadingType:
    uom, power = child_text(thing, "uom"), child_text(thing, "powerOfTenMultiplier") or "0"
    if uom and uom not in _UNITS:
        raise DataError(
            f"{where}: a ReadingType has the unit (uom) {uom!r}, which is not known here; export CSV"
        )
    if not power.lstrip("-").isdecimal() or abs(int(power[:6])) > _POWER_MAX:
        raise DataError(f"{where}: a ReadingType has the powerOfTenMultiplier {power[:20]!r}, which is none")
    unit, factor = _UNITS[uom] if uom else (None, 1)
    return _ReadingType(
        unit,
        Decimal(factor).scaleb(int(power)),
        _KINDS.get(child_text(thing, "accumulationBehaviour")),
        _DIRECTIONS.get(child_text(thing, "flowDirection"), ""),
        child_text(thing, "intervalLength"),
    )
