"""Which series a query is about."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa

from smartdata_ts._catalog import Catalog
from smartdata_ts.errors import UnknownSeriesError, UsageError
from smartdata_ts.kernels._jit import Int64Array

Found = TypeVar("Found")
# Names of tags with the values of which a series is to have one.
Tags = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Selection:
    """The series of a query, by key, and what else was found out of them: as of one state of the catalog."""

    ids: Int64Array
    keys: pa.StringArray
    _found: dict[Hashable, Any] = field(default_factory=dict)

    def remembered(self, name: Hashable, find: Callable[[], Found]) -> Found:
        """What `find` finds out of these series, by name; it is asked but once."""
        if name not in self._found:
            self._found[name] = find()
        found: Found = self._found[name]
        return found


def selected(catalog: Catalog, series: tuple[str, ...] | None, tags: Tags = ()) -> Selection:
    """The series of a selection; UnknownSeriesError where it names one that is not there."""
    selection = catalog.remembered(
        ("selected", series, tags), lambda: Selection(*catalog.select_series(series, dict(tags)))
    )
    if series is not None and not tags and selection.ids.size < len(set(series)):
        missing = sorted(set(series) - set(selection.keys.to_pylist()))
        raise UnknownSeriesError(
            f"the store has no series {', '.join(map(repr, missing[:3]))}"
            + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            + "; `store.series()` and `smartdata-ts series` list what it has"
        )
    return selection


def as_keys(series: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """One key or many as a tuple; UsageError where they are no texts."""
    return None if series is None else _texts(series, "series must be a key or a list of keys")


def as_tags(
    tags: Mapping[str, str | Sequence[str]] | None,
) -> Tags:
    """Tags with one accepted value or many, as sorted tuples; UsageError where they are no texts."""
    if not isinstance(tags, Mapping | None):
        raise UsageError(f"tags must be a mapping of names to values, not {tags!r}")
    wanted = {
        name: _texts(values, f"tag {name!r} must be a text or a list of texts")
        for name, values in (tags or {}).items()
    }
    return tuple(sorted(wanted.items()))


def _texts(given: str | Sequence[str], rule: str) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    texts = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{rule}, not {given!r}")
    return texts
