"""A small package of kernels, copied to a folder of its own, to edit, to break and to run afresh."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import smartdata_ts.kernels

MACHINERY = Path(smartdata_ts.kernels.__file__).parent

_CALLEES = """
from .compiler.jit import inner

FACTOR = 3


@inner
def scaled(value):
    return value * FACTOR
"""

_KERNELS = '''
from ._callees import scaled
from .arrays import Float64Array, Int64Array
from .compiler.jit import kernel


@kernel
def scaled_sum(values: Int64Array) -> int:
    """Three times the sum."""
    total = 0
    for i in range(values.size):
        total += scaled(values[i])
    return total


@kernel
def mean(values: Float64Array, fallback: float, is_strict: bool) -> float:
    if values.size == 0:
        return fallback
    total = 0.0
    for i in range(values.size):
        total += values[i]
    if is_strict and total < 0.0:
        return -1.0
    return total / values.size
'''

CALL = """
import numpy as np
from tiny.kernels.sums import scaled_sum
print(scaled_sum(np.arange(5)))
"""


class KernelPackage:
    """The package `tiny.kernels` under `folder`, and processes that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.kernels = folder / "tiny" / "kernels"
        self.kernels.mkdir(parents=True)
        (folder / "tiny" / "__init__.py").write_text('__version__ = "1.0"\n')
        shutil.copytree(
            MACHINERY / "compiler", self.kernels / "compiler", ignore=shutil.ignore_patterns("__pycache__")
        )
        for source in MACHINERY.glob("*.py"):
            shutil.copy(source, self.kernels)
        self.callees = self.kernels / "_callees.py"
        self.callees.write_text(_CALLEES)
        (self.kernels / "sums.py").write_text(_KERNELS)

    def start(self, code: str, **environment: str) -> "subprocess.Popen[str]":
        """Run `code` in a process of its own; a variable that is "" is not set."""
        variables = {name: value for name, value in os.environ.items() if "NUMBA_" not in name}
        variables |= {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        variables |= {"SMARTDATA_TS_CACHE_DIR": str(self.cache), "SMARTDATA_TS_JIT": ""}
        variables |= {"TMPDIR": str(self.folder)} | environment
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env={name: value for name, value in variables.items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, **environment: str) -> tuple[str, str]:
        """Return what `code` printed, and what it wrote to standard error."""
        process = self.start(code, **environment)
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        return output.strip(), errors.strip()

    def objects(self, folder: Path | None = None) -> list[Path]:
        return sorted((folder or self.cache).glob("*.so"))
