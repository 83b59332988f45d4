"""Where things stand that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SHARED_DATA = ROOT.parent / "shared" / "data"  # real readings, which not every machine has
