"""A store at a glance."""

from dataclasses import dataclass
from pathlib import Path

from smartdata_ts._storage import disk
from smartdata_ts._storage.catalog import FORMAT_VERSION, Catalog
from smartdata_ts._storage.snapshot import Snapshot


@dataclass(frozen=True)
class Info:
    """A store at a glance; times are microseconds UTC, None where there are no readings."""

    path: str
    series: int
    readings: int
    bytes: int
    time_min: int | None
    time_max: int | None
    chunks: int
    head_readings: int
    commit: int
    history_chunks: int = 0  # readings that were replaced or deleted since
    history_readings: int = 0
    id: str | None = None  # the store's UUID, which its backups have too; None in format version 1
    format_version: int = FORMAT_VERSION
    is_backup: bool = False  # that nobody has opened for writing yet

    @property
    def bytes_per_reading(self) -> float | None:
        """Everything on disk over the readings; None in an empty store."""
        return self.bytes / self.readings if self.readings else None


def info_of(directory: Path, catalog: Catalog, snapshot: Snapshot) -> Info:
    """Count series, readings and bytes."""
    history = catalog.chunk_rows(is_history=True)
    times = [(chunk.time_min, chunk.time_max) for chunk in snapshot.chunks]
    if len(snapshot.head):
        times.append((int(snapshot.head.times.min()), int(snapshot.head.times.max())))
    return Info(
        path=str(directory),
        series=catalog.series_count(),
        readings=snapshot.reading_count,
        bytes=disk.size_of(directory),
        time_min=min((first for first, _ in times), default=None),
        time_max=max((last for _, last in times), default=None),
        chunks=len(snapshot.chunks),
        head_readings=len(snapshot.head),
        commit=snapshot.commit,
        history_chunks=len(history),
        history_readings=sum(chunk.reading_count for chunk in history),
        id=catalog.store_id(),
        format_version=catalog.format_version(),
        is_backup=catalog.is_backup(),
    )
