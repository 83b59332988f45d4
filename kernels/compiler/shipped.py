"""Kernels that came along with the package, compiled for levels of CPU (`machine.py`).

In the folder `compiled` of a wheel for Linux on x86-64:

    x86-64-v3.so        a shared object of all kernels, one a level, each kernel's symbol being its place
    cpython-311.txt     for each Python a line per object, and a line per kernel:
                            object <level> <BLAKE2b digest of its bytes>
                            kernel <place> <key of its source>

The keys of sources are of bytecode, which differs between Pythons; the objects fit each of them, since they
use CPython's stable ABI, and arrays as `native.py` finds them in the running process. A kernel is taken where
its source has the very key. The object is trusted by its digest, as the package's own files are, whatever
user owns them; a damaged one is left alone.
"""

import sys
from _blake2 import blake2b
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .key import source_key
from .machine import LEVELS, cpu_level, maps_shared_objects

if TYPE_CHECKING:
    from .kernel import Kernel

FOLDER = Path(__file__).parents[1] / "compiled"


class Table(NamedTuple):
    """The content of one Python's file: digests by level, keys of sources by place."""

    digests: dict[str, str]
    keys: dict[str, str]


def place_of(kernel: "Kernel") -> str:
    """Return the name of `kernel` among all."""
    return f"{kernel.__module__}.{kernel.__name__}"


def find(kernel: "Kernel") -> Path | None:
    """Return the shared object that has `kernel` as it is in this process, None where none has."""
    if not maps_shared_objects():
        return None
    wanted = table(FOLDER).keys.get(place_of(kernel))
    return _object() if wanted and wanted == source_key(kernel) else None


@cache
def table(folder: Path) -> Table:
    """Return what came along for this Python; nothing perhaps."""
    found = Table({}, {})
    try:
        text = table_path(folder).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return found
    for line in text.splitlines():
        kind, name, value = line.split() if line.count(" ") == 2 else ("", "", "")
        if kind in ("object", "kernel"):
            (found.digests if kind == "object" else found.keys)[name] = value
    return found


def table_path(folder: Path) -> Path:
    """Return the name of this Python's file; a build without a GIL, whose objects differ, has none."""
    tag = f"{sys.implementation.cache_tag}{'' if object.__basicsize__ == 16 else '-other'}"
    return folder / f"{tag}.txt"


@cache
def _object() -> Path | None:
    """Return the object of the highest level that this CPU has, if it is whole."""
    own = cpu_level()
    for level in reversed(LEVELS[: LEVELS.index(own) + 1] if own else ()):
        if digest := table(FOLDER).digests.get(level):
            path = FOLDER / f"{level}.so"
            return path if _is_whole(path, digest) else None
    return None


def _is_whole(path: Path, digest: str) -> bool:
    try:
        return digest_of(path.read_bytes()) == digest
    except OSError:
        return False


def digest_of(content: bytes) -> str:
    """Return the digest of an object's bytes."""
    return blake2b(content, digest_size=32).hexdigest()
