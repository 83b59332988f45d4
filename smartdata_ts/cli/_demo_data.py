"""A small municipality: water meters with a year of hourly registers, and all that goes wrong with them.

The file is as vendors send it: wall time without offset, decimal comma, a meter after the other. Rows
have one width, so that NumPy writes them as a matrix of bytes.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

TZ = "Europe/Oslo"
ZONES = ("Airport", "Harbour", "Hillside", "Old Town", "Riverside")
YEAR = 2025

_METERS_AT_ONCE = 50
_SEED = 17
# The shares of a day's use, hour by hour from midnight; scaled to one.
_SHARES = np.array([1, 1, 1, 1, 2, 12, 50, 80, 70, 50, 40, 40, 45, 40, 35, 40, 55, 80, 90, 80, 60, 40, 20, 6])
_ROW_SIZE = len("wm-0001;26.10.2025 02:00;1234,567\n")
_NUMBER = slice(25, 33)
_LEAK_SHARE, _GAP_COUNT, _GAP_HOURS_MEAN, _REPEATED_SHARE = 0.02, 4, 22, 1 / 4000

Bytes = npt.NDArray[np.uint8]


def zone_of(meter: int) -> str:
    """The zone of a meter, counted from 0."""
    return ZONES[meter * 7919 % len(ZONES)]


def key_of(meter: int) -> str:
    """The key of a meter, counted from 0."""
    return f"wm-{meter + 1:04}"


def write_zones(path: Path, meter_count: int) -> None:
    """Write the table of meters and their zones."""
    rows = [f"{key_of(meter)},{zone_of(meter)}" for meter in range(meter_count)]
    path.write_text("\n".join(["series,zone", *rows, ""]), encoding="utf-8")


def write_readings(path: Path, meter_count: int) -> None:
    """Write a year of hourly registers in m3 of every meter."""
    hours = _hours()
    with path.open("wb") as file:
        file.write(b"meter;time;m3\n")
        for first in range(0, meter_count, _METERS_AT_ONCE):
            meters = np.arange(first, min(first + _METERS_AT_ONCE, meter_count))
            rng = np.random.default_rng([_SEED, first])
            file.write(_rows(rng, meters, hours).data)


def _hours() -> list[datetime]:
    """Every hour of the local year."""
    zone = ZoneInfo(TZ)
    start, end = (datetime(year, 1, 1, tzinfo=zone).astimezone(UTC) for year in (YEAR, YEAR + 1))
    return [(start + timedelta(hours=k)).astimezone(zone) for k in range((end - start) // timedelta(hours=1))]


def _rows(rng: np.random.Generator, meters: npt.NDArray[np.int64], hours: list[datetime]) -> Bytes:
    registers = _registers(rng, meters.size, hours)
    rows = np.empty((meters.size, len(hours), _ROW_SIZE), np.uint8)
    rows[:, :, :8] = _as_bytes([f"{key_of(meter)};" for meter in meters.tolist()])[:, np.newaxis]
    rows[:, :, 8:25] = _as_bytes([f"{hour:%d.%m.%Y %H:%M};" for hour in hours])
    _write_numbers(registers, rows[:, :, _NUMBER])
    rows[:, :, 33] = ord("\n")
    _break_some(rng, rows, hours)
    return _lose_and_repeat(rng, rows)


def _registers(rng: np.random.Generator, count: int, hours: list[datetime]) -> npt.NDArray[np.int64]:
    """Registers in litres, shape (count, hours): households, and a few of them leak from some day on."""
    per_day = rng.lognormal(np.log(280), 0.5, count)
    shares = (_SHARES / _SHARES.sum())[[hour.hour for hour in hours]]
    summer = np.array([1.25 if 5 < hour.month < 9 else 1.0 for hour in hours])
    means = per_day[:, np.newaxis] * (shares * summer)
    leaks = np.flatnonzero(rng.random(count) < _LEAK_SHARE)
    for meter in leaks:
        means[meter, rng.integers(len(hours)) :] += rng.uniform(8, 40)
    starts = rng.integers(1_000_000, 8_000_000, count)
    registers: npt.NDArray[np.int64] = starts[:, np.newaxis] + np.cumsum(rng.poisson(means), axis=1)
    return registers


def _as_bytes(texts: list[str]) -> Bytes:
    return np.array([text.encode() for text in texts]).view(np.uint8).reshape(len(texts), -1)


def _write_numbers(litres: npt.NDArray[np.int64], cells: Bytes) -> None:
    """Write litres as m3 with three decimals: 1234567 as 1234,567."""
    rest = litres.astype(np.uint32)
    for place in (7, 6, 5, 3, 2, 1, 0):
        rest, digit = np.divmod(rest, np.uint32(10))
        cells[:, :, place] = digit + ord("0")
    cells[:, :, 4] = ord(",")


def _break_some(rng: np.random.Generator, rows: Bytes, hours: list[datetime]) -> None:
    """A reading that is no number, and a clock that did not go to summer time."""
    meter, hour = rng.integers(rows.shape[0]), rng.integers(rows.shape[1])
    rows[meter, hour, _NUMBER] = np.frombuffer(b"   ERROR", np.uint8)
    change = next(k for k, hour in enumerate(hours) if hour.utcoffset() != hours[0].utcoffset())
    skipped = f"{hours[change - 1] + timedelta(hours=1):%d.%m.%Y %H:%M};"
    rows[rng.integers(rows.shape[0]), change, 8:25] = np.frombuffer(skipped.encode(), np.uint8)


def _lose_and_repeat(rng: np.random.Generator, rows: Bytes) -> Bytes:
    """The rows that arrived: with gaps of some hours or days, and some rows sent twice."""
    meter_count, hour_count, size = rows.shape
    copies = np.ones((meter_count, hour_count), np.int64)
    copies[rng.random(copies.shape) < _REPEATED_SHARE] = 2
    for meter in range(meter_count):
        for _ in range(_GAP_COUNT):
            first = rng.integers(hour_count)
            copies[meter, first : first + rng.geometric(1 / _GAP_HOURS_MEAN)] = 0
    return np.repeat(rows.reshape(-1, size), copies.ravel(), axis=0)
