"""Which column holds what: told by the options, by the columns' names, and by their cells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from smartdata_ts.errors import DialectError
from smartdata_ts.formats._options import ReadOptions, find_column

from .column_names import (
    CLOCK_NAMES,
    QUALITY_NAMES,
    SERIES_NAMES,
    TIME_NAMES,
    VALUE_NAMES,
    find_name,
    has_value_word,
)
from .time_format import guess_time_format, is_clock

MISSING = ("", "nan", "na", "n/a", "#n/a", "null", "none", "-")
_NUMBER = re.compile(r"[+-]?[\d.,'\u2019 \xa0\u202f\u2009]*\d[.,]?\d*([eE][+-]?\d+)?|[+-]?inf(inity)?", re.I)


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Columns by what they hold, counted from 0."""

    time: int
    clock: int | None
    series: int | None
    values: tuple[int, ...]
    quality: int | None
    wide: bool


def assign_roles(
    names: list[str],
    data: list[list[str]],
    has_header: bool,
    options: ReadOptions,
    where: str,
) -> Roles:
    """Say what each column is; DialectError where that is open."""
    return _Assignment(names, data, has_header, options, where).roles()


class _Assignment:
    def __init__(
        self,
        names: list[str],
        data: list[list[str]],
        has_header: bool,
        options: ReadOptions,
        where: str,
    ) -> None:
        self.names = names
        self.cells = [[row[k] for row in data] for k in range(len(names))]
        self.has_header = has_header
        self.options = options
        self.where = where
        self.taken: set[int] = set()
        self.numeric: dict[int, bool] = {}

    def roles(self) -> Roles:
        series = self._named(self.options.series, "series")
        quality = self._named(self.options.quality, "quality")
        values = [self._find(column, "value") for column in self.options.value_columns()]
        self.taken.update(values)
        time, clock = self._time()
        if series is None and self.options.series_key is None and not self.options.wide:
            series = self._series(bool(values))
        wide = self._is_wide(series, values)
        if quality is None and not wide:
            quality = self._quality()
        if not values:
            values = self._wide_values() if wide else [self._value()]
        return Roles(
            time=time,
            clock=clock,
            series=series,
            values=tuple(values),
            quality=quality,
            wide=wide,
        )

    def _find(self, column: str | int, option: str) -> int:
        return find_column(self.names, column, option, self.where)

    def _named(self, column: str | int | None, option: str) -> int | None:
        if column is None:
            return None
        found = self._find(column, option)
        self.taken.add(found)
        return found

    def _time(self) -> tuple[int, int | None]:
        named = [self._find(column, "time") for column in self.options.time_columns()]
        if named:
            self.taken.update(named)
            return named[0], named[1] if len(named) > 1 else None
        dated = [k for k in range(len(self.names)) if k not in self.taken and self._is_dated(k)]
        candidates = [self.names[k] if k in dated else "" for k in range(len(self.names))]
        time = find_name(candidates, TIME_NAMES, self.taken)
        if time is None and dated:
            time = dated[0]
        if time is None:
            time = find_name(self.names, TIME_NAMES, self.taken) if self.has_header else None
        if time is None:
            raise DialectError(f"{self.where}: no column reads as a time: pass time= ({self._shown()})")
        self.taken.add(time)
        clock = self._clock(time)
        return time, clock

    def _clock(self, time: int) -> int | None:
        """The column of times of day, where the dates stand alone."""
        dates = [cell for cell in self.cells[time] if cell]
        if not self._is_dated(time) or any(re.search(r"\d[:T ]\d|^\d{12}", cell) for cell in dates[:100]):
            return None
        clocks = [k for k in self._free() if is_clock(self.cells[k][:1000])]
        names = [self.names[k] if k in clocks else "" for k in range(len(self.names))]
        clock = find_name(names, CLOCK_NAMES, self.taken)
        if clock is None:
            # Without a name, 12.30 is rather a number.
            colons = [k for k in clocks if any(":" in cell for cell in self.cells[k][:1000])]
            clock = colons[0] if colons else None
        if clock is not None:
            self.taken.add(clock)
        return clock

    def _is_dated(self, column: int) -> bool:
        cells = [cell for cell in self.cells[column][:1000] if cell]
        try:
            return guess_time_format(cells, "") is not None
        except DialectError:  # dates, of which it is open which number is the day
            return True

    def _series(self, has_value: bool) -> int | None:
        found = find_name(self.names, SERIES_NAMES, self.taken) if self.has_header else None
        if found is None:
            texts = [k for k in self._free() if not self._is_numeric(k) and any(self.cells[k])]
            if len(texts) == 1 and (has_value or any(self._is_numeric(k) for k in self._free())):
                found = texts[0] if all(self.cells[texts[0]]) else None
        if found is None and not self.has_header and len(self.names) == 3 and 0 in self._free():
            found = 0  # key, time, value, with numbers for keys
        if found is not None:
            self.taken.add(found)
        return found

    def _is_wide(self, series: int | None, values: Sequence[int]) -> bool:
        if self.options.wide is not None:
            if self.options.wide and (series is not None or self.options.series_key is not None):
                raise DialectError(f"{self.where}: wide=True leaves no room for series= or series_key=")
            if self.options.wide or series is not None or self.options.series_key is not None:
                return self.options.wide
        if series is not None or self.options.series_key is not None:
            return False
        numeric = values or [k for k in self._free() if self.names[k] and self._is_numeric(k)]
        # A register beside its rate is no two series; nor is one odd name among many a register.
        named = [k for k in numeric if has_value_word(self.names[k])]
        if (
            len(numeric) > 1
            and 8 * len(named) < len(numeric)
            and self.has_header
            and self.options.wide is None
        ):
            return True
        raise DialectError(
            f"{self.where}: no column reads as the series ({self._shown()}): pass series= with its name,"
            " series_key= with one key for all rows, or wide=True to take each column for a series"
        )

    def _wide_values(self) -> list[int]:
        return [k for k in self._free() if self.names[k] and self._is_numeric(k)]

    def _value(self) -> int:
        numeric = [k for k in self._free() if self._is_numeric(k)] or self._free()
        names = [self.names[k] if k in numeric else "" for k in range(len(self.names))]
        found = find_name(names, VALUE_NAMES, self.taken)
        if found is not None:
            return found
        if len(numeric) == 1:
            return numeric[0]
        telling = [k for k in numeric if has_value_word(self.names[k])]
        if len(telling) == 1:
            return telling[0]
        problem = "several columns hold numbers" if numeric else "no column holds numbers"
        raise DialectError(f"{self.where}: {problem} ({self._shown()}): pass value=")

    def _quality(self) -> int | None:
        found = find_name(self.names, QUALITY_NAMES, self.taken) if self.has_header else None
        if found is None:
            return None
        codes = self.options.quality_codes or {}
        if not all(cell in codes or _is_code(cell) for cell in self.cells[found]):
            return None
        self.taken.add(found)
        return found

    def _free(self) -> list[int]:
        return [k for k in range(len(self.names)) if k not in self.taken]

    def _is_numeric(self, column: int) -> bool:
        if column not in self.numeric:
            cells = [cell for cell in self.cells[column] if cell.lower() not in MISSING][:200]
            self.numeric[column] = 2 * sum(map(is_number, cells)) >= len(cells)
        return self.numeric[column]

    def _shown(self) -> str:
        names = [repr(name) for name in self.names[:8]]
        return "columns " + ", ".join(names) + (", ..." if len(self.names) > 8 else "")


def is_number(cell: str) -> bool:
    """Whether a cell reads as a number under some convention."""
    return _NUMBER.fullmatch(cell) is not None


def _is_code(cell: str) -> bool:
    return cell == "" or (cell.isdecimal() and int(cell) <= 255)
