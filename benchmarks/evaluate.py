"""How well the rules find faults: leaks of known size, added to real meters; fixed seeds, events, delays.

    python -m benchmarks.evaluate [--seeds 3]

Each seed adds one leak to each of the meters of DAIAD's trial A: 10 to 200 L/h (log-uniform), 5 to 25 days,
at a random instant from which to the leak's end the meter has at least half of its hourly readings; a meter
that has no such span in a hundred tries gets none. Whole litres are added, as a register counts them. A leak
is found where an alarm of the rule overlaps it, was found after it began and no later than a day after
its end. A false alarm is new where it overlaps neither the leak, widened by a day, nor an alarm of the meters
as they are.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

import smartdata_ts as sd

from .daiad import FILE, sorted_batches

HOUR = 3_600_000_000
DAY = 24 * HOUR
YEAR = 365 * DAY
TZ = "Europe/Madrid"
FIRST_SEED = 100


def readings() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Times in us and litres of each meter."""
    (batch,) = sorted_batches(FILE)
    keys = batch["series"].dictionary.to_pylist()
    series = np.asarray(batch["series"].indices)
    times = np.asarray(batch["time"].cast(pa.int64()))
    values = np.asarray(batch["value"])
    return {key: (times[series == k], values[series == k]) for k, key in enumerate(keys)}


def place_leak(
    rng: np.random.Generator, times: np.ndarray, litres_per_hour: tuple[float, float]
) -> tuple[int, int, float] | None:
    """Begin, end and rate of a leak that the meter's readings show; None where there is no room for one."""
    low, high = np.log(litres_per_hour)
    for _ in range(100):
        length = int(rng.uniform(5, 25) * DAY)
        if times[-1] - times[0] <= length:
            continue
        begin = int(rng.integers(times[0], times[-1] - length))
        inside = np.diff(np.searchsorted(times, (begin, begin + length)))[0]
        if inside * HOUR >= length / 2:
            return begin, begin + length, float(np.exp(rng.uniform(low, high)))
    return None


def with_leak(times: np.ndarray, values: np.ndarray, leak: tuple[int, int, float]) -> np.ndarray:
    """The register of a meter with a leak: whole litres more."""
    begin, end, rate = leak
    return values + np.floor(rate * np.clip(times - begin, 0, end - begin) / HOUR)


def alarms(meters: dict[str, tuple[np.ndarray, np.ndarray]], rules: list[object]) -> list[dict[str, object]]:
    """The alarms of some rules, times in us; ends of open ones are their meters' last reading."""
    with (
        tempfile.TemporaryDirectory() as folder,
        sd.open(Path(folder) / "store.sdts", durability="normal") as store,
    ):
        with store.writer() as writer:
            for key, (times, values) in meters.items():
                writer.write({"series": key, "time": times, "value": values})
        store.describe(list(meters), kind="register", unit="L", quantity="water", interval="1h")
        table = store.query(tz=TZ).consumption().detect(rules).to_arrow()
        named = ["series", "rule", "severity", "start", "end", "found", "score"]
        table = table.select(named)
        for name in ("start", "end", "found"):
            table = table.set_column(named.index(name), name, table[name].cast(pa.int64()))
    rows = [row for row in table.to_pylist() if row["severity"] == "alarm"]
    for row in rows:
        row["end"] = int(meters[row["series"]][0][-1]) if row["end"] is None else row["end"]
    return rows


def overlaps(row: dict[str, object], begin: int, end: int) -> bool:
    return row["start"] < end and row["end"] > begin


def evaluate(seeds: int, litres_per_hour: tuple[float, float]) -> dict[str, float]:
    meters = readings()
    years = sum((times[-1] - times[0]) / YEAR for times, _ in meters.values())
    before = alarms(meters, ["leak"])
    found, total, fresh, delays = 0, 0, 0, []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        rng = np.random.default_rng(seed)
        placed = {key: place_leak(rng, times, litres_per_hour) for key, (times, _) in meters.items()}
        leaks = {key: leak for key, leak in placed.items() if leak is not None}
        changed = {key: (meters[key][0], with_leak(*meters[key], leak)) for key, leak in leaks.items()}
        after = alarms(changed, ["leak"])
        for key, (begin, end, _) in leaks.items():
            own = [row for row in after if row["series"] == key]
            old = [row for row in before if row["series"] == key]
            hits = [row for row in own if overlaps(row, begin, end) and begin <= row["found"] <= end + DAY]
            total += 1
            if hits:
                found += 1
                delays.append((min(row["found"] for row in hits) - begin) / HOUR)
            fresh += sum(
                not overlaps(row, begin - DAY, end + DAY)
                and not any(overlaps(row, other["start"], other["end"]) for other in old)
                for row in own
            )
    return {
        "leaks": total,
        "recall": found / total,
        "median_delay_hours": float(np.median(delays)),
        "p90_delay_hours": float(np.quantile(delays, 0.9)),
        "new_false_alarms_per_meter_year": fresh / (years * seeds),
        "alarms_per_meter_year_as_is": len(before) / years,
        "meter_years": years,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    wanted = parser.parse_args()
    for low, high in ((10.0, 200.0), (5.0, 10.0)):
        print(f"leaks of {low:g} to {high:g} L/h, 5 to 25 days, DAIAD trial A")
        for name, value in evaluate(wanted.seeds, (low, high)).items():
            print(f"  {name:32} {value:10.3f}")


if __name__ == "__main__":
    main()
