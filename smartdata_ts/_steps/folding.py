"""Rows of many series folded to one a group and bucket, part by part, in memory that its places need."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array
from smartdata_ts.kernels.buckets import groups as kernel_groups

SUM, SUM_OF_ALL = kernel_groups.FOLD_SUM, kernel_groups.FOLD_SUM_OF_ALL
MIN, MAX = kernel_groups.FOLD_MIN, kernel_groups.FOLD_MAX
COUNT_OF = "count of "
_TABLE_SIZE = 32_768  # at first


@dataclass(frozen=True)
class Part:
    """Rows of groups' buckets, in any order; NaN is null."""

    groups: Int32Array
    times: Int64Array  # us UTC, where the bucket starts
    columns: dict[str, Float64Array]


class Places:
    """Groups' buckets, by number in order of appearance."""

    def __init__(self) -> None:
        self._table = np.full(_TABLE_SIZE, -1)
        self._groups = np.empty(_TABLE_SIZE // 2, np.int32)
        self._times = np.empty(_TABLE_SIZE // 2, np.int64)
        self._count = 0

    @property
    def groups(self) -> Int32Array:
        """The group of each place."""
        return self._groups[: self._count]

    @property
    def times(self) -> Int64Array:
        """The time of each place."""
        return self._times[: self._count]

    def numbers_of(self, groups: Int32Array, times: Int64Array) -> Int64Array:
        """The place of every row, where need be a new one."""
        numbers = np.empty(times.size, np.int64)
        state = np.array([self._count, 0])
        while self._number(groups, times, state, numbers) < times.size:
            known = self.groups, self.times
            self._table = np.full(4 * self._table.size, -1)
            self._groups, self._times = (np.empty(self._table.size // 2, of.dtype) for of in known)
            again = np.zeros(2, np.int64)
            self._number(*known, again, np.empty(known[0].size, np.int64))
        return numbers

    def _number(self, groups: Int32Array, times: Int64Array, state: Int64Array, numbers: Int64Array) -> int:
        places = (self._table, self._groups, self._times)
        done = kernel_groups.number_places(groups, times, *places, state, numbers)
        assert done >= 0, "places are whole"
        self._count = int(state[kernel_groups.PLACE_COUNT])
        return done


def fold(parts: Iterable[Part], hows: dict[str, int], counted: Iterable[str] = ()) -> Part:
    """One row a group and bucket; each column is folded as `hows` says, and null where it has no value.

    Further columns, COUNT_OF + name, count the values of each column in `counted`.
    """
    places = Places()
    cells = {name: np.zeros(0) for name in hows}
    for part in parts:
        numbers = places.numbers_of(part.groups, part.times)
        for name, how in hows.items():
            cells[name] = _grown(cells[name], places.times.size * kernel_groups.FOLDED_FIELDS)
            folded = kernel_groups.fold_values(numbers, part.columns[name], how, cells[name])
            assert folded == numbers.size, "every row has a place and a value"
    shaped = {
        name: own.reshape(-1, kernel_groups.FOLDED_FIELDS)[: places.times.size] for name, own in cells.items()
    }
    return Part(places.groups, places.times, columns_of(shaped, counted))


def columns_of(cells: dict[str, Float64Array], counted: Iterable[str]) -> dict[str, Float64Array]:
    """The result of each column's cells (rows x FOLDED_FIELDS), and the count of values for `counted`."""
    columns = {}
    for name, own in cells.items():
        values, lost, counts = own.T
        # A sum that is not finite has lost nothing.
        totals = np.where(np.isfinite(values), values + lost, values)
        columns[name] = np.where(counts > 0, totals, np.nan)
        if name in counted:
            columns[COUNT_OF + name] = np.ascontiguousarray(counts)
    return columns


def concatenated(parts: list[Part]) -> Part:
    """The rows of several parts of the same columns."""
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    groups, times = ([getattr(part, of) for part in parts] for of in ("groups", "times"))
    return Part(np.concatenate(groups), np.concatenate(times), columns)


def _grown(cells: Float64Array, size: int) -> Float64Array:
    """Cells with room for so many words, those that are new being zero."""
    if cells.size >= size:
        return cells
    return np.concatenate([cells, np.zeros(max(size, 2 * cells.size) - cells.size)])
