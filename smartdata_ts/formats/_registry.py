"""The table of formats: where each one's code is, how its files' names end, and how its first bytes look.

The first bytes count for more than a file's name, for names lie: a `.csv` may be a workbook or a page of
HTML. Text that nothing else claims is delimited text.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from ._head import Head

Signature = Callable[[Head], bool]

_NAME = r"(?:[^\s,=\\#\"]|\\.)+"
_FIELD = rf"{_NAME}=(?:\"(?:[^\"\\]|\\.)*\"|[^\s,\"]+)"
_LINE_PROTOCOL = re.compile(rf"{_NAME}(?:,{_NAME}={_NAME})* {_FIELD}(?:,{_FIELD})*(?: -?\d+)?\s*")


_ATOM_OF_ESPI = re.compile(r"naesb\.org/espi|IntervalBlock|ReadingType|UsagePoint")
_CBOR_RECORDS = re.compile(
    rb"(?:[\x81-\x97\x9f]|\x98.|\x99..|\x9a....)[\xa1-\xb7\xbf][\x00-\x08\x20-\x25]", re.DOTALL
)


class Format(NamedTuple):
    """One format, as the registry knows it."""

    module: str
    suffixes: tuple[str, ...]
    signature: Signature
    writes: bool = False
    is_text: bool = False
    """Written as text, which .gz and its like in a name compress."""


def starts(*marks: bytes) -> Signature:
    """The file begins with one of these bytes."""
    return lambda head: head.data.startswith(marks)


def has_element(*names: str) -> Signature:
    """XML that has one of these elements near its top."""
    return lambda head: not set(names).isdisjoint(head.elements)


def has_keys(*groups: set[str]) -> Signature:
    """JSON whose first objects have all keys of one of these groups."""
    return lambda head: any(group <= head.keys for group in groups)


def any_of(*signatures: Signature) -> Signature:
    """One of several signatures."""
    return lambda head: any(signature(head) for signature in signatures)


def first_line(pattern: str) -> Signature:
    """The first line that is not blank matches."""
    compiled = re.compile(pattern)
    return lambda head: bool(head.lines) and compiled.match(head.lines[0]) is not None


def nothing(_: Head) -> bool:
    """No bytes tell this format."""
    return False


def _is_workbook(head: Head) -> bool:
    """An archive that begins as .xlsx or .ods does, or a compound file that holds a workbook."""
    if head.data.startswith(b"PK\x03\x04"):
        begin = head.data[:4096]
        return any(
            part in begin for part in (b"[Content_Types].xml", b"_rels/", b"xl/", b"opendocument.spread")
        )
    return head.data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


def _is_senml(head: Head) -> bool:
    """An array of records, in JSON or in CBOR."""
    if _CBOR_RECORDS.match(head.data):
        return True
    return head.text.startswith("[") and has_keys({"bn"}, {"n", "v", "t"}, {"n", "v", "u"})(head)


def looks_like_line_protocol(head: Head) -> bool:
    """Every line, but comments, is `measurement,tag=v field=1 stamp`."""
    lines = [line for line in head.lines[:20] if not line.startswith("#")]
    return bool(lines) and all(_LINE_PROTOCOL.fullmatch(line) for line in lines[:5])


FORMATS: dict[str, Format] = {
    "csv": Format("csv_text", (".csv", ".tsv", ".txt"), nothing, writes=True, is_text=True),
    "parquet": Format("parquet", (".parquet", ".pq"), starts(b"PAR1"), writes=True),
    "arrow": Format(
        "arrow_ipc",
        (".arrow", ".arrows", ".feather", ".ipc"),
        starts(b"ARROW1", b"\xff\xff\xff\xff"),
        writes=True,
    ),
    "excel": Format("excel", (".xlsx", ".xls", ".ods", ".xlsm"), _is_workbook, writes=True),
    "elhub": Format(
        "elhub",
        (),
        any_of(
            has_element("NotifyValidatedDataForBillingEnergy", "CollectedData"),
            has_keys({"data", "meteringValuesHour"}),
        ),
    ),
    "cim": Format(
        "cim",
        (),
        lambda head: (
            any(name.endswith(("_MarketDocument", "MeteredDataTimeSeries")) for name in head.elements[:20])
            or any(name.endswith("_MarketDocument") for name in head.keys)
        ),
    ),
    "espi": Format(
        "espi", (), lambda head: "feed" in head.elements[:1] and _ATOM_OF_ESPI.search(head.text) is not None
    ),
    "senml": Format("senml", (".senml", ".senmlc"), _is_senml, writes=True),
    "json": Format(
        "json_lines",
        (".jsonl", ".ndjson", ".json"),
        lambda head: bool(head.keys) and describe_unread(head) is None,
        writes=True,
        is_text=True,
    ),
    "line-protocol": Format(
        "line_protocol", (".lp", ".line"), looks_like_line_protocol, writes=True, is_text=True
    ),
    "nem12": Format("nem12", (), first_line(r"(100,NEM1[23]|200,\w{10},|250,\w{10},)")),
    "mscons": Format("mscons", (".edi",), first_line(r"(UNA.{6}\s*)?(UNB.)|UNA.{6}\s*$")),
}

_AS_TABLE = "export a table (CSV, with a column of times, of keys and of values) and import that"

_PAGE = (
    "a page of HTML, perhaps a portal's error or log-in page, or a table made for Excel; open it, and save"
    " the table as .xlsx or CSV"
)

# What is known and not read: how it looks, what it is, and what to do.
NAMED: tuple[tuple[Signature, str], ...] = (
    (starts(b"%PDF"), f"a PDF, which holds no table that can be trusted; {_AS_TABLE}"),
    (
        lambda head: bool(head.elements) and head.elements[0].lower() in ("html", "head", "body"),
        _PAGE,
    ),
    (lambda head: head.text[:15].lower().startswith("<!doctype html"), _PAGE),
    (has_keys({"@iot.id"}, {"@iot.selfLink"}), f"OGC SensorThings, which is not read; {_AS_TABLE}"),
    (
        lambda head: bool(head.keys) and "@context" in head.keys and bool({"id", "@id"} & head.keys),
        f"NGSI-LD, which is not read; {_AS_TABLE}",
    ),
    (
        lambda head: bool(head.lines) and head.lines[0].upper().startswith(("#ZRXP", "#REXCHANGE", "#SANR")),
        f"ZRXP of a hydrological system, which is not read; {_AS_TABLE}",
    ),
    (
        lambda head: any(name.startswith(("WaterML", "timeSeriesResponse")) for name in head.elements[:20]),
        f"WaterML, which is not read; {_AS_TABLE}",
    ),
    (first_line(r"ZHV\|"), f"a data flow of the British industry (D0010 or its like); {_AS_TABLE}"),
    (
        starts(b"SQLite format 3\0"),
        "an SQLite database; name the folder of a store, or export a table as CSV",
    ),
    (starts(b"\x89HDF"), f"HDF5, which is not read; {_AS_TABLE}"),
    (starts(b"CDF\x01", b"CDF\x02"), f"NetCDF, which is not read; {_AS_TABLE}"),
    (starts(b"\x7fELF", b"MZ"), "a program, no data"),
    (starts(b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), f"a picture; {_AS_TABLE}"),
    (starts(b"\x1f\x8b"), "compressed by gzip; let its name end in .gz"),
    (starts(b"BZh"), "compressed by bzip2; let its name end in .bz2"),
    (starts(b"\x28\xb5\x2f\xfd"), "compressed by zstd; let its name end in .zst"),
    (starts(b"7z\xbc\xaf", b"Rar!"), "a 7-Zip or RAR archive; unpack it, and import what is in it"),
    (starts(b"PK\x03\x04", b"PK\x05\x06"), "a zip archive; let its name end in .zip"),
    (lambda head: bool(head.elements), f"XML of a kind that is not known here; {_AS_TABLE}"),
)


def recognise(head: Head) -> str | None:
    """The name of the format that the first bytes tell; None where they tell none."""
    return next((name for name, known in FORMATS.items() if known.signature(head)), None)


def describe_unread(head: Head) -> str | None:
    """What a file is that cannot be read, and what to do; None where nothing is known of it."""
    return next((told for signature, told in NAMED if signature(head)), None)
