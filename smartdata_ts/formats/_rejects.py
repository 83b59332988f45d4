"""Rows that could not be taken, and the file beside the input that keeps them."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TextIO

from smartdata_ts.kernels.text import status as text_status


class Reject(NamedTuple):
    """A row that was not taken: where it stands, why, and what it says.

    `line` is a line's number, or the place in a document: a segment, an element, a sheet and its row.
    """

    line: int | str
    reason: str
    text: str


RejectSink = Callable[[Reject], None]

REASONS = {
    text_status.TOO_FEW_FIELDS: "too few fields",
    text_status.TOO_MANY_FIELDS: "too many fields",
    text_status.MALFORMED_QUOTES: "malformed quotes",
    text_status.EMPTY_TIME: "empty time",
    text_status.UNREADABLE_TIME: "unreadable time",
    text_status.IMPOSSIBLE_TIME: "impossible time",
    text_status.TIME_TOO_FINE: "time finer than a microsecond",
    text_status.TIME_OUT_OF_RANGE: "time out of range",
    text_status.MISSING_LOCAL_TIME: "local time skipped by the change to summer time",
    text_status.UNREADABLE_NUMBER: "unreadable number",
    text_status.EMPTY_KEY: "empty series key",
    text_status.UNREADABLE_KEY: "series key is no text in the declared encoding",
    text_status.ZERO_KEY: "series key holds a zero byte",
    text_status.UNREADABLE_QUALITY: "unreadable quality",
    text_status.NUMBER_OUT_OF_RANGE: "number beyond what float64 holds exactly",
}


class RejectWriter:
    """Writes rejects to a CSV file (line, reason, row) that exists only once there is one.

    Call it with each Reject; close it at the end, or use it in a `with`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.count = 0
        self._file: TextIO | None = None

    def __call__(self, reject: Reject) -> None:
        """Write one reject."""
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(["line", "reason", "row"])
        csv.writer(self._file).writerow(reject)
        self.count += 1

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
