"""A finding, and the table of findings."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.schema import READINGS_SCHEMA, TIME_TYPE

_WORD = pa.dictionary(pa.int32(), pa.string())
EVIDENCE_TYPE = pa.list_(
    pa.struct([pa.field("name", pa.string()), pa.field("value", pa.float64()), pa.field("unit", pa.string())])
)
FINDINGS_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        READINGS_SCHEMA.field("series"),
        pa.field("rule", _WORD, nullable=False),
        pa.field("severity", _WORD, nullable=False),
        pa.field("start", TIME_TYPE, nullable=False),
        pa.field("end", TIME_TYPE),
        pa.field("found", TIME_TYPE, nullable=False),
        *(pa.field(name, pa.float64()) for name in ("score", "confidence", "per_year")),
        *(pa.field(name, pa.float64()) for name in ("value", "usual", "limit")),
        pa.field("unit", pa.string()),
        pa.field("amount", pa.float64()),
        pa.field("evidence", EVIDENCE_TYPE, nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("note", pa.string()),
        pa.field("commit", pa.int64()),
        pa.field("change", _WORD, nullable=False),
        pa.field("tags", pa.map_(pa.string(), pa.string()), nullable=False),
    ]
)


@dataclass(frozen=True)
class Figure:
    """A figure of a finding's text, by the name that the text has for it."""

    name: str
    value: float
    unit: str | None = None


@dataclass(frozen=True)
class Finding:
    """One fault of one series; its score is 1 at the rule's border."""

    slot: int
    rule: str
    severity: str  # note, warning, alarm
    wording: str  # which of the rule's texts tells of it
    start: int  # us UTC
    end: int | None  # us UTC; None: it goes on
    found: int  # us UTC: the first instant at which it could be known
    score: float
    measured: float  # the share of its time for which there are measured rows
    value: float  # the figure that decided
    limit: float
    unit: str | None  # of value, usual and limit
    evidence: tuple[Figure, ...] = ()
    usual: float | None = None
    amount: float | None = None  # litres or kWh beyond the usual, so far
    per_year: float | None = None  # how often such a score comes by chance
    history_days: float = 56.0  # of the series, before it


def finding_id(key: str, rule: str, start: int) -> str:
    """The same finding has the same id, however far it has grown."""
    said = f"{key}\0{rule}\0{start}".encode("utf-8", "surrogatepass")
    return f"f-{hashlib.blake2b(said, digest_size=6).hexdigest()}"


def findings_batch(
    findings: Sequence[Finding],
    keys: pa.StringArray,
    first: int,
    texts: Sequence[str],
    tags: Sequence[dict[str, str]],
) -> pa.RecordBatch:
    """The rows of some findings, whose slots count from the position `first`; a text and tags for each."""
    positions = np.array([first + finding.slot for finding in findings], np.int32)
    own_keys = keys.take(pa.array(positions)).to_pylist()
    columns = {
        "id": [finding_id(key, f.rule, f.start) for key, f in zip(own_keys, findings, strict=True)],
        "confidence": [f.measured * min(1.0, f.history_days / 56) for f in findings],
        "text": list(texts),
        "status": ["open" if f.end is None else "closed" for f in findings],
        "note": [None] * len(findings),
        "commit": [None] * len(findings),
        "change": ["new"] * len(findings),
        "tags": [list(own.items()) for own in tags],
        "evidence": [[vars(figure) for figure in f.evidence] for f in findings],
    }
    arrays = []
    for field in FINDINGS_SCHEMA:
        if field.name == "series":
            arrays.append(pa.DictionaryArray.from_arrays(pa.array(positions), keys))
            continue
        values = columns.get(field.name) or [getattr(f, field.name, None) for f in findings]
        is_word = pa.types.is_dictionary(field.type)
        array = pa.array(values, pa.string() if is_word else field.type)
        arrays.append(array.dictionary_encode().cast(field.type) if is_word else array)
    return pa.record_batch(arrays, schema=FINDINGS_SCHEMA)
