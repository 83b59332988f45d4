"""A small file of every format, made up, and how many readings it holds."""

import io
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

from smartdata_ts.formats import write

TABLE = pa.table(
    {
        "series": pa.array(["wm-1", "wm-1", "wm-2"]).dictionary_encode(),
        "time": pa.array(
            [1735689600_000000, 1735693200_000000, 1735693200_000000], pa.timestamp("us", "UTC")
        ),
        "value": [1.5, 2.25, 7.0],
    }
)


class Sample(NamedTuple):
    """A file's bytes, the options that it needs, and its count of readings."""

    data: bytes
    readings: int
    options: dict[str, str]


def written(format: str) -> bytes:
    """The table as the format writes it."""
    file = io.BytesIO()
    write(file, TABLE.to_reader(), format)
    return file.getvalue()


def plain_lines() -> bytes:
    """Line protocol with one number a line."""
    return written("line-protocol").replace(b"quality=0i", b"state=true")


def elhub_series(
    observations: str,
    point: str = "707057500000000017",
    direction: str = "Out",
    period: tuple[str, str] = ("2025-01-01T00:00:00+01:00", "2025-01-01T02:00:00+01:00"),
    resolution: str = "PT1H",
    inserted: str = "2025-01-02T08:00:00Z",
    unit: str = "KWH",
    index: str = "",
) -> str:
    """A series of metering values."""
    return (
        f"<PayloadEnergyTimeSeries><Identification>x</Identification>"
        f"<InsertDateTime>{inserted}</InsertDateTime><ObservationPeriodTimeSeriesPeriod>"
        f"<ResolutionDuration>{resolution}</ResolutionDuration><Start>{period[0]}</Start>{index}"
        f"<End>{period[1]}</End></ObservationPeriodTimeSeriesPeriod>"
        f"<ProductIncludedProductCharacteristics><Identification>8716867000030</Identification>"
        f"<UnitType>{unit}</UnitType></ProductIncludedProductCharacteristics>"
        f"<MPDetailMeasurementMeteringPointCharacteristic><Direction>{direction}</Direction>"
        f"</MPDetailMeasurementMeteringPointCharacteristic><MeteringPointUsedDomainLocation>"
        f'<Identification schemeAgencyIdentifier="9">{point}</Identification>'
        f"</MeteringPointUsedDomainLocation>{observations}</PayloadEnergyTimeSeries>"
    )


def elhub_message(*series: str) -> bytes:
    """A message in its envelope."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><PollForDataResponse>'
        '<ResultDataSet><NotifyValidatedDataForBillingEnergy xmlns="urn:no:elhub:emif:metering:'
        'NotifyValidatedDataForBillingEnergy:v2"><Header/>'
        + "".join(series)
        + "</NotifyValidatedDataForBillingEnergy></ResultDataSet></PollForDataResponse></s:Body></s:Envelope>"
    ).encode()


def observed(*values: str) -> str:
    """Measured observations, counted from 1."""
    return "".join(
        f'<Observation Sequence="{k}"><Metered>{value}</Metered></Observation>'
        for k, value in enumerate(values, 1)
    )


NEM12 = (
    b"""100,NEM12,202501020101,ACME,ACME
200,NEM1234567,E1B1,1,E1,N1,SN1,KWH,30,
300,20250101,"""
    + b",".join(b"%d.5" % k for k in range(48))
    + b""",A,,,20250102010101,
