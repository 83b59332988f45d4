"""The result of a query, in whatever form is asked for."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from smartdata_ts._arguments import flag, text
from smartdata_ts._read.losses import losses_table
from smartdata_ts.errors import MissingDependencyError, UsageError

from .builder import Builder
from .description import Source
from .execution import losses_of, run
from .grammar import Rows
from .selection import selected, tag_values

if TYPE_CHECKING:
    import pandas
    import polars


@dataclass(frozen=True)
class Query(Builder):
    """Which series, which span, and what to make of their readings; `Store.query` makes one.

    Results are Arrow tables sorted by series and time. A query can be given to whatever reads Arrow:
    `polars.DataFrame(query)`, `duckdb.sql("select * from query")`.
    """

    def to_batches(self) -> pa.RecordBatchReader:
        """The result, batch by batch, in bounded memory; a stable view of the store as of this call.

        Raises UnknownSeriesError where a key is named that the store does not hold.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> [batch.num_rows for batch in store.query().to_batches()]
        [1]
        """
        return run(self)[0]

    def losses(self) -> pa.Table:
        """The damage among the readings that the query asks for; no row where all is sound.

        One row a block, or a chunk that cannot be opened (series is null, and readings counts all series in
        it): file, series, first_time, last_time, readings, problem. With `on_corrupt="skip"` a result lacks
        them, and what they had superseded stands in their place; it says so in its schema's metadata
        (`smartdata_ts.losses`, JSON), and by a DamageWarning.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.query(on_corrupt="skip").losses().num_rows
        0
        """
        return losses_table(losses_of(replace(self, on_corrupt="skip")))

    def to_json(self) -> str:
        """The query as JSON, to be kept, or sent to another program; `from_json` reads it.

        It says {"version": 1, "select": {...}, "steps": [[name, {arguments}], ...]}: the parameters of
        `Store.query` and of the methods here. Defaults are left out. docs/query.schema.json
        is its JSON Schema. Raises UsageError for an aggregate that is a function, and for infinite numbers.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.query("wm-17").rate().to_json()
        '{"version": 1, "select": {"series": ["wm-17"]}, "steps": [["rate", {}]]}'
        """
        from .query_text import text_of

        return text_of(self)

    @classmethod
    def from_json(cls, store: Source, text: str) -> Self:
        """The query of a store that a text of `to_json` describes; it may leave out all but what it needs.

        Raises UsageError for text that is no JSON, for keys, steps and arguments that are not known, and for
        whatever `Store.query` and the steps refuse; nothing is read yet.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> sd.Query.from_json(store, '{"steps": [["last", {}]]}') == store.query().last()
        True
        """
        from .query_text import query_of

        found = query_of(store, text)
        assert isinstance(found, cls)
        return found

    def tags_by_key(self, name: str) -> dict[str, str | None]:
        """A tag of every series that is selected, by key; None where it has none.

        Raises UsageError where no series of the store has a tag of this name.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> store.describe(["wm-17", "wm-18"], tags={"zone": "DMA-7"})
        >>> store.query().tags_by_key("zone")
        {'wm-17': 'DMA-7', 'wm-18': 'DMA-7'}
        """
        name = text("name", name)
        catalog, _ = self.store.pin()
        chosen = selected(catalog, self.series, self.tags)
        return dict(zip(chosen.keys.to_pylist(), tag_values(catalog, chosen, name), strict=True))

    def to_arrow(self, wide: bool = False) -> pa.Table:
        """The whole result as an Arrow table; where `wide`, a row a time and a column a series.

        Columns of a wide table are called by the series' keys, and by what they hold where that is of
        several kinds. Only values go into it: no qualities, no ends of intervals.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.query().to_arrow()["value"].to_pylist()
        [1.5]
        >>> store.query().to_arrow(wide=True).column_names
        ['time', 'wm-17']
        """
        is_wide = flag("wide", wide)
        if is_wide and self.rows is Rows.FINDINGS:
            raise UsageError("findings have no wide form: to_arrow() without wide=True")
        reader, keys = run(self)
        if not is_wide:
            return reader.read_all()
        from .wide import wide_table

        return wide_table(reader, reader.schema, keys.to_pylist()).replace_schema_metadata(
            reader.schema.metadata
        )

    def to_pandas(self) -> "pandas.DataFrame":
        """The whole result as a pandas frame; MissingDependencyError where pandas is not installed.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.query().to_pandas()["value"].tolist()
        [1.5]
        """
        try:
            import pandas  # noqa: F401
        except ImportError as problem:
            raise MissingDependencyError("to_pandas needs pandas: pip install pandas") from problem
        return self.to_arrow().to_pandas()

    def to_polars(self) -> "polars.DataFrame":
        """The whole result as a polars frame; MissingDependencyError where polars is not installed.

        >>> import smartdata_ts as sd, tempfile
        >>> store = sd.open(tempfile.mkdtemp() + "/city.sdts")
        >>> report = store.write({"series": "wm-17", "time": [0], "value": [1.5]})
        >>> store.query().to_polars()["value"].to_list()
        [1.5]
        """
        try:
            import polars
        except ImportError as problem:
            raise MissingDependencyError("to_polars needs polars: pip install polars") from problem
        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The result as an Arrow C stream, for whatever reads Arrow."""
        return self.to_batches().__arrow_c_stream__(requested_schema)
