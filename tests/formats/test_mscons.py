"""MSCONS: intervals, registers, values in order, qualities and segments that are wrong."""

import io
from itertools import pairwise

import pytest

import smartdata_ts as sd
from smartdata_ts.errors import DataError
from smartdata_ts.formats import open_reader

POINT = "DE00012345678901234567890000000042"


def read(*segments: str, una="UNA:+.? '", **options):
    body = [
        "UNB+UNOC:3+1:500+2:500+250102:0101+1",
        "UNH+1+MSCONS:D:04B:UN:2.4c",
        f"LOC+172+{POINT}",
        *segments,
    ]
    text = una + "".join(f"{segment}{una[-1] if una else chr(39)}" for segment in [*body, "UNZ+1+1"])
    with open_reader(io.BytesIO(text.encode()), **options) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    return [
        (
            row["series"].removeprefix(POINT),
            row["time"].isoformat()[5:16],
            row["value"],
            sd.quality_name(row["quality"]),
        )
        for row in rows
    ], reader


def quarter(value, start, end, code="220"):
    return [f"QTY+{code}:{value}", f"DTM+163:{start}?+01:303", f"DTM+164:{end}?+01:303"]


PROFILE = ["LIN+1", "PIA+5+1-1?:1.29.0:SRW"]


def test_an_interval_stands_at_its_start_with_its_quality_and_obis_code():
    rows, reader = read(
        *PROFILE,
        *quarter("1.5:KWH", "202501010000", "202501010015"),
        *quarter("2:KWH", "202501010015", "202501010030", "67"),
        *quarter("3:KWH", "202501010030", "202501010045", "187"),
        *quarter("4:KWH", "202501010045", "202501010100", "Z18"),
    )
    assert rows == [
        ("/1-1:1.29.0", "12-31T23:00", 1.5, "measured"),
        ("/1-1:1.29.0", "12-31T23:15", 2.0, "estimated (vendor)"),
        ("/1-1:1.29.0", "12-31T23:45", 4.0, "temporary"),
    ]
    facts = reader.facts()[f"{POINT}/1-1:1.29.0"]
    assert (facts.unit, facts.kind, facts.interval, facts.quantity) == (
        "kW.h",
        "interval",
        "15min",
        "electricity",
    )
    assert reader.notices == ["1 forecasts were passed over"]


def test_decimal_commas_and_other_characters_are_those_of_una():
    segments = [
        segment.replace(".5", ",5")
        for segment in (*PROFILE, *quarter("1.5:KWH", "202501010000", "202501010015"))
    ]
    assert read(*segments, una="UNA:+,? '")[0][0][2] == 1.5
    assert read(*PROFILE, *quarter("1.5:KWH", "202501010000", "202501010015"), una="")[0][0][2] == 1.5


def test_values_in_order_count_from_one_time_and_registers_stay_where_they_were_read():
    rows, _ = read(
        "LIN+1", "PIA+5+1-1?:1.29.0", "DTM+163:202501010000:203", "DTM+672:15:806", "QTY+220:1", "QTY+220:2"
    )
    assert [row[1:3] for row in rows] == [("12-31T23:00", 1.0), ("12-31T23:15", 2.0)]
    rows, reader = read("LIN+1", "PIA+5+7-0?:3.0.0", "QTY+220:100.5", "DTM+9:202501010600?+01:303")
    assert rows == [("/7-0:3.0.0", "01-01T05:00", 100.5, "measured")]
    facts = reader.facts()[f"{POINT}/7-0:3.0.0"]
    assert (facts.unit, facts.kind, facts.quantity) == ("m3", "register", "gas")


def test_local_times_of_the_repeated_hour_go_forward():
    quarters = ["0130", "0145", "0200", "0215", "0230", "0245", "0200", "0215", "0230", "0245", "0300"]
    segments = []
    for start, end in pairwise(quarters):
        segments += ["QTY+220:1:KWH", f"DTM+163:20241027{start}:203", f"DTM+164:20241027{end}:203"]
    rows, _ = read(*PROFILE, *segments)
    assert len({row[1] for row in rows}) == len(rows) == 10


def test_rejects_name_their_segment():
    _, reader = read(
        *PROFILE,
        "QTY+220:x:KWH", "DTM+163:202501010000?+01:303", "DTM+164:202501010015?+01:303",
        "QTY+999:1:KWH", "DTM+163:202501010000?+01:303", "DTM+164:202501010015?+01:303",
        "QTY+220:1:KWH",
        "QTY+220:1:APPLES", "DTM+163:202501010000?+01:303", "DTM+164:202501010015?+01:303",
    )  # fmt: skip
    assert [(reject.line, reject.reason) for reject in reader.rejects] == [
        ("segment 6", "unreadable number"),
        ("segment 9", "status '999' is not known"),
        ("segment 12", "no time, or one that cannot be read"),
        ("segment 13", "unit 'APPLES' is not known"),
    ]


def test_a_wrong_count_and_other_messages_are_told():
    reading = quarter("1:KWH", "202501010000", "202501010015")
    _, reader = read(*PROFILE, *reading, "UNT+302+1", "UNH+2+APERAK:D:07B", "UNT+2+2")
    assert reader.notices == [
        "1 messages have another count of segments than UNT says",
        "1 APERAK messages were passed over",
    ]


@pytest.mark.parametrize("end", ["QTY+220:1", "QTY+220:1?", "x" * (2 << 20)])
def test_a_file_that_ends_within_a_segment_says_which(end):
    text = f"UNA:+.? 'UNB+UNOC:3'UNH+1+MSCONS:D'LOC+172+A'{end}"
    with pytest.raises(DataError, match="segment 4"), open_reader(io.BytesIO(text.encode())) as reader:
        list(reader)
