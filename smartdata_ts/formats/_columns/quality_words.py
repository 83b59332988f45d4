"""What the words in columns of portals say of a reading's quality."""

from smartdata_ts._meter.quality import quality_code

# Words of Elhub (NO), Energinet (DK), Fingrid (FI), Fluvius (BE), E-REDES (PT), Datadis (ES), UK suppliers.
_WORDS = {
    "measured": """
        målt, maalt, measured, metered, actual, real, r, ok, validated, valid, gevalideerd, gemeten, a,
        gemessen, réel, mesuré
    """,
    "estimated": """
        estimert, estimeret, estimated, estimate, estimada, estimado, e, geschat, geschätzt, estimé, beregnet,
        calculated
    """,
    "final_estimate": "endelig estimert",
    "temporary": "midlertidig, temporary, foreløbig, vorläufig, provisional",
    "rejected": "avvist, rejected, rechazada",
    "missing": "manglende verdi, mangler, missing, geen verbruik, fehlend",
}
_CODES = {
    " ".join(word.split()): quality_code(status, "vendor" if word.strip() == "beregnet" else "")
    for status, words in _WORDS.items()
    for word in words.split(",")
}


def is_quality_word(cell: str) -> bool:
    """Whether a cell is one of the words, in any case."""
    return cell.casefold() in _CODES


def codes_of_words() -> dict[str, int]:
    """The code of each word, as written in the usual cases."""
    cases = (str.lower, str.upper, str.capitalize, str.title)
    return {case(word): code for word, code in _CODES.items() for case in cases}
