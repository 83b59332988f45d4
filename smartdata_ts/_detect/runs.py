"""Runs of rows on one side of a limit, as rules ask for them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from smartdata_ts._detect.rows import Rows
from smartdata_ts.kernels.arrays import Float64Array
from smartdata_ts.kernels.detect.runs import RunLimits, RunSink, find_runs

_ROOM = 256  # of runs at first; there are few


class Run(NamedTuple):
    """One run; rates and amounts are in the slot's unit, and of the side that was asked for."""

    slot: int
    start: int  # us UTC
    end: int  # us UTC
    found: int  # us UTC
    is_open: bool
    rate: float  # the least of its last hours, an hour
    amount: float
    measured: float  # share of its time


def limits_of(
    rows: Rows, above: Float64Array, for_us: int, rest_us: int, cell_us: Float64Array | int = 0
) -> RunLimits:
    """The same widths for all slots; rows longer than 1.5 usual steps are not measured."""
    full = np.full(rows.slot_count, 1, np.int64)
    cells = (full * cell_us).astype(np.int64)
    return RunLimits(above, cells, rows.steps_us * 3 // 2, full * for_us, full * rest_us)


def runs(rows: Rows, limits: RunLimits, sign: float = 1.0) -> Iterator[Run]:
    """The runs of all slots, in order."""
    room = _ROOM
    while True:
        sink = _sink(room)
        count = find_runs(rows.amounts, limits, sign, sink)
        assert count >= 0, "the frame's columns fit each other"
        if count <= room:
            break
        room = count
    columns = [column[:count].tolist() for column in sink]
    for slot, start, end, found, is_open, rate, amount, measured in zip(*columns, strict=True):
        yield Run(slot, start, end, found, bool(is_open), rate, amount, measured)


def _sink(room: int) -> RunSink:
    slots, starts, ends, founds = (np.empty(room, np.int64) for _ in range(4))
    rates, amounts, measured = (np.empty(room) for _ in range(3))
    return RunSink(slots, starts, ends, founds, np.empty(room, np.uint8), rates, amounts, measured)
