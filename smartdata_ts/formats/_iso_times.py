"""Instants as ISO 8601 text on the wall of a zone."""

import pyarrow as pa
import pyarrow.compute as pc


def iso_times(times: pa.Array, tz: str) -> pa.Array:
    """Timestamps as text with the offset of `tz`, "Z" for UTC; those of no zone without.

    Fractions of seconds are written where one of the times has any.
    """
    if times.type.tz is not None:
        times = times.cast(pa.timestamp(times.type.unit, tz))
    seconds = times.cast(pa.timestamp("s", times.type.tz), safe=False)
    whole = pc.all(pc.equal(seconds.cast(times.type), times)).as_py()
    text = pc.strftime(seconds if whole else times, "%Y-%m-%dT%H:%M:%S%z", locale="C")
    if times.type.tz is None:
        return pc.replace_substring_regex(text, r"\+0000$", "")
    if tz == "UTC":
        return pc.replace_substring_regex(text, r"\+0000$", "Z")
    return pc.replace_substring_regex(text, r"(\d\d)$", r":\1")
