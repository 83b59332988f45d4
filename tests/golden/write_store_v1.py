"""Writes the golden store of format version 1 and its readings: run once, never again.

What `store-v1` and `store-v1.csv` hold is what every later release must read.
"""

import csv
from pathlib import Path

import numpy as np

import smartdata_ts as sd
from smartdata_ts._write import writer as writer_module

HERE = Path(__file__).parent
HOUR = 3_600_000_000
START = 1_703_800_000_000_000  # 28 December 2023, so that the readings stand in two partitions


def columns() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Times, values and qualities by series: each of a shape of its own."""
    random = np.random.default_rng(20_240_101)
    hours = np.arange(150)
    regular = START + hours * HOUR
    special = np.array(
        [0, 2**63, 1, 0x7FF0 << 48, 0xFFF0 << 48, 0x7FF8_0000_0000_1234, 0x7FF0_0000_0000_0001, 0x7FEF << 48],
        np.uint64,
    )
    ends = np.array([-(2**63), -(2**63) + 1, -1, 0, 1, 2**62, 2**63 - 2, 2**63 - 1], np.int64)
    none = np.zeros(150, np.uint8)
    jitter, use = random.integers(0, 9, 150) * 1_000_000, random.poisson(9, 150)
    return {
        "gauge/noise": (regular, random.normal(size=150), none),
        "gauge/special": (ends, special.view(np.float64), np.arange(8, dtype=np.uint8)),
        "gauge/temperature": (regular, random.integers(-200, 300, 150) / 10, none),
        "register/Ødegård": (regular + jitter, use.cumsum() / 1e3, none),
        "register/constant": (regular, np.full(150, 42.0), none),
        "register/gaps": (regular[random.random(150) < 0.8], np.empty(0), none),
        "register/quality": (regular, hours * 1.0, random.choice(np.array([0, 1, 255], np.uint8), 150)),
    }


def readings() -> list[tuple[str, int, float, int]]:
    """Every reading, by series and time."""
    rows = []
    for key, (times, values, qualities) in columns().items():
        filled = values if values.size else np.arange(times.size) / 4
        triples = zip(times.tolist(), filled.tolist(), qualities[: times.size].tolist(), strict=True)
        rows += [(key, *triple) for triple in triples]
    return sorted(rows, key=lambda row: row[:2])


def write(store: sd.Store, rows: list[tuple[str, int, float, int]], note: str) -> None:
    """Write rows as lists, bit for bit."""
    series, times, values, qualities = (list(column) for column in zip(*rows, strict=True))
    data = {
        "series": series,
        "time": np.array(times),
        "value": np.array(values),
        "quality": np.array(qualities, np.uint8),
    }
    with store.writer(note, on_conflict="replace") as writer:
        writer.restore(data)


def fill(store: sd.Store, rows: list[tuple[str, int, float, int]]) -> None:
    """Chunks of a first write, of corrections above them, a head above all, and what is said of series."""
    writer_module.HEAD_READINGS_MAX = 100
    wrong = [(key, time, -1.0, 9) for key, time, _, _ in rows[::5]]
    write(store, wrong + [row for k, row in enumerate(rows) if k % 7], "first, with errors")
    write(store, rows[::5], "corrections")
    write(store, rows[::7][:20], "late")
    write(store, rows[::7][20:100], "later")
    write(store, rows[::7][100:], "last")
    store.describe("register/Ødegård", "water", "m3", "register", "1h", 3, 8, 0.001, {"zone": "DMA-7"})
    store.exchange("register/Ødegård", "2024-06-01", 99.5, 0.25, "K-2231", 0.01, 6)
    store.describe(
        "gauge/temperature", quantity="temperature", unit="Cel", kind="gauge", tags={"zone": "øst"}
    )
    store.describe("described/only", unit="kWh", kind="interval")


def main() -> None:
    """Write the store, and what it holds."""
    rows = readings()
    with sd.open(HERE / "store-v1") as store:
        fill(store, rows)
    with (HERE / "store-v1.csv").open("w", newline="", encoding="utf-8") as file:
        bits = np.array([value for _, _, value, _ in rows]).view(np.uint64).tolist()
        lines = [
            (key, time, f"{pattern:016x}", quality)
            for (key, time, _, quality), pattern in zip(rows, bits, strict=True)
        ]
        csv.writer(file, lineterminator="\n").writerows(lines)


if __name__ == "__main__":
    main()
