"""What gaps are filled with: every method, and that what is known adds up."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.filled_series import HOUR, UTC, Columns, Row, listed
from test_gaps import series

from smartdata_ts.kernels import status as kernels_status
from smartdata_ts.kernels.gaps import cut as gaps_cut
from smartdata_ts.kernels.gaps import fills, profiles

METHODS = [
    gaps_cut.CONSTANT,
    gaps_cut.PREVIOUS,
    gaps_cut.NEXT,
    gaps_cut.LINEAR,
    gaps_cut.PROFILE,
    gaps_cut.CONSERVE,
]
ALWAYS = 2**63 - 1


@pytest.mark.parametrize("method", METHODS)
@given(many=series, constant=st.sampled_from([0.0, 2.5, -1.0, math.nan]))
def test_a_known_amount_adds_up_whatever_the_method(
    method: int, many: list[list[Row]], constant: float
) -> None:
    columns = Columns(many)
    pieces, filled = columns.fill([(method, ALWAYS)], constant)
    sums: dict[int, list[float]] = {}
    for (before, after, *_), value in zip(pieces, filled, strict=True):
        if before == after:
            sums.setdefault(before, []).append(value)
    for row, parts in sums.items():
        whole = columns.values[row]
        assert math.isnan(whole) or math.fsum(parts) == pytest.approx(whole, rel=1e-12, abs=1e-300)
        assert not whole >= 0 or min(parts) >= -1e-15 * whole


def amounts(method: int, rows: list[Row], constant: float = 0.0) -> list[float]:
    return Columns([rows]).fill([(method, ALWAYS)], constant)[1]


HOLE = [(0, 60, 6.0), (60, 120, 12.0), (360, 420, 60.0), (420, 480, 60.0)]
KNOWN = [(0, 60, 6.0), (60, 120, 12.0), (120, 360, 720.0), (360, 420, 60.0), (420, 480, 60.0)]


def test_each_method_by_hand_where_nothing_is_known() -> None:
    assert amounts(gaps_cut.CONSTANT, HOLE, 3.5)[2:6] == 4 * [3.5]
    assert amounts(gaps_cut.PREVIOUS, HOLE)[2:6] == 4 * [12.0]
    assert amounts(gaps_cut.NEXT, HOLE)[2:6] == 4 * [60.0]
    # The line is from 12 at 90 to 60 at 390, and the pieces' middles are at 150, 210, 270, 330.
    assert amounts(gaps_cut.LINEAR, HOLE)[2:6] == pytest.approx([21.6, 31.2, 40.8, 50.4])
    assert np.isnan(amounts(gaps_cut.CONSERVE, HOLE)[2:6]).all()


def test_each_method_by_hand_where_the_amount_is_known() -> None:
    for method in (gaps_cut.CONSTANT, gaps_cut.PREVIOUS, gaps_cut.NEXT, gaps_cut.CONSERVE):
        assert amounts(method, KNOWN)[2:6] == pytest.approx(4 * [180.0])
    assert amounts(gaps_cut.LINEAR, KNOWN)[2:6] == pytest.approx([108.0, 156.0, 204.0, 252.0])


def test_backflow_is_spread_evenly() -> None:
    rows = [*KNOWN[:2], (120, 360, -4.0), *KNOWN[3:]]
    assert amounts(gaps_cut.LINEAR, rows)[2:6] == [-1.0, -1.0, -1.0, -1.0]


def test_one_side_alone_makes_a_level_line() -> None:
    rows = [(0, 60, math.nan), (60, 120, 5.0), (120, 180, 5.0)]
    assert amounts(gaps_cut.LINEAR, rows) == [5.0, 5.0, 5.0]
    assert amounts(gaps_cut.NEXT, rows) == [5.0, 5.0, 5.0]
    assert math.isnan(amounts(gaps_cut.PREVIOUS, rows)[0])


def test_a_profile_gives_a_gap_the_shape_of_other_weeks() -> None:
    shape = [float(1 + k % 24 + 10 * (k // 24 % 7 > 4)) for k in range(24 * 7 * 5)]
    rows = [(k * HOUR, (k + 1) * HOUR, v) for k, v in enumerate(shape)]
    hole = [*rows[:400], *rows[430:]]
    assert amounts(gaps_cut.PROFILE, hole) == pytest.approx(shape)
    known = [*rows[:400], (400 * HOUR, 430 * HOUR, 2 * sum(shape[400:430])), *rows[430:]]
    assert amounts(gaps_cut.PROFILE, known)[400:430] == pytest.approx([2 * v for v in shape[400:430]])


def test_a_profile_of_zeros_falls_back_to_even() -> None:
    rows = [(k * HOUR, (k + 1) * HOUR, 0.0) for k in range(300)]
    rows = [*rows, (300 * HOUR, 304 * HOUR, 8.0), (304 * HOUR, 305 * HOUR, 0.0)]
    assert amounts(gaps_cut.PROFILE, rows)[300:304] == [2.0, 2.0, 2.0, 2.0]


def test_pieces_that_cannot_be_are_refused() -> None:
    columns = Columns([HOLE])
    whole = columns.cut([(gaps_cut.LINEAR, ALWAYS)])
    count = len(listed(whole))
    for field, value in [(0, -2), (0, 4), (1, 4), (3, -1), (0, -1)]:
        pieces = whole.copy()
        pieces[field] = value
        assert shapes(columns, pieces, count) == [-1, -1, -1]
    assert shapes(columns, whole[:-1], count) == [-1, -1, -1]
    assert shapes(columns, whole, count - 1) == [-1, -1, -1]


def shapes(columns: Columns, pieces: np.ndarray, room: int) -> list[int]:
    slots, starts, values, filled = columns.slots, columns.starts, columns.values, np.empty(room)
    pieces = pieces.copy()
    week = np.zeros(profiles.WEEK_HOURS)
    return [
        fills.shape_amounts(slots, starts, columns.ends, values, pieces, 0.0, filled),
        profiles.shape_profiles(slots, pieces, week, UTC, filled),
        fills.settle_amounts(values, pieces, filled),
    ]


def rows_of(
    pieces: list[tuple[int, int, int, int, int]],
    filled: list[float],
    qualities: list[int],
    room: int | None = None,
) -> tuple[int, list[tuple[int, int, int, float, int]]]:
    """(slot, start, end, value, quality) of each piece of rows of slots 0, 0, 1, 1, with values 1 to 4."""
    count = len(pieces) if room is None else room
    instants, slots = np.empty(2 * count, np.int64), np.empty(count, np.int32)
    codes, values = np.empty(count, np.uint8), np.array(filled)
    flat = np.array(pieces, np.int64).reshape(-1)
    own = (np.array([0, 0, 1, 1], np.int32), np.array([1.0, 2.0, 3.0, 4.0]), np.array(qualities, np.uint8))
    made = fills.rows_of_pieces(flat, *own, values, instants, slots, codes)
    columns = (slots, instants[:count], instants[count:], values, codes)
    return made, list(zip(*(column.tolist() for column in columns), strict=True)) if made >= 0 else []


def test_rows_of_pieces_have_their_qualities() -> None:
    pieces = [
        (0, 0, 10, 20, gaps_cut.NONE),
        (0, 1, 20, 30, gaps_cut.LINEAR),
        (-1, 2, 30, 40, gaps_cut.NEXT),
        (3, -1, 40, 50, gaps_cut.PROFILE),
    ]
    filled = [math.nan, 1.5, 9.0, math.nan]
    made, rows = rows_of(pieces, filled, [65, 3, 0, 5])
    assert made == len(pieces)
    assert rows[:3] == [
        (0, 10, 20, 1.0, 65),
        (0, 20, 30, 1.5, gaps_cut.LINEAR << 4 | 1),
        (1, 30, 40, 9.0, gaps_cut.NEXT << 4 | 1),
    ]
    assert rows[3][:3] == (1, 40, 50)
    assert rows[3][4] == 7


def test_rows_of_malformed_pieces_are_refused() -> None:
    for pieces, room in (
        ([(4, 4, 0, 1, gaps_cut.NONE)], None),
        ([(-1, -1, 0, 1, gaps_cut.LINEAR)], None),
        ([(0, 0, 2, 1, gaps_cut.LINEAR)], None),
        ([(0, 0, 0, 1, gaps_cut.NONE)], 0),
    ):
        assert rows_of(pieces, [0.0] * len(pieces), [0] * 4, room)[0] == kernels_status.MALFORMED
