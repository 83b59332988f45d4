"""Numbers of a text file: written texts to float64, correctly rounded."""

from functools import cache

import numpy as np

from smartdata_ts.kernels.arrays import Float64Array, Int32Array, UInt8Array, UInt64Array
from smartdata_ts.kernels.text import decimals as text_decimals
from smartdata_ts.kernels.text import numbers as text_numbers
from smartdata_ts.kernels.text import status as text_status

_BLANKS = (" ", "\xa0", "\u202f", "\u2009")
_APOSTROPHES = ("'", "\u2019")


class NumberColumn:
    """Numbers with a decimal mark and perhaps a thousands separator."""

    def __init__(self, decimal: str, thousands: str | None, encoding: str) -> None:
        self._decimal = decimal
        self._encoding = encoding
        self._separators = _separators(thousands)
        thousands_byte = ord(self._separators[0]) if self._separators else 0
        self._marks = text_numbers.NumberFormat(ord(decimal), thousands_byte)

    def parse(
        self, buffer: UInt8Array, spans: Int32Array, values: Float64Array, statuses: UInt8Array
    ) -> None:
        """Fill `values`; the statuses of rows that hold no number are set."""
        failed = text_numbers.parse_numbers(
            buffer, spans, values.size, self._marks, _powers(), values, values.view(np.uint64), statuses
        )
        if not failed:
            return
        for row in np.flatnonzero(statuses == text_status.SLOW_NUMBER).tolist():
            text = buffer[spans[2 * row] : spans[2 * row + 1]].tobytes().decode(self._encoding)
            values[row] = self._parse_slowly(text)
            is_finite = np.isfinite(values[row])
            statuses[row] = text_status.OK if is_finite else text_status.NUMBER_OUT_OF_RANGE

    def _parse_slowly(self, text: str) -> float:
        """A text that the kernel found to be a number, by Python."""
        for separator in self._separators:
            text = text.replace(separator, "")
        return float(text.replace(self._decimal, "."))


@cache
def _powers() -> UInt64Array:
    return np.array(text_decimals.power_words(), np.uint64)


def _separators(thousands: str | None) -> tuple[str, ...]:
    if not thousands:
        return ()
    for kinds in (_BLANKS, _APOSTROPHES):
        if thousands in kinds:
            return kinds
    return (thousands,)
