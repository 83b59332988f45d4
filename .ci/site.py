"""What mkdocs needs to know of this project; mkdocs.yml names this file.

- Pages that stand beside the docs folder (README.md and its like) become pages of the site.
- A link is written as a code host reads it, relative to the file in the repository. Here it is made to fit
  the site. A link to a file that is no page, such as an example, becomes its text alone.
- Examples in docstrings become blocks of code, and so does the tree of errors.
- The site loads nothing from elsewhere, or is not built.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
DOCS = "docs/"
ROOT_PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")

_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z+.-]*:")
_LOADED = (
    re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\"'\s>]+"),
    re.compile(r"<link\b(?![^>]*\brel=[\"']?canonical)[^>]*\bhref=[\"']?(?:https?:)?//[^\"'\s>]+"),
    re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^\"')\s]+"),
)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand beside the docs folder."""
    for name in ROOT_PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    # A code host shows a folder's README.md; so does the site.
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Make the page's links fit the site."""
    here = page.file.src_uri

    def fitted(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or _SCHEME.match(match["target"]):
            return match[0]
        place = _in_repository(here, target)
        if not (ROOT / place).exists():
            raise PluginError(f"{here}: {match['target']} leads nowhere")
        found = _in_site(place, files)
        if found is None:
            return match["text"]
        relative = posixpath.relpath(found, posixpath.dirname(here) or ".")
        return f"{match['image']}[{match['text']}]({relative}{'#' + anchor if anchor else ''})"

    # What stands in a block of code is no link.
    parts = _FENCED.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(fitted, part) for part in parts)


def _in_repository(here: str, target: str) -> str:
    folder = "" if here in ROOT_PAGES else posixpath.dirname(DOCS + here)
    return posixpath.normpath(posixpath.join(folder, target))


def _in_site(place: str, files: Files) -> str | None:
    """The source's name within the site of a file or folder of the repository."""
    name = place.removeprefix(DOCS) if place.startswith(DOCS) or place in ROOT_PAGES else None
    if name is None:
        return None
    known = {file.src_uri for file in files}
    return next((path for path in (name, f"{name}/README.md") if path in known), None)


def on_post_build(config: Any) -> None:
    """Fail where a page or a style would load something from elsewhere."""
    for path in sorted(Path(config["site_dir"]).rglob("*")):
        if path.suffix in (".html", ".css"):
            text = path.read_text(encoding="utf-8")
            if loaded := [found for pattern in _LOADED for found in pattern.findall(text)]:
                raise PluginError(f"{path}: loads from elsewhere: {loaded[0]}")


class Doctests(griffe.Extension):
    """Examples (>>>) and drawn trees of docstrings as blocks of code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence the parts of a docstring that are laid out by hand."""
        if obj.docstring is not None:
            obj.docstring.value = "\n\n".join(map(_fenced, obj.docstring.value.split("\n\n")))


def _fenced(paragraph: str) -> str:
    if paragraph.lstrip().startswith(">>>"):
        return f"```pycon\n{paragraph}\n```"
    if "├──" in paragraph:
        return f"```text\n{paragraph}\n```"
    return paragraph
