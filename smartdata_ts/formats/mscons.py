"""EDIFACT MSCONS: metered values as the energy markets of Germany, Austria and Switzerland send them.

- Within a message LOC+172 (237 in old ones) is the point and PIA+5 the OBIS code: the key is "point/OBIS".
- A QTY with DTM+163 and DTM+164 is an amount over that interval, which stands at its start. A QTY with DTM+9
  (or 7) is a reading of a register. Where DTM+163 and DTM+672 stand before the first QTY, values follow each
  other from there in steps of that length.
- Times of format 303 carry their offset; those of 203 are local ones of tz=, else of Europe/Berlin.
- 220, 46 and 79 are measured, 67 and 201 estimated, 20 rejected, Z18 temporary; 187 is a forecast, and passed
  over. The unit is the third component, else by the OBIS code.
- A count in UNT that is wrong is told, and refuses nothing.
"""

import datetime as dt
import math
from collections.abc import Iterator
from functools import lru_cache
from zoneinfo import ZoneInfo

from smartdata_ts._meter.quality import quality_code
from smartdata_ts._time.wall_clock import parse_offset_us
from smartdata_ts.errors import DataError

from ._documents.document_reader import DocumentReader
from ._documents.edifact import Segment, characters_of, segments
from ._documents.instants import Duration
from ._options import ReadOptions
from ._reader import Reader, SeriesFacts
from ._rejects import RejectSink
from ._source import Source

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_QUALITIES = {
    "220": 0, "46": 0, "79": 0, "67": quality_code("estimated", "vendor"),
    "201": quality_code("estimated"), "20": quality_code("rejected"), "Z18": quality_code("temporary"),
}  # fmt: skip
_FORECAST = "187"
_UNITS = {
    "KWH": "kW.h", "MWH": "MW.h", "WHR": "W.h", "MTQ": "m3", "KWT": "kW", "MAW": "MW", "K3": "kvar.h",
    "KVR": "kvar",    "LTR": "L", "CEL": "Cel", "BAR": "bar", "P1": "%",
}  # fmt: skip
_STEPS = {"801": 0, "802": 0, "804": 1440, "805": 60, "806": 1}  # minutes of a unit of DTM+672


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read an interchange of MSCONS messages."""
    return _MsconsReader(source, options, sink)


class _Quantity:
    """A QTY segment, which DTM segments follow."""

    def __init__(self, number: int, code: str, value: str, unit: str) -> None:
        self.number = number
        self.code = code
        self.value = value
        self.unit = unit
        self.times: dict[str, int | None] = {}


class _MsconsReader(DocumentReader):
    description = "EDIFACT MSCONS: series by point and OBIS code; starts of intervals"

    def __init__(self, source: Source, options: ReadOptions, sink: RejectSink | None) -> None:
        super().__init__(source, options, sink)
        self._decimal = characters_of(source.head)[0].decimal
        offset = None if options.tz is None else parse_offset_us(options.tz)
        self._zone: dt.tzinfo = (
            ZoneInfo(options.tz or "Europe/Berlin") if offset is None else dt.timezone(offset * _MICROSECOND)
        )
        self._begin_message(0)
        self._misfits = self._wrong_counts = self._messages = 0

    def fill(self) -> Iterator[None]:
        """Segment by segment."""
        acts = {"UNH": self._unh, "LOC": self._loc, "LIN": self._lin, "PIA": self._pia, "QTY": self._qty}
        for number, segment in segments(self.source):
            name = segment[0][0]
            if name == "DTM":
                self._dtm(segment)
                continue
            if name == "UNT":
                self._unt(number, segment)
            elif name in acts:
                acts[name](number, segment)
            if number % 256 == 0:
                yield
        self._end_quantity()
        if not self._messages:
            raise DataError(f"{self.name}: no MSCONS message is in it")
        if self._wrong_counts:
            self.notices.append(
                f"{self._wrong_counts:,} messages have another count of segments than UNT says"
            )
        if self._misfits:
            self.notices.append(f"{self._misfits:,} values have another interval than those before them")

    def origin(self, origin: object) -> tuple[int | str, str]:
        """The segment's number."""
        return f"segment {origin}", ""

    def _begin_message(self, number: int) -> None:
        self._first_segment = number
        self._point = ""
        self._is_metering = False
        self._lin(number, [])

    def _unh(self, number: int, segment: Segment) -> None:
        self._begin_message(number)
        self._is_metering = _component(segment, 2, 0) == "MSCONS"
        self._messages += self._is_metering
        if not self._is_metering:
            self.passed_over[f"{_component(segment, 2, 0) or 'unnamed'} messages"] += 1

    def _unt(self, number: int, segment: Segment) -> None:
        self._end_quantity()
        count = _component(segment, 1, 0)
        self._wrong_counts += count.isdecimal() and int(count) != number - self._first_segment + 1

    def _loc(self, number: int, segment: Segment) -> None:
        if _component(segment, 1, 0) in ("172", "237"):
            self._lin(number, [])
            self._point = _component(segment, 2, 0)

    def _lin(self, _: int, __: Segment) -> None:
        self._end_quantity()
        self._obis = ""
        self._code: int | None = None
        self._quantity: _Quantity | None = None
        self._base: dict[str, int | None] = {}
        self._step_us = self._step_count = 0
        self._interval_us = 0
        self._last_us = -(2**63)

    def _pia(self, _: int, segment: Segment) -> None:
        if _component(segment, 1, 0) == "5":
            self._end_quantity()
            self._obis, self._code = _component(segment, 2, 0), None

    def _dtm(self, segment: Segment) -> None:
        kind, text, format = (_component(segment, 1, place) for place in range(3))
        if kind == "672":
            minutes = _STEPS.get(format, 0)
            self._step_us = int(text) * minutes * 60_000_000 if text.isdecimal() and len(text) < 6 else 0
            return
        times = self._base if self._quantity is None else self._quantity.times
        times[kind] = self._time(text)

    def _time(self, text: str) -> int | None:
        found = _time_of(text, self._zone)
        if found is not None and len(text) == 12 and found + 3_600_000_000 > self._last_us >= found:
            later = _time_of(text, self._zone, 1)  # the second pass of the repeated hour
            found = later if later is not None and later > self._last_us else found
        return found

    def _qty(self, number: int, segment: Segment) -> None:
        self._end_quantity()
        if self._is_metering:
            self._quantity = _Quantity(number, *(_component(segment, 1, place) for place in range(3)))

    def _end_quantity(self) -> None:
        """Take the quantity that is complete now."""
        quantity: _Quantity | None = getattr(self, "_quantity", None)
        self._quantity = None
        if quantity is None:
            return
        if quantity.code == _FORECAST:
            self.passed_over["forecasts"] += 1
            return
        time, length_us, kind = self._place(quantity)
        reason = None
        if not self._point:
            reason = "no LOC+172 before it"
        elif time is None:
            reason = "no time, or one that cannot be read"
        elif quantity.code not in _QUALITIES:
            reason = f"status {quantity.code[:10]!r} is not known"
        value = _number(quantity.value.replace(self._decimal, "."))
        if reason is None and value is None and quantity.value:
            reason = "unreadable number"
        unit = _UNITS.get(quantity.unit) if quantity.unit else _unit_of(self._obis)
        if reason is None and quantity.unit and unit is None:
            reason = f"unit {quantity.unit[:10]!r} is not known"
        if reason is not None:
            self.reject_row(f"segment {quantity.number}", reason, f"QTY {quantity.code}:{quantity.value}")
            return
        assert time is not None
        if self._code is None:
            self._interval_us = length_us
            self._code = self._code_of(unit, kind, length_us)
        self._misfits += length_us != self._interval_us
        self._last_us = time
        self.codes.append(self._code)
        self.times.append(time)
        self.values.append(value)
        self.qualities.append(_QUALITIES[quantity.code])
        self.origins.append(quantity.number)

    def _place(self, quantity: _Quantity) -> tuple[int | None, int, str]:
        """When a quantity is, the length of its interval in microseconds, and its kind."""
        times = quantity.times
        start, end = times.get("163"), times.get("164")
        if start is not None and end is not None:
            return (start if end > start else None), end - start, "interval"
        read = times.get("9", times.get("7"))
        if read is not None:
            return read, 0, "register"
        base = self._base.get("163")
        if not times and base is not None and self._step_us:
            self._step_count += 1
            return base + (self._step_count - 1) * self._step_us, self._step_us, "interval"
        read = self._base.get("9", self._base.get("7"))
        return (read if not times else None), 0, "register"

    def _code_of(self, unit: str | None, kind: str, length_us: int) -> int:
        key = "/".join(part for part in (self._point, self._obis) if part)
        interval = Duration(fixed_us=length_us).interval if length_us else None
        tags = {name: text for name, text in (("point", self._point), ("obis", self._obis)) if text}
        quantity = (
            "gas" if self._obis.startswith("7-") else "electricity" if self._obis.startswith("1-") else None
        )
        return self.code_of(key, SeriesFacts(quantity, unit, kind, interval, tags))


def _component(segment: Segment, element: int, component: int) -> str:
    try:
        return segment[element][component].strip()
    except IndexError:
        return ""


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def _unit_of(obis: str) -> str | None:
    """The unit that an OBIS code stands for where a file names none."""
    if obis.startswith("7-"):
        return "m3"
    return "kW.h" if obis.startswith("1-") and ".29." in obis else None


@lru_cache(4096)
def _time_of(text: str, zone: dt.tzinfo, fold: int = 0) -> int | None:
    """Microseconds UTC of CCYYMMDDHHMM, with its offset in hours or without."""
    digits, offset = text[:12], text[12:]
    if len(digits) != 12 or not digits.isdecimal() or not digits.isascii():
        return None
    try:
        wall = dt.datetime.strptime(digits, "%Y%m%d%H%M")
        if offset:
            return (wall - dt.timedelta(hours=int(offset[:3])) - _EPOCH.replace(tzinfo=None)) // _MICROSECOND
        return (wall.replace(tzinfo=zone, fold=fold) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None
