"""Elhub's XML and JSON: starts, versions, qualities, and what a series is."""

import json

import pytest
from format_samples import elhub_message, elhub_series, observed

import smartdata_ts as sd
from smartdata_ts.errors import DataError, UnitError
from smartdata_ts.formats import import_file, open_reader

POINT = "707057500000000017"


@pytest.fixture
def store(tmp_path):
    with sd.open(tmp_path / "city.sdts") as opened:
        yield opened


def imported(store, tmp_path, data: bytes, name="elhub.xml", **options):
    (tmp_path / name).write_bytes(data)
    report = import_file(store, tmp_path / name, **options)
    rows = store.query().to_arrow().to_pylist()
    return report, [
        (row["series"], row["time"].strftime("%m-%dT%H:%M"), row["value"], sd.quality_name(row["quality"]))
        for row in rows
    ]


def test_the_first_observation_is_at_the_periods_start_and_facts_are_said_with_it(store, tmp_path):
    report, rows = imported(store, tmp_path, elhub_message(elhub_series(observed("1.5", "2.25"))))
    assert [row[1:3] for row in rows] == [("12-31T23:00", 1.5), ("01-01T00:00", 2.25)]
    (series,) = store.series().to_pylist()
    assert (series["series"], series["unit"], series["kind"]) == (f"{POINT}/Out", "kW.h", "interval")
    assert series["interval_us"] == 3_600_000_000
    assert dict(series["tags"])["direction"] == "Out"
    assert report.commit == 1
    assert imported(store, tmp_path, elhub_message(elhub_series(observed("1.5", "2.25"))))[0].duplicates == 2


def test_a_sequence_that_has_a_zero_counts_from_it(store, tmp_path):
    text = observed("1", "2").replace('"1"', '"0"').replace('"2"', '"1"')
    _, rows = imported(store, tmp_path, elhub_message(elhub_series(text)))
    assert [row[1] for row in rows] == ["12-31T23:00", "01-01T00:00"]


def test_qualities_are_told_by_their_elements_and_codes(store, tmp_path):
    text = (
        '<Observation Sequence="1"><Estimated Quality="56" EstimationCode="A">1</Estimated></Observation>'
        '<Observation Sequence="2"><Estimated Quality="81">2</Estimated></Observation>'
        '<Observation Sequence="3"><Temporary>3</Temporary></Observation>'
        '<Observation Sequence="4"><Calculated>-4</Calculated></Observation>'
    )
    period = ("2025-01-01T00:00:00Z", "2025-01-01T04:00:00Z")
    _, rows = imported(store, tmp_path, elhub_message(elhub_series(text, period=period)))
    assert [row[2:] for row in rows] == [
        (1.0, "estimated (vendor)"),
        (2.0, "final_estimate (vendor)"),
        (3.0, "temporary"),
        (-4.0, "estimated (vendor)"),
    ]


def test_a_day_goes_by_the_clocks_of_oslo(store, tmp_path):
    period = ("2025-03-30T00:00:00+01:00", "2025-04-01T00:00:00+02:00")
    _, rows = imported(
        store, tmp_path, elhub_message(elhub_series(observed("5", "6"), period=period, resolution="P1D"))
    )
    assert [row[1] for row in rows] == ["03-29T23:00", "03-30T22:00"]


def test_the_newer_version_stands_whatever_the_order(store, tmp_path):
    new = elhub_series(observed("9", "8"), inserted="2025-02-01T00:00:00Z")
    old = elhub_series(observed("1", "2"), inserted="2025-01-02T00:00:00Z")
    report, rows = imported(store, tmp_path, elhub_message(new, old))
    assert [row[2] for row in rows] == [9.0, 8.0]
    assert report.rejections == {"an older version of what the file holds": 2}


