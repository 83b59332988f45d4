"""The yearly inflow of ten districts whose meters were silent for weeks: short gaps by a line, long by habit.

    python examples/fill_gaps.py InflowData.xlsx

The file holds the hourly inflow (L/s) of ten districts of an Italian city, in local time: Alvisi et al. 2025,
Battle of Water Demand Forecasting, doi 10.1061/JWRMD5.WRENG-6887, CC BY 4.0. Reading it takes openpyxl.
"""

import csv
import sys
import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl

import smartdata_ts as sd
from smartdata_ts.formats import import_file

ITALY = ZoneInfo("Europe/Rome")
folder = Path(tempfile.mkdtemp())
book = openpyxl.load_workbook(sys.argv[1], read_only=True)
rows = list(book.active.iter_rows(values_only=True))
book.close()
with (folder / "inflow.csv").open("w", newline="") as lines:
    names = [f"dma-{number}" for number in range(1, 11)]
    csv.writer(lines, delimiter=";").writerows([["time", *names], *rows[1:]])

with sd.open(folder / "city.sdts") as store:
    # The file's clock is put back and forward: the order of its rows tells both repeated hours apart.
    facts = {"tz": "Europe/Rome", "kind": "interval", "interval": "1h", "unit": "L/s"}
    report = import_file(store, folder / "inflow.csv", **facts)
    print(f"{report.rows:,} cells: {report.stored:,} stored, {report.empty:,} empty\n")

    amounts = store.query(tz="Europe/Rome", start="2021-01-01", end="2022-01-01").consumption(unit="m3")
    filled = amounts.fill([("linear", "2h"), ("profile", "60d")])
    columns = ["sum", "completeness", "estimated_share"]
    measured = {row["series"]: row for row in amounts.resample("1y", columns).to_arrow().to_pylist()}
    print("2021      measured, m3  complete  filled, m3  complete  estimated")
    for row in filled.resample("1y", columns).to_arrow().to_pylist():
        before = measured[row["series"]]
        print(
            f"{row['series']:8} {before['sum']:13,.0f} {before['completeness']:9.1%}"
            f" {row['sum']:11,.0f} {row['completeness']:9.1%} {row['estimated_share']:10.1%}"
        )
