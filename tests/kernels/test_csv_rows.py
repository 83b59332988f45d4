"""Rows and fields against the csv module, wherever blocks are cut."""

import csv
import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smartdata_ts.errors import DataError
from smartdata_ts.formats import Dialect
from smartdata_ts.formats._columns.time_format import TimeFormat
from smartdata_ts.formats._source import Source
from smartdata_ts.formats._text.row_blocks import RowBlocks
from smartdata_ts.formats._text.slabs import Slabs
from smartdata_ts.kernels.text import keys as text_keys
from smartdata_ts.kernels.text import rows as text_rows
from smartdata_ts.kernels.text import status as text_status

COLUMNS = 3


def dialect_of(columns: int = COLUMNS, **options) -> Dialect:
    names = tuple(map(str, range(columns)))
    return Dialect(columns=names, time=0, values=(1,), time_format=TimeFormat(), **options)


def split(data: bytes, block_size: int = 1 << 16, capacity: int = 4, **options):
    """Status, line and cells of every row."""
    dialect = dialect_of(**options)
    columns = range(len(dialect.columns))
    slabs = Slabs(dialect, list(columns), capacity)
    rows = []
    for block in RowBlocks(Source(io.BytesIO(data)), dialect, block_size):
        for statuses in slabs.split(block):
            spans = [slabs.spans(k + 1)[: 2 * statuses.size].reshape(-1, 2) for k in columns]
            starts = slabs.spans(0)[: 2 * statuses.size : 2]
            for row, status in enumerate(statuses.tolist()):
                cells = [block.buffer[slice(*span[row])].tobytes().decode() for span in spans]
                rows.append((status, block.line_at(int(starts[row])), [plain(cell) for cell in cells]))
    return rows


def plain(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if cell.startswith('"') else cell


# Blanks around fields are cut off, which the csv module does not do: none are drawn there.
fields = st.text('a1,;"\n\r', max_size=6).map(str.strip)


def written(rows: list[list[str]], delimiter: str, newline: str, quoting: int) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=quoting).writerows(rows)
    return text.getvalue()


@settings(deadline=None)
@given(
    st.lists(st.lists(fields, min_size=COLUMNS, max_size=COLUMNS), max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
)
@example([["a", "b", ""]], ",", "\n", csv.QUOTE_MINIMAL, True)
@example([['"', '""', '\n"']], ",", "\r\n", csv.QUOTE_MINIMAL, True)
def test_what_the_csv_module_wrote_is_read_back(rows, delimiter, newline, quoting, whole):
    text = written(rows, delimiter, newline, quoting)
    if not whole:
        text = text.removesuffix("\n").removesuffix("\r")
    found = split(text.encode(), delimiter=delimiter)
    assert [cells for _, _, cells in found if any(cells)] == [row for row in rows if any(row)]
    assert all(status in (text_status.OK, text_status.EMPTY_ROW) for status, _, _ in found)


def test_every_cut_between_blocks_gives_the_same_rows():
    text = b'a,b,c\r\n"d\n,""","e",f\n\nx,y\n1,2,3,4\n"q"z,r,s\n7,"8\n",9'
    whole = split(text)
    assert [status for status, _, _ in whole] == [
        text_status.OK,
        text_status.OK,
        text_status.TOO_FEW_FIELDS,
        text_status.TOO_MANY_FIELDS,
        text_status.MALFORMED_QUOTES,
        text_status.OK,
    ]
    assert [line for _, line, _ in whole] == [1, 2, 5, 6, 7, 8]
    longest = len('"d\n,""","e",f\n')
    for block_size in range(longest, len(text) + 3):
        assert split(text, block_size) == whole


@settings(deadline=None)
@given(st.text('ab,\n"\r ', max_size=30), st.integers(24, 40))
def test_any_text_gives_the_same_rows_wherever_it_is_cut(text, block_size):
    # A row must fit in a block.
    try:
        found = split(text.encode(), block_size)
    except DataError:
        return
    assert found == split(text.encode())


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 255))
def test_bytes_are_counted(data, byte):
    assert text_rows.count_byte(np.frombuffer(data, np.uint8), byte) == data.count(byte)


