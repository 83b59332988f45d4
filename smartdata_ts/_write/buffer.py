"""Rows that wait to be written, in the parts that they came in; whether they came sorted is known."""

from smartdata_ts._readings.columns import Readings, concatenate
from smartdata_ts._write import chunks as chunks_module
from smartdata_ts.kernels.rows.readings import are_sorted

_PARTS_MAX = 64  # of a chunk that is joined where it is encoded; each costs some calls before


class WriteBuffer:
    """Parts of readings, none of them empty."""

    def __init__(self) -> None:
        self._parts: list[Readings] = []
        self._count = 0
        self._gives_chunks = True  # all came sorted, and, as far as was looked, of one year

    def __len__(self) -> int:
        """The count of readings."""
        return self._count

    def append(self, part: Readings) -> None:
        """Keep readings, and the memory that they are in."""
        self._gives_chunks = self._gives_chunks and self._goes_on_with(part)
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
        if not self._gives_chunks or self._count <= chunks_module.CHUNK_READINGS_MAX:
            return []
        if len(self._parts) > _PARTS_MAX:
            self._parts = [concatenate(self._parts)]
        taken, left = chunks_module.first_chunk(self._parts)
        self._gives_chunks = len(taken) > 0
        self._parts = left
        self._count = sum(map(len, left))
        return taken

    def take_all(self) -> list[Readings]:
        """Take all readings."""
        taken, self._parts = self._parts, []
        self._count, self._gives_chunks = 0, True
        return taken
