"""Works one step ahead on another thread, so that reading and storing overlap."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from smartdata_ts._storage.fork import check_process, fork_count

Item = TypeVar("Item")

_END = object()


def read_ahead(items: Iterable[Item], depth: int = 2) -> Generator[Item, None, None]:
    """The items in order, of which up to `depth` are made while the caller works on one.

    Kernels and decompressors hold no GIL. The thread ends with the iteration, also where that is
    broken off: close the iterator (`contextlib.closing`) or let it run out.
    """
    source, made = iter(items), fork_count()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as executor:
        waiting: deque[Future[object]] = deque()
        try:
            for _ in range(depth):
                waiting.append(executor.submit(next, source, _END))
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(executor.submit(next, source, _END))
                yield item  # type: ignore[misc]
                check_process(made, "this import was begun")  # a child lacks the thread
        finally:
            for future in waiting:
                future.cancel()
