"""All SQL, and nothing but SQL: series, tags, commits, chunks and the head, in one SQLite file.

A commit is one SQLite transaction. A chunk's row is written after its file is durable, so that a row
never stands without its file. Chunks of higher id win over lower ones; the head wins over all chunks,
because a writer flushes it before it makes a chunk of newer readings.
"""

from .commits import Commits
from .format import BACKUP
from .schema import (
    APPLICATION_ID,
    CHUNK_DIRECTORY,
    FILE_NAME,
    FORMAT_VERSION,
    INDEX_NAME,
    INDEX_USERS_PLACE,
    INTEGER_FACTS,
    LOCK_NAME,
    REAL_FACTS,
    SERIES_FACTS,
    ChunkRow,
    Deletion,
    State,
)
from .series import Series

__all__ = [
    "APPLICATION_ID",
    "BACKUP",
    "CHUNK_DIRECTORY",
    "FILE_NAME",
    "FORMAT_VERSION",
    "INDEX_NAME",
    "INDEX_USERS_PLACE",
    "INTEGER_FACTS",
    "LOCK_NAME",
    "REAL_FACTS",
    "SERIES_FACTS",
    "Catalog",
    "ChunkRow",
    "Deletion",
    "State",
]


class Catalog(Commits, Series):
    """One connection to a store's catalog; threads take turns."""
