"""A query is an Arrow stream: give it to DuckDB, polars or pandas as it is."""

import tempfile
from pathlib import Path

import duckdb
import numpy as np

import smartdata_ts as sd

hours = np.datetime64("2025-01-01T00:00") + np.arange(24 * 31).astype("timedelta64[h]")
rng = np.random.default_rng(1)

with sd.open(Path(tempfile.mkdtemp()) / "city.sdts") as store:
    for meter, zone in (("wm-17", "Harbour"), ("wm-18", "Harbour"), ("wm-19", "Hillside")):
        litres = 1_000_000 + np.cumsum(rng.poisson(12, hours.size))
        store.write({"series": meter, "time": hours, "value": litres / 1000})
        store.describe(meter, unit="m3", kind="register", tags={"zone": zone})

    harbour = store.query(tags={"zone": "Harbour"}).resample("1d", ["first", "last"])
    print(
        duckdb.sql(
            "select series, round(max(last) - min(first), 3) as m3 from harbour group by all order by all"
        )
    )
    print(harbour.to_polars().head(3))
