"""The format of a catalog: created, checked to the letter, brought up to date; and whose it is.

A store has an identity, a UUID, which its backups have too. A backup is marked as one, until it is opened
for writing: then it is a store of its own, with an identity of its own.
"""

import contextlib
import functools
import sqlite3
from pathlib import Path

from smartdata_ts._storage import disk
from smartdata_ts.errors import (
    CorruptCatalogError,
    StoreBusyError,
    StoreFormatError,
    StoreNotFoundError,
)

from .connection import Connection
from .schema import APPLICATION_ID, FORMAT_VERSION, HISTORY_US, MIGRATIONS, SCHEMA, SEALS

BACKUP = "is_backup"  # the setting that marks one

_NOT_OURS = (
    "its tables, views or triggers are not those of a store. Restore the store from a backup, or salvage it."
)
_TABLES = "SELECT type, name, sql FROM sqlite_master"
_SHARED = "SELECT value FROM store WHERE name = 'shared_filesystem'"
_VERSION = "SELECT value FROM store WHERE name = 'format_version'"

_Table = tuple[str, str, str]


class Format(Connection):
    """A connection to what is a store's catalog, of a version that this release knows."""

    def __init__(
        self,
        directory: Path,
        read_only: bool,
        timeout_s: float,
        durability: str = "full",
        is_shared: bool | None = None,
        is_still: bool = False,
    ) -> None:
        super().__init__(directory, read_only, timeout_s, durability, is_still)
        try:
            if read_only:
                self._prepare_reader(is_shared, is_still)
            else:
                self._prepare_writer(is_shared)
        except BaseException:
            self.close()
            raise

    def _prepare_reader(self, is_shared: bool | None, is_still: bool) -> None:
        if not is_still and self._is_to_be_shared():
            # A reader finishes what a killed writer has left, which takes more than reading.
            self._connection.close()
            self._connect("mode=rw" if disk.is_writable(self._path.parent) else "mode=ro")
            self._execute("PRAGMA query_only = ON")
        self._check_format()
        self.is_shared = self._says_shared()
        if is_shared is not None and is_shared != self.is_shared:
            raise StoreFormatError(
                f"{self._path.parent}: is a store with shared_filesystem={self.is_shared}; open it with mode "
                "'a' once to change that"
            )

    def _is_to_be_shared(self) -> bool:
        def ask() -> bool:
            tables = self._connection.execute(_TABLES).fetchall()
            return _settings_in(tables) and self._connection.execute(_SHARED).fetchall() == [("1",)]

        try:
            return self._patiently(ask)
        except (sqlite3.Error, UnicodeDecodeError) as problem:
            # The journal of a writer that was killed, which only shared stores have.
            return getattr(problem, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_ROLLBACK

    def _prepare_writer(self, is_shared: bool | None) -> None:
        if not self._is_created():
            self._create(bool(is_shared))
        self._execute("PRAGMA secure_delete = ON")
        self._check_format()
        self.is_shared = self._says_shared() if is_shared is None else is_shared
        self._set_journal(self.is_shared)
        if self._says_shared() != self.is_shared:
            with self.transaction(must_be_durable=True):
                self._say_shared(self.is_shared)
        if self.format_version() != FORMAT_VERSION or self.is_backup():
            self._make_own()

    def _says_shared(self) -> bool:
        return self._rows(_SHARED) == [("1",)]

    def _say_shared(self, is_shared: bool) -> None:
        self._execute("INSERT OR REPLACE INTO store VALUES ('shared_filesystem', ?)", (str(int(is_shared)),))

    def _set_journal(self, is_shared: bool) -> None:
        """SQLite's log needs memory that all its users share, which those on several machines have not."""
        wanted = "delete" if is_shared else "wal"
        if self._rows("PRAGMA journal_mode") == [(wanted,)]:
            return
        with contextlib.suppress(StoreBusyError):
            if self._rows(f"PRAGMA journal_mode = {wanted}") == [(wanted,)]:
                return
        raise StoreBusyError(
            f"{self._path.parent}: is open elsewhere, so that shared_filesystem cannot be changed; close it "
            "there"
        )

    # -- versions

    def _check_format(self) -> None:
        if not self._is_created():
            if not self._rows("SELECT 1 FROM sqlite_master LIMIT 1"):
                raise StoreNotFoundError(
                    f"{self._path.parent}: the creation of this store was interrupted, and it holds nothing; "
                    "mode 'a' finishes it"
                )
            raise StoreFormatError(f"{self._path}: a database, but not of a smartdata_ts store")
        tables = self._rows(_TABLES)
        if not _settings_in(tables):
            raise StoreFormatError(f"{self._path}: {_NOT_OURS}")
        # A view or a trigger can do anything, for ever.
        if {row for row in tables if not _is_internal(row)} != _tables_of(self.format_version()):
            raise StoreFormatError(f"{self._path}: {_NOT_OURS}")

    def format_version(self) -> int:
        """The version of the catalog; StoreFormatError where this release does not know it."""
        versions = self._rows(_VERSION)
        if not versions:
            raise CorruptCatalogError(
                f"{self._path}: the store's format version is gone. Restore the store from a backup, or "
                "salvage it."
            )
        ((version,),) = versions
        for known in range(1, FORMAT_VERSION + 1):
            if version == str(known):
                return known
        raise StoreFormatError(
            f"{self._path}: store format version {version}; this release reads versions 1 to "
            f"{FORMAT_VERSION}. Upgrade smartdata_ts."
        )

    def _is_created(self) -> bool:
        return self._rows("PRAGMA application_id") == [(APPLICATION_ID,)]

    def _create(self, is_shared: bool) -> None:
        if self._rows("SELECT 1 FROM sqlite_master LIMIT 1"):
            return
        self._set_journal(is_shared)
        with self.transaction(must_be_durable=True):
            if self._rows("SELECT 1 FROM sqlite_master LIMIT 1"):
                return  # someone else's database, or another process created the store before our lock
            for statement in (*SCHEMA.split(";"), *SEALS):
                self._execute(statement)
            settings = {"format_version": 1, "history_us": HISTORY_US, "history_floor": 0}
            self._execute_many("INSERT INTO store VALUES (?, ?)", settings.items())
            self._migrate()
            if is_shared:
                self._say_shared(is_shared)
            self._execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _make_own(self) -> None:
        """Bring a store of an older version up to date, and make a store of a backup; all or nothing."""
        with self.transaction(must_be_durable=True):
            self._check_format()  # another process may have been quicker
            self._migrate()
            if self.is_backup():
                self._execute("DELETE FROM store WHERE name = ?", (BACKUP,))
                self._execute("UPDATE store SET value = ? WHERE name = 'id'", (_new_id(),))

    def _migrate(self) -> None:
        """Take each step from the catalog's version to the newest, within a transaction."""
        for version in range(self.format_version() + 1, FORMAT_VERSION + 1):
            for statement in MIGRATIONS[version]:
                self._execute(statement, {"new_id": _new_id()})
            self._execute("UPDATE store SET value = ? WHERE name = 'format_version'", (str(version),))

    # -- identity

    def store_id(self) -> str | None:
        """The store's UUID; None in version 1, which had none."""
        rows = self._rows("SELECT value FROM store WHERE name = 'id'")
        if not rows and self.format_version() == 1:
            return None
        if len(rows) != 1 or not _is_id(rows[0][0]):
            raise CorruptCatalogError(self._damaged("the settings in its table store"))
        return str(rows[0][0])

    def is_backup(self) -> bool:
        """Whether this is a backup that nobody has opened for writing."""
        return bool(self._rows("SELECT 1 FROM store WHERE name = ?", (BACKUP,)))


def _new_id() -> str:
    from uuid import uuid4  # only who creates a store loads it

    return str(uuid4())


def _is_id(value: object) -> bool:
    from uuid import UUID

    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


@functools.cache
def _tables_of(version: int) -> set[_Table]:
    """All that stands in a catalog of a version, to the letter."""
    steps = [step for number in range(2, version + 1) for step in MIGRATIONS[number]]
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for statement in (*SCHEMA.split(";"), *SEALS):
            connection.execute(statement)
        for statement in steps:
            connection.execute(statement, {"new_id": ""})
        return {row for row in connection.execute(_TABLES) if not _is_internal(row)}


def _settings_in(tables: list[_Table]) -> bool:
    """Whether the table of settings is the one of every version, and nothing else of this name."""
    found = [row for row in tables if row[1] == "store"]
    return len(found) == 1 and found[0] in _tables_of(1)


def _is_internal(row: _Table) -> bool:
    """Whether SQLite makes it by itself: counters, statistics, indexes of unique columns."""
    kind, name, _ = row
    return kind in ("table", "index") and name.startswith("sqlite_")
