"""A progress bar on a terminal; nothing in a pipe."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smartdata_ts.formats import Progress


@contextmanager
def file_progress(file: str) -> Iterator[Progress | None]:
    """A bar over the bytes of a file, on standard error if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    size = Path(file).stat().st_size if Path(file).is_file() else None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(Path(file).name), total=size, rows=0)

        def update(part: float | None, row_count: int) -> None:
            completed = None if part is None or size is None else part * size
            bar.update(task, completed=completed, rows=row_count)

        yield update
