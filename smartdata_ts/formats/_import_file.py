"""One file into a store, in one commit, with every row of the file accounted for."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from smartdata_ts._analysis.unit_faults import notices
from smartdata_ts._readings.arrow import numbers_of
from smartdata_ts._time.calendar import Calendar
from smartdata_ts.errors import DataError

from ._facts import say_facts
from ._read_ahead import read_ahead
from ._reader import Reader
from ._rejects import Reject, RejectWriter

if TYPE_CHECKING:
    from smartdata_ts._store import Store
    from smartdata_ts._write.writer import Writer, WriteReport

Progress = Callable[[float | None, int], None]


@dataclass(frozen=True)
class ImportReport:
    """What became of a file: rows == stored + duplicates + replaced + kept + rejected + empty."""

    file: str
    description: str  # what was taken for what
    rows: int  # data rows; in a wide file, cells
    stored: int  # new (series, time)
    duplicates: int  # readings that the file or the store held already
    replaced: int  # same series and time, other value or quality: the later one won
    kept: int  # the same, but what stood was better, or was to be kept
    rejected: int
    empty: int  # cells, or rows, without a value, unless their quality says missing or rejected
    ambiguous: int  # readings in a repeated local hour that the rows' order does not settle
    series_created: int
    seconds: float
    rejections: dict[str, int] = field(default_factory=dict)  # reason -> rows
    rejected_file: str | None = None  # line, reason and row of each that was rejected
    commit: int | None = None  # None where nothing had to be stored
    notices: tuple[str, ...] = ()  # what is suspect: see _analysis/unit_faults.py
    conflicts: int = 0  # of replaced and kept: rows that another row of the file contradicts

    @property
    def rows_per_second(self) -> float:
        """Rows of the file over the time that the import took."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0


