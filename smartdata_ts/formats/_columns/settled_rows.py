"""Readings as columns, whose local times are settled batch by batch."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from smartdata_ts._meter.quality import IS_READING
from smartdata_ts.formats._reader import readings_batch
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array, UInt8Array
from smartdata_ts.kernels.text import status as text_status

from .time_column import TimeColumn


class Rows(NamedTuple):
    """A reading a row; `times` are UTC where `instants` is 1, local where it is 0."""

    codes: Int32Array
    times: Int64Array
    instants: UInt8Array
    values: Float64Array
    qualities: UInt8Array
    statuses: UInt8Array

    def select(self, rows: npt.NDArray[np.bool_] | slice) -> "Rows":
        """Some of the rows."""
        return Rows._make(column[rows] for column in self)

    def followed_by(self, rows: "Rows") -> "Rows":
        """These rows and others behind them."""
        return Rows(
            codes=np.concatenate((self.codes, rows.codes)),
            times=np.concatenate((self.times, rows.times)),
            instants=np.concatenate((self.instants, rows.instants)),
            values=np.concatenate((self.values, rows.values)),
            qualities=np.concatenate((self.qualities, rows.qualities)),
            statuses=np.concatenate((self.statuses, rows.statuses)),
        )


NO_ROWS = Rows(
    codes=np.zeros(0, np.int32),
    times=np.zeros(0, np.int64),
    instants=np.zeros(0, np.uint8),
    values=np.zeros(0, np.float64),
    qualities=np.zeros(0, np.uint8),
    statuses=np.zeros(0, np.uint8),
)


class SettledRows:
    """Makes UTC starts of times.

    Rows in a repeated local hour wait until their series has left it, and then stand in front of
    the next batch's rows.
    """

    def __init__(self, times: TimeColumn) -> None:
        self._times = times
        self._waiting = NO_ROWS
        self.ambiguous = 0

    @property
    def waiting(self) -> int:
        """How many rows wait."""
        return int(self._waiting.codes.size)

    def settle(self, rows: Rows, final: bool = False) -> Rows:
        """The rows that waited and `rows`, with starts for times; some of them may wait again."""
        if self.waiting:
            rows = self._waiting.followed_by(rows)
        starts, ambiguous = self._times.settle(rows.codes, rows.times, rows.instants, rows.statuses, final)
        self.ambiguous += ambiguous.size
        waiting = rows.statuses == text_status.PENDING_TIME
        self._waiting = rows.select(waiting)
        self._waiting.statuses[:] = text_status.OK
        return rows._replace(times=starts)


def mark_empty(
    empty: npt.NDArray[np.bool_], qualities: UInt8Array, values: Float64Array, statuses: UInt8Array
) -> None:
    """Let rows without a value, which are OK so far, be NaN where their quality says that there is none.

    All others become EMPTY_VALUE: they are counted, and not stored.
    """
    if empty.any():
        empty = empty & (statuses == text_status.OK)
        values[empty] = np.nan
        statuses[empty & IS_READING[qualities]] = text_status.EMPTY_VALUE


def good_batch(rows: Rows, dictionary: pa.Array, has_quality: bool) -> Iterator[pa.RecordBatch]:
    """The rows that are OK as a batch; none where there are none."""
    good = rows.statuses == text_status.OK
    if not good.all():
        rows = rows.select(good)
    if rows.codes.size:
        qualities = rows.qualities if has_quality else None
        yield readings_batch(rows.codes, dictionary, rows.times, rows.values, qualities)
