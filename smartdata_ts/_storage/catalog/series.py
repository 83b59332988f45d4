"""Series, and what is said of them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from smartdata_ts._readings.arrow import text_array
from smartdata_ts.errors import CorruptCatalogError
from smartdata_ts.kernels.arrays import Int64Array
from smartdata_ts.kernels.codec.checksum import digest_ranges

from .format import Format
from .kinds import COUNT, EXCHANGE, FACTS, SERIES, TEXT
from .schema import SERIES_FACTS

_FREE_IDS_MAX = 1 << 25  # of series that were erased


class Series(Format):
    """The series that the store knows."""

    def series_count(self) -> int:
        """How many series the store knows."""
        return int(self._rows("SELECT count(*) FROM series")[0][0])

    def series_id_max(self) -> int:
        """The highest series id; 0 where there is no series.

        Arrays have a place for each id up to it, so that CorruptCatalogError is raised where it is absurd.
        """
        ((highest, count),) = self._rows("SELECT ifnull(max(id), 0), count(*) FROM series")
        if not 0 <= highest <= _FREE_IDS_MAX + 16 * count:
            raise CorruptCatalogError(
                f"{self._path}: a series has the id {highest}, and there are {count} series. Restore the "
                "store from a backup, or salvage it."
            )
        return int(highest)

    def series_id(self, key: str) -> int | None:
        """The id of one series."""
        rows = self._rows("SELECT id FROM series WHERE key = ?", (key,))
        return int(rows[0][0]) if rows else None

    def series_ids(self, keys: Sequence[str]) -> Int64Array:
        """The id of each key, 0 where there is none."""
        sql = (
            "SELECT group_concat(id) FROM (SELECT ifnull(series.id, 0) AS id FROM json_each(?) AS wanted"
            " LEFT JOIN series ON series.key = wanted.value ORDER BY wanted.key)"
        )
        ((ids,),) = self._rows(sql, (json.dumps(list(keys), ensure_ascii=False),))
        found = _integers(ids)
        if found.size and (found.min() < 0 or found.max() > SERIES.high):
            raise CorruptCatalogError(self._unknown_series())
        return found

    def _unknown_series(self) -> str:
        return (
            f"{self._path}: the ids of its series are not those of the readings. Restore the store from a "
            "backup, or salvage it."
        )

    def series_keys(self, ids: Int64Array) -> list[str]:
        """The key of each series id; all must be known."""
        sql = (
            "SELECT series.key FROM json_each(?) AS wanted JOIN series ON series.id = wanted.value"
            " ORDER BY wanted.key"
        )
        keys = [key for (key,) in self._typed(sql, (TEXT,), (json.dumps(ids.tolist()),))]
        if len(keys) != ids.size:
            raise CorruptCatalogError(self._unknown_series())
        return keys

    def series_names(self) -> list[tuple[int, str]]:
        """(id, key) of every series."""
        return self._typed("SELECT id, key FROM series", (SERIES, TEXT))

    def unknown_series(self, ids: Int64Array) -> list[int]:
        """Return the given ids that no series has."""
        sql = "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM series)"
        return [number for (number,) in self._rows(sql, (json.dumps(ids.tolist()),))]

    def add_series(self, keys: Sequence[str]) -> Int64Array:
        """Create series with new keys, ids in the keys' order; returns their ids."""
        first = self.series_id_max() + 1
        ids = np.arange(first, first + len(keys))
        checksums = _checksums(ids, text_array(keys))
        rows = zip(ids.tolist(), keys, checksums.tolist(), strict=True)
        self._execute_many("INSERT INTO series (id, key, checksum) VALUES (?, ?, ?)", rows)
        return ids

    def set_facts(self, series_id: int, facts: Mapping[str, object], tags: Mapping[str, str]) -> None:
        """Set the facts and tags given; those not named stay as they are."""
        assert set(facts) <= set(SERIES_FACTS)
        if facts:
            assignments = ", ".join(f"{name} = ?" for name in facts)
            self._execute(f"UPDATE series SET {assignments} WHERE id = ?", (*facts.values(), series_id))
        self._execute_many(
            "INSERT OR REPLACE INTO tag VALUES (?, ?, ?)",
            ((series_id, name, value) for name, value in tags.items()),
        )

    def facts_of(self, ids: Int64Array, names: Sequence[str]) -> dict[str, list[Any]]:
        """The facts named of each series id, fact by fact; all ids must be known.

        Series with the same facts share their objects, which are few.
        """
        assert set(names) <= set(SERIES_FACTS)
        columns = ", ".join(f"series.{name}" for name in names)
        sql = (
            f"SELECT {columns}, group_concat(wanted.key) FROM json_each(?) AS wanted"
            f" JOIN series ON series.id = wanted.value GROUP BY {columns}"
        )
        rows = self._typed(sql, (*(FACTS[name] for name in names), TEXT), (json.dumps(ids.tolist()),))
        facts = np.empty((len(names), ids.size), np.object_)
        for *said, positions in rows:
            facts[:, _integers(positions)] = np.array(said, np.object_)[:, np.newaxis]
        return dict(zip(names, facts.tolist(), strict=True))

    def tags_of(self, ids: Int64Array, name: str) -> list[str | None]:
        """The value of a tag of each series id, None where it has none."""
        sql = (
            "SELECT tag.value FROM json_each(?) AS wanted"
            " LEFT JOIN tag ON tag.series_id = wanted.value AND tag.name = ? ORDER BY wanted.key"
        )
        rows = self._typed(sql, (TEXT.or_null(),), (json.dumps(ids.tolist()), name))
        return [value for (value,) in rows]

    def has_tag(self, name: str) -> bool:
        """Whether any series has a tag of this name."""
        return bool(self._rows("SELECT 1 FROM tag WHERE name = ? LIMIT 1", (name,)))

    def tag_names(self) -> list[str]:
        """The names of all tags, sorted."""
        return [name for (name,) in self._typed("SELECT DISTINCT name FROM tag ORDER BY name", (TEXT,))]

    def tag_counts(self) -> list[tuple[str, str, int]]:
        """(name, value, count of series) of every value of every tag, by name and value."""
        sql = "SELECT name, value, count(*) FROM tag GROUP BY name, value ORDER BY name, value"
        return self._typed(sql, (TEXT, TEXT, COUNT))

    def add_exchange(self, series_id: int, *said: object) -> None:
        """Note an exchange: time in us UTC, final, initial, serial, multiplier, register digits."""
        self._execute("INSERT OR REPLACE INTO exchange VALUES (?, ?, ?, ?, ?, ?, ?)", (series_id, *said))

    def exchange_rows(self, ids: Int64Array | None = None) -> list[tuple]:  # type: ignore[type-arg]
        """(series id, key, time, final, initial, serial, multiplier, digits) of exchanges, of some series."""
        wanted = "" if ids is None else " WHERE series_id IN (SELECT value FROM json_each(?))"
        return self._typed(
            "SELECT series_id, key, time_us, final, initial, serial, exchange.multiplier,"
            f" exchange.register_digits FROM exchange JOIN series ON series.id = series_id{wanted}"
            " ORDER BY key, time_us",
            EXCHANGE,
            () if ids is None else (json.dumps(ids.tolist()),),
        )

    def select_series(
        self, keys: Sequence[str] | None, tags: Mapping[str, Sequence[str]]
    ) -> tuple[Int64Array, pa.StringArray]:
        """Ids and keys of the series that have one of the keys and, per tag, one of its values, by key.

        The keys come as one text and one list of sizes: no Python object per series.
        """
        conditions, parameters = ["TRUE"], list[object]()
        if keys is not None:
            conditions.append("key IN (SELECT value FROM json_each(?))")
            parameters.append(json.dumps(list(keys), ensure_ascii=False))
        for name, values in tags.items():
            conditions.append(
                "id IN (SELECT series_id FROM tag"
                " WHERE name = ? AND value IN (SELECT value FROM json_each(?)))"
            )
            parameters += [name, json.dumps(list(values), ensure_ascii=False)]
        where = " AND ".join(conditions)
        return self._keys_in(f"(SELECT id, key, checksum FROM series WHERE {where} ORDER BY key)", parameters)

    def _keys_in(self, rows: str, parameters: Sequence[object] = ()) -> tuple[Int64Array, pa.StringArray]:
        """Ids and keys of rows of series, held to their checksums."""
        sql = (
            "SELECT group_concat(id), group_concat(length(CAST(key AS BLOB))), group_concat(key, ''),"
            f" group_concat(CAST(checksum AS INTEGER)) FROM {rows}"
        )
        ((id_list, sizes, text, checksums),) = self._rows(sql, parameters)
        ids, found = _integers(id_list), _strings(_integers(sizes), text or "")
        if ids.size != len(found) or not np.array_equal(_checksums(ids, found), _integers(checksums)):
            raise CorruptCatalogError(
                f"{self._path}: the keys of its series are not what was written. Restore the store from a "
                "backup, or salvage it."
            )
        return ids, found

    def check_keys(self) -> None:
        """Raise CorruptCatalogError where a key is not what was written."""
        self._keys_in("series")

    def check_series(self) -> None:
        """Raise CorruptCatalogError where an id, a fact or a tag is of another type than its column."""
        ends = "SELECT (SELECT min(id) FROM series), (SELECT max(id) FROM series)"
        self._typed(ends, (SERIES.or_null(), SERIES.or_null()))
        # DISTINCT takes 1 and 1.0 for one, unless their types stand beside.
        types = ", ".join(f"typeof({name})" for name in SERIES_FACTS)
        kinds = [*(FACTS[name] for name in SERIES_FACTS), *(TEXT for _ in SERIES_FACTS)]
        self._typed(f"SELECT DISTINCT {', '.join(SERIES_FACTS)}, {types} FROM series", kinds)
        others = "typeof(name) <> 'text' OR typeof(value) <> 'text'"
        self._typed(f"SELECT name, value FROM tag WHERE {others}", (TEXT, TEXT))

    def series_rows(self) -> list[tuple]:  # type: ignore[type-arg]
        """(id, key, facts ..., tags as JSON) of every series, by key."""
        facts = ", ".join(SERIES_FACTS)
        return self._typed(
            f"SELECT id, key, {facts}, (SELECT json_group_object(name, value) FROM tag WHERE series_id = id)"
            " FROM series ORDER BY key",
            (SERIES, TEXT, *(FACTS[name] for name in SERIES_FACTS), TEXT),
        )


def _integers(text: str | None) -> Int64Array:
    """The integers of a comma-separated list."""
    if not text:
        return np.empty(0, np.int64)
    return np.fromstring(text, np.int64, sep=",")


def _checksums(ids: Int64Array, keys: pa.StringArray) -> Int64Array:
    """Tie each series' id to its key by 32 bits of a digest of both."""
    digests = ids.astype(np.uint64)
    _, offsets, text = keys.buffers()
    if ids.size and text is not None:
        ends = np.frombuffer(offsets, np.int32, ids.size + 1).astype(np.int64)
        digest_ranges(np.frombuffer(text, np.uint8), ends[:-1], ends[1:], digests)
    return (digests & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _strings(sizes: Int64Array, text: str) -> pa.StringArray:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.StringArray.from_buffers(sizes.size, pa.py_buffer(offsets), pa.py_buffer(text.encode()))
