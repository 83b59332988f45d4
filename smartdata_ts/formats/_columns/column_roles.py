"""Which column holds what: told by the options, by the columns' names, and by their cells."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smartdata_ts.errors import DialectError
from smartdata_ts.formats._options import ReadOptions, find_column

from .column_names import (
    CLOCK_NAMES,
    HOUR_NAMES,
    NO_KEY_NAMES,
    QUALITY_NAMES,
    SERIES_NAMES,
    TIME_NAMES,
    UNIT_NAMES,
    UNTIL_NAMES,
    VALUE_NAMES,
    find_name,
    has_unit,
    has_value_word,
    plain_name,
)
from .key_evidence import is_clock_text, is_hour, may_be_keys, rounded_key
from .quality_words import codes_of_words, is_quality_word
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
    quality_words: bool  # the quality column has words of portals

    def quality_codes(self, given: Mapping[str, int] | None) -> dict[str, int]:
        """What the texts of the quality column stand for; what the user said goes before what is known."""
        return {**(codes_of_words() if self.quality_words else {}), **(given or {})}


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
            series = self._series(bool(values), time, clock)
        elif series is not None:
            self._refuse_rounded(series)
        self._refuse_mixed_units(values)
        wide = self._is_wide(series, values)
        if len(values) > 1 and not wide:
            raise DialectError(
                f"{self.where}: several columns are named as value=, but a row of this file is one reading:"
                " pass one, and import the file once for each"
            )
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
            quality_words=quality is not None and any(map(is_quality_word, self.cells[quality])),
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
        elif self.has_header:
            self._refuse_hours()
        return clock

    def _refuse_hours(self) -> None:
        """Raise DialectError where a column beside dates tells hours by number, or as ranges."""
        hour = find_name(self.names, HOUR_NAMES, self.taken)
        cells = [cell for cell in self.cells[hour] if cell] if hour is not None else []
        if hour is not None and cells and all(is_hour(cell) for cell in cells):
            raise DialectError(
                f"{self.where}: column {self.names[hour]!r} tells the hour of the day by number, such as"
                f" {cells[0]!r}, which is not read: export it with the time of day as 00:00, or with time"
                " and date in one column"
            )

    def _is_dated(self, column: int) -> bool:
        cells = [cell for cell in self.cells[column][:1000] if cell]
        try:
            return guess_time_format(cells, "") is not None
        except DialectError:  # dates, of which it is open which number is the day
            return True

    def _series(self, has_value: bool, time: int, clock: int | None) -> int | None:
        found = find_name(self._key_names(), SERIES_NAMES, self.taken) if self.has_header else None
        if found is None:
            texts = [k for k in self._free() if self._may_be_text_key(k)]
            if len(texts) == 1 and (has_value or any(self._is_numeric(k) for k in self._free())):
                found = texts[0]
                if not may_be_keys(self.names[found], self.cells[found], self._times_of_rows(time, clock)):
                    found = None
        if found is None and not self.has_header and len(self.names) == 3 and 0 in self._free():
            found = 0  # key, time, value, with numbers for keys
        if found is not None:
            self._refuse_rounded(found)
            self.taken.add(found)
        return found

    def _key_names(self) -> list[str]:
        """Names of the columns that hold neither times nor clocks, whatever they are called."""
        return [
            "" if self._is_dated(k) or is_clock(self.cells[k][:1000]) else name
            for k, name in enumerate(self.names)
        ]

    def _may_be_text_key(self, column: int) -> bool:
        return not self._is_numeric(column) and any(self.cells[column]) and not self._is_dated(column)

    def _times_of_rows(self, time: int, clock: int | None) -> list[str]:
        clocks = self.cells[clock] if clock is not None else [""] * len(self.cells[time])
        return [" ".join(pair) for pair in zip(self.cells[time], clocks, strict=True)]

    def _refuse_mixed_units(self, values: Sequence[int]) -> None:
        """Raise DialectError where a column that is not used tells that the rows' units differ."""
        column = find_name(self.names, UNIT_NAMES, {*self.taken, *values}) if self.has_header else None
        units = sorted({cell for cell in self.cells[column] if cell}) if column is not None else []
        if column is not None and len(units) > 1 and not all(map(is_number, units)):
            raise DialectError(
                f"{self.where}: column {self.names[column]!r} says that units differ by row"
                f" ({', '.join(units[:5])}), which is not read: import the rows of each unit as a file"
                " of its own"
            )

    def _refuse_rounded(self, column: int) -> None:
        rounded = rounded_key(self.cells[column])
        if rounded is not None:
            raise DialectError(
                f"{self.where}: {rounded!r} in column {self.names[column]!r} is a key that a spreadsheet has"
                " rounded, so that meters can no longer be told apart: export the column as text"
            )

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
            and not any(self._is_unexplained(k) for k in self._free())
            and 8 * len(named) < len(numeric)
            and self.has_header
            and self.options.wide is None
        ):
            return True
        raise DialectError(
            f"{self.where}: no column reads as the series ({self._shown()}): pass series= with its name,"
            " series_key= with one key for all rows, or wide=True to take each column for a series"
        )

    def _is_unexplained(self, column: int) -> bool:
        """Whether a column holds texts that its name does not explain: it may hold the keys after all."""
        is_explained = plain_name(self.names[column]) in (
            *QUALITY_NAMES,
            *UNTIL_NAMES,
            *UNIT_NAMES,
            *NO_KEY_NAMES,
        )
        return not is_explained and self._may_be_text_key(column)

    def _wide_values(self) -> list[int]:
        return [k for k in self._free() if self.names[k] and self._is_numeric(k)]

    def _value(self) -> int:
        numeric = [k for k in self._free() if self._is_numeric(k)] or self._free()
        names = [self.names[k] if k in numeric else "" for k in range(len(self.names))]
        found = find_name(names, VALUE_NAMES, self.taken)
        rivals = [k for k in numeric if k != found and has_unit(self.names[k])]
        if found is not None and not rivals:
            return found
        if len(numeric) == 1:
            return numeric[0]
        telling = [k for k in numeric if has_value_word(self.names[k])]
        if found is None and len(telling) == 1:
            return telling[0]
        self._refuse_day_rows(numeric)
        problem = "several columns hold numbers" if numeric else "no column holds numbers"
        raise DialectError(f"{self.where}: {problem} ({self._shown(numeric)}): pass value=")

    def _refuse_day_rows(self, numeric: Sequence[int]) -> None:
        clocks = [self.names[k] for k in numeric if is_clock_text(self.names[k].strip("[] "))]
        if len(clocks) > 20:
            raise DialectError(
                f"{self.where}: columns such as {clocks[0]!r} are times of day: a file with a row a day is"
                " not read; export it with a row a reading"
            )

    def _quality(self) -> int | None:
        found = find_name(self.names, QUALITY_NAMES, self.taken) if self.has_header else None
        if found is None:
            return None
        codes = self.options.quality_codes or {}
        unknown = [cell for cell in self.cells[found] if not (cell in codes or _is_code(cell))]
        words = [cell for cell in unknown if is_quality_word(cell)]
        if len(words) < len(unknown):
            if not words:
                return None
            odd = next(cell for cell in unknown if not is_quality_word(cell))
            raise DialectError(
                f"{self.where}: {odd!r} in column {self.names[found]!r} is no quality that is known:"
                f" say what it stands for: quality_codes={{{odd!r}: ...}}"
            )
        self.taken.add(found)
        return found

    def _free(self) -> list[int]:
        return [k for k in range(len(self.names)) if k not in self.taken]

    def _is_numeric(self, column: int) -> bool:
        if column not in self.numeric:
            cells = [cell for cell in self.cells[column] if cell.lower() not in MISSING][:200]
            self.numeric[column] = 2 * sum(map(is_number, cells)) >= len(cells)
        return self.numeric[column]

    def _shown(self, columns: Sequence[int] | None = None) -> str:
        names = [repr(self.names[k]) for k in columns] if columns else [repr(name) for name in self.names]
        return "columns " + ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def is_number(cell: str) -> bool:
    """Whether a cell reads as a number under some convention."""
    return _NUMBER.fullmatch(cell) is not None


def _is_code(cell: str) -> bool:
    return cell == "" or (cell.isdecimal() and int(cell) <= 255)
