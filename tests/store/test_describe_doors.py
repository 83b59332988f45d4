"""What is said of series: tables of another store, of pandas and of polars; units as people write them."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.command_line import run

import smartdata_ts as sd
from smartdata_ts._meter.units import UNITS
from smartdata_ts.errors import DataError
from smartdata_ts.formats import import_file

Form = Callable[[pa.Table], object]
FORMS: dict[str, Form] = {
    "arrow": lambda table: table,
    "batch": lambda table: table.combine_chunks().to_batches()[0] if table.num_rows else table,
    "pandas": lambda table: table.to_pandas(),
    "pandas filtered": lambda table: table.to_pandas().sort_values("series", ascending=False).iloc[::1],
    "pandas arrow": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas dictionaries": lambda table: table.to_pandas(maps_as_pydicts="strict"),
    "polars": lambda table: pl.DataFrame(pl.from_arrow(_with_lists(table))),
    "mapping": lambda table: table.to_pydict(),
}


def _with_lists(table: pa.Table) -> pa.Table:
    """Maps as lists of structures, the way in which polars has them."""
    if "tags" not in table.column_names:
        return table
    kind = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
    pairs = [[{"key": k, "value": v} for k, v in own] for own in table["tags"].to_pylist()]
    return table.set_column(table.column_names.index("tags"), "tags", pa.array(pairs, kind))


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6)
facts = st.fixed_dictionaries(
    {},
    optional={
        "quantity": texts,
        "unit": st.sampled_from([*UNITS, "1/h", "mg/L", "[pH]", "{NTU}"]),
        "kind": st.sampled_from(["register", "interval", "gauge"]),
        "interval": st.sampled_from(["15min", "1h", "1d", "7s"]),
        "decimals": st.integers(0, 9),
        "register_digits": st.integers(1, 12),
        "multiplier": st.sampled_from([0.01, 1.0, 10.0, 1 / 3]),
        "tags": st.dictionaries(
            texts | st.sampled_from(["unit", "series", "tags", "kind"]), texts | st.just("NaT")
        ),
    },
)


@given(described=st.dictionaries(texts, facts, min_size=1, max_size=4), form=st.sampled_from(sorted(FORMS)))
@settings(deadline=None, max_examples=150)
def test_what_another_store_says_of_its_series_is_said_to_the_last_fact(
    described: dict[str, dict[str, object]], form: str
) -> None:
    folder = tempfile.mkdtemp()
    with sd.open(folder + "/a") as a, sd.open(folder + "/b") as b:
        for key, said in described.items():
            a.describe(key, **said)  # type: ignore[arg-type]
        for _ in range(2):  # the second time changes nothing
            b.describe(FORMS[form](a.series()))
            assert b.series().equals(a.series())


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_exchanges_of_another_store_are_said_to_the_last_fact(tmp_path: Path, form: Form) -> None:
    with sd.open(tmp_path / "a") as a, sd.open(tmp_path / "b") as b:
        for store in (a, b):
            store.describe(["x", "y"])
        a.exchange("x", "2024-06-01", final=1.5, serial="K-1", register_digits=6, multiplier=0.1)
        a.exchange("y", "2024-06-02T03:04:05.678901", final=2.5, initial=0.25)
        b.exchange(form(a.exchanges()))
        assert b.exchanges().equals(a.exchanges())


def test_the_table_that_the_command_line_prints_is_read_back(tmp_path: Path) -> None:
    with sd.open(tmp_path / "a") as a:
        a.describe("x", "water", "m3", "register", "15min", 3, 8, 0.01, {"zone": "DMA-7", "øst": "ja"})
        a.describe("y", interval="1h", tags={"zone": "DMA-8"})
        a.describe("z")
        expected = a.series()
    printed = tmp_path / "series.csv"
    printed.write_text(run("series", tmp_path / "a", "--format", "csv").out)
    assert run("describe", tmp_path / "b", "--from", printed).status == 0
    with sd.open(tmp_path / "b") as b:
        assert b.series().equals(expected)


def test_facts_that_are_none_are_refused_with_their_series(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        for column, value, message in (
            ("interval_us", 0, "interval_us must be 1 to"),
            ("interval_us", 1.5, "interval_us must be a whole number"),
            ("decimals", 2.5, "decimals must be a whole number"),
            ("decimals", True, "decimals must be a whole number"),
            ("tags", [["a"]], "pairs of a name and a value"),
            ("tags", [["a", "b", "c"]], "pairs of a name and a value"),
            ("unit", "KVWH", "series 'x'.*no UCUM code"),
        ):
            with pytest.raises(DataError, match=message):
                store.describe({"series": ["x"], column: [value]})
        with pytest.raises(DataError, match="say one of them"):
            store.describe({"series": ["x"], "interval": ["1h"], "interval_us": [1]})
        with pytest.raises(DataError, match="no column 'series'; the table has 'meter'"):
            store.describe(pa.table({"meter": ["x"]}))
        with pytest.raises(DataError, match="tags must be a mapping"):
            store.describe("x", tags=["zone"])  # type: ignore[arg-type]
        assert store.info().series == 0
        store.describe({"series": ["x"], "decimals": [np.nan], "tags": ["a text"], "zone": [1]})
        (row,) = store.series().to_pylist()
        assert (row["decimals"], dict(row["tags"])) == (None, {"tags": "a text", "zone": "1"})


@pytest.mark.parametrize(
    "keys",
    [
        ("x", "y"), {"x", "y"}, iter(["x", "y"]), dict.fromkeys("xy").keys(), np.array(["x", "y"]),
        np.array(["x", "y"], object), pd.Series(["x", "y"]), pd.Index(["x", "y"]), pl.Series(["x", "y"]),
        pa.array(["x", "y"]), pa.chunked_array([["x"], ["y"]]), pa.array(["x", "y"]).dictionary_encode(),
        pd.Series(["x", "y"], dtype="category"),
    ],
    ids=lambda keys: type(keys).__module__.split(".")[0] + "." + type(keys).__name__,
)  # fmt: skip
def test_the_same_is_said_of_keys_in_whatever_holds_them(tmp_path: Path, keys: object) -> None:
    with sd.open(tmp_path / "s") as store:
        store.describe(keys, unit="m3")
        assert store.series()["series"].to_pylist() == ["x", "y"]


# -- units

UNDERSTOOD = {
    "m³": "m3", "m^3": "m3", "m**3": "m3", " m3 ": "m3", "M3": "m3", "M³/H": "m3/h", "m3/hour": "m3/h",
    "Liter": "L", "litres": "L", "LITRE": "L", "liter/sec": "L/s", "L/S": "L/s", "l per min": "l/min",
    "KWH": "kWh", "kwh": "kWh", "KW.H": "kW.h", "kW·h": "kW.h", "MWH": "MWh", "KW": "kW",
    "kilowatt hours": "kWh",
    "°C": "Cel", "℃": "Cel", "celsius": "Cel", "CEL": "Cel", "°F": "[degF]", "BAR": "bar", "HPA": "hPa",
    "percent": "%", "ppm": "[ppm]", "pH": "[pH]", "NTU": "{NTU}", "µg/m³": "ug/m3", "W/m²": "W/m2",
}  # fmt: skip
AS_THEY_ARE = [
    "m3",
    "L",
    "l",
    "ML",
    "mL",
    "kWh",
    "kW.h",
    "MW",
    "mW",
    "Cel",
    "1/h",
    "/min",
    "mg/L",
    "g/kg",
    "dB",
    "lx",
    "uS/cm",
    "mol/L",
    "{NTU}",
    "m3{normal}",
    "kvar",
    "kvarh",
    "kV.A",
    "10*3",
    "W/m2",
]
REFUSED = {
    "mw": "mW or MW", "mwh": "MWh", "MBAR": "mbar", "MM": "mm", "C": "Cel", "F": r"\[degF\]", "H": "h",
    "gallons": "gal_us", "Nm3": "m3", "foo": "docs/meters.md", "": "docs/meters.md", "m3/": "m3",
    "kWhh": "kWh",
    "m{3": "m3", "not a unit": "docs/meters.md",
}  # fmt: skip


def doors(folder: Path) -> dict[str, Callable[[sd.Store, str], object]]:
    def by_import(store: sd.Store, unit: str) -> object:
        (folder / "in.csv").write_text("series,time,value\nx,2024-01-01T00:00Z,1\n")
        return import_file(store, folder / "in.csv", unit=unit)

    def by_command(_: sd.Store, unit: str) -> object:
        done = run("describe", folder / "s", "x", "--unit", unit)
        if done.status:
            raise DataError(done.err)
        return done

    return {
        "describe": lambda store, unit: store.describe("x", unit=unit),
        "table": lambda store, unit: store.describe({"series": ["x"], "unit": [unit]}),
        "import": by_import,
        "command line": by_command,
    }


@pytest.mark.parametrize("door", ["describe", "table", "import", "command line"])
def test_a_unit_is_understood_or_refused_by_every_door(tmp_path: Path, door: str) -> None:
    with sd.open(tmp_path / "s") as store:
        say = doors(tmp_path)[door]
        few = door in ("import", "command line")  # slower ones
        for text, code in [*UNDERSTOOD.items(), *((text, text) for text in AS_THEY_ARE)][:: 9 if few else 1]:
            say(store, text)
            assert store.series()["unit"].to_pylist() == [code]
        before = store.series()
        for text, near in list(REFUSED.items())[:: 4 if few else 1]:
            with pytest.raises(DataError, match=f"is no UCUM code.*(?s:.*){near}"):
                say(store, text)
        assert store.series().equals(before)


def test_every_unit_of_the_table_is_a_code_and_stays_what_it_is(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        for unit in UNITS:
            store.describe(unit, unit=unit)
        assert all(row["unit"] == row["series"] for row in store.series().to_pylist())


@pytest.mark.parametrize("unit", [u for u in UNITS if len(u) > 1])
def test_a_wrong_case_never_makes_another_size_of_a_unit(tmp_path: Path, unit: str) -> None:
    with sd.open(tmp_path / "s") as store:
        for text in {unit.lower(), unit.upper(), unit.capitalize(), unit.swapcase()} - set(UNITS):
            try:
                store.describe("x", unit=text)
            except DataError:
                continue
            (found,) = store.series()["unit"].to_pylist()
            same = [u for u in UNITS if u.casefold() == text.casefold()]
            assert found == text or (found in same and len({UNITS[u].factor for u in same}) == 1)


def test_a_unit_that_an_earlier_release_took_stays_readable(tmp_path: Path) -> None:
    with sd.open(tmp_path / "s") as store:
        store.write({"series": "x", "time": [0, 3_600_000_000], "value": [1.0, 2.0]})
        catalog = store.writing_catalog()
        with catalog.transaction():
            catalog.set_facts(1, {"unit": "Gallonen"}, {})
        assert store.series()["unit"].to_pylist() == ["Gallonen"]
        assert store.query().consumption().to_arrow()["value"].to_pylist() == [1.0]
        store.describe("x", quantity="water")
        assert store.series()["unit"].to_pylist() == ["Gallonen"]
