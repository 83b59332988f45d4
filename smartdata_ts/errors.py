"""The errors of the library, as a tree.

SmartDataError
├── UsageError              an argument that cannot be right
│   ├── UnknownSeriesError      a series key that the store does not hold
│   ├── HistoryError            a commit that the store's history does not reach
│   ├── UnitError               units or quantities that do not become one another
│   └── UnknownTimeZoneError    a name that is no IANA zone
├── DataError               input that cannot be taken: a file, a table, a column
│   ├── ConflictError           a reading that disagrees with one of its series and time
│   └── DialectError            a text file whose layout cannot be recognised
├── StoreError              the store on disk
│   ├── StoreNotFoundError      nothing is there, and reading only was asked for
│   ├── StoreFormatError        not a store, or of a version that this release does not know
│   ├── StoreBusyError          another process held the store for longer than the timeout
│   ├── DiskFullError           no space is left for what was to be written
│   ├── ReadOnlyError           a write to a store opened for reading
│   ├── ClosedError             a handle that was closed, or carried across fork
│   ├── CorruptChunkError       bytes of a chunk that are not what was written
│   └── CorruptCatalogError     bytes of the catalog that are not what was written
├── DamageWarning           what a query left out, as it was asked to; warned of, not raised
└── MissingDependencyError  an optional package that is not installed
"""


class SmartDataError(Exception):
    """The base of every error that this package raises on purpose."""


class UsageError(SmartDataError):
    """An argument that cannot be right."""


class UnknownSeriesError(UsageError):
    """A series key that the store does not hold."""


class HistoryError(UsageError):
    """A commit that the store's history does not reach."""


class UnitError(UsageError):
    """Units or quantities that do not become one another."""


class UnknownTimeZoneError(UsageError):
    """A name that is no IANA time zone."""


class DataError(SmartDataError):
    """Input that cannot be taken."""


class ConflictError(DataError):
    """A reading that disagrees with one of its series and time, where `on_conflict` is "error"."""


class DialectError(DataError):
    """A text file whose layout cannot be recognised."""


class StoreError(SmartDataError):
    """The store on disk."""


class StoreNotFoundError(StoreError):
    """No store is there, and reading only was asked for."""


class StoreFormatError(StoreError):
    """Not a store, or of a version that this release does not know."""


class StoreBusyError(StoreError):
    """Another process held the store for longer than the timeout."""


class DiskFullError(StoreError):
    """No space is left on the disk, or in a quota, for what was to be written; nothing of it is kept."""


class ReadOnlyError(StoreError):
    """A write to a store that was opened for reading."""


class ClosedError(StoreError):
    """A handle that was closed, or carried across fork."""


class CorruptChunkError(StoreError):
    """Bytes of a chunk that are not what was written."""


class CorruptCatalogError(StoreError):
    """Bytes of the catalog that are not what was written."""


class DamageWarning(SmartDataError, UserWarning):  # noqa: N818 - a warning, unless it is made an error
    """A query with `on_corrupt="skip"` left readings out; `problems` has a sentence a block or chunk."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class MissingDependencyError(SmartDataError):
    """An optional package that is not installed."""
