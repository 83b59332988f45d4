"""Sorting, folding and matching readings against sorted() and a dict."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.encoded_blocks import INT64_MAX, INT64_MIN, bits_of, doubles_as_bits, examples

from smartdata_ts._meter.quality import quality_name, winners
from smartdata_ts._readings import columns as columns_module
from smartdata_ts._readings.columns import (
    Folded,
    Readings,
    concatenate,
    drop_known,
    fold,
    series_starts,
    sorted_starts,
    time_span,
)
from smartdata_ts.kernels.rows.readings import (
    NEVER,
    append_to_slots,
    are_sorted,
    count_far,
    count_slots,
    find_runs,
    fold_repeats,
    keep_marked,
    mark_stale,
    match_times,
    number_rows,
    rank_rows,
)
from smartdata_ts.kernels.status import MALFORMED

Row = tuple[int, int, int, int]  # series, time, bits of the value, quality

rows = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 3), st.integers(0, 300)),
        st.one_of(st.integers(-3, 3), st.sampled_from([INT64_MIN, INT64_MAX])),
        st.one_of(st.integers(0, 2), doubles_as_bits),
        st.integers(0, 2),
    ),
    max_size=60,
)


def columns_of(table: list[Row]) -> Readings:
    series, times, bits, qualities = zip(*table, strict=True) if table else ([], [], [], [])
    return Readings(
        np.array(series, np.int32),
        np.array(times, np.int64),
        np.array(bits, np.uint64).view(np.float64),
        np.array(qualities, np.uint8),
    )


def rows_of(readings: Readings) -> list[Row]:
    columns = (readings.series, readings.times, bits_of(readings.values), readings.qualities)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def naive_fold(table: list[Row], rule: str = "replace") -> tuple[list[Row], int, int, int]:
    stands: dict[tuple[int, int], tuple[int, int]] = {}
    duplicates = replaced = kept = 0
    for series, time, bits, quality in table:
        before = stands.get((series, time))
        if before == (bits, quality):
            duplicates += 1
        elif before is not None and not takes_place(rule, before[1], quality):
            kept += 1
        else:
            replaced += before is not None
            stands[series, time] = (bits, quality)
    return [(*key, *stands[key]) for key in sorted(stands)], duplicates, replaced, kept


def takes_place(rule: str, old: int, new: int) -> bool:
    """Said again, in other words than _meter/quality's."""
    order = [
        "rejected missing",
        "suspect",
        "temporary",
        "estimated own",
        "final_estimate",
        "measured",
        "edited",
    ]
    ranks = {name: rank for rank, names in enumerate(order) for name in names.split()}
    old_rank, new_rank = (ranks[quality_name(code).split()[0]] for code in (old, new))
    return rule == "replace" or (rule == "better" and new_rank >= old_rank)


def outcome(folded: Folded) -> tuple[list[Row], int, int, int]:
    return rows_of(folded.readings), folded.duplicate_count, folded.replaced_count, folded.kept_count


@examples(300)
@given(rows)
def test_fold_sorts_and_keeps_the_later_of_repeats(table):
    assert outcome(fold([columns_of(table)])) == naive_fold(table)


coded = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 2), st.integers(0, 255)))


@examples(300)
@given(coded, st.sampled_from(["better", "replace", "keep", "error"]))
def test_the_rule_says_which_of_repeats_stands(table, rule):
    assert outcome(fold([columns_of(table)], winners(rule))) == naive_fold(table, rule)


@examples(200)
@given(coded, coded, st.sampled_from(["better", "replace", "keep"]))
def test_what_is_known_and_what_comes_stand_as_if_they_came_together(known_table, table, rule):
    known = fold([columns_of(known_table)], winners(rule)).readings
    fresh = drop_known(fold([columns_of(table)], winners(rule)).readings, known, winners(rule))
    merged = fold([known, fresh.readings]).readings
    assert rows_of(merged) == naive_fold(known_table + table, rule)[0]
    assert len(fresh.readings) + fresh.duplicate_count + fresh.kept_count == len(naive_fold(table, rule)[0])


