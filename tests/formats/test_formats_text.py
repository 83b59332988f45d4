"""Text files as vendors send them, against a plain reading of the same file."""

import csv
import gzip
import io
import zipfile
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartdata_ts.errors import DataError, DialectError, UnknownTimeZoneError, UsageError
from smartdata_ts.formats import RejectWriter, open_reader, sniff
from smartdata_ts.formats._options import read_options
from smartdata_ts.formats._source import Source
from smartdata_ts.formats._text.long_text import LongReader
from smartdata_ts.formats._text.sniff import sniff_source
from smartdata_ts.formats._text.wide_text import WideReader


def read(data: bytes | str, **options):
    """Readings as (series, time, value), and the reader."""
    raw = data.encode() if isinstance(data, str) else data
    return drain(open_reader(io.BytesIO(raw), **options))


def drain(reader):
    readings = []
    with reader:
        for batch in reader:
            assert batch.schema.types[:3] == [
                pa.dictionary(pa.int32(), pa.string()),
                pa.timestamp("us", "UTC"),
                pa.float64(),
            ]
            columns = [column.to_pylist() for column in batch.columns]
            readings += zip(*columns, strict=True)
    assert reader.rows == reader.taken + reader.empty + reader.rejected
    assert reader.taken == len(readings)
    assert reader.rejected == sum(reader.rejections.values())
    return readings, reader


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


LONG = "meter;time;value\nA;01.02.2024 00:00;1 234,5\nB;01.02.2024 01:00;-2\n"


def test_a_norwegian_file():
    readings, reader = read(LONG, tz="Europe/Oslo")
    assert readings == [("A", utc(2024, 1, 31, 23), 1234.5), ("B", utc(2024, 2, 1), -2.0)]
    assert "time 'time' as dd.mm.yyyyThh:mm:ss in Europe/Oslo" in reader.description


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["A", 'B "2"', "C;3", "blåbær", "D\n4"]),
            st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        min_size=1,
        max_size=12,
    ),
    delimiter=st.sampled_from(",;\t|"),
    newline=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    comma=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]),
    block_size=st.integers(100, 400),
)
def test_files_of_many_dialects(rows, delimiter, newline, quoting, comma, encoding, block_size):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerow(["meter", "time", "value"])
    for key, time, value in rows:
        number = repr(value).replace(".", ",") if comma else repr(value)
        writer.writerow([key, time.isoformat(" "), number])
    source = Source(io.BytesIO(text.getvalue().encode(encoding)))
    options = read_options(
        {
            "tz": "UTC",
            "delimiter": delimiter,
            "decimal": "," if comma else ".",
            "encoding": encoding,
        }
    )
    reader = LongReader(source, sniff_source(source, options), None, block_size)
    readings, _ = drain(reader)
    assert readings == [(key, time.replace(tzinfo=UTC), value) for key, time, value in rows]


BROKEN = (
    "meter;time;value;note\n"
    "A;2024-01-01 00:00;1;x\n"
    "A;2024-02-30 00:00;1;x\n"
    "A;2024-01-01 25:61;1;x\n"
    "A;yesterday;1;x\n"
    ";2024-01-01 01:00;1;x\n"
    "A;;1;x\n"
    "A;2024-01-01 02:00;;x\n"
    "A;2024-01-01 03:00;NaN;x\n"
    "A;2024-01-01 04:00;12x;x\n"
    "A;2024-01-01 05:00;1\n"
    "A;2024-01-01 06:00;1;x;y\n"
    '"A"B;2024-01-01 07:00;1;x\n'
    "A;2024-01-01 08:00;1e999;x\n"
    ";;;\n"
    "\n"
    "A;2024-01-01 09:00;\x00;x\n"
    "A;2024-01-01 10:00;2;x"
)
REASONS = [
    (3, "impossible time"),
    (4, "impossible time"),
    (5, "unreadable time"),
    (6, "empty series key"),
    (7, "empty time"),
    (10, "unreadable number"),
    (11, "too few fields"),
    (12, "too many fields"),
    (13, "malformed quotes"),
    (14, "number beyond what float64 holds exactly"),
    (17, "unreadable number"),
]


