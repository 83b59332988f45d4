"""What is taken of the buffer: chunks of what comes sorted, which end with a series; else all at once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartdata_ts._readings.columns import Readings, concatenate
from smartdata_ts._write import chunks as chunks_module
from smartdata_ts._write.buffer import WriteBuffer

HOUR = 3_600_000_000


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_module, "CHUNK_READINGS_MAX", 40)


def series_of(sizes: list[int], step: int = HOUR) -> Readings:
    """Series 0, 1, ... of so many readings each."""
    times = np.concatenate([np.arange(size) * step for size in sizes]).astype(np.int64)
    series = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    return Readings(series, times, np.arange(times.size) / 10, np.zeros(times.size, np.uint8))


def parts_of(readings: Readings, cuts: list[int]) -> list[Readings]:
    bounds = [0, *sorted({min(cut, len(readings)) for cut in cuts}), len(readings)]
    parts = [readings.select(slice(a, b)) for a, b in pairwise(bounds)]
    return [part for part in parts if len(part)]


def taken_chunks(buffer: WriteBuffer) -> list[Readings]:
    chunks = []
    while parts := buffer.take_chunk():
        chunks.append(concatenate(parts))
    return chunks


def rows_of(readings: Readings) -> list[tuple[int, ...]]:
    columns = (readings.series, readings.times, readings.values, readings.qualities)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=12),
    st.lists(st.integers(0, 300), max_size=8),
    st.booleans(),
)
def test_sorted_parts_are_cut_as_if_they_had_come_as_one(
    sizes: list[int], cuts: list[int], at_once: bool
) -> None:
    whole = series_of(sizes)
    buffer, chunks = WriteBuffer(), []
    for part in parts_of(whole, cuts):
        buffer.append(part)
        chunks += [] if at_once else taken_chunks(buffer)
    chunks += taken_chunks(buffer)
    assert len(buffer) <= 40
    rest = buffer.take_all()
    assert len(buffer) == 0
    chunks += [concatenate(rest)] if rest else []
    assert [row for chunk in chunks for row in rows_of(chunk)] == rows_of(whole)
    expected = [whole.series[cut] for cut in chunks_module._cuts(whole.series)]
    assert [chunk.series.tolist() for chunk in chunks] == [series.tolist() for series in expected]


def test_fewer_readings_than_a_chunk_has_are_left() -> None:
    buffer = WriteBuffer()
    assert buffer.take_chunk() == []
    buffer.append(series_of([40]))
    assert buffer.take_chunk() == []
    assert len(buffer) == 40


@pytest.mark.parametrize("second", [0, 1, 60])
def test_what_is_not_sorted_is_taken_together(second: int) -> None:
    whole = series_of([60, 60])
    buffer = WriteBuffer()
    buffer.append(whole.select(slice(0, 61)))
    buffer.append(whole.select(slice(second, None)))  # from a row on that is no later
    assert buffer.take_chunk() == []
    assert sum(map(len, buffer.take_all())) == 181 - second
    buffer.append(whole)
    assert len(concatenate(buffer.take_chunk())) == 40


def test_a_part_that_is_not_sorted_in_itself_is_told() -> None:
    whole = series_of([60])
    buffer = WriteBuffer()
    buffer.append(whole.select(np.arange(60)[::-1].copy()))
    assert buffer.take_chunk() == []


def test_many_small_parts_are_joined_before_they_are_cut() -> None:
    whole = series_of([7] * 20)
    buffer = WriteBuffer()
    for part in parts_of(whole, list(range(140))):
        buffer.append(part)
    taken = buffer.take_chunk()
    assert [len(part) for part in taken] == [35]
    assert len(buffer) == 105


def test_readings_of_several_years_are_taken_together() -> None:
    buffer = WriteBuffer()
    buffer.append(series_of([30, 30, 30], 1_000 * HOUR))
    assert buffer.take_chunk() == []
    assert len(buffer) == 90
