"""JSON of devices: presets, paths, and what is passed over."""

import io
import json

import pytest

import smartdata_ts as sd
from smartdata_ts.errors import DataError, UsageError
from smartdata_ts.formats import open_reader, write


def read(*items, array=False, **options):
    text = json.dumps(items) if array else "\n".join(map(json.dumps, items))
    with open_reader(io.BytesIO(text.encode()), **options) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    assert reader.rows == reader.taken + reader.empty + reader.rejected
    return [
        (row["series"], row["time"].isoformat()[5:19], row["value"], sd.quality_name(row["quality"]))
        for row in rows
    ], reader


def telegram(**more):
    return {
        "id": "007",
        "media": "water",
        "meter": "x07",
        "name": "cellar",
        "timestamp": "2025-01-01T00:00:07Z",
        **more,
    }


def test_a_telegrams_numbers_are_series_with_units_by_their_endings():
    rows, reader = read(
        telegram(total_m3=1.5, target_m3=1.0, flow_temperature_c=7, status="OK"),
        telegram(total_m3=2.5, status="LEAK", timestamp="2025-01-01T01:00:07Z"),
    )
    assert rows == [
        ("007/total_m3", "01-01T00:00:07", 1.5, "measured"),
        ("007/flow_temperature_c", "01-01T00:00:07", 7.0, "measured"),
        ("007/total_m3", "01-01T01:00:07", 2.5, "suspect"),
    ]
    facts = reader.facts()
    assert (facts["007/total_m3"].unit, facts["007/total_m3"].kind) == ("m3", "register")
    assert (facts["007/flow_temperature_c"].unit, facts["007/flow_temperature_c"].kind) == ("Cel", "gauge")
    assert facts["007/total_m3"].quantity == "water"


def test_one_number_an_object_is_a_series_of_the_meters_id_and_none_is_empty():
    rows, reader = read(telegram(total_m3=1.5), telegram(id="008", total_m3=None))
    assert [row[0] for row in rows] == ["007"]
    assert reader.empty == 1


def test_the_meters_own_clock_may_be_asked_for_and_a_day_that_never_was_is_rejected():
    rows, reader = read(
        telegram(total_m3=1, meter_datetime="2022-09-30 23:55"),
        telegram(total_m3=2, meter_datetime="2022-10-00 00:05"),
        json_time="meter_datetime",
        tz="+01:00",
    )
    assert [row[1] for row in rows] == ["09-30T22:55:00"]
    assert (reader.rejects[0].line, reader.rejects[0].reason) == (2, "impossible time")


def test_lorawan_payloads_are_numbers_by_their_paths_and_stamps_are_cut_to_microseconds():
    rows, reader = read(
        {
            "end_device_ids": {"device_id": "pit-7"},
            "uplink_message": {
                "settings": {"time": "2025-01-01T00:00:00.123456789Z"},
                "decoded_payload": {"level": 3, "battery": {"v": 3.5}, "open": True},
            },
        },
        {
            "end_device_ids": {"device_id": "pit-8"},
            "uplink_message": {"frm_payload": "AQ==", "received_at": "x"},
        },
    )
    assert rows == [
        ("pit-7/level", "01-01T00:00:00", 3.0, "measured"),
        ("pit-7/battery.v", "01-01T00:00:00", 3.5, "measured"),
    ]
    assert reader.rejections == {"payload that was not decoded: add a payload formatter for the device": 1}
    assert reader.notices == ["1 texts and truth values were passed over"]
    chirp = {"deviceInfo": {"devEui": "ab01"}, "time": "2025-01-01T00:00:00+01:00", "object": {"level": 3}}
    assert read(chirp, array=True)[0] == [("ab01/level", "12-31T23:00:00", 3.0, "measured")]


def test_home_assistants_history_has_empty_states():
    items = [
        {"entity_id": "sensor.a", "state": state, "last_changed": "2025-01-01T00:00:00+00:00"}
        for state in ("1.5", "unavailable", "open")
    ]
    rows, reader = read(items, array=True)
    assert [row[:3] for row in rows] == [("sensor.a", "01-01T00:00:00", 1.5)]
    assert (reader.empty, reader.rejections) == (1, {"unreadable number": 1})


def test_any_other_object_is_read_by_paths_as_lines_array_or_document():
    item = {"dev": {"no": 17}, "at": 1735689600000, "data": {"v": "2.5"}}
    options = {"json_time": "at", "json_key": "dev.no", "json_value": "data.v"}
    expected = [("17", "01-01T00:00:00", 2.5, "measured")]
    assert read(item, **options)[0] == expected
    assert read(item, array=True, **options)[0] == expected
    text = json.dumps(item, indent=1).encode()
    with open_reader(io.BytesIO(text), **options) as reader:
        assert sum(batch.num_rows for batch in reader) == 1
    options["json_value"] = "data"
    assert read({**item, "data": {"a": 1, "b": 2}}, **options)[0][1][0] == "17/b"


def test_an_unknown_object_is_an_error_that_names_its_fields_and_the_options():
    with pytest.raises(DataError, match=r"not known \(at, reading\): pass json_time="):
        read({"at": "2025-01-01", "reading": 5})
    with pytest.raises(UsageError, match="pass json_time= and json_key="):
        read({"at": "2025-01-01", "reading": 5}, json_value="reading")


@pytest.mark.parametrize("line", ["{", '{"id": NaN}', "[1, 2]", "5", "[" * 5000, '{"a": ' + "9" * 5000 + "}"])
def test_a_line_that_is_no_object_is_rejected_by_its_number(line):
    text = json.dumps(telegram(total_m3=1)) + "\n" + line + "\n" + json.dumps(telegram(total_m3=2))
    with open_reader(io.BytesIO(text.encode())) as reader:
        assert sum(batch.num_rows for batch in reader) == 2
    assert reader.rejected == 1
    assert reader.rejects[0].line == 2


def test_a_large_document_gives_the_same_readings_as_a_small_one(monkeypatch):
    from smartdata_ts.formats._documents import json_items

    items = [
        {"entity_id": f"sensor.{k % 3}", "state": str(k), "last_changed": f"2025-01-01T00:{k:02}:00Z"}
        for k in range(60)
    ]
    whole = read(items[:30], items[30:], array=True)[0]
    monkeypatch.setattr(json_items, "DOCUMENT_SIZE_MAX", 100)
    assert read(items[:30], items[30:], array=True)[0] == whole
    assert len(whole) == 60


def test_what_is_written_is_a_line_an_object(tmp_path):
    from format_samples import TABLE

    assert write(tmp_path / "out.jsonl", TABLE.to_reader(), tz="Europe/Oslo") == 3
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert first == {"series": "wm-1", "time": "2025-01-01T01:00:00+01:00", "value": 1.5}
    options = {"json_key": "series", "json_time": "time", "json_value": "value"}
    with open_reader(tmp_path / "out.jsonl", **options) as reader:
        assert sum(batch.num_rows for batch in reader) == 3
