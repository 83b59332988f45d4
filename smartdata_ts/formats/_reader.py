"""The face that every reader of outside data shows."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.arrow import fixed_array
from smartdata_ts.kernels.arrays import Float64Array, Int32Array, Int64Array, UInt8Array

from ._rejects import Reject, RejectSink

REJECTS_KEPT = 100


@dataclass(frozen=True)
class SeriesFacts:
    """What a document says of a series, in the words of `Store.describe`; None where it does not."""

    quantity: str | None = None
    unit: str | None = None
    kind: str | None = None
    interval: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


SCHEMA = pa.schema(
    [
        ("series", pa.dictionary(pa.int32(), pa.string())),
        ("time", pa.timestamp("us", "UTC")),
        ("value", pa.float64()),
        ("quality", pa.uint8()),
    ]
)


class Reader(ABC):
    """Outside data as batches of readings, read once from front to end in bounded memory.

    Iterate over it for record batches with the columns series (dictionary of text), time (UTC
    microseconds), value and perhaps quality. The counts hold for what was read so far:

    rows        data rows; in a wide file, cells
    taken       readings given in batches; rows == taken + empty + rejected, always
    empty       cells, or rows, without a value, unless their quality says missing or rejected
    ambiguous   readings taken in a repeated local hour that the rows' order does not settle
    rejected    rows (cells) that could not be taken; `rejections` counts them by reason
    rejects     the first 100 of them; all go to the sink that the reader was opened with
    notices     what else is to be told: what was passed over, what a document contradicts itself in
    sheet       of a workbook; it stands before the row in every reject
    """

    batches_ahead = 2  # so many may be made while one is stored

    def __init__(self, name: str, sink: RejectSink | None) -> None:
        self.name = name
        self.rows = 0
        self.taken = 0
        self.empty = 0
        self.ambiguous = 0
        self.rejected = 0
        self.rejections: Counter[str] = Counter()
        self.rejects: list[Reject] = []
        self.notices: list[str] = []
        self.sheet: str | None = None
        self._sink = sink

    @property
    @abstractmethod
    def description(self) -> str:
        """One line that says what was taken for what."""

    @property
    def progress(self) -> float | None:
        """How much of the file was read, from 0 to 1; None where its size is not known."""
        return None

    def facts(self) -> Mapping[str, SeriesFacts]:
        """What the file says of its series, by key; complete once all was read."""
        return {}

    @abstractmethod
    def __iter__(self) -> Iterator[pa.RecordBatch]: ...

    @abstractmethod
    def close(self) -> None:
        """Close what was opened."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def reject(self, reject: Reject, row_count: int = 1) -> None:
        """Count and hand on a row that cannot be taken, and that stands for `row_count` cells."""
        if self.sheet is not None:
            reject = reject._replace(line=f"{self.sheet}!{reject.line}")
        self.rejected += row_count
        self.rejections[reject.reason] += row_count
        if len(self.rejects) < REJECTS_KEPT:
            self.rejects.append(reject)
        if self._sink is not None:
            self._sink(reject)


def readings_batch(
    codes: Int32Array,
    dictionary: pa.Array,
    times: Int64Array,
    values: Float64Array,
    qualities: UInt8Array | None,
) -> pa.RecordBatch:
    """A batch of readings over arrays that are not touched again."""
    series = pa.DictionaryArray.from_arrays(fixed_array(codes), dictionary, safe=False)
    buffer = pa.py_buffer(np.ascontiguousarray(times))
    time = pa.Array.from_buffers(pa.timestamp("us", "UTC"), times.size, [None, buffer])
    columns = [series, time, fixed_array(values)]
    if qualities is not None:
        columns.append(fixed_array(qualities))
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(list(SCHEMA)[: len(columns)]))
