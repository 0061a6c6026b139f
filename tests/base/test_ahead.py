"""Reading ahead: overlap, back-pressure, and endings."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.base.ahead import Ahead


def test_items_come_in_order() -> None:
    with Ahead(iter(range(100)), 3) as items:
        assert list(items) == list(range(100))


def test_upstream_works_while_the_reader_does_but_only_so_far_ahead() -> None:
    made: list[int] = []

    def upstream() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    with Ahead(upstream(), 3) as items:
        assert next(iter(items)) == 0
        deadline = time.monotonic() + 5
        while len(made) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)  # time enough to run away, were there no bound
        assert len(made) == 5  # one read, three in the queue, one waiting for room


def test_what_upstream_raises_reaches_the_reader_after_the_items_before_it() -> None:
    def upstream() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with Ahead(upstream(), 3) as ahead:
        items = iter(ahead)
        assert next(items) == 1
        with pytest.raises(ValueError, match="broken"):
            next(items)


def test_leaving_early_stops_the_thread_and_closes_upstream() -> None:
    closed = threading.Event()

    def upstream() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    before = threading.active_count()
    with Ahead(upstream(), 2) as items:
        next(iter(items))
    assert closed.is_set()
    assert threading.active_count() == before
