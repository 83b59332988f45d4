"""pcodec at level 8: the bare value and time columns, for size alone. No store, no queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pcodec import ChunkConfig, standalone

from benchmarks.datasets import stream

from ._face import Peer

PIECE = 1 << 20


class Candidate(Peer):
    """Two files of compressed pieces, a million readings each."""

    package = "pcodec"

    def load(self, target: Path, source: Path) -> int:
        """Compress each column in the order of the series."""
        target.mkdir(exist_ok=True, parents=True)
        rows = 0
        config = ChunkConfig(compression_level=8)
        with (target / "time.pco").open("wb") as times, (target / "value.pco").open("wb") as values:
            for batch in stream(source):
                rows += batch.num_rows
                for low in range(0, batch.num_rows, PIECE):
                    piece = batch.slice(low, PIECE)
                    time = piece["time"].cast("int64").to_numpy()
                    value = np.ascontiguousarray(piece["value"].to_numpy())
                    times.write(standalone.simple_compress(time, config))
                    values.write(standalone.simple_compress(value, config))
        return rows
