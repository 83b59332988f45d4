"""Batches as JSON lines: one object a row, made column by column.

Numbers that JSON does not know are the texts "NaN", "Infinity" and "-Infinity", as in Protocol Buffers.
"""

import json

import pyarrow as pa
import pyarrow.compute as pc

from smartdata_ts._readings.arrow import text_array
from smartdata_ts.formats import iso_times


def json_lines(batch: pa.RecordBatch, tz: str) -> str:
    """The rows of a batch, each with its newline."""
    if batch.num_rows == 0:
        return ""
    parts: list[pa.Array | str] = []
    for place, (name, column) in enumerate(zip(batch.schema.names, batch.columns, strict=True)):
        parts += [
            "{" if place == 0 else ", ",
            f"{json.dumps(name, ensure_ascii=False)}: ",
            _cells(column, tz),
        ]
    lines = pc.binary_join_element_wise(*parts, "}\n", "")
    return "".join(lines.to_pylist())


def _cells(column: pa.Array, tz: str) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _cells(column.dictionary, tz).take(column.indices).fill_null("null")
    if pa.types.is_string(kind):
        return text_array([json.dumps(text, ensure_ascii=False) for text in column.to_pylist()])
    if pa.types.is_timestamp(kind):
        return text_array(["null" if text is None else f'"{text}"' for text in iso_times(column, tz)])
    cells = column.cast(pa.string())
    if pa.types.is_floating(kind):
        for written, quoted in (("nan", '"NaN"'), ("inf", '"Infinity"'), ("-inf", '"-Infinity"')):
            cells = pc.if_else(pc.equal(cells, written), quoted, cells)
    return cells.fill_null("null")
