"""Runs of rows whose rate stays on one side of a limit: leaks, bursts, standing and reversed meters.

Rows become cells: as many rows in order as it takes to cover `cell_us`, so that a register's unit fits into
one. A cell flows where sign * rate > above, and rests otherwise. A run begins with a cell that flows, and
ends with the last such cell before cells at rest covered `rest_us` together. A row that was not measured (an
estimate, no value, or longer than `row_us_max`) neither opens nor ends a run: it only takes time. A run is
split where less than SHARE_MIN of it would be measured. It is a finding once it lasts `for_us`, and SHARE_MIN
of its last `for_us` was measured. Cells and rests may be a twentieth shorter than asked for, since clocks of
meters jitter.
"""

from typing import NamedTuple

import numpy as np

from smartdata_ts.kernels.arrays import Float64Array, Int64Array, UInt8Array
from smartdata_ts.kernels.compiler.jit import inner, kernel
from smartdata_ts.kernels.numbers.search import are_bounds
from smartdata_ts.kernels.quality import is_estimate, is_reading
from smartdata_ts.kernels.status import MALFORMED

SHARE_MIN = 0.6
_HOUR_US = 3_600_000_000.0


class AmountRows(NamedTuple):
    """Amounts over intervals, by slot, then time."""

    bounds: Int64Array  # slot s has the rows bounds[s] to bounds[s + 1]
    starts: Int64Array  # us UTC
    ends: Int64Array  # us UTC, exclusive
    values: Float64Array  # amounts; NaN where there is none
    qualities: UInt8Array


class RunLimits(NamedTuple):
    """The limits that make a run, for each slot."""

    above: Float64Array  # amount an hour; NaN: no run is looked for
    cell_us: Int64Array
    row_us_max: Int64Array  # longer rows are not measured
    for_us: Int64Array
    rest_us: Int64Array


class RunSink(NamedTuple):
    """Where runs go; as many are written as there is room for."""

    slots: Int64Array
    starts: Int64Array  # us UTC
    ends: Int64Array  # us UTC: the end of the last cell that flowed
    founds: Int64Array  # us UTC: when it first could be known
    is_open: UInt8Array  # whether nothing has ended it
    rates: Float64Array  # the least of sign * rate in the last `for_us`, an hour
    amounts: Float64Array  # of sign * amount, no more of each row than `rates` an hour
    measured: Float64Array  # the share of its time


@kernel
def find_runs(rows: AmountRows, limits: RunLimits, sign: float, sink: RunSink) -> int:
    """Fill `sink`; return how many runs there are, perhaps more than it has room for, or MALFORMED."""
    size = rows.starts.size
    if rows.ends.size != size or rows.values.size != size or rows.qualities.size != size:
        return MALFORMED
    if not are_bounds(rows.bounds, size) or limits.above.size != rows.bounds.size - 1:
        return MALFORMED
    for part in (limits.cell_us, limits.row_us_max, limits.for_us, limits.rest_us):
        if part.size != limits.above.size:
            return MALFORMED
    count = 0
    for s in range(rows.bounds.size - 1):
        if limits.above[s] == limits.above[s]:
            count = _runs_of(rows, limits, s, sign, sink, count)
    return count


@inner
def is_measured(rows, i, row_us_max):
    """Whether a row is a measured amount of a usual length."""
    length = rows.ends[i] - rows.starts[i]
    if not 0 < length <= row_us_max or not np.isfinite(rows.values[i]):
        return False
    quality = rows.qualities[i]
    return is_reading(quality) and not is_estimate(quality)


