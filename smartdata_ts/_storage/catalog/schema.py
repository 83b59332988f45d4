"""The tables of a catalog, and the rows that others see. docs/format.md is the contract."""

from dataclasses import dataclass

FILE_NAME = "catalog.sqlite"
LOCK_NAME = "write.lock"
# SQLite's index of its log, and the byte of it that its users lock (UNIX_SHM_DMS in SQLite's os_unix.c).
INDEX_NAME = FILE_NAME + "-shm"
INDEX_USERS_PLACE = 128
CHUNK_DIRECTORY = "chunks"
# "SDTS" in SQLite's header, so that `file` and we know whose database it is.
APPLICATION_ID = 0x53445453

# The tables of version 1.
SCHEMA = """
CREATE TABLE store (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    quantity TEXT,
    unit TEXT,
    kind TEXT CHECK (kind IN ('register', 'interval', 'gauge')),
    interval_us INTEGER,
    decimals INTEGER,
    register_digits INTEGER,
    multiplier REAL,
    checksum INTEGER NOT NULL -- of id and key
);
CREATE TABLE tag (
    series_id INTEGER NOT NULL REFERENCES series (id),
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (series_id, name)
) WITHOUT ROWID;
CREATE INDEX tag_by_value ON tag (name, value, series_id);
-- meters that took another's place
CREATE TABLE exchange (
    series_id INTEGER NOT NULL REFERENCES series (id),
    time_us INTEGER NOT NULL,
    final REAL NOT NULL, -- of the old register
    initial REAL NOT NULL, -- of the new one
    serial TEXT, -- of the new meter
    multiplier REAL,
    register_digits INTEGER,
    PRIMARY KEY (series_id, time_us)
) WITHOUT ROWID;
CREATE TABLE commits (
    id INTEGER PRIMARY KEY,
    time_us INTEGER NOT NULL,
    note TEXT,
    -- readings in the store after this commit, each (series, time) counted once
    reading_count INTEGER NOT NULL,
    -- CRC-32 of the other columns, as a JSON list in UTF-8
    checksum INTEGER NOT NULL
);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    series_min INTEGER NOT NULL,
    series_max INTEGER NOT NULL,
    time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL,
    reading_count INTEGER NOT NULL,
    size INTEGER NOT NULL,
    -- of its readings
    commit_min INTEGER NOT NULL,
    commit_max INTEGER NOT NULL,
    -- 1: what later commits superseded or deleted, all of it by `commit_id`
    is_history INTEGER NOT NULL,
    -- CRC-32 of the other columns but id, as a JSON list in UTF-8
    checksum INTEGER NOT NULL
);
CREATE TABLE head (
    id INTEGER PRIMARY KEY,
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    reading_count INTEGER NOT NULL,
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL -- CRC-32 of data
);
-- of the rows of chunk and of head: how many, and the sum of their ids and checksums
CREATE TABLE seal (name TEXT PRIMARY KEY, row_count INTEGER NOT NULL, row_sum INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO seal VALUES ('chunk', 0, 0), ('head', 0, 0);
-- what was deleted, and when: for the store as of earlier commits
CREATE TABLE deletion (
    id INTEGER PRIMARY KEY,
    commit_id INTEGER NOT NULL REFERENCES commits (id),
    series_id INTEGER NOT NULL REFERENCES series (id),
    time_min INTEGER NOT NULL,
    time_max INTEGER NOT NULL
);
-- chunk files that hold what has been erased, until they are overwritten and the catalog is written anew
CREATE TABLE erasure (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE snapshot (
    name TEXT PRIMARY KEY,
    commit_id INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    note TEXT
) WITHOUT ROWID;
"""

# A row's own checksum does not tell that a row is missing, or has changed its place; SQLite keeps these.
SEALS = [
    f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} BEGIN"
    f" UPDATE seal SET row_count = row_count + {count}, row_sum = row_sum + {change} WHERE name = '{table}';"
    " END"
    for table in ("chunk", "head")
    for event, count, change in (
        ("insert", 1, "NEW.id + NEW.checksum"),
        ("delete", -1, "-OLD.id - OLD.checksum"),
        ("update", 0, "NEW.id + NEW.checksum - OLD.id - OLD.checksum"),
    )
]

# Statements that make each version of the one before. They may use :new_id, a UUID that no other store has.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    2: ("INSERT INTO store VALUES ('id', :new_id)",),
}
FORMAT_VERSION = max(MIGRATIONS)

# How long superseded readings are kept unless the user says otherwise: a year.
HISTORY_US = 365 * 86_400_000_000

SERIES_FACTS = ("quantity", "unit", "kind", "interval_us", "decimals", "register_digits", "multiplier")
INTEGER_FACTS = ("interval_us", "decimals", "register_digits")
REAL_FACTS = ("multiplier",)


@dataclass(frozen=True)
class ChunkRow:
    """The catalog's row of a chunk."""

    name: str
    series_min: int
    series_max: int
    time_min: int
    time_max: int
    reading_count: int
    size: int
    commit_min: int
    commit_max: int
    is_history: bool = False
    commit: int = 0  # that named it; 0 where none has yet


@dataclass(frozen=True)
class Deletion:
    """From a commit on, a series had no longer the readings within [time_min, time_max]."""

    commit: int
    series: int
    time_min: int
    time_max: int


@dataclass(frozen=True)
class State:
    """Chunks (lowest precedence first) and head blobs (oldest first) as of a commit."""

    commit: int
    reading_count: int  # each (series, time) once
    chunks: tuple[ChunkRow, ...]
    head: tuple[bytes, ...]
    # Read only where the past is asked for.
    history: tuple[ChunkRow, ...] = ()
    deletions: tuple[Deletion, ...] = ()
