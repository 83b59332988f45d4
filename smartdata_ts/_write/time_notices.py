"""Whether times of a write are decades from all others: seconds or milliseconds taken for microseconds.

A notice tells of readings that are twenty years or more from every other of their series, and of new series
that are so far from all readings of the store or, where it has none, of the write. The first write of a
store has nothing to compare with: a notice says where its times would lie in 1980 to 2099 in another unit.
A notice is a question and no verdict: nothing is left out or changed.

The usual write is asked of no more than each series' first and last time, and its newest before.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from smartdata_ts._readings.columns import Readings, sorted_starts
from smartdata_ts._storage.snapshot import Snapshot
from smartdata_ts.errors import StoreError
from smartdata_ts.kernels.arrays import Int64Array
from smartdata_ts.kernels.rows.readings import count_far

FAR_US = 20 * 31_556_952_000_000
_NEVER = int(np.iinfo(np.int64).min)
NO_SPAN = int(np.iinfo(np.int64).max), _NEVER  # the first and last time of no readings
_PLAUSIBLE = tuple(int(np.datetime64(year, "us").astype(np.int64)) for year in ("1980", "2100"))
_UNITS = (("seconds", 1_000_000, 1), ("milliseconds", 1_000, 1), ("nanoseconds", 1, 1_000))


@dataclass(frozen=True, eq=False)
class _Groups:
    """Readings of one series each, with less than FAR_US between them: columns of the same length."""

    ids: Int64Array
    lows: Int64Array
    highs: Int64Array
    counts: Int64Array

    def select(self, index: np.ndarray) -> "_Groups":
        return _Groups(self.ids[index], self.lows[index], self.highs[index], self.counts[index])

    def clusters(self) -> "Iterator[_Groups]":
        """The groups, those together between which there is less than FAR_US."""
        if not self.ids.size:
            return
        order = np.argsort(self.lows, kind="stable")
        sorted_groups = self.select(order)
        reached = np.maximum.accumulate(sorted_groups.highs)
        breaks = np.flatnonzero(_are_far(reached[:-1], sorted_groups.lows[1:])) + 1
        for part in np.split(np.arange(order.size), breaks):
            yield sorted_groups.select(part)


def _are_far(earlier: Int64Array | np.int64, later: Int64Array | np.int64) -> npt.NDArray[np.bool_]:
    """Where the later is FAR_US or more after the earlier; as doubles, which do not overflow."""
    return np.asarray(np.subtract(later, earlier, dtype=np.float64) >= FAR_US)


class TimeNotices:
    """Looks at the readings of one write, part by part, and says at its end what is suspect."""

    def __init__(self) -> None:
        self.span = NO_SPAN  # of all that was looked at
        self._far: list[_Groups] = []
        self._new: list[_Groups] = []

    def look(
        self,
        readings: Readings,
        newest: Int64Array,
        store_span: tuple[int, int],
        known: Callable[[], Snapshot],
    ) -> None:
        """Look at sorted readings before anything else learns of them.

        `newest` has the newest time of every series by id, `store_span` the first and last time of the store
        before the write; `known` gives what the store and the write hold so far.
        """
        if len(readings) == 1:  # for which a kernel takes longer to be called
            time, before = int(readings.times[0]), int(newest[readings.series[0]])
            self._widen(time, time)
            is_plain = before != _NEVER and abs(time - before) < FAR_US
        else:
            span = np.array(NO_SPAN)
            is_plain = not count_far(readings.series, readings.times, newest, FAR_US, span)
            self._widen(*span.tolist())
        if not is_plain:
            groups = _groups_of(readings)
            newest_before = newest[groups.ids]
            is_new = newest_before == _NEVER
            is_far = _are_far(groups.highs, newest_before) | _are_far(newest_before, groups.lows)
            self._note_far(groups.select(~is_new & is_far), known)
            self._note_new(groups.select(is_new), store_span)

    def _widen(self, low: int, high: int) -> None:
        self.span = min(self.span[0], low), max(self.span[1], high)

    def _note_far(self, groups: _Groups, known: Callable[[], Snapshot]) -> None:
        """Note groups that are far from the newest of their series, unless others of it are near."""
        for cluster in groups.clusters():
            with contextlib.suppress(StoreError):  # a damaged chunk, which raises where it is read
                self._far.append(cluster.select(~_have_readings_near(known(), cluster)))

    def _note_new(self, groups: _Groups, store_span: tuple[int, int]) -> None:
        """Note groups of series that had no reading, unless they are near the store's."""
        if not groups.ids.size:
            return
        low, high = map(np.int64, store_span)
        if low <= high:
            groups = groups.select(_are_far(groups.highs, low) | _are_far(high, groups.lows))
        main, others = _largest_of_each(groups)
        self._new.append(main)
        self._far.append(others)

    def notices(self, store_span: tuple[int, int], key_of: Callable[[int], str]) -> tuple[str, ...]:
        """A sentence for each span of times that are suspect."""
        if not (self._far or self._new):
            return ()
        found = [
            _sentence(cluster, key_of, "decades from all others of their series")
            for cluster in _joined(self._far).clusters()
        ]
        clusters = list(_joined(self._new).clusters())
        if store_span[0] > store_span[1] and clusters:
            largest = max(clusters, key=lambda cluster: int(cluster.counts.sum()))
            if len(clusters) == 1 and _likely_unit(largest) is not None:
                found.append(_sentence(largest, key_of, "and there are no others"))
            clusters.remove(largest)
        return (*found, *(_sentence(cluster, key_of, "decades from all others") for cluster in clusters))


