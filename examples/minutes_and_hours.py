"""Minutes and hours of the same meters agree, wherever the hours are complete.

    python examples/minutes_and_hours.py gas_dec2016_min.csv.gz gas_2016_hour.csv.gz

The files hold the mean gas power of three Belgian buildings: OpenGrid, Apache-2.0, from
github.com/opengridcc/opengrid.
"""

import sys
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

import smartdata_ts as sd
from smartdata_ts.formats import import_file

folder = Path(tempfile.mkdtemp())
facts = {"quantity": "gas", "unit": "W", "kind": "gauge", "tz": "Europe/Brussels"}
with sd.open(folder / "minutes.sdts") as minutes, sd.open(folder / "hours.sdts") as hours:
    for store, file, interval in ((minutes, sys.argv[1], "1min"), (hours, sys.argv[2], "1h")):
        report = import_file(store, file, interval=interval, **facts)
        print(f"{report.stored:,} readings every {interval}")

    by_hour = minutes.query(tz="Europe/Brussels").resample("1h", ["mean", "completeness"])
    given = {(row["series"], row["time"]): row["value"] for row in hours.query().to_arrow().to_pylist()}
    print("\nmeter  hours  complete  largest difference, W")
    found = by_hour.to_arrow().to_pylist()
    for key in sorted({row["series"] for row in found}):
        own = [row for row in found if row["series"] == key]
        complete = [row for row in own if row["completeness"] == 1]
        gaps = [abs(row["mean"] - given[key, row["time"]]) for row in complete]
        print(f"{key}  {len(own):7}  {len(complete):8}  {max(gaps):.0e}")

    months = (
        hours.query(tz="Europe/Brussels")
        .resample("1mo", ["mean", "expected_count", "completeness"])
        .aggregate("sum", unit="kW")
    )
    print("\nmonth    all three, kW  hours  complete")
    for row in months.to_arrow().to_pylist()[:-1]:  # the last one is but the first hour of 2017
        month, hour_count = row["time"].astimezone(ZoneInfo("Europe/Brussels")), row["expected_count"] // 3
        print(f"{month:%Y-%m}  {row['mean']:13.2f}  {hour_count:5}  {row['completeness']:8.1%}")
