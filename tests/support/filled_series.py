"""Series with gaps, for tests: rows of (start, end, value) cut and filled by the kernels."""

import numpy as np

from smartdata_ts.kernels.arrays import Float64Array, Int64Array
from smartdata_ts.kernels.gaps import cut as gaps_cut
from smartdata_ts.kernels.gaps import fills, profiles

Row = tuple[int, int, float]
Piece = tuple[int, int, int, int, int]  # before, after, start, end, method

HOUR = 3_600_000_000
UTC = np.array([0, 0])
NO_SPAN = (-(2**63), 2**63 - 1)


class Columns:
    """Rows of some series as the kernels take them."""

    def __init__(self, many: list[list[Row]]) -> None:
        rows = [row for one in many for row in one]
        self.bounds = np.cumsum([0, *map(len, many)]).astype(np.int64)
        self.slots = np.repeat(np.arange(len(many), dtype=np.int32), np.diff(self.bounds))
        self.starts = np.array([row[0] for row in rows], np.int64)
        self.ends = np.array([row[1] for row in rows], np.int64)
        self.values = np.array([row[2] for row in rows], np.float64)

    def steps(self) -> Int64Array:
        steps = np.empty(self.bounds.size - 1, np.int64)
        scratch = np.empty(self.starts.size)
        assert gaps_cut.usual_steps(self.bounds, self.starts, self.ends, scratch, steps) == steps.size
        return steps

    def cut(self, rules: list[tuple[int, int]], span: tuple[int, int] = NO_SPAN) -> Int64Array:
        arguments = (self.bounds, self.starts, self.ends, self.values, self.steps())
        rule = np.array(rules, np.int64).reshape(-1)
        count = gaps_cut.cut_gaps(*arguments, rule, gaps_cut.Extent(*span), np.empty(0, np.int64))
        assert count >= 0
        pieces = np.empty(count * gaps_cut.PIECE_FIELDS, np.int64)
        assert gaps_cut.cut_gaps(*arguments, rule, gaps_cut.Extent(*span), pieces) == count
        return pieces

    def profiles(self, zone: Int64Array = UTC) -> Float64Array:
        hours = sum(int((e - s) // HOUR + 2) for s, e in zip(self.starts, self.ends, strict=True))
        result = np.empty((self.bounds.size - 1) * profiles.WEEK_HOURS)
        cells = np.empty(hours + profiles.WEEK_HOURS + 1, np.int64)
        columns = (self.bounds, self.starts, self.ends, self.values, zone, cells, np.empty(2 * hours))
        assert profiles.weekly_profiles(*columns, result) == self.bounds.size - 1
        return result

    def fill(
        self, rules: list[tuple[int, int]], constant: float = 0.0, span: tuple[int, int] = NO_SPAN
    ) -> tuple[list[Piece], list[float]]:
        pieces = self.cut(rules, span)
        filled = np.full(pieces.size // gaps_cut.PIECE_FIELDS, -7.0)
        columns = (self.slots, self.starts, self.ends, self.values)
        assert fills.shape_amounts(*columns, pieces, constant, filled) == filled.size
        assert profiles.shape_profiles(self.slots, pieces, self.profiles(), UTC, filled) == filled.size
        assert fills.settle_amounts(self.values, pieces, filled) == filled.size
        return listed(pieces), filled.tolist()


def listed(pieces: Int64Array) -> list[Piece]:
    return [tuple(piece) for piece in pieces.reshape(-1, gaps_cut.PIECE_FIELDS).tolist()]  # type: ignore[misc]
