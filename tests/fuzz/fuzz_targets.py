"""What fuzzing feeds: bytes in, and nothing out but an answer or a SmartDataError."""

import contextlib
import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import smartdata_ts as sd
from smartdata_ts import formats
from smartdata_ts._storage import chunk_file
from smartdata_ts.errors import SmartDataError

Target = Callable[[bytes], None]
HOUR = 3_600_000_000


class _Equal:
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


@contextlib.contextmanager
def right_checksums() -> object:
    """Every checksum of a chunk is right: whoever writes a hostile chunk writes these too."""
    digest, verified = chunk_file._digest, chunk_file.ChunkFile._verified
    chunk_file._digest = lambda *_arguments: _Equal()  # type: ignore[assignment]
    chunk_file.ChunkFile._verified = chunk_file.ChunkFile._copied  # type: ignore[method-assign]
    try:
        yield
    finally:
        chunk_file._digest, chunk_file.ChunkFile._verified = digest, verified  # type: ignore[method-assign]


class ChunkTarget:
    """Puts the bytes in the place of a store's chunk, and asks for all there is."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "city.sdts"
        times = np.arange(70_000) * HOUR // 16
        with sd.open(self._path) as store:
            store.write({"series": "wm-1", "time": times, "value": np.round(np.sin(times / 1e12), 3)})
        (self._chunk,) = self._path.glob("chunks/*.arrow")

    def __call__(self, data: bytes) -> None:
        self._chunk.write_bytes(data)
        try:
            with right_checksums(), sd.open(self._path, mode="r") as store:
                for query in (store.query(), store.query().last(), store.query().resample("1d", "sum")):
                    with contextlib.suppress(SmartDataError):
                        query.to_arrow().validate(full=True)
        except SmartDataError:
            pass

    def close(self) -> None:
        self._folder.cleanup()


class CsvTarget:
    """Reads the bytes as a text file of readings, whatever its layout."""

    def __call__(self, data: bytes) -> None:
        try:
            with formats.open_reader(io.BytesIO(data), "csv", tz="Europe/Oslo") as reader:
                for batch in reader:
                    batch.validate(full=True)
        except SmartDataError:
            pass

    def close(self) -> None:
        pass


class FormatTarget:
    """Reads the bytes as a file of one format."""

    def __init__(self, format: str, **options: str) -> None:
        self._format = format
        self._options = options

    def __call__(self, data: bytes) -> None:
        try:
            with formats.open_reader(io.BytesIO(data), self._format, **self._options) as reader:
                for batch in reader:
                    batch.validate(full=True)
                assert reader.rows == reader.taken + reader.empty + reader.rejected
        except SmartDataError:
            pass

    def close(self) -> None:
        pass


DOCUMENTS = ("elhub", "cim", "espi", "senml", "json", "line-protocol", "nem12", "mscons")
TARGETS: dict[str, Callable[[], ChunkTarget | CsvTarget | FormatTarget]] = {
    "chunk": ChunkTarget,
    "csv": CsvTarget,
    "excel": partial(FormatTarget, "excel", tz="UTC"),
    **{name: partial(FormatTarget, name) for name in DOCUMENTS},
}
CORPUS = Path(__file__).with_name("corpus")
