"""What the site makes of the project's pages, and what it refuses."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from page_examples import ROOT

# `make site` installs both.
PluginError = pytest.importorskip("mkdocs.exceptions").PluginError
pytest.importorskip("griffe")

PAGES = ("README.md", "CONTRIBUTING.md", "format.md", "decisions/README.md", "decisions/prefix-codes.md")


@pytest.fixture(scope="module")
def site() -> ModuleType:
    """The module that mkdocs.yml names."""
    spec = importlib.util.spec_from_file_location("documentation_site", ROOT / ".ci" / "site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fitted(site: ModuleType, here: str, markdown: str) -> str:
    """The Markdown of the page `here` as the site has it."""
    page: Any = SimpleNamespace(file=SimpleNamespace(src_uri=here))
    files: Any = [SimpleNamespace(src_uri=name) for name in PAGES]
    found: str = site.on_page_markdown(markdown, page, files)
    return found


@pytest.mark.parametrize(
    ("here", "written", "on_the_site"),
    [
        ("README.md", "[a](docs/format.md)", "[a](format.md)"),
        ("README.md", "[a](docs/format.md#a-chunk)", "[a](format.md#a-chunk)"),
        ("CONTRIBUTING.md", "[a](docs/decisions/README.md)", "[a](decisions/README.md)"),
        ("CONTRIBUTING.md", "[a](docs/decisions/)", "[a](decisions/README.md)"),
        ("format.md", "[a](../CONTRIBUTING.md)", "[a](CONTRIBUTING.md)"),
        ("decisions/prefix-codes.md", "[a](../format.md)", "[a](../format.md)"),
        ("decisions/prefix-codes.md", "[a](../../README.md)", "[a](../README.md)"),
        ("README.md", "see [examples/](examples).", "see examples/."),
        (
            "README.md",
            "[a](https://www.rfc-editor.org) [b](#here)",
            "[a](https://www.rfc-editor.org) [b](#here)",
        ),
        ("README.md", "```\n[a](nothing.md)\n```", "```\n[a](nothing.md)\n```"),
    ],
)
def test_a_link_of_the_repository_fits_the_site(
    site: ModuleType, here: str, written: str, on_the_site: str
) -> None:
    assert fitted(site, here, written) == on_the_site


def test_a_link_to_nothing_is_refused(site: ModuleType) -> None:
    with pytest.raises(PluginError, match=re.escape("README.md: docs/none.md leads nowhere")):
        fitted(site, "README.md", "[a](docs/none.md)")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://cdn.example/x.js"></script>'),
        ("a.html", "<img alt='' src=//cdn.example/x.png>"),
        ("a.html", '<link rel="stylesheet" href="https://fonts.example/css">'),
        ("a.css", "@import 'https://fonts.example/css';"),
        ("a.css", "a { background: url(https://cdn.example/x.png) }"),
    ],
)
def test_a_site_that_loads_from_elsewhere_is_refused(
    site: ModuleType, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PluginError, match="loads from elsewhere"):
        site.on_post_build({"site_dir": str(tmp_path)})


def test_a_site_may_link_to_elsewhere(site: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://arrow.apache.org">Arrow</a> <script src="a.js"></script>'
    )
    site.on_post_build({"site_dir": str(tmp_path)})


def test_examples_and_trees_of_docstrings_become_code(site: ModuleType) -> None:
    item = SimpleNamespace(docstring=SimpleNamespace(value="Say.\n\n>>> 1 + 1\n2\n\nA\n└─B\n├── C"))
    site.Doctests().on_object(obj=item)
    assert item.docstring.value == "Say.\n\n```pycon\n>>> 1 + 1\n2\n```\n\n```text\nA\n└─B\n├── C\n```"
    nothing = SimpleNamespace(docstring=None)
    site.Doctests().on_object(obj=nothing)
