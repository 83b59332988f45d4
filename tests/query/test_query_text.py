"""Queries as JSON: every query comes back, its schema is the signatures', and nothing else is read."""

import contextlib
import inspect
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smartdata_ts as sd
from smartdata_ts._query.grammar import STEPS
from smartdata_ts._query.query_schema import page, schema_of
from smartdata_ts.errors import UsageError

SCHEMA = Path(__file__).parents[2] / "docs" / "query.schema.json"
HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def store() -> Iterator[sd.Store]:
    with tempfile.TemporaryDirectory() as folder, sd.open(Path(folder) / "city.sdts") as opened:
        for key in ("a", "b", "å"):
            opened.describe(key, kind="interval", interval="1h", tags={"zone": "north"})
            opened.write({"series": key, "time": [k * HOUR for k in range(40)], "value": [0.5] * 40})
        yield opened


WIDTHS = st.sampled_from(["1h", "7min", "36h", "1d", "2w", "90s", "1001us"])
CALENDARS = st.sampled_from([("1d", "6h"), ("1mo", None), ("1y", "8mo"), ("1w", "1d"), ("15min", None)])
ZONES = st.sampled_from([None, "UTC", "Europe/Oslo", "Asia/Kathmandu"])
TIMES = st.one_of(
    st.none(),
    st.integers(-60_000_000_000_000_000, 250_000_000_000_000_000).map(lambda time: np.datetime64(time, "us")),
)
KEYS = st.lists(st.sampled_from(["a", "b", "å", '"\\', "\x01", "a b"]), max_size=3)
SELECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "series": st.none() | KEYS,
        "tags": st.dictionaries(st.sampled_from(["zone", "use"]), KEYS, max_size=2),
        "tz": st.sampled_from(["UTC", "Europe/Oslo"]),
        "as_of": st.sampled_from([None, 1]),
        "quality": st.lists(st.sampled_from(["measured", "missing", 3, 17, 255]), max_size=3),
        "on_corrupt": st.sampled_from(["raise", "skip"]),
    },
)
NAMES = st.sampled_from(
    ["count", "sum", "min", "max", "median", "p95", "p5", "p05", "p12.34", "p100", "p0.07"]
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
AGGREGATES = st.one_of(
    NAMES,
    st.lists(NAMES, min_size=1, max_size=4, unique=True),
    st.dictionaries(
        st.sampled_from(["x", "sum", "p5", "å"]),
        NAMES | st.lists(FINITE, min_size=1, max_size=4, unique=True).map(sorted),
        min_size=1,
        max_size=3,
    ),
)
METHODS = st.sampled_from(["none", "constant", "previous", "linear", "profile"])


@st.composite
def bucketed(draw: st.DrawFn, query: sd.Query) -> sd.Query:
    aggregates, empty, tz = draw(AGGREGATES), draw(st.booleans()), draw(ZONES)
    if draw(st.booleans()):
        every, offset = draw(CALENDARS)
        return query.resample(every, aggregates, tz, offset, empty)
    edges = sorted(draw(st.sets(st.integers(-(10**15), 10**15), min_size=2, max_size=4)))
    return query.resample(aggregates=aggregates, empty=empty, edges=[np.datetime64(at, "us") for at in edges])


@st.composite
def queries(draw: st.DrawFn, store: sd.Store, may_join: bool = True) -> sd.Query:
    bounds = sorted((draw(TIMES), draw(TIMES)), key=lambda time: (time is None, time))
    span = {"end" if at is None else "start": at for at in bounds[:1]}
    if None not in bounds:
        span = {"start": bounds[0], "end": bounds[1]}
    query = store.query(**span, **draw(SELECTIONS))
    first = draw(st.sampled_from(["", "consumption", "hold", "last"]))
    if first == "consumption":
        query = query.consumption(draw(st.sampled_from([None, "m3", "kWh"])))
    if first == "hold":
        query = query.hold(draw(st.none() | WIDTHS))
        if draw(st.booleans()):
            return query.resample("1d", ["time_mean", "completeness"])
    if first == "last":
        query = query.last()
    while first in ("", "consumption") and draw(st.booleans()):
        query = draw(st.sampled_from(_MIDDLES))(query, draw)
    if first in ("", "consumption") and draw(st.booleans()):
        query = _ended(draw, query)
    if may_join and query.rows.name != "GROUPS" and draw(st.booleans()):
        other = draw(queries(store, may_join=False).filter(lambda other: other.rows.name != "GROUPS"))
        rules = (draw(st.none() | WIDTHS), draw(st.sampled_from(["backward", "forward", "nearest"])))
        query = query.join_asof(other, *rules, by=draw(st.sampled_from([None, "zone"])))
    return query


def _filled(query: sd.Query, draw: st.DrawFn) -> sd.Query:
    value = draw(FINITE)
    if draw(st.booleans()):
        every = draw(st.sampled_from([None, "15min", "1d"]))
        return query.fill(draw(METHODS), draw(st.none() | WIDTHS), every, draw(ZONES), value)
    return query.fill(draw(st.lists(st.tuples(METHODS, WIDTHS), min_size=1, max_size=3)), value=value)


_MIDDLES: list[Callable[[sd.Query, st.DrawFn], sd.Query]] = [
    _filled,
    lambda query, _: query.difference(),
    lambda query, draw: query.rate(draw(WIDTHS)),
    lambda query, draw: query.align(draw(st.sampled_from(["15min", "1d"])), draw(ZONES)),
]


def _ended(draw: st.DrawFn, query: sd.Query) -> sd.Query:
    if draw(st.booleans()):
        names = draw(st.sampled_from(["mean", ["count", "std"], ["median"]]))
        return query.rolling(draw(WIDTHS), names, draw(st.booleans()), draw(st.integers(1, 9)))
    if draw(st.booleans()):
        return draw(bucketed(query))
    share = draw(st.floats(0, 1))
    how, by = (
        draw(st.sampled_from(["sum", "p95", "count"])),
        draw(st.sampled_from([(), "zone", ["zone", "use"]])),
    )
    return query.resample("1d", "sum").aggregate(how, by, share, draw(st.sampled_from([None, "m3"])))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_query_comes_back(store: sd.Store, data: st.DataObject) -> None:
    query = data.draw(queries(store))
    text = query.to_json()
    again = sd.Query.from_json(store, text)
    assert again == query
    assert again.to_json() == text
    assert again.schema == query.schema
    assert fits(json.loads(text), schema_of(sd.Store.query), schema_of(sd.Store.query))


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a value is as the schema says: the keywords that ours has, and no others."""
    if "$ref" in schema:
        return fits(value, root, root)
    names = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    names |= {"integer": int, "number": (int, float)}
    known = {"type", "anyOf", "oneOf", "const", "properties", "required", "items", "prefixItems", "minItems"}
    assert schema.keys() <= known | {"maxItems", "additionalProperties", "default", "$schema", "title"}
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, names[kind]) for kind in kinds):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    for word, count in (("anyOf", range(1, 99)), ("oneOf", (1,))):
        if word in schema and sum(fits(value, option, root) for option in schema[word]) not in count:
            return False
    if isinstance(value, dict):
        rest, own = schema.get("additionalProperties", {}), schema.get("properties", {})
        if not set(schema.get("required", [])) <= value.keys():
            return False
        rules = [own.get(key, rest) for key in value]
        return all(
            rule is not False and fits(of, rule, root) for of, rule in zip(value.values(), rules, strict=True)
        )
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 10**9):
            return False
        first = schema.get("prefixItems", [])
        rules = [*first[: len(value)], *[schema.get("items", {})] * (len(value) - len(first))]
        return all(fits(of, rule, root) for of, rule in zip(value, rules, strict=True))
    return True


def test_the_answer_is_the_same_to_the_bit(store: sd.Store) -> None:
    query = (
        store.query(start=np.datetime64(HOUR, "us"))
        .consumption()
        .resample("1d", ["sum", "p95"], "Europe/Oslo")
    )
    assert sd.Query.from_json(store, query.to_json()).to_arrow().equals(query.to_arrow())


def test_only_what_differs_from_the_defaults_is_written(store: sd.Store) -> None:
    assert json.loads(store.query().to_json()) == {"version": 1, "select": {}, "steps": []}
    query = store.query(tags={"zone": "north"}, tz="Europe/Oslo", quality="measured")
    query = (
        query.consumption()
        .fill("profile")
        .resample("1mo", ["sum", "completeness"])
        .aggregate("sum", by="zone")
    )
    assert json.loads(query.to_json()) == {
        "version": 1,
        "select": {"tags": {"zone": ["north"]}, "tz": "Europe/Oslo", "quality": ["measured"]},
        "steps": [
            ["consumption", {}],
            ["fill", {"method": [["profile", "1w"]]}],
            ["resample", {"aggregates": ["sum", "completeness"], "every": "1mo"}],
            ["aggregate", {"how": "sum", "by": ["zone"]}],
        ],
    }


def test_a_text_written_by_hand_is_read(store: sd.Store) -> None:
    text = """{"select": {"tags": {"zone": "north"}, "start": "2025-01-01", "end": "2026-01-01",
                "tz": "Europe/Oslo"},
     "steps": [["consumption", {}], ["fill", {"method": "profile", "limit": "7d"}],
               ["resample", {"every": "1mo", "aggregates": ["sum", "completeness"]}],
               ["aggregate", {"how": "sum"}]]}"""
    query = store.query(tags={"zone": "north"}, start="2025-01-01", end="2026-01-01", tz="Europe/Oslo")
    query = query.consumption().fill("profile").resample("1mo", ["sum", "completeness"]).aggregate("sum")
    assert sd.Query.from_json(store, text) == query
    assert sd.Query.from_json(store, "{}") == store.query()


def test_functions_are_refused_in_a_sentence(store: sd.Store) -> None:
    query = store.query().resample("1d", {"p2p": lambda values: values.max() - values.min()})
    with pytest.raises(UsageError, match="aggregate 'p2p' is a function, which JSON cannot say"):
        query.to_json()


def test_numbers_that_are_not_finite_are_refused(store: sd.Store) -> None:
    for query in (
        store.query().fill("constant", value=float("inf")),
        store.query().resample("1d", {"h": [-float("inf"), 0.0]}),
    ):
        with pytest.raises(UsageError, match="finite"):
            query.to_json()


NESTED = '{"steps": ' + "[" * 50_000 + "]" * 50_000 + "}"
JOINS = '{"steps": [["join_asof", {"other": ' * 3_000 + "{}" + "}]]}" * 3_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("select", "no JSON"),
        ("[]", "a query must be an object"),
        ("null", "a query must be an object"),
        ('"{}"', "a query must be an object"),
        ('{"selects": {}}', "no key 'selects'; there are version, select, steps"),
        ('{"version": 2}', "version 2 .* not known"),
        ('{"version": true}', "version True .* not known"),
        ('{"select": []}', "select must be an object"),
        ('{"select": {"serie": "a"}}', "select has no key 'serie'; there are series, tags, start"),
        ('{"select": {"self": "a"}}', "select has no key 'self'"),
        ('{"select": {"start": 0.5}}', "an instant cannot be read from 0.5"),
        ('{"select": {"start": 1e999}}', "no double can hold"),
        ('{"select": {"start": NaN}}', "NaN, which is no number of JSON"),
        ('{"select": {"start": -Infinity}}', "-Infinity, which is no number of JSON"),
        ('{"select": {"start": ' + "9" * 5_000 + "}}", "more than 64 bits"),
        ('{"select": {"start": 99999999999999999999}}', "64 bits"),
        ('{"select": {"tz": {}}}', "time zone"),
        ('{"select": {"series": "\\ud800"}}', "series must be"),
        ('{"select": {"series": "a", "series": "b"}}', "the key 'series' twice"),
        ('{"steps": {}}', "steps must be a list"),
        ('{"steps": ["last"]}', "a step must be"),
        ('{"steps": [["last"]]}', "a step must be"),
        ('{"steps": [["last", {}, {}]]}', "a step must be"),
        ('{"steps": [[[], {}]]}', "a step must be"),
        ('{"steps": [["to_arrow", {}]]}', "unknown step 'to_arrow'; there are consumption, hold"),
        ('{"steps": [["__class__", {}]]}', "unknown step '__class__'"),
        ('{"steps": [["last", []]]}', "last must be an object"),
        ('{"steps": [["last", {"count": 1}]]}', "last has no key 'count'; there are none"),
        ('{"steps": [["rate", {"for": "1h"}]]}', "rate has no key 'for'; there are per"),
        ('{"steps": [["rolling", {}]]}', "rolling needs width"),
        ('{"steps": [["last", {}], ["last", {}]]}', "last.. follows a selection"),
        ('{"steps": [["resample", {"every": "1d", "aggregates": {"h": [1e308, 1e309]}}]]}', "no double"),
        ('{"steps": [["join_asof", {"other": 5}]]}', "a query must be an object"),
        ('{"steps": [["join_asof", {"other": {"select": {"serie": 1}}}]]}', "select has no key 'serie'"),
        (NESTED, "nested too deeply"),
        (JOINS, "nested too deeply"),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_no_query_is_said(store: sd.Store, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sd.Query.from_json(store, text)


ODD = [
    None,
    True,
    0,
    -1,
    0.5,
    10**18,
    "",
    "x",
    "1d",
    [],
    [[]],
    [1, "a"],
    {},
    {"a": []},
    [["linear", 3]],
    {"x": [1, "y"]},
]


def test_values_of_any_kind_in_any_place_are_taken_or_refused(store: sd.Store) -> None:
    """Whatever JSON says, the end is a query or a UsageError."""
    random_choice = random.Random(7)
    for _ in range(3_000):
        name = random_choice.choice([*STEPS, "align"])
        parameters = [key for key in inspect.signature(getattr(sd.Query, name)).parameters if key != "self"]
        arguments = {key: random_choice.choice(ODD) for key in parameters if random_choice.random() < 0.7}
        select_names = list(inspect.signature(store.query).parameters)
        select = {key: random_choice.choice(ODD) for key in random_choice.sample(select_names, 1)}
        before = random_choice.choice(
            [[], [["consumption", {}]], [["resample", {"every": "1d", "aggregates": "sum"}]]]
        )
        text = json.dumps(
            {"select": select if random_choice.random() < 0.2 else {}, "steps": [*before, [name, arguments]]}
        )
        with contextlib.suppress(UsageError):
            assert isinstance(sd.Query.from_json(store, text), sd.Query)


def test_the_schema_in_the_docs_is_that_of_the_signatures() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == page(sd.Store.query), "run `make docs`"


def test_the_schema_has_every_step_and_every_parameter() -> None:
    schema = schema_of(sd.Store.query)
    steps = {
        each["prefixItems"][0]["const"]: each["prefixItems"][1]
        for each in schema["properties"]["steps"]["items"]["oneOf"]
    }
    assert steps.keys() == {*STEPS, "align"}
    for name, arguments in steps.items():
        assert ["self", *arguments["properties"]] == list(
            inspect.signature(getattr(sd.Query, name)).parameters
        )
    assert not fits({"steps": [["last", {"n": 5}]]}, schema, schema)
    assert not fits({"steps": [["rolling", {}]]}, schema, schema)
    assert fits({"steps": [["rolling", {"width": "1h"}]]}, schema, schema)
