"""Which series a query is about."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from smartdata_ts._catalog import Catalog
from smartdata_ts.errors import UnknownSeriesError, UsageError
from smartdata_ts.kernels._jit import Int64Array


def selected(
    catalog: Catalog, series: tuple[str, ...] | None, tags: Mapping[str, Sequence[str]]
) -> tuple[Int64Array, pa.StringArray]:
    """The ids and keys of a selection, by key; UnknownSeriesError where it names one that is not there."""
    ids, keys = catalog.select_series(series, tags)
    if series is not None and not tags and ids.size < len(set(series)):
        missing = sorted(set(series) - set(keys.to_pylist()))
        raise UnknownSeriesError(
            f"the store has no series {', '.join(map(repr, missing[:3]))}"
            + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            + "; `store.series()` and `smartdata-ts series` list what it has"
        )
    return ids, keys


def as_keys(series: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """One key or many as a tuple; UsageError where they are no texts."""
    return None if series is None else _texts(series, "series must be a key or a list of keys")


def as_tags(
    tags: Mapping[str, str | Sequence[str]] | None,
) -> tuple[tuple[str, tuple[str, ...]], ...]:
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
