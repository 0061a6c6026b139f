"""Trying again, for everything that goes to one place: with growing pauses, fewer requests at once, and an end.

Three limits keep a place that is in trouble from being trampled, and us from waiting for ever: a call is tried a few
times, and only once where the call before it gave up; all pauses of a run together have a budget; and how many requests are in flight follows what the place can take
(additive increase, multiplicative decrease, as in TCP).
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pipeline.base.errors import PipelineError
from pipeline.base.web import LONGEST_WAIT_S

log = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 5
FIRST_PAUSE_S = 1.0
BUDGET_S = 600.0  # of pauses in one run: later failures are told at once
MOST_AT_ONCE = 8  # requests: beyond that services answer 429 whatever the plan


class Patience:
    """Repeats calls to one place while their errors are `retryable`. Any thread may call."""

    def __init__(
        self,
        *,
        tries: int = TRIES,
        budget_s: float = BUDGET_S,
        most: int = MOST_AT_ONCE,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tries, self._budget_s, self._most = tries, budget_s, most
        self._pause, self._clock = pause, clock
        self._changed = threading.Condition()
        self._limit = float(min(2, most))
        self._running = 0
        self._lowered = clock()
        self._closed_until = clock()
        self._is_down = False  # the last call gave up: others need not find that out by waiting

    @property
    def at_once(self) -> int:
        """How many calls may run at the same time now."""
        return int(self._limit)

    def call(self, work: Callable[[], T]) -> T:
        """What `work` returns, after as many tries as it takes and the limits allow; then its last error."""
        tries, first = 1 if self._is_down else self._tries, self._clock()
        for attempt in range(1, tries + 1):
            try:
                with self._slot() as began:
                    result = self._attempt(work, began)
                self._went_well()
                return result
            except PipelineError as error:
                if not error.retryable:
                    raise
                wait_s = self._wait_s(attempt, error)
                within_s = error.fields.get("within_s")
                is_too_late = within_s is not None and self._clock() - first + wait_s > within_s
                if attempt == tries or wait_s > LONGEST_WAIT_S or is_too_late or not self._granted(wait_s):
                    self._is_down = True
                    raise
                log.warning("%s; trying again in %.1f s", error, wait_s)
                self._pause(wait_s)
        raise AssertionError("unreachable")

    def _attempt(self, work: Callable[[], T], began: float) -> T:
        """One try. What it teaches is known before its place is given to the next, who would run into the same."""
        try:
            return work()
        except PipelineError as error:
            if error.retryable:
                self._went_badly(began)
            raise

    @contextmanager
    def _slot(self) -> Iterator[float]:
        with self._changed:
            while self._running >= int(self._limit):
                self._changed.wait()
            self._running += 1
            pause_s = self._closed_until - self._clock()
        if pause_s > 0 and self._granted(pause_s):  # another call was told to come back later: so is this one
            self._pause(pause_s)
        try:
            yield self._clock()
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify()

    def _went_well(self) -> None:
        with self._changed:
            self._is_down = False
            self._limit = min(self._limit + 1 / self._limit, self._most)  # one more after each round
            self._changed.notify()

    def _went_badly(self, began: float) -> None:
        with self._changed:
            if began >= self._lowered:  # calls that failed together count once
                self._limit = max(self._limit / 2, 1.0)
                self._lowered = self._clock()

    def _wait_s(self, attempt: int, error: PipelineError) -> float:
        asked = error.fields.get("wait_s")  # `Retry-After`
        if asked is not None:
            with self._changed:
                self._closed_until = max(self._closed_until, self._clock() + min(asked, LONGEST_WAIT_S))
        # Doubling, and jittered: those that failed together must not come back together.
        own = FIRST_PAUSE_S * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)
        return max(own, asked * random.uniform(1.0, 1.2) if asked is not None else 0.0)

    def _granted(self, wait_s: float) -> bool:
        with self._changed:
            if wait_s > self._budget_s:
                return False
            self._budget_s -= wait_s
            return True
