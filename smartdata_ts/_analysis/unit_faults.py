"""Whether what was imported is a thousand times too large or too small: litres taken for cubic metres.

A series' size is the median, over the days of a span (or 31 parts of a longer one), of its largest value, or
of what a register counted per day. It is compared with the series' own size before the import, in the 90 days
up to it. New series that have a unit are compared by their median with others of the same quantity, unit and
kind, three or more. A ratio from 250 to 4000, or the inverse, gives a notice. It is a question and no
verdict: nothing is left out or changed.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from smartdata_ts._query import Query
from smartdata_ts._readings.arrow import doubles_of, numbers_of
from smartdata_ts._readings.columns import series_starts
from smartdata_ts.errors import HistoryError, StoreError

_RATIO_MIN, _RATIO_MAX = 250.0, 4000.0
_DAY_US = 86_400_000_000
_PAST_US = 90 * _DAY_US
_PARTS = 31
_PEERS_MIN, _PEERS_MAX = 3, 200
_TIME_MAX = 2**62  # beyond, times are wrong, and no span of days

_Group = tuple[str | None, str, str | None]


class Store(Protocol):
    """A store, as far as it is needed here."""

    def series(self) -> pa.Table:
        """One row a series: its key and what is known of it."""

    def query(
        self,
        series: Sequence[str],
        *,
        start: np.datetime64,
        end: np.datetime64,
        as_of: int | None,
    ) -> Query:
        """The readings of some series within a span, as of a commit."""


def notices(store: Store, keys: Sequence[str], span: tuple[int, int], commit: int) -> tuple[str, ...]:
    """Return notices on series that a commit gave readings within a span, in us, both ends inclusive."""
    if not keys or max(abs(span[0]), abs(span[1])) > _TIME_MAX:
        return ()
    try:
        return tuple(_found(store, keys, span, commit))
    except StoreError:  # the import itself is whole, and those chunks raise where they are read
        return ()


def _found(store: Store, keys: Sequence[str], span: tuple[int, int], commit: int) -> list[str]:
    facts = {row["series"]: row for row in store.series().drop_columns("tags").to_pylist()}
    if commit == 1 and not any(facts[key]["unit"] for key in keys):
        return []  # there is neither a past nor a unit to go by
    registers = {key for key, row in facts.items() if row["kind"] == "register"}
    sizes = _sizes(store, keys, span, registers)
    before: dict[str, float] = {}
    if commit > 1:
        try:
            before = _sizes(store, keys, (span[0] - _PAST_US, span[1]), registers, commit - 1)
        except HistoryError:
            before = {}
    found = _against_past(sizes, before, {key: row["unit"] for key, row in facts.items()})
    groups: dict[_Group, list[str]] = {}
    for key in sizes.keys() - before.keys():
        row = facts[key]
        if row["unit"] is not None:
            groups.setdefault((row["quantity"], row["unit"], row["kind"]), []).append(key)
    for group in sorted(groups, key=str):
        peers = [
            key
            for key, row in facts.items()
            if (row["quantity"], row["unit"], row["kind"]) == group and key not in sizes
        ]
        peers = peers[:: -(-len(peers) // _PEERS_MAX) or 1]
        others = _sizes(store, peers, (span[0] - _PAST_US, span[1] + _PAST_US), registers)
        found += _against_peers([sizes[key] for key in groups[group]], list(others.values()), group)
    return found


def _sizes(
    store: Store, keys: Sequence[str], span: tuple[int, int], registers: set[str], as_of: int | None = None
) -> dict[str, float]:
    """The size of every series that has one in a span: of those with other values than zero."""
    start, end = (np.datetime64(at, "us") for at in (span[0], span[1] + 1))
    days = max(1, -(-(span[1] - span[0]) // (_PARTS * _DAY_US)))
    query = store.query(list(keys), start=start, end=end, as_of=as_of)
    values: dict[str, list[np.ndarray]] = {}
    for batch in query.resample(f"{days}d", ["min", "max"]).to_batches():
        _gather(batch, values)
    found = {}
    for key, parts in values.items():
        low, high = np.concatenate(parts, axis=1)
        sizes = (high - low) / days if key in registers else np.maximum(np.abs(low), np.abs(high))
        sizes = sizes[sizes > 0]
        if sizes.size and np.isfinite(size := float(np.median(sizes))):
            found[key] = size
    return found


def _gather(batch: pa.RecordBatch, values: dict[str, list[np.ndarray]]) -> None:
    """Widen each series' least and largest values by a batch's."""
    column = batch.column("series")
    positions = numbers_of(column.indices)
    columns = np.stack([doubles_of(batch.column(name)) for name in ("min", "max")])
    columns[np.isnan(columns)] = 0.0
    starts = series_starts(positions)
    for first, end in zip(starts, np.append(starts[1:], positions.size), strict=True):
        values.setdefault(column[int(first)].as_py(), []).append(columns[:, first:end])


def _factor(new: float, old: float) -> str | None:
    """How a size is to another, if it is suspect."""
    ratio = new / old
    if _RATIO_MIN <= ratio <= _RATIO_MAX:
        return "some 1000 times"
    return "about a thousandth of" if _RATIO_MIN <= 1 / ratio <= _RATIO_MAX else None


def _against_past(
    sizes: dict[str, float], before: dict[str, float], units: dict[str, str | None]
) -> list[str]:
    found: dict[str, list[str]] = {}
    for key in sorted(sizes.keys() & before.keys()):
        factor = _factor(sizes[key], before[key])
        if factor is not None:
            found.setdefault(factor, []).append(key)
    return [
        f"{_series(keys)} {factor} what it was before, such as {keys[0]!r}: {before[keys[0]]:.4g}, now"
        f" {sizes[keys[0]]:.4g}; is the unit still {units[keys[0]] or 'the same'}?"
        for factor, keys in found.items()
    ]


def _against_peers(new: list[float], others: list[float], group: _Group) -> list[str]:
    if len(others) < _PEERS_MIN:
        return []
    mine, theirs = float(np.median(new)), float(np.median(others))
    factor = _factor(mine, theirs)
    if factor is None:
        return []
    quantity, unit, _ = group
    return [
        f"{_series(new)} {factor} what {len(others):,} others of {quantity or 'the same'} in {unit} are:"
        f" {mine:.4g} against {theirs:.4g}; is the unit {unit}?"
    ]


def _series(keys: Iterable[object]) -> str:
    count = len(list(keys))
    return "1 series is" if count == 1 else f"{count:,} series are"
