"""How the golden chunk of each format version was written, once. Never run again: see README.md."""

import sys
from pathlib import Path

import numpy as np

from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage.chunk_file import encode_chunk

HOUR = 3_600_000_000
START = 1_735_689_600_000_000  # 2025-01-01


def golden_readings(version: int = 1) -> Readings:
    """Series that take every codec and form of a version: what its golden chunk holds."""
    parts = [
        _register(),
        _register_with_odd_values(),
        _gauge_in_single_precision(),
        _plain_doubles(),
        _whole_range(),
        _constant(),
        _one_reading(),
    ]
    ids = [1, 2, 5, 8, 9, 70_000, 2**31 - 1]
    if version == 2:  # what has come with it: prefix codes, with and without escapes, of sums and of levels
        parts, ids = [_register_of_a_town(), _register_that_jumps(), _gauge()], [2, 5, 9]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    series = np.repeat(np.array(ids, np.int32), [part[0].size for part in parts])
    return Readings(series, columns[0], columns[1], columns[2])


def golden_versions(version: int = 1) -> Versions:
    """The readings with their commits: of one, of a few, and of many."""
    readings = golden_readings(version)
    commits = np.where(readings.series == 2, 7 + _noise(len(readings), 5) % 3, 7)
    commits[readings.series == 5] = 9 + np.arange((readings.series == 5).sum()) // 24
    return Versions(readings, commits)


def golden_key(series: int) -> str:
    """The key of a series of the golden chunk."""
    return f"Målar-{series}"


def _noise(count: int, seed: int) -> np.ndarray:
    """The same on any machine and with any NumPy: a linear congruential generator."""
    state, out = seed, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(state >> 33)
    return np.array(out, np.int64)


def _register():
    count = 600
    steps = 1 + (_noise(count, 1) % 50 == 0)
    return (
        START + np.cumsum(steps) * HOUR,
        np.cumsum(_noise(count, 2) % 9 * (_noise(count, 3) % 3 == 0)) / 1000,
        np.repeat(np.array([0, 3, 0], np.uint8), [300, 200, 100]),
    )


def _register_with_odd_values():
    count = 300
    values = np.cumsum(_noise(count, 4) % 700) / 10
    bits = values.view(np.uint64)
    bits[[0, 7, 8, 9, 200]] = [
        0x7FF8000000000000,  # NaN
        0x8000000000000000,  # -0.0
        0x7FF0000000000001,  # a signalling NaN with a payload
        0xFFF0000000000000,  # minus infinity
        0x0000000000000001,  # the smallest subnormal
    ]
    jitter = _noise(count, 5) % 7 * 1_000_000
    return START + np.arange(count) * HOUR + jitter, values, (_noise(count, 6) % 5).astype(np.uint8)


def _register_of_a_town():
    steps = 1 + (_noise(700, 12) % 100 == 0)
    use = _noise(700, 13) % 6 + _noise(700, 14) % 6 + _noise(700, 15) % 6
    return START + np.cumsum(steps) * HOUR, np.cumsum(use) / 1000, np.zeros(700, np.uint8)


def _register_that_jumps():
    """Steps of which some escape the prefix code, upwards and downwards."""
    use = _noise(500, 16) % 5 + _noise(500, 17) % 5
    use[[40, 41, 300]] = 5_000, -5_000, 70_000
    return START + np.arange(500) * HOUR, np.cumsum(use) / 100, np.zeros(500, np.uint8)


def _gauge():
    levels = 200 + sum(_noise(401, seed) % 11 for seed in (18, 19, 20))
    return START + np.arange(401) * HOUR, levels / 10, np.zeros(401, np.uint8)


def _gauge_in_single_precision():
    values = (_noise(100, 7) % 10_000 / np.float64(777)).astype(np.float32).astype(np.float64)
    return START + np.arange(100) * HOUR // 4, values, np.zeros(100, np.uint8)


def _plain_doubles():
    words = _noise(60, 8).astype(np.uint64) << np.uint64(33) ^ _noise(60, 9).astype(np.uint64)
    return START + np.arange(60) * 7, words.view(np.float64), np.full(60, 255, np.uint8)


def _whole_range():
    words = _noise(200, 10) << np.int64(33) ^ _noise(200, 11)
    times = np.unique(np.concatenate([words, [-(2**63), -1, 0, 1, 2**63 - 1]]))
    extremes = [1.7976931348623157e308, -(2.0**53), 2.0**53, 2.2250738585072014e-308, -1 / 3]
    return times, np.resize(extremes, times.size), np.zeros(times.size, np.uint8)


def _constant():
    return START + np.arange(50) * 24 * HOUR, np.full(50, 21.5), np.full(50, 1, np.uint8)


def _one_reading():
    return np.array([START]), np.array([-12.34]), np.zeros(1, np.uint8)


if __name__ == "__main__":
    version = int(sys.argv[1])
    target = Path(__file__).parent / f"chunk-v{version}.arrow"
    if target.exists():
        sys.exit(f"{target} is there; it is never written again")
    target.write_bytes(encode_chunk(golden_versions(version), golden_key))
