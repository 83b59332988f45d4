"""How the suite searches, and which of its tests are of kernels.

It searches the same examples on every run, so that a failure belongs to the change at hand. `make search`
looks at new ones instead (HYPOTHESIS_PROFILE=random) and keeps what it finds in .hypothesis.
"""

import inspect
import os
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# These take limits of others as they are imported, which must not happen while a test has changed one.
for name in ("compact", "removal", "retention"):
    import_module(f"smartdata_ts._upkeep.{name}")

if os.environ.get("SMARTDATA_TS_PORTABLE") == "1":
    from support import windows_manners

    windows_manners.adopt()

_KERNEL_IMPORT = re.compile(
    r"^from smartdata_ts\.kernels(?!\.(?:compiler|arrays)\b)[\w.]* import", re.MULTILINE
)


def imports_kernels(source: str) -> bool:
    """Tell whether a module of tests imports kernels, and not only what compiles them."""
    return _KERNEL_IMPORT.search(source) is not None


@cache
def _is_of_kernels(module: ModuleType) -> bool:
    return imports_kernels(inspect.getsource(module))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests of modules that import kernels: `make modes` runs them in every mode."""
    if isinstance(item, pytest.Function) and _is_of_kernels(item.module):
        item.add_marker("kernel")


@pytest.fixture(scope="session", autouse=True)
def _no_folders_left() -> Iterator[None]:
    """What examples put into temporary folders goes when the tests are done."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
