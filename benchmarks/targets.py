"""The figures to reach, as data: what is measured, what it must be, what it should be.

Every figure is a function of the results of a run; it gives None where something is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .peers import OURS, REFERENCE

Results = dict[str, dict[str, dict[str, Any]]]
# The disk for which the figure of durable writes is stated; ours scales with the one at hand.
DISK_WRITES_PER_SECOND = 4000.0


def figure(results: Results, peer: str, task: str, name: str) -> float | None:
    """Return one measured figure."""
    value = results.get(peer, {}).get(task, {}).get(name)
    return None if value is None else float(value)


def bytes_per_reading(results: Results, peer: str = OURS) -> float | None:
    """Return bytes on disk a reading, after compaction where there is one."""
    for task in ("compact", "load"):
        size, rows = (figure(results, peer, task, name) for name in ("bytes", "rows"))
        if size is not None and rows:
            return size / rows
    return None


def rate(results: Results, task: str, peer: str = OURS) -> float | None:
    """Return millions of readings a second of a load."""
    seconds, rows = (figure(results, peer, task, name) for name in ("seconds", "rows"))
    return rows / seconds / 1e6 if rows and seconds else None


def faster(results: Results, question: str) -> float | None:
    """Return how many times faster than the reference, by the medians of the same run."""
    ours, reference = (figure(results, peer, question, "median") for peer in (OURS, REFERENCE))
    return reference / ours if ours and reference else None


def faster_than_best(results: Results, question: str, peers: tuple[str, ...]) -> float | None:
    """Return how many times faster than the fastest of some peers."""
    ours = figure(results, OURS, question, "median")
    theirs = [found for peer in peers if (found := figure(results, peer, question, "median"))]
    return min(theirs) / ours if ours and theirs else None


def csv_ratio(results: Results) -> float | None:
    """Return our CSV import's speed over the reference's."""
    ours, reference = rate(results, "csv"), rate(results, "csv", REFERENCE)
    return ours / reference if ours and reference else None


def writes(results: Results) -> float | None:
    """Return durable writes a second, scaled to the disk for which the target is stated."""
    ours = figure(results, OURS, "writes", "per_second")
    disk = figure(results, "disk", "disk", "per_second")
    return ours / disk * DISK_WRITES_PER_SECOND if ours and disk else None


def peak(results: Results, task: str) -> float | None:
    """Return the peak memory of a task in GB."""
    value = figure(results, OURS, task, "peak")
    return None if value is None else value / 1e9


@dataclass(frozen=True)
class Target:
    """One row: `data` is the data set; `less` says that a smaller figure is the better one."""

    what: str
    data: str
    unit: str
    must: float
    aim: float
    got: Callable[[Results], float | None]
    less: bool = False

    def word(self, value: float | None) -> str:
        """Say where a figure stands."""
        if value is None:
            return "not yet"
        sign = -1 if self.less else 1
        if sign * value >= sign * self.aim:
            return "aim"
        return "must" if sign * value >= sign * self.must else "MISSED"


TARGETS = [
    Target("on disk, W1", "W1", "B a reading", 0.85, 0.62, bytes_per_reading, less=True),
    Target("on disk, real set", "real", "B a reading", 1.10, 0.85, bytes_per_reading, less=True),
    Target("daily aggregates", "W1", "x DuckDB", 12, 30, lambda r: faster(r, "daily")),
    Target("last reading of every meter", "W1", "x DuckDB", 20, 50, lambda r: faster(r, "last")),
    Target("one meter's year", "W1", "x DuckDB", 1, 3, lambda r: faster(r, "year")),
    Target("load, sorted by series", "W1", "M readings/s", 20, 50, lambda r: rate(r, "load")),
    Target("load, in time order", "W1", "M readings/s", 10, 25, lambda r: rate(r, "ordered")),
    Target("CSV import", "W1", "x DuckDB", 1, 1.5, csv_ratio),
    Target("durable one-reading writes", "W1", "/s at 4,000 syncs/s", 2500, 3500, writes),
    Target("peak memory, import", "W1", "GB", 1.5, 0.6, lambda r: peak(r, "load"), less=True),
    Target(
        "peak memory, import in time order", "W1", "GB", 1.5, 0.6, lambda r: peak(r, "ordered"), less=True
    ),
    Target("peak memory, resample", "W1", "GB", 0.7, 0.4, lambda r: peak(r, "daily"), less=True),
    Target("hourly consumption of all", "W1", "x DuckDB", 15, 40, lambda r: faster(r, "hourly")),
    Target(
        "monthly consumption of each",
        "W1",
        "x the best peer",
        10,
        30,
        lambda r: faster_than_best(r, "monthly", (REFERENCE, "parquet-polars")),
    ),
    Target("fill to the hour, linear", "W1", "M readings/s", 50, 150, lambda r: rate(r, "fill_linear")),
    Target("profile fill of every gap", "W1", "M readings/s", 25, 80, lambda r: rate(r, "fill_profile")),
    Target("rolling mean of 24 h", "W1", "M readings/s", 60, 200, lambda r: rate(r, "rolling")),
    *(
        Target(f"peak memory, {word}", "W1", "GB", 0.7, 0.4, lambda r, task=task: peak(r, task), less=True)  # type: ignore[misc]
        for word, task in (
            ("hourly consumption", "hourly"),
            ("monthly consumption", "monthly"),
            ("fill, linear", "fill_linear"),
            ("fill, profile", "fill_profile"),
            ("rolling", "rolling"),
        )
    ),
]