def test_every_row_is_taken_empty_or_rejected_with_line_and_reason(tmp_path):
    with RejectWriter(tmp_path / "in.csv.rejected.csv") as sink:
        readings, reader = read(BROKEN, tz="UTC", rejects=sink)
    assert [value for _, _, value in readings] == [1.0, 2.0]
    assert [(reject.line, reject.reason) for reject in reader.rejects] == REASONS
    assert (reader.rows, reader.empty) == (16, 3)
    lines = BROKEN.split("\n")
    with sink.path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["line", "reason", "row"]
    assert rows == [[str(line), reason, lines[line - 1]] for line, reason in REASONS]


def test_no_reject_no_file(tmp_path):
    with RejectWriter(tmp_path / "x.rejected.csv") as sink:
        read(LONG, tz="UTC", rejects=sink)
    assert not sink.path.exists()


def test_cutting_blocks_anywhere_changes_nothing():
    data = ("meter;time;value\n" + BROKEN.split("\n", 1)[1].replace(";x", "")).encode()

    def run(block_size):
        source = Source(io.BytesIO(data))
        dialect = sniff_source(source, read_options({"tz": "UTC"}))
        return drain(LongReader(source, dialect, None, block_size))

    readings, reader = run(1 << 20)
    for block_size in range(40, 200):
        again, other = run(block_size)
        assert again == readings
        assert other.rejects == reader.rejects


def test_bytes_that_are_no_text_are_rejected_by_row():
    filler = b"A;2024-01-01 00:00;1\n"
    data = b"meter;time;value\n" + filler + b"\xff\xfe;2024-01-01 01:00;1\n" + filler
    readings, reader = read(data, tz="UTC", encoding="utf-8")
    assert len(readings) == 2
    assert reader.rejections == {"series key is no text in the declared encoding": 1}


def test_cp1252_is_told_from_the_bytes():
    readings, reader = read(
        "målepunkt;tidspunkt;verdi\nÅs;2024-01-01 00:00;1\xa0234,5\n".encode("cp1252"), tz="UTC"
    )
    assert readings == [("Ås", utc(2024, 1, 1), 1234.5)]
    assert reader.dialect.encoding == "cp1252"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_other_unicode_encodings(encoding):
    data = LONG.replace("A", "Ås").encode(encoding)
    readings, _ = read(data, tz="UTC", encoding=None if "16-" not in encoding else encoding)
    assert [key for key, _, _ in readings] == ["Ås", "B"]


def test_lines_above_the_header_and_units_below_it():
    data = "# export 2024\nUtility Ltd;;\n\nmeter;time;value\n;;m3\nA;01.02.2024 00:00;1,5\n;x;\n"
    readings, reader = read(data, tz="UTC")
    assert readings == [("A", utc(2024, 2, 1), 1.5)]
    assert (reader.dialect.header_line, reader.dialect.data_line) == (4, 6)
    assert [reject.line for reject in reader.rejects] == [7]


def test_no_header():
    assert read("A,2024-01-01T00:00Z,1\nB,2024-01-01T00:00Z,2\n")[0][1][0] == "B"
    assert read("735,2024-01-01T00:00Z,1\n736,2024-01-01T00:00Z,2\n")[0][1][0] == "736"


def test_date_and_clock_columns():
    data = "meter;Dato;Klokkeslett;verdi\nA;01.02.2024;03:04;1\nA;01.02.2024;;1\n"
    readings, reader = read(data, tz="UTC")
    assert readings == [("A", utc(2024, 2, 1, 3, 4), 1.0)]
    assert reader.rejections == {"empty time": 1}


def test_one_series_needs_a_key():
    data = "datetime,equipment load [kWh]\n2024-01-01 00:00:00,1.5\n"
    with pytest.raises(DialectError, match="series_key="):
        read(data, tz="UTC")
    assert read(data, tz="UTC", series_key="b1")[0] == [("b1", utc(2024, 1, 1), 1.5)]
    assert read(data, tz="UTC", wide=True)[0][0][0] == "equipment load [kWh]"


def test_columns_by_name_and_by_position():
    data = "a,b,c,d\nx,2024-01-01T00:00Z,1,2\n"
    for options in ({"series": "a", "value": "D"}, {"series": 1, "time": 2, "value": "4"}):
        assert read(data, **options)[0] == [("x", utc(2024, 1, 1), 2.0)]
    with pytest.raises(UsageError, match="value='e' is no column; there are 'a', 'b'"):
        read(data, value="e")
    with pytest.raises(UsageError, match="no option is called 'valeu'"):
        read(data, valeu="d")


