"""InfluxDB's line protocol: measurement, tags, fields and a stamp a line, by line-protocol-parser.

- The key is the tag that series= names, else the first there is of meter, device, entity_id, sensor and id,
  else the measurement and its tags; a field's name stands behind it where a file has several fields of
  numbers. All other tags, and the measurement, are tags of the series.
- Every field that is a number is a reading. Texts and truth values are passed over, and counted.
- Stamps count what precision= says; without it, the only one of ns, us, ms and s that puts all stamps
  between 2000 and 2100. A line without a stamp is rejected, for an import has no "now".
- The unit is the tag unit or unit_of_measurement, or what ends a field's name.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts.errors import DataError, MissingDependencyError, UsageError

from ._documents.document_reader import DocumentReader
from ._documents.line_stream import head_lines, numbered_lines
from ._options import ReadOptions
from ._output import Output
from ._reader import Reader, SeriesFacts
from ._rejects import RejectSink
from ._source import Source

WRITE_OPTIONS = ()

_KEY_TAGS = ("meter", "device", "entity_id", "sensor", "id")
_UNIT_TAGS = ("unit", "unit_of_measurement")
_UNITS = {
    "m3": "m3", "l": "L", "kwh": "kW.h", "mwh": "MW.h", "wh": "W.h", "gj": "GJ", "mj": "MJ", "c": "Cel",
    "kw": "kW",    "w": "W", "v": "V", "a": "A", "bar": "bar", "pct": "%",
}  # fmt: skip
_PER_STAMP = {"ns": (1, 1000), "us": (1, 1), "ms": (1000, 1), "s": (1_000_000, 1)}  # microseconds each
_GATHERED = 4096
_NUMBERS = {float, int}
_YEAR_2000, _YEAR_2100 = 946_684_800_000_000, 4_102_444_800_000_000


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read line protocol."""
    return _LineProtocolReader(source, options, sink)


