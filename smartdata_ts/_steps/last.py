"""The newest reading of every series, mostly from the blocks' summaries alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._read import scan
from smartdata_ts._read.plan import Plan
from smartdata_ts._read.planning import make_plan
from smartdata_ts._read.scan import read_slice
from smartdata_ts._read.slices import slices_by_readings
from smartdata_ts._read.threads import Result
from smartdata_ts._readings.arrow import fixed_array
from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.schema import READINGS_SCHEMA, TIME_TYPE
from smartdata_ts._steps.step import PlanStep
from smartdata_ts._storage.snapshot import Blocks
from smartdata_ts._time.span import TIME_MIN
from smartdata_ts.kernels.arrays import Int64Array


@dataclass(frozen=True)
class Last(PlanStep):
    """The newest reading of each series."""

    method = "last"
    needs_facts = False

    def arguments(self) -> dict[str, Any]:
        """None."""
        return {}

    def tie_of_times(self, is_open: bool) -> str | None:
        """Only one part has the newest reading."""
        del is_open
        return "last() goes over all of time"

    def schema(self, source: pa.Schema) -> pa.Schema:
        """That of readings."""
        return source

    def run(self, plan: Plan, facts: object, finish: Callable[[pa.RecordBatch], Result]) -> Iterator[Result]:
        """One batch."""
        del facts
        return map(finish, [_last_batch(plan)])


def _last_batch(plan: Plan) -> pa.RecordBatch:
    """The newest reading of every series that has one within the plan's span."""
    position_count = plan.ids.size
    times = np.full(position_count, TIME_MIN)
    values = np.zeros(position_count)
    qualities = np.zeros(position_count, np.uint8)
    found = np.zeros(position_count, np.bool_)
    hard = np.zeros(position_count, np.bool_)
    for blocks in plan.blocks:  # lowest precedence first, so that a later chunk wins a tie
        chunk, rows, positions = blocks.chunk, blocks.rows, blocks.positions
        order = np.lexsort((chunk.time_max[rows], positions))
        newest = order[np.append(positions[order][1:] != positions[order][:-1], True)]
        rows, positions = rows[newest], positions[newest]
        # The summaries do not tell the last reading before a bound, nor its quality among several.
        unclear = (chunk.time_max[rows] > plan.time_max) | (
            chunk.quality_min[rows] != chunk.quality_max[rows]
        )
        hard[positions[unclear]] = True
        newer = chunk.time_max[rows] >= times[positions]
        rows, positions = rows[newer], positions[newer]
        times[positions] = chunk.time_max[rows]
        values[positions] = chunk.value_last[rows]
        qualities[positions] = chunk.quality_max[rows]
        found[positions] = True
    if plan.leaves_out:
        hard |= plan.tangled
    _take_last(plan.head, np.arange(position_count), (times, values, qualities, found))
    if hard.any():
        _take_hard(plan, hard, (times, values, qualities, found))
    chosen = np.flatnonzero(found)
    return pa.record_batch(
        [
            pa.DictionaryArray.from_arrays(fixed_array(chosen.astype(np.int32)), plan.keys),
            fixed_array(times[chosen], TIME_TYPE),
            fixed_array(values[chosen]),
            fixed_array(qualities[chosen]),
        ],
        schema=READINGS_SCHEMA,
    )


_LastColumns = tuple[Int64Array, np.ndarray, np.ndarray, np.ndarray]


def _take_last(readings: Readings, positions: Int64Array, columns: _LastColumns) -> None:
    """Let the last of each series' sorted readings win if it is as new; slot k stands for positions[k]."""
    times, values, qualities, found = columns
    if len(readings) == 0:
        return
    ends = np.flatnonzero(np.append(readings.series[1:] != readings.series[:-1], True))
    at = positions[readings.series[ends]]
    newer = readings.times[ends] >= times[at]
    ends, at = ends[newer], at[newer]
    times[at] = readings.times[ends]
    values[at] = readings.values[ends]
    qualities[at] = readings.qualities[ends]
    found[at] = True


def _take_hard(plan: Plan, hard: np.ndarray, columns: _LastColumns) -> None:
    """Read the series whose summaries do not tell, a range of them at a time."""
    times, _, _, found = columns
    times[hard] = TIME_MIN
    found[hard] = False
    positions = np.flatnonzero(hard)
    whole = make_plan(
        plan.snapshot, plan.ids[positions], plan.keys, plan.time_min, plan.time_max, plan.qualities
    )
    needed = _newest_blocks(whole)
    for part in slices_by_readings(needed, scan.SLICE_READINGS):
        _take_last(read_slice(needed, part), positions[part.first : part.end], columns)


def _newest_blocks(plan: Plan) -> Plan:
    """The plan without the blocks that end before another one of their series begins.

    A block's first reading is there to be found, so that none before it can be the newest; unless it
    may be one of those that a quality or a commit leaves out.
    """
    if plan.leaves_out:
        return plan
    floors = np.full(plan.ids.size, TIME_MIN)
    for part in plan.blocks:
        np.maximum.at(floors, part.positions, part.chunk.time_min[part.rows])
    blocks = []
    counts = np.bincount(plan.head.series, minlength=plan.ids.size)
    for part in plan.blocks:
        needed = part.chunk.time_max[part.rows] >= floors[part.positions]
        blocks.append(Blocks(part.chunk, part.rows[needed], part.positions[needed]))
        np.add.at(counts, blocks[-1].positions, part.chunk.count[blocks[-1].rows])
    return replace(plan, blocks=blocks, counts=counts)
