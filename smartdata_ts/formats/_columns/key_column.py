"""Series keys of a text file: bytes to small codes, and the codes' texts."""

from itertools import pairwise

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.arrow import text_array
from smartdata_ts.kernels.arrays import Int32Array, UInt8Array
from smartdata_ts.kernels.text import keys as text_keys

_KEY_COUNT_FIRST = 1024


class KeyColumn:
    """Codes of keys, the same for the same text over all blocks of a file."""

    def __init__(self, encoding: str, quote: str) -> None:
        self._encoding = encoding
        self._quote = quote.encode()
        self._slots = np.full(2 * _KEY_COUNT_FIRST, -1, np.int32)
        self._key_stops = np.zeros(_KEY_COUNT_FIRST + 1, np.int64)
        self._successors = np.zeros(_KEY_COUNT_FIRST, np.int32)
        self._key_bytes = np.empty(32 * _KEY_COUNT_FIRST, np.uint8)
        self._state = np.zeros(text_keys.STATE_SIZE, np.int64)
        self._state[text_keys.LAST_CODE] = -1
        self._code_by_text: dict[str, int] = {}
        self._text_codes: list[int] = []  # of each kernel's code: two spellings may be one text
        self._dictionary: pa.Array | None = None

    def encode(self, buffer: UInt8Array, spans: Int32Array, codes: Int32Array) -> None:
        """Fill `codes`; NO_KEY where the cell is empty, NO_TEXT where its bytes are no text, or ZERO_BYTE."""
        self._state[text_keys.NEXT_ROW] = 0
        while True:
            reached = text_keys.encode_keys(
                buffer,
                spans,
                self._slots,
                self._key_stops,
                self._successors,
                self._key_bytes,
                self._state,
                codes,
            )
            if reached == codes.size:
                break
            span = spans[2 * reached : 2 * reached + 2]
            self._make_room(int(span[1] - span[0]))
        self._decode_new()
        if len(self._code_by_text) < len(self._text_codes):
            text_codes = np.array([*self._text_codes, text_keys.NO_KEY], np.int32)
            codes[:] = text_codes[codes]  # NO_KEY, -1, finds itself at the end

    @property
    def dictionary(self) -> pa.Array:
        """The texts of the codes; the same object until a new key comes."""
        if self._dictionary is None:
            self._dictionary = text_array(list(self._code_by_text))
        return self._dictionary

    @property
    def texts(self) -> list[str]:
        """The texts of the codes, as a list."""
        return list(self._code_by_text)

    def _decode_new(self) -> None:
        """Decode the keys that came since the last call."""
        known = len(self._text_codes)
        count = int(self._state[text_keys.KEY_COUNT])
        if count == known:
            return
        self._dictionary = None
        stops = self._key_stops[known : count + 1].tolist()
        raw = self._key_bytes[stops[0] : stops[-1]].tobytes()
        for start, stop in pairwise(stops):
            text = self._text(raw[start - stops[0] : stop - stops[0]])
            if text is None:
                self._text_codes.append(text_keys.NO_TEXT)
            elif "\0" in text:
                self._text_codes.append(text_keys.ZERO_BYTE)
            else:
                code = self._code_by_text.setdefault(text, len(self._code_by_text))
                self._text_codes.append(code)

    def _text(self, raw: bytes) -> str | None:
        if raw[:1] == self._quote:
            raw = raw[1:-1].replace(2 * self._quote, self._quote)
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError:
            return None

    def _make_room(self, key_size: int) -> None:
        count = int(self._state[text_keys.KEY_COUNT])
        used = int(self._key_stops[count])
        if used + key_size > self._key_bytes.size:
            self._key_bytes = _grown(self._key_bytes, 2 * self._key_bytes.size + key_size)
        if 2 * (count + 1) > self._slots.size:
            self._key_stops = _grown(self._key_stops, 4 * count + 1)
            self._successors = _grown(self._successors, 4 * count)
            self._slots = np.full(4 * self._slots.size, -1, np.int32)
            text_keys.rebuild_slots(self._key_bytes, self._key_stops, count, self._slots)


def _grown(array: np.ndarray, size: int) -> np.ndarray:
    grown = np.zeros(size, array.dtype)
    grown[: array.size] = array
    return grown
