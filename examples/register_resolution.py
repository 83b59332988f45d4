"""Two years of a water meter, minute by minute; its register was refined on the way, and the volume is right.

    python examples/register_resolution.py Water_WHW.csv.gz

The file holds the whole-house water register of a home in Canada: AMPds2, Makonin et al. 2016,
doi 10.7910/DVN/FIE0S4, CC BY 4.0.
"""

import sys
import tempfile
from math import fsum
from pathlib import Path
from zoneinfo import ZoneInfo

import smartdata_ts as sd
from smartdata_ts.formats import import_file


def smallest_step(steps):
    """The least that the register moved by, when it moved."""
    least = 1e300
    for step in steps:
        if 1e-6 < step < least:
            least = step
    return least


with sd.open(Path(tempfile.mkdtemp()) / "house.sdts") as store:
    facts = {"series_key": "water", "value": "counter", "kind": "register", "unit": "L"}
    report = import_file(store, sys.argv[1], **facts)
    print(f"{report.stored:,} readings, {store.info().bytes_per_reading:.3f} bytes each\n")

    query = store.query("water", tz="America/Vancouver")
    months = query.consumption().resample("1mo", {"sum": "sum", "step": smallest_step}).to_arrow().to_pylist()
    print("month     litres  resolution")
    for row in months:
        month = row["time"].astimezone(ZoneInfo("America/Vancouver"))
        print(f"{month:%Y-%m} {row['sum']:9,.1f} {row['step']:11.3f}")

    register = query.to_arrow()["value"].to_pylist()
    used = fsum(row["sum"] for row in months)
    print(f"\n{used:,.1f} L by month, {register[-1] - register[0]:,.1f} L by the register")
