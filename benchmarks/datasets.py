"""The data sets on disk: every form that a peer may load, made once and kept in one folder.

A folder holds `sorted.arrow` and `ordered.arrow` (Arrow IPC streams, by series and time / by
time), `readings.parquet`, `readings.csv` (the first rows only) and `about.json`, which is written
last and so marks a folder that is whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from . import daiad, w1

# The smallest of the encodings tried on W1 (200 meters): plain doubles 2.69 B a reading,
# dictionary 2.98, byte stream split 4.87; the real set has 1.80 B either way.
PARQUET = {
    "compression": "zstd",
    "compression_level": 9,
    "use_dictionary": ["series"],
    "column_encoding": {"time": "DELTA_BINARY_PACKED", "value": "PLAIN"},
}


@dataclass(frozen=True)
class DataSet:
    """One data set and its size; `year_keys` are the meters that the point query asks for."""

    name: str
    folder: str
    rows: int
    series: int
    csv_rows: int
    year_keys: list[str]

    def path(self, form: str) -> Path:
        """Return the file of one form, such as `sorted.arrow`."""
        return Path(self.folder) / form


def stream(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the batches of an Arrow IPC stream, read (not mapped) so that memory stays small."""
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
        yield from reader


def write_stream(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write an Arrow IPC stream; return its row count."""
    rows = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, w1.SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def write_parquet(path: Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write Parquet with delta encodings, a row group per batch; return its row count."""
    rows = 0
    with pq.ParquetWriter(path, w1.SCHEMA, **PARQUET) as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def write_csv(path: Path, batches: Iterable[pa.RecordBatch], row_limit: int) -> int:
    """Write up to `row_limit` rows as `series,time,value` with ISO times; return how many."""
    rows = 0
    schema = pa.schema([("series", pa.string()), ("time", pa.string()), ("value", pa.float64())])
    options = pa_csv.WriteOptions(quoting_style="none")
    with pa_csv.CSVWriter(path, schema, write_options=options) as writer:
        for whole in batches:
            batch = whole.slice(0, row_limit - rows)
            times = batch["time"].dictionary_encode()  # far fewer instants than rows
            names = pc.strftime(times.dictionary, "%Y-%m-%dT%H:%M:%SZ")
            # strftime's %S carries microseconds; all times here are whole seconds.
            names = pc.replace_substring(names, ".000000", "")
            columns = [batch["series"].cast(pa.string()), names.take(times.indices), batch["value"]]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            rows += batch.num_rows
            if rows >= row_limit:
                break
    return rows


def _finish(name: str, folder: Path, rows: int, keys: list[str], csv_rows: int) -> DataSet:
    write_parquet(folder / "readings.parquet", stream(folder / "sorted.arrow"))
    csv_rows = write_csv(folder / "readings.csv", stream(folder / "sorted.arrow"), csv_rows)
    spaced = keys[:: max(1, len(keys) // 20)][:20]
    made = DataSet(name, str(folder), rows, len(keys), csv_rows, spaced)
    (folder / "about.json").write_text(json.dumps(asdict(made), indent=1))
    return made


def _cached(folder: Path) -> DataSet | None:
    about = folder / "about.json"
    if not about.exists():
        folder.mkdir(parents=True, exist_ok=True)
        return None
    return DataSet(**{**json.loads(about.read_text()), "folder": str(folder)})


def make_w1(root: Path, meters: int, hours: int = w1.HOURS, csv_rows: int = 10_000_000) -> DataSet:
    """Return W1 of that size under `root`, made where it is not there yet."""
    folder = root / f"w1-{meters}x{hours}"
    if made := _cached(folder):
        return made
    dense = folder / "dense.npy"
    w1.write_dense(dense, meters, hours)
    rows = write_stream(folder / "sorted.arrow", w1.sorted_batches(dense))
    write_stream(folder / "ordered.arrow", w1.ordered_batches(dense))
    return _finish("W1", folder, rows, w1.keys(meters).to_pylist(), csv_rows)


def make_real(root: Path) -> DataSet | None:
    """Return the DAIAD set under `root`, or None where its source is absent."""
    if not daiad.FILE.exists():
        return None
    folder = root / "daiad"
    if made := _cached(folder):
        return made
    batches = list(daiad.sorted_batches())
    rows = write_stream(folder / "sorted.arrow", batches)
    ordered = pa.Table.from_batches(batches).sort_by([("time", "ascending")]).combine_chunks()
    write_stream(folder / "ordered.arrow", chain(ordered.to_batches(max_chunksize=10_000)))
    return _finish("real", folder, rows, batches[0]["series"].dictionary.to_pylist(), rows)
