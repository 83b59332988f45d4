"""Coarser readings by the kind of a series, made of sorted readings in whole buckets.

register: each bucket's last usable reading, as it is and when it was read; and the first of a span,
and both sides of a fall, so that the volume between any two readings left is what it was.
interval: the sum of a bucket's usable readings, at the bucket's start.
gauge: their mean, at the bucket's start.

A reading is usable if it is a finite number, and neither rejected nor missing. A sum or mean has the
quality of the least rank of its readings. A bucket's only reading stays as it is where it stands already
where the coarser one would: so doing it again changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartdata_ts._meter.quality import RANKS, usable
from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.versions import Versions, join
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array
from smartdata_ts.kernels.buckets import cells as kernel_cells
from smartdata_ts.kernels.buckets import reduce as kernel_reduce
from smartdata_ts.kernels.buckets.growth import Wanted

Mask = npt.NDArray[np.bool_]

REGISTER, INTERVAL, GAUGE = 1, 2, 3
_GROUPS_MAX = 65_536


@dataclass(frozen=True)
class Thinned:
    """Some readings, which of them stay as they are, and those that take the others' place."""

    before: Versions
    stays: Mask
    made: Versions

    @property
    def after(self) -> Versions:
        """Return the readings that there are now, sorted."""
        after = join([self.before.select(self.stays), self.made])
        rows = after.readings
        return after.select(np.lexsort((rows.times, rows.series)))

    @property
    def series(self) -> Int32Array:
        """Return the series that changed."""
        return np.unique(self.before.readings.series[~self.stays])


class Thinning:
    """Thins pieces that follow each other out to the buckets between `edges`; made readings get a commit."""

    def __init__(self, edges: Int64Array, kinds: npt.NDArray[np.uint8], commit: int) -> None:
        self._edges = edges
        self._kinds = kinds  # by series id
        self._commit = commit
        self._previous: tuple[int, float] | None = None  # the last usable reading of a register

    def run(self, pieces: Iterable[Versions]) -> Iterator[Thinned]:
        """Thin pieces out, sorted by series and time; of no piece's last bucket before the next is there."""
        rest: list[Versions] = []
        for piece in pieces:
            whole = join([*rest, piece])
            rows = whole.readings
            if len(whole) == 0:
                continue
            cut = int(np.flatnonzero(_starts(rows.series, self._buckets(rows.times)))[-1])
            rest = [whole.select(slice(cut, None))]
            if cut:
                yield self.thin(whole.select(slice(0, cut)))
        if rest:
            yield self.thin(rest[0])

    def _buckets(self, times: Int64Array) -> Int64Array:
        return np.searchsorted(self._edges, times, "right") - 1

    def thin(self, versions: Versions) -> Thinned:
        """Thin a piece out."""
        rows = versions.readings
        buckets = self._buckets(rows.times)
        good = usable(rows.values, rows.qualities)
        kinds = self._kinds[rows.series]
        stays = np.zeros(len(rows), np.bool_)
        at = np.flatnonzero((kinds == REGISTER) & good)
        stays[at[self._kept_of_registers(rows.series[at], buckets[at], rows.values[at])]] = True
        others = np.flatnonzero(kinds != REGISTER)
        stays[others[self._alone(rows.select(others), buckets[others])]] = True
        made = [
            self._combined(rows.select(at), buckets[at], aggregate)
            for kind, aggregate in (
                (INTERVAL, kernel_cells.AGGREGATE_SUM),
                (GAUGE, kernel_cells.AGGREGATE_MEAN),
            )
            for at in [np.flatnonzero((kinds == kind) & good & ~stays)]
            if at.size
        ]
        return Thinned(versions, stays, join(made))

    def _kept_of_registers(self, series: Int32Array, buckets: Int64Array, values: Float64Array) -> Mask:
        if series.size == 0:
            return np.zeros(0, np.bool_)
        begins = _starts(series, np.zeros_like(buckets))
        falls = np.append(False, values[1:] < values[:-1]) & ~begins
        if self._previous is not None and self._previous[0] == series[0]:
            begins[0] = False
            falls[0] = values[0] < self._previous[1]  # what was before it was its bucket's last
        self._previous = int(series[-1]), float(values[-1])
        lasts = np.append(_starts(series, buckets)[1:], True)
        kept: Mask = begins | falls | np.append(falls[1:], False) | lasts
        return kept

    def _alone(self, rows: Readings, buckets: Int64Array) -> Mask:
        """Which readings are their buckets' only ones, and stand where the coarser ones would."""
        starts = _starts(rows.series, buckets)
        alone: Mask = starts & np.append(starts[1:], True) & (rows.times == self._edges[buckets])
        return alone

    def _combined(self, rows: Readings, buckets: Int64Array, aggregate: int) -> Versions:
        """One reading for the readings of each bucket."""
        starts = _starts(rows.series, buckets)
        firsts = np.flatnonzero(starts)
        ranked = RANKS[rows.qualities].astype(np.int64) * 256 + rows.qualities
        made = Readings(
            rows.series[firsts],
            self._edges[buckets[firsts]],
            _aggregated(starts, rows.times, rows.values, aggregate),
            (np.minimum.reduceat(ranked, firsts) & 255).astype(np.uint8),
        )
        return Versions.of(made, self._commit)


def _starts(series: Int32Array, buckets: Int64Array) -> Mask:
    """Whether each row begins a bucket of a series."""
    starts = np.ones(series.size, np.bool_)
    starts[1:] = (series[1:] != series[:-1]) | (buckets[1:] != buckets[:-1])
    return starts


def _aggregated(starts: Mask, times: Int64Array, values: Float64Array, aggregate: int) -> Float64Array:
    """The sum or mean of each group, as `resample` makes them: where readings are decimals, exactly."""
    firsts = np.append(np.flatnonzero(starts), starts.size)
    results = np.empty(firsts.size - 1)
    span = np.array([times.min(), times.max() + 1], np.int64)
    wanted = Wanted(int(span[0]), int(span[1]), squares=False, sums=True)
    code = np.array([aggregate], np.int64)
    for first in range(0, results.size, _GROUPS_MAX):
        end = min(first + _GROUPS_MAX, results.size)
        part = slice(firsts[first], firsts[end])
        slots = np.cumsum(starts[part], dtype=np.int32) - np.int32(1)
        cells = np.zeros((end - first) * kernel_cells.CELL_FIELDS)
        kernel_reduce.reduce_columns(slots, times[part], values[part], span, wanted, cells)
        rows_of, begins = np.empty(end - first, np.int32), np.empty(end - first, np.int64)
        sink = kernel_cells.AggregateSink(rows_of, begins, results[first:end], code, 0, keep_empty=True)
        kernel_cells.emit_cells(cells, span, sink, 0)
    return results
