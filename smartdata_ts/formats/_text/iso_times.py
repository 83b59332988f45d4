"""Instants as ISO 8601 text on the wall of a zone."""

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.arrow import numbers_of
from smartdata_ts._time.zone import SECOND_US, load_zone, transitions
from smartdata_ts.kernels.arrays import Int64Array

_PARTS_OF_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def iso_times(times: pa.Array, tz: str) -> list[str | None]:
    """Timestamps as text with the offset of `tz`, "Z" for UTC; those of no zone without.

    Fractions of seconds are written where one of the times has any. An offset is written to the
    minute; where a zone's had seconds, as before 1972, the wall shown is that of the offset as
    written, so that every text reads back as its instant.
    """
    if len(times) == 0:
        return []
    parts = _PARTS_OF_SECOND[times.type.unit]
    seconds, fractions = np.divmod(_numbers(times), parts)
    texts, suffixes = _walls(seconds, tz if times.type.tz is not None else None)
    if fractions.any():
        digits = len(str(parts)) - 1
        texts = [f"{text}.{part:0{digits}}" for text, part in zip(texts, fractions.tolist(), strict=True)]
    whole: list[str | None] = [text + suffix for text, suffix in zip(texts, suffixes, strict=True)]
    for row in _null_rows(times):
        whole[row] = None
    return whole


def _walls(seconds: Int64Array, tz: str | None) -> tuple[list[str], list[str]]:
    """What the wall shows at each instant, and what is written behind it."""
    if tz is None or tz == "UTC":
        texts: list[str] = np.datetime_as_string(seconds.astype("datetime64[s]")).tolist()
        return texts, ["" if tz is None else "Z"] * seconds.size
    span_us = (int(seconds.min()) * SECOND_US, (int(seconds.max()) + 1) * SECOND_US)
    changes_us, offsets_us = transitions(load_zone(tz), *span_us)
    minutes = np.trunc(offsets_us / (60 * SECOND_US)).astype(np.int64)
    which = np.searchsorted(changes_us // SECOND_US, seconds, side="right")
    texts = np.datetime_as_string((seconds + 60 * minutes[which]).astype("datetime64[s]")).tolist()
    names = [
        f"{'-' if minute < 0 else '+'}{abs(minute) // 60:02}:{abs(minute) % 60:02}" for minute in minutes
    ]
    return texts, [names[k] for k in which.tolist()]


def _offset_text(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def _numbers(times: pa.Array) -> Int64Array:
    """The numbers behind timestamps; anything where they are null."""
    _, data = times.buffers()
    numbers: Int64Array = numbers_of(
        pa.Array.from_buffers(pa.int64(), len(times), [None, data], 0, times.offset)
    )
    return numbers


def _null_rows(times: pa.Array) -> list[int]:
    if times.null_count == 0:
        return []
    bits = np.unpackbits(np.frombuffer(times.buffers()[0], np.uint8), bitorder="little")
    rows: list[int] = np.flatnonzero(bits[times.offset : times.offset + len(times)] == 0).tolist()
    return rows
