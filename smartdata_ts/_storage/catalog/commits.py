"""Commits, and what they name: chunks, the head, snapshots, deletions, erasures."""

import json
import time
import zlib
from collections.abc import Iterator, Sequence

from smartdata_ts.errors import CorruptCatalogError, StoreBusyError, StoreError, StoreFormatError, UsageError

from .format import Format
from .kinds import BYTES, CHUNK, COMMIT, COUNT, DELETION, INTEGER, SNAPSHOT, TEXT
from .schema import ChunkRow, Deletion, State

# As ChunkRow has them.
_CHUNK_COLUMNS = (
    "name",
    "series_min",
    "series_max",
    "time_min",
    "time_max",
    "reading_count",
    "size",
    "commit_min",
    "commit_max",
    "is_history",
    "commit_id",
)


class Commits(Format):
    """The commits, their chunks, and the head."""

    _known_head: tuple[tuple[int, int, bytes], ...] = ()  # id, commit and data of its rows when last read

    # -- commits, chunks, head

    def last_commit(self) -> int:
        """The newest commit's number; 0 in a store without any."""
        return int(self._rows("SELECT ifnull(max(id), 0) FROM commits")[0][0])

    def state(self, with_history: bool = False) -> State:
        """Everything that a reader must know, read in one transaction."""
        self._check_process()
        with self._lock:
            nested = self.in_transaction
            if not nested:
                self._execute("BEGIN")
            try:
                last = self._commit_rows("ORDER BY id DESC LIMIT 1")
                commit, _, _, reading_count = last[0] if last else (0, 0, None, 0)
                chunks = self.chunk_rows(is_history=False)
                head = self._head_blobs() if nested or with_history else self._head_blobs_again()
                self._check_seals()
                history = self.chunk_rows(is_history=True) if with_history else ()
                deletions = self._deletions() if with_history else ()
            finally:
                if not nested:
                    self._execute("COMMIT")
        return State(commit, reading_count, chunks, head, history, deletions)

    def _check_name(self, name: str) -> None:
        if not name or name.startswith(".") or set(name) & set("/\\\0"):
            raise StoreFormatError(f"{self._path}: names a chunk {name!r}, which is no file of this store")

    def _head_blobs(self) -> tuple[bytes, ...]:
        return tuple(data for _, _, data in self._head_rows(-(2**63)))

    def _head_blobs_again(self) -> tuple[bytes, ...]:
        """The same, for who asks after every commit: rows that were read and committed before are not read.

        Rows are added, or all are removed: while the last one known stands, so do those before it. After
        a removal its id is given anew, but to a row of a later commit.
        """
        known = self._known_head
        if known and self._rows("SELECT commit_id FROM head WHERE id = ?", known[-1][:1]) != [known[-1][1:2]]:
            known = ()
        self._known_head = known + self._head_rows(known[-1][0] if known else -(2**63))
        return tuple(data for _, _, data in self._known_head)

    def _head_rows(self, after: int) -> tuple[tuple[int, int, bytes], ...]:
        """(id, commit, data) of the head's rows after an id."""
        sql = "SELECT id, commit_id, data, checksum FROM head WHERE id > ? ORDER BY id"
        rows = self._typed(sql, (INTEGER, COUNT, BYTES, INTEGER), (after,))
        if not all(_is_sound(data, checksum) for _, _, data, checksum in rows):
            raise CorruptCatalogError(self._damaged("recent readings in its table head"))
        return tuple((number, commit, data) for number, commit, data, _ in rows)

    def _check_seals(self) -> None:
        """Raise CorruptCatalogError where a row of the chunks' or the head's is missing, or out of place."""
        for table, count, total in self._rows("SELECT name, row_count, row_sum FROM seal"):
            sql = f"SELECT count(*), ifnull(sum(id + checksum), 0) FROM {table}"
            if table not in ("chunk", "head") or self._rows(sql) != [(count, total)]:
                raise CorruptCatalogError(self._damaged(f"the rows of its table {table}"))

    def sound_head(self) -> tuple[list[bytes], int]:
        """The head blobs whose checksum is right, and how many readings the others held."""
        rows = self._typed(
            "SELECT data, checksum, reading_count FROM head ORDER BY id", (BYTES, INTEGER, COUNT)
        )
        sound = [data for data, checksum, _ in rows if _is_sound(data, checksum)]
        return sound, sum(count for data, checksum, count in rows if not _is_sound(data, checksum))

    def chunk_rows(self, is_history: bool) -> tuple[ChunkRow, ...]:
        """The chunks of the present, lowest precedence first, or of history, in the order of their making."""
        sql = f"SELECT {', '.join(_CHUNK_COLUMNS)}, checksum FROM chunk WHERE is_history = ? ORDER BY id"
        rows = self._typed(sql, (CHUNK[name] for name in (*_CHUNK_COLUMNS, "checksum")), (is_history,))
        for *columns, checksum in rows:
            if _digest(columns) != checksum:
                raise CorruptCatalogError(self._damaged("the columns of a chunk"))
            self._check_name(str(columns[0]))
        return tuple(ChunkRow(*columns) for *columns, _ in rows)

    def add_commit(self, commit: int, note: str | None, reading_count: int) -> None:
        """Begin the commit of this number, one more than the last, within a transaction.

        `reading_count` is what the store holds after it, each (series, time) counted once.
        """
        columns = (commit, time.time_ns() // 1000, note, reading_count)
        self._execute("INSERT INTO commits VALUES (?, ?, ?, ?, ?)", (*columns, _digest(columns)))

    def add_head(self, commit: int, reading_count: int, data: bytes) -> None:
        """Put readings into the head."""
        sql = "INSERT INTO head (commit_id, reading_count, data, checksum) VALUES (?, ?, ?, ?)"
        self._execute(sql, (commit, reading_count, data, zlib.crc32(data)))

    def merge_head(self, commit: int) -> None:
        """Make one blob of the head's many, so that reading it stays cheap."""
        blobs = self._typed("SELECT reading_count, data FROM head ORDER BY id", (COUNT, BYTES))
        self.clear_head()
        self.add_head(commit, sum(count for count, _ in blobs), b"".join(data for _, data in blobs))

    def clear_head(self) -> None:
        """Empty the head, whose readings have gone into chunks."""
        self._execute("DELETE FROM head")

    def add_chunk(self, commit: int, chunk: ChunkRow) -> None:
        """Name a chunk whose file is durable."""
        columns = _columns_of(commit, chunk)
        marks = ", ".join("?" * (len(columns) + 1))
        sql = f"INSERT INTO chunk ({', '.join(_CHUNK_COLUMNS)}, checksum) VALUES ({marks})"
        self._execute(sql, (*columns, _digest(columns)))

    def replace_chunk(self, name: str, chunk: ChunkRow) -> None:
        """Put a chunk in the place of another, whose precedence and commit it takes."""
        columns = _columns_of(chunk.commit, chunk)
        assignments = ", ".join(f"{column} = ?" for column in (*_CHUNK_COLUMNS, "checksum"))
        sql = f"UPDATE chunk SET {assignments} WHERE name = ?"
        self._execute(sql, (*columns, _digest(columns), name))

    def remove_chunks(self, names: Sequence[str]) -> None:
        """Forget chunks that others have replaced."""
        self._execute(
            "DELETE FROM chunk WHERE name IN (SELECT value FROM json_each(?))", (json.dumps(names),)
        )

    # -- history

    def commit_rows(self) -> list[tuple[int, int, str | None, int]]:
        """(id, time in us UTC, note, readings in the store after it) of every commit."""
        return self._commit_rows("ORDER BY id")

    def _commit_rows(self, which: str) -> list[tuple[int, int, str | None, int]]:
        rows = self._typed(f"SELECT id, time_us, note, reading_count, checksum FROM commits {which}", COMMIT)
        if any(_digest(columns) != checksum for *columns, checksum in rows):
            raise CorruptCatalogError(self._damaged("the commits in its table commits"))
        return [(commit, time_us, note, count) for commit, time_us, note, count, _ in rows]

    def commit_row(self, commit: int) -> tuple[int, int, str | None, int] | None:
        """The same of one commit; None where there is none of this number."""
        return next(iter(self._commit_rows(f"WHERE id = {int(commit)}")), None)

    def commit_at(self, time_us: int) -> int:
        """The last commit at or before a time; 0 where there is none."""
        return int(self._rows("SELECT ifnull(max(id), 0) FROM commits WHERE time_us <= ?", (time_us,))[0][0])

    def set_history(self, history_us: int | None) -> None:
        """Keep superseded readings for so long; None: for ever."""
        self._set("history_us", -1 if history_us is None else history_us)

    def history_us(self) -> int | None:
        """How long superseded readings are kept; None: for ever."""
        history_us = self._setting("history_us")
        return None if history_us < 0 else history_us

    def history_floor(self) -> int:
        """Return the first commit whose state can still be read."""
        return self._setting("history_floor")

    def raise_history_floor(self) -> int:
        """Give up what the horizon and the snapshots no longer ask for; returns the new floor."""
        history_us = self.history_us()
        floor = self.history_floor()
        if history_us is None:
            return floor
        wanted = self.commit_at(time.time_ns() // 1000 - history_us)
        held = [commit for _, commit, _, _ in self.snapshot_rows()]
        floor = max(floor, min([wanted, *held]))
        self._set("history_floor", floor)
        return floor

    def keeps_history(self) -> bool:
        """Whether what the next commit supersedes is to be kept."""
        return self.history_us() != 0 or bool(self.snapshot_rows())

    def give_up_history(self, floor: int) -> None:
        """Let the store be read as of no commit before this one."""
        self._set("history_floor", floor)

    def _setting(self, name: str) -> int:
        rows = self._rows("SELECT value FROM store WHERE name = ?", (name,))
        try:
            ((value,),) = rows
            return int(value)
        except (TypeError, ValueError) as problem:
            raise CorruptCatalogError(self._damaged("the settings in its table store")) from problem

    def _set(self, name: str, value: int) -> None:
        self._execute("UPDATE store SET value = ? WHERE name = ?", (str(value), name))

    # -- retention

    def set_retention(self, rules: str) -> None:
        """Keep the rules of retention, a text."""
        value = f"{zlib.crc32(rules.encode()):08x}{rules}"
        self._execute("INSERT OR REPLACE INTO store VALUES ('retention', ?)", (value,))

    def retention(self) -> str:
        """The rules of retention as they were given; an empty list where none were."""
        for (value,) in self._rows("SELECT value FROM store WHERE name = 'retention'"):
            if not isinstance(value, str) or value[:8] != f"{zlib.crc32(value[8:].encode()):08x}":
                raise CorruptCatalogError(self._damaged("the rules of retention in its table store"))
            return value[8:]
        return "[]"

    # -- snapshots and deletions

    def snapshot_rows(self) -> list[tuple[str, int, int, str | None]]:
        """(name, commit, time in us UTC, note) of every named snapshot."""
        sql = "SELECT name, commit_id, time_us, note FROM snapshot ORDER BY commit_id, name"
        return self._typed(sql, SNAPSHOT)

    def add_snapshot(self, name: str, commit: int, note: str | None) -> None:
        """Name a commit; UsageError where the name is taken."""
        if self._rows("SELECT 1 FROM snapshot WHERE name = ?", (name,)):
            raise UsageError(f"there is a snapshot {name!r} already; release it, or take another name")
        sql = "INSERT INTO snapshot VALUES (?, ?, ?, ?)"
        self._execute(sql, (name, commit, time.time_ns() // 1000, note))

    def remove_snapshot(self, name: str) -> None:
        """Forget a name; UsageError where there is none such."""
        if not self._rows("SELECT 1 FROM snapshot WHERE name = ?", (name,)):
            raise UsageError(f"there is no snapshot {name!r}; `store.snapshots()` lists them")
        self._execute("DELETE FROM snapshot WHERE name = ?", (name,))

    def _deletions(self) -> tuple[Deletion, ...]:
        sql = "SELECT commit_id, series_id, time_min, time_max FROM deletion ORDER BY id"
        rows = self._typed(sql, DELETION)
        return tuple(Deletion(*row) for row in rows)

    def add_deletions(self, commit: int, series_ids: Sequence[int], time_min: int, time_max: int) -> None:
        """Note that series have lost their readings within [time_min, time_max]."""
        self._execute_many(
            "INSERT INTO deletion (commit_id, series_id, time_min, time_max) VALUES (?, ?, ?, ?)",
            ((commit, number, time_min, time_max) for number in series_ids),
        )

    def forget_deletions(self) -> None:
        """Forget what the history's floor has passed, once no chunk of history is left that it hides."""
        self._execute(
            "DELETE FROM deletion WHERE commit_id <= ? AND NOT EXISTS (SELECT 1 FROM chunk WHERE is_history)",
            (self.history_floor(),),
        )

    def problems(self) -> Iterator[str]:
        """Return the faults that SQLite finds in its file, a sentence each."""
        try:
            for (found,) in self._rows("PRAGMA integrity_check(100)"):
                if found != "ok":
                    yield f"{self._path}: {found}"
        except StoreError as problem:
            yield str(problem)

    # -- erasure

    def note_commit(self, commit: int, note: str) -> None:
        """Give a commit its note."""
        for number, time_us, _, reading_count in self._commit_rows(f"WHERE id = {int(commit)}"):
            checksum = _digest((number, time_us, note, reading_count))
            self._execute("UPDATE commits SET note = ?, checksum = ? WHERE id = ?", (note, checksum, commit))

    def remove_series(self, ids: Sequence[int]) -> None:
        """Forget series, and all that is said of them."""
        wanted = (json.dumps(ids),)
        for table, column in (
            ("tag", "series_id"),
            ("exchange", "series_id"),
            ("deletion", "series_id"),
            ("series", "id"),
        ):
            self._execute(f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", wanted)

    def add_erasure(self, names: Sequence[str]) -> None:
        """Note the files that are to be overwritten before an erasure is complete; there may be none."""
        self._execute_many("INSERT OR IGNORE INTO erasure VALUES (?)", ((name,) for name in ["", *names]))

    def erasures(self) -> list[str] | None:
        """The files that are still to be overwritten; None where no erasure is under way."""
        names = [name for (name,) in self._typed("SELECT name FROM erasure ORDER BY name", (TEXT,))]
        for name in filter(None, names):
            self._check_name(name)
        return list(filter(None, names)) if names else None

    def write_anew(self) -> None:
        """Leave no page of the catalog, nor of its log, that holds what has been removed from it.

        Raises StoreBusyError where a reader holds on to the log for longer than the timeout.
        """
        with self.without_writers():
            self._execute("VACUUM")
            # It tells that it is busy by a row, and waits for readers in its own way.
            self._execute(f"PRAGMA busy_timeout = {int(self._timeout_s * 1000)}")
            ((is_busy, _, _),) = self._rows("PRAGMA wal_checkpoint(TRUNCATE)")
            self._execute("PRAGMA busy_timeout = 0")
        if is_busy:
            raise StoreBusyError(
                f"{self._path.parent}: a query holds on to the catalog's log. The series are gone from the "
                "store; their bytes go with the next opening for writing, or the next erasure"
            )

    def clear_erasures(self) -> None:
        """Note that all erasures are complete."""
        with self.transaction(must_be_durable=True):
            self._execute("DELETE FROM erasure")


def _is_sound(data: object, checksum: int) -> bool:
    return isinstance(data, bytes) and zlib.crc32(data) == checksum


def _columns_of(commit: int, chunk: ChunkRow) -> list[object]:
    return [*(getattr(chunk, name) for name in _CHUNK_COLUMNS[:-2]), int(chunk.is_history), commit]


def _digest(columns: Sequence[object]) -> int:
    """The checksum of a row."""
    return zlib.crc32(json.dumps(columns, ensure_ascii=False, separators=(",", ":")).encode())
