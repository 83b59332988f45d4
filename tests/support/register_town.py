"""A store with whatever registers do, and series that are none."""

import numpy as np

import smartdata_ts as sd

HOUR = 3_600_000_000


def fill(store: sd.Store, rng: np.random.Generator) -> None:
    """A small town: registers that turn over, fall, stand and are exchanged, a flow, hourly amounts."""
    for k in range(12):
        key, count = f"wm-{k}", int(rng.integers(0, 200))
        times = np.cumsum(rng.integers(1, 5 * HOUR, count)) + 1_700_000_000_000_000
        values = np.cumsum(rng.integers(0, 50, count)) + rng.choice([0.0, 9_000.0])
        falls = rng.random(count) < rng.choice([0.0, 0.03])
        values = np.where(falls, values * rng.random(count), values) % 10_000
        qualities = rng.choice([0, 1, 2, 6, 7], count, p=[0.8, 0.05, 0.05, 0.05, 0.05])
        store.write({"series": key, "time": times, "value": values, "quality": qualities}, quality="quality")
        facts = {"unit": str(rng.choice(["L", "m3"])), "multiplier": float(rng.choice([1.0, 0.1]))}
        store.describe(key, kind="register", register_digits=4, **facts)
        if k % 3 == 0 and count:
            at = times[int(rng.integers(count))] + int(rng.integers(-HOUR, 2))
            store.exchange(key, at=np.datetime64(int(at), "us"), final=9_999.0, initial=1.0, multiplier=2.0)
    hours = 1_700_000_000_000_000 + np.arange(50) * HOUR
    store.write({"series": "flow", "time": hours, "value": rng.random(50)})
    store.describe("flow", kind="gauge", unit="L/s")
    store.write({"series": "hourly", "time": hours, "value": rng.random(50)})
    store.describe("hourly", kind="interval", unit="L", interval="1h")
