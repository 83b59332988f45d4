"""Line protocol: precision, keys, what is passed over, and the round trip."""

import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartdata_ts.errors import DataError, UsageError
from smartdata_ts.formats import open_reader, write

LINES = """water,meter=wm-17,zone=Harbour total_m3=12.345,flow_l_h=0i 1767225600000
# a comment

water,meter=wm\\ 18,zone=Old\\ Town total_m3=7,status="ok, so",leak=false 1767225600000
water,meter=wm-19 total_m3=1.5
water,meter=wm-17 total_m3= 1767225600000
"""


def read(text: str, **options):
    with open_reader(io.BytesIO(text.encode()), "line-protocol", **options) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    return [(row["series"], row["time"].isoformat()[:19], row["value"]) for row in rows], reader


def test_series_are_tags_and_fields_and_what_is_no_reading_is_counted():
    rows, reader = read(LINES)
    assert sorted(rows) == [
        ("wm 18/total_m3", "2026-01-01T00:00:00", 7.0),
        ("wm-17/flow_l_h", "2026-01-01T00:00:00", 0.0),
        ("wm-17/total_m3", "2026-01-01T00:00:00", 12.345),
    ]
    assert [(reject.line, reject.reason) for reject in reader.rejects] == [
        (5, "empty time"),
        (6, "no line protocol"),
    ]
    assert reader.notices == ["2 texts and truth values were passed over"]
    facts = reader.facts()["wm 18/total_m3"]
    assert (facts.unit, facts.kind) == ("m3", "register")
    assert dict(facts.tags) == {"measurement": "water", "zone": "Old Town"}


def test_stamps_that_leave_the_precision_open_are_asked_about():
    with pytest.raises(DataError, match="pass precision='ns', 'us', 'ms' or 's'"):
        read("a,meter=b v=1 17")
    assert read("a,meter=b v=1 17", precision="s")[0] == [("b", "1970-01-01T00:00:17", 1.0)]
    with pytest.raises(UsageError, match="precision='h'"):
        read(LINES, precision="h")


@pytest.mark.parametrize(("scale", "times"), [(10**9, "ns"), (10**6, "us"), (10**3, "ms"), (1, "s")])
def test_the_only_precision_that_gives_a_time_of_this_century_is_taken(scale, times):
    rows, reader = read(f"a,meter=b v=1 {1767225600 * scale}")
    assert rows[0][1] == "2026-01-01T00:00:00"
    assert reader.description.endswith(f"stamps in {times}")


def test_a_key_is_the_tag_asked_for_or_measurement_and_tags():
    line = "flow,site=A,pump=2 rate=1.5 1767225600"
    assert read(line)[0][0][0] == "flow,pump=2,site=A rate"
    assert read(line, series="site")[0][0][0] == "A"
    with pytest.raises(UsageError, match="series='well' is no tag; there are pump, site"):
        read(line, series="well")


@settings(max_examples=60, deadline=None)
@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='\\"\u2028\u2029\x85'), min_size=1
    ).filter(lambda key: key.strip() == key and not key.startswith("#")),
    st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
    st.integers(946_684_800_000_000, 4_102_444_800_000_000),
)
def test_what_is_written_comes_back(key, value, time):
    table = pa.table({"series": [key], "time": pa.array([time], pa.timestamp("us", "UTC")), "value": [value]})
    file = io.BytesIO()
    write(file, table.to_reader(), "line-protocol")
    with open_reader(io.BytesIO(file.getvalue()), "line-protocol", series="series", precision="ns") as reader:
        found = sorted(pa.Table.from_batches(list(reader)).to_pylist(), key=lambda row: row["series"])
    assert [row["series"] for row in found] == [f"{key}/quality", f"{key}/value"]
    assert np.float64(found[1]["value"]).tobytes() == np.float64(value).tobytes()
    assert found[0]["time"].timestamp() == pytest.approx(time / 1e6, abs=1e-3)
