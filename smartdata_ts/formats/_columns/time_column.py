"""Times of outside data to the UTC starts that are stored: local zones, and stamps at ends."""

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from smartdata_ts._readings.arrow import fixed_array, numbers_of
from smartdata_ts._time import wall_clock
from smartdata_ts.errors import DialectError, UsageError
from smartdata_ts.kernels.arrays import Int32Array, Int64Array, UInt8Array
from smartdata_ts.kernels.text import status as text_status

_FIXED_UNITS_US = {"s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6}
_DAY_COUNTS = {"d": 1, "w": 7}
_MONTH_COUNTS = {"mo": 1, "q": 3, "y": 12}
_DAY_US = 86_400 * 10**6


class Interval(NamedTuple):
    """A length of time: fixed, or of calendar days and months, which vary with the zone."""

    fixed_us: int = 0
    days: int = 0
    months: int = 0

    @property
    def is_calendar(self) -> bool:
        """Whether its length depends on where it lies."""
        return self.days > 0 or self.months > 0


def parse_interval(text: str) -> Interval:
    """The length that "15min", "1h", "1d", "1w", "1mo", "1q" or "1y" says."""
    match = re.fullmatch(r"(\d{1,6}) ?(s|min|h|d|w|mo|q|y)", text.strip())
    if match is None or int(match[1]) == 0:
        raise UsageError(f"interval={text!r}: pass '15min', '1h', '1d', '1w', '1mo' or the like")
    count, unit = int(match[1]), match[2]
    if unit in _FIXED_UNITS_US:
        return Interval(fixed_us=count * _FIXED_UNITS_US[unit])
    return Interval(days=count * _DAY_COUNTS.get(unit, 0), months=count * _MONTH_COUNTS.get(unit, 0))


class TimeColumn:
    """Turns times as written, instants and local ones, into UTC starts, batch by batch.

    A calendar interval (a day, a month) is taken off the local time: the day that ends at a local
    midnight began at the midnight before, be it 23, 24 or 25 hours ago.
    """

    def __init__(self, tz: str | None, stamp: str, interval: str | None, where: str) -> None:
        self._tz = tz
        self._where = where
        self._offset_us = wall_clock.parse_offset_us(tz)
        self._resolver = None
        if tz is not None and self._offset_us is None:
            self._resolver = wall_clock.LocalTimeResolver(tz)
        self._interval = parse_interval(interval) if stamp == "end" and interval else Interval()

    def settle(
        self,
        codes: Int32Array,
        times: Int64Array,
        instants: UInt8Array,
        statuses: UInt8Array,
        final: bool = False,
    ) -> tuple[Int64Array, npt.NDArray[np.intp]]:
        """UTC starts, and the rows whose repeated hour stays ambiguous.

        Rows where `instants` is 0 are local. Local times skipped in spring get their status. Rows
        PENDING_TIME are to be given again, unchanged, in front of the next batch; `final` says that
        none comes.
        """
        good = statuses == text_status.OK
        local = np.flatnonzero(good & (instants == 0))
        ambiguous = local[:0]
        starts = times
        if self._interval.is_calendar and local.size < times.size:
            starts = self._calendar_starts(codes, times, good & (instants != 0))
        if local.size:
            utc, ambiguous = self._from_local(codes, times, statuses, local, final)
            if local.size == times.size:
                starts = utc
            else:
                starts = starts.copy()
                starts[local] = utc
        if self._interval.fixed_us:
            starts = starts - self._interval.fixed_us
        return starts, ambiguous

    def _from_local(
        self,
        codes: Int32Array,
        times: Int64Array,
        statuses: UInt8Array,
        local: npt.NDArray[np.intp],
        final: bool,
    ) -> tuple[Int64Array, npt.NDArray[np.intp]]:
        if local.size < times.size:
            codes, times = codes[local], times[local]
        times = self._wall_starts(times)
        if self._offset_us is not None:
            return times - self._offset_us, local[:0]
        if self._resolver is None:
            raise DialectError(
                f"{self._where}: times without offset: pass tz= with the zone that they are written"
                " in, such as tz='Europe/Oslo', or tz='UTC'"
            )
        utc, found = self._resolver.instants(codes, times, final)
        if found.any():
            statuses[local[found == wall_clock.MISSING]] = text_status.MISSING_LOCAL_TIME
            statuses[local[found == wall_clock.PENDING]] = text_status.PENDING_TIME
        return utc, local[found == wall_clock.AMBIGUOUS]

    def _wall_starts(self, times: Int64Array) -> Int64Array:
        """Local ends to local starts, where the interval is one of the calendar."""
        if self._interval.days:
            return times - self._interval.days * _DAY_US
        if not self._interval.months:
            return times
        walls = times.view("datetime64[us]")
        months = walls.astype("datetime64[M]")
        # The place within the month stays: what ends on the first of May starts on the first of April.
        earlier = months - np.timedelta64(self._interval.months, "M")
        starts = earlier.astype("datetime64[us]") + (walls - months)
        return np.asarray(starts.view(np.int64))

    def _calendar_starts(
        self, codes: Int32Array, times: Int64Array, rows: npt.NDArray[np.bool_]
    ) -> Int64Array:
        """Starts of calendar intervals whose ends are instants."""
        starts = times.copy()
        if self._offset_us is not None:
            starts[rows] = self._wall_starts(times[rows] + self._offset_us) - self._offset_us
            return starts
        if self._tz is None:
            raise UsageError(
                f"{self._where}: an interval of days or months needs a zone to count them in: pass tz="
            )
        import pyarrow.compute as pc  # few files need it, and it takes 30 ms

        instants = fixed_array(times[rows], pa.timestamp("us", self._tz))
        walls = pc.local_timestamp(instants).cast(pa.int64())
        resolver = wall_clock.LocalTimeResolver(self._tz)
        starts[rows], _ = resolver.instants(codes[rows], self._wall_starts(numbers_of(walls)), final=True)
        return starts