900
"""
)
MSCONS = (
    b"UNA:+.? 'UNB+UNOC:3+1:500+2:500+250102:0101+1'UNH+1+MSCONS:D:04B:UN:2.4c'BGM+7+x+9'"
    b"LOC+172+DE00012345678901234567890000000042'LIN+1'PIA+5+1-1?:1.29.0:SRW'"
    b"QTY+220:1.5:KWH'DTM+163:202501010000?+01:303'DTM+164:202501010015?+01:303'"
    b"QTY+67:2.25:KWH'DTM+163:202501010015?+01:303'DTM+164:202501010030?+01:303'UNT+11+1'UNZ+1+1'"
)
TELEGRAMS = b"""{"id": "00000001", "media": "water", "meter": "x", "name": "a", \
"total_m3": 1.5, "flow_c": 7, "status": "OK", "timestamp": "2025-01-01T00:00:07Z"}
{"id": "00000001", "media": "water", "meter": "x", "name": "a", "total_m3": 2.5, "status": "OK", \
"timestamp": "2025-01-01T01:00:07Z"}
"""

CIM = b"""<?xml version="1.0"?><NotifyValidatedMeasureData_MarketDocument xmlns="urn:ediel.org:measure">
<Series><mRID>s1</mRID><marketEvaluationPoint.mRID>571313000000000001</marketEvaluationPoint.mRID>
<marketEvaluationPoint.type>E17</marketEvaluationPoint.type>
<quantity_Measure_Unit.name>KWH</quantity_Measure_Unit.name>
<Period><resolution>PT1H</resolution><timeInterval><start>2025-01-01T00:00Z</start><end>2025-01-01T03:00Z</end>
</timeInterval><Point><position>1</position><quantity>1.5</quantity></Point>
<Point><position>3</position><quantity>2.5</quantity><quality>A03</quality></Point></Period></Series>
</NotifyValidatedMeasureData_MarketDocument>"""
ESPI = b"""<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xmlns:e="http://naesb.org/espi">
<entry><link rel="self" href="https://x/UsagePoint/1/MeterReading/2/IntervalBlock/3"/>
<link rel="up" href="https://x/UsagePoint/1/MeterReading/2/IntervalBlock"/><content><e:IntervalBlock>
<e:IntervalReading><e:timePeriod><e:duration>3600</e:duration><e:start>1735689600</e:start></e:timePeriod>
<e:value>1500</e:value></e:IntervalReading><e:IntervalReading><e:ReadingQuality><e:quality>8</e:quality>
</e:ReadingQuality><e:timePeriod><e:start>1735693200</e:start></e:timePeriod><e:value>2500</e:value>
</e:IntervalReading></e:IntervalBlock></content></entry>
<entry><link rel="self" href="https://x/UsagePoint/1"/><content><e:UsagePoint><e:ServiceCategory><e:kind>0</e:kind>
</e:ServiceCategory></e:UsagePoint></content></entry>
<entry><link rel="self" href="https://x/UsagePoint/1/MeterReading/2"/>
<link rel="related" href="https://x/ReadingType/7"/><content><e:MeterReading/></content></entry>
<entry><link rel="self" href="https://x/ReadingType/7"/><content><e:ReadingType>
<e:accumulationBehaviour>4</e:accumulationBehaviour><e:flowDirection>1</e:flowDirection>
<e:intervalLength>3600</e:intervalLength><e:powerOfTenMultiplier>-3</e:powerOfTenMultiplier><e:uom>72</e:uom>
</e:ReadingType></content></entry></feed>"""


SAMPLES: dict[str, Callable[[], Sample]] = {
    "csv": lambda: Sample(written("csv"), 3, {}),
    "parquet": lambda: Sample(written("parquet"), 3, {}),
    "arrow": lambda: Sample(written("arrow"), 3, {}),
    "excel": lambda: Sample(written("excel"), 3, {"tz": "UTC"}),
    "elhub": lambda: Sample(elhub_message(elhub_series(observed("1.5", "2.25"))), 2, {}),
    "cim": lambda: Sample(CIM, 2, {}),
    "espi": lambda: Sample(ESPI, 2, {}),
    "senml": lambda: Sample(written("senml"), 3, {}),
    "json": lambda: Sample(TELEGRAMS, 3, {}),
    "line-protocol": lambda: Sample(plain_lines(), 3, {}),
    "nem12": lambda: Sample(NEM12, 48, {}),
    "mscons": lambda: Sample(MSCONS, 2, {}),
}
