"""Runs above a limit, against an oracle that keeps lists."""

import numpy as np
import pytest

from smartdata_ts.kernels.detect.resolution import finest_steps
from smartdata_ts.kernels.detect.runs import AmountRows, RunLimits, RunSink, find_runs
from smartdata_ts.kernels.status import MALFORMED

HOUR = 3_600_000_000
ESTIMATED, MISSING = 1, 7


def rows_of(series):
    """Rows (start, end, value, quality) of some series, as columns."""
    flat = [row for rows in series for row in rows]
    bounds = np.cumsum([0, *map(len, series)])
    starts, ends, values, qualities = zip(*flat, strict=True) if flat else ((), (), (), ())
    return AmountRows(
        np.array(bounds, np.int64),
        np.array(starts, np.int64),
        np.array(ends, np.int64),
        np.array(values, np.float64),
        np.array(qualities, np.uint8),
    )


def limits(count, above=4.0, cell=0, row_max=HOUR * 3 // 2, for_us=24 * HOUR, rest=HOUR):
    whole = np.ones(count, np.int64)
    return RunLimits(np.full(count, above), whole * cell, whole * row_max, whole * for_us, whole * rest)


def found(rows, wanted, sign=1.0, room=100):
    sink = RunSink(
        *(np.full(room, -1, np.int64) for _ in range(4)),
        np.full(room, 9, np.uint8),
        *(np.full(room, -1.0) for _ in range(3)),
    )
    count = find_runs(rows, wanted, sign, sink)
    return count, list(zip(*(column[: max(count, 0)].tolist() for column in sink), strict=True))


def is_measured(row, row_max):
    start, end, value, quality = row
    return 0 < end - start <= row_max and np.isfinite(value) and quality & 15 not in (1, 2, 4, 6, 7)


def cells_of(rows, cell, row_max):
    """Cells of measured rows: (start, end, amount, measured time)."""
    cells, open_rows = [], []
    for row in rows:
        if not is_measured(row, row_max):
            open_rows = []
            continue
        open_rows.append(row)
        length = sum(end - start for start, end, _, _ in open_rows)
        if length >= 0.95 * cell:
            cells.append((open_rows[0][0], row[1], sum(value for _, _, value, _ in open_rows), length))
            open_rows = []
    return cells


def naive(rows, above, cell=0, row_max=HOUR * 3 // 2, for_us=24 * HOUR, rest=HOUR, sign=1.0):
    """Runs (start, end, found, is_open), told from lists of cells."""
    runs, run = [], []  # the cells of the open run, resting ones too

    def close(is_open):
        flowing = [k for k, own in enumerate(run) if own[4]]
        own = run[: flowing[-1] + 1]
        for k in range(len(own)):
            end = own[k][1]
            if not own[k][4] or end - own[0][0] < for_us:
                continue
            times = [
                row[1] - row[0]
                for row in rows
                if row[0] >= max(end - for_us, own[0][0]) and row[1] <= end and is_measured(row, row_max)
            ]
            if sum(times) >= 0.6 * for_us:
                runs.append((own[0][0], own[-1][1], end, is_open))
                return

    for start, end, amount, length in cells_of(rows, cell, row_max):
        flows = sign * amount * HOUR > above * length
        if run and flows and sum(own[3] for own in run) + length < 0.6 * (end - run[0][0]):
            close(False)
            run = []
        if run or flows:
            run.append((start, end, amount, length, flows))
        last = max((k for k, own in enumerate(run) if own[4]), default=-1)
        if run and not flows and sum(own[3] for own in run[last + 1 :]) >= 0.95 * rest:
            close(False)
            run = []
    if run:
        close(True)
    return runs


def random_series(rng, step, count=400):
    rows, at = [], 0
    level = 0.0
    for _ in range(count):
        length = int(
            step
            * rng.choice(
                [1, 1, 1, 1, 0.999, 1.002, 0.25, 1.5, 1.7, 40], p=[0.2] * 4 + [0.04] * 4 + [0.03, 0.01]
            )
        )
        if rng.random() < 0.02:
            level = float(rng.choice([0.0, 6.0, 20.0]))
        value = float(rng.integers(0, 3)) + level * length / HOUR
        quality = int(rng.choice([0, 0, 0, 0, 0, 0, 0, 0, ESTIMATED, 65, MISSING, 3]))
        if quality == MISSING:
            value = np.nan
        rows.append((at, at + length, value, quality))
        at += length + (0 if rng.random() < 0.99 else 3 * HOUR)
    return rows


@pytest.mark.parametrize("step", [HOUR, HOUR // 4])
@pytest.mark.parametrize("cell", [0, HOUR])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_runs_are_those_of_lists_of_cells(step, cell, seed):
    rng = np.random.default_rng(seed)
    series = [random_series(rng, step) for _ in range(8)]
    for for_us, rest in ((24 * HOUR, HOUR), (6 * HOUR, 1), (3 * HOUR, 2 * HOUR)):
        wanted = limits(8, cell=cell, row_max=step * 3 // 2, for_us=for_us, rest=rest)
        count, runs = found(rows_of(series), wanted, room=2_000)
        expected = [
            (slot, *run)
            for slot, rows in enumerate(series)
            for run in naive(rows, 4.0, cell, step * 3 // 2, for_us, rest)
        ]
        assert [run[:5] for run in runs] == expected
        assert count == len(expected)
    assert count > 0


def hours(values, quality=0):
    return [(k * HOUR, (k + 1) * HOUR, float(value), quality) for k, value in enumerate(values)]


def test_a_leak_tells_its_rate_its_volume_and_when_it_could_be_known():
    count, runs = found(rows_of([hours([0] * 5 + [100] + [10] * 29 + [0] * 4)]), limits(1))
    assert count == 1
    assert runs[0] == (0, 5 * HOUR, 35 * HOUR, 29 * HOUR, 0, 10.0, 300.0, 1.0)


def test_a_day_less_an_hour_is_none():
    assert found(rows_of([hours([0] + [10] * 23 + [0])]), limits(1))[0] == 0


def test_an_estimate_of_nothing_does_not_end_it_and_estimates_alone_are_none():
    rows = hours([0] + [10] * 30 + [0])
    rows[10] = (*rows[10][:2], 0.0, ESTIMATED)
    assert found(rows_of([rows]), limits(1))[1][0][1:3] == (HOUR, 31 * HOUR)
    assert found(rows_of([hours([10] * 40, ESTIMATED)]), limits(1))[0] == 0


def test_a_gap_of_months_parts_two_leaks():
    early = hours([0] + [10] * 40)
    late = [(start + 2_000 * HOUR, end + 2_000 * HOUR, value, 0) for start, end, value, _ in hours([10] * 30)]
    gap = (41 * HOUR, 2_000 * HOUR, 90_000.0, 0)
    runs = found(rows_of([[*early, gap, *late]]), limits(1))[1]
    assert [(run[1], run[2], run[4]) for run in runs] == [
        (HOUR, 41 * HOUR, 0),
        (2_000 * HOUR, 2_030 * HOUR, 1),
    ]


def test_a_coarse_register_is_looked_at_over_as_many_rows_as_a_unit_takes():
    quarter = HOUR // 4
    rows = [(k * quarter, (k + 1) * quarter, 5.0 if k % 4 == 3 else 0.0, 0) for k in range(4 * 30)]
    assert found(rows_of([rows]), limits(1, row_max=HOUR, rest=HOUR // 2))[0] == 0
    assert found(rows_of([rows]), limits(1, cell=HOUR, row_max=HOUR))[0] == 1


def test_zeros_are_a_run_below():
    runs = found(rows_of([hours([1] + [0] * 50 + [1])]), limits(1, above=-1e-300, rest=1), sign=-1.0)[1]
    assert runs[0][1:3] == (HOUR, 51 * HOUR)


def test_runs_beyond_the_room_are_counted_and_not_written():
    series = [hours([10] * 30) for _ in range(7)]
    assert found(rows_of(series), limits(7), room=7)[0] == 7
    sink = RunSink(*(np.full(3, -1, np.int64) for _ in range(4)), np.empty(3, np.uint8), *(np.empty(3),) * 3)
    assert find_runs(rows_of(series), limits(7), 1.0, sink) == 7
    assert sink.slots.tolist() == [0, 1, 2]


def test_a_slot_without_a_limit_is_passed_over():
    wanted = limits(2)
    wanted.above[0] = np.nan
    assert [run[0] for run in found(rows_of([hours([10] * 30)] * 2), wanted)[1]] == [1]


@pytest.mark.parametrize("bounds", [[], [0, 3], [1, 0], [-1, 2]])
def test_bounds_that_leave_the_rows_are_malformed(bounds):
    rows = rows_of([hours([1, 2])])._replace(bounds=np.array(bounds, np.int64))
    assert found(rows, limits(max(len(bounds) - 1, 0)))[0] == MALFORMED


@pytest.mark.parametrize("field", ["ends", "values", "qualities"])
def test_columns_of_unlike_length_are_malformed(field):
    rows = rows_of([hours([1, 2])])
    assert found(rows._replace(**{field: getattr(rows, field)[:1]}), limits(1))[0] == MALFORMED


@pytest.mark.parametrize("field", RunLimits._fields)
def test_limits_of_another_count_are_malformed(field):
    wanted = limits(1)
    assert (
        found(rows_of([hours([1])]), wanted._replace(**{field: getattr(wanted, field)[:0]}))[0] == MALFORMED
    )


def steps(bounds, values, of_differences):
    finest = np.full(max(len(bounds) - 1, 0), -1.0)
    status = finest_steps(np.array(bounds, np.int64), np.array(values), of_differences, finest)
    return status, finest.tolist()


def test_the_finest_step_of_amounts_and_of_levels():
    values = [0.0, 5.0, np.nan, 15.0, 3e-12, 7.0, 7.5, 7.0, np.inf]
    assert steps([0, 5, 5, 9], values, False) == (3, [5.0, 0.0, 7.0])
    assert steps([0, 5, 5, 9], values, True) == (3, [5.0, 0.0, 0.5])


@pytest.mark.parametrize("bounds", [[], [0, 3], [1, 0]])
def test_steps_of_bounds_that_do_not_fit_are_malformed(bounds):
    assert steps(bounds, [1.0, 2.0], False)[0] == MALFORMED
