"""Every example in a docstring runs, and gives what it says."""

import doctest
import inspect
from types import ModuleType

import pytest
from support.whole_package import MODULES

import smartdata_ts


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples(module: ModuleType) -> None:
    results = doctest.testmod(module)
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
