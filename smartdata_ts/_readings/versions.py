"""Readings with the commit that each came with, and which of several of one series and time stands."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from smartdata_ts._readings.columns import Readings, concatenate, fold
from smartdata_ts.kernels.arrays import Int64Array
from smartdata_ts.kernels.rows.readings import keep_marked, match_times, rank_rows

_Item = TypeVar("_Item", bound=np.generic)
Index = slice | npt.NDArray[np.bool_ | np.int64]


@dataclass(frozen=True)
class Versions:
    """Readings, and the number of the commit of each."""

    readings: Readings
    commits: Int64Array

    @classmethod
    def of(cls, readings: Readings, commit: int) -> "Versions":
        """Readings that one commit brought; its number takes no memory for each, and cannot be written."""
        number = np.int64(commit).tobytes()  # as np.broadcast_to would do, which takes 20 us
        return cls(readings, np.ndarray(len(readings), np.int64, number, strides=(0,)))

    def __len__(self) -> int:
        return len(self.readings)

    @property
    def commit(self) -> int | None:
        """The commit of all where that takes no look at each, as of what `of` made; else None."""
        return int(self.commits[0]) if self.commits.strides == (0,) and self.commits.size else None

    def commit_span(self) -> tuple[int, int]:
        """The first and the last commit; there is at least one reading."""
        commits = self.commits if self.commit is None else self.commits[:1]
        return int(commits.min()), int(commits.max())

    def select(self, index: Index) -> "Versions":
        """The versions at an index, in its order."""
        return Versions(self.readings.select(index), self.commits[index])


def join(parts: list[Versions]) -> Versions:
    """Join the versions of all parts in their order; a single part that is not empty gives its own arrays."""
    parts = [part for part in parts if len(part)]
    if len(parts) == 1:
        return parts[0]
    commits = [np.empty(0, np.int64), *(part.commits for part in parts)]
    return Versions(concatenate([part.readings for part in parts]), np.concatenate(commits))


def sort_versions(versions: Versions) -> Versions:
    """Sort by series, time and commit; versions of one commit keep their order, in which the later wins."""
    readings = versions.readings
    return versions.select(np.lexsort((versions.commits, readings.times, readings.series)))


def fold_versions(versions: Versions, floor: int = 0) -> tuple[Versions, Versions]:
    """Sort by series and time; return what stands of each (series, time), and what it superseded.

    The version of the latest commit stands, and within one commit the later row. The
    superseded are sorted by series, time and commit; those that no commit from the floor on shows are left
    out. Commits up to the floor become one, since history no longer tells them apart.
    """
    rows, commits = versions.readings, versions.commits
    folded, kept = _folded(rows, np.arange(len(rows)))
    # Where nothing is repeated, it does not matter what came first.
    if kept.size < len(rows) and not np.all(commits[:-1] <= commits[1:]):
        order = np.argsort(commits, kind="stable")
        folded, kept = _folded(rows.select(order), order)
    qualities = rows.qualities[kept] if rows.qualities.any() else folded.qualities  # mostly all are measured
    standing = Versions(Readings(folded.series, folded.times, rows.values[kept], qualities), commits[kept])
    if kept.size == len(rows):
        return _squashed(standing, floor), join([])
    is_left = np.ones(len(rows), np.bool_)
    is_left[kept] = False
    left = sort_versions(versions.select(is_left))
    shown = np.maximum(left.commits, floor) != np.maximum(_successors(standing, left), floor)
    return _squashed(standing, floor), _squashed(left.select(shown), floor)


def _folded(rows: Readings, numbers: Int64Array) -> tuple[Readings, Int64Array]:
    """The rows sorted and folded, without their values, and the numbers of those that are left."""
    numbered = Readings(rows.series, rows.times, numbers.view(np.float64), np.zeros(len(rows), np.uint8))
    folded = fold([numbered]).readings
    return folded, folded.values.view(np.int64)


def _squashed(versions: Versions, floor: int) -> Versions:
    return Versions(versions.readings, np.maximum(versions.commits, floor))


def _successors(standing: Versions, left: Versions) -> Int64Array:
    """The commit that superseded each of the sorted versions left over."""
    matches = np.empty(len(left), np.int64)
    known, rows = standing.readings, left.readings
    match_times(known.series, known.times, rows.series, rows.times, matches)
    successors = standing.commits[matches]
    again = np.flatnonzero(same_as_next(rows))
    successors[again] = left.commits[again + 1]
    return successors


def overlay_all(parts: Iterable[Versions]) -> Versions:
    """Lay each part over those before it, as `overlay` does, and return what stands."""
    runs: list[list[Versions]] = []
    for part in parts:
        # Most follow each other: then they are joined once, not each with all that came before it.
        if len(part) and runs and runs[-1][-1].readings.series[-1] < part.readings.series[0]:
            runs[-1].append(part)
        elif len(part):
            runs.append([part])
    laid = join([])
    for run in runs:
        laid = overlay(laid, join(run))
    return laid


def overlay(below: Versions, above: Versions) -> Versions:
    """Return what stands of both; each, and the result, is sorted, with each (series, time) once.

    The version of the later commit stands, and within one commit the one above. May change the arrays of
    either.
    """
    small, large = (above, below) if len(above) <= len(below) else (below, above)
    if len(small) == 0:
        return large
    rows, known = small.readings, large.readings
    ranks = np.empty(len(small), np.int64)
    rank_rows(known.series, known.times, rows.series, rows.times, ranks)
    at = np.maximum(ranks - 1, 0)
    found = ranks > 0
    found[found] = (known.series[at[found]] == rows.series[found]) & (
        known.times[at[found]] == rows.times[found]
    )
    chosen = np.flatnonzero(found)
    margin = small.commits[chosen] - large.commits[at[chosen]]
    chosen = chosen[margin >= 0 if small is above else margin > 0]
    places = at[chosen]
    known.values[places] = rows.values[chosen]
    known.qualities[places] = rows.qualities[chosen]
    large.commits[places] = small.commits[chosen]
    if found.all():
        return large
    return _inserted(large, small.select(~found), ranks[~found])


def _inserted(large: Versions, small: Versions, ranks: Int64Array) -> Versions:
    """Return the rows of both: each small one comes after as many of the large one as its rank says."""
    if ranks[0] == ranks[-1]:  # series after all others, mostly
        return join([large.select(slice(0, ranks[0])), small, large.select(slice(ranks[0], None))])
    places = ranks + np.arange(ranks.size)
    is_large = np.ones(len(large) + len(small), np.bool_)
    is_large[places] = False

    def column(of_large: npt.NDArray[_Item], of_small: npt.NDArray[_Item]) -> npt.NDArray[_Item]:
        whole = np.empty(is_large.size, of_large.dtype)
        whole[is_large] = of_large
        whole[places] = of_small
        return whole

    rows, added = large.readings, small.readings
    readings = Readings(
        column(rows.series, added.series),
        column(rows.times, added.times),
        column(rows.values, added.values),
        column(rows.qualities, added.qualities),
    )
    return Versions(readings, column(large.commits, small.commits))


def without_hidden(versions: Versions) -> Versions:
    """The versions whose commit is not negative, in the arrays that these have been in."""
    rows = versions.readings
    count = keep_marked(versions.commits, rows.series, rows.times, rows.values, rows.qualities)
    return versions.select(slice(0, count))


def same_as_next(rows: Readings) -> npt.NDArray[np.bool_]:
    """Whether each of the sorted rows but the last has the series and the time of the next."""
    same: npt.NDArray[np.bool_] = (rows.series[1:] == rows.series[:-1]) & (rows.times[1:] == rows.times[:-1])
    return same


def layers(superseded: Versions) -> list[Versions]:
    """Split into parts that hold each (series, time) once, the oldest first; sorted as they came."""
    count = len(superseded)
    if count == 0:
        return []
    ends = np.flatnonzero(np.append(~same_as_next(superseded.readings), True))
    ranks = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(count)
    return [superseded.select(ranks == rank) for rank in range(int(ranks.max()), -1, -1)]
