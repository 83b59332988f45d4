"""The fenced blocks of a page put where they belong, in a copy of the tree."""

import ast
import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import smartdata_ts
from smartdata_ts import kernels

ROOT = Path(__file__).parents[2]
PACKAGE = "smartdata_ts"
# Wherever the package is installed: what is tested need not be this checkout.
_FOLDERS = {PACKAGE: Path(smartdata_ts.__file__).parent, "kernels": Path(kernels.__file__).parent}
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PLACE = re.compile(r"# (?:new file: (?P<path>\S+)|into (?:class )?(?P<name>\w+) of (?P<folder>\S+))\n")


@dataclass(frozen=True)
class Block:
    """A block of Python: a whole file at `path`, or the end of what has `name` in a module of `folder`."""

    text: str
    path: str | None
    name: str | None
    folder: str | None


def blocks_of(page: Path) -> list[Block]:
    """The page's blocks of Python, in their order; each says where it goes."""
    found = []
    for language, text in _FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            place = _PLACE.match(text)
            assert place, f"{page.name}: a block does not say where it goes: {text[:60]!r}"
            found.append(Block(text[place.end() :], place["path"], place["name"], place["folder"]))
    return found


def copy_of_tree(target: Path) -> Path:
    """The package, with its kernels, and what pytest needs; no tests but those that a page adds."""
    shutil.copytree(
        _FOLDERS[PACKAGE], target / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", "kernels")
    )
    # In a checkout the kernels stand beside the package, which has a link to them.
    copied = target / PACKAGE / "kernels"
    shutil.copytree(_FOLDERS["kernels"], copied, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def source_of(path: str) -> Path:
    """The file that a page names: of the package, wherever that is installed, or of this tree."""
    folder, _, rest = path.partition("/")
    return _FOLDERS[folder] / rest if folder in _FOLDERS else ROOT / path


def put(block: Block, tree: Path) -> None:
    """Write a block where it belongs."""
    if block.path is not None:
        path = place_of(block.path, tree)
        assert not path.exists(), f"{block.path} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        return
    assert block.folder is not None
    assert block.name is not None
    path, end = _end_of(block.name, tree / block.folder)
    lines = path.read_text(encoding="utf-8").splitlines()
    added = textwrap.indent(textwrap.dedent(block.text).rstrip(), "    ")
    path.write_text("\n".join([*lines[:end], "", added, *lines[end:]]) + "\n", encoding="utf-8")


def place_of(path: str, tree: Path) -> Path:
    """Where a file of the repository stands in a copy, in which the kernels are part of the package."""
    return tree / PACKAGE / path if path.startswith("kernels/") else tree / path


def _end_of(name: str, folder: Path) -> tuple[Path, int]:
    """The module that has a class or a dict of this name, and how many of its lines come before the end."""
    found = [(path, end) for path in sorted(folder.glob("*.py")) for end in _ends(path, name)]
    assert len(found) == 1, f"{name} stands in {len(found)} modules of {folder.name}"
    return found[0]


def _ends(path: Path, name: str) -> Iterator[int]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            assert node.end_lineno is not None
            yield node.end_lineno
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                assert node.end_lineno is not None
                yield node.end_lineno - 1
