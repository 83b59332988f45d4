"""Small tables that are given as CSV: what series are, which meters were exchanged."""

from collections.abc import Mapping

import pyarrow as pa
from pyarrow import csv

from smartdata_ts.errors import DataError


def text_table(source: str, numbers: Mapping[str, str]) -> pa.Table:
    """The table as text, but for what `numbers` gives a type, and without what is empty."""
    try:
        with csv.open_csv(source) as reader:
            names = reader.schema.names
        kinds = {name: pa.type_for_alias(numbers.get(name, "string")) for name in names}
        options = csv.ConvertOptions(column_types=kinds, null_values=[""], strings_can_be_null=True)
        table = csv.read_csv(source, convert_options=options)
    except (pa.ArrowException, OSError) as problem:
        raise DataError(f"{source}: no table of series: {problem}") from problem
    if "series" not in table.schema.names:
        raise DataError(f"{source}: there is no column 'series'; it has {', '.join(table.schema.names[:8])}")
    return table
