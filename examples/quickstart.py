"""Write readings, ask for local days, see what is kept."""

import tempfile
from pathlib import Path

import numpy as np

import smartdata_ts as sd

path = Path(tempfile.mkdtemp()) / "city.sdts"
hours = np.datetime64("2025-10-25T22:00") + np.arange(48).astype("timedelta64[h]")
register = 4807.9 + np.cumsum(np.full(48, 0.0125)).round(3)

with sd.open(path) as store:
    report = store.write({"series": "wm-17", "time": hours, "value": register})
    store.describe("wm-17", quantity="water", unit="m3", kind="register", tags={"zone": "Harbour"})
    print(report.stored, "readings stored")

    # Sunday 26 October 2025 has 25 hours in Oslo.
    days = store.query(tags={"zone": "Harbour"}).resample("1d", ["count", "first", "last"], tz="Europe/Oslo")
    for row in days.to_arrow().to_pylist():
        print(row)
    print(store.info())