@inner
def _runs_of(rows, limits, s, sign, sink, count):
    """The runs of one slot, in order; `count` of all slots so far."""
    above, row_us_max = limits.above[s], limits.row_us_max[s]
    cell_min, rest_min = 0.95 * limits.cell_us[s], 0.95 * limits.rest_us[s]
    for_min = limits.for_us[s]
    is_open = False
    first_row = rows.bounds[s]  # of the run
    run_end, found = np.int64(0), np.int64(0)
    measured, resting = 0.0, 0.0  # us, of the run
    cell_row, cell_us, cell_sum = rows.bounds[s], 0.0, 0.0
    for i in range(rows.bounds[s], rows.bounds[s + 1]):
        if not is_measured(rows, i, row_us_max):
            cell_us, cell_sum = 0.0, 0.0
            continue
        if cell_us == 0.0:
            cell_row = i
        cell_us += rows.ends[i] - rows.starts[i]
        cell_sum += rows.values[i]
        if cell_us < cell_min:
            continue
        end, length = rows.ends[i], cell_us
        flows = sign * cell_sum * _HOUR_US > above * length
        cell_us, cell_sum = 0.0, 0.0
        if not flows:
            if is_open:
                resting += length
                if resting >= rest_min:
                    count = _emit(rows, limits, s, sign, sink, count, first_row, run_end, found, False)
                    is_open = False
            continue
        if is_open and measured + resting + length < SHARE_MIN * (end - rows.starts[first_row]):
            count = _emit(rows, limits, s, sign, sink, count, first_row, run_end, found, False)
            is_open = False
        if not is_open:
            is_open, first_row, found = True, cell_row, np.int64(0)
            measured, resting = 0.0, 0.0
        measured += resting + length
        resting = 0.0
        run_end = end
        if found == 0 and end - rows.starts[first_row] >= for_min:
            window = _measured_since(rows, first_row, i, end - for_min, row_us_max)
            found = end if window >= SHARE_MIN * for_min else np.int64(0)
    if is_open:
        count = _emit(rows, limits, s, sign, sink, count, first_row, run_end, found, True)
    return count


@inner
def _measured_since(rows, first, last, since, row_us_max):
    """How much time, in us, the measured rows up to `last` cover that begin at `since` or later."""
    covered = 0.0
    for i in range(last, first - 1, -1):
        if rows.starts[i] < since:
            break
        if is_measured(rows, i, row_us_max):
            covered += rows.ends[i] - rows.starts[i]
    return covered


@inner
def _emit(rows, limits, s, sign, sink, count, first_row, run_end, found, is_open):
    """Write a run where it was found and there is room; the count after it."""
    if found == 0:
        return count
    if count >= sink.slots.size:
        return count + 1
    row_us_max, cell_min = limits.row_us_max[s], 0.95 * limits.cell_us[s]
    since = max(rows.starts[first_row], run_end - limits.for_us[s])
    least, cell_us, cell_sum, measured = np.inf, 0.0, 0.0, 0.0
    i = first_row
    while i < rows.bounds[s + 1] and rows.ends[i] <= run_end:
        if is_measured(rows, i, row_us_max):
            measured += rows.ends[i] - rows.starts[i]
            if rows.starts[i] >= since:
                cell_us += rows.ends[i] - rows.starts[i]
                cell_sum += sign * rows.values[i]
                if cell_us >= cell_min:
                    rate = cell_sum * _HOUR_US / cell_us
                    # A rest shorter than `rest_us` does not end the run, and does not count as its rate.
                    if rate > limits.above[s]:
                        least = min(least, rate)
                    cell_us, cell_sum = 0.0, 0.0
        else:
            cell_us, cell_sum = 0.0, 0.0
        i += 1
    if not np.isfinite(least):
        least = limits.above[s]
    amount = 0.0
    for j in range(first_row, i):
        if np.isfinite(rows.values[j]):
            amount += min(sign * rows.values[j], least * (rows.ends[j] - rows.starts[j]) / _HOUR_US)
    sink.slots[count] = s
    sink.starts[count] = rows.starts[first_row]
    sink.ends[count] = run_end
    sink.founds[count] = found
    sink.is_open[count] = is_open
    sink.rates[count] = least
    sink.amounts[count] = amount
    sink.measured[count] = measured / (run_end - rows.starts[first_row])
    return count + 1
