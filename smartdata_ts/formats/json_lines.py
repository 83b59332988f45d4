"""JSON of devices: a line an object, an array of objects, or one object.

What is known by the names of the first objects:

- wmbusmeters ("id" and "media" or "meter"): every number is a series "id/field" (or "id", where the file has
  one number an object) at `timestamp`, with the unit that ends its name; total_... is a register, target_...
  belongs to another time and is passed over; a status other than OK makes a reading suspect.
- The Things Stack and ChirpStack: every number of the decoded payload is a series "device/path", at the time
  of reception. A payload that was not decoded rejects its row.
- Home Assistant's history ("entity_id", "state"): unavailable and unknown are empty.

Any other is read by paths: json_time=, json_key=, json_value=. Times are instants; those without an
offset are local ones of tz=. A fraction finer than a microsecond is cut. Texts and truth values are
passed over.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._meter.quality import quality_code
from smartdata_ts.errors import DataError, UsageError

from ._documents.document_reader import DocumentReader
from ._documents.instants import instant_text
from ._documents.json_items import DECODER, DOCUMENT_SIZE_MAX, json_items
from ._documents.json_paths import at_path, leaves
from ._documents.line_stream import head_lines, numbered_lines
from ._options import ReadOptions
from ._output import Output
from ._reader import Reader, SeriesFacts
from ._rejects import RejectSink
from ._source import Source
from ._text.iso_times import iso_times

WRITE_OPTIONS = ("tz",)

_SUSPECT = quality_code("suspect")
_UNITS = {
    "m3": "m3", "l": "L", "kwh": "kW.h", "mwh": "MW.h", "wh": "W.h", "gj": "GJ", "mj": "MJ", "c": "Cel",
    "m3h": "m3/h", "lh": "L/h", "kw": "kW", "w": "W", "hca": "{hca}", "v": "V", "a": "A", "bar": "bar",
    "pct": "%",
    "rh": "%", "h": "h",
}  # fmt: skip
_QUANTITIES = ("water", "heat", "gas", "electricity", "cooling")
_HA_UNITS = {"°C": "Cel", "m³": "m3", "kWh": "kW.h", "Wh": "W.h", "m³/h": "m3/h"}
_EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_UNKNOWN = -1
_NUMBERS = {float, int, type(None)}


def open_reader(source: Source, options: ReadOptions, sink: RejectSink | None) -> Reader:
    """Read objects of JSON."""
    return _JsonReader(source, options, sink)


class _JsonReader(DocumentReader):
    times_are_text = True

    def __init__(self, source: Source, options: ReadOptions, sink: RejectSink | None) -> None:
        super().__init__(source, options, sink)
        self._plans: dict[
            str, dict[str, int | None]
        ] = {}  # by meter and field: its code, None where it has none
        first = self._first_objects()
        self._is_lines = isinstance(first, list)
        objects = first if isinstance(first, list) else []
        self._preset = self._preset_of(objects[0] if objects else self._first_item())
        fields = {name for item in objects for name in item if _is_reading_field(name, item[name])}
        self._has_one_field = self._is_lines and len(fields) == 1
        if options.time_format is not None and options.time_format not in (*_EPOCHS, "iso"):
            raise UsageError(
                f"{self.name}: times of JSON are ISO 8601 or epochs: pass time_format='epoch_ms'"
            )

    @property
    def description(self) -> str:
        """One line that says what was taken for what."""
        paths = (self.options.json_key, self.options.json_time, self.options.json_value)
        given = "".join(
            f"; {what} {path!r}" for what, path in zip(("key", "time", "value"), paths, strict=True) if path
        )
        return f"JSON, {'a line an object' if self._is_lines else 'one document'}; {self._preset}{given}"

    def _first_objects(self) -> list[dict[str, Any]] | None:
        """The objects of the head where each is a line; None where the file is one document."""
        lines = head_lines(self.source)
        if not lines:
            raise DataError(f"{self.name}: there is nothing in it")
        found = []
        for line in lines[:200]:
            try:
                item = DECODER.decode(line)
            except (ValueError, RecursionError):
                item = None
            if isinstance(item, dict):
                found.append(item)
            elif not found:
                return None
        return found

    def _first_item(self) -> Any:
        """An object of the document's head that looks like one of a preset."""
        names = set(re.findall(r'"([^"\\]{1,80})"\s*:', self.source.head[:65_536].decode("utf-8", "replace")))
        return dict.fromkeys(names)

    def _preset_of(self, item: dict[str, Any]) -> str:
        options = self.options
        paths = (options.json_time, options.json_key, options.json_value)
        if options.json_value is not None:
            if options.json_time is None or (options.json_key is None and options.series_key is None):
                raise UsageError(
                    f"{self.name}: pass json_time= and json_key= (or series_key=) beside json_value="
                )
            return "paths"
        for preset, names in _PRESETS.items():
            if any(group <= item.keys() for group in names):
                return preset
        shown = ", ".join(sorted(item)[:12])
        raise DataError(
            f"{self.name}: JSON of a kind that is not known ({shown}): pass json_time=, json_key= and"
            f" json_value= with paths such as 'data.value'{'; json_value= is missing' if any(paths) else ''}"
        )

    def origin(self, origin: Any) -> tuple[int | str, str]:
        """The line's number, or the item's, and its text."""
        place, item = origin
        return place, item if isinstance(item, str) else _shown(item)

    def fill(self) -> Iterator[None]:
        """Object by object."""
        take = getattr(self, "_take_" + self._preset.replace(" ", "_").lower())
        if not self._is_lines:
            for place, item in enumerate(self._items(), 1):
                self._take(take, item, (f"item {place}", item))
                if place % 256 == 0:
                    yield
            return
        # Half the time of decode(), which looks for blanks around it.
        scan = DECODER.scan_once  # type: ignore[attr-defined]
        for number, line in numbered_lines(self.source):
            try:
                item, end = scan(line, 0)
            except (ValueError, StopIteration):
                end = -1
            except RecursionError:
                self.reject_row(number, "JSON nested too deep", line)
                continue
            if end != len(line):
                self.reject_row(number, "no JSON", line)
                continue
            self._take(take, item, (number, line))
            if number % 256 == 0:
                yield

    def _items(self) -> Iterator[Any]:
        """The objects of a document: of an array, of arrays in it, or itself."""
        if self.source.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            data = self.source.read(DOCUMENT_SIZE_MAX + 1)
            try:
                if len(data) > DOCUMENT_SIZE_MAX:
                    raise DataError(
                        f"{self.name}: one object of more than {DOCUMENT_SIZE_MAX >> 20} MB; no readings"
                    )
                yield DECODER.decode(data.decode("utf-8-sig"))
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{self.name}: no well-formed JSON: {error}; ask for the file once more"
                ) from error
            return
        for item in json_items(self.source, ()):
            yield from item if isinstance(item, list) else (item,)

    def _take(self, take: Any, item: Any, origin: tuple[int | str, Any]) -> None:
        reason = take(item, origin) if isinstance(item, dict) else "no object"
        if reason:
            self.reject_row(origin[0], reason, self.origin(origin)[1])

    def _add(self, code: int, time: str, value: Any, quality: int, origin: Any) -> None:
        self.codes.append(code)
        self.times.append(time)
        self.values.append(value)
        self.qualities.append(quality)
        self.origins.append(origin)

    def _time_text(self, time: Any) -> str | None:
        """A time as ISO text, cut to microseconds; an epoch as its format says, or by its size."""
        if isinstance(time, str):
            return _cut(time)
        if isinstance(time, bool) or not isinstance(time, int | float):
            return "" if time is None else None
        unit = _EPOCHS.get(self.options.time_format or "")
        if unit is None:
            sizes = [size for size in _EPOCHS.values() if 10**8 <= time * size / 10**6 <= 7_258_118_400]
            unit = sizes[0] if len(sizes) == 1 else None
        if unit is None or not abs(time * unit) < 2**57:
            return None
        return instant_text(int(time * unit))

    # -- presets: each gives the reason why an object is rejected, or None

    def _take_wmbusmeters(self, item: dict[str, Any], origin: Any) -> str | None:
        meter, time = item.get("id"), item.get(self.options.json_time or "timestamp")
        if not isinstance(meter, str) or not meter:
            return "empty series key"
        text = time if type(time) is str and len(time) < 27 else self._time_text(time)
        if text is None:
            return "unreadable time"
        quality = 0 if item.get("status") in (None, "", "OK") else _SUSPECT
        codes = self._plans.get(meter)
        if codes is None:
            codes = self._plans[meter] = {}
        taken = False
        for name, value in item.items():
            if type(value) not in _NUMBERS:  # most are texts
                continue
            code = codes.get(name, _UNKNOWN)
            if code == _UNKNOWN:
                code = self._wmbus_code(meter, name, item)
                if code is not None or value is not None:  # a number may stand where nothing does now
                    codes[name] = code
            if code is not None:
                self.codes.append(code)
                self.times.append(text)
                self.values.append(value)
                self.qualities.append(quality)
                self.origins.append(origin)
                taken = True
        return None if taken else "no number in it"

    def _wmbus_code(self, meter: str, name: str, item: dict[str, Any]) -> int | None:
        if not _is_reading_field(name, item[name]):
            return None
        media = str(item.get("media", ""))
        tags = {tag: str(item[tag]) for tag in ("media", "meter", "name") if item.get(tag)}
        quantity = next((known for known in _QUANTITIES if known in media), None)
        kind = "register" if name.startswith("total_") else "gauge"
        facts = SeriesFacts(quantity, _UNITS.get(name.rpartition("_")[2]), kind, None, tags)
        return self.code_of(meter if self._has_one_field else f"{meter}/{name}", facts)

    def _take_the_things_stack(self, item: dict[str, Any], origin: Any) -> str | None:
        ids = item.get("end_device_ids")
        uplink = item.get("uplink_message")
        if not isinstance(ids, dict) or not isinstance(uplink, dict):
            return "no uplink message"
        device = ids.get("device_id") or ids.get("dev_eui")
        time = at_path(uplink, "settings.time") or uplink.get("received_at") or item.get("received_at")
        return self._take_payload(device, time, uplink.get("decoded_payload"), origin)

    def _take_chirpstack(self, item: dict[str, Any], origin: Any) -> str | None:
        return self._take_payload(
            at_path(item, "deviceInfo.devEui"), item.get("time"), item.get("object"), origin
        )

    def _take_payload(self, device: Any, time: Any, payload: Any, origin: Any) -> str | None:
        text = self._time_text(at_path(origin[1], self.options.json_time) if self.options.json_time else time)
        if not isinstance(device, str) or not device:
            return "empty series key"
        if not payload:
            return "payload that was not decoded: add a payload formatter for the device"
        return self._take_numbers(device, text, payload, origin)

    def _take_home_assistant(self, item: dict[str, Any], origin: Any) -> str | None:
        key, state = item.get("entity_id"), item.get("state")
        if not isinstance(key, str) or not key:
            return "empty series key"
        text = self._time_text(item.get(self.options.json_time or "last_changed", item.get("last_updated")))
        try:
            value = None if state in ("unavailable", "unknown", "", None) else float(state)
        except (TypeError, ValueError):
            return "unreadable number"
        if text is None:
            return "unreadable time"
        unit = at_path(item, "attributes.unit_of_measurement")
        facts = SeriesFacts(None, _HA_UNITS.get(unit) if isinstance(unit, str) else None)
        self._add(self.code_of(key, facts), text, value, 0, origin)
        return None

    def _take_paths(self, item: dict[str, Any], origin: Any) -> str | None:
        options = self.options
        key = options.series_key if options.json_key is None else at_path(item, options.json_key)
        if isinstance(key, bool) or not isinstance(key, str | int) or key == "":
            return "empty series key"
        text = self._time_text(at_path(item, str(options.json_time)))
        value = at_path(item, str(options.json_value))
        if isinstance(value, dict | list):
            return self._take_numbers(str(key), text, value, origin)
        if isinstance(value, str):
            try:
                value = float(value) if value.strip() else None
            except ValueError:
                return "unreadable number"
        if isinstance(value, bool):
            return "unreadable number"
        if text is None:
            return "unreadable time"
        self._add(self.code_of(str(key), SeriesFacts()), text, value, 0, origin)
        return None

    def _take_numbers(self, key: str, text: str | None, payload: Any, origin: Any) -> str | None:
        """All numbers of a payload, each a series of its own."""
        if text is None:
            return "unreadable time"
        taken = False
        for path, value in leaves(payload):
            if isinstance(value, bool) or not isinstance(value, int | float | None):
                self.passed_over["texts and truth values"] += 1
                continue
            self._add(self.code_of(f"{key}/{path}", SeriesFacts()), text, value, 0, origin)
            taken = True
        return None if taken else "no number in it"


