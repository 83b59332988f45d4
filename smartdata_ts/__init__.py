"""An embedded time-series engine for meter and sensor readings: a directory on disk, no server.

>>> import smartdata_ts as sd, tempfile
>>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
>>> report = store.write({"series": "wm-17", "time": [0, 3_600_000_000], "value": [41.2, 41.9]})
>>> store.query("wm-17").resample("1d", "max", tz="Europe/Oslo").to_arrow()["max"].to_pylist()
[41.9]

Names are loaded when they are first asked for, so that the import costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING

from smartdata_ts import errors

if TYPE_CHECKING:
    from smartdata_ts._detect.table import rules
    from smartdata_ts._meter.quality import quality_code, quality_codes, quality_name, quality_text
    from smartdata_ts._meter.units import convert
    from smartdata_ts._query import Query
    from smartdata_ts._salvage import salvage
    from smartdata_ts._store import Store
    from smartdata_ts._store import open_store as open
    from smartdata_ts._store.info import Info
    from smartdata_ts._write.writer import Writer, WriteReport

__version__ = "0.1.0"

__all__ = [
    "Info",
    "Query",
    "Store",
    "WriteReport",
    "Writer",
    "__version__",
    "convert",
    "errors",
    "open",
    "quality_code",
    "quality_codes",
    "quality_name",
    "quality_text",
    "rules",
    "salvage",
]

_HOMES = {
    "Info": ("_store.info", "Info"),
    "Query": ("_query", "Query"),
    "Store": ("_store", "Store"),
    "WriteReport": ("_write.writer", "WriteReport"),
    "Writer": ("_write.writer", "Writer"),
    "convert": ("_meter.units", "convert"),
    "open": ("_store", "open_store"),
    "quality_code": ("_meter.quality", "quality_code"),
    "quality_codes": ("_meter.quality", "quality_codes"),
    "quality_name": ("_meter.quality", "quality_name"),
    "quality_text": ("_meter.quality", "quality_text"),
    "rules": ("_detect.table", "rules"),
    "salvage": ("_salvage", "salvage"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    found = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
