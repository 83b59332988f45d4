"""Every example in a docstring runs, and gives what it says."""

import doctest
import importlib
import pkgutil

import pytest

import smartdata_ts

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(smartdata_ts.__path__, "smartdata_ts.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", ["smartdata_ts", *MODULES])
def test_examples(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


def test_the_facade_shows_an_example_of_everything() -> None:
    examples = {
        test.name.removeprefix("smartdata_ts._")
        for name in ("smartdata_ts._store", "smartdata_ts._query")
        for test in doctest.DocTestFinder().find(importlib.import_module(name))
        if test.examples
    }
    expected = {"store.open_store", "query.Query.resample", "query.Query.last"}
    expected |= {f"store.Store.{name}" for name in ("write", "writer", "describe", "query")}
    assert expected <= examples
