"""A finding's text: a template of its rule, filled with the figures of its evidence and its times."""

from datetime import datetime
from zoneinfo import ZoneInfo

from smartdata_ts._detect.findings import Finding
from smartdata_ts._detect.rule import Rule

LANGUAGES = ("en", "nb")

_DAYS = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "nb": ("mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag", "søndag"),
}
_MONTHS = {
    "en": (
        *("January", "February", "March", "April", "May", "June", "July"),
        *("August", "September", "October", "November", "December"),
    ),
    "nb": (
        *("januar", "februar", "mars", "april", "mai", "juni", "juli"),
        *("august", "september", "oktober", "november", "desember"),
    ),
}


def text_of(finding: Finding, rule: type[Rule], zone: ZoneInfo, lang: str) -> str:
    """Return the finding's text in a language, with times of a zone."""
    said = {figure.name: shown_number(figure.value, figure.unit, lang) for figure in finding.evidence}
    said["start"] = shown_time(finding.start, zone, lang)
    said["end"] = "" if finding.end is None else shown_time(finding.end, zone, lang)
    return rule.texts[lang][finding.wording].format(**said)


def shown_number(value: float, unit: str | None, lang: str) -> str:
    """A number in three figures, or as many as its whole part has, and its unit.

    >>> shown_number(0.87654, "m3", "nb"), shown_number(1336.2, None, "en")
    ('0,877 m3', '1336')
    """
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if lang == "nb":
        text = text.replace(".", ",")
    return text if unit is None else f"{text} {unit}"


def shown_time(instant_us: int, zone: ZoneInfo, lang: str) -> str:
    """A day of the week, a date and a time of the clock.

    >>> shown_time(1_762_131_600_000_000, ZoneInfo("Europe/Oslo"), "en")
    'Monday 3 November 2025 02:00'
    """
    local = datetime.fromtimestamp(instant_us // 1_000_000, zone)
    day, month = _DAYS[lang][local.weekday()], _MONTHS[lang][local.month - 1]
    dot = "." if lang == "nb" else ""
    return f"{day} {local.day}{dot} {month} {local.year} {local:%H:%M}"
