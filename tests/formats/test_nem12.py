"""NEM12 and NEM13: market time, qualities of ranges, versions, and records that do not fit."""

import io

from format_samples import NEM12

import smartdata_ts as sd
from smartdata_ts.formats import open_reader


def read(text: str):
    with open_reader(io.BytesIO(text.encode())) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    assert reader.rows == reader.taken + reader.empty + reader.rejected
    return [
        (row["series"], row["time"].isoformat()[5:16], row["value"], sd.quality_name(row["quality"]))
        for row in rows
    ], reader


BEGIN = "200,NEM1234567,E1B1,1,B1,N1,SN1,kWh,30,\n"


def day(values, quality="A", date="20250101", updated="20250102010101"):
    return f"300,{date},{','.join(map(str, values))},{quality},,,{updated},\n"


def test_a_day_begins_at_midnight_of_market_time():
    rows, reader = read(NEM12.decode())
    assert rows[0] == ("NEM1234567/E1", "12-31T14:00", 0.5, "measured")
    assert rows[-1] == ("NEM1234567/E1", "01-01T13:30", 47.5, "measured")
    facts = reader.facts()["NEM1234567/E1"]
    assert (facts.unit, facts.kind, facts.interval, facts.tags["direction"]) == (
        "kW.h",
        "interval",
        "30min",
        "Out",
    )


def test_ranges_of_qualities_are_taken_and_missing_values_have_none():
    text = BEGIN + "\n" + day(range(48), "V") + "400,1,40,A,,\n400,41,46,F14,,\n400,47,48,N,,\n"
    rows, reader = read(text)
    assert [row[3] for row in rows[38:42]] == ["measured"] * 2 + ["final_estimate (vendor)"] * 2
    assert [row[3] for row in rows[46:]] == ["missing"] * 2
    assert all(row[2] != row[2] for row in rows[46:])
    assert reader.facts()["NEM1234567/B1"].tags["direction"] == "In"


def test_a_record_that_does_not_fit_is_rejected_whole_with_its_line():
    text = (
        BEGIN
        + day(range(47))
        + day(range(49))
        + day(["x"] * 48)
        + day(range(48), "Q")
        + day(range(48), date="20251301")
    )
    text += "200,NEM7,E1,1,E1,N1,SN1,kWh,17,\n" + day(range(48)) + "777,what\n" + BEGIN + day(range(48))
    rows, reader = read(text)
    assert len(rows) == 48
    assert [reject.line for reject in reader.rejects] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert reader.rejected == 6 * 48 + 2


def test_the_newest_update_of_a_day_stands_whatever_the_order():
    text = BEGIN + day(range(48), updated="20250201000000") + day([9] * 48, updated="20250102000000")
    rows, reader = read(text)
    assert [row[2] for row in rows] == list(map(float, range(48)))
    assert reader.rejections == {"an older version of what the file holds": 48}


def test_reads_of_accumulation_meters_are_registers():
    text = (
        "100,NEM13,202501020101,ACME,ACME\n"
        "250,NEM1234567,11,1,11,11,SN1,I,100.5,20250101000000,A,,,150.5,20250401000000,E64,77,,50,kWh,20250701,20250402010101,,\n"
    )
    rows, reader = read(text)
    assert rows == [
        ("NEM1234567/11/read", "12-31T14:00", 100.5, "measured"),
        ("NEM1234567/11/read", "03-31T14:00", 150.5, "estimated (vendor)"),
    ]
    assert reader.facts()["NEM1234567/11/read"].kind == "register"
