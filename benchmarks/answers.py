"""Answers in one canonical form, so that peers can be held against each other.

Arrays by name: `series` (index into the sorted `keys`), `time` (int64 microseconds UTC) and the
columns of the question, sorted by series and time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = {
    "daily": ["count", "min", "max", "mean", "first", "last"],
    "daily_oslo": ["count", "min", "max", "mean", "first", "last"],
    "last": ["value"],
    "year": ["value"],
    "hourly": ["value"],
}
# Held together by their totals alone: ours splits an amount over the hours that it was used in, where
# peers give it to the hour of the later reading.
TOTALS = {"hourly"}
# One series only, or the sum of all: a series column, where a peer returns one, is left aside.
WITHOUT_SERIES = {"year", "hourly"}
# Sums depend on the order of adding; everything else must agree to the bit.
ROUNDED = {("daily", "mean"), ("daily_oslo", "mean"), ("hourly", "value")}
TOLERANCE = 1e-9

Answer = dict[str, np.ndarray]


def _keys(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    order = pc.sort_indices(coded.dictionary).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    keys = np.array(coded.dictionary.to_pylist(), dtype=np.str_)[order]
    return keys, rank[coded.indices.to_numpy()]


def canonical(question: str, table: pa.Table) -> Answer:
    """Bring a peer's answer into the canonical form."""
    time = table["time"].cast(pa.timestamp("us", tz=getattr(table["time"].type, "tz", None)))
    answer = {"time": time.cast(pa.int64()).to_numpy()}
    if question in TOTALS:
        return {"time": np.zeros(1, np.int64), "value": np.array([pc.sum(table["value"]).as_py()])}
    if question not in WITHOUT_SERIES:
        answer["keys"], answer["series"] = _keys(table["series"])
        order = np.lexsort((answer["time"], answer["series"]))
    else:
        order = np.argsort(answer["time"], kind="stable")
    for name in COLUMNS[question]:
        answer[name] = table[name].to_numpy().astype(np.int64 if name == "count" else np.float64)
    return {name: array if name == "keys" else array[order] for name, array in answer.items()}


def save(path: Path, answer: Answer) -> None:
    """Write an answer."""
    np.savez(path, **answer)


def load(path: Path) -> Answer:
    """Read an answer back."""
    with np.load(path) as file:
        return dict(file)


def restrict(answer: Answer, keys: np.ndarray) -> Answer:
    """Return the rows of some keys only."""
    place = np.searchsorted(keys, answer["keys"])
    known = np.append(keys, "")[place] == answer["keys"]
    rows = known[answer["series"]]
    kept = {name: array[rows] for name, array in answer.items() if name != "keys"}
    return {**kept, "keys": keys, "series": place[kept["series"]]}


def disagreement(question: str, expected: Answer, got: Answer, part: bool = False) -> str | None:
    """Say how `got` differs from `expected`, or None; a part is held against its meters only."""
    if part and "keys" in expected:
        expected = restrict(expected, got["keys"])
    for name, want in expected.items():
        have = got.get(name)
        if have is None or len(have) != len(want):
            return f"{question}.{name}: {0 if have is None else len(have)} rows, not {len(want)}"
        if (question, name) in ROUNDED:
            wrong = ~np.isclose(have, want, rtol=TOLERANCE, atol=TOLERANCE)
        else:
            wrong = have != want
        if wrong.any():
            row = int(np.argmax(wrong))
            count = int(wrong.sum())
            return f"{question}.{name}: {count} differ; row {row}: {have[row]}, not {want[row]}"
    return None
