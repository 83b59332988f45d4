"""Names what is no table of text by its first bytes, and says how to get one."""

import re

from smartdata_ts.errors import DialectError

_MAGIC = (
    (
        b"PK\x03\x04",
        "a workbook (xlsx, ods) or another archive",
        "save its sheet as CSV, or name the archive .zip",
    ),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (xls)", "save its sheet as CSV"),
    (b"%PDF", "a PDF document", "ask for the readings as CSV"),
    (b"\x1f\x8b", "packed by gzip", "let its name end in .gz"),
    (b"BZh", "packed by bzip2", "let its name end in .bz2"),
    (b"\x28\xb5\x2f\xfd", "packed by Zstandard", "let its name end in .zst"),
    (b"PAR1", "Parquet", "pass format='parquet'"),
    (b"ARROW1", "Arrow IPC", "pass format='arrow'"),
    (b"SQLite format 3", "an SQLite database", "export the table of readings as CSV"),
)
_TEXTS = (
    (
        r"<(!doctype )?html",
        "an HTML page",
        "save the table as CSV; a page in its place may be a login or an error",
    ),
    (r"<", "XML", "convert its readings to CSV"),
    (r"UNA.{6}\s*UNB\+|UNB\+", "EDIFACT", "convert its readings to CSV"),
    (r"100,NEM1[23]|[23]00,\w+,", "NEM12 or NEM13", "convert its readings to CSV"),
    (r"ZHV\|", "a file of the British data flows (D0010 and its like)", "convert its readings to CSV"),
    (r"#?ZRXP|#TSPATH|#REXCHANGE", "ZRXP", "export it as CSV"),
    (r"[\[{]\s*[\[{\"\]}]", "JSON", "convert it to CSV with a column for the key, the time and the value"),
)
_WORD = r"(?:[^\s,=]|\\.)+"
_LINE_PROTOCOL = re.compile(
    rf"{_WORD}(,{_WORD}={_WORD})* {_WORD}=[^\s,]+(,{_WORD}=[^\s,]+)*( \d+)?"  # measurement,tags fields stamp
)


def refuse_foreign(head: bytes, where: str) -> None:
    """Raise DialectError where a file's first bytes tell that it is no table of text."""
    for magic, name, advice in _MAGIC:
        if head.startswith(magic):
            raise DialectError(f"{where}: this is {name}, no table of text: {advice}")
    text = head[:4096].decode("utf-8", errors="replace").removeprefix("\ufeff").lstrip()
    for pattern, name, advice in _TEXTS:
        if re.match(pattern, text, re.I | re.S):
            raise DialectError(f"{where}: this is {name}, no table of text: {advice}")
    lines = [line for line in text.splitlines()[:20] if line.strip() and not line.startswith("#")]
    if lines and _LINE_PROTOCOL.fullmatch(lines[0].rstrip()):
        raise DialectError(f"{where}: this is InfluxDB line protocol, no table of text: export it as CSV")