def test_qualities():
    data = "meter,time,value,status\nA,2024-01-01T00:00Z,1,0\nA,2024-01-01T01:00Z,1,7\n"
    data += "A,2024-01-01T02:00Z,1,\n"
    assert [row[3] for row in read(data)[0]] == [0, 7, 0]
    readings, reader = read(data.replace(",7", ",300"), quality="status")
    assert [row[3] for row in readings] == [0, 0]
    assert reader.rejections == {"unreadable quality": 1}
    data = "meter,time,value,status\nA,2024-01-01T00:00Z,1,Målt\nA,2024-01-01T01:00Z,1,Estimert\n"
    assert [row[3] for row in read(data)[0]] == [0, 1]
    with pytest.raises(DialectError, match="'Antatt' in column 'status' is no quality that is known"):
        read(data.replace("Estimert", "Antatt"))
    readings, _ = read(data, quality_codes={"Målt": 0, "Estimert": 2})
    assert [row[3] for row in readings] == [0, 2]


def test_times_without_offset_need_a_zone():
    with pytest.raises(DialectError, match="say no offset: pass tz="):
        read(LONG)
    with pytest.raises(DialectError, match="pass tz="):
        read("meter,time,value\n" + "A,2024-01-01T00:00Z,1\n" * 6000 + "A,2024-01-01T00:00,1\n")


def test_a_fixed_offset_is_a_zone():
    readings, _ = read(LONG, tz="+01:00")
    assert readings[0][1] == utc(2024, 1, 31, 23)


def test_the_missing_hour_is_rejected_and_the_repeated_one_told_by_order():
    zone = ZoneInfo("Europe/Oslo")
    data = "meter;time;value\nA;31.03.2024 02:30;0\n"
    instants = [utc(2024, 10, 26, 22) + timedelta(minutes=15 * k) for k in range(24)]
    for k, instant in enumerate(instants):
        for key in "AB":
            data += f"{key};{instant.astimezone(zone):%d.%m.%Y %H:%M};{k}\n"
    source = Source(io.BytesIO(data.encode()))
    dialect = sniff_source(source, read_options({"tz": "Europe/Oslo"}))
    for block_size in (60, 150, 333, 1 << 20):
        source = Source(io.BytesIO(data.encode()))
        sniff_source(source, read_options({"tz": "Europe/Oslo"}))
        readings, reader = drain(LongReader(source, dialect, None, block_size))
        assert sorted(readings) == sorted(
            (key, instant, float(k)) for k, instant in enumerate(instants) for key in "AB"
        )
        assert reader.rejections == {"local time skipped by the change to summer time": 1}
        assert reader.rejects[0].line == 2
        assert reader.ambiguous == 0


def test_one_pass_of_the_repeated_hour_alone_is_ambiguous():
    times = ["27.10.2024 01:00", "27.10.2024 02:00", "27.10.2024 03:00"]
    data = "meter;time;value\n" + "".join(f"A;{time};1\n" for time in times)
    readings, reader = read(data, tz="Europe/Oslo")
    assert len(readings) == 3
    assert reader.ambiguous == 1


@pytest.mark.parametrize(
    ("interval", "stamp", "start"),
    [
        ("1h", "2024-04-01 00:00", utc(2024, 3, 31, 21)),
        ("15min", "2024-04-01 00:00", utc(2024, 3, 31, 21, 45)),
        ("1d", "2024-04-01 00:00", utc(2024, 3, 30, 23)),
        ("1mo", "2024-04-01 00:00", utc(2024, 2, 29, 23)),
        ("1d", "2024-03-31T22:00Z", utc(2024, 3, 30, 23)),
        ("1q", "2024-03-31T22:00Z", utc(2023, 12, 31, 23)),
    ],
)
def test_stamps_at_ends_are_stored_as_starts(interval, stamp, start):
    data = f"meter;time;value\nA;{stamp};1\n"
    readings, _ = read(data, tz="Europe/Oslo", stamp="end", interval=interval)
    assert readings[0][1] == start


