"""Compile the kernels that a wheel brings along; `shipped.py` says what the folder holds.

python -m smartdata_ts.kernels.compiler.shipping FOLDER x86-64-v3   the object of all kernels for a level
python -m smartdata_ts.kernels.compiler.shipping FOLDER             what they are to this Python; the last
"""

import sys
from pathlib import Path

from .key import source_key
from .link import link
from .machine import LEVELS
from .shipped import digest_of, place_of, table_path
from .warmup import all_kernels


def write_object(folder: Path, level: str) -> None:
    """Write the shared object of all kernels for a level of CPU."""
    from .compile import compile_object

    objects = [compile_object(kernel, level, place_of(kernel)) for kernel in all_kernels()]
    (folder / f"{level}.so").write_bytes(link(*objects))


def write_table(folder: Path) -> None:
    """Write what this Python needs to know of the objects that the folder holds."""
    lines = [f"object {path.stem} {digest_of(path.read_bytes())}" for path in sorted(folder.glob("*.so"))]
    lines += [f"kernel {place_of(kernel)} {source_key(kernel)}" for kernel in all_kernels()]
    table_path(folder).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Write what the command line asks for."""
    if not 1 <= len(sys.argv) - 1 <= 2 or not set(sys.argv[2:]) <= set(LEVELS):
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if level := "".join(sys.argv[2:]):
        write_object(folder, level)
    else:
        write_table(folder)


if __name__ == "__main__":
    main()
