"""What a transaction commits a chain to: before anything is signed for it, it has to be here."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.base.cid import CID
from pipeline.ledger import Ledger
from pipeline.ledger.journal import Intent
from pipeline.pin.store import CarStore


def must_hold_content_of(ledger: Ledger, store: CarStore) -> Callable[[Intent], None]:
    """A sender's `before_signing`, which raises Corrupt unless what a transaction commits to is still here, however lately
    it was proved. A raised fee is a signature too, whichever verb comes upon it.
    """

    def check(intent: Intent) -> None:
        for cid in _roots(ledger, intent):
            store.must_hold(ledger.pins.known(cid).root)

    return check


def _roots(ledger: Ledger, intent: Intent) -> list[CID]:
    if intent.purpose == "deploy" and intent.collection is not None:
        collection = ledger.collections.get(intent.collection)
        return [cid for cid in (collection.cover_root, collection.info_root) if cid is not None]
    if intent.batch is not None:
        batch = ledger.batches.get(intent.batch)
        return [cid for cid in (batch.images_root, batch.metadata_root) if cid is not None]
    return []
