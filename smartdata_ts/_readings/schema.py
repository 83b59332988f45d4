"""Readings as other libraries see them: the columns of an Arrow table."""

import pyarrow as pa

TIME_TYPE = pa.timestamp("us", tz="UTC")
READINGS_SCHEMA = pa.schema(
    [
        pa.field("series", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("time", TIME_TYPE, nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("quality", pa.uint8(), nullable=False),
    ]
)
