"""mint: sealed batches in, minted batches out, several transactions in flight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.base.ahead import Ahead
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
    with Ahead(batches, 1, waits=False) as source:
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
