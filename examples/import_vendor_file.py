"""Import a file as a vendor sends it, and see what became of every row."""

import tempfile
from pathlib import Path

import smartdata_ts as sd
from smartdata_ts.formats import import_file

VENDOR_FILE = """\
Export 27.10.2025 06:00;;
Meter;Time;Volume m3
wm-17;26.10.2025 00:00;1 041,238
wm-17;26.10.2025 01:00;1 041,250
wm-17;26.10.2025 02:00;1 041,263
wm-17;26.10.2025 02:00;1 041,275
wm-17;26.10.2025 03:00;1 041,288
wm-17;26.10.2025 04:00;--
wm-18;26.10.2025 01:00;88,001
wm-18;26.10.2025 01:00;88,001
"""

folder = Path(tempfile.mkdtemp())
file = folder / "readings.csv"
file.write_text(VENDOR_FILE, encoding="utf-8")

with sd.open(folder / "city.sdts") as store:
    report = import_file(store, file, tz="Europe/Oslo", quantity="water", unit="m3", kind="register")
    print(report.description)
    print(f"{report.rows} rows: {report.stored} stored, {report.duplicates} duplicate, {report.rejections}")
    print(Path(report.rejected_file or "").read_text(encoding="utf-8"))

    # 02:00 comes twice that night; the order of the rows tells which is which.
    for time in store.query("wm-17").to_arrow()["time"]:
        print(time)

    again = import_file(store, file, tz="Europe/Oslo")
    print(f"the same file again: {again.stored} stored, {again.duplicates} duplicates")
