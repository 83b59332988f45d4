"""EDIFACT (ISO 9735): segments of elements of components, read one after another in bounded memory.

UNA says which characters separate, and which one takes the meaning from the next; without it they are
`:+.? '`. A segment is a list of elements, each a list of components, the first one its name.
"""

from collections.abc import Iterator
from typing import NamedTuple

from smartdata_ts.errors import DataError
from smartdata_ts.formats._source import Source

_PIECE_SIZE = 1 << 18
_SEGMENT_SIZE_MAX = 1 << 20
Segment = list[list[str]]


class Characters(NamedTuple):
    """What separates, in UNA's order."""

    component: str = ":"
    element: str = "+"
    decimal: str = "."
    release: str = "?"
    reserved: str = " "
    terminator: str = "'"


def characters_of(head: bytes) -> tuple[Characters, int]:
    """The characters that UNA says, and how many bytes it takes with what stands before it."""
    text = head[:4096].decode("latin-1")
    at = text.find("UNA")
    if at < 0 or text[:at].strip("\ufeff\xef\xbb\xbf \r\n") or len(text) < at + 9:
        return Characters(), 0
    return Characters(*text[at + 3 : at + 9]), at + 9


def segments(source: Source) -> Iterator[tuple[int, Segment]]:
    """Each segment with its number from 1, UNA not counted."""
    marks, skipped = characters_of(source.head)
    if len(set(marks) - {" "}) != len([mark for mark in marks if mark != " "]):
        raise DataError(f"{source.name}: UNA names one character twice; ask for the file once more")
    source.read(skipped)
    number, rest, looked_at = 0, "", 0
    while True:
        piece = source.read(_PIECE_SIZE)
        text = rest + piece.decode("latin-1")
        end = 0
        while (stop := _end_of_segment(text, max(end, looked_at), marks)) >= 0:
            body = text[end:stop].strip("\r\n\t ")
            end, looked_at = stop + 1, 0
            if body:
                number += 1
                yield number, split_segment(body, marks)
        rest = text[end:]
        if len(rest) > _SEGMENT_SIZE_MAX:
            raise DataError(f"{source.name}: segment {number + 1} does not end; ask for the file once more")
        looked_at = max(0, len(rest) - 1)  # a release may stand there
        if not piece:
            break
    if rest.strip("\r\n\t \x1a\x00"):
        raise DataError(f"{source.name}: it ends within segment {number + 1}; ask for the file once more")


def _end_of_segment(text: str, start: int, marks: Characters) -> int:
    """The place of the first terminator from `start` on that was not released; -1 where there is none."""
    stop = text.find(marks.terminator, start)
    while stop > 0 and text[stop - 1] == marks.release:
        before = stop - 1
        while before > 0 and text[before - 1] == marks.release:
            before -= 1
        if (stop - before) % 2 == 0:
            break  # releases that take the meaning from each other
        stop = text.find(marks.terminator, stop + 1)
    return stop


def split_segment(body: str, marks: Characters) -> Segment:
    """The elements of a segment, each a list of components."""
    if marks.release not in body:
        return [element.split(marks.component) for element in body.split(marks.element)]
    found: Segment = [[""]]
    letters = iter(body)
    for letter in letters:
        if letter == marks.release:
            found[-1][-1] += next(letters, "")
        elif letter == marks.element:
            found.append([""])
        elif letter == marks.component:
            found[-1].append("")
        else:
            found[-1][-1] += letter
    return found