def test_a_table_of_winners_cut_short_is_refused():
    empty = np.zeros(1, np.int64)
    status = fold_repeats(
        np.array([0, 1]),
        empty,
        np.zeros(1),
        np.zeros(1, np.uint8),
        np.zeros(65_535, np.uint8),
        np.zeros(3, np.int64),
    )
    assert status == -1


@examples(200)
@given(st.lists(rows, max_size=4))
def test_fold_takes_later_parts_for_later(tables):
    folded = fold([columns_of(table) for table in tables])
    together = [row for table in tables for row in table]
    assert outcome(folded) == naive_fold(together)


def test_fold_of_many_series_in_time_order():
    series_count, size = 1000, 5
    table = [(s, t, s * 10 + t, 0) for t in range(size) for s in range(series_count)]
    assert rows_of(fold([columns_of(table)]).readings) == sorted(table)


@examples(200)
@given(rows, rows)
def test_known_rows_are_duplicates_or_replacements(table, known_table):
    known = fold([columns_of(known_table)]).readings
    new = fold([columns_of(table)]).readings
    dropped = drop_known(new, known)
    by_key = {row[:2]: row for row in rows_of(known)}
    expected = [row for row in rows_of(new) if by_key.get(row[:2]) != row]
    assert rows_of(dropped.readings) == expected
    assert dropped.duplicate_count == len(new) - len(expected)
    assert dropped.replaced_count == sum(row[:2] in by_key for row in expected)


@examples(200)
@given(rows, rows)
def test_each_row_is_matched_with_the_known_row_of_its_time(table, known_table):
    known = fold([columns_of(known_table)]).readings
    new = fold([columns_of(table)]).readings
    matches = np.full(len(new), 77, np.int64)
    found = match_times(known.series, known.times, new.series, new.times, matches)
    places = {row[:2]: place for place, row in enumerate(rows_of(known))}
    assert matches.tolist() == [places.get(row[:2], -1) for row in rows_of(new)]
    assert found == sum(row[:2] in places for row in rows_of(new))


@examples(200)
@given(rows, rows)
def test_a_row_ranks_behind_the_known_rows_up_to_it(table, known_table):
    known = fold([columns_of(known_table)]).readings
    new = fold([columns_of(table)]).readings
    ranks = np.full(len(new), 77, np.int64)
    found = rank_rows(known.series, known.times, new.series, new.times, ranks)
    places = [row[:2] for row in rows_of(known)]
    keys = [row[:2] for row in rows_of(new)]
    assert ranks.tolist() == [sum(place <= key for place in places) for key in keys]
    assert found == len(set(places) & set(keys))


@examples(200)
@given(rows, st.lists(st.integers(-2, 2), min_size=60, max_size=60))
def test_rows_of_negative_marks_are_left_out(table, given_marks):
    rows = columns_of(table)
    marks = np.array(given_marks[: len(rows)], np.int64)
    count = keep_marked(marks, rows.series, rows.times, rows.values, rows.qualities)
    kept = [(mark, row) for mark, row in zip(given_marks, table, strict=False) if mark >= 0]
    assert marks[:count].tolist() == [mark for mark, _ in kept]
    assert rows_of(rows.select(slice(0, count))) == [row for _, row in kept]


@examples(150)
@given(rows)
def test_are_sorted_wants_strictly_increasing_rows(table):
    keys = [row[:2] for row in table]
    columns = columns_of(table)
    assert are_sorted(columns.series, columns.times) == (sorted(set(keys)) == keys)


@examples(150)
@given(rows, st.lists(st.integers(-3, 3), min_size=301, max_size=301))
def test_stale_rows_are_those_no_newer_than_the_newest_before(table, newest):
    readings = fold([columns_of(table)]).readings
    watermarks = np.array(newest, np.int64)
    stale = np.full(len(readings), 77, np.uint8)
    count = mark_stale(readings.series, readings.times, watermarks, stale)
    expected = [time <= newest[series] for series, time, _, _ in rows_of(readings)]
    assert stale.tolist() == expected
    assert count == sum(expected)
    for series, time, _, _ in rows_of(readings):
        newest[series] = max(newest[series], time)
    assert watermarks.tolist() == newest


