"""SenML: records resolved as RFC 8428 says, in JSON and CBOR, and the round trip."""

import io
import json

import cbor2
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartdata_ts.errors import DataError
from smartdata_ts.formats import open_reader, write


def read(data, **options):
    content = data if isinstance(data, bytes) else json.dumps(data).encode()
    with open_reader(io.BytesIO(content), **options) as reader:
        rows = [row for batch in reader for row in batch.to_pylist()]
    assert reader.rows == reader.taken + reader.empty + reader.rejected
    return [(row["series"], row["time"].timestamp(), row["value"]) for row in rows], reader


PACK = [
    {"bn": "dev:1:", "bt": 1.7e9, "bu": "l", "n": "flow", "v": 10, "bv": 1},
    {"n": "flow", "t": 60, "v": 11},
    {"n": "heat", "u": "Cel", "t": 60.5, "v": 20, "s": 7},
    {"n": "state", "vs": "open"},
    {"n": "flow", "t": -1.7e9, "v": 1},
    {"n": "flow", "v": "x"},
    {"bn": "", "v": 1},
    7,
]


def test_bases_are_added_and_what_is_no_number_is_passed_over_or_rejected():
    rows, reader = read(PACK)
    assert rows == [
        ("dev:1:flow", 1.7e9, 11.0),
        ("dev:1:flow", 1.7e9 + 60, 12.0),
        ("dev:1:heat", 1.7e9 + 60.5, 21.0),
        ("dev:1:heat/sum", 1.7e9 + 60.5, 7.0),
    ]
    facts = reader.facts()
    assert (facts["dev:1:flow"].unit, facts["dev:1:heat"].unit) == ("L", "Cel")
    assert (facts["dev:1:flow"].kind, facts["dev:1:heat/sum"].kind) == ("gauge", "register")
    assert [reject.line for reject in reader.rejects] == ["record 5", "record 6", "record 7", "record 8"]
    assert reader.notices == ["1 texts, truth values and data were passed over"]


def test_cbor_says_the_same_by_numbers():
    labels = {"bn": -2, "bt": -3, "bu": -4, "bv": -5, "n": 0, "u": 1, "v": 2, "vs": 3, "s": 5, "t": 6}
    pack = [{labels[name]: value for name, value in record.items()} for record in PACK[:-1]]
    assert read(cbor2.dumps(pack))[0] == read(PACK)[0]


@pytest.mark.parametrize(
    "data",
    [
        b"\x9b\x7f" + b"\xff" * 7 + b"\xa1\x00",
        b"\x81" * 100_000,
        b"\x9f\xa1\x00\x5b\x7f" + b"\xff" * 7,
        b"\xa1\x00\x01",
    ],
)
def test_hostile_cbor_is_an_error(data):
    with pytest.raises(DataError):
        read(data, format="senml")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b/ø"]),
            st.integers(300_000_000_000_000, 4_000_000_000_000_000),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
)
def test_what_is_written_comes_back(rows, cbor):
    keys, times, values = zip(*rows, strict=True)
    table = pa.table(
        {"series": list(keys), "time": pa.array(times, pa.timestamp("us", "UTC")), "value": list(values)}
    )
    file = io.BytesIO()
    assert write(file, table.to_reader(), "senml", cbor=cbor) == len(rows)
    with open_reader(io.BytesIO(file.getvalue()), "senml") as reader:
        found = pa.Table.from_batches(list(reader))
    assert found["series"].to_pylist() == list(keys)
    assert found["value"].to_pylist() == list(values)
    assert found["time"].cast(pa.int64()).to_pylist() == list(times)
