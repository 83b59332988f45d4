"""Reading ahead changes nothing but the time it takes."""

import threading
from contextlib import closing

import pytest

from smartdata_ts.formats import read_ahead


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if "read-ahead" in thread.name}


def test_items_come_in_order_from_another_thread():
    seen = []

    def items():
        for k in range(20):
            seen.append(threading.current_thread())
            yield k

    assert list(read_ahead(items())) == list(range(20))
    assert threading.current_thread() not in seen
    assert not threads()


def test_errors_come_where_they_belong():
    def items():
        yield 1
        raise RuntimeError("cut")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(RuntimeError, match="cut"):
        next(ahead)
    assert not threads()


def test_no_thread_is_left_where_the_reading_is_broken_off():
    with closing(read_ahead(iter(range(1000)))) as ahead:
        assert next(ahead) == 0
    assert not threads()


def test_no_more_is_made_than_asked_for():
    made = []
    ahead = read_ahead((made.append(k) for k in range(100)), depth=3)
    next(ahead)
    ahead.close()
    assert len(made) <= 5
