"""Which series a query is about."""

import difflib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from smartdata_ts._arguments import flag, shown, text, texts
from smartdata_ts.errors import UnknownSeriesError, UsageError
from smartdata_ts.kernels.arrays import Int64Array

if TYPE_CHECKING:
    from smartdata_ts._storage.catalog import Catalog

Found = TypeVar("Found")
# Names of tags, each with the values that a series may have.
Tags = tuple[tuple[str, tuple[str, ...]], ...]

_NAMES_SHOWN = 20


@dataclass(frozen=True)
class Selection:
    """The series of a query, by key, with further answers on them: as of one state of the catalog."""

    ids: Int64Array
    keys: pa.StringArray
    _found: dict[Hashable, Any] = field(default_factory=dict)

    def remembered(self, name: Hashable, find: Callable[[], Found]) -> Found:
        """The answer of `find` on these series, kept by name: it is asked but once."""
        if name not in self._found:
            self._found[name] = find()
        found: Found = self._found[name]
        return found


def selected(catalog: "Catalog", series: tuple[str, ...] | None, tags: Tags = ()) -> Selection:
    """The series of a selection; UnknownSeriesError where it names one that is not there.

    Raises UsageError where it names a tag that no series has, unless there are no series.
    """
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
    if tags and not selection.ids.size:  # else all names are known
        selection.remembered("tags", lambda: check_tag_names(catalog, [name for name, _ in tags]))
    return selection


def tag_values(catalog: "Catalog", chosen: Selection, name: str) -> list[str | None]:
    """The value of a tag of each series that is selected, None where it has none.

    Raises UsageError where the store has series and none of them has this tag.
    """

    def find() -> list[str | None]:
        values = catalog.tags_of(chosen.ids, name)
        if all(value is None for value in values):
            check_tag_names(catalog, [name])
        return values

    return chosen.remembered(("tag", name), find)


def check_tag_names(catalog: "Catalog", names: Sequence[str]) -> None:
    """Raise UsageError where the store has series, and none of them has a tag of one of these names."""
    unknown = [name for name in names if not catalog.has_tag(name)]
    if unknown and catalog.series_count():
        raise unknown_tag(unknown[0], catalog.tag_names())


def unknown_tag(name: str, known: Sequence[str]) -> UsageError:
    """The error of a tag that no series has; `known` are the names that there are."""
    if not known:
        return UsageError(
            f"no series of the store has a tag {shown(name)}, nor any other; `store.describe(key, tags=...)` "
            "gives it one"
        )
    near = difflib.get_close_matches(name, known, n=3)
    advice = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    more = f" and {len(known) - _NAMES_SHOWN} more" if len(known) > _NAMES_SHOWN else ""
    there = f"there are {', '.join(known[:_NAMES_SHOWN])}{more}"
    return UsageError(f"no series of the store has a tag {shown(name)}{advice}; {there}")


def as_keys(series: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """One key or many as a tuple; UsageError where they are no texts."""
    return None if series is None else texts("series must be a key or a list of keys", series)


def keys_to_remove(
    series: str | Iterable[str] | None,
    tags: Mapping[str, str | Sequence[str]] | None,
    everything: object,
    verb: str,
) -> tuple[tuple[str, ...] | None, Tags]:
    """Return the keys and tags of the series to remove; no keys and no tags where all are meant, in words.

    Raises UsageError where nothing is named: a list that came out empty must not mean all.
    """
    keys, wanted = as_keys(series), as_tags(tags)
    if flag("everything", everything):
        if series is not None or tags is not None:
            raise UsageError(f"{verb}() takes series or tags, or everything=True, not both")
        return None, ()
    if tags is not None and not (wanted and all(value for _, values in wanted for value in values or [""])):
        raise UsageError(f"{verb}() needs values of tags; {shown(tags)} names none")
    if (tags is None or series is not None) and (not keys or not all(keys)):
        raise UsageError(
            f"{verb}() needs the keys of the series, or tags; {shown(series)} names none. For all series "
            "of the store say everything=True"
        )
    return keys, wanted


def as_tags(tags: Mapping[str, str | Sequence[str]] | None) -> Tags:
    """Tags with one accepted value or many, as sorted tuples; UsageError where they are no texts."""
    if not isinstance(tags, Mapping | None):
        raise UsageError(f"tags must be a mapping of names to values, not {shown(tags)}")
    wanted = {
        text("the name of a tag", name): texts(f"tag {name!r} must be a text or a list of texts", values)
        for name, values in (tags or {}).items()
    }
    return tuple(sorted(wanted.items()))


def as_tag_names(by: str | Sequence[str]) -> tuple[str, ...]:
    """The names of tags, or none; UsageError where they are no texts."""
    names = texts("by must be the name of a tag or a list of names", by)
    return tuple(text("by", name) for name in names)
