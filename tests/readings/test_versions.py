"""Versions: which of several stands, what it superseded, and layers that hold each (series, time) once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smartdata_ts._readings.columns import Readings
from smartdata_ts._readings.versions import Versions, fold_versions, join, layers, overlay, without_hidden

Row = tuple[int, int, int, float]  # series, time, commit, value

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(1, 5)), max_size=40)


def versions_of(given_rows: list[tuple[int, int, int]]) -> Versions:
    """Numbered by their values, in the order of arrival."""
    series, times, commits = np.array(given_rows, np.int64).reshape(-1, 3).T.copy()
    count = len(given_rows)
    readings = Readings(series.astype(np.int32), times, np.arange(count) * 1.0, np.zeros(count, np.uint8))
    return Versions(readings, commits)


def rows_of(versions: Versions) -> list[Row]:
    readings = versions.readings
    columns = (readings.series, readings.times, versions.commits, readings.values)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(rows)
def test_the_latest_commit_stands_and_what_some_commit_showed_is_kept(
    given_rows: list[tuple[int, int, int]],
) -> None:
    shown: dict[tuple[int, int, int], float] = {}
    for number, row in enumerate(given_rows):
        shown[row] = float(number)  # of one commit the later row
    expected = sorted((*row, value) for row, value in shown.items())
    stands = {row[:2]: row for row in expected}
    standing, superseded = fold_versions(versions_of(given_rows))
    assert rows_of(standing) == list(stands.values())
    assert rows_of(superseded) == [row for row in expected if row != stands[row[:2]]]
    found = layers(superseded)
    for layer in found:
        places = [row[:2] for row in rows_of(layer)]
        assert places == sorted(set(places))
    assert sorted(row for layer in found for row in rows_of(layer)) == rows_of(superseded)
    # A later layer's version of a reading is the later one.
    ranked = [(row[:2], row[2]) for layer in found for row in rows_of(layer)]
    assert [commit for _, commit in sorted(ranked, key=lambda pair: pair[0])] == [
        row[2] for row in rows_of(superseded)
    ]


@given(rows, st.integers(0, 6))
def test_from_the_floor_on_every_commit_shows_what_it_did(
    given_rows: list[tuple[int, int, int]], floor: int
) -> None:
    standing, superseded = fold_versions(versions_of(given_rows), floor)
    kept = sorted(rows_of(superseded) + rows_of(standing), key=lambda row: row[2])
    assert all(row[2] >= floor for row in kept)
    by_commit = sorted(enumerate(given_rows), key=lambda numbered: numbered[1][2])
    for commit in range(floor, 7):
        expected = {row[:2]: float(number) for number, row in by_commit if row[2] <= commit}
        assert {row[:2]: row[3] for row in kept if row[2] <= commit} == expected
    if floor == 6:
        assert len(superseded) == 0


@given(st.lists(rows, min_size=1, max_size=4))
def test_parts_laid_over_each_other_are_as_if_folded(parts: list[list[tuple[int, int, int]]]) -> None:
    folded = [fold_versions(versions_of(part))[0] for part in parts]
    expected = rows_of(fold_versions(join(folded))[0])
    laid = join([])
    for part in folded:
        laid = overlay(laid, part.select(np.arange(len(part))))
    assert rows_of(laid) == expected


@given(rows)
def test_versions_of_negative_commits_are_hidden(given_rows: list[tuple[int, int, int]]) -> None:
    versions = versions_of([(series, time, commit - 3) for series, time, commit in given_rows])
    expected = [row for row in rows_of(versions) if row[2] >= 0]
    assert rows_of(without_hidden(versions)) == expected
