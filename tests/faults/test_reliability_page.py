"""The page of promises names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    files = re.findall(r"`(?:tests/)?(test_\w+\.py)`", TEXT)
    functions = re.findall(r"`(test_\w+)`", TEXT)
    assert len(files) > 8
    assert functions
    assert [name for name in files if name not in sources] == []
    assert [name for name in functions if not any(f"def {name}(" in text for text in sources.values())] == []