@given(st.binary(max_size=60), st.integers(1, 5))
def test_any_bytes_are_split_within_their_bounds(data, columns):
    buffer = np.frombuffer(data, np.uint8)
    ends = np.empty(buffer.size + 1, np.int32)
    count = text_rows.find_ends(buffer, buffer.size, 44, 10, 34, True, ends)
    assert count <= buffer.size
    assert np.all(np.diff(ends[:count]) > 0)
    assert {data[end] for end in ends[:count]} <= {44, 10}
    count = text_rows.whole_rows(buffer, 10, count, ends)
    next_end = np.zeros(1, np.int64)
    spans = np.full(200 * (columns + 1), -1, np.int32)
    slots = np.arange(1, columns + 1, dtype=np.int32)
    statuses = np.zeros(100, np.uint8)
    row_format = text_rows.RowFormat(10, 34, 100)
    rows = text_rows.split_rows(buffer, ends, count, slots, row_format, next_end, spans, statuses)
    assert next_end[0] == count
    for k in range(columns + 1):
        used = spans[200 * k : 200 * k + 2 * rows].reshape(-1, 2)
        assert np.all((used >= 0) & (used <= buffer.size))
        assert np.all(used[:, 0] <= used[:, 1])


def test_a_stray_quote_costs_its_own_line():
    filler = "a,b,c\n" * 20_000
    text = 'x,"y,z\n' + filler
    found = split(text.encode(), 1 << 18, capacity=1000)
    assert found[0][0] == text_status.MALFORMED_QUOTES
    assert len(found) == 20_001
    assert all(status == text_status.OK for status, _, _ in found[1:])


def test_a_quote_inside_a_field_is_text():
    assert split(b'5" pipe,a"b,c"\n') == [(0, 1, ['5" pipe', 'a"b', 'c"'])]


def test_blank_lines_are_no_rows_and_lines_of_delimiters_are_empty_ones():
    assert split(b"\n \r\n,,\na,b,c\n,,") == [
        (text_status.EMPTY_ROW, 3, ["", "", ""]),
        (text_status.OK, 4, ["a", "b", "c"]),
        (text_status.EMPTY_ROW, 5, ["", "", ""]),
    ]


def test_a_delimiter_at_the_end_of_a_line_is_no_field():
    assert split(b"a,b,c,\na,b,c, ,\n") == [(0, 1, ["a", "b", "c"]), (0, 2, ["a", "b", "c"])]


def test_a_row_longer_than_a_block_is_an_error():
    with pytest.raises(DataError, match="line 2 is longer than 32 bytes"):
        split(b"a,b,c\n" + b"x" * 100, block_size=32)


def encode(keys: list[bytes], slot_count: int = 8, room: int = 64):
    buffer = np.frombuffer(b"".join(keys), np.uint8)
    stops = np.cumsum([0, *map(len, keys)])
    spans = np.column_stack([stops[:-1], stops[1:]]).astype(np.int32).ravel()
    slots = np.full(slot_count, -1, np.int32)
    key_stops = np.zeros(slot_count + 1, np.int64)
    successors = np.zeros(slot_count, np.int32)
    key_bytes = np.empty(room, np.uint8)
    state = np.array([0, -1, 0])
    codes = np.full(len(keys), -9, np.int32)
    reached = text_keys.encode_keys(buffer, spans, slots, key_stops, successors, key_bytes, state, codes)
    return reached, codes.tolist(), state.tolist()


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=40))
def test_keys_are_numbered_in_order_of_appearance(keys):
    numbers = {}
    expected = [numbers.setdefault(key, len(numbers)) if key else -1 for key in keys]
    reached, codes, state = encode(keys, 256, 1000)
    assert reached == len(keys)
    assert codes == expected
    assert state[text_keys.KEY_COUNT] == len(numbers)


def test_keys_stop_where_there_is_no_room():
    keys = [b"a", b"b", b"a", b"c", b"d", b"e"]
    assert encode(keys)[:2] == (5, [0, 1, 0, 2, 3, -9])
    assert encode([b"ab", b"cd"], room=3)[0] == 1
