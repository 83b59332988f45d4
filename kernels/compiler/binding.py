"""A kernel as a callable of machine code: come along, found on disk, or compiled and kept there.

No failure here is an error to the caller. Where machine code cannot be had, `machine_code` says why
in a warning and returns None, and plain Numba compiles in this process.
"""

import contextlib
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import native, shipped
from .key import kernel_key
from .machine import maps_shared_objects
from .object_cache import DIGEST_SIZE, Folder, RefusedError, folder_candidates, warn

if TYPE_CHECKING:
    from .kernel import Kernel


class Bound(NamedTuple):
    """The callable of a kernel, the object that it is in, and whether that is new."""

    function: Callable[..., Any]
    path: Path
    is_new: bool


def machine_code(kernel: "Kernel", is_compiled: bool = True) -> Bound | None:
    """Return a callable for `kernel`, or None where it cannot be had.

    Without `is_compiled`, look only.
    """
    if not native.is_supported():
        return None
    search = _Search(kernel)
    bound = search.shipped() or search.found()
    if not bound and is_compiled:
        bound = search.built()
    if search.problems:
        place = f"using {bound.path.parent}" if bound else "compiling in each process"
        warn(f"{'; '.join(search.problems)}; {place}")
    return bound


class _Search:
    """One search for a kernel's object, and what stood in its way."""

    def __init__(self, kernel: "Kernel") -> None:
        self.kernel = kernel
        self.place = shipped.place_of(kernel)
        self.problems: list[str] = []
        self.content: bytes | None = None

    @cached_property
    def name(self) -> str:
        """The name of the kernel's object in a folder."""
        return f"{self.place}-{kernel_key(self.kernel)}"

    def shipped(self) -> Bound | None:
        """Look among the kernels that came along."""
        try:
            path = shipped.find(self.kernel)
            return Bound(native.load(path, self.place), path, is_new=False) if path else None
        except OSError as problem:
            self._note(problem)
        return None

    def found(self) -> Bound | None:
        """Look in each folder."""
        for candidate in folder_candidates():
            try:
                path = Folder(candidate).find(self.name)
                if path:
                    return self._loaded(path, is_new=False)
            except (OSError, RefusedError) as problem:
                self._note(problem)
        return None

    def built(self) -> Bound | None:
        """Compile the kernel, once even if many processes want it, and keep it where we may."""
        for candidate in folder_candidates():
            folder = Folder(candidate)
            try:
                folder.prepare()
                with folder.locked(self.place):
                    # A refused file in a folder of ours is replaced.
                    with contextlib.suppress(RefusedError):
                        path = folder.find(self.name)
                        if path:
                            return self._loaded(path, is_new=False)
                    path = folder.keep(self.name, self._compiled())
                return self._loaded(path, is_new=True)
            except (OSError, RefusedError) as problem:
                self._note(problem)
            except _NotCompiledError as problem:
                self._note(problem)
                break
        return None

    def _note(self, problem: Exception) -> None:
        if str(problem) not in self.problems:
            self.problems.append(str(problem))

    def _loaded(self, path: Path, is_new: bool) -> Bound:
        symbol = self.kernel.symbol
        if maps_shared_objects():
            return Bound(native.load(path, symbol), path, is_new)
        return Bound(native.load_object(path.read_bytes()[:-DIGEST_SIZE], symbol), path, is_new)

    def _compiled(self) -> bytes:
        if self.content is None:
            with _Note(self.place):
                self.content = _compiled(self.kernel)
        return self.content


class _NotCompiledError(Exception):
    """Machine code that stands alone could not be made."""


def _compiled(kernel: "Kernel") -> bytes:
    """Return the object of `kernel` that this system takes; raise NumbaError if the kernel is wrong."""
    from numba.core.errors import NumbaError

    from .compile import compile_object
    from .link import link

    try:
        content = compile_object(kernel)
        return link(content) if maps_shared_objects() else content
    except NumbaError:
        raise
    except Exception as problem:  # a Numba or LLVM that does not behave as the one that we know
        reason = f"{kernel} could not be compiled ahead: {type(problem).__name__}: {problem}"
        raise _NotCompiledError(reason) from problem


class _Note:
    """A line on a terminal that says why the first call takes its time."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.is_wanted = sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> None:
        self.start = time.monotonic()
        self._write(f"smartdata_ts: compiling {self.place} for this machine, once ... ")

    def __exit__(self, *_: object) -> None:
        self._write(f"{time.monotonic() - self.start:.1f} s\n")

    def _write(self, text: str) -> None:
        if self.is_wanted:
            sys.stderr.write(text)
            sys.stderr.flush()
