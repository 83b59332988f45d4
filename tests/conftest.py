"""How the suite searches: the same examples on every run, so that a failure belongs to the change at hand.

`make search` looks at new ones instead (HYPOTHESIS_PROFILE=random) and keeps what it finds in .hypothesis.
"""

import os
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("random", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session", autouse=True)
def _no_folders_left() -> Iterator[None]:
    """What examples put into temporary folders goes when the tests are done."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
