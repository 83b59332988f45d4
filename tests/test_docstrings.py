"""Every example in a docstring runs, and gives what it says."""

import doctest
import importlib
import inspect
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


INTERNAL = ("pin", "writing_catalog")  # for other modules of the package


def test_the_facade_shows_an_example_of_everything() -> None:
    missing = [
        f"{face.__name__}.{name}"
        for face in (smartdata_ts.Store, smartdata_ts.Query)
        for name, member in inspect.getmembers(face, inspect.isfunction)
        if not name.startswith("_") and name not in INTERNAL and ">>>" not in (member.__doc__ or "")
    ]
    assert not missing
