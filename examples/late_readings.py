"""Estimates give way to measured values: the later write of a reading wins, and the report says so."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import smartdata_ts as sd

ESTIMATED = 8  # 0 is measured; what other codes mean is yours to say

midnights = [datetime(2025, 10, day, tzinfo=UTC) for day in (1, 2, 3)]

with sd.open(Path(tempfile.mkdtemp()) / "city.sdts") as store:
    estimate = {
        "series": "wm-17",
        "time": midnights,
        "value": [41.2, 41.5, 41.8],
        "quality": [0, ESTIMATED, 0],
    }
    store.write(estimate, quality="quality")

    # Two days later the meter is heard again, and sends all that it kept.
    measured = {"series": "wm-17", "time": midnights, "value": [41.2, 41.6, 41.8]}
    report = store.write(measured)
    print(f"{report.duplicates} as before, {report.replaced} replaced")
    print(store.query("wm-17").to_arrow().select(["time", "value", "quality"]).to_pylist())
