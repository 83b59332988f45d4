"""Another `os` for the store's modules: it counts system calls, and lets a test meddle with each."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from smartdata_ts._storage import disk, locks, mapped_file
from smartdata_ts._storage.system import posix, windows

# What a hook is asked before: (number of the call, its name, its arguments). It may raise, or return a
# replacement of the arguments.
Hook = Callable[[int, str, tuple[Any, ...]], tuple[Any, ...] | None]
Done = Callable[[int, str, tuple[Any, ...], Any], None]


class WatchedModule:
    """A module whose functions of some names go through hooks; all else is the module's own."""

    def __init__(self, module: Any, names: set[str], watch: "Watch") -> None:
        self._module, self._names, self._watch = module, names, watch

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if name not in self._names:
            return found
        return lambda *arguments, **named: self._watch.call(name, found, arguments, named)


class Watch:
    """Numbers the calls; threads take turns, so that what a hook sees is in order."""

    def __init__(self, before: Hook | None, after: Done | None) -> None:
        self._before, self._after = before, after
        self._lock = threading.Lock()
        self.count = 0

    def call(self, name: str, function: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        with self._lock:
            number, self.count = self.count, self.count + 1
            if self._before is not None:
                arguments = self._before(number, name, arguments) or arguments
            result = function(*arguments, **named)
            if self._after is not None:
                self._after(number, name, arguments, result)
            return result


# Every function of `os` that takes a path or a descriptor, `close` aside: a kernel closes in any case.
CALLS = {name for name in os.__all__ if callable(getattr(os, name))} - {
    *(name for name in os.__all__ if name[0] == "_" or isinstance(getattr(os, name), type)),
    "access",  # which raises nothing
    "close",
    "fspath",
    "fsdecode",
    "fsencode",
    "getpid",
    "strerror",
    "urandom",
    "walk",  # which makes calls of its own
}


@contextmanager
def watched(before: Hook | None = None, after: Done | None = None) -> Iterator[Watch]:
    """Put hooks around all that the store's modules ask of the system."""
    watch = Watch(before, after)
    names = {"os": CALLS, "pa": {"memory_map"}, "fcntl": {"flock", "fcntl"}}
    places = [(module, "os") for module in (disk, mapped_file, locks, posix, windows)]
    places += [(mapped_file, "pa"), (locks, "fcntl"), (posix, "fcntl")]
    originals = [(module, name, getattr(module, name)) for module, name in places]
    try:
        for module, name, original in originals:
            setattr(module, name, WatchedModule(original, names[name], watch))
        yield watch
    finally:
        for module, name, original in originals:
            setattr(module, name, original)
