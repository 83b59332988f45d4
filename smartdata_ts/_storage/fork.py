"""Fork: what a child inherits of its parent, and must leave alone.

A child has the parent's memory, and neither its threads nor its locks on files. An act on an inherited
connection is an act on the parent's files: it rolls back the parent's transaction, at the latest
when its interpreter ends. So the child lets go of what may not be shared before anything else runs there, and
each such thing says so when it is used.
"""

import os
import sys
import weakref
from collections.abc import Iterator
from typing import Protocol, TypeVar

from smartdata_ts.errors import ClosedError

Item = TypeVar("Item")


class Inherited(Protocol):
    """Something that a child may not use."""

    def let_go(self) -> None:
        """Give up, in a child, what is the parent's, without a change to it. May raise nothing."""


_all: "weakref.WeakSet[Inherited]" = weakref.WeakSet()


def leave_to_parent(thing: Inherited) -> None:
    """Have children of this process let go of something as soon as they begin."""
    _all.add(thing)


_count = 0


def fork_count() -> int:
    """The number of forks between this process and the one that loaded this module: tells a child at once.

    The system's number of the process would tell it too, and costs a call to the system each time.
    """
    return _count


def _let_go_of_all() -> None:
    global _count  # noqa: PLW0603 - the process's own, which only its birth changes
    _count += 1
    for thing in list(_all):
        thing.let_go()
    _all.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go_of_all)


def check_process(made: int, what: str) -> None:
    """Raise ClosedError in a child of the process in which `what` was made, when `fork_count` was `made`."""
    if made != _count:
        raise ClosedError(f"{what} before a fork, and is the parent's; open the store again in the child")


def in_this_process(items: Iterator[Item]) -> Iterator[Item]:
    """The same items; in a child a ClosedError comes next, for the threads that make them are not there."""
    return _checked(items, _count)


def _checked(items: Iterator[Item], made: int) -> Iterator[Item]:
    while True:
        check_process(made, "this result was asked for")
        try:
            item = next(items)
        except StopIteration:
            return
        yield item
