"""Rows that wait to be written, in the parts that they came in; whether they came sorted is known."""

from smartdata_ts._chunk_output import first_chunk
from smartdata_ts._readings import Readings
from smartdata_ts.kernels.readings import are_sorted


class WriteBuffer:
    """Parts of readings, none of them empty."""

    def __init__(self) -> None:
        self._parts: list[Readings] = []
        self._count = 0
        self._is_sorted = True

    def __len__(self) -> int:
        """The count of readings."""
        return self._count

    def append(self, part: Readings) -> None:
        """Keep readings, and the memory that they are in."""
        self._is_sorted = self._is_sorted and self._goes_on_with(part)
        self._parts.append(part)
        self._count += len(part)

    def _goes_on_with(self, part: Readings) -> bool:
        if self._parts:
            last = self._parts[-1]
            if (last.series[-1], last.times[-1]) >= (part.series[0], part.times[0]):
                return False
        return bool(are_sorted(part.series, part.times))

    def take_chunk(self) -> list[Readings]:
        """Take the first readings where all came sorted and these fill a chunk; else none."""
        found = first_chunk(self._parts) if self._is_sorted else None
        if found is None:
            return []
        taken, self._parts = found
        self._count = sum(map(len, self._parts))
        return taken

    def take_all(self) -> list[Readings]:
        """Take all readings."""
        taken, self._parts = self._parts, []
        self._count, self._is_sorted = 0, True
        return taken
