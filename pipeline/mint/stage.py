"""mint: sealed batches in, minted batches out, several transactions in flight."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator

from pipeline.base.records import MintedBatch, PinnedBatch
from pipeline.mint.sender import Sender

IDLE_S = 1.0  # how long to wait for a batch when nothing of ours is unsettled, before looking for a reorg again


def mint(batches: Iterable[PinnedBatch], sender: Sender, collection_id: int) -> Iterator[MintedBatch]:
    """Yield a MintedBatch per batch, in order, once it is on the chain at the sender's depth of confirmations.

    The contract is deployed before the first batch is taken. Batches are read in a thread of their own, one ahead, so
    that a slow source never keeps a transaction from being watched. Ends when all are minted; raises what `batches` or
    `Sender.settle` raises. Stopped at any point, it goes on from the ledger when called again with the same batches.
    """
    sender.ensure_deployed(collection_id)
    with _Source(batches) as source:
        while True:
            if source.is_open and sender.has_room:
                for batch in source.take(IDLE_S if sender.is_idle else 0.0):
                    sender.submit(batch)
            moved = sender.settle()
            minted = sender.take_minted()
            yield from minted
            if sender.is_idle and not source.is_open:
                return
            if not (moved or minted):
                sender.pause()


class _Source:
    """Reads an iterable in its own thread, one item ahead of who takes them.

    Leaving does not wait for the thread: it may be in the middle of drawing, and ends at its next item, or with who
    called us.
    """

    def __init__(self, batches: Iterable[PinnedBatch]) -> None:
        self._batches = batches
        self._items: queue.Queue[PinnedBatch | BaseException | None] = queue.Queue(maxsize=1)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._read, name="mint-source", daemon=True)
        self.is_open = True

    def __enter__(self) -> _Source:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()

    def take(self, timeout_s: float) -> list[PinnedBatch]:
        """The next item, or nothing when there is none in time, or no more. Raises what the source raised."""
        try:
            item = self._items.get(timeout=timeout_s) if timeout_s else self._items.get_nowait()
        except queue.Empty:
            return []
        if isinstance(item, PinnedBatch):
            return [item]
        self.is_open = False
        if item is not None:
            raise item
        return []

    def _read(self) -> None:
        end: BaseException | None = None
        try:
            for batch in self._batches:
                if not self._put(batch):
                    break
        except BaseException as error:  # handed to the thread that takes
            end = error
        self._put(end)

    def _put(self, item: PinnedBatch | BaseException | None) -> bool:
        while not self._left.is_set():
            try:
                self._items.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