_PRESETS: dict[str, tuple[set[str], ...]] = {
    "wmbusmeters": ({"id", "media", "timestamp"}, {"id", "meter", "timestamp"}, {"id", "_", "timestamp"}),
    "The Things Stack": ({"end_device_ids", "uplink_message"},),
    "ChirpStack": ({"deviceInfo", "object"}, {"deviceInfo", "time", "data"}),
    "Home Assistant": ({"entity_id", "state"},),
}


def _is_reading_field(name: str, value: Any) -> bool:
    """Whether a field of a telegram is a reading: a number, or nothing where its name ends in a unit."""
    if name.startswith("target_") or name in ("timestamp", "id", "_"):
        return False
    if value is None:
        return name.rpartition("_")[2] in _UNITS
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cut(time: str) -> str:
    """A time without what is finer than a microsecond."""
    return time if len(time) < 27 else re.sub(r"(\.\d{6})\d+", r"\1", time)


def _shown(item: Any) -> str:
    try:
        return json.dumps(item, ensure_ascii=False)[:1000]
    except (RecursionError, ValueError):
        return ""


def write(output: Output, batches: pa.RecordBatchReader, tz: str = "UTC") -> int:
    """Write batches as a line an object, times as ISO 8601 in `tz`; NaN and infinities as null."""
    row_count = 0
    for batch in batches:
        names = batch.schema.names
        columns = [_plain(column, tz) for column in batch.columns]
        lines = [
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)
            for row in zip(*columns, strict=True)
        ]
        output.stream.write("".join(f"{line}\n" for line in lines).encode())
        row_count += batch.num_rows
    return row_count


def _plain(column: pa.Array, tz: str) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        return list(iso_times(column, tz))
    if pa.types.is_floating(column.type):
        return [value if value is not None and np.isfinite(value) else None for value in column.to_pylist()]
    return list(column.to_pylist())