class _LineProtocolReader(DocumentReader):
    def __init__(self, source: Source, options: ReadOptions, sink: RejectSink | None) -> None:
        try:
            from line_protocol_parser import LineFormatError, parse_line
        except ImportError as error:
            raise MissingDependencyError(
                f'{source.name}: line protocol needs line-protocol-parser: pip install "smartdata_ts[influx]"'
            ) from error
        super().__init__(source, options, sink)
        self._parse, self._error = parse_line, LineFormatError
        self._codes_by_field: dict[str, dict[str, int]] = {}  # by measurement and tags, as they are written
        heads = self._parsed_head()
        self._precision = options.precision or self._guess_precision(heads)
        if self._precision not in _PER_STAMP:
            raise UsageError(f"precision={self._precision!r}: pass one of {', '.join(_PER_STAMP)}")
        fields = {name for head in heads for name, value in head["fields"].items() if _is_number(value)}
        self._has_one_field = len(fields) == 1
        self._key_tag = self._find_key_tag(heads)

    @property
    def description(self) -> str:
        """One line that says what was taken for what."""
        key = "measurement and tags" if self._key_tag is None else f"tag {self._key_tag!r}"
        return f"line protocol; series by {key}; stamps in {self._precision}"

    def _parsed_head(self) -> list[dict[str, Any]]:
        found = []
        for line in head_lines(self.source)[:500]:
            try:
                if not line.startswith("#"):
                    found.append(self._parse(line))
            except (self._error, ValueError, OverflowError):
                continue
        if not found:
            raise DataError(
                f"{self.name}: no line of the first ones is line protocol, such as"
                " 'water,meter=wm-17 total_m3=12.5 1767225600000000000'"
            )
        return found

    def _guess_precision(self, heads: list[dict[str, Any]]) -> str:
        stamps = [head["time"] for head in heads if head["time"] is not None]
        fits = [
            name
            for name, (times, over) in _PER_STAMP.items()
            if stamps and all(_YEAR_2000 <= stamp * times // over <= _YEAR_2100 for stamp in stamps)
        ]
        if len(fits) != 1:
            shown = f"such as {stamps[0]} " if stamps else ""
            raise DataError(
                f"{self.name}: what the stamps {shown}count is open: pass precision='ns', 'us', 'ms' or 's'"
            )
        return fits[0]

    def _find_key_tag(self, heads: list[dict[str, Any]]) -> str | None:
        wanted = self.options.series
        named = {name for head in heads for name in head["tags"]}
        if wanted is not None:
            if wanted not in named:
                raise UsageError(
                    f"{self.name}: series={wanted!r} is no tag; there are {', '.join(sorted(named)[:8])}"
                )
            return str(wanted)
        return next((tag for tag in _KEY_TAGS if tag in named), None)

    def origin(self, origin: Any) -> tuple[int | str, str]:
        """The line's number, and its text."""
        number, line = origin
        return number, line

    def fill(self) -> Iterator[None]:
        """Line by line; readings are gathered in lists of its own, which cost less than attributes."""
        parse, errors, known_fields = (
            self._parse,
            (self._error, ValueError, OverflowError),
            self._codes_by_field,
        )
        times_each, over = _PER_STAMP[self._precision]
        stamp_max = 2**62 // times_each
        codes: list[int] = []
        times: list[int] = []
        values: list[float] = []
        origins: list[tuple[int, str]] = []
        for number, line in numbered_lines(self.source):
            if line[0] == "#":
                continue
            try:
                parsed = parse(line)
            except errors:
                self.reject_row(number, "no line protocol", line)
                continue
            stamp = parsed["time"]
            if stamp is None or not -stamp_max < stamp < stamp_max:
                self.reject_row(number, "empty time" if stamp is None else "time out of range", line)
                continue
            known = known_fields.get(line[: line.find(" ")])
            if known is None:
                known = self._fields_of(line)
            before = len(codes)
            for name, value in parsed["fields"].items():
                if type(value) not in _NUMBERS:
                    self.passed_over["texts and truth values"] += 1
                    continue
                code = known.get(name)
                if code is None:
                    code = known[name] = self._code(parsed["measurement"], parsed["tags"], name)
                codes.append(code)
                times.append(stamp * times_each // over)
                values.append(value)
                origins.append((number, line))
            if len(codes) == before:
                self.reject_row(number, "no number in it", line)
            elif before > _GATHERED:
                self._add(codes, times, values, origins)
                codes, times, values, origins = [], [], [], []
                yield
        self._add(codes, times, values, origins)

    def _add(
        self, codes: list[int], times: list[int], values: list[float], origins: list[tuple[int, str]]
    ) -> None:
        self.codes += codes
        self.times += times
        self.values += values
        self.qualities += [0] * len(codes)
        self.origins += origins

    def _fields_of(self, line: str) -> dict[str, int]:
        """The codes of a series' fields, kept by what is written before the first blank.

        They are not kept where the blank is part of a name, since more of the line names the series then.
        """
        written = line[: line.find(" ")]
        found: dict[str, int] = {}
        if not written.endswith("\\"):
            self._codes_by_field[written] = found
        return found

    def _code(self, measurement: str, tags: dict[str, str], field: str) -> int:
        key = self.options.series_key or (tags.get(self._key_tag) if self._key_tag is not None else None)
        if key is None:
            key = ",".join([measurement, *(f"{name}={value}" for name, value in sorted(tags.items()))])
            key = f"{key} {field}"
        elif not self._has_one_field:
            key = f"{key}/{field}"
        unit = next((tags[name] for name in _UNIT_TAGS if name in tags), None) or _UNITS.get(
            field.rpartition("_")[2]
        )
        rest = {name: value for name, value in tags.items() if name != self._key_tag and value}
        kind = "register" if field.startswith("total") else "gauge"
        return self.code_of(key, SeriesFacts(None, unit, kind, None, {"measurement": measurement, **rest}))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_ESCAPES = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\=", "\n": " ", "\\": "\\\\"})


def write(output: Output, batches: pa.RecordBatchReader) -> int:
    """Write readings as `reading,series=key value=1.5,quality=0i` with stamps in ns; return the row count.

    A value that is not finite is left out, for the protocol holds none; its quality is written all the same.
    """
    row_count = 0
    for batch in batches:
        names = batch.schema.names
        if not {"series", "time", "value"} <= set(names):
            raise UsageError(
                "line protocol holds readings: series, time and value, not aggregates; write CSV"
            )
        keys = [key.translate(_ESCAPES) for key in batch.column("series").cast(pa.string()).to_pylist()]
        times = batch.column("time").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
        values = batch.column("value").to_pylist()
        qualities = batch.column("quality").to_pylist() if "quality" in names else [0] * len(keys)
        lines = []
        for key, time, value, quality in zip(keys, times, values, qualities, strict=True):
            number = f"value={value!r}," if value is not None and np.isfinite(value) else ""
            lines.append(f"reading,series={key} {number}quality={quality or 0}i {time * 1000}\n")
        output.stream.write("".join(lines).encode())
        row_count += batch.num_rows
    return row_count
