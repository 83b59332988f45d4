"""Real vendor files, where the shared data is there; otherwise skipped with a word."""

import csv
import gzip
import io
import tarfile
import zipfile
from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from support.places import SHARED_DATA

from smartdata_ts.formats import open_reader

DATA = SHARED_DATA

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not there"),
    pytest.mark.slow,
]


def read(path, **options):
    with open_reader(path, **options) as reader:
        table = pa.Table.from_batches(reader)
    assert reader.rows == reader.taken + reader.empty + reader.rejected
    assert reader.taken == table.num_rows
    return table, reader


def test_daiad_needs_its_zone_alone():
    path = DATA / "daiad_water_meters" / "swm_trialA.zip"
    table, reader = read(path, tz="Europe/Madrid")
    assert (reader.rows, reader.taken, reader.rejected) == (674_019, 674_019, 0)
    assert "series 'user key'; value 'meter reading'; ignored 'diff'" in reader.description
    with zipfile.ZipFile(path) as archive:
        text = archive.read("swm_trialA.csv").decode()
    rows = list(csv.reader(io.StringIO(text), delimiter=";"))[1:]
    assert table["series"].to_pylist() == [row[0] for row in rows]
    assert table["value"].to_pylist() == [float(row[2]) for row in rows]
    # Back on the wall, every time is what the file says.
    walls = table["time"].cast(pa.timestamp("us", "Europe/Madrid")).to_pylist()
    assert [f"{wall:%d/%m/%Y %H:%M:%S}" for wall in walls] == [row[1] for row in rows]
    # In the repeated hour of 30 October 2016, both passes are there.
    zone = ZoneInfo("Europe/Madrid")
    passes = Counter(wall.fold for wall in walls if wall.date() == datetime(2016, 10, 30, tzinfo=zone).date())
    assert passes[1] > 70
    assert reader.ambiguous < 10


def test_ampds_registers_in_epoch_seconds():
    path = DATA / "ampds2" / "Water_WHW.csv.gz"
    table, reader = read(path, series_key="water")
    assert (reader.rows, reader.taken) == (1_051_200, 1_051_200)
    with gzip.open(path, "rt") as file:
        rows = list(csv.reader(file))[1:]
    assert table["time"].cast(pa.int64()).to_pylist() == [int(row[0]) * 10**6 for row in rows]
    assert table["value"].to_pylist() == [float(row[1]) for row in rows]


@pytest.mark.parametrize(
    ("name", "empty"),
    [("electricity_2016_hour", 0), ("gas_2016_hour", 0), ("water_march2015_min", 615)],
)
def test_opengrid_has_a_column_a_meter(name, empty):
    path = DATA / "opengrid_be" / f"{name}.csv.gz"
    table, reader = read(path)
    with gzip.open(path, "rt") as file:
        header, *rows = csv.reader(file)
    assert (reader.empty, reader.rejected) == (empty, 0)
    expected = sorted(
        (key, datetime.fromisoformat(row[0]).astimezone(UTC), float(cell))
        for row in rows
        for key, cell in zip(header[1:], row[1:], strict=True)
        if cell
    )
    found = zip(*(table[name].to_pylist() for name in ("series", "time", "value")), strict=True)
    assert sorted(found) == expected


def test_cambridge_has_a_file_a_building():
    with tarfile.open(DATA / "cambridge_estates" / "building_data.tar.xz") as archive:
        file = archive.extractfile("UCam_Building_b0/electricity/2008.csv")
        table, reader = read(io.BytesIO(file.read()), tz="UTC", series_key="b0/electricity")
    assert (reader.rows, reader.taken) == (8_784, 8_784)
    assert table["series"].unique().to_pylist() == ["b0/electricity"]
