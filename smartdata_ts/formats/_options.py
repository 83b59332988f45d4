"""What a user may say about outside data; whatever is left out is told from the data itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from smartdata_ts._time.zone import zone_name
from smartdata_ts.errors import UsageError

Column = str | int
"""A column by its name, or by its position counted from 1."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The options of `open_reader`, the same for every format that has a use for them."""

    series: Column | None = None
    """The column that holds the series' keys."""
    series_key: str | None = None
    """One key for all rows, where no column holds any."""
    time: Column | Sequence[Column] | None = None
    """The column of times, or two: of dates and of times of day."""
    value: Column | Sequence[Column] | None = None
    """The column of values; in a wide file perhaps several."""
    quality: Column | None = None
    """The column of quality codes, 0 to 255."""
    quality_codes: Mapping[str, int] | None = None
    """What the texts of the quality column stand for."""
    wide: bool | None = None
    """True: every column of numbers is a series, its name the key."""
    tz: str | None = None
    """The zone of times without offset: an IANA name, "UTC", or "+01:00"."""
    time_format: str | None = None
    """ "iso", "epoch_s", "epoch_ms", "epoch_us", or a pattern such as "%d.%m.%Y %H:%M"."""
    stamp: str = "start"
    """ "end" where times stand at the end of their interval; they are stored as starts."""
    interval: str | None = None
    """The length of the interval when stamp="end": "15min", "1h", "1d", "1mo"."""
    delimiter: str | None = None
    quote: str = '"'
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool | None = None
    """Whether a line of column names stands above the data."""
    skip_rows: int | None = None
    """Lines to pass over at the top, before the header."""
    member: str | None = None
    """The file wanted inside a .zip that holds several."""
    sheet: str | int | None = None
    """The sheet of a workbook, by its name, or by its number from 1."""
    json_time: str | None = None
    """Where an object of JSON has its time: names with dots between them, such as "uplink.received_at"."""
    json_key: str | None = None
    """Where an object of JSON has its key."""
    json_value: str | None = None
    """Where an object of JSON has its value; an object of numbers there gives a series a name."""
    precision: str | None = None
    """What the stamps of line protocol count: "ns", "us", "ms" or "s"."""

    def __post_init__(self) -> None:
        if self.stamp not in ("start", "end"):
            raise UsageError(f"stamp={self.stamp!r}: pass 'start' or 'end'")
        if self.stamp == "end" and self.interval is None:
            raise UsageError("stamp='end' needs the interval's length: pass interval='1h' or the like")
        if self.series is not None and self.series_key is not None:
            raise UsageError("series= names a column and series_key= one key for all: pass one of them")
        if self.series_key is not None and (not self.series_key or "\0" in self.series_key):
            raise UsageError(
                f"series_key={self.series_key!r}: pass a text that is not empty, without zero bytes"
            )
        for name in ("delimiter", "quote", "decimal"):
            text = getattr(self, name)
            if text is not None and (len(text) != 1 or not text.isascii()):
                raise UsageError(f"{name}={text!r}: pass one ASCII character")

    def time_columns(self) -> list[Column]:
        """The columns named in `time`: none, one or two."""
        return _listed(self.time)

    def value_columns(self) -> list[Column]:
        """The columns named in `value`."""
        return _listed(self.value)


def read_options(options: Mapping[str, Any]) -> ReadOptions:
    """The options by name; UsageError names those that do not exist."""
    known = [field.name for field in fields(ReadOptions)]
    unknown = [name for name in options if name not in known]
    if unknown:
        raise UsageError(f"no option is called {unknown[0]!r}; there are: {', '.join(known)}")
    tz = options.get("tz")
    if tz is not None and not isinstance(tz, str):  # a ZoneInfo, or what is no zone
        options = {**options, "tz": zone_name(tz)}
    return ReadOptions(**options)


def find_column(names: Sequence[str], column: Column, option: str, where: str) -> int:
    """The position, from 0, of a column that the user named."""
    if isinstance(column, int) or (column not in names and column.isdecimal()):
        if not 1 <= int(column) <= len(names):
            raise UsageError(f"{where}: {option}={column} but there are {len(names)} columns")
        return int(column) - 1
    folded = [name.casefold().strip() for name in names]
    matches = [k for k, name in enumerate(names) if name == column] or [
        k for k, name in enumerate(folded) if name == column.casefold().strip()
    ]
    if not matches:
        shown = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
        raise UsageError(f"{where}: {option}={column!r} is no column; there are {shown}")
    if len(matches) > 1:
        raise UsageError(f"{where}: several columns are called {column!r}: pass {option}= a position")
    return matches[0]


def _listed(columns: Column | Sequence[Column] | None) -> list[Column]:
    if columns is None:
        return []
    if isinstance(columns, str | int):
        return [columns]
    return list(columns)
