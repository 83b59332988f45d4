"""Tasks on threads, their results in order; no thread is left running."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from smartdata_ts._storage.fork import fork_count

if TYPE_CHECKING:
    from concurrent.futures import Future

_THREADS_FROM_READINGS = 262_144  # below, starting threads costs more than it saves

Result = TypeVar("Result")
Task = TypeVar("Task")


def in_order(
    run: Callable[[Task], Result], tasks: Iterable[Task], reading_count: int, thread_count: int
) -> Iterator[Result]:
    """Run the tasks on threads, a few ahead of the consumer; results in the order of the tasks."""
    if reading_count < _THREADS_FROM_READINGS or thread_count == 1:
        yield from map(run, tasks)
        return
    from concurrent.futures import ThreadPoolExecutor  # 3 ms, with its logging

    pool, made = ThreadPoolExecutor(thread_count, "smartdata_ts-query"), fork_count()
    ahead: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            ahead.append(pool.submit(run, task))
            if len(ahead) > 2 * thread_count:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        if made == fork_count():  # a child has the pool, and none of its threads
            pool.shutdown(cancel_futures=True)
