"""Finds the blocks of a query in a snapshot: of the present, or of what a commit knew."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from smartdata_ts._read.past import PastPlan, unsettled
from smartdata_ts._read.plan import Plan, overlaps
from smartdata_ts._readings.columns import Readings, fold
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage.snapshot import Blocks, Snapshot
from smartdata_ts.kernels.arrays import Int64Array


def make_plan(
    snapshot: Snapshot,
    ids: Int64Array,
    keys: pa.StringArray,
    time_min: int,
    time_max: int,
    qualities: Sequence[int] | None = None,
    of_versions: bool = False,
) -> Plan:
    """Find the blocks of the series `ids` within [time_min, time_max]; of some qualities, or of all.

    A reader of versions merges nothing: with `of_versions` no position is tested for being tangled.
    """
    blocks = [_by_position(part) for part in snapshot.blocks(ids, time_min, time_max)]
    head_versions = _head_of(snapshot, ids, time_min, time_max)
    head = fold([head_versions.readings]).readings
    counts = np.zeros(ids.size, np.int64)
    for part in blocks:
        np.add.at(counts, part.positions, part.chunk.count[part.rows])
    np.add.at(counts, head.series, 1)
    tangled = np.zeros(ids.size, np.bool_) if of_versions else overlaps(ids.size, blocks, head)[0]
    if snapshot.as_of is not None:
        tangled |= unsettled(snapshot.as_of, ids, blocks)
    wanted = None
    if qualities is not None:
        wanted = np.zeros(256, np.bool_)
        wanted[list(qualities)] = True
        tangled |= _mixed(wanted, ids.size, blocks, head)
    ends = np.array([(part.positions[0], part.positions[-1]) for part in blocks], np.int64).reshape(-1, 2)
    found = Plan(
        snapshot,
        ids,
        keys,
        time_min,
        time_max,
        blocks,
        ends[:, 0],
        ends[:, 1],
        head,
        head_versions,
        tangled,
        counts,
        wanted,
    )
    return found if snapshot.as_of is None else PastPlan.of(found, snapshot.as_of)


def _by_position(part: Blocks) -> Blocks:
    if np.all(part.positions[:-1] <= part.positions[1:]):
        return part
    order = np.argsort(part.positions, kind="stable")
    return Blocks(part.chunk, part.rows[order], part.positions[order])


def _head_of(snapshot: Snapshot, ids: Int64Array, time_min: int, time_max: int) -> Versions:
    head = snapshot.head_versions
    if len(head) == 0 or ids.size == 0:
        return head.select(slice(0, 0))
    rows = head.readings
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids, rows.series, sorter=order), ids.size - 1)
    positions = order[at]
    wanted = (ids[positions] == rows.series) & (rows.times >= time_min) & (rows.times <= time_max)
    chosen = head.select(wanted)
    rows = chosen.readings
    placed = Readings(positions[wanted].astype(np.int32), rows.times, rows.values, rows.qualities)
    return Versions(placed, chosen.commits)


def _mixed(wanted: np.ndarray, position_count: int, blocks: list[Blocks], head: Readings) -> np.ndarray:
    """Return which positions have readings of other qualities, which are left out after the merge."""
    mixed = np.zeros(position_count, np.bool_)
    for part in blocks:
        low, high = part.chunk.quality_min[part.rows], part.chunk.quality_max[part.rows]
        mixed[part.positions[(low != high) | ~wanted[low]]] = True
    mixed[head.series[~wanted[head.qualities]]] = True
    return mixed
