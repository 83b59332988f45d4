"""Windows' manners on Linux: no file of a store that is open is removed or replaced, and there is no /proc.

An audit hook sees every such call before it is made. It refuses those of the package only: a test may remove
what it likes. The hook itself looks into /proc to find what is open, in this process and in its children.
"""

import errno
import os
import sys
from pathlib import Path
from types import FrameType

import smartdata_ts

_PACKAGE = os.fspath(Path(smartdata_ts.__file__).parent)
_PACKAGES = (_PACKAGE, os.path.realpath(f"{_PACKAGE}/kernels"))
_REFUSED = {"os.remove": 1, "os.rename": 2}  # event -> how many of its arguments are names


def adopt() -> None:
    """Refuse from now on; a hook stays for as long as the process lives."""
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and str(arguments[0]).startswith("/proc") and _is_asked_by_package():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), arguments[0])
    if (count := _REFUSED.get(event)) and _is_asked_by_package():
        for name in arguments[:count]:
            if is_open(os.path.realpath(os.fspath(name))):  # type: ignore[call-overload]
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)


def _is_asked_by_package() -> bool:
    """Whether a module of the package makes the call, itself or by `pathlib`."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and "pathlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_PACKAGES)


def is_open(path: str) -> bool:
    """Whether this process has the file open or mapped."""
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if os.fspath(descriptor.readlink()) == path:
                return True
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
    return path in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
