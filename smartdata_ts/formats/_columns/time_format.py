"""How a text file writes its times: a small description, guessed from samples or given as a pattern."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from smartdata_ts.errors import DialectError, UsageError
from smartdata_ts.kernels.text import times as text_times

_EPOCH_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_ORDERS = {"Ymd": text_times.YEAR_FIRST, "dmY": text_times.DAY_FIRST, "mdY": text_times.MONTH_FIRST}
_PATTERN = re.compile(
    r"%([YymdB])([-/. ]?)%([md])\2%([Yymd])"
    r"(?P<clock>(?P<gap>[T ]?)%(?P<hour>[HI])(?P<separator>[:.]?)%M((?P=separator)%S(\.%f)?)?"
    r"(?P<half> ?%p)?( ?%z|Z)?)?"
)
_CLOCK_TEXT = r"(?P<hour>\d{1,2})(?P<clock_separator>[:.])\d{2}((?P=clock_separator)\d{2}([.,]\d+)?)?"
_TAIL_TEXT = r"(?P<half> ?[AaPp][Mm])?(?P<offset> ?([Zz]|UTC|[+-]\d{2}:?(\d{2})?))?"
_SEPARATED = re.compile(
    r"(?P<first>\d{1,4})(?P<separator>[-/.])(?P<second>\d{1,2})(?P=separator)(?P<third>\d{1,4})"
    rf"((?P<gap>[Tt ]){_CLOCK_TEXT}{_TAIL_TEXT})?"
)
_COMPACT = re.compile(
    r"(?P<year>[12]\d{3})(?P<month>[01]\d)(?P<day>[0-3]\d)((?P<gap>[Tt ]?)[0-2]\d[0-5]\d([0-5]\d)?)?"
)
_RANGE = re.compile(r"(?P<start>\d{1,2}[:.]\d{2}) ?- ?(?P<end>\d{1,2}[:.]\d{2})$")
_CLOCK = re.compile(_CLOCK_TEXT + _TAIL_TEXT)


@dataclass(frozen=True, kw_only=True)
class TimeFormat:
    """The order and the separators of a written time; the parts of `spec` by name.

    gap stands between date and time of day: "T" admits a blank too, "" means none, and None a date
    alone. A seconds part, a fraction and an offset may follow wherever there is a time of day.
    """

    order: int = text_times.YEAR_FIRST
    date_separator: str = "-"
    gap: str | None = "T"
    clock_separator: str = ":"
    twelve_hours: bool = False
    year_digits: int = 4
    epoch_unit_us: int = 0

    def spec(self) -> text_times.TimeSpec:
        """The description as the kernel reads it."""
        separators = (self.date_separator, self.gap, self.clock_separator)
        is_fixed = all(separators) and self.year_digits == 4 and not self.twelve_hours
        return text_times.TimeSpec(
            self.order,
            _byte(self.date_separator),
            text_times.NO_CLOCK if self.gap is None else _byte(self.gap),
            _byte(self.clock_separator),
            self.twelve_hours,
            self.epoch_unit_us,
            self.year_digits,
            *(self._pictures() if is_fixed else (0, 0, 0, 0)),
            np.full(text_times.LAST_DATE_SIZE, -1, np.int64),
        )

    def _pictures(self) -> tuple[int, int, int, int]:
        """Words of the first sixteen bytes, up to the minutes, where all digits are written."""
        year_first = self.order == text_times.YEAR_FIRST
        date = self.date_separator.join(["0000", "00", "00"] if year_first else ["00", "00", "0000"])
        shape = f"{date}\0" + self.clock_separator.join(["00", "00"])
        return (*text_times.picture(shape[:8].encode()), *text_times.picture(shape[8:].encode()))

    def __str__(self) -> str:
        for name, unit in _EPOCH_UNITS.items():
            if self.epoch_unit_us == unit:
                return name
        year = "yyyy" if self.year_digits == 4 else "yy"
        parts = [[year, "mm", "dd"], ["dd", "mm", year], ["mm", "dd", year]][self.order]
        date = self.date_separator.join(parts)
        if self.gap is None:
            return date
        clock = self.clock_separator.join(["hh", "mm", "ss"] if self.clock_separator else ["hhmm"])
        return date + self.gap + clock + (" am/pm" if self.twelve_hours else "")


def time_format_of(pattern: str) -> TimeFormat:
    """The format that a user named: "iso", "epoch_s", "epoch_ms", "epoch_us", or a strptime pattern.

    Raises UsageError for a pattern beyond year, month and day (in digits), hour, minute, second.
    """
    if pattern == "iso":
        return TimeFormat()
    if pattern in _EPOCH_UNITS:
        return TimeFormat(epoch_unit_us=_EPOCH_UNITS[pattern])
    match = _PATTERN.fullmatch(pattern)
    order = "".join(match.group(1, 3, 4)) if match else ""
    if match is None or order.replace("y", "Y") not in _ORDERS:
        raise UsageError(
            f"time_format={pattern!r} is not known: pass 'iso', 'epoch_s', 'epoch_ms', 'epoch_us', or a"
            " pattern such as '%d.%m.%Y %H:%M', '%d/%m/%Y %H:%M:%S', '%m/%d/%Y %I:%M %p', '%Y%m%d%H%M'"
        )
    return TimeFormat(
        order=_ORDERS[order.replace("y", "Y")],
        date_separator=match[2],
        gap=match["gap"] if match["clock"] else None,
        clock_separator=match["separator"] or "",
        twelve_hours=match["half"] is not None,
        year_digits=2 if "y" in order else 4,
    )


def guess_time_format(cells: Sequence[str], where: str) -> TimeFormat | None:
    """The format that all `cells` share, or None where they are no times.

    Raises DialectError where the cells are dates whose order of day and month cannot be told.
    """
    cells = [cell for cell in cells if cell]
    if not cells:
        return None
    compact = _COMPACT.fullmatch(cells[0])
    if compact and 2 * sum(_COMPACT.fullmatch(cell) is not None for cell in cells) > len(cells):
        gap = compact["gap"] if len(cells[0]) > 8 else None
        return TimeFormat(date_separator="", gap=gap, clock_separator="")
    matches = [_SEPARATED.fullmatch(cell) for cell in cells]
    found = [match for match in matches if match]
    # A head may hold broken rows; they will be rejected with their line numbers.
    if 2 * len(found) < len(cells):
        return None
    first = found[0]
    order = _order([(m["first"], m["second"], m["third"]) for m in found], first["separator"], where)
    return TimeFormat(
        order=order,
        date_separator=first["separator"],
        gap="T" if first["gap"] else None,
        clock_separator=first["clock_separator"] or ":",
        twelve_hours=first["half"] is not None,
        year_digits=4 if max(len(first["first"]), len(first["third"])) == 4 else 2,
    )


def guess_epoch(cells: Sequence[str], where: str = "") -> TimeFormat | None:
    """The unit of `cells` that count since 1970-01-01, taken for times from 1973 to 2200."""
    numbers = [cell.split(".")[0] for cell in cells if cell]
    if not numbers or not all(number.isascii() and number.isdecimal() for number in numbers):
        return None
    if {len(number) for number in numbers} == {12} and _fit_pattern(numbers, "%Y%m%d%H%M"):
        return TimeFormat(date_separator="", gap="", clock_separator="")
    if {len(number) for number in numbers} == {10}:
        for pattern, name in (("%Y%m%d%H", "yyyymmddhh"), ("%y%m%d%H%M", "yymmddhhmm")):
            if _fit_pattern(numbers, pattern):
                raise DialectError(
                    f"{where}: times such as {numbers[0]!r} may be {name} or seconds since 1970: pass"
                    " time_format='epoch_s' if they are seconds, else write them as yyyymmddhhmm"
                )
    for name, unit in _EPOCH_UNITS.items():
        if all(10**8 <= int(number) * unit // 10**6 <= 7_258_118_400 for number in numbers):
            return time_format_of(name)
    return None


def _fit_pattern(numbers: Sequence[str], pattern: str) -> bool:
    """Whether every number is a time of a compact pattern, of the years 1970 to 2099."""
    try:
        return all(1970 <= datetime.strptime(number, pattern).year < 2100 for number in numbers)
    except ValueError:
        return False


def require_no_ranges(cells: Sequence[str], column: str, where: str) -> None:
    """Raise DialectError where "01:00-02:00" is a range: no offset changes with the time of day."""
    found = [match for match in map(_RANGE.search, cells) if match]
    starts = {match["start"] for match in found}
    if not found:
        return
    steps = {(_minutes(match["end"]) - _minutes(match["start"])) % 1440 for match in found}
    is_spaced = any(" - " in match[0] for match in found)
    if is_spaced or (len(starts) > 1 and len(steps) == 1) or any(_minutes(m["end"]) > 720 for m in found):
        raise DialectError(
            f"{where}: {found[0][0]!r} in column {column!r} is a range of times: write its start alone in the"
            " column, or name another one with time="
        )


def _minutes(clock: str) -> int:
    hour, minute = re.split("[:.]", clock)
    return 60 * int(hour) + int(minute)


def is_clock(cells: Sequence[str]) -> bool:
    """Whether all cells are times of day."""
    return any(cells) and all(_CLOCK.fullmatch(cell) for cell in cells if cell)


def lacks_offset(cell: str) -> bool:
    """Whether a cell is a time that does not tell its offset from UTC."""
    match = _SEPARATED.fullmatch(cell)
    if match is None:
        return _COMPACT.fullmatch(cell) is not None
    return not match["offset"]


def _order(dates: list[tuple[str, str, str]], separator: str, where: str) -> int:
    if len(dates[0][0]) == 4:
        return text_times.YEAR_FIRST
    if separator == "." or max(int(first) for first, _, _ in dates) > 12:
        return text_times.DAY_FIRST
    if max(int(second) for _, second, _ in dates) > 12:
        return text_times.MONTH_FIRST
    raise DialectError(
        f"{where}: dates such as {separator.join(dates[0])} leave open which number is the day:"
        " pass time_format='%d/%m/%Y ...' or '%m/%d/%Y ...'"
    )


def _byte(text: str) -> int:
    return ord(text) if text else 0
