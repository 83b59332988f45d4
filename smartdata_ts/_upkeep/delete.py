"""Deletion: readings that are no longer so from a commit on, and what history keeps of them."""

from dataclasses import dataclass

from smartdata_ts._readings.versions import fold_versions, join, layers, sort_versions
from smartdata_ts._storage.catalog import Catalog
from smartdata_ts._storage.snapshot import ChunkFiles, Snapshot
from smartdata_ts._upkeep.removal import Removal, versions_of
from smartdata_ts._write.chunks import rewriting
from smartdata_ts.kernels.arrays import Int64Array


@dataclass(frozen=True)
class DeleteReport:
    """Counts of a deletion."""

    readings: int  # that are no longer there
    chunks_rewritten: int  # chunks that held some of them
    commit: int | None  # None where there was nothing to delete


def delete(
    catalog: Catalog, files: ChunkFiles, ids: Int64Array, time_min: int, time_max: int, note: str | None
) -> DeleteReport:
    """Delete the readings of the series `ids`, which ascend, within [time_min, time_max]."""
    with rewriting(catalog, files) as output:
        state = catalog.state()
        keeps = catalog.keeps_history()
        floor = catalog.raise_history_floor()
        count = 0
        for versions in versions_of(Snapshot.of(state, files), ids, time_min, time_max):
            standing, superseded = fold_versions(versions, floor)
            count += len(standing)
            if keeps:
                for layer in layers(sort_versions(join([superseded, standing]))):
                    output.add(layer, is_history=True)
        history = output.finish()
        removal = Removal(catalog, files, output, state)
        removal.take_out(state.chunks, ids, time_min, time_max)
        if count == 0:
            catalog.roll_back()
            return DeleteReport(0, 0, None)
        commit = state.commit + 1
        catalog.add_commit(commit, note or "deletion", state.reading_count - count)
        gone = removal.put_back(commit)
        for row in history:
            catalog.add_chunk(commit, row)
        if keeps:
            catalog.add_deletions(commit, ids.tolist(), time_min, time_max)
        else:
            catalog.give_up_history(commit)
        catalog.commit()
    files.remove(gone)
    return DeleteReport(count, len(gone), commit)
