"""The balance of a zone: a flow meter at its inlet, registers within, and a leak that the nights show."""

import tempfile
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

import smartdata_ts as sd

OSLO = ZoneInfo("Europe/Oslo")
METERS = 40
random = np.random.default_rng(7)

hours = np.arange("2024-10-23T22", "2024-10-29T23", dtype="datetime64[h]").astype("datetime64[us]")
of_day = (hours - hours.astype("datetime64[D]")) / np.timedelta64(1, "h")
usual = 8 + 12 * np.exp(-(((of_day - 6) / 2) ** 2)) + 9 * np.exp(-(((of_day - 17) / 3) ** 2))  # L an hour
used = random.poisson(np.where(of_day < 3, usual / 8, usual), (METERS, hours.size))
leak = np.where(hours >= np.datetime64("2024-10-27T12"), 150.0, 0.0)  # L an hour

with sd.open(Path(tempfile.mkdtemp()) / "city.sdts") as store:
    keys = [f"wm-{k:02}" for k in range(METERS)]
    store.describe(keys, quantity="water", unit="m3", kind="register", tags={"zone": "DMA-7"})
    store.describe("inlet", quantity="water", unit="L/s", kind="interval", interval="1h")
    for key, litres in zip(keys, used, strict=True):
        store.write({"series": key, "time": hours, "value": 100 + (litres.cumsum() - litres) / 1000})
    flow = (used.sum(axis=0) + leak) / 3600
    store.write({"series": "inlet", "time": hours[:-1], "value": flow[:-1]})

    balance = store.zone_balance("inlet", {"zone": "DMA-7"}, tz="Europe/Oslo", unit="m3")
    print("day         inflow     use    lost  at night  used then  net, m3/h")
    for row in balance.to_pylist():
        day = row["time"].astimezone(OSLO)
        volumes = (row["inflow"], row["use"], row["difference"])
        flows = (row["night_flow"], row["night_use"], row["net_night_flow"])
        texts = [f"{volume:z6.2f}" for volume in volumes] + [f"{flow:z9.3f}" for flow in flows]
        print(f"{day:%Y-%m-%d}", *texts, sep="  ")
