"""SenML (RFC 8428) in JSON or CBOR: records with base names, times, units and values resolved.

- A series is a name. Times are seconds since 1970; those below 2**28 are relative to "now", which a file has
  not, and reject their record.
- `v` is a value, `s` a sum, which is a register, in a series "name/sum" where a record has both. `vs`, `vb`
  and `vd` are passed over and counted. Units become UCUM codes.
- What is written is one pack: base name and time with each series, times relative to it, values.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts.errors import DataError, MissingDependencyError, UsageError

from ._documents.document_reader import DocumentReader
from ._documents.json_items import json_items
from ._options import ReadOptions
from ._output import Output
from ._reader import Reader, SeriesFacts
from ._rejects import RejectSink
from ._source import Source

WRITE_OPTIONS = ("cbor",)

_CBOR_SIZE_MAX = 4 << 20  # a byte of CBOR may become a hundred in memory
_RELATIVE_BELOW = 2**28
_TIME_MAX_S = 2**43
_LABELS = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s",
    6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
_NUMBERS = {name: number for number, name in _LABELS.items()}
_UNITS = {
    "l": "L", "Cel": "Cel", "%RH": "%", "%EL": "%", "%": "%", "/": "1", "count": "1", "kWh": "kW.h",
    "Wh": "W.h",
    "varh": "var.h", "kvarh": "kvar.h", "l/s": "L/s", "Ohm": "Ohm", "m3": "m3", "m3/s": "m3/s", "J": "J",
    "W": "W",
    "kW": "kW", "V": "V", "A": "A", "K": "K", "Pa": "Pa", "hPa": "hPa", "m": "m", "mm": "mm", "kg": "kg",
    "g": "g",
    "s": "s", "min": "min", "h": "h", "Hz": "Hz", "lx": "lx", "m/s": "m/s",
}  # fmt: skip
_MISSING = 'SenML in CBOR needs cbor2: pip install "smartdata_ts[cbor]"'


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read a pack."""
    return _SenmlReader(source, options, sink)


class _SenmlReader(DocumentReader):
    def __init__(self, source: Source, options: ReadOptions, sink: RejectSink | None) -> None:
        super().__init__(source, options, sink)
        self._is_cbor = not source.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"[", b"{"))

    @property
    def description(self) -> str:
        """One line that says what was taken for what."""
        return f"SenML in {'CBOR' if self._is_cbor else 'JSON'}: series by name"

    def fill(self) -> Iterator[None]:
        """Record by record."""
        base: dict[str, Any] = {}
        records = _cbor_records(self.source) if self._is_cbor else json_items(self.source, ())
        for ordinal, record in enumerate(records, 1):
            reason = (
                self._take(record, base, f"record {ordinal}") if isinstance(record, dict) else "no record"
            )
            if reason is not None:
                self.reject_row(f"record {ordinal}", reason, repr(record)[:200])
            if ordinal % 256 == 0:
                yield

    def _take(self, record: dict[str, Any], base: dict[str, Any], place: str) -> str | None:
        """Add the values of a record, resolved; or give the reason why it is rejected."""
        base |= {name: record[name] for name in ("bn", "bt", "bu", "bv", "bs") if name in record}
        name = f"{base.get('bn', '')}{record.get('n', '')}"
        numbers = (base.get("bt", 0), record.get("t", 0), base.get("bv", 0), base.get("bs", 0))
        if not name or "\0" in name:
            return "empty series key"
        if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
            return "a base or a time that is no number"
        seconds = numbers[0] + numbers[1]
        if not abs(seconds) < _TIME_MAX_S:
            return "time out of range"
        if seconds < _RELATIVE_BELOW:
            return "time relative to now, which a file does not tell"
        unit = record.get("u", base.get("bu"))
        values = [
            ("", "gauge", "v", numbers[2]),
            ("/sum" if "v" in record else "", "register", "s", numbers[3]),
        ]
        found = [
            (ending, kind, record[label], plus) for ending, kind, label, plus in values if label in record
        ]
        if not found:
            other = not {"vs", "vb", "vd"}.isdisjoint(record)
            self.passed_over["texts, truth values and data"] += other
            return None
        for ending, kind, value, plus in found:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return "unreadable number"
            known = _UNITS.get(unit) if isinstance(unit, str) else None
            tags = {"senml_unit": unit} if isinstance(unit, str) and unit and known is None else {}
            self.codes.append(self.code_of(name + ending, SeriesFacts(None, known, kind, None, tags)))
            self.times.append(round(seconds * 1_000_000))
            self.values.append(value + plus)
            self.qualities.append(0)
            self.origins.append(place)
        return None


def _cbor_records(source: Source) -> Iterator[Any]:
    """The records of an array, one after another, with the names that JSON has."""
    try:
        import cbor2
    except ImportError as error:
        raise MissingDependencyError(f"{source.name}: {_MISSING}") from error
    data = source.read(_CBOR_SIZE_MAX + 1)
    if len(data) > _CBOR_SIZE_MAX:
        raise DataError(f"{source.name}: a pack of CBOR of more than {_CBOR_SIZE_MAX >> 20} MB; split it")
    try:
        records = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, EOFError, RecursionError, TypeError, LookupError) as error:
        raise DataError(f"{source.name}: no well-formed CBOR: {error}; ask for the file once more") from error
    if not isinstance(records, list):
        raise DataError(f"{source.name}: no SenML: it begins neither as an array of JSON nor of CBOR")
    for record in records:
        is_record = isinstance(record, dict)
        yield {_LABELS.get(name, name): value for name, value in record.items()} if is_record else record


def write(output: Output, batches: pa.RecordBatchReader, cbor: bool = False) -> int:
    """Write readings as one pack; return the row count. `cbor` writes CBOR; NaN becomes a text."""
    records = _records(batches)
    if cbor:
        try:
            import cbor2
        except ImportError as error:
            raise MissingDependencyError(_MISSING) from error
        output.stream.write(b"\x9f")
        count = 0
        for record in records:
            output.stream.write(cbor2.dumps({_NUMBERS[name]: value for name, value in record.items()}))
            count += 1
        output.stream.write(b"\xff")
        return count
    count = 0
    for record in records:
        output.stream.write(((",\n" if count else "[\n") + json.dumps(record, ensure_ascii=False)).encode())
        count += 1
    output.stream.write(b"\n]\n" if count else b"[]\n")
    return count


def _records(batches: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    key, base_us = None, 0
    for batch in batches:
        if not {"series", "time", "value"} <= set(batch.schema.names):
            raise UsageError("SenML holds readings: series, time and value, not aggregates; write CSV")
        times = batch.column("time").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
        keys, values = batch.column("series").to_pylist(), batch.column("value").to_pylist()
        for series, time, value in zip(keys, times, values, strict=True):
            record: dict[str, Any] = {}
            if series != key:
                key, base_us = series, time
                record = {"bn": series, "bt": _seconds(time)}
            elif time != base_us:
                record = {"t": _seconds(time - base_us)}
            if value is not None and np.isfinite(value):
                yield {**record, "v": value}
            else:
                yield {**record, "vs": "NaN" if value is None else repr(float(value))}


def _seconds(time_us: int) -> int | float:
    return time_us // 1_000_000 if time_us % 1_000_000 == 0 else time_us / 1_000_000
