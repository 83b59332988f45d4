"""What every format owes: one face, recognised by its bytes, and errors of ours for whatever is in a file."""

import contextlib
import importlib
import io
import random
import tracemalloc
import zipfile

import click
import pytest
from format_samples import SAMPLES, TABLE, Sample

from smartdata_ts.cli import export, import_
from smartdata_ts.errors import DataError, SmartDataError, UsageError
from smartdata_ts.formats import open_reader, write
from smartdata_ts.formats._registry import FORMATS, NAMED

BY_BYTES = [name for name in FORMATS if name != "csv"]
BLIND = {"csv"}  # text that nothing else claims


def count(data: bytes, format: str | None = None, **options: str) -> int:
    with open_reader(io.BytesIO(data), format, **options) as reader:
        taken = sum(batch.num_rows for batch in reader)
        assert reader.rows == reader.taken + reader.empty + reader.rejected
        assert taken == reader.taken
        assert reader.description
        assert reader.facts() is not None
    return taken


def readings_or_none(data: bytes, format: str, options: dict[str, str]) -> int:
    """The count of readings, 0 where there is an error of ours; any other is raised."""
    with contextlib.suppress(SmartDataError):
        return count(data, format, **options)
    return 0


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    return {name: made() for name, made in SAMPLES.items()}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_shows_the_same_face_as_all_others(name: str) -> None:
    module = importlib.import_module(f"smartdata_ts.formats.{FORMATS[name].module}")
    assert callable(module.open_reader)
    assert callable(FORMATS[name].signature)
    assert hasattr(module, "write") == hasattr(module, "WRITE_OPTIONS") == FORMATS[name].writes
    assert all(suffix.startswith(".") for suffix in FORMATS[name].suffixes)


def test_no_two_formats_share_an_ending() -> None:
    endings = [suffix for known in FORMATS.values() for suffix in known.suffixes]
    assert len(endings) == len(set(endings))


def test_every_format_has_its_sample_and_its_name_on_the_command_line() -> None:
    assert list(SAMPLES) == list(FORMATS) == import_.FORMATS
    assert [name for name in FORMATS if FORMATS[name].writes] == export.FORMATS
    assert isinstance(import_.import_, click.Command)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_told_by_its_bytes_whatever_it_is_called(name, samples, tmp_path) -> None:
    data, readings, options = samples[name]
    assert count(data, **options) == readings
    path = tmp_path / "export.csv"
    path.write_bytes(data)
    with open_reader(path, **options) as reader:
        assert sum(batch.num_rows for batch in reader) == readings


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_out_of_an_archive_is_the_same(name, samples, tmp_path) -> None:
    data, readings, options = samples[name]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("member", data)
    with open_reader(tmp_path / "all.zip", **options) as reader:
        assert sum(batch.num_rows for batch in reader) == readings


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("data", [b"", b"\n\n  \n", b"\0" * 100, b"hello", bytes(range(256)) * 9])
def test_a_file_of_something_else_is_an_error_of_ours(name, data, samples) -> None:
    with pytest.raises(SmartDataError) as told:
        count(data, name, **samples[name].options)
    assert len(str(told.value)) < 600


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("other", FORMATS)
def test_a_file_of_another_format_is_an_error_or_nothing_but_its_readings(name, other, samples) -> None:
    if name == other:
        return
    assert readings_or_none(samples[other].data, name, samples[name].options) <= samples[other].readings


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_anywhere_is_an_error_of_ours_or_part_of_its_readings(name, samples) -> None:
    data, readings, options = samples[name]
    for size in sorted({*range(0, len(data), max(1, len(data) // 25)), len(data) - 1}):
        assert readings_or_none(data[:size], name, options) <= readings


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_with_wrong_bytes_is_an_error_of_ours_or_readings(name, samples) -> None:
    data, _, options = samples[name]
    choose = random.Random(7)
    for _ in range(25):
        spoilt = bytearray(data)
        for _ in range(choose.randint(1, 4)):
            spoilt[choose.randrange(len(spoilt))] = choose.randrange(256)
        readings_or_none(bytes(spoilt), name, options)


@pytest.mark.parametrize("name", BY_BYTES)
def test_a_format_that_is_only_read_says_so_when_it_is_to_be_written(name, tmp_path) -> None:
    if FORMATS[name].writes:
        assert write(io.BytesIO(), TABLE.to_reader(), name) == 3
    else:
        with pytest.raises(UsageError, match="not written"):
            write(tmp_path / "out", TABLE.to_reader(), name)


# -- what is known and not read

UNREAD = {
    "PDF": b"%PDF-1.7 ...",
    "HTML": b"<!doctype html><html><body><table>",
    "SensorThings": b'{"value": [{"@iot.id": 1, "result": 2}]}',
    "NGSI-LD": b'{"id": "urn:ngsi-ld:Meter:1", "type": "Meter", "@context": ["x"]}',
    "ZRXP": b"#ZRXPVERSION2300.100|*|ZRXPCREATORKiIOSystem|*|\n20250101000000 1.5",
    "WaterML": b'<?xml version="1.0"?><wml2:Collection><wml2:WaterMLx/></wml2:Collection>',
    "British": b"ZHV|0000001|D0010002|D|UDMS|X|EDFE|20250101000000||||OPER|",
    "SQLite": b"SQLite format 3\0" + b"\0" * 84,
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "zip": b"PK\x03\x04" + b"\0" * 26 + b"a.csv",
    "gz": b"\x1f\x8b\x08\0",
    "XML": b"<?xml version='1.0'?><!-- <html> --><things/>",
    "picture": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize("what", UNREAD)
def test_a_file_that_is_known_and_not_read_is_named_with_what_to_do(what) -> None:
    with pytest.raises(DataError, match=f"this is.*{what}") as told:
        open_reader(io.BytesIO(UNREAD[what]))
    assert any(advice in str(told.value) for advice in ("export a table", "save", "let its name", "name the"))


def test_every_sentence_about_what_is_not_read_says_what_it_is() -> None:
    assert all(
        sentence[0].islower() or sentence[:2].isupper() or sentence[0].isupper() for _, sentence in NAMED
    )
    assert len(NAMED) >= len(UNREAD)


# -- hostile files

BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "' + b"x" * 1000 + b'"><!ENTITY b "'
HOSTILE = {
    "entities": BOMB + b"&a;" * 1000 + b'">]><NotifyValidatedDataForBillingEnergy>&b;&b;',
    "entities in UTF-16": (BOMB.decode() + "&a;" * 1000 + '">]><CollectedData>&b;').encode("utf-16"),
    "nested XML": b"<CollectedData>" + b"<a>" * 200_000,
    "one long text": b"<CollectedData>" + b"x" * (20 << 20),
    "nested JSON": b'{"data": [{"meteringValuesHour": ' + b"[" * 200_000,
    "nested objects": b'{"meteringValuesHour": 1, "data": ' + b'{"a":' * 100_000,
    "a long JSON text": b'{"meteringValuesHour": 1, "data": ["' + b"x" * (20 << 20),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_document_ends_in_an_error_and_takes_little_memory(what) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            count(HOSTILE[what])
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