def _groups_of(readings: Readings) -> _Groups:
    starts = sorted_starts(readings.series)
    lows, highs = readings.times[starts], readings.times[np.append(starts[1:], len(readings)) - 1]
    if _are_far(lows, highs).any():
        gaps = np.flatnonzero(_are_far(readings.times[:-1], readings.times[1:])) + 1
        starts = np.union1d(starts, gaps)
    ends = np.append(starts[1:], len(readings))
    ids = readings.series[starts].astype(np.int64)
    return _Groups(ids, readings.times[starts], readings.times[ends - 1], ends - starts)


def _largest_of_each(groups: _Groups) -> tuple[_Groups, _Groups]:
    """The group of each series that has most readings, and all others."""
    order = np.lexsort((-groups.counts, groups.ids))
    ids = groups.ids[order]
    is_first = np.diff(ids, prepend=-1) != 0
    return groups.select(order[is_first]), groups.select(order[~is_first])


def _joined(parts: list[_Groups]) -> _Groups:
    empty = np.empty(0, np.int64)
    columns = [[getattr(part, field.name) for part in parts] for field in fields(_Groups)]
    return _Groups(*(np.concatenate([empty, *column]) for column in columns))


def _reach(cluster: _Groups) -> tuple[int, int]:
    """Return the span within which a reading is near the cluster."""
    low, high = int(cluster.lows.min()) - FAR_US, int(cluster.highs.max()) + FAR_US
    return max(low, _NEVER), min(high, int(np.iinfo(np.int64).max))


def _have_readings_near(snapshot: Snapshot, cluster: _Groups) -> np.ndarray:
    """Return, for each group, whether its series had readings near the cluster before."""
    ids, places = np.unique(cluster.ids, return_inverse=True)
    low, high = _reach(cluster)
    near = np.zeros(ids.size, np.bool_)
    for blocks in snapshot.blocks(ids, low, high):
        near[blocks.positions] = True
    head = snapshot.head
    within = (head.times >= low) & (head.times <= high)
    near |= np.isin(ids, head.series[within])
    return near[places]


def _likely_unit(cluster: _Groups) -> str | None:
    """The unit in which the cluster's times would be of our days."""
    low, high = int(cluster.lows.min()), int(cluster.highs.max())
    for name, factor, divisor in _UNITS:
        if _PLAUSIBLE[0] <= low * factor // divisor and high * factor // divisor < _PLAUSIBLE[1]:
            return name
    return None


def _sentence(cluster: _Groups, key_of: Callable[[int], str], how: str) -> str:
    count, series_count = int(cluster.counts.sum()), np.unique(cluster.ids).size
    low, high = (np.datetime64(int(at), "us") for at in (cluster.lows.min(), cluster.highs.max()))
    span = f"at {low}Z" if low == high else f"from {low}Z to {high}Z"
    readings = "1 reading" if count == 1 else f"{count:,} readings"
    unit = _likely_unit(cluster)
    question = "is that right?" if unit is None else f"were they {unit}, taken for microseconds?"
    key = key_of(int(cluster.ids[0]))
    return f"{readings} of {series_count:,} series, such as {key!r}, {span}, {how}: {question}"