def test_options_that_cannot_be():
    for options, message in (
        ({"stamp": "middle"}, "stamp='middle'"),
        ({"stamp": "end"}, "interval='1h'"),
        ({"stamp": "end", "interval": "1x"}, "interval='1x'"),
        ({"series": "a", "series_key": "b"}, "pass one of them"),
        ({"delimiter": "ab"}, "one ASCII character"),
        ({"member": "x"}, None),
    ):
        if message is not None:
            with pytest.raises(UsageError, match=message):
                read(LONG, **{"tz": "UTC", **options})


WIDE = (
    "time,6616,b285,2923\n"
    "2024-01-01 00:00:00+01:00,1.5,,NaN\n"
    "2024-01-01 01:00:00+01:00,2.5,x,3\n"
    "nonsense,1,2,3\n"
    "2024-01-01 02:00:00+01:00,,,\n"
    "2024-01-01 03:00:00+01:00,4,5\n"
)


def test_a_column_a_meter():
    readings, reader = read(WIDE)
    assert readings == [
        ("6616", utc(2023, 12, 31, 23), 1.5),
        ("6616", utc(2024, 1, 1, 0), 2.5),
        ("2923", utc(2024, 1, 1, 0), 3.0),
    ]
    assert (reader.rows, reader.empty, reader.rejected) == (15, 5, 7)
    assert [(reject.line, reject.reason) for reject in reader.rejects] == [
        (4, "unreadable time"),
        (6, "too few fields"),
        (3, "unreadable number in column 'b285'"),
    ]


def test_wide_files_wherever_they_are_cut_and_in_the_repeated_hour():
    zone = ZoneInfo("Europe/Oslo")
    instants = [utc(2024, 10, 26, 22) + timedelta(minutes=30 * k) for k in range(12)]
    data = "time;m1;m2\n"
    for k, instant in enumerate(instants):
        data += f"{instant.astimezone(zone):%d.%m.%Y %H:%M};{k},5;\n"
    for block_size in range(25, 120, 3):
        source = Source(io.BytesIO(data.encode()))
        dialect = sniff_source(source, read_options({"tz": "Europe/Oslo"}))
        readings, reader = drain(WideReader(source, dialect, None, block_size))
        assert readings == [("m1", instant, k + 0.5) for k, instant in enumerate(instants)]
        assert (reader.empty, reader.ambiguous) == (12, 0)


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(DataError, match="several columns are called 'm1'"):
        read(WIDE.replace("b285", "6616").replace("6616", "m1"))


@pytest.mark.parametrize(
    ("value", "delimiter", "expected"),
    [
        ("1,5", ";", 1.5),
        ("1.234,5", ";", 1234.5),
        ("1,234.5", ";", 1234.5),
        ("1,234", ";", 1.234),
        ("1 234,567", ";", 1234.567),
        ("1'234.5", ";", 1234.5),
        ("1.234.567", ";", 1234567.0),
        ("1,234,567", "\t", 1234567.0),
        ("0,234", "\t", 0.234),
    ],
)
def test_decimal_marks_are_told_from_the_cells(value, delimiter, expected):
    data = delimiter.join(["meter", "time", "value\nA", "2024-01-01 00:00", value])
    assert read(data + "\n", tz="UTC")[0][0][2] == expected


def test_an_open_comma_is_an_error_that_names_the_options():
    with pytest.raises(DialectError, match="decimal=',' or thousands=','"):
        read("meter\ttime\tvalue\nA\t2024-01-01 00:00\t1,234\n", tz="UTC")
    data = "meter\ttime\tvalue\nA\t2024-01-01 00:00\t1,234\n"
    assert read(data, tz="UTC", decimal=",")[0][0][2] == 1.234
    assert read(data, tz="UTC", thousands=",")[0][0][2] == 1234


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "nothing in it"),
        (b"\n\n \n", "nothing in it"),
        (b"just words\nand more\n", "pass delimiter="),
        (b"\x00" * 100_000, "no table of text"),
        (b"a;b;c\nx;y;z\n", "pass time="),
    ],
)
def test_what_is_no_table_is_a_clear_error(data, message):
    with pytest.raises(DialectError, match=message):
        read(data)


def test_a_header_alone_has_no_rows():
    readings, reader = read("meter,time,value\n", tz="UTC")
    assert (readings, reader.rows) == ([], 0)


