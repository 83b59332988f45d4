"""CIM and ebIX: positions, curve types, qualities, and both spellings of the documents."""

import io
import json

import smartdata_ts as sd
from smartdata_ts.formats import open_reader


def read(data, **options):
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    with open_reader(io.BytesIO(content), **options) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    assert reader.rows == reader.taken + reader.empty + reader.rejected
    return [
        (row["series"], row["time"].isoformat()[5:16], row["value"], sd.quality_name(row["quality"]))
        for row in rows
    ], reader


def eloverblik(
    points, curve="A01", resolution="PT15M", span=("2025-10-26T00:00:00Z", "2025-10-26T01:30:00Z")
):
    period = {
        "resolution": resolution,
        "timeInterval": dict(zip(("start", "end"), span, strict=True)),
        "Point": points,
    }
    series = {
        "mRID": "s",
        "curveType": curve,
        "measurement_Unit.name": "KWH",
        "MarketEvaluationPoint": {"mRID": {"codingScheme": "A10", "name": "5713"}},
        "Period": [period],
    }
    return {"result": [{"MyEnergyData_MarketDocument": {"TimeSeries": [series]}}]}


def point(position, quantity, quality="A04"):
    return {"position": str(position), "out_Quantity.quantity": quantity, "out_Quantity.quality": quality}


POINTS = [point(1, "1.0"), point(2, "1.5", "A03"), point(5, "2.0"), point(6, "", "A02")]


def test_a_position_left_out_is_a_gap_under_a01_and_a_missing_one_is_empty():
    rows, reader = read(eloverblik(POINTS))
    assert rows == [
        ("5713", "10-26T00:00", 1.0, "measured"),
        ("5713", "10-26T00:15", 1.5, "estimated"),
        ("5713", "10-26T01:00", 2.0, "measured"),
    ]
    assert reader.empty == 1
    assert (reader.facts()["5713"].unit, reader.facts()["5713"].interval) == ("kW.h", "15min")


def test_a_value_holds_until_the_next_position_and_to_the_end_under_a03():
    rows, _ = read(eloverblik(POINTS[:3], "A03"))
    assert [row[2] for row in rows] == [1.0, 1.5, 1.5, 1.5, 2.0, 2.0]
    assert sum(row[2] for row in rows) == 9.5


def test_days_go_by_the_clocks_of_copenhagen():
    span = ("2025-03-29T23:00:00Z", "2025-03-31T22:00:00Z")
    rows, _ = read(eloverblik([point(1, 1), point(2, 2)], resolution="P1D", span=span))
    assert [row[1] for row in rows] == ["03-29T23:00", "03-30T22:00"]


def test_what_does_not_fit_is_rejected_with_its_place():
    wrong = [point(1, 1), point(7, 1), point("x", 1), point(2, "a"), point(3, 1, "Z9")]
    rows, reader = read(eloverblik(wrong))
    assert len(rows) == 1
    assert [(reject.line.rpartition(", ")[2], reject.reason) for reject in reader.rejects] == [
        ("point 2", "a position after the period's end"),
        ("point 3", "no position"),
        ("point 4", "unreadable number"),
        ("point 5", "quality 'Z9' is not known"),
    ]
    _, reader = read(eloverblik([point(1, 1)], span=("2025-01-02T00:00:00Z", "2025-01-01T00:00:00Z")))
    assert reader.rejections == {"no period, or no resolution that is known": 1}


def test_datahubs_xml_and_its_json_say_the_same():
    from format_samples import CIM

    rows, reader = read(CIM)
    assert [row[1:] for row in rows] == [("01-01T00:00", 1.5, "measured"), ("01-01T02:00", 2.5, "estimated")]
    assert reader.facts()["571313000000000001"].tags["direction"] == "Out"
    value = lambda text: {"value": text}  # noqa: E731
    series = {
        "mRID": "s1",
        "marketEvaluationPoint.mRID": {"codingScheme": "A10", "value": "571313000000000001"},
        "marketEvaluationPoint.type": value("E17"),
        "quantity_Measure_Unit.name": value("KWH"),
        "Period": {
            "resolution": "PT1H",
            "timeInterval": {"start": value("2025-01-01T00:00Z"), "end": value("2025-01-01T03:00Z")},
            "Point": [
                {"position": {"value": 1}, "quantity": 1.5},
                {"position": {"value": 3}, "quantity": 2.5, "quality": value("A03")},
            ],
        },
    }
    assert read({"NotifyValidatedMeasureData_MarketDocument": {"Series": [series]}})[0] == rows


def test_ebix_has_its_own_names():
    data = b"""<DK_MeteredDataTimeSeries xmlns="un:unece:260:data:EEM-DK_MeteredDataTimeSeries:v3">
    <PayloadEnergyTimeSeries><ObservationTimeSeriesPeriod><ResolutionDuration>PT1H</ResolutionDuration>
    <Start>2025-01-01T00:00:00Z</Start><End>2025-01-01T02:00:00Z</End></ObservationTimeSeriesPeriod>
    <IncludedProductCharacteristic><UnitType>KWH</UnitType></IncludedProductCharacteristic>
    <MeteringPointDomainLocation><Identification>5713</Identification></MeteringPointDomainLocation>
    <IntervalEnergyObservation><Position>1</Position><EnergyQuantity>1.5</EnergyQuantity>
    <QuantityQuality>D01</QuantityQuality></IntervalEnergyObservation>
    <IntervalEnergyObservation><Position>2</Position><QuantityMissing>true</QuantityMissing>
    </IntervalEnergyObservation></PayloadEnergyTimeSeries></DK_MeteredDataTimeSeries>"""
    rows, reader = read(data)
    assert rows == [("5713", "01-01T00:00", 1.5, "estimated (vendor)")]
    assert reader.empty == 1