@examples(150)
@given(rows, st.lists(st.integers(-3, 3) | st.sampled_from([NEVER, 2**63 - 1]), min_size=301, max_size=301))
def test_far_slots_are_those_that_reach_far_from_their_newest(table, newest):
    readings = fold([columns_of(table)]).readings
    span, far_us = np.array([5, 5]), 4
    times = {}
    for series, time, _, _ in rows_of(readings):
        times.setdefault(series, []).append(time)
    expected = [
        newest[series] == NEVER or max(own) - newest[series] >= far_us or newest[series] - min(own) >= far_us
        for series, own in times.items()
    ]
    assert count_far(readings.series, readings.times, np.array(newest), far_us, span) == sum(expected)
    everything = [5, *(time for own in times.values() for time in own)]
    assert span.tolist() == [min(everything), max(everything)]


run_sizes = st.lists(st.one_of(st.integers(1, 3), st.integers(1, 70)), max_size=12)


@examples(150)
@given(run_sizes, st.integers(0, 14))
def test_runs_are_found_where_sorted_slots_change(sizes, room):
    slots = np.repeat(np.arange(len(sizes), dtype=np.int32) * 3, sizes)
    expected = [sum(sizes[:k]) for k in range(len(sizes))]
    starts = np.full(room, -7, np.int64)
    assert find_runs(slots, starts) == len(sizes)
    assert starts.tolist() == (expected + [-7] * room)[:room]
    assert sorted_starts(slots).tolist() == series_starts(slots).tolist() == expected


@examples(100)
@given(rows.filter(len))
def test_the_span_of_times_is_that_of_all_sorted_rows(table):
    readings = fold([columns_of(table)]).readings
    assert time_span(readings) == (readings.times.min(), readings.times.max())


@examples(100)
@given(st.lists(rows, min_size=2, max_size=4))
def test_parts_are_joined_in_the_room_given(tables):
    parts = [columns_of(table) for table in tables]
    room = columns_of([(7, 7, 7, 7)] * sum(map(len, tables)))
    joined = concatenate(parts, room)
    assert rows_of(joined) == [row for table in tables for row in table]
    if sum(map(bool, tables)) > 1:
        assert rows_of(room) == rows_of(joined)


@examples(150)
@given(st.lists(st.integers(-1, 5), min_size=1, max_size=6), st.data())
def test_rows_get_the_numbers_of_their_codes_and_unknown_ones_are_marked(known, data):
    codes = data.draw(st.lists(st.integers(0, len(known) - 1), max_size=20))
    numbers, ids = np.array(known, np.int32), np.full(len(codes), 77, np.int32)
    unknown_count = number_rows(np.array(codes, np.int32), numbers, ids)
    marked = [-1 if number <= 0 and code in codes else number for code, number in enumerate(known)]
    assert numbers.tolist() == marked
    assert ids.tolist() == [marked[code] for code in codes]
    assert unknown_count == sum(known[code] <= 0 for code in codes)


@pytest.mark.parametrize("code", [-1, 3, 2**31 - 1, -(2**31)])
def test_a_code_out_of_range_is_told(code):
    numbers, ids = np.array([4, 5, 6], np.int32), np.zeros(3, np.int32)
    assert number_rows(np.array([0, code, 1], np.int32), numbers, ids) == MALFORMED
    assert number_rows(np.zeros(4, np.int32), numbers, ids) == MALFORMED


@pytest.mark.parametrize("slot", [-1, 3, 2**31 - 1, -(2**31)])
def test_a_slot_out_of_range_is_told(slot):
    assert count_slots(np.array([0, slot, 1], np.int32), np.zeros(3, np.int64)) == -1