def test_more_values_than_the_period_holds_are_refused_unless_the_count_says_the_step(store, tmp_path):
    hour = ("2025-01-01T00:00:00Z", "2025-01-01T01:00:00Z")
    report, rows = imported(store, tmp_path, elhub_message(elhub_series(observed(*"1234"), period=hour)))
    assert [row[1] for row in rows] == [f"01-01T00:{k:02}" for k in (0, 15, 30, 45)]
    assert "period over the count" in report.notices[0]
    gap = observed("1").replace('"1"', '"7"')
    report, _ = imported(store, tmp_path, elhub_message(elhub_series(gap, point="1", period=hour)))
    assert report.rejections == {"more observations than the period has room for": 1}


def test_profiles_registers_and_what_was_withdrawn(store, tmp_path):
    text = "<ProfiledObservation><Metered>31.5</Metered></ProfiledObservation>"
    index = "<MeterReadingStart>1000.5</MeterReadingStart>"
    gone = "<ProfiledObservation><Withdrawn>true</Withdrawn></ProfiledObservation>"
    data = elhub_message(elhub_series(text, index=index), elhub_series(gone, direction="In"))
    _, rows = imported(store, tmp_path, data)
    assert [(row[0], row[3]) for row in rows] == [
        (f"{POINT}/In", "rejected"),
        (f"{POINT}/Out", "measured"),
        (f"{POINT}/Out/register", "measured"),
    ]
    kinds = {row["series"]: row["kind"] for row in store.series().to_pylist()}
    assert kinds[f"{POINT}/Out/register"] == "register"


def test_a_reject_names_its_series_and_observation(tmp_path):
    (tmp_path / "a.xml").write_bytes(
        elhub_message(elhub_series(observed("x", "2")), elhub_series("", unit="APPLES"))
    )
    with open_reader(tmp_path / "a.xml") as reader:
        assert sum(batch.num_rows for batch in reader) == 1
    assert [(reject.line, reject.reason) for reject in reader.rejects] == [
        ("series 1, observation 1", "unreadable number"),
        ("series 2", "unit 'APPLES' is not known"),
    ]


def test_a_unit_that_is_not_the_stores_or_the_users_is_an_error_and_nothing_is_stored(store, tmp_path):
    data = elhub_message(elhub_series(observed("1")))
    store.describe(f"{POINT}/Out", unit="m3")
    with pytest.raises(UnitError, match="by the file, and the store has m3"):
        imported(store, tmp_path, data)
    with pytest.raises(UnitError, match="unit= says MW"):
        imported(store, tmp_path, data, unit="MW.h")
    store.describe(f"{POINT}/Out", unit="kWh", tags={"direction": "In"})
    with pytest.raises(DataError, match="direction 'In', and the file says 'Out'"):
        imported(store, tmp_path, data)
    assert store.query().to_arrow().num_rows == 0
    store.describe(f"{POINT}/Out", tags={"direction": "Out"}, kind="gauge")
    with pytest.raises(DataError, match="kind 'gauge', and the file says 'interval'"):
        imported(store, tmp_path, data)
    report, _ = imported(store, tmp_path, data, kind="interval", tags={"gsrn": "told"})
    assert report.stored == 1
    assert dict(store.series().to_pylist()[0]["tags"])["gsrn"] == "told"


def test_json_of_the_energy_data_api(store, tmp_path):
    values = [
        {
            "startTime": "2025-10-26T02:00:00+02:00",
            "direction": "OUT",
            "quantityKwh": 1,
            "resolution": "PT60M",
        },
        {
            "startTime": "2025-10-26T02:00:00+01:00",
            "direction": "OUT",
            "quantityKwh": 2.5,
            "resolution": "PT60M",
        },
        {"startTime": "2025-10-26T03:00:00+01:00", "direction": "OUT", "quantityKwh": None},
        {"startTime": "yesterday", "direction": "OUT", "quantityKwh": 1},
    ]
    data = {"data": [{"id": "7070", "attributes": {"meteringValuesHour": values}}]}
    report, rows = imported(store, tmp_path, json.dumps(data).encode(), "a.json")
    assert [row[:3] for row in rows] == [("7070/OUT", "10-26T00:00", 1.0), ("7070/OUT", "10-26T01:00", 2.5)]
    assert (report.empty, report.rejections) == (1, {"unreadable time": 1})
    assert store.series().to_pylist()[0]["interval_us"] == 3_600_000_000
