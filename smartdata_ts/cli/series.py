"""List series with what is said of them."""

from pathlib import Path
from typing import TYPE_CHECKING

from ._command import command
from ._facts import tag_column
from ._options import Printing, printing, series_option, store_argument, tag_option

if TYPE_CHECKING:
    import pyarrow as pa

_WIDTHS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000), ("us", 1))


@command(
    "series",
    "smartdata-ts series city.sdts --tag zone=Harbour",
    "smartdata-ts series city.sdts > series.csv      # which `describe --from` takes back",
)
@store_argument
@series_option
@tag_option
@printing
def series(store: Path, series: tuple[str, ...], tags: dict[str, list[str]], printing: Printing) -> None:
    """List series with their facts and tags.

    A tag is a column; one that is named like a fact is the column tag:NAME. `describe --from` takes the CSV
    back.
    """
    from smartdata_ts import open as open_store

    from ._output import is_table, show_table

    with open_store(store, "r") as opened:
        table = _flat(_matching(opened.series(), series, tags))
    if is_table(printing.format):
        # Nobody wants to read columns in which nothing is said.
        said = [field.name for field in table.schema if table[field.name].null_count < table.num_rows]
        table = table.select(said) if said else table
    show_table(table, printing)


def _matching(table: "pa.Table", series: tuple[str, ...], tags: dict[str, list[str]]) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    from smartdata_ts._query import unknown_tag
    from smartdata_ts.errors import UnknownSeriesError

    known = _tag_names(table) if tags else []
    unknown = [name for name in tags if name not in known]
    if unknown and table.num_rows:
        raise unknown_tag(unknown[0], known)
    if series:
        table = table.filter(pc.is_in(table["series"], pa.array(series)))
        missing = sorted(set(series) - set(table["series"].to_pylist()))
        if missing:
            raise UnknownSeriesError(f"the store has no series {', '.join(map(repr, missing[:3]))}")
    for name, values in tags.items():
        table = table.filter(pc.is_in(_tag(table, name), pa.array(values)))
    return table


def _flat(table: "pa.Table") -> "pa.Table":
    """The table with a column a tag, and the interval as one writes it."""
    import pyarrow as pa

    names = _tag_names(table)
    columns = {name: table[name] for name in table.schema.names if name not in ("tags", "interval_us")}
    widths = pa.array([_width_text(width) for width in table["interval_us"].to_pylist()], pa.string())
    columns["interval"] = widths
    columns.update({tag_column(name): _tag(table, name) for name in names})
    return pa.table(columns)


def _tag_names(table: "pa.Table") -> list[str]:
    return sorted({name for pairs in table["tags"].to_pylist() for name, _ in pairs})


def _tag(table: "pa.Table", name: str) -> "pa.ChunkedArray":
    import pyarrow as pa

    values = [dict(pairs).get(name) for pairs in table["tags"].to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string())])


def _width_text(width_us: int | None) -> str | None:
    if width_us is None:
        return None
    unit, scale = next((unit, scale) for unit, scale in _WIDTHS if width_us % scale == 0)
    return f"{width_us // scale}{unit}"