runs = st.lists(
    st.tuples(st.integers(0, 4), st.lists(st.integers(-9, 9), min_size=1, max_size=9)), max_size=9
)


@given(st.lists(runs, max_size=4), st.sampled_from([0, 3]))
def test_runs_are_appended_or_folded_to_the_same(parts, rows_min):
    """Parts of runs, mostly of times that go on."""
    now, tables = 0, []
    for part in parts:
        table = []
        for series, steps in part:
            for step in steps:
                now += step if step > -8 else 1  # sometimes back
                table.append((series, now, step + 9, 0))
        tables.append(table)
    with patch.object(columns_module, "_RUN_ROWS_MIN", rows_min):
        found = fold([columns_of(table) for table in tables])
    assert outcome(found) == naive_fold([row for table in tables for row in table])


def test_chunks_that_follow_each_other_are_appended_in_whatever_order_they_come(monkeypatch):
    monkeypatch.setattr(columns_module, "_scatter", None)
    tables = [[(s, 100 * part + k, k, 0) for s in range(3) for k in range(50)] for part in range(4)]
    found = fold([columns_of(tables[part]) for part in (2, 0, 3, 1)])
    assert rows_of(found.readings) == sorted(row for table in tables for row in table)


@pytest.mark.parametrize(
    ("change", "appended"),
    [
        ({}, 3),
        ({"times": [4, 6, 7]}, 0),
        ({"times": [5, 6, 7], "slots": [0, 1, 1]}, 0),
        ({"times": [6, 8, 8]}, 0),
        ({"times": [6, 7, 7], "slots": [0, 1, 1]}, 1),
        ({"slots": [0, 2, 2]}, -1),
        ({"slots": [-1, 0, 0]}, -1),
        ({"places": [0, 4, -1, 4]}, -1),
        ({"places": [0, 4, 6, 4]}, -1),
        ({"places": [2, 4, 1, 4]}, -1),
        ({"places": [-1, 4, 1, 4]}, -1),
        ({"values": 2}, -1),
        ({"qualities": 2}, -1),
        ({"slot_values": 7}, -1),
        ({"slot_qualities": 3}, -1),
    ],
)
def test_rows_are_appended_while_time_goes_on(change, appended):
    given = {"slots": [0, 0, 0], "times": [6, 7, 8], "places": [0, 4, 1, 4]}
    given |= {"values": 3, "qualities": 3, "slot_values": 8, "slot_qualities": 8} | change
    slot_times = np.array([5, 0, 0, 0, 0, 0, 0, 0])
    count = append_to_slots(
        np.array(given["slots"], np.int32),
        np.array(given["times"]),
        np.ones(given["values"]),
        np.ones(given["qualities"], np.uint8),
        np.array(given["places"]),
        slot_times,
        np.zeros(given["slot_values"]),
        np.zeros(given["slot_qualities"], np.uint8),
    )
    assert count == appended
    if appended >= 0:
        assert slot_times.tolist()[:4] == [5, *given["times"][:appended], 0, 0, 0][:4]


def test_nothing_folds_to_nothing():
    assert len(fold([]).readings) == 0
    assert len(concatenate([])) == 0
    assert concatenate([columns_of([]), columns_of([])]).values.dtype == np.float64


def test_select_takes_slices_masks_and_places():
    readings = columns_of([(0, 1, 0, 0), (1, 2, 1, 1), (2, 3, 2, 2)])
    assert rows_of(readings.select(slice(1, None))) == rows_of(readings)[1:]
    assert rows_of(readings.select(np.array([True, False, True]))) == rows_of(readings)[::2]
    assert rows_of(readings.select(np.array([2, 0]))) == rows_of(readings)[::-2]


@given(st.lists(st.integers(0, 4)))
def test_each_series_begins_where_the_number_changes(numbers):
    series = np.sort(np.array(numbers, np.int32))
    starts = series_starts(series)
    assert series[starts].tolist() == sorted(set(numbers))
    assert all(start == 0 or series[start - 1] != series[start] for start in starts.tolist())
