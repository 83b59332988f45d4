"""Every module of the package, imported.

What the engine imports when it is called for keeps the limits of that moment, so a test that sets other
limits imports all of it before.
"""

import importlib
import pkgutil

import smartdata_ts

NAMES = sorted(
    module.name
    for module in pkgutil.walk_packages(smartdata_ts.__path__, "smartdata_ts.")
    if not module.name.endswith("__main__")
)
MODULES = [importlib.import_module(name) for name in ("smartdata_ts", *NAMES)]
