"""What the first bytes of a file tell: bytes of a container, an XML root, the keys of JSON, lines of text."""

import re
from dataclasses import dataclass
from functools import cached_property

_LOOKED_AT = 65_536  # bytes; a document names itself sooner
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_ELEMENT = re.compile(r"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)")
_NOT_ROOT = re.compile(r"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[.*?\])?[^>]*>", re.DOTALL | re.IGNORECASE)
_KEY = re.compile(r'"((?:[^"\\]|\\.){1,120})"\s*:')


@dataclass(frozen=True)
class Head:
    """The first bytes of a file, looked at once."""

    data: bytes

    @cached_property
    def text(self) -> str:
        """The bytes as text, whatever they are, without a byte order mark and blanks before it."""
        data = self.data[:_LOOKED_AT]
        for mark, encoding in _MARKS:
            if data.startswith(mark):
                return data[len(mark) :].decode(encoding, errors="replace").lstrip()
        if len(data) > 3 and data[1:4:2] == b"\0\0" and data[0]:
            return data.decode("utf-16-le", errors="replace").lstrip()
        return data.decode("latin-1").lstrip()

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Local names of XML elements as they come, the root first; none where this is no XML."""
        if not self.text.startswith("<"):
            return ()
        return tuple(_ELEMENT.findall(_NOT_ROOT.sub("", self.text)))

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of the first JSON objects, however deep; none where this is no JSON."""
        if not self.text.startswith(("{", "[")):
            return frozenset()
        return frozenset(_KEY.findall(self.text))

    @cached_property
    def lines(self) -> list[str]:
        """The first lines that are not blank."""
        return [line for line in self.text.splitlines()[:200] if line.strip()][:50]
