"""A query is a small immutable description; nothing is read until it is asked for its result.

Queries can be printed, pickled (with the path of their store) and refined: every method that narrows
or adds a step returns a new one.
"""

from dataclasses import dataclass

from .builder import Steps
from .selection import as_keys, as_tags, keys_to_remove, selected, unknown_tag

__all__ = ["Query", "as_keys", "as_tags", "keys_to_remove", "selected", "unknown_tag"]


@dataclass(frozen=True)
class Query(Steps):
    """Which series, which span, and what to make of their readings; `Store.query` makes one.

    Results are Arrow tables sorted by series and time. A query can be given to whatever reads Arrow:
    `polars.DataFrame(query)`, `duckdb.sql("select * from query")`.
    """
