"""XML, element by element, in bounded memory.

A document type is refused before it is parsed, since entities live there. An element that was given is
cleared, so that a file of any size takes the memory of its largest item.
"""

from collections.abc import Collection, Iterator
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from smartdata_ts.errors import DataError
from smartdata_ts.formats._source import Source

_PIECE_SIZE = 1 << 16
_DEPTH_MAX = 64
_ELEMENTS_MAX = 500_000  # kept at once: 9,999 observations of five elements are a tenth of it
_QUIET_SIZE_MAX = 16 << 20  # so many bytes without an element begun or ended


def local_name(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def child(element: Element, *path: str) -> Element | None:
    """The first descendant along a path of local names."""
    found: Element | None = element
    for name in path:
        found = (
            next((part for part in found if local_name(part) == name), None) if found is not None else None
        )
    return found


def child_text(element: Element, *path: str) -> str:
    """The text of the first descendant along a path of local names; empty where there is none."""
    found = child(element, *path)
    return "" if found is None or found.text is None else found.text.strip()


def children(element: Element, name: str) -> list[Element]:
    """The children of a local name."""
    return [part for part in element if local_name(part) == name]


def xml_items(source: Source, names: Collection[str], leaves: Collection[str] = ()) -> Iterator[Element]:
    """The elements of these local names, each whole; and leaves of the document around them."""
    parser: XMLPullParser[Element] = XMLPullParser(["start", "end"])
    guard = _Guard(source.name, frozenset(names), frozenset(leaves))
    quiet_size = 0
    tail = b""
    try:
        while piece := source.read(_PIECE_SIZE):
            if b"<!DOCTYPE" in (tail + piece).replace(b"\0", b""):
                raise DataError(
                    f"{source.name}: it declares a document type, which is refused: remove <!DOCTYPE>"
                )
            tail = piece[-32:]
            parser.feed(piece)
            quiet_size += len(piece)
            for event, element in parser.read_events():  # type: ignore[misc]
                quiet_size = 0
                assert isinstance(element, Element)
                if event == "start":
                    guard.begin(element)
                elif guard.end(element):
                    yield element
                    guard.drop(element)
            if quiet_size > _QUIET_SIZE_MAX:
                raise DataError(
                    f"{source.name}: one text of more than {_QUIET_SIZE_MAX >> 20} MB; no readings"
                )
        parser.close()
    except ParseError as error:
        raise DataError(f"{source.name}: no well-formed XML: {error}; ask for the file once more") from error
    except (LookupError, ValueError) as error:  # an encoding that Python does not know
        raise DataError(f"{source.name}: XML that cannot be read: {error}") from error


class _Guard:
    """Knows where in the document the parser is, and keeps no more of it than an item."""

    def __init__(self, where: str, names: frozenset[str], leaves: frozenset[str]) -> None:
        self._where = where
        self._names = names
        self._leaves = leaves
        self._open: list[Element] = []
        self._item: Element | None = None
        self._kept = 0

    def begin(self, element: Element) -> None:
        """Note an element that was opened."""
        if len(self._open) >= _DEPTH_MAX:
            raise DataError(f"{self._where}: elements nested more than {_DEPTH_MAX} deep; no readings")
        self._open.append(element)
        if self._item is None and local_name(element) in self._names:
            self._item = element
        self._kept += 1
        if self._kept > _ELEMENTS_MAX:
            raise DataError(
                f"{self._where}: more than {_ELEMENTS_MAX:,} elements in one series: split the file"
            )

    def end(self, element: Element) -> bool:
        """Whether the element is one that was asked for."""
        self._open.pop()
        if element is self._item:
            self._item = None
            return True
        if self._item is not None:
            return False
        if local_name(element) in self._leaves:
            return True
        self.drop(element)
        return False

    def drop(self, element: Element) -> None:
        """Forget an element that ended, and all in it."""
        element.clear()
        if self._open:
            self._open[-1].remove(element)
        self._kept = len(self._open)
