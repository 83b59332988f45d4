"""ArcticDB on LMDB: a symbol per meter, indexed by time, which is how it is meant to be used.

The series' keys are its symbols; batch calls run over all symbols.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import arcticdb as adb
import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.datasets import stream

from ._face import Peer

SYMBOLS_PER_READ = 500
AGGREGATES = {name: ("value", name) for name in ("count", "min", "max", "mean", "first", "last")}


class Candidate(Peer):
    """A library of as many symbols as meters."""

    package = "arcticdb"

    def _connect(self, target: Path) -> None:
        target.mkdir(exist_ok=True, parents=True)
        arctic = adb.Arctic(f"lmdb://{target}?map_size=8GB")
        self.library = arctic.get_library("bench", create_if_missing=True)

    def load(self, target: Path, source: Path) -> int:
        """Cut each batch into its meters, then write them at once; no batch splits a meter."""
        self._connect(target)
        rows = 0
        for batch in stream(source):
            codes = batch["series"].indices.to_numpy()
            names = batch["series"].dictionary
            starts = np.flatnonzero(np.diff(codes, prepend=-1))
            index = pd.DatetimeIndex(batch["time"].cast("int64").to_numpy().view("M8[us]"))
            frame = pd.DataFrame({"value": batch["value"].to_numpy()}, index=index.as_unit("ns"))
            payloads = [
                adb.WritePayload(names[codes[low]].as_py(), frame.iloc[low:high])
                for low, high in itertools.pairwise([*starts, len(codes)])
            ]
            self.library.write_batch(payloads)
            rows += batch.num_rows
        return rows

    def open(self, target: Path) -> None:
        """Connect and list the symbols."""
        self._connect(target)
        self.symbols = sorted(self.library.list_symbols())

    def _read(self, requests: list[adb.ReadRequest]) -> pa.Table:
        """Run the requests in portions, so that memory stays bounded, into one table."""
        tables = []
        for low in range(0, len(requests), SYMBOLS_PER_READ):
            items = self.library.read_batch(requests[low : low + SYMBOLS_PER_READ])
            frame = pd.concat({item.symbol: item.data for item in items}, names=["series", "time"])
            tables.append(pa.Table.from_pandas(frame.reset_index(), preserve_index=False))
        return pa.concat_tables(tables)

    def daily(self, zone: str) -> pa.Table:
        """Resample each symbol in ArcticDB itself."""
        if zone != "UTC":
            return super().daily(zone)
        builder = adb.QueryBuilder().resample("1D").agg(AGGREGATES)
        return self._read([adb.ReadRequest(symbol, query_builder=builder) for symbol in self.symbols])

    def last(self) -> pa.Table:
        """Read the last row of each symbol."""
        return self._read([adb.ReadRequest(symbol, row_range=(-1, None)) for symbol in self.symbols])

    def year(self, key: str) -> pa.Table:
        """Read one symbol."""
        frame = self.library.read(key).data.rename_axis("time").reset_index()
        return pa.Table.from_pandas(frame, preserve_index=False)
