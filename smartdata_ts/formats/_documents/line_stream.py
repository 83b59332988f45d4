"""Lines of a text file, one after another, each of bounded length."""

from collections.abc import Iterator

from smartdata_ts.errors import DataError
from smartdata_ts.formats._source import Source

_PIECE_SIZE = 1 << 20
LINE_SIZE_MAX = 16 << 20


def numbered_lines(source: Source) -> Iterator[tuple[int, str]]:
    """Each line that is not blank with its number from 1, without its end.

    Bytes that are no UTF-8 become U+FFFD. DataError where a line is longer than LINE_SIZE_MAX.
    """
    number, rest = 0, b""
    while piece := source.read(_PIECE_SIZE):
        if not number and not rest:
            piece = piece.removeprefix(b"\xef\xbb\xbf")
        block, end, rest = (rest + piece).rpartition(b"\n")
        if len(rest) > LINE_SIZE_MAX:
            raise DataError(
                f"{source.name}: line {number + 1} is longer than {LINE_SIZE_MAX >> 20} MB; no readings"
            )
        for line in block.decode("utf-8", "replace").split("\n") if end else ():
            number += 1
            text = line.strip()
            if text:
                yield number, text
    text = rest.decode("utf-8", "replace").strip()
    if text:
        yield number + 1, text


def head_lines(source: Source) -> list[str]:
    """The whole lines of a file's head that are not blank, without reading them."""
    data = source.head.removeprefix(b"\xef\xbb\xbf")
    lines = data.decode("utf-8", "replace").split("\n")
    if len(lines) > 1 and len(data) > 1 << 19:
        lines.pop()  # cut by the end of the head
    return [line.strip() for line in lines if line.strip()]
