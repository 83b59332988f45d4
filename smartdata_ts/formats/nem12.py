"""NEM12 and NEM13, the meter data files of the Australian market (AEMO, MDFF specification).

- 200 begins a block: NMI, register, unit, length of intervals. 300 is a day of it: a date and 48, 96, 144 or
  288 values, or what fits the length, then quality and update time. 400 gives the qualities of a range of
  intervals of the 300 before it. 250 is a read of an accumulation meter.
- A series is "NMI/register". Market time is UTC+10 all year; a value stands at its interval's start.
- A is measured; S and F are substituted, estimated or final; E is estimated; N is missing; V means that
  400 records say it. A 300 record whose count does not fit is rejected whole. Of two records of a day the one
  with the newer update time stands.
- A file without its 100 record, blank lines, and several blocks are usual.
"""

import datetime as dt
from collections.abc import Iterator, Sequence

from smartdata_ts._meter.quality import quality_code
from smartdata_ts.errors import DataError

from ._documents.document_reader import DocumentReader
from ._documents.line_stream import numbered_lines
from ._options import ReadOptions
from ._reader import Reader, SeriesFacts
from ._rejects import RejectSink
from ._source import Source

_MARKET = dt.timezone(dt.timedelta(hours=10))
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MINUTE_US = 60_000_000
_DAY_MINUTES = 1440
_LENGTHS = {1, 5, 10, 15, 20, 30, 60}
_UNITS = {
    "KWH": "kW.h", "WH": "W.h", "MWH": "MW.h", "KVARH": "kvar.h", "VARH": "var.h", "MVARH": "Mvar.h",
    "KVAR": "kvar",
    "KW": "kW", "W": "W", "MW": "MW", "KVAH": "kV.A.h", "KVA": "kV.A", "V": "V", "KV": "kV", "A": "A",
    "PF": "1",
}  # fmt: skip
_GAUGES = {"KW", "W", "MW", "KVAR", "KVA", "V", "KV", "A", "PF"}
_QUALITIES = {
    "A": 0,
    "S": quality_code("estimated", "vendor"),
    "E": quality_code("estimated", "vendor"),
    "F": quality_code("final_estimate", "vendor"),
    "N": quality_code("missing"),
}


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read NEM12 or NEM13."""
    return _NemReader(source, options, sink)


class _Day:
    """A 300 record, which 400 records may follow."""

    def __init__(self, line: int, text: str, start_us: int, values: list[float | None], quality: str) -> None:
        self.line = line
        self.text = text
        self.start_us = start_us
        self.values = values
        code = _QUALITIES.get(quality[:1].upper())
        self.qualities = [0 if code is None else code] * len(values)


class _NemReader(DocumentReader):
    description = "NEM12/NEM13: series by NMI and register; market time, UTC+10; starts of intervals"

    def __init__(self, source: Source, options: ReadOptions, sink: RejectSink | None) -> None:
        super().__init__(source, options, sink)
        self._code: int | None = None
        self._is_known = False
        self._step_minutes = 30
        self._key = ""
        self._day: _Day | None = None
        self._updates: dict[tuple[str, int], str] = {}

    def origin(self, origin: object) -> tuple[int | str, str]:
        """The record's line."""
        return int(str(origin)), ""

    def fill(self) -> Iterator[None]:
        """Record by record."""
        records = {
            "200": self._begin,
            "300": self._add_day,
            "400": self._add_qualities,
            "250": self._add_read,
        }
        for number, line in numbered_lines(self.source):
            cells = line.split(",")
            kind = cells[0].strip()
            if kind != "400":
                self._finish_day()
                yield
            if kind in records:
                self._is_known = True
                records[kind](number, line, cells)
            elif kind not in ("100", "500", "550", "900"):
                self.reject_row(number, "no record of NEM12 or NEM13", line)
        self._finish_day()
        if not self._is_known:
            raise DataError(
                f"{self.name}: no record of NEM12 or NEM13 is in it: lines begin with 200, 300 or 250"
            )

    def _begin(self, number: int, line: str, cells: Sequence[str]) -> None:
        self._code = None
        unit = cells[7].strip().upper() if len(cells) > 8 else ""
        step = cells[8].strip() if len(cells) > 8 else ""
        if not step.isdecimal() or int(step) not in _LENGTHS or unit not in _UNITS or not cells[1].strip():
            self.reject_row(number, "200 record without a NMI, a known unit or a length of intervals", line)
            return
        register = (cells[4].strip() or cells[3].strip()) if len(cells) > 4 else ""
        self._key = "/".join(part for part in (cells[1].strip(), register) if part)
        self._step_minutes = int(step)
        tags = {
            "nmi": cells[1].strip(),
            "direction": "In" if register[:1] == "B" else "Out",
            "serial": cells[6].strip(),
        }
        kind = "gauge" if unit in _GAUGES else "interval"
        tags = {name: text for name, text in tags.items() if text}
        facts = SeriesFacts("electricity", _UNITS[unit], kind, f"{step}min", tags)
        self._code = self.code_of(self._key, facts)

    def _add_day(self, number: int, line: str, cells: Sequence[str]) -> None:
        count = _DAY_MINUTES // self._step_minutes
        start = _market_time(cells[1]) if len(cells) > 1 else None
        reason = None
        if self._code is None:
            reason = "300 record without a 200 record that could be taken"
        elif start is None:
            reason = "unreadable time"
        elif len(cells) < count + 3:
            reason = f"300 record with another count than {count} values"
        values = [_number(cell) for cell in cells[2 : count + 2]]
        quality = cells[count + 2].strip() if len(cells) > count + 2 else ""
        if reason is None and "x" in values:
            reason = "unreadable number, or another count than the 200 record's"
        if reason is None and quality[:1].upper() not in (*_QUALITIES, "V"):
            reason = "unreadable quality"
        updated = cells[count + 5].strip() if len(cells) > count + 5 else ""
        if reason is None and start is not None and updated < self._updates.get((self._key, start), ""):
            reason = "an older version of what the file holds"
        if reason is not None:
            self.reject_row(number, reason, line, count)
            return
        assert start is not None
        self._updates[self._key, start] = updated
        self._day = _Day(number, line, start, [None if v == "" else float(v) for v in values], quality)

    def _add_qualities(self, number: int, _: str, cells: Sequence[str]) -> None:
        day = self._day
        if day is None:
            return  # its 300 record was rejected
        first, last, quality = (cell.strip() for cell in (*cells[1:4], "", "", "")[:3])
        code = _QUALITIES.get(quality[:1].upper())
        if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= len(day.values)):
            self.notices.append(f"line {number}: a 400 record outside of its day was passed over")
        elif code is not None:
            for k in range(int(first) - 1, int(last)):
                day.qualities[k] = code

    def _finish_day(self) -> None:
        day, self._day = self._day, None
        if day is None or self._code is None:
            return
        step = self._step_minutes * _MINUTE_US
        count = len(day.values)
        missing = _QUALITIES["N"]
        self.codes += [self._code] * count
        self.times += range(day.start_us, day.start_us + count * step, step)
        self.values += [None if q == missing else v for v, q in zip(day.values, day.qualities, strict=True)]
        self.qualities += day.qualities
        self.origins += [day.line] * count

    def _add_read(self, number: int, line: str, cells: Sequence[str]) -> None:
        """A 250 record: the previous and the current read of an accumulation meter."""
        if len(cells) < 20:
            self.reject_row(number, "250 record that is cut", line)
            return
        unit, direction = cells[19].strip().upper(), cells[7].strip().upper()
        key = "/".join(part.strip() for part in (cells[1], cells[4] or cells[3]) if part.strip())
        if unit not in _UNITS or not key:
            self.reject_row(number, "250 record without a NMI or a known unit", line)
            return
        tags = {"nmi": cells[1].strip(), "direction": "In" if direction == "E" else "Out"}
        code = self.code_of(f"{key}/read", SeriesFacts("electricity", _UNITS[unit], "register", None, tags))
        for read, moment, quality in ((cells[8], cells[9], cells[10]), (cells[13], cells[14], cells[15])):
            time, value = _market_time(moment), _number(read)
            if time is None or value in ("x", ""):
                self.reject_row(number, "unreadable time" if time is None else "unreadable number", line)
                continue
            self.codes.append(code)
            self.times.append(time)
            self.values.append(float(value))
            self.qualities.append(_QUALITIES.get(quality.strip()[:1].upper(), 0))
            self.origins.append(number)


def _number(cell: str) -> str:
    """A number as text, "" where there is none, "x" where it cannot be read."""
    text = cell.strip()
    try:
        return text if not text or float(text) == float(text) else "x"
    except ValueError:
        return "x"


def _market_time(text: str) -> int | None:
    """Microseconds UTC of a date, or a date and time, in market time."""
    text = text.strip()
    for length, pattern in ((8, "%Y%m%d"), (12, "%Y%m%d%H%M"), (14, "%Y%m%d%H%M%S")):
        if len(text) == length and text.isdecimal():
            try:
                found = dt.datetime.strptime(text, pattern).replace(tzinfo=_MARKET)
            except ValueError:
                return None
            return (found - _EPOCH) // dt.timedelta(microseconds=1)
    return None
