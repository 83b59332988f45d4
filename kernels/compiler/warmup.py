"""Compile all kernels ahead of their first use, for images and installers.

Numba holds the GIL, so two cores take two processes; a process takes whole files, as the kernels of
a file share much. This process does what another leaves undone, and complains in its place.
"""

import importlib
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from . import native
from .binding import machine_code
from .jit import mode
from .kernel import Kernel

_PROCESSES_MAX = 4  # each takes 300 MB

Progress = Callable[[int, int, str], None]


class WarmKernel(NamedTuple):
    """A kernel that is ready, and how it came to be: `path` is None where nothing is kept."""

    name: str
    path: Path | None
    is_new: bool


@dataclass(frozen=True)
class WarmupReport:
    """A warm-up's outcome: `mode` is how kernels run ("machine code", "numba" or "python")."""

    mode: str
    kernels: tuple[WarmKernel, ...]
    seconds: float

    @property
    def compiled_count(self) -> int:
        """The number of kernels that were compiled now."""
        return sum(kernel.is_new for kernel in self.kernels)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders where the objects are."""
        return tuple(sorted({kernel.path.parent for kernel in self.kernels if kernel.path}))


def warmup(
    progress: Progress | None = None,
    process_count: int | None = None,
    files: Collection[str] | None = None,
) -> WarmupReport:
    """Compile whatever is not kept already; of the kernel `files` named, such as "blocks", or of all.

    `progress` is called with the number of kernels done, the number of all, and a name. Where
    kernels are not kept as machine code (see `mode`) there is nothing to do ahead.
    """
    start = time.monotonic()
    kernels = [k for k in all_kernels() if files is None or k.__module__.split(".")[-1] in files]
    done: list[str] = []

    def tell(name: str) -> None:
        if name not in done:
            done.append(name)
            if progress is not None:
                progress(len(done), len(kernels), name)

    if mode() != "machine code" or not native.is_supported():
        return WarmupReport("numba" if mode() == "machine code" else mode(), (), 0.0)
    missing = [kernel for kernel in kernels if machine_code(kernel, is_compiled=False) is None]
    count = process_count or min(_core_count(), _PROCESSES_MAX)
    if count > 1 and missing:
        _compile_in_processes({kernel.__module__ for kernel in missing}, count, tell)
    missing_names = {_name(kernel) for kernel in missing}
    warm = []
    for kernel in kernels:
        bound = machine_code(kernel)
        name = _name(kernel)
        warm.append(WarmKernel(name, bound and bound.path, name in missing_names))
        tell(name)
    return WarmupReport(mode(), tuple(warm), time.monotonic() - start)


def _core_count() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:
        return os.cpu_count() or 1


def all_kernels() -> Iterator[Kernel]:
    """Yield every kernel of this package that Python enters."""
    package = importlib.import_module(__name__.rsplit(".", 2)[0])
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        name = module.name.removeprefix(f"{package.__name__}.")
        if not name.startswith(("_", "compiler")):
            yield from _kernels_of(module.name)


def _kernels_of(module_name: str) -> Iterator[Kernel]:
    for value in vars(importlib.import_module(module_name)).values():
        if isinstance(value, Kernel) and value.is_entry and value.__module__ == module_name:
            yield value


def _name(kernel: Kernel) -> str:
    return f"{kernel.__module__}.{kernel.__name__}"


def _compile_in_processes(modules: set[str], count: int, tell: Callable[[str], None]) -> None:
    shares = _shares(modules, count)
    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(lambda share: _compile_in_process(share, tell), shares))


def _shares(modules: set[str], count: int) -> list[list[str]]:
    """Deal out the files, the largest first, each to who has the least."""
    sizes = {name: _source_size(name) for name in modules}
    shares: list[list[str]] = [[] for _ in range(min(count, len(modules)))]
    for name in sorted(modules, key=lambda name: (-sizes[name], name)):
        min(shares, key=lambda share: sum(sizes[other] for other in share)).append(name)
    return shares


def _source_size(module_name: str) -> int:
    path = sys.modules[module_name].__file__
    return Path(path).stat().st_size if path else 0


def _compile_in_process(modules: Sequence[str], tell: Callable[[str], None]) -> None:
    command = [sys.executable, "-c", f"from {__name__} import _main; _main()", *modules]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tell(line.strip())


def _main() -> None:
    """Compile the files that the command line names, and tell each kernel's name."""
    for module_name in sys.argv[1:]:
        for kernel in _kernels_of(module_name):
            machine_code(kernel)
            sys.stdout.write(f"{_name(kernel)}\n")
            sys.stdout.flush()
