"""The explicit description of a delimited text file's layout."""

from dataclasses import dataclass

from smartdata_ts.formats._columns.time_format import TimeFormat


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a text file is laid out, and what its columns are taken for.

    Columns are counted from 0. A long file has `series` or `series_key`, and one of `values`; a
    wide file has a series in each of `values`, whose keys are the columns' names.
    """

    columns: tuple[str, ...]
    time: int
    values: tuple[int, ...]
    time_format: TimeFormat
    clock: int | None = None  # the time of day, where it has a column of its own
    series: int | None = None
    series_key: str | None = None
    quality: int | None = None
    wide: bool = False
    header_line: int = 0  # counted from 1; 0 for none
    data_line: int = 1
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    newline: str = "\n"
    decimal: str = "."
    thousands: str | None = None
    tz: str | None = None
    stamp: str = "start"
    interval: str | None = None
    quality_codes: tuple[tuple[str, int], ...] = ()
    ignored: tuple[int, ...] = ()

    def __str__(self) -> str:
        def name(column: int) -> str:
            return repr(self.columns[column])

        time = name(self.time) + (f" and {name(self.clock)}" if self.clock is not None else "")
        parts = [f"time {time} as {self.time_format}"]
        if self.tz:
            parts[0] += f" in {self.tz}"
        if self.stamp == "end":
            parts[0] += f" at the end of {self.interval}"
        if self.wide:
            parts.append(f"{len(self.values)} series, one a column")
        else:
            key = f"{self.series_key!r} for all" if self.series is None else name(self.series)
            parts += [f"series {key}", f"value {name(self.values[0])}"]
        if self.quality is not None:
            parts.append(f"quality {name(self.quality)}")
        if self.ignored:
            parts.append("ignored " + _listed([name(column) for column in self.ignored]))
        marks = f"decimal {self.decimal!r}"
        if self.thousands:
            marks += f", thousands {self.thousands!r}"
        head = f"header in line {self.header_line}" if self.header_line else "no header"
        parts.append(f"delimiter {self.delimiter!r}, {marks}, {self.encoding}, {head}")
        return "; ".join(parts)


def _listed(names: list[str]) -> str:
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return ", ".join(names)
