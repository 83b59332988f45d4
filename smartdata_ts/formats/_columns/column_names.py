"""What columns are called in the files of vendors: English, Norwegian, Spanish, German."""

import re
import unicodedata

_SERIES = """
    series, series id, series key, meter, meter id, meterid, meter key, meter no, meter nr, meter number,
    meter serial, meter point, metering point, metering point id, user key, userkey, key, serial, serial no,
    serial number, device, device id, deviceid, dev eui, deveui, sensor, sensor id, node, node id, tag, id,
    channel, gsrn, ean, mpan, mprn, mpid, målepunkt, målepunktid, målepunkt id, maalepunkt, maalepunktid,
    maalepunkt id, måler, måler id, målerid, målernr, målernummer, maaler, maalernr, maalernummer,
    serienr, serienummer, anleggsnr, anleggsnummer, anlegg, contador, id contador, medidor, equipo,
    dispositivo, punto, cups, zähler, zähler id, zählernummer, zählernr, zählpunkt, zaehler, zaehlernummer,
    zaehlpunkt, messpunkt, messstelle, gerät, gerätenummer
"""
_TIME = """
    time, timestamp, time stamp, datetime, date time, ts, unix ts, unix time, unixtime, unix timestamp, epoch,
    reading time, read time, time utc, timestamp utc, utc, start, from, start time, period start, tidspunkt,
    tidsstempel, tid, dato tid, datotid, fra, fra tid, avlest, avlesningstidspunkt, måletidspunkt, fecha hora,
    fecha y hora, marca de tiempo, instante, zeitstempel, zeitpunkt, zeit, datum uhrzeit, datum zeit, von,
    date, dato, fecha, datum, dag, day, avlesningsdato, reading date, tag datum
"""
_CLOCK = "time, clock, time of day, hour, kl, klokkeslett, klokke, tid, time kl, hora, uhrzeit, zeit"
_VALUE = """
    value, verdi, valor, wert, meter reading, reading, meter value, målerstand, maalerstand, målestand,
    målerverdi, stand, avlesning, lectura, zählerstand, zaehlerstand, messwert, register, counter, index,
    volum, volume, volumen, consumption, forbruk, consumo, verbrauch, mengde, menge, amount, usage, energy,
    load, flow, kwh, m3, level, temperature
"""
_QUALITY = """
    quality, quality code, status, status code, flag, kvalitet, kvalitetskode, målestatus, calidad, estado,
    qualität, qualitaet, qualitätscode, validatiestatus, estado de validación, statut, qualité, read type
"""
_UNTIL = """
    end, to, until, til, til tid, tot, bis, hasta, fin, slutt, slut, end time, period end, end timestamp,
    til dato, date de fin, fecha hasta, stop, til og med
"""
_UNIT = """
    unit, units, uom, enhet, enhed, måleenhet, måleenhed, einheit, unidad, unité, unite, eenheid, read unit,
    unit type
"""
_HOUR = "hour, hour ending, he, time, kl, hora, stunde, heure, uur, hour of day, time nr, hr"
_NO_KEY = """
    comment, comments, kommentar, remark, remarks, note, notes, merknad, comentario, bemerkung, opmerking,
    type, reading type, read type, method, metodo obtencion, source, kilde, origin, resolution, direction
"""


def _names(text: str) -> tuple[str, ...]:
    return tuple(" ".join(name.split()) for name in text.split(","))


SERIES_NAMES = _names(_SERIES)
TIME_NAMES = _names(_TIME)
CLOCK_NAMES = _names(_CLOCK)
VALUE_NAMES = _names(_VALUE)
QUALITY_NAMES = _names(_QUALITY)
UNTIL_NAMES = _names(_UNTIL)
UNIT_NAMES = _names(_UNIT)
HOUR_NAMES = _names(_HOUR)
NO_KEY_NAMES = _names(_NO_KEY)


def plain_name(name: str) -> str:
    """A column's name in lower case, without units in brackets and without punctuation."""
    name = unicodedata.normalize("NFC", name).lower()
    name = re.sub(r"[(\[{].*?[)\]}]", " ", name)
    return " ".join(re.findall(r"\w+", name.replace("_", " ")))


def find_name(names: list[str], wanted: tuple[str, ...], taken: set[int]) -> int | None:
    """The column with the most telling of the `wanted` names, or None."""
    plain = [plain_name(name) for name in names]
    for name in wanted:
        for column, candidate in enumerate(plain):
            if candidate == name and column not in taken:
                return column
    return None


def has_value_word(name: str) -> bool:
    """Whether a value's name stands in a column's name: "equipment load" has "load".

    Not so m3, which is the third of m1, m2, m3 as well as a unit.
    """
    return any(word in VALUE_NAMES and word != "m3" for word in plain_name(name).split())


def has_unit(name: str) -> bool:
    """Whether a unit stands in brackets in a column's name: "Volume [m3]", "Energi (kWh)"."""
    return re.search(r"[(\[] ?(k|M|G)?(Wh?|m3|m³|J|L|l|l/h|L/h|m3/h|GAL|gal) ?[)\]]", name) is not None
