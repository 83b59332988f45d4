"""The report: Markdown tables of targets and of every peer, and the page around them."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from .datasets import DataSet
from .peers import PEERS, THREADS
from .runner import PARTS
from .targets import TARGETS, Results, bytes_per_reading, figure, rate

Runs = list[tuple[DataSet, Results]]


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1e3:.2f} ms" if value < 0.1 else f"{value:.2f} s"


def _question(task: str) -> Callable[[Results, str], str]:
    def cell(results: Results, peer: str) -> str:
        best, median = (figure(results, peer, task, name) for name in ("best", "median"))
        return f"{_seconds(median)} ({_seconds(best)})" if median is not None else ""

    return cell


def _load(task: str) -> Callable[[Results, str], str]:
    def cell(results: Results, peer: str) -> str:
        value, seconds = rate(results, task, peer), figure(results, peer, task, "seconds")
        return f"{value:.2f} M/s ({_seconds(seconds)})" if value is not None else ""

    return cell


def _peak(task: str) -> Callable[[Results, str], str]:
    def cell(results: Results, peer: str) -> str:
        value = figure(results, peer, task, "peak")
        return f"{value / 1e9:.2f} GB" if value is not None else ""

    return cell


def _size(results: Results, peer: str) -> str:
    value = bytes_per_reading(results, peer)
    return f"{value:.3f} B" if value is not None else ""


def _writes(results: Results, peer: str) -> str:
    value = figure(results, peer, "writes", "per_second")
    return f"{value:,.0f} /s" if value is not None else ""


ROWS: list[tuple[str, str, Callable[[Results, str], str]]] = [
    ("on disk, a reading", "load", _size),
    ("daily aggregates, UTC", "daily", _question("daily")),
    ("daily aggregates, Europe/Oslo", "daily_oslo", _question("daily_oslo")),
    ("last reading of every meter", "last", _question("last")),
    ("one meter's year", "year", _question("year")),
    ("consumption of all, by the hour", "hourly", _question("hourly")),
    ("consumption of each, by local months", "monthly", _question("monthly")),
    ("fill to the hour, linear", "fill_linear", _load("fill_linear")),
    ("fill every gap by its usual week", "fill_profile", _load("fill_profile")),
    ("rolling mean of 24 h", "rolling", _load("rolling")),
    ("load, sorted by series", "load", _load("load")),
    ("load, in time order", "ordered", _load("ordered")),
    ("compaction", "compact", _load("compact")),
    ("CSV import", "csv", _load("csv")),
    ("durable one-reading writes", "writes", _writes),
    ("peak memory, load", "load", _peak("load")),
    ("peak memory, load in time order", "ordered", _peak("ordered")),
    ("peak memory, daily", "daily", _peak("daily")),
    ("peak memory, hourly consumption", "hourly", _peak("hourly")),
]


def table(header: list[str], rows: list[list[str]]) -> str:
    """Lay out a Markdown table, padded so that it also reads on a terminal."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    laid = [header, rule, *rows]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in laid
    )


def targets_table(runs: Runs) -> str:
    """Return the table of targets: must, aim, got."""
    named = {data.name: results for data, results in runs}
    rows = []
    for target in TARGETS:
        got = target.got(named[target.data]) if target.data in named else None
        shown = "" if got is None else f"{got:.3g}" if got < 100 else f"{got:,.0f}"
        must, aim = f"{target.must:,g}", f"{target.aim:,g}"
        rows.append([target.what, target.unit, must, aim, shown, target.word(got)])
    return table(["what", "unit", "must", "aim", "got", "reached"], rows)


def peers_table(data: DataSet, results: Results) -> str:
    """Return the table of one data set: a row a measurement, a column a peer."""
    names = [name for name in PEERS if name in results]
    rows = []
    for title, task, cell in ROWS:
        cells = []
        for name in names:
            word = results[name].get(task, {}).get("word") or results[name]["load"].get("word", "")
            # A word from a library may hold a bar, which would end the cell.
            cells.append(cell(results, name) or word.replace("|", "/")[:60] or "not run")
        rows.append([title, *cells])
    shown = [f"{name} (a part)" if name in PARTS else name for name in names]
    return table([f"{data.name}: {data.rows:,} readings", *shown], rows)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine() -> str:
    """Describe the machine and the interpreter."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB; {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}"
    )


def versions(runs: Runs) -> str:
    """List the versions of the peers that ran and of what carries them."""
    found = {name: metadata.version(name) for name in ("numpy", "numba", "pyarrow")}
    for _, results in runs:
        for peer, tasks in results.items():
            if version := tasks.get("load", {}).get("version"):
                found[peer] = version
    return ", ".join(f"{name} {version}" for name, version in found.items())


def notes(runs: Runs) -> str:
    """Say how the figures were made."""
    lines = [
        f"- Every figure comes from a fresh process with {THREADS} threads. Questions: the median "
        "of several runs, the best in brackets; loads: once, from a file in the page cache, synced to disk.",
        "- All answers were compared: count, min, max, first and last to the bit, means and sums "
        "to 1e-9, hourly consumption by its total (ours is split over the hours that it was used in, the "
        "peers give it to the hour of the later reading). Monthly consumption is not compared: ours is the "
        "register interpolated at the edges, the peers' the last reading of a month less its first. Each "
        "answer is an Arrow table, made within the time; fills and rolling means are read batch by batch.",
        "- pandas and its answers cover the first batches only; pcodec is bare columns, no store.",
        "- The reference for the ratios is DuckDB's native table.",
    ]
    for data, results in runs:
        disk = results["disk"]["disk"]
        if "per_second" in disk:
            lines.append(
                f"- {data.name}: the disk did {disk['per_second']:,.0f} appends of 4 KiB with "
                f"fdatasync a second; reading the Arrow source alone took "
                f"{disk['source_seconds']:.2f} s of every load. "
                f"The machine's load average before it was {disk['load_average']:.2f}."
            )
    return "\n".join(lines)


def page(runs: Runs, command: str, problems: list[str]) -> str:
    """Return docs/benchmarks.md."""
    parts = [
        "# Size and speed, beside the peers",
        f"Made by `{command}` on {datetime.now(UTC):%Y-%m-%d}. Do not edit by hand.",
        f"Machine: {machine()}.\n\nVersions: {versions(runs)}.",
        "![Size and speed on W1](benchmarks.svg)",
        "## What was to be reached",
        targets_table(runs),
        *(f"## {data.name}\n\n{peers_table(data, results)}" for data, results in runs),
        "## How it was measured",
        notes(runs),
    ]
    if problems:
        parts.insert(2, "**Not valid:** " + "; ".join(problems))
    return "\n\n".join(parts) + "\n"
