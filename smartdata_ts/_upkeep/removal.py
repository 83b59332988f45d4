"""Readings taken out of chunks and head: what deleting, erasing and thinning out have in common.

The chunks that hold some of them are written anew without, and take the place, and the precedence, of
the old ones, in one transaction with all else. Files of old chunks go after it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smartdata_ts._read.decode import decode_versions, read_versions
from smartdata_ts._read.planning import make_plan
from smartdata_ts._read.slices import slices_by_readings
from smartdata_ts._readings.arrow import text_array
from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage.catalog import Catalog, ChunkRow, State
from smartdata_ts._storage.snapshot import Blocks, ChunkFiles, Snapshot, pack_head, unpack_head
from smartdata_ts._write.chunks import CHUNK_READINGS_MAX, ChunkOutput
from smartdata_ts.kernels.arrays import Int64Array


class Removal:
    """One removal, within the catalog's transaction: `take_out` any number of times, then `put_back`."""

    def __init__(self, catalog: Catalog, files: ChunkFiles, output: ChunkOutput, state: State) -> None:
        self._catalog = catalog
        self._files = files
        self._output = output
        self._head = unpack_head(state.head)
        self._head_is_old = False
        # By the name that the catalog has: the chunk as it is now, None where nothing is left of it.
        self._chunks: dict[str, ChunkRow | None] = {}

    def take_out(self, chunks: Iterable[ChunkRow], ids: Int64Array, time_min: int, time_max: int) -> None:
        """Take the readings of the series `ids` within [time_min, time_max] out of chunks and head."""
        for row in chunks:
            now = self._chunks.get(row.name, row)
            if now is not None and now.time_max >= time_min and now.time_min <= time_max:
                self._take_out_of(row.name, now, ids, time_min, time_max)
        taken = _within(self._head, ids, time_min, time_max)
        if taken.any():
            self._head = self._head.select(~taken)
            self._head_is_old = True

    def _take_out_of(self, name: str, now: ChunkRow, ids: Int64Array, time_min: int, time_max: int) -> None:
        chunk = self._files.get(now.name)
        touched = np.isin(chunk.series, ids) & (chunk.time_max >= time_min) & (chunk.time_min <= time_max)
        if not touched.any():
            return
        whole = touched & (chunk.time_min >= time_min) & (chunk.time_max <= time_max)
        rows = np.flatnonzero(~whole)
        if rows.size == 0:
            self._chunks[name] = None
            return
        versions = decode_versions(Blocks(chunk, rows, chunk.series[rows].astype(np.int64)))
        left = versions.select(~_within(versions, ids, time_min, time_max))
        if len(left) == len(versions) and not whole.any():
            return  # a block may reach over a span in which it has no reading
        self._chunks[name] = None
        if len(left):
            self._chunks[name] = replace(self._output.add_again(left, now), commit=now.commit)

    def put_back(self, commit: int) -> list[str]:
        """Tell the catalog what is left; returns the names of the files that it no longer has."""
        self._catalog.remove_chunks([name for name, now in self._chunks.items() if now is None])
        for name, now in self._chunks.items():
            if now is not None:
                self._catalog.replace_chunk(name, now)
        if self._head_is_old:
            self._catalog.clear_head()
            if len(self._head):
                self._catalog.add_head(commit, len(self._head), pack_head(self._head))
        return list(self._chunks)


def _within(versions: Versions, ids: Int64Array, time_min: int, time_max: int) -> npt.NDArray[np.bool_]:
    rows = versions.readings
    within: npt.NDArray[np.bool_] = (
        np.isin(rows.series, ids) & (rows.times >= time_min) & (rows.times <= time_max)
    )
    return within


def versions_of(snapshot: Snapshot, ids: Int64Array, time_min: int, time_max: int) -> Iterator[Versions]:
    """The versions of the series `ids` within a span, by series id, in pieces of the size of a chunk."""
    return filter(len, _pieces(snapshot, ids, time_min, time_max))


def _pieces(snapshot: Snapshot, ids: Int64Array, time_min: int, time_max: int) -> Iterator[Versions]:
    plan = make_plan(snapshot, ids, text_array([]), time_min, time_max, of_versions=True)
    for part in slices_by_readings(plan, CHUNK_READINGS_MAX):
        # No name keeps a piece while the next one is read.
        yield _of_series(read_versions(plan, part), ids[part.first : part.end])


def _of_series(versions: Versions, ids: Int64Array) -> Versions:
    """The versions with ids in the place of slots."""
    rows = versions.readings
    series = ids.astype(np.int32)[rows.series]
    return Versions(Readings(series, rows.times, rows.values, rows.qualities), versions.commits)
