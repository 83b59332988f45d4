"""What could be read wrongly is asked for, named or told; see docs/formats.md."""

import io
import zipfile
from pathlib import Path

import pytest

import smartdata_ts as sd
from smartdata_ts.errors import DataError, DialectError
from smartdata_ts.formats import import_file, open_reader

CASES = Path(__file__).parents[3] / "shared" / "cases"


def readings_of(text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    with open_reader(io.BytesIO(data), **{"tz": "UTC", **options}) as reader:
        return [row for batch in reader for row in batch.to_pylist()], reader


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("Slutt", ["2025-03-01 01:00", "2025-03-01 02:00", "2025-03-01 03:00"]),
        ("Avvik", ["nei", "ja", "nei"]),
        ("Status", ["Actual", "Actual", "Estimated"]),
        ("Einheit", ["kWh", "kWh", "kWh"]),
        ("Bemerkung", ["alt", "neu", "neu 2"]),
        ("Gemeinde", ["Ås", "Ås", "Ås"]),
        ("Wetter", ["sun", "rain", "snow"]),
        ("Slot", ["00:00-01:00", "01:00-02:00", "02:00-03:00"]),
    ],
)
def test_what_is_no_key_is_not_guessed_as_one(column, cells):
    rows = "".join(f"2025-03-01 0{hour}:00;{hour + 1},5;{cell}\n" for hour, cell in enumerate(cells))
    with pytest.raises(DialectError, match="no column reads as the series"):
        readings_of(f"Start;Wert;{column}\n" + rows)
    assert len(readings_of(f"Start;Wert;{column}\n" + rows, series_key="m")[0]) == 3


def test_a_text_that_tells_rows_of_one_time_apart_is_the_key():
    rows = "".join(
        f"2025-03-01 0{hour}:00;{hour},5;{name}\n" for hour in range(3) for name in ("Nord", "Sør")
    )
    readings, _ = readings_of("Start;Wert;Sted\n" + rows)
    assert {row["series"] for row in readings} == {"Nord", "Sør"}


def test_a_key_that_a_spreadsheet_rounded_is_refused():
    with pytest.raises(DialectError, match="a spreadsheet has rounded"):
        readings_of("meter;time;m3\n5,7131E+17;2025-01-01 00:00;1\n")


@pytest.mark.parametrize(("hours", "name"), [(range(1, 25), "Hora"), (range(24), "Stunde")])
def test_hours_by_number_beside_dates_are_not_passed_over(hours, name):
    rows = "".join(f"m;2025-06-01;{hour};1,5\n" for hour in hours)
    with pytest.raises(DialectError, match=f"column '{name}' tells the hour"):
        readings_of(f"meter;date;{name};kWh\n" + rows)


def test_a_row_a_day_is_refused_with_the_reason():
    names = ",".join(f"{hour:02}:{minute}" for hour in range(24) for minute in ("00", "30"))
    with pytest.raises(DialectError, match="are times of day"):
        readings_of(f"meter,date,{names}\nm,2025-06-01" + ",0.5" * 48 + "\n")


def test_compact_times_are_not_counts_of_milliseconds():
    readings, _ = readings_of("meter;time;m3\nm;203112310915;1\n")
    assert readings[0]["time"].isoformat() == "2031-12-31T09:15:00+00:00"
    with pytest.raises(DialectError, match="yyyymmddhh or seconds since 1970"):
        readings_of("meter;time;m3\nm;2031123109;1\n")
    readings, _ = readings_of("meter;time;m3\nm;1735689600;1\n")
    assert readings[0]["time"].isoformat() == "2025-01-01T00:00:00+00:00"


def test_a_range_of_times_is_no_offset():
    rows = "".join(f"m;2025-01-01 {hour:02}:30-{hour + 1:02}:30;1\n" for hour in range(9))
    with pytest.raises(DialectError, match="is a range of times"):
        readings_of("meter;time;m3\n" + rows)
    rows = "".join(f"m;2025-01-01 {hour:02}:30-05:00;1\n" for hour in range(9))
    assert len(readings_of("meter;time;m3\n" + rows)[0]) == 9


@pytest.mark.parametrize("date", ["0000-00-00 02:00", "00/00/0000 02:00"])
def test_a_date_of_zeros_is_impossible_in_the_first_row_too(date):
    good = "2025-01-13 00:00" if "-" in date else "13/01/2025 00:00"
    readings, reader = readings_of(f"meter;time;m3\nm;{date};1\nm;{good};2\nm;{good[:-4]}1:00;3\n")
    assert len(readings) == 2
    assert reader.rejections == {"impossible time": 1}


def test_a_day_number_of_a_spreadsheet_is_named():
    with pytest.raises(DialectError, match="a spreadsheet's day number"):
        readings_of("meter;time;m3\nm;46023,25;1\nm;46023,5;2\n")


def test_names_of_months_are_an_error_before_anything_is_stored():
    with pytest.raises(DialectError, match=r"'3\. mai 2025' in column 'time' reads as no time"):
        readings_of("meter;time;m3\nm;3. mai 2025;1\n")


def test_broken_rows_below_the_header_are_counted():
    readings, reader = readings_of("meter;time;m3\nm;soon;1\n;;2\nm;2025-01-01 00:00;3\n")
    assert (len(readings), reader.rows, reader.rejected) == (1, 3, 2)


