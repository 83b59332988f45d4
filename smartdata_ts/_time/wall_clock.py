"""Local wall times without an offset, as vendors send them, turned into UTC instants.

In spring some wall times never were; in autumn an hour is shown twice, and only the order of a
series' rows tells the two apart. The rule, for the rows of one series that stand in one repeated
hour, one after another in the file:

- The clock was put back at one place among them: before the first, between two, or after the last.
  Rows before the place are in one pass of the hour, rows after it in the other. At that place the
  true step is longer than the wall clock says by the time repeated.
- Each place is judged by how odd it leaves the steps, the ones into and out of the hour included.
  A step back is oddest by far, then a hole, then a step shorter than the usual one, then a repeated
  stamp; the usual step costs nothing. So a step back, however small, is the place (02:45 02:00 of a
  quarter-hourly meter, 02:30:10 02:30:05 of an hourly one); so are equal stamps of an hourly meter,
  but not of a quarter-hourly one, where they are a row sent twice.
- The usual step is the one that most of the series' last rows kept, known once two agree. Where it
  runs backwards the file is sorted newest first, and all of this holds in mirror image.
- The best place wins unless every place makes the steps odder than they are on the wall, as when
  a vendor dropped one of the passes: then all rows of the hour are AMBIGUOUS. Rows between equally
  good places are AMBIGUOUS as well. If rows step back more than once, order tells nothing.
- AMBIGUOUS rows are taken as the first occurrence.

The hour's outer neighbours count if they are less than two days away. The order inside a series
matters: a file may be sorted by time or by series, and batches may be cut anywhere.
"""

import re

import numpy as np

from smartdata_ts.errors import UsageError
from smartdata_ts.kernels.arrays import Int32Array, Int64Array, UInt8Array
from smartdata_ts.kernels.rows.wall_clock import (
    AMBIGUOUS,
    MISSING,
    NEVER,
    OK,
    PENDING,
    STATE_SIZE,
    convert_wall_times,
    settle_repeated_hours,
)

from .zone import LocalWindows, load_zone, local_windows

__all__ = [
    "AMBIGUOUS",
    "MISSING",
    "OK",
    "PENDING",
    "PENDING_ROW_COUNT_MAX",
    "LocalTimeResolver",
    "parse_offset_us",
]

PENDING_ROW_COUNT_MAX = 1 << 20


class LocalTimeResolver:
    """Turns the local wall times of one zone into UTC instants, batch by batch.

    One resolver serves one file, or several that belong together, in order; it is not for use by
    several threads at once. Raises UnknownTimeZoneError for a name that is no IANA zone.
    """

    def __init__(self, tz: str) -> None:
        self._zone = load_zone(tz)
        self._covered_us = (0, 0)
        self._windows = np.empty(0, np.int64)
        self._state = np.empty(0, np.int64)

    def instants(
        self, series: Int32Array, local_us: Int64Array, final: bool = False
    ) -> tuple[Int64Array, UInt8Array]:
        """Return the UTC instant and the status of every row; the module's docstring has the rule.

        `series` are small codes from 0, the same for the same series in every batch; `local_us` is
        the wall time as if it were UTC, in microseconds. Both have shape (rows,), and so have the
        results. A row's status is

        - OK;
        - MISSING: the clock skipped this time in spring. The row should be rejected; its instant is
          what it would be if the clock had been put forward later.
        - AMBIGUOUS: in a repeated hour, and the order does not tell which; the first is taken.
        - PENDING: in a repeated hour which its series has not yet left. The instant is not settled:
          keep the row, and give it again in front of the next batch, before newer rows of its
          series. So a batch may end inside the hour, and results do not depend on where it ends.

        `final` says that no more rows come: nothing is PENDING then. More than
        PENDING_ROW_COUNT_MAX rows are not left PENDING but settled by what is known, so that what
        the caller keeps is bounded.

        Raises UsageError for arrays that do not fit each other, or a negative code.
        """
        series, local_us = _checked(series, local_us)
        utc_us, status = np.empty(local_us.size, np.int64), np.empty(local_us.size, np.uint8)
        if not local_us.size:
            return utc_us, status
        self._cover(int(local_us.min()), int(local_us.max()))
        near_rows = np.empty(local_us.size, np.int64)
        near_count = convert_wall_times(local_us, self._windows, utc_us, status, near_rows)
        assert near_count >= 0
        if near_count:
            rows = near_rows[:near_count]
            rows = rows[np.argsort(series[rows], kind="stable")]
            self._grow(series, rows)
            if self._settle(rows, series, local_us, utc_us, status, final) > PENDING_ROW_COUNT_MAX:
                rows = rows[status[rows] == PENDING]
                self._settle(rows, series, local_us, utc_us, status, True)
        return utc_us, status

    def _settle(
        self,
        rows: Int64Array,
        series: Int32Array,
        local_us: Int64Array,
        utc_us: Int64Array,
        status: UInt8Array,
        final: bool,
    ) -> int:
        windows, state = self._windows, self._state
        pending_count = settle_repeated_hours(rows, series, local_us, windows, state, utc_us, status, final)
        assert pending_count >= 0
        return pending_count

    def _cover(self, low_us: int, high_us: int) -> None:
        """Make the table of windows hold [low_us, high_us]."""
        start_us, end_us = self._covered_us
        if self._windows.size and start_us <= low_us and high_us < end_us:
            return
        if self._windows.size:
            low_us, high_us = min(low_us, start_us), max(high_us, end_us)
        # The year around saves the next batches from making the table again, and has the repeated
        # hours that the outermost rows are near to.
        year_us = 366 * 86_400_000_000
        self._covered_us = (low_us - year_us, high_us + year_us)
        self._windows = _flat(local_windows(self._zone, *self._covered_us))

    def _grow(self, series: Int32Array, rows: Int64Array) -> None:
        """Make the state hold the highest code, at least doubling it."""
        if series[rows[0]] < 0:
            raise UsageError(f"a series code is {series[rows[0]]}; codes count from 0")
        size = (int(series[rows[-1]]) + 1) * STATE_SIZE
        if size > self._state.size:
            grown = np.zeros(max(size, 2 * self._state.size), np.int64)
            grown[::STATE_SIZE] = NEVER
            grown[: self._state.size] = self._state
            self._state = grown


def _flat(windows: LocalWindows) -> Int64Array:
    return np.concatenate([windows.start_us, windows.first_offset_us, windows.second_offset_us])


def _checked(series: Int32Array, local_us: Int64Array) -> tuple[Int32Array, Int64Array]:
    series, local_us = np.asarray(series), np.asarray(local_us)
    if series.dtype != np.int32 or local_us.dtype != np.int64:
        raise UsageError(
            f"series is {series.dtype} and local_us {local_us.dtype}; pass int32 codes and int64 microseconds"
        )
    if series.ndim != 1 or series.shape != local_us.shape:
        raise UsageError(
            f"series has shape {series.shape} and local_us {local_us.shape}; both need one number a row"
        )
    return np.ascontiguousarray(series), np.ascontiguousarray(local_us)


def parse_offset_us(tz: str | None) -> int | None:
    """Microseconds east of UTC, where `tz` says no more than that: "UTC", "Z", "+01:00"."""
    if tz is None:
        return None
    if tz.upper() in ("UTC", "Z"):
        return 0
    match = re.fullmatch(r"([+-])(\d{2}):?([0-5]\d)?", tz)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3] or 0)
    return (-1 if match[1] == "-" else 1) * minutes * 60 * 10**6