def test_packed_files(tmp_path):
    expected = read(LONG, tz="UTC")[0]
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(LONG.encode()))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.csv", LONG)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("one.csv", "x")
        archive.writestr("two.csv", LONG)
    for name, options in (("a.csv.gz", {}), ("a.zip", {}), ("b.zip", {"member": "two.csv"})):
        reader = open_reader(tmp_path / name, tz="UTC", **options)
        assert drain(reader)[0] == expected
    with pytest.raises(UsageError, match=r"holds 2 files: pass member="):
        open_reader(tmp_path / "b.zip")
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(LONG.encode())[:-9])
    with pytest.raises(DataError, match=r"c\.csv\.gz"):
        drain(open_reader(tmp_path / "c.csv.gz", tz="UTC"))
    with pytest.raises(DataError, match=r"nowhere\.csv: cannot be read"):
        open_reader(tmp_path / "nowhere.csv")


def test_a_file_is_read_block_by_block():
    class Endless(io.RawIOBase):
        """More rows than any memory holds."""

        largest = 0
        given = 0

        def readable(self):
            return True

        def readinto(self, target):
            self.largest = max(self.largest, len(target))
            row = b"A,2024-01-01T00:00Z,1\n"
            target[:] = (row * (len(target) // len(row) + 1))[: len(target)]
            self.given += len(target)
            return len(target)

    file = Endless()
    source = Source(io.BufferedReader(file))
    dialect = sniff_source(source, read_options({"series": 1, "time": 2, "value": 3}))
    reader = LongReader(source, dialect, None, block_size=1 << 15)
    batches = iter(reader)
    for _ in range(3):
        next(batches)
    batches.close()
    assert file.given < 2 << 20
    assert file.largest <= 1 << 20


def test_the_dialect_says_itself_in_a_line():
    text = str(sniff(LONG.encode(), tz="Europe/Oslo"))
    assert "\n" not in text
    assert "series 'meter'; value 'value'" in text
    assert "delimiter ';', decimal ',', thousands ' '" in text


def test_a_broken_row_at_the_top_is_a_row():
    for header in ("meter,time,value\n", "meter,time,value\n,,m3\n"):
        readings, reader = read(header + "A,2024-01-01T00:00Z,x\nA,2024-01-01T01:00Z,1\n")
        assert len(readings) == 1
        assert reader.rejected == 1


def test_a_dot_between_digits_is_no_clock_without_a_name():
    readings, _ = read("meter;date;value\nA;2024-01-01;12.30\nA;2024-01-02;13.40\n", tz="UTC")
    assert [value for _, _, value in readings] == [12.3, 13.4]


def test_a_register_beside_its_rate_is_not_taken_for_two_series():
    data = "unix_ts,counter,avg_rate\n1333263600,1.5,0.0\n"
    with pytest.raises(DialectError, match="series_key="):
        read(data)
    assert read(data, series_key="water")[0] == [("water", utc(2012, 4, 1, 7), 1.5)]
    names = [f"m{k}" for k in range(12)]
    data = f"time,{','.join(names)}\n2024-01-01T00:00Z{',1' * 12}\n"
    assert [row[0] for row in read(data)[0]] == names


def test_old_macintosh_lines_and_dos_letters():
    data = LONG.replace("A", "Ås").replace("\n", "\r")
    readings, _ = read(data.encode("cp850"), tz="UTC", encoding="cp850")
    assert [key for key, _, _ in readings] == ["Ås", "B"]
    with pytest.raises(DialectError, match="encoding='klingon' is not known"):
        read(data, encoding="klingon")
    with pytest.raises(DialectError, match="encoding='rot13' is not known"):
        read(data, encoding="rot13")
    with pytest.raises(DataError, match="no text in this encoding"):
        read(LONG.encode("utf-16") + b"\x00\xd8\x00\xd8", tz="UTC")


def test_zones_that_are_none():
    with pytest.raises(UnknownTimeZoneError, match="Mars"):
        read(LONG, tz="Mars/Base")


def test_progress_goes_from_nothing_to_all(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("meter,time,value\n" + "A,2024-01-01T00:00Z,1\n" * 60_000)
    with open_reader(path) as reader:
        assert 0 < reader.progress < 1
        list(reader)
        assert reader.progress == 1
    assert open_reader(io.BytesIO(LONG.encode()), tz="UTC").progress is None
