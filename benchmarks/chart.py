"""The chart: four panels of bars, a bar a peer, as a small SVG without any library."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from .datasets import DataSet
from .peers import OURS, PEERS
from .runner import PARTS
from .targets import Results, bytes_per_reading, figure, rate

WIDTH, PANEL_WIDTH, LABEL_WIDTH, BAR_HEIGHT, TOP = 900, 440, 110, 20, 60
OURS_COLOUR, PEER_COLOUR = "#0b6e99", "#b8c4cc"

Measure = Callable[[Results, str], float | None]
PANELS: list[tuple[str, str, Measure]] = [
    ("Bytes a reading on disk (less is better)", "B", bytes_per_reading),
    ("Daily aggregates of every meter (less)", "s", lambda r, p: figure(r, p, "daily", "median")),
    ("Last reading of every meter (less)", "s", lambda r, p: figure(r, p, "last", "median")),
    ("Load from Arrow, sorted (more)", "M/s", lambda r, p: rate(r, "load", p)),
]


def _bar(x: float, y: float, name: str, share: float, label: str) -> str:
    colour = OURS_COLOUR if name == OURS else PEER_COLOUR
    width = max(1.0, share * (PANEL_WIDTH - LABEL_WIDTH - 90))
    start = x + LABEL_WIDTH
    return (
        f'<text x="{start - 6:.0f}" y="{y + 14:.0f}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{start:.0f}" y="{y:.0f}" width="{width:.1f}" height="15" fill="{colour}"/>'
        f'<text x="{start + width + 5:.1f}" y="{y + 13:.0f}">{escape(label)}</text>'
    )


def _panel(x: float, y: float, title: str, unit: str, values: dict[str, float]) -> str:
    most = max(values.values(), default=1.0)
    parts = [f'<text x="{x + 8:.0f}" y="{y:.0f}" font-weight="bold">{escape(title)}</text>']
    for row, (name, value) in enumerate(values.items()):
        label = f"{value:.3g} {unit}"
        parts.append(_bar(x, y + 12 + row * BAR_HEIGHT, name, value / most, label))
    return "\n".join(parts)


def chart(data: DataSet, results: Results) -> str:
    """Return the SVG; peers that hold a part of the data set, or no figure, are left out."""
    names = [name for name in PEERS if name in results and name not in PARTS]
    panel_height = BAR_HEIGHT * len(names) + 40
    height = TOP + 2 * panel_height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="8" y="26" font-size="16">{data.name}: {data.series:,} meters, '
        f"{data.rows:,} readings</text>",
    ]
    for index, (title, unit, measure) in enumerate(PANELS):
        measured = {name: measure(results, name) for name in names}
        values = {name: value for name, value in measured.items() if value is not None}
        x, y = (index % 2) * PANEL_WIDTH, TOP + (index // 2) * panel_height
        parts.append(_panel(x, y, title, unit, values))
    return "\n".join([*parts, "</svg>"]) + "\n"