def test_the_header_is_the_line_that_fits_the_data():
    text = "Customer;Number;From;To\n7;99;2025-01-01;2025-02-01\nStamp;kWh\n"
    text += "2025-01-01 00:00;1\n2025-01-01 01:00;2\n2025-01-01 02:00;4\n"
    readings, _ = readings_of(text, series_key="m")
    assert [row["value"] for row in readings] == [1, 2, 4]


def test_decimal_commas_between_commas_are_named():
    with pytest.raises(DialectError, match="one field more than the header"):
        readings_of("Time,kWh\n2025-01-01 00:00,1,5\n2025-01-01 01:00,2,25\n", series_key="m")


def test_a_dot_before_three_digits_is_asked_for():
    text = "meter;time;m3\nm;2025-01-01 00:00;2.125\nm;2025-01-01 01:00;7\n"
    with pytest.raises(DialectError, match="a dot between thousands: pass decimal="):
        readings_of(text)
    assert [row["value"] for row in readings_of(text, decimal=".")[0]] == [2.125, 7]


def test_units_that_differ_by_row_are_refused():
    with pytest.raises(DialectError, match="units differ by row"):
        readings_of("meter;time;value;Enhet\na;2025-01-01 00:00;1;L\nb;2025-01-01 00:00;1;m3\n")


def test_two_values_with_units_are_asked_for():
    text = "meter;time;Heat [kWh];Volume [m3]\na;2025-01-01 00:00;1;2\n"
    with pytest.raises(DialectError, match=r"'Heat \[kWh\]', 'Volume \[m3\]'\): pass value="):
        readings_of(text)
    with pytest.raises(DialectError, match="several columns are named as value="):
        readings_of(text, value=["Heat [kWh]", "Volume [m3]"])


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members:
            archive.writestr(name, text)
    return path


def test_what_macos_keeps_in_an_archive_is_passed_over(tmp_path):
    table = ("a/data.csv", "meter;time;m3\nm;2025-01-01 00:00;1\n")
    path = zip_of(tmp_path / "mac.zip", table, ("__MACOSX/a/._data.csv", "x"), ("a/._data.csv", "x"))
    with open_reader(path, tz="UTC") as reader:
        assert sum(batch.num_rows for batch in reader) == 1
    with pytest.raises(DataError, match="there is nothing in it"):
        open_reader(zip_of(tmp_path / "empty.zip"), tz="UTC")


def test_rows_that_contradict_each_other_are_told(tmp_path):
    path = tmp_path / "file.csv"
    path.write_text("meter;time;m3\na;2025-01-01 00:00;1\na;2025-01-01 00:00;2\na;2025-01-01 01:00;3")
    with sd.open(tmp_path / "store") as store:
        report = import_file(store, path, tz="UTC")
        assert (report.conflicts, report.replaced) == (1, 1)
        assert "1 row of the file have the series and time of another row" in report.notices[0]
        assert "the last line does not end: is the file whole?" in report.notices
        path.write_text("meter;time;m3\na;2025-01-01 00:00;1\n")
        report = import_file(store, path, tz="UTC")  # another file corrects what stands
        assert (report.conflicts, report.replaced, report.notices) == (0, 1, ())


# How many readings each shared file gives, and what it is told with; all others are refused with a sentence.
TAKEN = {
    "01": (6, "another value"), "05": (6, ""), "11/quoted": (3, ""), "15": (4, ""), "17": (3, ""),
    "18": (5, "passed over"), "19": (48, ""), "21": (9, ""),
    "24": (3, "another value"),
    "f01": (2, ""), "f04/yyyymmddhhmm": (2, ""), "f08": (6, ""), "f10/dotted": (1, ""), "f10": (1, ""),
    "f11": (2, ""), "f18": (3, ""), "f21": (2, ""), "f22": (3, "does not end"), "f24": (2, "another value"),
    "f29": (2, ""), "f30/long": (1, ""), "f30/wide": (3, ""),
}  # fmt: skip
ZONES = {"01": "Europe/Oslo", "03": "Europe/Madrid", "15": "Europe/Lisbon", "23": "Europe/London"}
ADVICE = r"pass|export|save|write|import|convert"
ONE_SERIES = ("05", "11", "24")


def shared_files():
    if not CASES.is_dir():
        return []
    return sorted(path for path in CASES.glob("*/*") if path.suffix != ".md")


@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is absent")
@pytest.mark.parametrize("path", shared_files(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_shared_case_is_taken_wrongly_without_a_word(path, tmp_path):
    case = path.parent.name.split("-")[0]
    options = {"series_key": "m"} if case in ONE_SERIES else {}
    options.update({"stamp": "end", "interval": "15min"} if case == "15" else {})
    taken = TAKEN.get(f"{case}/{path.stem}") or (TAKEN.get(case) if path.stem == "input" else None)
    options["tz"] = ZONES.get(case, "Europe/Oslo")
    with sd.open(tmp_path / "store") as store:
        if taken is None:
            with pytest.raises(sd.errors.SmartDataError, match=ADVICE):
                import_file(store, path, rejected=tmp_path / "rejects.csv", **options)
        else:
            report = import_file(store, path, rejected=tmp_path / "rejects.csv", **options)
            assert report.stored == taken[0]
            assert taken[1] in " ".join(report.notices)
