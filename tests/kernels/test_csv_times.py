"""The time kernel against datetime."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smartdata_ts.errors import DialectError, UsageError
from smartdata_ts.formats._columns.time_format import guess_epoch, guess_time_format, time_format_of
from smartdata_ts.kernels.text import status as text_status
from smartdata_ts.kernels.text import times as text_times

EPOCH = datetime(1970, 1, 1)


def parse(texts: list[str], pattern: str, clocks: list[str] | None = None):
    def spans_of(column: list[str], start: int) -> np.ndarray:
        stops = start + np.cumsum([0, *map(len, column)])
        return np.column_stack([stops[:-1], stops[1:]]).astype(np.int32).ravel()

    clocks = clocks or []
    buffer = np.frombuffer("".join(texts + clocks).encode(), np.uint8)
    times, instants = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.uint8)
    statuses = np.zeros(len(texts), np.uint8)
    clock_spans = spans_of(clocks, sum(map(len, texts))) if clocks else np.zeros(0, np.int32)
    spec = time_format_of(pattern).spec()
    local = text_times.parse_times(buffer, spans_of(texts, 0), clock_spans, spec, times, instants, statuses)
    assert local == int(np.count_nonzero((statuses == 0) & (instants == 0)))
    return times.tolist(), instants.tolist(), statuses.tolist()


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999))
PATTERNS = [
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y%m%d%H%M",
    "%Y%m%dT%H%M%S",
    "%d-%m-%Y %H.%M",
    "%d.%m.%Y",
    "%Y-%m-%d",
]


def written(moment: datetime, pattern: str) -> str:
    # strftime writes no leading zeros in years before 1000.
    return moment.strftime(pattern.replace("%Y", f"{moment.year:04}"))


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(deadline=None, max_examples=40)
@given(moment=moments)
@example(moment=datetime(2024, 2, 29, 23, 59, 59))
@example(moment=datetime(1900, 3, 1, 0, 0, 0))
def test_patterns_read_what_strftime_wrote(pattern, moment):
    text = written(moment, pattern)
    whole = moment.replace(microsecond=0)
    if "%S" not in pattern:
        whole = whole.replace(second=0)
    if "M" not in pattern:
        whole = whole.replace(hour=0, minute=0)
    assert parse([text], pattern) == ([microseconds(whole)], [0], [0])


@settings(deadline=None)
@given(moments, st.integers(0, 6), st.one_of(st.none(), st.integers(-14 * 60, 14 * 60)), st.data())
def test_iso_times_with_fractions_and_offsets(moment, places, minutes, data):
    fraction = f"{moment.microsecond:06}"[:places]
    text = moment.strftime(f"{moment.year:04}-%m-%d") + data.draw(st.sampled_from("T t"))
    text += moment.strftime("%H:%M:%S") + (data.draw(st.sampled_from(".,")) + fraction if fraction else "")
    expected = microseconds(moment.replace(microsecond=int(fraction.ljust(6, "0"))))
    if minutes is not None:
        sign = "-" if minutes < 0 else "+"
        hours, rest = divmod(abs(minutes), 60)
        offsets = [f"{sign}{hours:02}:{rest:02}", f" {sign}{hours:02}{rest:02}"]
        offsets += [f"{sign}{hours:02}"] * (rest == 0) + ["Z", " UTC"] * (minutes == 0)
        text += data.draw(st.sampled_from(offsets))
        expected -= minutes * 60 * 10**6
    assert parse([text], "iso") == ([expected], [int(minutes is not None)], [0])


@settings(deadline=None)
@given(st.text("0123456789-:. TZ+/apm", max_size=26))
@example("2024-01-01T00:00:00+")
@example("2024-01-01T00:00:")
def test_any_text_is_read_as_datetime_reads_it_or_refused(text):
    times, instants, (status,) = parse([text], "iso")
    if status == text_status.OK:
        day = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=times[0])
        assert day.year >= 1
        assert instants[0] in (0, 1)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("2024-02-30T00:00", text_status.IMPOSSIBLE_TIME),
        ("2023-02-29T00:00:00", text_status.IMPOSSIBLE_TIME),
        ("1900-02-29T00:00:00", text_status.IMPOSSIBLE_TIME),
        ("2024-13-01T00:00:00", text_status.IMPOSSIBLE_TIME),
        ("2024-00-01T00:00:00", text_status.IMPOSSIBLE_TIME),
        ("0000-01-01T00:00:00", text_status.IMPOSSIBLE_TIME),
        ("2024-01-01T25:61", text_status.IMPOSSIBLE_TIME),
        ("2024-01-01T24:00:01", text_status.IMPOSSIBLE_TIME),
        ("2024-01-01T12:60", text_status.IMPOSSIBLE_TIME),
        ("2024-01-01T12:00:60", text_status.IMPOSSIBLE_TIME),
        ("2024-01-01T12:00:00.1234567", text_status.TIME_TOO_FINE),
        ("2024-01-01T12:00:00.", text_status.UNREADABLE_TIME),
        ("2024-01-01", text_status.UNREADABLE_TIME),
        ("2024-01-01T", text_status.UNREADABLE_TIME),
        ("2024-01-01T12", text_status.UNREADABLE_TIME),
        ("2024-01-01T12:00:00x", text_status.UNREADABLE_TIME),
        ("2024/01/01T12:00:00", text_status.UNREADABLE_TIME),
        ("24-01-01T12:00:00", text_status.UNREADABLE_TIME),
        ("2024-01-01T12:00:00+1", text_status.UNREADABLE_TIME),
        ("2024-01-01T12:00:00+99:00", text_status.IMPOSSIBLE_TIME),
        ("2024-01-01T12:00:00 ", text_status.UNREADABLE_TIME),
        ("\x00024-01-01T12:00:00", text_status.UNREADABLE_TIME),
        ("", text_status.EMPTY_TIME),
    ],
)
def test_garbage_has_a_reason(text, status):
    assert parse([text], "iso")[2] == [status]


def test_midnight_may_end_a_day():
    assert parse(["2024-02-29T24:00", "2024-03-01T00:00"], "iso")[0] == [1709251200_000000] * 2


def test_digits_may_be_missing_and_zeros_beyond_the_microsecond_are_none():
    times, _, statuses = parse(
        ["1.2.2024 3:04", "01.02.2024 03:04", "01.02.2024 03:04:00.000000000"], "%d.%m.%Y %H:%M"
    )
    assert statuses == [0, 0, 0]
    assert len(set(times)) == 1


def test_two_digit_years_turn_at_1970():
    times, _, _ = parse(["01.01.69 00:00", "01.01.70 00:00"], "%d.%m.%y %H:%M")
    assert times == [microseconds(datetime(2069, 1, 1)), 0]


def test_date_and_clock_in_two_columns():
    times, _, statuses = parse(["01.02.2024", "02.02.2024", "x"], "%d.%m.%Y %H:%M", ["03:04", "", "01:00"])
    assert times[0] == microseconds(datetime(2024, 2, 1, 3, 4))
    assert statuses == [0, text_status.EMPTY_TIME, text_status.UNREADABLE_TIME]


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("1333263600", "epoch_s", 1333263600_000000),
        ("+1333263600", "epoch_s", 1333263600_000000),
        ("-1.5", "epoch_s", -1_500000),
        ("1333263600.25", "epoch_s", 1333263600_250000),
        ("1333263600123", "epoch_ms", 1333263600_123000),
        ("1333263600123456", "epoch_us", 1333263600_123456),
    ],
)
def test_epochs(text, pattern, expected):
    assert parse([text], pattern) == ([expected], [1], [0])


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("9" * 30, text_status.TIME_OUT_OF_RANGE),
        ("9" * 60, text_status.UNREADABLE_TIME),
        ("1.0000001", text_status.TIME_TOO_FINE),
        ("1x", text_status.UNREADABLE_TIME),
        ("-", text_status.UNREADABLE_TIME),
        (".", text_status.UNREADABLE_TIME),
    ],
)
def test_bad_epochs_have_a_reason(text, status):
    assert parse([text], "epoch_s")[2] == [status]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2024-01-02T03:04:05Z"], "yyyy-mm-ddThh:mm:ss"),
        (["01.02.2024 03:04"], "dd.mm.yyyyThh:mm:ss"),
        (["01/02/2024 03:04", "13/02/2024 03:04"], "dd/mm/yyyyThh:mm:ss"),
        (["01/02/2024 03:04", "02/13/2024 03:04"], "mm/dd/yyyyThh:mm:ss"),
        (["1/2/2024 1:04 PM", "1/13/2024 1:04 AM"], "mm/dd/yyyyThh:mm:ss am/pm"),
        (["202401020304"], "yyyymmddhhmm"),
        (["2024-01-02"], "yyyy-mm-dd"),
        (["01.02.24 03:04"], "dd.mm.yyThh:mm:ss"),
    ],
)
def test_formats_are_told_from_samples(cells, expected):
    assert str(guess_time_format(cells, "here")) == expected


def test_an_open_order_of_day_and_month_is_an_error_that_names_the_option():
    with pytest.raises(DialectError, match=r"here.*01/02/2024.*time_format="):
        guess_time_format(["01/02/2024 03:04"], "here")


def test_epoch_units_are_told_by_size():
    assert [str(guess_epoch([text])) for text in ("1333263600", "1333263600123", "17")] == [
        "epoch_s",
        "epoch_ms",
        "None",
    ]


@pytest.mark.parametrize("pattern", ["", "%Y", "%H:%M", "%d.%m.%Y %H", "%A %d.%m.%Y", "yyyy"])
def test_unknown_patterns_are_refused(pattern):
    with pytest.raises(UsageError, match="time_format="):
        time_format_of(pattern)


def test_offsets_agree_with_datetime():
    text = "2024-06-01T12:00:00+05:45"
    moment = datetime(2024, 6, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert parse([text], "iso")[0] == [int(moment.timestamp()) * 10**6]
