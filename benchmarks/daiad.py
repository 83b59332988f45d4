"""The real set: DAIAD trial A, 92 water meters of Alicante, a year of about hourly registers.

The file gives local Spanish wall time. In the repeated hour of October the first row of a meter
is taken as summer time and the rows after it as winter time, which is the order of the file.
Where a (meter, time) occurs twice the later row stands, so every peer keeps the same readings.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from .w1 import SCHEMA

FILE = Path(__file__).parents[2] / "shared/data/daiad_water_meters/swm_trialA.zip"
# The instants between which Spain kept summer time, and the local hour that came twice.
SUMMER_START = np.datetime64("2016-03-27T02:00:00", "us")
REPEATED_START = np.datetime64("2016-10-30T02:00:00", "us")
REPEATED_END = np.datetime64("2016-10-30T03:00:00", "us")
HOUR = np.timedelta64(1, "h")


def _read(path: Path) -> pa.Table:
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        return pa_csv.read_csv(file, parse_options=pa_csv.ParseOptions(delimiter=";"))


def to_utc(series: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """Turn Spanish wall times of 2016-03 to 2017-02, in file order, into UTC instants."""
    summer = (wall >= SUMMER_START) & (wall < REPEATED_END)
    repeated = np.nonzero((wall >= REPEATED_START) & (wall < REPEATED_END))[0]
    _, first = np.unique(series[repeated], return_index=True)
    summer[np.delete(repeated, first)] = False
    return wall - HOUR - summer * HOUR


def sorted_batches(path: Path = FILE) -> Iterator[pa.RecordBatch]:
    """Yield the readings by series and time in one batch."""
    table = _read(path)
    keys = table["user key"].combine_chunks().dictionary_encode()
    order = pc.sort_indices(keys.dictionary)
    rank = np.empty(len(order), np.int32)
    rank[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    series = rank[keys.indices.to_numpy()]
    wall = pc.strptime(table["datetime"], format="%d/%m/%Y %H:%M:%S", unit="us").to_numpy()
    time = to_utc(series, wall)
    rows = np.lexsort((time, series))  # stable: the later row of a pair comes last
    same = (series[rows][1:] == series[rows][:-1]) & (time[rows][1:] == time[rows][:-1])
    rows = rows[np.append(~same, True)]
    yield pa.record_batch(
        [
            pa.DictionaryArray.from_arrays(pa.array(series[rows]), keys.dictionary.take(order)),
            pa.array(time[rows]).cast(SCHEMA.field("time").type),
            table["meter reading"].to_numpy()[rows].astype(np.float64),
        ],
        schema=SCHEMA,
    )
