"""The pages lead somewhere: links, files, targets of make, and the site's navigation."""

import re
from pathlib import Path

import pytest
from page_examples import ROOT, source_of

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]
DECISIONS = [path for path in (ROOT / "docs" / "decisions").glob("*.md") if path.name != "README.md"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose_of(name: str) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", text_of(name))


def anchors_of(path: Path) -> set[str]:
    """The anchors that a code host, and the site, give to headings."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_file_and_a_heading(name: str) -> None:
    for target in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", prose_of(name)):
        place, _, anchor = target.partition("#")
        path = (ROOT / name).parent / place if place else ROOT / name
        assert path.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors_of(path), f"{target}: no such heading"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CHANGELOG.md"])
def test_every_file_that_a_page_names_is_there(name: str) -> None:
    folders = "kernels|smartdata_ts|tests|docs|examples|benchmarks"
    for path in re.findall(rf"`((?:{folders})/[\w/.-]*)`", prose_of(name)):
        assert source_of(path).exists(), f"{name} names {path}"


@pytest.mark.parametrize("name", NAMES)
def test_every_target_of_make_that_a_page_names_is_one(name: str) -> None:
    for target in re.findall(r"`(?:[A-Z]+=\d+ )?make ([a-z]+)", text_of(name)):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"{name} names make {target}"


def test_contributing_names_every_target_that_runs_tests() -> None:
    page = text_of("CONTRIBUTING.md")
    for target in re.findall(r"^(\w+):.*## ", MAKEFILE, re.MULTILINE):
        assert target == "clean" or f"make {target}" in page, f"make {target} is not in CONTRIBUTING.md"


def test_the_site_shows_every_page() -> None:
    navigation = text_of("mkdocs.yml").partition("\nnav:\n")[2]
    shown = re.findall(r"^ *- (?:.*: )?(\S+\.md)$", navigation, re.MULTILINE)
    of_docs = [path.relative_to(ROOT / "docs").as_posix() for path in PAGES if path.parent != ROOT]
    assert sorted(shown) == sorted([*of_docs, *(path.name for path in PAGES if path.parent == ROOT)])


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_says_when_why_and_what_was_measured(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.match(r"# .+\n\n20\d\d-\d\d-\d\d\b.*\n\n## Context\n", text)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Measured", "Consequences"]
    assert f"]({path.name})" in text_of("docs/decisions/README.md")


def test_hooks_call_the_tools_of_the_environment_and_fetch_nothing() -> None:
    text = text_of(".pre-commit-config.yaml")
    assert re.findall(r"repo: (\S+)", text) == ["local"]
    entries = re.findall(r"entry: (\S+)(.*)", text)
    assert len(entries) == 4
    assert set(re.findall(r"language: (\S+)", text)) == {"system"}
    for tool, arguments in entries:
        command = f"$(BIN)/{tool.removeprefix('.venv/bin/')}{arguments.replace(' --force-exclude', '')}"
        assert command in MAKEFILE, f"make lint does not run {command}"
