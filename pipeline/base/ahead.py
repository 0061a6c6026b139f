"""Reading ahead: what is upstream works in a thread of its own, behind a bounded queue.

That is how stages overlap, and how a slow one holds back those before it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar, cast

T = TypeVar("T")
LOOK_S = 0.1  # how often a thread that waits looks whether anybody still wants something


class Ahead(Generic[T]):
    """Iterate `upstream` in a thread of its own, at most `depth` items ahead of the reader.

    Use it as a context manager: leaving it stops the thread at its next item and closes `upstream`; `waits` says whether
    leaving waits for that, or leaves the thread to its end (it may be in the middle of drawing). What upstream raises
    comes out of the reader, after the items before it.
    """

    _END = object()

    def __init__(self, upstream: Iterable[T], depth: int, *, waits: bool = True) -> None:
        self._upstream, self._waits = upstream, waits
        self._queue: queue.Queue[tuple[object, BaseException | None]] = queue.Queue(depth)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._read, name="ahead", daemon=True)
        self.is_open = True  # until the last item was taken

    def __enter__(self) -> Ahead[T]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        if self._waits:
            self._thread.join()

    def __iter__(self) -> Iterator[T]:
        while self.is_open and not self._left.is_set():
            yield from self.take(LOOK_S)

    def take(self, timeout_s: float) -> list[T]:
        """The next item, or nothing where there is none in time, or no more. Raises what upstream raised."""
        try:
            item, error = self._queue.get(timeout=timeout_s) if timeout_s else self._queue.get_nowait()
        except queue.Empty:
            return []
        if item is not self._END:
            return [cast(T, item)]
        self.is_open = False
        if error is not None:
            raise error
        return []

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────────────

    def _read(self) -> None:
        end: BaseException | None = None
        try:
            for item in self._upstream:
                if not self._put((item, None)):
                    break
        except BaseException as error:  # raised to the reader: see `take`
            end = error
        finally:
            close = getattr(self._upstream, "close", None)
            if close:
                close()
        self._put((self._END, end))

    def _put(self, entry: tuple[object, BaseException | None]) -> bool:
        """Wait for room; False when the reader has gone."""
        while not self._left.is_set():
            try:
                self._queue.put(entry, timeout=LOOK_S)
                return True
            except queue.Full:
                continue
        return False
