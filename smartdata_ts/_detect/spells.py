"""Rows of one kind that follow each other: what is found of them is one finding, not one a row."""

from collections.abc import Iterator

import numpy as np

from smartdata_ts._detect.rows import Rows
from smartdata_ts.kernels.arrays import Int64Array


def spells(rows: Rows, wanted: Int64Array, apart_us: int) -> Iterator[tuple[int, Int64Array]]:
    """A slot, and rows of it, each beginning at most `apart_us` after the one before."""
    if not wanted.size:
        return
    slots, starts = rows.frame.slots[wanted], rows.frame.starts[wanted]
    cuts = np.flatnonzero((np.diff(slots) != 0) | (np.diff(starts) > apart_us)) + 1
    for own in np.split(wanted, cuts):
        yield int(rows.frame.slots[own[0]]), own


def is_last(rows: Rows, slot: int, row: int) -> bool:
    """Whether a slot has no row after this one."""
    return bool(row == rows.bounds[slot + 1] - 1)


def end_of(rows: Rows, row: int) -> int:
    """When a row ends; of a reading the instant of the next one, or its own where there is none."""
    frame = rows.frame
    if frame.ends is not None:
        return int(frame.ends[row])
    slot = int(frame.slots[row])
    return int(frame.starts[row if is_last(rows, slot, row) else row + 1])
