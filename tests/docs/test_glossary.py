"""Every word of docs/glossary.md occurs in the file that it is said to live in."""

import re

import pytest
from page_examples import ROOT, source_of

LINES = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
TERMS = [
    (cells[0], cells[1], cells[2].strip("`"))
    for cells in (
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in LINES if line[:2] == "| "
    )
    if len(cells) == 3 and cells[0] != "word"
]


def test_the_words_that_newcomers_ask_for_are_there() -> None:
    words = {word for word, _, _ in TERMS}
    assert {
        "slot",
        "position",
        "row",
        "cell",
        "block",
        "slice",
        "head",
        "tangled",
        "settled",
        "floor",
    } <= words
    assert len(TERMS) > 50


def test_each_word_is_explained_once() -> None:
    words = [word for word, _, _ in TERMS]
    assert sorted(set(words)) == sorted(words)


@pytest.mark.parametrize(("word", "meaning", "path"), TERMS, ids=[word for word, _, _ in TERMS])
def test_a_word_occurs_where_it_lives(word: str, meaning: str, path: str) -> None:
    assert meaning.endswith(".")
    source = source_of(path).read_text(encoding="utf-8")
    # Also in names: tangled_in, CELL_FIELDS, Frame.
    assert re.search(rf"(?<![a-z]){re.escape(word)}", source, re.IGNORECASE), f"{word!r} is not in {path}"
