"""What the readers of documents have in common: columns that fill, and become batches of readings."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.arrow import text_array
from smartdata_ts.errors import DataError, UnitError
from smartdata_ts.formats._columns.settled_rows import NO_ROWS, Rows, SettledRows, good_batch, mark_empty
from smartdata_ts.formats._columns.time_column import TimeColumn
from smartdata_ts.formats._columns.time_format import TimeFormat
from smartdata_ts.formats._options import ReadOptions
from smartdata_ts.formats._reader import Reader, SeriesFacts
from smartdata_ts.formats._rejects import REASONS, Reject, RejectSink
from smartdata_ts.formats._source import Source
from smartdata_ts.kernels.arrays import Float64Array, Int64Array, UInt8Array
from smartdata_ts.kernels.text import status as text_status
from smartdata_ts.kernels.text import times as text_times

BATCH_ROWS = 65_536
_TIME_MAX = 2**63 - 1
_EXACT_MAX = 1 << 53
_NO_SPANS = np.zeros(0, np.int32)


class DocumentReader(Reader):
    """Reads a document from front to end.

    A subclass has `fill`, which puts readings into the columns `codes`, `times`, `values`, `qualities`
    and `origins`, one entry a reading, and yields now and then, so that they become a batch. Times are
    microseconds UTC, or texts where `times_are_text`; an origin is whatever `origin` makes the place
    and the text of a reject from.
    """

    times_are_text = False
    zone: str | None = None
    """The zone of times without offset, where the format has one and the user says none."""

    def __init__(self, source: Source, options: ReadOptions, sink: RejectSink | None) -> None:
        super().__init__(source.name, sink)
        self.source = source
        self.options = options
        self.codes: list[int] = []
        self.times: list[Any] = []
        self.values: list[Any] = []  # floats, whole numbers, None
        self.qualities: list[int] = []
        self.origins: list[Any] = []
        self.passed_over: Counter[str] = Counter()
        self._code_by_key: dict[str, int] = {}
        self._facts: dict[str, SeriesFacts] = {}
        self._dictionary = text_array([])
        self._time_spec = TimeFormat().spec()
        self._settled = SettledRows(TimeColumn(options.tz or self.zone, "start", None, source.name))

    @abstractmethod
    def fill(self) -> Iterator[None]:
        """Put readings into the columns; yield when there may be enough of them for a batch."""

    def origin(self, origin: Any) -> tuple[int | str, str]:
        """The place and the text of a reading that is rejected."""
        return str(origin), ""

    @property
    def progress(self) -> float | None:
        """How much of the file was read, from 0 to 1; None where its size is not known."""
        return self.source.progress

    def close(self) -> None:
        """Close the file."""
        self.source.close()

    def facts(self) -> Mapping[str, SeriesFacts]:
        """What the document says of its series, by key."""
        return self._facts

    def code_of(self, key: str, facts: SeriesFacts) -> int:
        """The code of a series; UnitError where the document says another unit of it than before."""
        code = self._code_by_key.get(key)
        if code is None:
            if "\0" in key or not key:
                raise DataError(f"{self.name}: a series has the key {key!r}, which cannot be stored")
            code = self._code_by_key[key] = len(self._code_by_key)
            self._facts[key] = facts
        elif facts.unit != self._facts[key].unit:
            raise UnitError(
                f"{self.name}: series {key!r} is in {self._facts[key].unit} first and in {facts.unit} later;"
                " split the file"
            )
        return code

    def reject_row(self, place: int | str, reason: str, text: str = "", row_count: int = 1) -> None:
        """Count a row, or `row_count` of them, that cannot be taken."""
        self.rows += row_count
        self.reject(Reject(place, reason, text[:1000]), row_count)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for _ in self.fill():
            if len(self.codes) >= BATCH_ROWS:
                yield from self._flush()
        yield from self._flush()
        yield from self._finish(self._settled.settle(NO_ROWS, final=True))
        self.notices += [f"{count:,} {what} were passed over" for what, count in self.passed_over.items()]
        if not self.rows:
            raise DataError(f"{self.name}: there are no readings in it")

    def _flush(self) -> Iterator[pa.RecordBatch]:
        """The columns so far as a batch."""
        origins, count = self.origins, len(self.codes)
        if not count:
            return
        assert len(self.times) == len(self.values) == len(self.qualities) == len(origins) == count
        statuses = np.zeros(count, np.uint8)
        times, instants = self._instants(statuses)
        rows = Rows(
            codes=np.array(self.codes, np.int32),
            times=times,
            instants=instants,
            values=self._numbers(statuses),
            qualities=np.array(self.qualities, np.uint8),
            statuses=statuses,
        )
        mark_empty(np.isnan(rows.values), rows.qualities, rows.values, statuses)
        self.codes, self.times, self.values, self.qualities, self.origins = [], [], [], [], []
        self.rows += count
        waited = self._settled.waiting
        rows = self._settled.settle(rows)
        self._count(rows.statuses[waited:], origins)
        yield from self._finish(rows)

    def _instants(self, statuses: UInt8Array) -> tuple[Int64Array, UInt8Array]:
        if not self.times_are_text:
            return np.array(self.times, np.int64), np.ones(statuses.size, np.uint8)
        encoded = [text.encode() for text in self.times]
        stops = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        spans = np.zeros(2 * len(encoded), np.int32)
        spans[1::2], spans[2::2] = stops, stops[:-1]
        buffer = np.frombuffer(b"".join(encoded) or b"\0", np.uint8)
        times, instants = np.zeros(statuses.size, np.int64), np.zeros(statuses.size, np.uint8)
        text_times.parse_times(buffer, spans, _NO_SPANS, self._time_spec, times, instants, statuses)
        return times, instants

    def _numbers(self, statuses: UInt8Array) -> Float64Array:
        """The values as doubles, None being NaN; whole numbers that a double does not hold are marked."""
        try:
            values = np.array(self.values, np.float64)
        except OverflowError:
            values = np.array([_float(value) for value in self.values])
        large = np.flatnonzero(np.abs(values) > _EXACT_MAX)
        for row in large.tolist():
            value = self.values[row]
            if isinstance(value, int) and int(values[row] if np.isfinite(values[row]) else 0) != value:
                statuses[row] = text_status.NUMBER_OUT_OF_RANGE
        return values

    def _count(self, statuses: UInt8Array, origins: list[Any]) -> None:
        is_empty = statuses == text_status.EMPTY_VALUE
        self.empty += int(np.count_nonzero(is_empty))
        failed = (statuses != text_status.OK) & (statuses != text_status.PENDING_TIME) & ~is_empty
        for row in np.flatnonzero(failed).tolist():
            place, text = self.origin(origins[row])
            self.reject(Reject(place, REASONS[int(statuses[row])], text[:1000]))

    def _finish(self, rows: Rows) -> Iterator[pa.RecordBatch]:
        self.ambiguous = self._settled.ambiguous
        if len(self._dictionary) < len(self._code_by_key):
            self._dictionary = text_array(list(self._code_by_key))
        for batch in good_batch(rows, self._dictionary, has_quality=True):
            self.taken += batch.num_rows
            yield batch


def _float(value: float | None) -> float:
    try:
        return float("nan") if value is None else float(value)
    except OverflowError:
        return float("inf")
