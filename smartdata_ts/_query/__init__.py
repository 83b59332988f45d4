"""A query is a small immutable description; nothing is read until it is asked for its result.

Queries can be printed, pickled (with the path of their store), split and refined: every method that narrows
or adds a step returns a new one.
"""

from .results import Query
from .selection import as_keys, as_tags, keys_to_remove, selected, unknown_tag

__all__ = ["Query", "as_keys", "as_tags", "keys_to_remove", "selected", "unknown_tag"]