def import_file(
    store: "Store",
    path: str | Path | Any,
    *,
    format: str | None = None,
    rejected: str | Path | None = None,
    note: str | None = None,
    on_conflict: str = "better",
    quantity: str | None = None,
    unit: str | None = None,
    kind: str | None = None,
    interval: str | None = None,
    tags: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> ImportReport:
    r"""Import a file into a store, in one commit; reading and storing overlap.

    `path` is a file's name, "-" for standard input, or a binary file object. `format` and the other
    options are those of `open_reader`. Rows that cannot be taken go to `rejected`, by default the
    file's name with ".rejected.csv" added, which exists only where there are any. `note` is kept with
    the commit; `on_conflict` says which of two readings stands, see `Store.write`. `quantity`, `unit`,
    `kind`, `interval` and `tags` are said of every series of the file that has readings, see
    `Store.describe`; what a document says of its series itself is said too, in the same commit, and gives
    way to these. `progress` is called after every batch with the part of the file that was read, from
    0 to 1 (None where its size is not known), and the count of rows.

    The report's `notices` tell of rows that contradict each other, of times that are decades from all others,
    and of values that are a thousand times, or a thousandth of, what they were or others of their unit are.

    Raises DataError where the file cannot be read, UnitError where a document's unit of a series is not the
    one that stands or was given, and DialectError where its layout cannot be told;
    the store is then as it was. Importing a file twice stores nothing new.

    >>> import smartdata_ts as sd, tempfile
    >>> from pathlib import Path
    >>> from smartdata_ts.formats import import_file
    >>> folder = Path(tempfile.mkdtemp())
    >>> rows = ["meter;time;m3", "wm-17;27.10.2024 02:00;41,2", "wm-17;27.10.2024 03:00;broken"]
    >>> size = (folder / "city.csv").write_text("\n".join(rows))
    >>> with sd.open(folder / "city.sdts") as store:
    ...     report = import_file(store, folder / "city.csv", tz="Europe/Oslo", value="m3", unit="m3")
    >>> report.rows, report.stored, report.rejections
    (2, 1, {'unreadable number': 1})
    """
    start = time.perf_counter()
    facts: dict[str, Any] = {"quantity": quantity, "unit": unit, "kind": kind, "tags": tags}
    if interval is not None:
        options["interval"] = interval
        # A month is as good as a length for period-end stamps, but no fixed spacing of readings.
        facts["interval"] = interval if Calendar.parse(interval).fixed_width_us is not None else None
    keys = _Keys()
    if any(facts.values()):
        store.describe([], **facts)  # what cannot be said should fail before a row is stored
    with (
        _Rejected(path, rejected) as sink,
        _open(path, format, sink, options) as reader,
        store.writer(note or f"import of {reader.name}", on_conflict) as writer,
    ):
        _copy(reader, writer, keys, progress)
        say_facts(writer, keys.found(), reader.facts(), facts)
    commit = writer.report.commit
    return _report(
        reader,
        writer.report,
        sink,
        on_conflict,
        time.perf_counter() - start,
        () if commit is None else notices(store, keys.found(), keys.span, commit),
    )


def _report(
    reader: Reader,
    written: "WriteReport",
    sink: "_Rejected",
    on_conflict: str,
    seconds: float,
    told: tuple[str, ...],
) -> ImportReport:
    assert written.rejected == written.empty == 0, "a reader gives readings only"
    return ImportReport(
        file=reader.name,
        description=reader.description,
        rows=reader.rows,
        stored=written.stored,
        duplicates=written.duplicates,
        replaced=written.replaced,
        kept=written.kept,
        rejected=reader.rejected,
        empty=reader.empty,
        ambiguous=reader.ambiguous,
        series_created=written.series_created,
        seconds=seconds,
        rejections=dict(reader.rejections.most_common()),
        rejected_file=sink.file if reader.rejected else None,
        commit=written.commit,
        notices=(*_conflict_notice(written, on_conflict), *reader.notices, *written.notices, *told),
        conflicts=written.conflicts,
    )


def _conflict_notice(written: "WriteReport", on_conflict: str) -> tuple[str, ...]:
    """What is said of rows that contradict each other, unless the user said which of them stands."""
    if not written.conflicts or on_conflict != "better":
        return ()
    rows = "1 row" if written.conflicts == 1 else f"{written.conflicts:,} rows"
    return (
        f"{rows} of the file have the series and time of another row, and another value or quality: does a"
        " column that was left out tell them apart? on_conflict='error' shows the first, 'replace' and 'keep'"
        " settle it",
    )


def _open(path: Any, format: str | None, sink: "_Rejected", options: Mapping[str, Any]) -> Reader:
    from . import open_reader

    return open_reader(path, format, sink, **options)


def _copy(reader: Reader, writer: "Writer", keys: "_Keys", progress: Progress | None) -> None:
    with closing(read_ahead(reader, reader.batches_ahead)) as batches:
        for batch in batches:
            keys.add(batch)
            writer.write(batch, quality="quality" if "quality" in batch.schema.names else None)
            if progress is not None:
                progress(reader.progress, reader.rows)


class _Rejected:
    """Where rejected rows go; a file that an earlier import left under the default name is removed."""

    def __init__(self, path: Any, given: str | Path | None) -> None:
        self._path = Path(given) if given is not None else _default_path(path)
        self._is_default = given is None
        self._writer = None if self._path is None else RejectWriter(self._path)

    @property
    def file(self) -> str | None:
        """The file's name; None where the input has none to go by."""
        return None if self._path is None else str(self._path)

    def __call__(self, reject: Reject) -> None:
        if self._writer is None:
            return
        try:
            self._writer(reject)
        except OSError as error:
            raise DataError(
                f"{self._path}: rejected rows cannot be written there: {error.strerror};"
                " nothing was stored; name another file with rejected="
            ) from error

    def __enter__(self) -> Self:
        if self._is_default and self._path is not None:
            _remove_stale(self._path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()


def _default_path(path: Any) -> Path | None:
    if hasattr(path, "read"):
        return None
    return Path(("stdin" if str(path) == "-" else str(path)) + ".rejected.csv")


def _remove_stale(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if file.readline().rstrip() != b"line,reason,row":
                return
        path.unlink()
    except OSError:
        return  # there is none, or it will be told when a row is to be written


class _Keys:
    """The keys that readings have, and the span of their times."""

    def __init__(self) -> None:
        self.span = (2**63 - 1, -(2**63))  # us UTC, both inclusive
        self._keys: set[str] = set()
        self._dictionary: pa.Array | None = None
        self._used = np.zeros(0, np.bool_)

    def add(self, batch: pa.RecordBatch) -> None:
        """Note the keys and times of a batch."""
        column, times = batch.column(0), numbers_of(batch.column("time").view(pa.int64()))
        if times.size:
            self.span = (min(self.span[0], int(times.min())), max(self.span[1], int(times.max())))
        if column.dictionary is not self._dictionary:
            self._settle()
            self._dictionary = column.dictionary
            self._used = np.zeros(len(column.dictionary), np.bool_)
        self._used[numbers_of(column.indices)] = True

    def found(self) -> list[str]:
        """The keys so far, sorted."""
        self._settle()
        return sorted(self._keys)

    def _settle(self) -> None:
        if self._dictionary is not None:
            keys = self._dictionary.to_pylist()
            self._keys.update(keys[code] for code in np.flatnonzero(self._used).tolist())
            self._dictionary = None
