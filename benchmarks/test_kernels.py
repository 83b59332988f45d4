"""Micro-benchmarks of the kernels: `python -m pytest benchmarks --benchmark-only`.

A hundred meters with a year of hourly registers, so that a figure in nanoseconds over 867,240 is one
reading's. Run on one core.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from smartdata_ts._readings.columns import Readings, fold
from smartdata_ts._readings.versions import Versions
from smartdata_ts._storage import codec
from smartdata_ts._storage.chunk_file import ChunkFile, encode_chunk
from smartdata_ts._time.calendar import Calendar
from smartdata_ts.kernels.buckets import cells as kernel_cells
from smartdata_ts.kernels.buckets import growth as kernel_growth
from smartdata_ts.kernels.buckets import reduce as kernel_reduce
from smartdata_ts.kernels.codec import blocks as kernel_blocks
from smartdata_ts.kernels.codec.checksum import digest_ranges

HOUR_US = 3_600_000_000
METERS, HOURS = 100, 8_760


@pytest.fixture(scope="module")
def readings() -> Readings:
    """Registers in m3 with three decimals, a daily profile, and one hour in a hundred missing."""
    generator = np.random.default_rng(17)
    profile = 1.2 + np.sin(np.arange(HOURS) % 24 / 24 * 2 * np.pi)
    litres = generator.poisson(9 * profile, (METERS, HOURS)).cumsum(axis=1)
    kept = generator.random((METERS, HOURS)) > 0.01
    series = np.repeat(np.arange(1, METERS + 1, dtype=np.int32), HOURS).reshape(METERS, HOURS)
    times = np.broadcast_to(1_704_067_200_000_000 + HOUR_US * np.arange(HOURS), (METERS, HOURS))
    values = litres[kept] / 1000
    return Readings(series[kept], times[kept], values, np.zeros(values.size, np.uint8))


@pytest.fixture(scope="module")
def starts(readings: Readings) -> np.ndarray:
    """The blocks' offsets."""
    ends = np.flatnonzero(np.diff(readings.series)) + 1
    return codec.split_blocks(np.concatenate([[0], ends, [len(readings)]]))


@pytest.fixture(scope="module")
def chunk(readings: Readings, tmp_path_factory: pytest.TempPathFactory) -> ChunkFile:
    """The readings in a chunk file."""
    path = tmp_path_factory.mktemp("chunk") / "bench.arrow"
    path.write_bytes(encode_chunk(Versions.of(readings, 1), str))
    return ChunkFile(path)


def payloads(chunk: ChunkFile) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of every block of the chunk, and what the kernels need to know of each."""
    return chunk.payloads(np.arange(chunk.block_count), chunk.series.astype(np.int64) - 1)


def test_encode_blocks(benchmark: BenchmarkFixture, readings: Readings, starts: np.ndarray) -> None:
    benchmark(codec.encode_blocks, readings.times, readings.values, readings.qualities, starts)


def test_read_blocks(benchmark: BenchmarkFixture, readings: Readings, chunk: ChunkFile) -> None:
    span = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
    scratch = np.empty(codec.BLOCK_READINGS_MAX, np.int64)
    slots, times, values, qualities = (
        np.empty(len(readings), kind) for kind in (np.int32, np.int64, np.float64, np.uint8)
    )
    columns = kernel_blocks.ReadingColumns(times, values, qualities)
    encoded = kernel_blocks.EncodedBlocks(*payloads(chunk), chunk.tables)
    count = benchmark(kernel_blocks.read_blocks, encoded, *span, scratch, slots, columns)
    assert count == len(readings)


def test_reduce_blocks_by_day(benchmark: BenchmarkFixture, readings: Readings, chunk: ChunkFile) -> None:
    edges = Calendar.parse("1d").edges(int(readings.times.min()), int(readings.times.max()) + 1)
    always = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
    wanted = kernel_growth.Wanted(*always, squares=False, sums=True)
    times, mantissas = np.empty((2, codec.BLOCK_READINGS_MAX), np.int64)
    room = kernel_growth.Room(times, mantissas, np.empty(codec.BLOCK_READINGS_MAX))
    cells = np.zeros(METERS * (edges.size - 1) * kernel_cells.CELL_FIELDS)
    encoded = kernel_blocks.EncodedBlocks(*payloads(chunk), chunk.tables)
    count = benchmark(kernel_reduce.reduce_blocks, encoded, edges, wanted, room, cells)
    assert count == len(readings)


def test_checksum(benchmark: BenchmarkFixture) -> None:
    data = np.zeros(1 << 24, np.uint8)
    ends = np.array([data.size])
    benchmark(digest_ranges, data, np.zeros(1, np.int64), ends, np.zeros(1, np.uint64))


def test_sort_time_ordered_readings(benchmark: BenchmarkFixture, readings: Readings) -> None:
    by_time = readings.select(np.argsort(readings.times, kind="stable"))
    folded = benchmark(fold, [by_time])
    assert len(folded.readings) == len(readings)
