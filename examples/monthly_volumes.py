"""Monthly local volumes of real water meters, and what their registers did besides counting.

    python examples/monthly_volumes.py swm_trialA.zip

The file holds the hourly registers of 92 meters in Alicante: DAIAD project, trial A, CC BY-SA 4.0, from
github.com/DAIAD/data.
"""

import sys
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.compute as pc

import smartdata_ts as sd
from smartdata_ts.formats import import_file

SPAIN = ZoneInfo("Europe/Madrid")
EVENTS = {1: "rollover", 2: "backflow", 3: "reset", 4: "digit fault"}

with sd.open(Path(tempfile.mkdtemp()) / "daiad.sdts") as store:
    columns = {"series": "user key", "time": "datetime", "value": "meter reading"}
    report = import_file(store, sys.argv[1], tz="Europe/Madrid", unit="L", kind="register", **columns)
    print(
        f"{report.rows:,} rows: {report.stored:,} stored, {store.info().bytes_per_reading:.2f} bytes each\n"
    )

    query = store.query(tz="Europe/Madrid")
    months = (
        query.consumption()
        .fill("profile", limit="7d")
        .resample("1mo", ["sum", "completeness", "estimated_share"])
        .aggregate("sum")
    )
    print("month         volume  complete  estimated")
    for row in months.to_arrow().to_pylist():
        volume = f"{row['sum'] / 1000:10,.1f} m3"
        month = row["time"].astimezone(SPAIN)
        print(f"{month:%Y-%m} {volume}  {row['completeness']:8.1%}  {row['estimated_share']:9.1%}")

    intervals = query.consumption().to_arrow()
    print("\nmeter      what          times  litres")
    flagged = intervals.filter(pc.greater(intervals["event"], 0))
    totals = flagged.group_by(["series", "event"], use_threads=False).aggregate(
        [("value", "sum"), ("value", "count")]
    )
    for row in totals.sort_by([("value_count", "descending")]).slice(0, 6).to_pylist():
        print(f"{row['series'][:8]}  {EVENTS[row['event']]:12}{row['value_count']:7}{row['value_sum']:8,.0f}")
