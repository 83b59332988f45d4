"""Names the packages to install, as the folders have them; everything else stands in pyproject.toml.

The folder `kernels` is installed as `smartdata_ts.kernels`. The link of that name within `smartdata_ts` is
for type checkers. An sdist does not have it, nor does every checkout, so it is not followed.

Where SMARTDATA_TS_COMPILED names a folder that `kernels/compiler/shipping.py` has filled, the wheel
brings them along and is for Linux on x86-64: for every CPython from 3.11 on, since they use its stable ABI,
and for every glibc from 2.17 on, since they use the functions of C alone. Else it is a pure one.
"""

import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

COMPILED = os.environ.get("SMARTDATA_TS_COMPILED")


class BuildWithKernels(build_py):
    """Put the compiled kernels beside the package's own files."""

    def run(self) -> None:
        """Copy those of SMARTDATA_TS_COMPILED."""
        super().run()
        target = Path(self.build_lib, "smartdata_ts/kernels/compiled")
        shutil.copytree(str(COMPILED), target, dirs_exist_ok=True)


class BinaryDistribution(Distribution):
    """A package that is no pure one."""

    def has_ext_modules(self) -> bool:
        """Yes: machine code comes along."""
        return True


own = find_packages(include=["smartdata_ts", "smartdata_ts.*"], exclude=["smartdata_ts.kernels*"])
kernels = [f"smartdata_ts.{name}" for name in find_packages(include=["kernels", "kernels.*"])]
if COMPILED:
    setup(
        packages=own + kernels,
        distclass=BinaryDistribution,
        cmdclass={"build_py": BuildWithKernels},
        options={"bdist_wheel": {"py_limited_api": "cp311", "plat_name": "manylinux_2_17_x86_64"}},
    )
else:
    setup(packages=own + kernels)
