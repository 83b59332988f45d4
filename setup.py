"""Names the packages to install, as the folders have them; everything else stands in pyproject.toml.

The folder `kernels` is installed as `smartdata_ts.kernels`. The link of that name within `smartdata_ts` is
for type checkers. An sdist does not have it, nor does every checkout, so it is not followed.
"""

from setuptools import find_packages, setup

own = find_packages(include=["smartdata_ts", "smartdata_ts.*"], exclude=["smartdata_ts.kernels*"])
kernels = [f"smartdata_ts.{name}" for name in find_packages(include=["kernels", "kernels.*"])]
setup(packages=own + kernels)
