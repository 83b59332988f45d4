"""Green Button feeds: links in any order, multipliers, units and qualities."""

import io

import pytest
from format_samples import ESPI

import smartdata_ts as sd
from smartdata_ts.errors import DataError
from smartdata_ts.formats import open_reader


def read(data: bytes):
    with open_reader(io.BytesIO(data)) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    return [
        (row["series"], row["time"].isoformat()[5:16], row["value"], sd.quality_name(row["quality"]))
        for row in rows
    ], reader


def test_a_block_before_its_reading_type_has_its_unit_and_multiplier():
    rows, reader = read(ESPI)
    assert rows == [
        ("UsagePoint/1/MeterReading/2", "01-01T00:00", 1.5, "measured"),
        ("UsagePoint/1/MeterReading/2", "01-01T01:00", 2.5, "estimated (profile)"),
    ]
    facts = reader.facts()["UsagePoint/1/MeterReading/2"]
    assert (facts.unit, facts.kind, facts.interval, facts.quantity) == (
        "W.h",
        "interval",
        "1h",
        "electricity",
    )
    assert facts.tags == {"direction": "Out"}


def test_therms_become_megajoules():
    rows, reader = read(ESPI.replace(b"<e:uom>72<", b"<e:uom>169<"))
    assert rows[0][2] == pytest.approx(1.5 * 105.4804)
    assert reader.facts()["UsagePoint/1/MeterReading/2"].unit == "MJ"


def test_a_feed_without_reading_types_or_with_unknown_units_is_refused():
    with pytest.raises(DataError, match="no ReadingType says what UsagePoint/1/MeterReading/2 is"):
        read(ESPI.replace(b"ReadingType>", b"Other>"))
    with pytest.raises(DataError, match=r"unit \(uom\) '999'"):
        read(ESPI.replace(b"<e:uom>72<", b"<e:uom>999<"))
    with pytest.raises(DataError, match="powerOfTenMultiplier"):
        read(ESPI.replace(b">-3<", b">-3000000<"))


def test_a_reading_that_cannot_be_read_is_rejected_with_its_place():
    _, reader = read(ESPI.replace(b">1500<", b">x<").replace(b">1735693200<", b">soon<"))
    assert [(reject.line, reject.reason) for reject in reader.rejects] == [
        ("UsagePoint/1/MeterReading/2, reading 1", "unreadable number"),
        ("UsagePoint/1/MeterReading/2, reading 2", "unreadable time"),
    ]
