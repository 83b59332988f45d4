"""W1: a synthetic year of hourly cumulative litre registers, the same for the same seed.

A meter starts at a random register below a million litres. Each hour adds a Poisson draw with the
meter's own mean (log-normal, 9 L/h, sigma 0.2) times a daily profile (mean 1), and 1 % of the
readings are missing, each independently. Values are litres / 1000, cubic metres in float64. Each
meter has its own random stream, so meter 42 reads the same among 200 meters as among 10,000.

Mean, spread and profile were fitted so that pcodec at level 8, in pieces of 2**20 readings, comes
near 0.594 B a value and 0.011 B a time: 240 meters give 0.596 and 0.011, and all 10,000 meters
0.603 B a reading for both. They are a fit to those two figures, not a model of real use.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SEED = 2024
HOURS = 8760
START_US = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z
HOUR_US = 3_600_000_000
MEAN_LITRES = 9.0
SPREAD = 0.2
GAP_SHARE = 0.01
# Relative use from 00 to 23 o'clock UTC, raised to 0.3 so that many households blur the peaks.
_USE = "25 18 15 15 20 50 130 190 170 130 110 100 100 95 90 95 110 140 170 180 160 120 80 45"
PROFILE = np.array(_USE.split(), dtype=np.float64) ** 0.3
PROFILE /= PROFILE.mean()
METERS_PER_BATCH = 120
MISSING = -1

SCHEMA = pa.schema(
    [
        ("series", pa.dictionary(pa.int32(), pa.string())),
        ("time", pa.timestamp("us", tz="UTC")),
        ("value", pa.float64()),
    ]
)


def meter_litres(meter: int, hours: int = HOURS) -> npt.NDArray[np.int32]:
    """Return the register of one meter in litres, hour by hour, MISSING in the gaps."""
    random = np.random.default_rng([SEED, meter])
    mean = MEAN_LITRES * np.exp(SPREAD * random.standard_normal() - SPREAD**2 / 2)
    use = random.poisson(mean * np.resize(PROFILE, HOURS))
    litres = random.integers(1_000_000) + np.cumsum(use)
    litres[random.random(HOURS) < GAP_SHARE] = MISSING
    return litres[:hours].astype(np.int32)


def write_dense(path: Path, meters: int, hours: int) -> None:
    """Write the (meters, hours) table of litres, from which every other form is cut."""
    partial = path.with_suffix(".partial")
    table = np.lib.format.open_memmap(partial, "w+", np.int32, (meters, hours))
    for meter in range(meters):
        table[meter] = meter_litres(meter, hours)
    table.flush()
    partial.rename(path)


def keys(meters: int) -> pa.Array:
    """Return the series keys; their order is the meters' order."""
    return pa.array([f"wm-{meter:05d}" for meter in range(meters)])


def _batch(names: pa.Array, codes: np.ndarray, hours: np.ndarray, litres: np.ndarray) -> pa.RecordBatch:
    series = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), names)
    time = pa.array(START_US + hours.astype(np.int64) * HOUR_US).cast(SCHEMA.field("time").type)
    return pa.record_batch([series, time, pa.array(litres / 1000.0)], schema=SCHEMA)


def sorted_batches(dense: Path) -> Iterator[pa.RecordBatch]:
    """Yield the readings by series and time, about a million at once."""
    table = np.load(dense, mmap_mode="r")
    names = keys(len(table))
    for low in range(0, len(table), METERS_PER_BATCH):
        litres = np.asarray(table[low : low + METERS_PER_BATCH])
        meters, hours = np.nonzero(litres != MISSING)
        yield _batch(names, low + meters, hours, litres[meters, hours])


def ordered_batches(dense: Path, hours_per_read: int = 96) -> Iterator[pa.RecordBatch]:
    """Yield the readings hour by hour, all meters of an hour in one batch, as a head end sends."""
    table = np.load(dense, mmap_mode="r")
    names = keys(len(table))
    for low in range(0, table.shape[1], hours_per_read):
        columns = np.ascontiguousarray(table[:, low : low + hours_per_read].T)
        for hour, litres in enumerate(columns, start=low):
            meters = np.nonzero(litres != MISSING)[0]
            yield _batch(names, meters, np.full(len(meters), hour), litres[meters])
