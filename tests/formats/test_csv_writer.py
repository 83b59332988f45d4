"""Text from batches: few rows and many are written alike, and times read back as their instants."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartdata_ts.formats import iso_times
from smartdata_ts.formats._text import csv_writer
from smartdata_ts.formats._text.csv_writer import CsvEncoder

# datetime's range, a day and a bit inside it, for zones.
INSTANTS = st.integers(-62_135_000_000_000_000, 253_402_000_000_000_000)
ZONES = st.sampled_from(
    ["UTC", "Europe/Oslo", "Europe/Amsterdam", "America/St_Johns", "Australia/Lord_Howe", "Africa/Monrovia"]
)
TEXTS = st.text(st.sampled_from(list('ab=+-@ ,;"\n\r\tæ'))) | st.none()
PLAIN = st.floats(-1e9, 1e9) | st.sampled_from([-0.0, 0.1, 1e-3, 999_999_999.5, 1e9, 1e15, 1e16, 5e-324])
COLUMNS = {
    "time": (INSTANTS | st.none(), pa.timestamp("us", "UTC")),
    "text": (TEXTS, pa.string()),
    "few": (TEXTS, pa.dictionary(pa.int32(), pa.string())),
    "number": (PLAIN | st.floats() | st.none(), pa.float64()),
    "count": (st.integers(-(2**63), 2**63 - 1) | st.none(), pa.int64()),
    "flag": (st.booleans() | st.none(), pa.bool_()),
}


@st.composite
def batches(draw: st.DrawFn) -> pa.RecordBatch:
    names = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, unique=True))
    count = draw(st.integers(0, 8))
    columns = [
        pa.array(draw(st.lists(COLUMNS[name][0], min_size=count, max_size=count)), COLUMNS[name][1])
        for name in names
    ]
    batch = pa.RecordBatch.from_arrays(columns, names)
    return batch.slice(draw(st.integers(0, count)))


@settings(deadline=None)
@given(batches(), ZONES, st.sampled_from([",", ";", "\t"]), st.booleans())
def test_few_rows_are_written_as_many_are(batch, tz, delimiter, guard):
    encoder = CsvEncoder(delimiter, tz, guard)
    expected = encoder._many_rows(batch).to_pybytes()
    assert bytes(encoder.rows(batch)) == expected


def test_values_that_python_writes_otherwise_go_with_the_many(monkeypatch):
    encoder = CsvEncoder(",", "UTC", guard=True)
    plain = pa.RecordBatch.from_arrays([pa.array([0.001, 999_999_999.5, np.nan, np.inf])], ["x"])
    assert encoder._few_rows(plain) == encoder._many_rows(plain).to_pybytes()
    for value in (0.00099, 1e9):
        assert encoder._few_rows(pa.RecordBatch.from_arrays([pa.array([value])], ["x"])) is None
    monkeypatch.setattr(csv_writer, "_FEW_ROWS", 0)
    monkeypatch.setattr(encoder, "_few_rows", None)
    assert bytes(encoder.rows(plain)) == b"0.001\n999999999.5\nnan\ninf\n"


@settings(deadline=None)
@given(st.lists(INSTANTS | st.none(), min_size=1), ZONES, st.sampled_from(["s", "ms", "us"]))
def test_times_read_back_as_their_instants(instants, tz, unit):
    scale = {"s": 10**6, "ms": 10**3, "us": 1}[unit]
    numbers = [None if instant is None else instant // scale for instant in instants]
    texts = iso_times(pa.array(numbers, pa.int64()).cast(pa.timestamp(unit, "UTC")), tz)
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    for number, text in zip(numbers, texts, strict=True):
        if number is None:
            assert text is None
            continue
        moment = dt.datetime.fromisoformat(text)
        instant = epoch + dt.timedelta(microseconds=number * scale)
        assert moment == instant
        offset = instant.astimezone(ZoneInfo(tz)).utcoffset()
        assert abs(moment.utcoffset() - offset) < dt.timedelta(minutes=1)
        assert text.endswith("Z") == (tz == "UTC")
    assert len({len(text) for text in texts if text is not None}) <= 1


@pytest.mark.parametrize("tz", ["UTC", "Europe/Oslo"])
def test_times_at_the_ends_of_what_arrow_admits(tz):
    ends = pa.array([-(2**63) + 1, 2**63 - 1], pa.int64()).cast(pa.timestamp("us", "UTC"))
    first, last = iso_times(ends, tz)
    assert first.startswith("-290308-12-21T")
    assert last.startswith("294247-01-10T")


def test_times_of_no_zone_have_no_offset():
    times = pa.array([None, 0, 1_500], pa.int64()).cast(pa.timestamp("ms"))
    assert iso_times(times, "Europe/Oslo") == [None, "1970-01-01T00:00:00.000", "1970-01-01T00:00:01.500"]
    assert iso_times(times[1:2], "Europe/Oslo") == ["1970-01-01T00:00:00"]
    assert iso_times(times[:0], "Europe/Oslo") == []
